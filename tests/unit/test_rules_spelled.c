/* test_rules_spelled.c - program text and the like, where every other word is
 * spelled as if its signs stood for letters: looking at all of it once more as
 * it may be read finds what looking at it in every view finds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "guard/odd.h"
#include "guard/rules.h"
#include "odd_pieces.h"

enum { HITS = 4096, ROUNDS = 1500, BESIDE = 80 /* bytes */ };

static const char *const words[] = {"kill",    "ill",  "still",  "acme corp",
                                    "tall",    "aces", "int8_t", "caf\u00e9",
                                    "oil rig", "i + 1"};
enum { WORDS = sizeof words / sizeof *words };

/* A pattern with a cap, which no text here matches, takes the long way. */
static struct rules *build(bool slow) {
    static const char *const patterns[] = {"(?i)k[a-z]ll.", "\\b[a-z]{3}\\d",
                                           "[Aa]c.{2}", "ll\\s\\w"};
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
        "k1ll ",  "K!LL",  "(!ok) ", "int8_t ",  "i + 1", "a[i][1] ",  "4cme\n",
        "corp ",  "c0rp",  "(x|y) ", "a, b, c;", "->",    "  ",        "\n\t",
        "$a1l ",  "0x1F ", "st1ll",  "1ll ",     "@ces ", "t@ll!",     "o1l",
        " r1g. ", "if (",  "x = ",   "n-1 ",     "a.b ",  "caf\u00e9", "11|1"};
    static const char *const odd[] = {
        "k.1.l.l ",  "k i l l ", "\u200b", "\uff4b1ll ", "\xff",
        "a b\nc d ", "k i\nl l", "i l-l ", "\u0430",     "k 1  l l "};

    put_pieces(out, state, rare, PIECES(plain), PIECES(odd));
}

static void test_spelled(void **state) {
    static struct rule_hit a[HITS], b[HITS];
    struct rules *quick = build(false), *slow = build(true);
    uint32_t random = 3;
    long hits = 0;

    (void)state;
    for (int round = 0; round < ROUNDS; round++) {
        struct bytes text = {.at = NULL};
        int count = (int)draw(&random, 300), left, right;
        unsigned rare = 10 + draw(&random, 3000);

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
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_spelled)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
