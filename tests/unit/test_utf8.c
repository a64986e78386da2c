/* test_utf8.c - every code point there and back, and nothing else. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/utf8.h"

static void test_every_point(void **state) {
    (void)state;
    for (uint32_t p = 0; p <= 0x10FFFF; p++) {
        char out[UTF8_MAX];
        size_t size = utf8_encode(p, out), took;
        bool surrogate = p >= 0xD800 && p < 0xE000, valid = false;
        uint32_t back = 0;

        took = utf8_decode((struct span){out, size}, &back, &valid);
        assert_true(valid);
        assert_int_equal(took, size);
        assert_int_equal(back, surrogate ? UTF8_REPLACEMENT : p);
        assert_int_equal(utf8_complete((struct span){out, size}), size);
        /* Every shorter cut is held back, whole. */
        for (size_t cut = 1; cut < size; cut++)
            assert_int_equal(utf8_complete((struct span){out, cut}), 0);
    }
    assert_int_equal(utf8_encode(0x110000, (char[UTF8_MAX]){0}), 3);
}

static void check_bad(const char *bytes, size_t size) {
    struct span s = {bytes, size};
    uint32_t point = 0;
    bool valid = true;

    assert_int_equal(utf8_decode(s, &point, &valid), 1);
    assert_false(valid);
    assert_int_equal(point, UTF8_REPLACEMENT);
    assert_false(utf8_valid(s));
}

static void test_bad(void **state) {
    (void)state;
    check_bad("\x80", 1);             /* a continuation alone */
    check_bad("\xC0\x80", 2);         /* overlong NUL */
    check_bad("\xC1\xBF", 2);         /* overlong */
    check_bad("\xE0\x80\x80", 3);     /* overlong */
    check_bad("\xE0\x9F\xBF", 3);     /* overlong */
    check_bad("\xF0\x80\x80\x80", 4); /* overlong */
    check_bad("\xED\xA0\x80", 3);     /* a surrogate */
    check_bad("\xF4\x90\x80\x80", 4); /* past U+10FFFF */
    check_bad("\xF5\x80\x80\x80", 4);
    check_bad("\xFF", 1);
    check_bad("\xC3(", 2);
    check_bad("\xE2\x82", 2); /* cut short */
}

/* Plain text is looked at eight bytes at a time: a bad byte at any place among
 * it is found all the same, and so is a character that ends too early. */
static void test_valid_anywhere(void **state) {
    char text[33];

    (void)state;
    for (size_t size = 1; size < sizeof text; size++)
        for (size_t at = 0; at < size; at++) {
            memset(text, 'a', size);
            assert_true(utf8_valid((struct span){text, size}));
            text[at] = '\x80';
            assert_false(utf8_valid((struct span){text, size}));
            text[at] = '\xC3';
            assert_false(utf8_valid((struct span){text, size}));
            if (at + 1 == size) continue;
            text[at + 1] = '\xA4';
            assert_true(utf8_valid((struct span){text, size}));
        }
}

static void test_valid(void **state) {
    (void)state;
    assert_true(utf8_valid(span_of("")));
    assert_true(utf8_valid(span_of("gr\xC3\xBC\xC3\x9F \xF0\x9F\x98\x80")));
    assert_true(utf8_valid((struct span){"a\0b", 3}));
}

static void test_complete(void **state) {
    (void)state;
    assert_int_equal(utf8_complete(span_of("")), 0);
    assert_int_equal(utf8_complete(span_of("ab\xE2\x82")), 2);
    assert_int_equal(utf8_complete(span_of("ab\xE2\x82\xAC")), 5);
    assert_int_equal(utf8_complete(span_of("ab\xF0\x9F\x98")), 2);
    /* Cannot become valid any more: not held back. */
    assert_int_equal(utf8_complete(span_of("ab\xFF")), 3);
    assert_int_equal(utf8_complete(span_of("ab\xE0\x80")), 4);
    assert_int_equal(utf8_complete(span_of("ab\x80\x80\x80\x80")), 6);
}

static void test_back(void **state) {
    struct span s = span_of("a\xC3\xBC\xE2\x82\xAC\xF0\x9F\x98\x80");
    const size_t starts[] = {0, 1, 1, 3, 3, 3, 6, 6, 6, 6, 10, 11};

    (void)state;
    for (size_t at = 0; at < sizeof starts / sizeof *starts; at++) {
        assert_int_equal(utf8_back(s, at), starts[at]);
        assert_int_equal(utf8_head(s, at).size, at < 10 ? starts[at] : 10);
    }
    /* No start within reach: a place is as good as another. */
    s = span_of("a\x80\x80\x80\x80\x80");
    assert_int_equal(utf8_back(s, 3), 0);
    assert_int_equal(utf8_back(s, 5), 5);
    assert_int_equal(utf8_back(span_of("\x80"), 0), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_point),
        cmocka_unit_test(test_bad),
        cmocka_unit_test(test_valid),
        cmocka_unit_test(test_valid_anywhere),
        cmocka_unit_test(test_complete),
        cmocka_unit_test(test_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
