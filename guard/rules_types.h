/* rules_types.h - what rules.c (building), rules_scan.c (finding, holding) and
 * rules_capped.c (matches that begin with a start) share. */
#ifndef CORRAL_GUARD_RULES_TYPES_H
#define CORRAL_GUARD_RULES_TYPES_H

#include "guard/rules.h"
#include "guard/text.h"

struct hs_database; /* Hyperscan's */
struct scratch_shelf;

struct literal {
    char *text; /* folded, blanks as single spaces */
    size_t size;
    int rule;
    bool anywhere;
};

/* What is looked for in a text is `text`: the pattern itself, or with a cap its
 * start, from where `run` is asked how far it goes. */
struct pattern {
    char *text; /* NUL-terminated */
    int rule;
    bool caseless;           /* capitals make no difference to it anywhere */
    size_t narrowest, width; /* the shortest and longest match of `text` */
    size_t cap;              /* 0: none */
    char *run_text;          /* "^(?:PATTERN)" */
    struct hs_database *run; /* with RUN_START and RUN_PATTERN */
};

/* Of a match that ends at `end`: hs_scan()'s callback. */
typedef int rules_match(unsigned id, unsigned long long from,
                        unsigned long long end, unsigned flags, void *user);

enum { RUN_START, RUN_PATTERN };

struct rules {
    struct literal *literals;
    int literal_count;
    struct pattern *patterns;
    int pattern_count;
    struct hs_database *literal_db, *pattern_db; /* NULL when there are none */
    struct scratch_shelf *scratch;
    /* Sorted by text, for rules_hold(): indices of the literals. */
    int *whole, *anywhere;
    int whole_count, anywhere_count;
    size_t longest; /* of the literals */
    size_t widest;  /* of the patterns' texts, 0 when there are none */
    bool any_capped;
    bool any_cased;   /* a pattern that is not caseless */
    bool any_foreign; /* a literal has letters beyond ASCII */
};

enum {
    /* Starts of capped patterns in one text. */
    RULES_STARTS_MAX = 4096,
    /* A pattern may look at one code point beside its match. */
    RULES_BESIDE = 4
};

/* Where matches of capped patterns may begin, in any order, some twice. */
struct starts {
    struct start {
        int pattern; /* its index */
        size_t at;
    } * list;
    int count, capacity;
};

/* Pattern `index` has matched text[from..end), or more before: it may begin
 * anywhere up to its narrowest. False when there are too many. */
MUST_USE bool starts_put(struct starts *s, const struct rules *r, int index,
                         struct span text, size_t from, size_t end);
/* In order, each once; false with ERR_LIMIT past RULES_STARTS_MAX. */
MUST_USE bool starts_settle(struct starts *s, struct err *err);
void starts_free(struct starts *s);
/* The longest match of the start's pattern from there: *end, or start->at when
 * there is none. */
MUST_USE bool start_run(const struct rules *r, const struct start *start,
                        struct span text, size_t *end, struct err *err);
/* The first start in valid UTF-8 whose match may yet change when more follows
 * text[0..settled), or `settled`; 0 when the search failed. Those before
 * `from` do not count. */
size_t rules_hold_starts(const struct rules *r, struct span text, size_t from,
                         size_t settled);

/* hs_scan() in block mode, and what it returns; HS_INVALID past 4 GiB. */
int rules_run(const struct rules *r, struct hs_database *db, struct span text,
              rules_match *on_match, void *user);

/* The same of a text that has PLAIN_MARGIN bytes on both sides (plain.h). */
int rules_run_within(const struct rules *r, struct hs_database *db,
                     struct span text, rules_match *on_match, void *user);

/* May a whole word begin or end at byte `at` of the view. */
bool rules_word_edge(const struct text_view *v, size_t at);
/* Line ends are blanks to a literal. `out` may be where the text is. */
void rules_flatten(struct span text, char *out);

#endif
