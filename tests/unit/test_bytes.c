/* test_bytes.c - spans never read past their end, buffers never grow past
 * their limit. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/bytes.h"

static void test_span(void **state) {
    struct span s = span_of("hello");

    (void)state;
    assert_int_equal(span_of(NULL).size, 0);
    assert_true(span_is(span_slice(s, 1, 3), "el"));
    assert_true(span_is(span_slice(s, 3, 99), "lo"));
    assert_true(span_is(span_slice(s, 9, 99), ""));
    assert_true(span_is(span_slice(s, 4, 2), ""));
    assert_true(span_equal(span_of(NULL), span_of("")));
    assert_false(span_equal(s, span_of("hellO")));
    assert_false(span_equal(s, span_of("hell")));
    assert_true(span_blank(span_of("")) && span_blank(span_of(" \t\r\n\v\f")));
    assert_false(span_blank(span_of(" a ")));
    assert_false(span_blank((struct span){"\0", 1}));
    assert_true(span_starts(s, span_of("he")));
    assert_true(span_starts(s, span_of("")));
    assert_false(span_starts(span_of("he"), s));
    assert_int_equal(span_slice(span_of(NULL), 0, 5).size, 0);
}

static void test_find(void **state) {
    const struct span nul = {"a\0b", 3};

    (void)state;
    assert_int_equal(span_find(span_of("abcabc"), span_of("ca")), 2);
    assert_int_equal(span_find(span_of("abc"), span_of("")), 0);
    assert_true(span_find(span_of("abc"), span_of("abcd")) == SIZE_MAX);
    assert_true(span_find(span_of(""), span_of("a")) == SIZE_MAX);
    assert_int_equal(span_find(nul, (struct span){"\0b", 2}), 1);
}

static void test_dup(void **state) {
    char *copy = span_dup((struct span){"abcd", 2});

    (void)state;
    assert_string_equal(copy, "ab");
    free(copy);
    copy = span_dup(span_of(NULL));
    assert_string_equal(copy, "");
    free(copy);
}

static void test_append_to_the_limit(void **state) {
    struct bytes b = {.limit = 5};
    struct err err = {0};

    (void)state;
    assert_true(bytes_append(&b, "abc", 3, &err));
    assert_false(bytes_append(&b, "def", 3, &err));
    assert_int_equal(err.code, ERR_LIMIT);
    assert_true(span_is(span_bytes(&b), "abc"));
    assert_true(bytes_append(&b, "de", 2, &err));
    assert_true(bytes_append(&b, "", 0, &err));
    assert_false(bytes_append(&b, "f", 1, &err));
    assert_false(bytes_reserve(&b, SIZE_MAX, &err));
    assert_true(span_is(span_bytes(&b), "abcde"));
    bytes_free(&b);
    assert_int_equal(b.size, 0);
    assert_int_equal(b.limit, 5);
    bytes_free(&b);
}

static void test_grow(void **state) {
    struct bytes b = {0};

    (void)state;
    for (int i = 0; i < 100000; i++) {
        char c = (char)('a' + i % 26);

        bytes_put(&b, (struct span){&c, 1});
    }
    assert_int_equal(b.size, 100000);
    for (size_t i = 0; i < b.size; i++)
        assert_int_equal(b.at[i], (char)('a' + i % 26));
    bytes_free(&b);
}

/* The limit holds wherever the buffer's room ends, and with or without a
 * conversion in the format. */
static void test_printf_room(void **state) {
    (void)state;
    for (size_t limit = 1; limit < 600; limit++) {
        struct bytes b = {.limit = limit}, c = {.limit = limit};

        while (bytes_printf(&b, NULL, "%s", "abc") &&
               bytes_printf(&b, NULL, "%d", 7))
            continue;
        while (bytes_printf(&c, NULL, "abc7")) continue;
        assert_true(b.size <= limit && b.size + 4 >= limit);
        assert_true(c.size <= limit && c.size + 4 > limit);
        for (size_t i = 0; i < b.size; i++)
            assert_int_equal(b.at[i], "abc7"[i % 4]);
        for (size_t i = 0; i < c.size; i++)
            assert_int_equal(c.at[i], "abc7"[i % 4]);
        bytes_free(&b);
        bytes_free(&c);
    }
}

static void test_printf(void **state) {
    struct bytes b = {.limit = 10};
    struct err err = {0};

    (void)state;
    assert_true(bytes_printf(&b, &err, "%d-%s", 42, "x"));
    assert_true(span_is(span_bytes(&b), "42-x"));
    assert_false(bytes_printf(&b, &err, "%s", "1234567890"));
    assert_int_equal(err.code, ERR_LIMIT);
    assert_true(span_is(span_bytes(&b), "42-x"));
    bytes_free(&b);
}

static void test_drop(void **state) {
    struct bytes b = {0};

    (void)state;
    bytes_puts(&b, "abcdef");
    bytes_drop(&b, 0);
    bytes_drop(&b, 2);
    assert_true(span_is(span_bytes(&b), "cdef"));
    bytes_drop(&b, 99);
    assert_int_equal(b.size, 0);
    bytes_drop(&b, 1);
    bytes_free(&b);
}

static void fill_file(char *path, size_t size) {
    int fd = mkstemp(path);

    assert_true(fd >= 0);
    for (size_t i = 0; i < size; i++)
        assert_int_equal(write(fd, i % 2 ? "b" : "a", 1), 1);
    (void)close(fd);
}

static void test_read_file(void **state) {
    char path[] = "/tmp/corral-test-XXXXXX";
    struct bytes b = {.limit = 1000};
    struct err err = {0};

    (void)state;
    fill_file(path, 1000);
    bytes_puts(&b, "old");
    assert_true(bytes_read_file(&b, path, &err)); /* exactly the limit */
    assert_int_equal(b.size, 1000);
    assert_int_equal(b.at[999], 'b');
    bytes_free(&b);
    b.limit = 999;
    assert_false(bytes_read_file(&b, path, &err));
    assert_int_equal(err.code, ERR_LIMIT);
    bytes_free(&b);
    (void)unlink(path);
    assert_false(bytes_read_file(&b, path, &err));
    assert_int_equal(err.code, ERR_NOT_FOUND);
    assert_non_null(strstr(err.text, path));
    assert_false(bytes_read_file(&b, "/", &err)); /* a folder */
    assert_int_equal(err.code, ERR_IO);
    bytes_free(&b);
}

static void test_put_int(void **state) {
    static const int64_t numbers[] = {0, 7, -7, 10, 99, INT64_MAX, INT64_MIN};
    (void)state;
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        struct bytes out = {0};
        char want[32];

        (void)snprintf(want, sizeof want, "%lld", (long long)numbers[i]);
        bytes_put_int(&out, numbers[i]);
        assert_true(span_is(span_bytes(&out), want));
        bytes_free(&out);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_span),
        cmocka_unit_test(test_find),
        cmocka_unit_test(test_dup),
        cmocka_unit_test(test_append_to_the_limit),
        cmocka_unit_test(test_grow),
        cmocka_unit_test(test_printf),
        cmocka_unit_test(test_printf_room),
        cmocka_unit_test(test_put_int),
        cmocka_unit_test(test_drop),
        cmocka_unit_test(test_read_file),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
