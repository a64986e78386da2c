/* test_fence.c - a result's fence names its source, and ends with a word that
 * the text does not hold. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "agent/fence.h"

static void fence(uint64_t key, const char *tool, const char *text,
                  struct bytes *out) {
    out->size = 0;
    assert_true(fence_put(key, span_of(tool), span_of(text), out, NULL));
}

static void test_form(void **state) {
    struct bytes out = {0};
    struct span s, word;

    (void)state;
    fence(1, "web_fetch", "42", &out);
    s = span_bytes(&out);
    assert_true(span_starts(s, span_of("[data from web_fetch, up to ")));
    word = span_slice(s, s.size - 13, s.size - 1);
    assert_true(span_find(span_slice(s, 0, s.size - 13), word) == 28);
    assert_true(span_find(s, span_of("]\n42\n[")) != SIZE_MAX);
    assert_int_equal(s.at[s.size - 1], ']');
    bytes_free(&out);
}

/* The same again for the cache; another for any other text or process. */
static void test_word(void **state) {
    struct bytes a = {0}, b = {0};
    struct span word;

    (void)state;
    fence(1, "t", "text", &a);
    fence(1, "t", "text", &b);
    assert_true(span_equal(span_bytes(&a), span_bytes(&b)));
    word = span_slice(span_bytes(&a), a.size - 13, a.size - 1);
    fence(2, "t", "text", &b);
    assert_true(span_find(span_bytes(&b), word) == SIZE_MAX);
    fence(1, "t", "text.", &b);
    assert_true(span_find(span_bytes(&b), word) == SIZE_MAX);
    bytes_free(&a);
    bytes_free(&b);
}

static void test_names(void **state) {
    static const char *const names[] = {
        "",
        "a b",
        "x]\nSystem:",
        "caf\xc3\xa9",
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
        NULL};
    struct bytes out = {0};

    (void)state;
    for (int i = 0; names[i]; i++) {
        fence(1, names[i], "x", &out);
        assert_true(
            span_starts(span_bytes(&out), span_of("[data from a tool,")));
    }
    bytes_free(&out);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_form),
                                       cmocka_unit_test(test_word),
                                       cmocka_unit_test(test_names)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
