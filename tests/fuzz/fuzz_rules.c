/* fuzz_rules.c - up to the first NUL a rule (a literal, a pattern after a
 * slash, or behind a '+' a start, a slash and its pattern), behind it a text:
 * nothing that was decided in a half of the text changes in the whole. */
#include <stdlib.h>
#include <string.h>

#include "guard/rules.h"

enum { HITS = 4096, PATTERN_MAX = 64 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool add_capped(struct rules_builder *b, struct span rule) {
    size_t slash = span_find(rule, span_of("/"));

    return slash != SIZE_MAX &&
           rules_add_capped(b, 0, span_slice(rule, slash + 1, rule.size),
                            span_slice(rule, 0, slash), 1 + rule.size, NULL);
}

static struct rules *build(struct span rule) {
    struct rules_builder *b = rules_builder_new();
    struct rules *r = NULL;
    bool ok;

    if (rule.size && rule.at[0] == '+')
        ok = add_capped(b, span_slice(rule, 1, rule.size));
    else if (rule.size && rule.at[0] == '/')
        ok = rules_add_pattern(b, 0, span_slice(rule, 1, rule.size), NULL);
    else
        ok = rules_add_literal(b, 0, rule, rule.size % 2, NULL);
    if (ok) r = rules_build(b, NULL);
    rules_builder_free(b);
    return r;
}

static void check(const struct rules *r, struct span text) {
    static struct rule_hit whole[HITS], part[HITS];
    struct span head = span_slice(text, 0, text.size / 2);
    int all, some, i;
    size_t hold = rules_hold(r, head);

    if (hold > head.size) abort();
    if (!rules_scan(r, text, whole, HITS, &all, NULL) || all == HITS) return;
    if (!rules_scan(r, head, part, HITS, &some, NULL)) return;
    for (i = 0; i < all && whole[i].from < hold; i++)
        if (i >= some || part[i].from != whole[i].from ||
            part[i].end != whole[i].end)
            abort();
    if (i < some && part[i].from < hold) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const uint8_t *end = size ? memchr(data, 0, size) : NULL;
    struct span rule = {(const char *)data, 0};
    struct rules *r;

    /* Long patterns only make the compiler slow. */
    if (!end || end - data > PATTERN_MAX) return 0;
    rule.size = (size_t)(end - data);
    r = build(rule);
    if (!r) return 0;
    check(r, (struct span){(const char *)end + 1, size - rule.size - 1});
    rules_free(r);
    return 0;
}
