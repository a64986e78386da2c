/* test_rules_whole.c - a pattern matches a whole text or not at all. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "guard/rules_whole.h"

static void check(const char *pattern, const char *text, bool wanted) {
    struct err err = {0};
    struct rules_whole *w = rules_whole_new(pattern, &err);
    bool matches = !wanted;

    if (!w) fail_msg("%s: %s", pattern, err.text);
    assert_true(rules_whole_match(w, span_of(text), &matches, &err));
    if (matches != wanted) fail_msg("%s on %s", pattern, text);
    rules_whole_free(w);
}

static void test_match(void **state) {
    (void)state;
    check("ab+", "abbb", true);
    check("ab+", "abbbc", false);
    check("ab+", "xab", false);
    check("ab+", "ab\n", false);
    check("a|b", "b", true);
    check("a|b", "ab", false);
    check("(?i)acme", "ACME", true);
    check("(?i)acme|x", "xACME", false);
    check("a*", "", true);
    check("[^x]*", "any length is fine here, since nothing streams", true);
}

static void test_refused(void **state) {
    static const char *const patterns[] = {
        "a)|(?:b", "(", "a)|(b", "(a)\\1", "\\Qx", "(?x) a #", NULL};
    struct err err = {0};
    char big[8000];

    (void)state;
    for (int i = 0; patterns[i]; i++) {
        if (rules_whole_new(patterns[i], &err)) fail_msg("%s", patterns[i]);
        assert_int_equal(err.code, ERR_INPUT);
    }
    memset(big, 'a', sizeof big - 1);
    big[sizeof big - 1] = '\0';
    assert_null(rules_whole_new(big, &err));
    rules_whole_free(NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_match),
                                       cmocka_unit_test(test_refused)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
