/* test_plain_kind.c - letters beyond ASCII that count as plain: each is what
 * text_fold() makes of it, and looking at plain text once finds what looking at
 * it in every view finds, whatever the script. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/utf8.h"
#include "guard/odd.h"
#include "guard/plain.h"
#include "guard/plain_kind.h"
#include "guard/rules.h"
#include "guard/text.h"
#include "odd_pieces.h"

enum { HITS = 4096, ROUNDS = 1500, BESIDE = 80 /* bytes */, LAST = 0x10FFFF };

/* A text without an odd stretch: its plain view is its folded one. */
static void check_view(struct span text) {
    struct text_view folded;
    struct plain plain;

    assert_true(text_fold(text, &folded, NULL));
    plain_init(&plain, text);
    assert_int_equal(plain.size, folded.text.size);
    assert_memory_equal(plain.text, folded.text.at, plain.size);
    for (size_t i = 0; i < plain.size; i++) {
        size_t from = i, end = i + 1, raw_from, raw_end;

        while (from && utf8_inside(span_bytes(&folded.text), from)) from--;
        while (utf8_inside(span_bytes(&folded.text), end)) end++;
        text_view_span(&folded, from, end, &raw_from, &raw_end);
        plain_raw_span(&plain, &from, &end);
        assert_int_equal(from, raw_from);
        assert_int_equal(end, raw_end);
    }
    assert_false(folded.mapped);
    plain_clear(&plain);
    text_view_clear(&folded);
}

/* `point` between neighbours of other kinds, when that is nothing odd. */
static int check_beside(uint32_t point, const char *before, const char *after) {
    char room[64] = "";
    struct stretches odd = {NULL, 0, 0, 0};
    struct bytes text = {.at = NULL};
    bool is_plain;

    (void)utf8_encode(point, room);
    bytes_puts(&text, before);
    bytes_puts(&text, room);
    bytes_puts(&text, after);
    odd_stretches(span_bytes(&text), &odd);
    is_plain = odd.count == 0;
    if (is_plain) check_view(span_bytes(&text));
    odd_free(&odd);
    bytes_free(&text);
    return is_plain;
}

static void test_points(void **state) {
    static const char *const beside[][2] = {
        {"", ""},
        {"so ", " it"},
        {"b", "d"},
        {"\u0431", "\u0436"},
        {"\u0915", "\u0915"},
        {"\u0928", "\u093C"},
        {"\u0e01", "\u0e48"},
        {"\u0e01\u0e38", "\u0e48"},
        {"\u4e00", "\uFF0C"},
        {"\u0915\u093C", "\u094D\u0915"},
        {"\u0436", "\u093C"},
    };
    int plain = 0;

    (void)state;
    for (uint32_t point = 0x80; point <= LAST; point++) {
        if (point >= 0xD800 && point < 0xE000) continue;
        for (size_t i = 0; i < sizeof beside / sizeof *beside; i++)
            plain += check_beside(point, beside[i][0], beside[i][1]);
        if (point == 0xFFFF) point = LAST - 1000; /* none of the rest is */
    }
    assert_true(plain > 300000);
}

/* The class that a point has for words is ICU's. */
static void test_words(void **state) {
    (void)state;
    for (uint32_t point = 0x80; point <= 0xFFFF; point++) {
        char room[8] = "";
        size_t size;
        const struct plain_kind *kind;

        if (point >= 0xD800 && point < 0xE000) continue;
        size = utf8_encode(point, room);
        kind = plain_kind_at((struct span){room, size}, 0, &size);
        if (!kind->plain || kind->narrow) continue;
        assert_int_equal(size, strlen(room));
        assert_int_equal(kind->word, text_is_word_point(point));
    }
}

static const char *const words[] = {"\u044f\u0434",
                                    "\u0441\u043e\u0440\u043e\u043a",
                                    "\u0431\u043e\u043c\u0431\u0430",
                                    "\u0441\u0430\u0445\u0430\u0440",
                                    "\u03b4\u03c1\u03cc\u03bc\u03bf\u03c3",
                                    "\u092c\u093e\u091c\u093c\u093e\u0930",
                                    "\u0915\u094d\u092f\u093e",
                                    "\u0e15\u0e25\u0e32\u0e14",
                                    "\u5e02\u573a",
                                    "\u30e1\u30fc\u30eb",
                                    "stra\u00dfe",
                                    "\u0142\u0105ka zielona",
                                    "\u0627\u0644\u0633\u0648\u0642",
                                    "cope",
                                    "\u00fcber"};
enum { WORDS = sizeof words / sizeof *words };

/* A pattern with a cap, which no text here matches, takes the long way. */
static struct rules *build(bool slow) {
    static const char *const patterns[] = {"\u0431.{1,3}\u0430",
                                           "(?i)n[\u00e4\u00e5]r \\d{2}",
                                           "\u0915.",
                                           ".\u0e48",
                                           "[\u4e00-\u9fff]{2},",
                                           "(?i)[a-z]{2}\u0142"};
    struct rules_builder *b = rules_builder_new();
    struct rules *r;
    int rule = 0;

    for (int i = 0; i < 2 * WORDS; i++)
        assert_true(
            rules_add_literal(b, rule++, span_of(words[i / 2]), i % 2, NULL));
    for (size_t i = 0; i < sizeof patterns / sizeof *patterns; i++)
        assert_true(rules_add_pattern(b, rule++, span_of(patterns[i]), NULL));
    if (slow)
        assert_true(rules_add_capped(b, rule, span_of("never"), span_of("zqzq"),
                                     100, NULL));
    r = rules_build(b, NULL);
    rules_builder_free(b);
    assert_non_null(r);
    return r;
}

static void put_piece(struct bytes *out, uint32_t *state, unsigned rare) {
    static const char *const plain[] = {
        "the ",
        "na\u00df ",
        "ja\u2026 ",
        "\u2014 ",
        "\u042f \u0434 ",
        "\u042f\u0434. ",
        "\u0411\u041e\u041c\u0411\u0410 ",
        "\u0434\u043e\u043c ",
        "\u0391\u0393\u03a9\u039d ",
        "\u0939\u0948\u0964 ",
        "\u0915\u094d\u092f\u093e ",
        "\u092c\u093e\u091c\u093c\u093e\u0930, ",
        "\u0e15\u0e25\u0e32\u0e14\u0e48 ",
        "\u5e02\u573a\uff0c",
        "\u3002\n",
        "\u30e1\u30fc\u30eb",
        "\u0141\u0105ka ",
        "zielona ",
        "na\u00efve ",
        "\u201e\u00fcber\u201c ",
        "\u0627\u0644\u0633\u0648\u0642 ",
        "n\u00c5r 12 "};
    static const char *const odd[] = {"\u0441\u043e\u0440 ",
                                      "c\u043ep\u0435 ",
                                      "\u0441",
                                      "a",
                                      "\u0430",
                                      "1",
                                      "\u00df",
                                      "\u2026",
                                      "\u2013",
                                      "\u1e9e",
                                      "\u0301",
                                      "\u200b",
                                      "\u093c",
                                      "\u094d",
                                      "\u0928",
                                      "\u0928\u093c",
                                      "\u0e48",
                                      "\u0e38",
                                      "\u0e33",
                                      "\uff21",
                                      "\uff01",
                                      "\uff1a",
                                      "\uff08",
                                      "!",
                                      "\u3000",
                                      "\u2014",
                                      "\u03c2 ",
                                      "\u03b4\u03c1\u03cc\u03bc\u03bf\u03c2 ",
                                      "\u0410",
                                      "\u0435\u0308",
                                      "\u0451",
                                      "\u0421\u041e\u0420\u041e\u041a ",
                                      "\u064e",
                                      "\u0651\u064e",
                                      "\u044f.\u0434. ",
                                      "\u5e02 \u573a ",
                                      "-",
                                      "\x80",
                                      "\xd0",
                                      "\xe0\xa4",
                                      " ",
                                      "\n",
                                      "\u00a0",
                                      "4",
                                      "\u0e01",
                                      "_",
                                      "\u0441\u0430\u0445",
                                      "\u0430\u0440",
                                      "stra",
                                      "sse ",
                                      "\u00b9"};

    put_pieces(out, state, rare, PIECES(plain), PIECES(odd));
}

static void test_plain_way(void **state) {
    static struct rule_hit a[HITS], b[HITS];
    struct rules *quick = build(false), *slow = build(true);
    uint32_t random = 7;
    long hits = 0;

    (void)state;
    for (int round = 0; round < ROUNDS; round++) {
        struct bytes text = {.at = NULL};
        int count = (int)draw(&random, 300), left, right;
        unsigned rare = 6 + draw(&random, 100);

        for (int i = 0; i < count; i++) put_piece(&text, &random, rare);
        assert_true(rules_scan(quick, span_bytes(&text), a, HITS, &left, NULL));
        assert_true(rules_scan(slow, span_bytes(&text), b, HITS, &right, NULL));
        for (int i = 0; i < left || i < right; i++)
            if (i == left || i == right || a[i].rule != b[i].rule ||
                a[i].from != b[i].from || a[i].end != b[i].end)
                fail_msg("hit %d of %d and %d: rule %d at %zu..%zu, not "
                         "%d at %zu..%zu near '%.*s'",
                         i, left, right, a[i].rule, a[i].from, a[i].end,
                         b[i].rule, b[i].from, b[i].end, BESIDE,
                         text.at + (b[i].from > BESIDE / 2
                                        ? b[i].from - BESIDE / 2
                                        : 0));
        hits += left;
        bytes_free(&text);
    }
    assert_true(hits > 10L * ROUNDS);
    rules_free(quick);
    rules_free(slow);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_points),
                                       cmocka_unit_test(test_words),
                                       cmocka_unit_test(test_plain_way)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
