/* rules.h - many literals and patterns, found in one linear pass over the raw
 * text and over its folded views (text.h). Immutable once compiled: any number
 * of threads may scan at once. */
#ifndef CORRAL_GUARD_RULES_H
#define CORRAL_GUARD_RULES_H

#include "guard/decode.h"

enum {
    RULES_MAX = 50000,
    RULES_LITERAL_MAX = 1024, /* bytes of a literal */
    RULES_PATTERN_MAX = 4096, /* bytes of a pattern */
    RULES_WIDTH_MAX = 1024    /* the longest match of a pattern, in bytes */
};

struct rules;
struct rules_builder;

struct rule_hit {
    int rule;         /* the number given to rules_add_*() */
    size_t from, end; /* raw bytes */
};

struct rules_builder *rules_builder_new(void);
void rules_builder_free(struct rules_builder *b);
/* A literal matches any case, whole words unless `anywhere`, and in folded
 * text too. */
MUST_USE bool rules_add_literal(struct rules_builder *b, int rule,
                                struct span text, bool anywhere,
                                struct err *err);
/* A pattern in Hyperscan's syntax: no back-references, and \w and \b know
 * the letters of ASCII only, but `.` is any code point. Its match must be
 * bounded by RULES_WIDTH_MAX: refused otherwise, as a stream could not enforce
 * it. */
MUST_USE bool rules_add_pattern(struct rules_builder *b, int rule,
                                struct span pattern, struct err *err);
/* A pattern whose matches begin where the bounded pattern `start` matches and
 * have at most `cap` bytes; longer ones do not count. A stream waits from such
 * a start on, not before. */
MUST_USE bool rules_add_capped(struct rules_builder *b, int rule,
                               struct span pattern, struct span start,
                               size_t cap, struct err *err);
/* Compile; the builder is emptied. */
MUST_USE struct rules *rules_build(struct rules_builder *b, struct err *err);
void rules_free(struct rules *r);

/* All hits, longest of those with the same start and rule, in order of start.
 * At most `max` hits are stored; *count is how many there were
 * up to that. */
MUST_USE bool rules_scan(const struct rules *r, struct span text,
                         struct rule_hit *hits, int max, int *count,
                         struct err *err);
/* See policy_hold(). */
size_t rules_hold(const struct rules *r, struct span text);
/* The same where text[0..decided) is only what stands before: nothing that
 * begins there counts. */
MUST_USE bool rules_scan_tail(const struct rules *r, struct span text,
                              size_t decided, struct rule_hit *hits, int max,
                              int *count, struct err *err);
/* The same in a layer of decoded text; hits and `decided` are raw bytes, which
 * its map leads to. What does not depend on what the layer changed may be left
 * out: the text below has it as well. */
MUST_USE bool rules_scan_layer(const struct rules *r,
                               const struct decode_layer *layer, size_t decided,
                               struct rule_hit *hits, int max, int *count,
                               struct err *err);
size_t rules_hold_tail(const struct rules *r, struct span text, size_t decided);

#endif
