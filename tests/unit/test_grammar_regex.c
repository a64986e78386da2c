/* test_grammar_regex.c - what a pattern fits, in the spelling of a JSON
 * string, and which patterns are refused. The C library's own matcher is the
 * judge of random ones. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <regex.h>
#include <stdlib.h>
#include <string.h>

#include "engine/grammar_format.h"
#include "engine/grammar_regex.h"

static struct dfa *compile(const char *pattern) {
    struct err err = {0};
    long work = 1 << 22;
    struct dfa *d = regex_string(span_of(pattern), &work, &err);

    if (!d) fail_msg("%s: %s", pattern, err.text);
    return d;
}

/* `text` as it stands within the quotes. */
static bool fits(const struct dfa *d, const char *text) {
    struct bytes quoted = {0};
    bool fit;

    bytes_puts(&quoted, text);
    bytes_puts(&quoted, "\"");
    fit = dfa_matches(d, span_bytes(&quoted));
    bytes_free(&quoted);
    return fit;
}

static void check(const char *pattern, const char *text, bool expected) {
    struct dfa *d = compile(pattern);

    if (fits(d, text) != expected)
        fail_msg("%s: %s %s", pattern, text,
                 expected ? "does not fit" : "fits");
    dfa_free(d);
}

static void test_found(void **state) {
    (void)state;
    check("b", "abc", true);
    check("b", "ac", false);
    check("", "", true);
    check("", "anything", true);
    check("^b", "bc", true);
    check("^b", "ab", false);
    check("b$", "ab", true);
    check("b$", "ba", false);
    check("^$", "", true);
    check("^$", "a", false);
    check("^(a|b$)", "b", true);
    check("^(a|b$)", "bc", false);
    check("^(a|b$)", "ac", true);
    check("x^a|b", "b", true);
    check("x^a|b", "xa", false);
    check("^a|b$", "ax", true);
    check("^a|b$", "xb", true);
    check("^a|b$", "xa", false);
}

static void test_repeats(void **state) {
    (void)state;
    check("^a*$", "aaa", true);
    check("^a+$", "", false);
    check("^a?b$", "b", true);
    check("^a{2}$", "aa", true);
    check("^a{2}$", "aaa", false);
    check("^a{2,}$", "aaaa", true);
    check("^a{1,3}$", "aaaa", false);
    check("^a{0,0}$", "", true);
    check("^a{,3}$", "a{,3}", true); /* no repeat: text */
    check("^a{$", "a{", true);
    check("^(ab){2}?c$", "ababc", true);
    check("^((a*)*)*$", "aaa", true);
    check("^(a|bc)+$", "abcbca", true);
    check("^(?:a|b){2,3}$", "aba", true);
    check("^(?<year>\\d{4})$", "2024", true);
}

static void test_characters(void **state) {
    (void)state;
    check("^.$", "\xC3\xA9", true);
    check("^.$", "\xF0\x9F\x98\x80", true);
    check("^.$", "\xED\xA0\x80", false); /* a surrogate */
    check("^.$", "\\n", false);
    check("^[^a]$", "\\n", true);
    check("^[^a]$", "\\u0001", true);
    check("^[^a]$", "\\u0000", false);
    check("^[^a]$", "a", false);
    check("^\\x41$", "A", true);
    check("^\\u00e9$", "\xC3\xA9", true);
    check("^\\u{1F600}$", "\xF0\x9F\x98\x80", true);
    check("^\\ud83d\\ude00$", "\xF0\x9F\x98\x80", true);
    check("^\xC3\xA9+$", "\xC3\xA9\xC3\xA9", true);
    check("^[\xC3\xA0-\xC3\xBF]$", "\xC3\xA9", true);
    check("^[\xC3\xA0-\xC3\xBF]$", "\xC3\x9F", false);
    check("^\\\\$", "\\\\", true);
    check("^\\\\$", "\\", false);
    check("^\"$", "\\\"", true);
    check("^\\/$", "/", true);
    check("^[\\d_-]+$", "1_-", true);
    check("^[a-]$", "-", true);
    check("^[\\]a]$", "]", true);
    check("^\\s$", "\\t", true);
    check("^\\s$", "\xC2\xA0", true);
    check("^\\S$", " ", false);
    check("^\\w+$", "aZ_9", true);
    check("^\\W$", "-", true);
    check("^\\D$", "7", false);
    check("^\\.$", ".", true);
    check("^\\.$", "a", false);
    check("^\\n$", "\\n", true);
    check("^\\v$", "\\u000b", true);
    check("^a$", "\\u0061", false); /* one spelling each */
}

static void refused(const char *pattern, enum err_code code) {
    struct err err = {0};
    long work = 1 << 22;
    struct dfa *d = regex_string(span_of(pattern), &work, &err);

    if (d || err.code != code)
        fail_msg("%s: %s", pattern, d ? "was taken" : err.text);
}

static void test_refused(void **state) {
    char deep[400], wide[6000];

    (void)state;
    refused("(a)\\1", ERR_UNSUPPORTED);
    refused("(?<n>a)\\k<n>", ERR_UNSUPPORTED);
    refused("(?=a)", ERR_UNSUPPORTED);
    refused("(?!a)", ERR_UNSUPPORTED);
    refused("(?<=a)b", ERR_UNSUPPORTED);
    refused("(?<!a)b", ERR_UNSUPPORTED);
    refused("(?i)a", ERR_UNSUPPORTED);
    refused("\\bword\\b", ERR_UNSUPPORTED);
    refused("\\p{L}", ERR_UNSUPPORTED);
    refused("(a", ERR_INPUT);
    refused("a)", ERR_INPUT);
    refused("[a", ERR_INPUT);
    refused("[b-a]", ERR_INPUT);
    refused("[]", ERR_INPUT);
    refused("*", ERR_INPUT);
    refused("a**", ERR_INPUT);
    refused("^*", ERR_INPUT);
    refused("a{3,2}", ERR_INPUT);
    refused("\\q", ERR_INPUT);
    refused("a\\", ERR_INPUT);
    refused("\\u12", ERR_INPUT);
    refused("^\\u0000$", ERR_INPUT); /* no text of JSON here has it */
    refused("a^b", ERR_INPUT);       /* nothing fits */
    refused("a{99999}", ERR_LIMIT);
    refused("(.*a){30}b", ERR_LIMIT);
    refused("^(a|b)*a(a|b){20}$", ERR_LIMIT);
    refused("((((a{99}){99}){99}){99}){99}", ERR_LIMIT);
    refused("(((((){4000}){4000}){4000}){4000})", ERR_LIMIT);
    memset(deep, '(', 100);
    memset(deep + 100, ')', 100);
    deep[200] = '\0';
    refused(deep, ERR_LIMIT);
    memset(wide, 'a', 5000);
    wide[5000] = '\0';
    refused(wide, ERR_LIMIT);
}

/* ---- random ones, beside the C library ---- */

static uint64_t random_state = 5;

static int pick(int count) {
    random_state = random_state * 6364136223846793005ull + 1442695040888963407u;
    return (int)((random_state >> 33) % (uint64_t)count);
}

static void random_pattern(struct bytes *out, int depth) {
    static const char *const atoms[] = {"a", "b", "[ab]", "[^a]", ".", "c"};
    static const char *const counts[] = {"*", "+", "?", "{2}", "{1,2}", "", ""};

    switch (depth > 0 ? pick(4) : 3) {
    case 0:
        random_pattern(out, depth - 1);
        random_pattern(out, depth - 1);
        break;
    case 1:
        bytes_puts(out, "(");
        random_pattern(out, depth - 1);
        bytes_puts(out, "|");
        random_pattern(out, depth - 1);
        bytes_puts(out, ")");
        break;
    case 2:
        bytes_puts(out, "(");
        random_pattern(out, depth - 1);
        bytes_puts(out, ")");
        bytes_puts(out, counts[pick(7)]);
        break;
    default:
        bytes_puts(out, atoms[pick(6)]);
        bytes_puts(out, counts[pick(7)]);
    }
}

static void compare_with_library(const char *pattern) {
    struct dfa *d = compile(pattern);
    regex_t peer;
    char text[12];

    assert_int_equal(regcomp(&peer, pattern, REG_EXTENDED | REG_NOSUB), 0);
    for (int i = 0; i < 60; i++) {
        int size = pick(8);
        bool expected;

        for (int k = 0; k < size; k++) text[k] = "abcd"[pick(4)];
        text[size] = '\0';
        expected = regexec(&peer, text, 0, NULL, 0) == 0;
        if (fits(d, text) != expected)
            fail_msg("%s: `%s` %s", pattern, text,
                     expected ? "does not fit" : "fits");
    }
    regfree(&peer);
    dfa_free(d);
}

static void test_random(void **state) {
    (void)state;
    for (int i = 0; i < 300; i++) {
        struct bytes pattern = {0};

        if (pick(2)) bytes_puts(&pattern, "^");
        random_pattern(&pattern, 4);
        if (pick(2)) bytes_puts(&pattern, "$");
        bytes_put(&pattern, (struct span){"", 1});
        compare_with_library(pattern.at);
        bytes_free(&pattern);
    }
}

/* ---- products ---- */

static void test_both(void **state) {
    struct dfa *a = compile("^[ab]{2,5}$"), *b = compile("ba"), *ab;

    (void)state;
    ab = dfa_both(a, b, NULL);
    assert_non_null(ab);
    assert_true(fits(ab, "abab"));
    assert_false(fits(ab, "aab"));
    assert_false(fits(ab, "ababab"));
    dfa_free(ab);
    dfa_free(b);
    b = compile("c");
    assert_null(dfa_both(a, b, NULL));
    dfa_free(b);
    dfa_free(a);
}

/* Characters are counted, not bytes, and what cannot come to a fitting length
 * is not begun. */
static void test_sized(void **state) {
    struct dfa *a = compile("^(\xC3\xA9|\\n|xyz)*$"), *d;
    struct err err = {0};

    (void)state;
    d = dfa_sized(a, 2, 4, NULL);
    assert_non_null(d);
    assert_true(fits(d, "\xC3\xA9\\n"));
    assert_true(fits(d, "xyz\\n"));
    assert_false(fits(d, "\xC3\xA9"));
    assert_false(fits(d, "xyzxyz"));
    assert_int_equal(dfa_step(d, 0, '"'), DFA_DEAD);
    dfa_free(d);
    d = dfa_sized(a, 3, -1, NULL);
    assert_non_null(d);
    assert_false(fits(d, "\\n\\n"));
    assert_true(fits(d, "xyzxyzxyzxyz"));
    dfa_free(d);
    assert_null(dfa_sized(a, 0, 5000, &err));
    assert_int_equal(err.code, ERR_LIMIT);
    dfa_free(a);
    a = compile("^(xyz)*$");
    assert_null(dfa_sized(a, 4, 5, &err)); /* no multiple of three */
    assert_int_equal(err.code, ERR_INPUT);
    dfa_free(a);
}

/* ---- formats ---- */

static void check_format(const char *name, const char *text, bool expected) {
    const char *pattern = format_pattern(name);

    assert_non_null(pattern);
    check(pattern, text, expected);
}

static void test_formats(void **state) {
    (void)state;
    check_format("date", "2024-02-29", true);
    check_format("date", "2000-02-29", true);
    check_format("date", "2023-02-29", false);
    check_format("date", "1900-02-29", false);
    check_format("date", "2023-04-31", false);
    check_format("date", "2023-12-31", true);
    check_format("date", "2023-13-01", false);
    check_format("time", "23:59:59Z", true);
    check_format("time", "24:00:00Z", false);
    check_format("time", "10:00:00.25+02:00", true);
    check_format("date-time", "2023-01-31T00:00:00-23:59", true);
    check_format("date-time", "2023-01-31 00:00:00Z", false);
    check_format("duration", "P1Y2M3D", true);
    check_format("duration", "P1DT2H", true);
    check_format("duration", "P", false);
    check_format("duration", "PT", false);
    check_format("email", "a.b+c@x-y.example.org", true);
    check_format("email", "a@b", false);
    check_format("email", "a@@b.c", false);
    check_format("hostname", "a-1.example", true);
    check_format("hostname", "-a.example", false);
    check_format("ipv4", "255.0.10.9", true);
    check_format("ipv4", "256.0.0.1", false);
    check_format("ipv4", "1.2.3.04", false);
    check_format("ipv6", "::1", true);
    check_format("ipv6", "2001:db8::7:8", true);
    check_format("ipv6", "1:2:3:4:5:6:7:8", true);
    check_format("ipv6", "1:2:3:4:5:6:7", false);
    check_format("ipv6", "1::2::3", false);
    check_format("uuid", "123e4567-e89b-12d3-a456-426614174000", true);
    check_format("uuid", "123e4567e89b12d3a456426614174000", false);
    check_format("uri", "https://example.org:80/a/b?c=d", true);
    check_format("uri", "no scheme", false);
    assert_null(format_pattern("color"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_found),      cmocka_unit_test(test_repeats),
        cmocka_unit_test(test_characters), cmocka_unit_test(test_refused),
        cmocka_unit_test(test_random),     cmocka_unit_test(test_both),
        cmocka_unit_test(test_sized),      cmocka_unit_test(test_formats),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
