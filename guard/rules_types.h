/* rules_types.h - what rules.c (building, holding) and rules_scan.c (finding)
 * share. */
#ifndef CORRAL_GUARD_RULES_TYPES_H
#define CORRAL_GUARD_RULES_TYPES_H

#include "guard/rules.h"
#include "guard/text.h"

struct hs_database; /* Hyperscan's */
struct hs_scratch;

struct literal {
    char *text; /* folded, blanks as single spaces */
    size_t size;
    int rule;
    bool anywhere;
};

struct pattern {
    char *text; /* NUL-terminated */
    int rule;
    size_t width; /* the longest match in bytes that counts */
    bool capped;  /* it could match more, which then does not count */
};

struct rules {
    struct literal *literals;
    int literal_count;
    struct pattern *patterns;
    int pattern_count;
    struct hs_database *literal_db, *pattern_db; /* NULL when there are none */
    struct hs_scratch *scratch;
    /* Sorted by text, for rules_hold(): indices of the literals. */
    int *whole, *anywhere;
    int whole_count, anywhere_count;
    size_t longest; /* of the literals */
    size_t widest;  /* of the patterns, 0 when there are none */
    bool any_capped;
    bool any_foreign; /* a literal has letters beyond ASCII */
};

/* May a whole word begin or end at byte `at` of the view. */
bool rules_word_edge(const struct text_view *v, size_t at);
/* Line ends are blanks to a literal. */
void rules_flatten(struct span text, char *out);

#endif
