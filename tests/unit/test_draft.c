/* test_draft.c - guesses from the text itself: what is found, and how much of
 * it is tried after right and wrong ones. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <string.h>

#include "engine/draft.h"

enum { TEXT_MAX = 64 };

/* Tokens are letters here. */
static struct draft_guess guess(const struct draft *d, const char *text,
                                int most, int rows) {
    struct draft_guess out = {0};
    int tokens[TEXT_MAX], count = (int)strlen(text);

    for (int i = 0; i < count; i++) tokens[i] = text[i];
    draft_guess(d, tokens, count, most, rows, &out);
    return out;
}

/* A guesser that is trusted enough for `most` tokens. */
static void check_guess(const char *text, const char *expected) {
    struct draft d;
    struct draft_guess g;
    char said[DRAFT_MAX + 1] = "";

    draft_init(&d);
    d.trust[0] = d.trust[1] = 0.97f;
    g = guess(&d, text, (int)strlen(expected) ? (int)strlen(expected) : 8, 1);
    for (int i = 0; i < g.count; i++) said[i] = (char)g.tokens[i];
    assert_string_equal(said, expected);
}

static void test_matches(void **state) {
    (void)state;
    check_guess("abcdefgh.ab", "cdefgh.a"); /* what came after it */
    check_guess("ab1.ab2.ab", "2.ab");      /* the latest time */
    check_guess("cab1.ab2.cab", "1.ab");    /* but a longer match first */
    check_guess("ab.ab", ".ab.ab.a");       /* goes on with itself */
    check_guess("xaa", "");                 /* needs two tokens in common */
    check_guess("xaaa", "aaaaaaaa");
    check_guess("abcdefg", "");
    check_guess("ab", "");
    check_guess("a", "");
}

static void test_limits(void **state) {
    struct draft d;

    (void)state;
    draft_init(&d);
    d.trust[0] = d.trust[1] = 0.97f;
    assert_int_equal(guess(&d, "abcdefghijklm.ab", 100, 1).count, DRAFT_MAX);
    assert_int_equal(guess(&d, "abcdefghijklm.ab", 3, 1).count, 3);
    assert_int_equal(guess(&d, "abcdefghijklm.ab", 0, 1).count, 0);
    assert_int_equal(guess(&d, "abcdefghijklm.ab", -1, 1).count, 0);
    assert_int_equal(guess(&d, "", 8, 1).count, 0);
    /* A full step has no row to waste, however good the guess. */
    assert_in_range(guess(&d, "abcdefghijklm.ab", 8, 8).count, 4, 8);
    assert_in_range(guess(&d, "abcdefghijklm.ab", 8, 32).count, 1, 4);
    d.trust[0] = 0.6f;
    assert_int_equal(guess(&d, "abcdefghijklm.ab", 8, 32).count, 0);
}

/* Wrong ones make it shorter, then rare; right ones bring it back. */
static void test_learns(void **state) {
    static const char text[] = "abcdefghijklm.ab";
    struct draft d;
    struct draft_guess g;
    int tried = 0, before;

    (void)state;
    draft_init(&d);
    before = guess(&d, text, 8, 1).count;
    assert_in_range(before, 1, 4);
    for (int step = 0; step < 400; step++) {
        g = guess(&d, text, 8, 1);
        assert_in_range(g.count, 0, before);
        before = g.count > 0 ? g.count : before;
        draft_count(&d, &g);
        tried += g.count;
        if (g.count > 0) draft_wrong(&d, &g);
    }
    assert_in_range(tried, 15, 30); /* less than a tenth of the steps */
    assert_int_equal(d.drafted, tried);
    assert_int_equal(d.accepted, 0);
    for (int step = 0; step < 60; step++) {
        g = guess(&d, text, 8, 1);
        draft_count(&d, &g);
        for (int i = 0; i < g.count; i++) draft_right(&d, &g);
    }
    assert_int_equal(g.count, DRAFT_MAX);
    assert_int_equal(d.drafted - tried, d.accepted);
}

/* Long matches are another matter than short ones. */
static void test_kinds(void **state) {
    struct draft d;
    struct draft_guess g;

    (void)state;
    draft_init(&d);
    for (int i = 0; i < 100; i++) {
        g = guess(&d, "ab1.ab", 8, 1);
        draft_count(&d, &g);
        if (g.count > 0) draft_wrong(&d, &g);
    }
    g = guess(&d, "ab1.ab", 8, 1);
    assert_int_equal(g.count, 0);
    g = guess(&d, "abcd1234.abcd", 8, 1);
    assert_true(g.long_match);
    assert_in_range(g.count, 3, 8);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_matches),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_learns),
        cmocka_unit_test(test_kinds),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
