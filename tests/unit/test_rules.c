/* test_rules.c - literals and patterns through every disguise, what a stream
 * could not enforce is refused, and what is held back is enough at every cut.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/utf8.h"
#include "guard/rules_types.h"
#include "odd_pieces.h"

enum { HITS = 512 };

struct entry {
    const char *literal, *pattern, *start;
    size_t cap;
    bool anywhere;
};

static struct rules *build(const struct entry *entries, int count) {
    struct rules_builder *b = rules_builder_new();
    struct rules *r;
    struct err err = {.code = ERR_NONE};

    for (int i = 0; i < count; i++) {
        const struct entry *e = &entries[i];
        bool ok;

        if (e->literal)
            ok =
                rules_add_literal(b, i, span_of(e->literal), e->anywhere, &err);
        else if (e->start)
            ok = rules_add_capped(b, i, span_of(e->pattern), span_of(e->start),
                                  e->cap, &err);
        else
            ok = rules_add_pattern(b, i, span_of(e->pattern), &err);
        if (!ok) fail_msg("rule %d: %s", i, err.text);
    }
    r = rules_build(b, &err);
    if (!r) fail_msg("%s", err.text);
    rules_builder_free(b);
    return r;
}

static int scan(const struct rules *r, struct span text,
                struct rule_hit *hits) {
    struct err err = {.code = ERR_NONE};
    int count = 0;

    if (!rules_scan(r, text, hits, HITS, &count, &err))
        fail_msg("%s", err.text);
    return count;
}

/* One rule; `want` is the hits' raw text, separated by '|'. */
static void check_scan(struct entry entry, const char *text, const char *want) {
    struct rules *r = build(&entry, 1);
    struct rule_hit hits[HITS];
    struct bytes out = {.at = NULL};
    int count = scan(r, span_of(text), hits);

    for (int i = 0; i < count; i++) {
        if (i) bytes_puts(&out, "|");
        bytes_put(&out, span_slice(span_of(text), hits[i].from, hits[i].end));
    }
    if (!span_is(span_bytes(&out), want))
        fail_msg("in '%s': '%.*s' instead of '%s'", text, (int)out.size,
                 out.at ? out.at : "", want);
    bytes_free(&out);
    rules_free(r);
}

/* In a long text of plain words, where one look may do for a pattern. */
static void test_capitals(void **state) {
    struct entry any = {.pattern = "(?i)ab[0-9]c"};
    struct entry cased = {.pattern = "ab[0-9]C"};
    struct entry partly = {.pattern = "(?i)ab(?-i)[0-9]C"};
    struct entry class = {.pattern = "(?i)ab(?:[0-9])[[:upper:]]"};
    static const char *const words[] = {"ab1c ", "xAB2Cx ", "p4ab3CAb4c ",
                                        "aB5\n", "(ab6C) "};
    struct bytes plain = {.at = NULL};

    (void)state;
    for (int i = 0; i < 5; i++) {
        for (int k = 0; k < 40; k++)
            bytes_puts(&plain, "So it was, they say. ");
        bytes_puts(&plain, words[i]);
    }
    bytes_puts(&plain, "end");
    bytes_put(&plain, (struct span){"", 1});
    check_scan(any, plain.at, "ab1c|AB2C|ab3C|Ab4c|ab6C");
    check_scan(cased, plain.at, "ab3C|ab6C");
    check_scan(partly, plain.at, "AB2C|ab3C|ab6C");
    check_scan(class, plain.at, "ab1c|AB2C|ab3C|Ab4c|ab6C");
    bytes_free(&plain);
}

static void test_literals(void **state) {
    struct entry acme = {.literal = "Acme Corp"};
    struct entry part = {.literal = "acme", .anywhere = true};
    struct entry han = {.literal = "\xE6\xAF\x92\xE5\x93\x81"};
    struct entry mail = {.literal = "c++"};

    (void)state;
    check_scan(acme, "the ACME corp, acme corps", "ACME corp");
    check_scan(acme, "acme\ncorp. acme   CORP", "acme\ncorp|acme   CORP");
    check_scan(acme,
               "a\xE2\x80\x8B"
               "cme corp",
               "a\xE2\x80\x8B"
               "cme corp");
    check_scan(acme,
               "\xD0\xB0"
               "cme c\xD0\xBE"
               "rp",
               "\xD0\xB0"
               "cme c\xD0\xBE"
               "rp");
    check_scan(acme,
               "(\xEF\xBC\xA1"
               "cme corp)",
               "\xEF\xBC\xA1"
               "cme corp");
    check_scan(acme, "xacme corp acme_corp acme-corp", "");
    check_scan(acme,
               "a\xCC\xB7"
               "cme corp",
               "a\xCC\xB7"
               "cme corp");
    check_scan(acme,
               "caf\xC3\xA9"
               "acme corp",
               "");
    check_scan(acme,
               "x\xE2\x80\x8B"
               "acme corp",
               "acme corp");
    check_scan(part, "xACMEx acme", "ACME|acme");
    check_scan(han, "\xE4\xB9\xB0\xE6\xAF\x92\xE5\x93\x81\xE5\x90\x97",
               "\xE6\xAF\x92\xE5\x93\x81");
    check_scan(mail, "C++ c++20 xc++", "C++|c++");
    check_scan((struct entry){.literal = "\xD0\xBA\xD0\xBB\xD1\x8E\xD1\x87"},
               "\xD0\x9A\xD0\x9B\xD0\xAE\xD0\xA7 ok",
               "\xD0\x9A\xD0\x9B\xD0\xAE\xD0\xA7");
    check_scan((struct entry){.literal = "stra\xC3\x9F"
                                         "e"},
               "STRASSE", "STRASSE");
}

static void test_patterns(void **state) {
    (void)state;
    check_scan((struct entry){.pattern = "(?i)initech\\w{0,8}"},
               "InitechXY and initech", "InitechXY|initech");
    check_scan((struct entry){.pattern = "\\bab\\b"}, "ab cab ab", "ab|ab");
    check_scan((struct entry){.pattern = "[A-Z]{3}"}, "ab ABCD", "ABC|BCD");
    check_scan((struct entry){.pattern = "secret"},
               "s\xE2\x80\x8B"
               "ecret",
               "s\xE2\x80\x8B"
               "ecret");
    check_scan((struct entry){.pattern = "a.c"},
               "a\xFF"
               "c a\xC3\xA9"
               "c",
               "a\xFF"
               "c|a\xC3\xA9"
               "c");
}

static void test_capped(void **state) {
    static const struct entry word = {
        .pattern = "x\\w*", .start = "x", .cap = 4};
    static const struct entry ends = {
        .pattern = "a.*b", .start = "a", .cap = 6};
    static const struct entry wide = {
        .pattern = "(?i)key[: ]+\\S+", .start = "(?i)key[: ]{1,3}", .cap = 20};

    (void)state;
    check_scan(word, "xabcdefg xa", "xabc|xa");
    check_scan(word, "xxa", "xxa|xa");
    /* The leftmost start is too far away; a later one is not. */
    check_scan(ends, "a........a...b..b", "a...b");
    check_scan(ends, "a.........b", "");
    check_scan(ends, "a...b..b", "a...b");
    /* Six bytes are fewer letters elsewhere, and end between two of them. */
    check_scan(ends,
               "a\xC3\xA9\xC3\xA9"
               "b",
               "a\xC3\xA9\xC3\xA9"
               "b");
    check_scan(ends,
               "a\xC3\xA9\xC3\xA9\xC3\xA9"
               "b",
               "");
    check_scan(wide, "the KEY:  abc de, key x", "KEY:  abc|key x");
    check_scan(wide, "keys: abc", "");
    /* The start alone, or the pattern alone, is nothing. */
    check_scan((struct entry){.pattern = "ab+", .start = "ax", .cap = 9},
               "abb axbb", "");
    check_scan((struct entry){.pattern = "ab\\b", .start = "a", .cap = 2},
               "abc ab", "ab");
}

/* Bytes wait from a start on, and only as far as it may run. */
static void test_capped_hold(void **state) {
    static const struct entry secret = {
        .pattern = "secret:.*", .start = "secret:", .cap = 100};
    struct rules *r = build(&secret, 1);
    struct bytes text = {0};
    size_t before;

    (void)state;
    bytes_puts(&text, "A word or two about nothing. ");
    before = text.size;
    assert_in_range(rules_hold(r, span_bytes(&text)),
                    before - strlen("secret:") - 4, before);
    bytes_puts(&text, "secret:");
    while (text.size < before + 100) {
        assert_in_range(rules_hold(r, span_bytes(&text)), before - 4, before);
        bytes_puts(&text, "x");
    }
    bytes_puts(&text, " and more");
    assert_in_range(rules_hold(r, span_bytes(&text)), text.size - 20,
                    text.size);
    bytes_free(&text);
    rules_free(r);
}

/* A start in every place: refused, not slow. */
static void test_capped_flood(void **state) {
    static const struct entry any = {
        .pattern = "a[ab]*", .start = "a", .cap = 1000};
    struct rules *r = build(&any, 1);
    struct rule_hit hits[HITS];
    struct bytes text = {0};
    struct err err = {.code = ERR_NONE};
    int count;

    (void)state;
    while (text.size < RULES_STARTS_MAX) bytes_puts(&text, "a");
    assert_true(rules_scan(r, span_bytes(&text), hits, HITS, &count, &err));
    bytes_puts(&text, "a");
    assert_false(rules_scan(r, span_bytes(&text), hits, HITS, &count, &err));
    assert_int_equal(err.code, ERR_LIMIT);
    assert_int_equal(rules_hold(r, span_bytes(&text)), 0);
    bytes_free(&text);
    rules_free(r);
}

static void check_refused(const char *literal, const char *pattern, size_t cap,
                          const char *word) {
    struct rules_builder *b = rules_builder_new();
    struct err err = {.code = ERR_NONE};

    if (literal)
        assert_false(rules_add_literal(b, 0, span_of(literal), false, &err));
    else if (cap)
        assert_false(
            rules_add_capped(b, 0, span_of(pattern), span_of("a"), cap, &err));
    else
        assert_false(rules_add_pattern(b, 0, span_of(pattern), &err));
    if (!strstr(err.text, word)) fail_msg("'%s' has no '%s'", err.text, word);
    rules_builder_free(b);
}

static void check_refused_start(const char *start) {
    struct rules_builder *b = rules_builder_new();

    assert_false(
        rules_add_capped(b, 0, span_of("ab+"), span_of(start), 9, NULL));
    rules_builder_free(b);
}

static void test_refused(void **state) {
    char *large = xalloc(RULES_PATTERN_MAX + 2);

    (void)state;
    check_refused("", NULL, 0, "nothing");
    check_refused(" \xE2\x80\x8B ", NULL, 0, "nothing");
    check_refused("a\xFF", NULL, 0, "UTF-8");
    check_refused(NULL, "", 0, "empty");
    check_refused(NULL, "a*", 0, "empty");
    check_refused(NULL, "a(", 0, "refused");
    check_refused(NULL, "(a)\\1", 0, "refused");
    check_refused(NULL, "ab+", 0, "cap");
    check_refused(NULL, "a.{0,2000}", 0, "cap");
    check_refused(NULL, "ab+", RULES_WIDTH_MAX + 1, "cap");
    check_refused(NULL, "a*", 9, "empty");
    check_refused(NULL, "ab$", 9, "$");
    check_refused_start("a+");
    check_refused_start("");
    check_refused_start("^a");
    check_refused(NULL, "^ab", 0, "^");
    check_refused(NULL, "ab$", 0, "$");
    check_refused(NULL, "\\Aab", 0, "\\A");
    memset(large, 'a', RULES_PATTERN_MAX + 1);
    check_refused(NULL, large, 0, "at most");
    check_refused(large, NULL, 0, "at most");
    free(large);
    check_scan((struct entry){.pattern = "[$^]\\^\\$x"}, "$^$x ^^$x",
               "$^$x|^^$x");
}

static void test_many(void **state) {
    struct rules_builder *b = rules_builder_new();
    struct rule_hit hits[4];
    struct err err;
    struct rules *r;
    char word[32];
    int count;

    (void)state;
    for (int i = 0; i < 10000; i++) {
        (void)snprintf(word, sizeof word, "word number %d", i);
        assert_true(rules_add_literal(b, i, span_of(word), false, &err));
    }
    r = rules_build(b, &err);
    assert_non_null(r);
    rules_builder_free(b);
    assert_true(rules_scan(r, span_of("a Word number 7312, word number 10000"),
                           hits, 4, &count, &err));
    assert_int_equal(count, 1);
    assert_int_equal(hits[0].rule, 7312);
    assert_int_equal(rules_hold(r, span_of("a word num")), 2);
    assert_int_equal(rules_hold(r, span_of("a sword num")), 11);
    rules_free(r);
}

/* No hit that begins before the mark is missing from, or shorter in, what was
 * found in the prefix; and none found there vanishes. */
static void check_cuts(const struct rules *r, struct span text) {
    static struct rule_hit whole[HITS], part[HITS];
    int all = scan(r, text, whole);

    for (size_t cut = 0; cut <= text.size; cut++) {
        struct span head = span_slice(text, 0, cut);
        int some = scan(r, head, part), i;
        size_t hold = rules_hold(r, head);

        assert_true(hold <= cut);
        for (i = 0; i < all && whole[i].from < hold; i++)
            if (i >= some || part[i].from != whole[i].from ||
                part[i].end != whole[i].end || part[i].rule != whole[i].rule)
                fail_msg("'%.*s' cut at %zu, held from %zu: rule %d [%zu, %zu)",
                         (int)text.size, text.at, cut, hold, whole[i].rule,
                         whole[i].from, whole[i].end);
        if (i < some && part[i].from < hold)
            fail_msg("'%.*s' cut at %zu, held from %zu: a match that was none "
                     "[%zu, %zu)",
                     (int)text.size, text.at, cut, hold, part[i].from,
                     part[i].end);
    }
}

static const char *const pieces[] = {"acme",
                                     "Acme corp",
                                     "a",
                                     "ac",
                                     " ",
                                     "\n",
                                     "  ",
                                     "paypal",
                                     "pa",
                                     "y",
                                     "e",
                                     "x",
                                     "-",
                                     "\xE2\x80\x8B",
                                     "\xCC\x81",
                                     "\xCC\xB7",
                                     "_",
                                     "c++",
                                     "p\xD0\xB0y",
                                     "\xD0\xB0",
                                     "\xD1\x80",
                                     "\xD0\xBB",
                                     "1",
                                     "12",
                                     "\xEF\xBC\xA1",
                                     "caf\xC3\xA9",
                                     "cafe",
                                     "\xFF",
                                     "b",
                                     "ab",
                                     "\xD1\x81\xD0\xBE\xD1\x80",
                                     "\xE6\xAF\x92",
                                     "\xE5\x93\x81",
                                     "zz"};

static void check_random(const struct entry *entries, int count, uint32_t seed,
                         int rounds) {
    struct rules *r = build(entries, count);
    char text[256];

    for (int round = 0; round < rounds; round++) {
        size_t size = 0;

        for (int i = 0; i < 12; i++) {
            const char *piece;

            seed = seed * 1664525u + 1013904223u;
            piece = pieces[(seed >> 8) % (sizeof pieces / sizeof *pieces)];
            memcpy(text + size, piece, strlen(piece));
            size += strlen(piece);
        }
        check_cuts(r, (struct span){text, size});
    }
    rules_free(r);
}

static void test_literal_cuts(void **state) {
    static const struct entry ascii[] = {{.literal = "acme"},
                                         {.literal = "acme corp"},
                                         {.literal = "paypal"},
                                         {.literal = "ac", .anywhere = true},
                                         {.literal = "y e", .anywhere = true},
                                         {.literal = "c++"},
                                         {.literal = "cope"}};
    static const struct entry foreign[] = {
        {.literal = "caf\xC3\xA9"},
        {.literal = "\xD1\x81\xD0\xBE\xD1\x80"},
        {.literal = "\xC3\xA9 a", .anywhere = true},
        {.literal = "\xE6\xAF\x92\xE5\x93\x81"},
        {.literal = "pay"}};

    (void)state;
    check_random(ascii, 7, 1, 400);
    check_random(foreign, 5, 2, 400);
}

static void test_pattern_cuts(void **state) {
    static const struct entry entries[] = {
        {.pattern = "\\ba\\w{1,3}\\b"},
        {.pattern = "a.{0,4}e"},
        {.pattern = "a.*b", .start = "a", .cap = 7},
        {.pattern = "c+[a-d]*", .start = "c{1,3}", .cap = 5},
        {.pattern = "\\d{2}[ -]?[a-z]"}};

    (void)state;
    check_random(entries, 4, 5, 400);
}

/* A sign at the end parts two letters, or is one in a word to come. */
static void test_sign_cuts(void **state) {
    static const char signs[] = "aktcj++::.1 -";
    static const struct entry entries[] = {{.literal = "t", .anywhere = true},
                                           {.literal = "atk"},
                                           {.literal = "cat", .anywhere = true},
                                           {.literal = "kick"}};
    struct rules *r = build(entries, 1);
    uint32_t seed = 7;
    char text[12];

    (void)state;
    check_cuts(r, span_of(":a+k j"));
    assert_in_range(rules_hold(r, span_of(":a+")), 0, 2);
    rules_free(r);
    r = build(entries, 4);
    for (int round = 0; round < 3000; round++) {
        for (size_t i = 0; i < sizeof text; i++) {
            seed = seed * 1664525u + 1013904223u;
            text[i] = signs[(seed >> 8) % (sizeof signs - 1)];
        }
        check_cuts(r, (struct span){text, sizeof text});
    }
    rules_free(r);
}

/* A literal costs no delay where none has begun. */
static void test_no_delay(void **state) {
    struct entry entry = {.literal = "zebra"};
    struct rules *r = build(&entry, 1);

    (void)state;
    assert_int_equal(rules_hold(r, span_of("The quick brown fox")), 19);
    assert_int_equal(rules_hold(r, span_of("The ze")), 4);
    assert_int_equal(rules_hold(r, span_of("The xze")), 7);
    assert_int_equal(rules_hold(r, span_of("The zebra")), 4);
    assert_int_equal(rules_hold(r, span_of("The zebra ")), 10);
    assert_int_equal(rules_hold(r, span_of("\xD0\x9F\xD1\x80 ze")), 5);
    assert_int_equal(rules_hold(r, span_of("")), 0);
    assert_int_equal(rules_hold(r, span_of("abc\xE2\x80")), 3);
    rules_free(r);
}

/* ---- plain text, and the odd stretches in it ---- */

/* Words that rules look for, whole or in parts, disguised in every way, among
 * enough plain ones that the plain way is taken. */
static void put_piece(struct bytes *out, uint32_t *state, unsigned rare) {
    static const char *const plain[] = {
        "the ",  "Quick brown ",        "fox.\n",  "over, ", "lazy (dog) ",
        "and? ", "Plain words go on. ", "nobody;", "sees ",  "it: \"here\" "};
    static const char *const odd[] = {"acme",
                                      "ACME",
                                      "corp ",
                                      "Acme Corp ",
                                      "acme  corp ",
                                      "acme\ncorp ",
                                      "4cme corp ",
                                      "a.c.m.e c.o.r.p ",
                                      "a c m e ",
                                      "acm\u0435 ",
                                      "caf",
                                      "cafe",
                                      "\u0301",
                                      "caf\u00e9 ",
                                      "inn",
                                      "er ",
                                      "no-inner-word ",
                                      "7",
                                      "3rd ",
                                      "$5 ",
                                      "!",
                                      "wow!! ",
                                      "\t",
                                      "\r\n",
                                      "  ",
                                      "\u200b",
                                      "id 123 ",
                                      "ID-4567",
                                      "x",
                                      "I a ",
                                      "-",
                                      "initech12 ",
                                      "\u00a0",
                                      "\x80",
                                      "caf\xc3",
                                      "\U0001F600 ",
                                      "k.i.l.l ",
                                      "k1ll ",
                                      "kill ",
                                      "\u2019",
                                      "\u201cacme\u201d ",
                                      "\u2018\u00e9",
                                      "CAF\u00c9 ",
                                      "\u00e9 ",
                                      "\u00df",
                                      "\u00d7",
                                      "\n\n",
                                      " \v\f  \t\t   \n     \n        ",
                                      "acme                                 "
                                      "                                      "
                                      "                               corp "};

    put_pieces(out, state, rare, PIECES(plain), PIECES(odd));
}

/* Looking at the odd stretches apart must find what looking at all of the text
 * in every view finds: a rule that no text here matches, but that wants every
 * view, makes the second set take the long way. */
static void test_plain_way(void **state) {
    const struct entry entries[] = {
        {.literal = "acme corp"},
        {.literal = "acme"},
        {.literal = "inner", .anywhere = true},
        {.literal = "caf\u00e9"},
        {.literal = "cafe"},
        {.literal = "kill"},
        {.pattern = "(?i)id[ -]\\d{3,6}"},
        {.pattern = "[A-Z][a-z]{3,8} [a-z]{1,9}n "},
        {.pattern = "\\bfox\\.|\\binn\\b"},
        {.pattern = "initech\\w{0,8}"},
        {.pattern = "never", .start = "zqzq", .cap = 100}};
    enum { COUNT = sizeof entries / sizeof *entries };
    struct rules *quick = build(entries, COUNT - 1);
    struct rules *slow = build(entries, COUNT);
    struct rule_hit a[HITS], b[HITS];
    uint32_t random = 1;
    long hits = 0;

    (void)state;
    for (int round = 0; round < 3000; round++) {
        struct bytes text = {.at = NULL};
        int words = (int)draw(&random, 300), left, right;
        unsigned rare = 8 + draw(&random, 60);

        for (int i = 0; i < words; i++) put_piece(&text, &random, rare);
        left = scan(quick, span_bytes(&text), a);
        right = scan(slow, span_bytes(&text), b);
        for (int i = 0; i < left || i < right; i++)
            if (left != right || a[i].rule != b[i].rule ||
                a[i].from != b[i].from || a[i].end != b[i].end)
                fail_msg("hit %d of %d and %d in %s: rule %d at %zu..%zu, not "
                         "%d at %zu..%zu",
                         i, left, right, text.at, a[i].rule, a[i].from,
                         a[i].end, b[i].rule, b[i].from, b[i].end);
        hits += left;
        bytes_free(&text);
    }
    assert_true(hits > 3000);
    rules_free(quick);
    rules_free(slow);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_literals),
                                       cmocka_unit_test(test_capitals),
                                       cmocka_unit_test(test_patterns),
                                       cmocka_unit_test(test_capped),
                                       cmocka_unit_test(test_capped_hold),
                                       cmocka_unit_test(test_capped_flood),
                                       cmocka_unit_test(test_refused),
                                       cmocka_unit_test(test_many),
                                       cmocka_unit_test(test_literal_cuts),
                                       cmocka_unit_test(test_pattern_cuts),
                                       cmocka_unit_test(test_sign_cuts),
                                       cmocka_unit_test(test_no_delay),
                                       cmocka_unit_test(test_plain_way)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
