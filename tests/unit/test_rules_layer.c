/* test_rules_layer.c - a layer of decoded text is searched where it differs
 * from the text below: all layers together must show what looking at all of
 * each in every view shows. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "guard/rules.h"
#include "odd_pieces.h"

enum { HITS = 4096, ROUNDS = 600 };

/* A pattern with a cap, which no text here matches, takes the long way. */
static struct rules *build(bool slow) {
    static const char *const words[] = {"acme corp", "acme", "caf\u00e9",
                                        "kill", "skill set"};
    struct rules_builder *b = rules_builder_new();
    struct rules *r;

    for (int i = 0; i < 5; i++)
        assert_true(rules_add_literal(b, i, span_of(words[i]), false, NULL));
    assert_true(rules_add_literal(b, 5, span_of("inner"), true, NULL));
    assert_true(rules_add_pattern(b, 6, span_of("(?i)id[ -]\\d{3,6}"), NULL));
    assert_true(rules_add_pattern(b, 7, span_of("\\bfox\\.|\\binn\\b"), NULL));
    if (slow)
        assert_true(rules_add_capped(b, 8, span_of("never"), span_of("zqzq"),
                                     100, NULL));
    r = rules_build(b, NULL);
    rules_builder_free(b);
    assert_non_null(r);
    return r;
}

static void put_piece(struct bytes *out, uint32_t *state, unsigned rare) {
    static const char *const plain[] = {
        "the ",  "Quick brown ",        "fox.\n",  "over, ", "lazy (dog) ",
        "and? ", "Plain words go on. ", "nobody;", "sees ",  "acme: \"here\" "};
    static const char *const odd[] = {
        "YWNtZSBjb3JwIGlzIGdvb2Q= ",
        "c2tpbGwgc2V0cyBh ",
        "%61%63me ",
        "acme%20corp ",
        "k i l&#108; ",
        "s k i l l%20%20s e t ",
        "a.c.m.&#101; ",
        "%20",
        "%2520",
        "&amp;#107;ill ",
        "\\u0069nner",
        "caf%C3%A9 ",
        "cafe%CC%81 ",
        "acm&#1077; ",
        "69 64 20 31 32 33 ",
        "id%20123 ",
        ".- -.-. -- . ",
        "rknzcyr npzr pbec vf n tbbq pynff bs crbcyr ",
        "emca si a doog ynapmoc fo elpoep ",
        "acme corp ",
        "4cme ",
        "k ",
        "i ",
        "l ",
        "  ",
        "inn",
        "7",
        "\n\n",
        "\t\t    \n               \n                                 ",
        "\u2019",
        "\u00c9",
        "\x80"};

    put_pieces(out, state, rare, PIECES(plain), PIECES(odd));
}

/* Which bytes each rule touches, in any layer. */
static void scan(const struct rules *r, struct span text, unsigned char *rules,
                 int *count) {
    static struct rule_hit hits[HITS];
    struct decoded d;
    int found;

    assert_true(decode_text(text, 0, &d, NULL));
    *count = 0;
    for (int k = -1; k < d.count; k++) {
        assert_true(k < 0 ? rules_scan(r, text, hits, HITS, &found, NULL)
                          : rules_scan_layer(r, &d.layers[k], 0, hits, HITS,
                                             &found, NULL));
        if (k >= 0) *count += found;
        for (int i = 0; i < found; i++)
            for (size_t at = hits[i].from; at < hits[i].end; at++)
                rules[at] |= (unsigned char)(1u << hits[i].rule);
    }
    decoded_clear(&d);
}

static void test_layers(void **state) {
    struct rules *quick = build(false), *slow = build(true);
    uint32_t random = 1;
    int fewer = 0, any = 0;

    (void)state;
    for (int round = 0; round < ROUNDS; round++) {
        struct bytes text = {.at = NULL};
        int words = 1 + (int)draw(&random, 300), a, b;
        unsigned rare = 4 + draw(&random, 100);
        unsigned char *left, *right;

        for (int i = 0; i < words; i++) put_piece(&text, &random, rare);
        left = xalloc_array(text.size, 1);
        right = xalloc_array(text.size, 1);
        scan(quick, span_bytes(&text), left, &a);
        scan(slow, span_bytes(&text), right, &b);
        for (size_t i = 0; i < text.size; i++)
            if (left[i] != right[i])
                fail_msg("byte %zu: %x, not %x, in %.*s", i, left[i], right[i],
                         (int)text.size, text.at);
        any += a > 0;
        fewer += a < b;
        free(left);
        free(right);
        bytes_free(&text);
    }
    /* Both ways were taken, and something was found on the short one. */
    assert_true(any > ROUNDS / 4);
    assert_true(fewer > ROUNDS / 4);
    rules_free(quick);
    rules_free(slow);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_layers)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
