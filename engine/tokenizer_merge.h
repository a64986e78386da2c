/* tokenizer_merge.h - a run of symbols in which, again and again, the two
 * neighbours with the lowest rank become one; of equal ranks the leftmost
 * goes first. The heart of both BPE and SPM, which differ in the rule alone.
 * Time is n log n in the symbols of a run, memory a fixed multiple of them. */
#ifndef CORRAL_ENGINE_TOKENIZER_MERGE_H
#define CORRAL_ENGINE_TOKENIZER_MERGE_H

#include "base/bytes.h"

/* The rank of what does not merge. */
#define MERGE_NEVER UINT32_MAX

struct symbol {
    int token; /* -1: none */
    int begin; /* in the text of the run */
    int end;
    int previous;
    int next;      /* -1: the last */
    int merged;    /* what this and the next become */
    uint32_t rank; /* of that; MERGE_NEVER also once merged into another */
};

/* The rank of `left` and its neighbour `right`, and their token. */
typedef uint32_t merge_rule(const void *rules, const struct symbol *left,
                            const struct symbol *right, int *merged);

/* Scratch of one call of an encoder: grows to its longest run. All zero is
 * empty. */
struct merge_run {
    struct symbol *symbols; /* the first is symbols[0], the rest by `next` */
    int count;
    size_t capacity;
    uint64_t *heap; /* rank << 32 | index of the left symbol */
    size_t heap_count;
    size_t heap_capacity;
    uint64_t steps; /* all the work so far: what linear time is tested by */
};

/* Begin a new run of at most `symbols`. */
void merge_begin(struct merge_run *run, size_t symbols);
void merge_add(struct merge_run *run, int token, size_t begin, size_t end);
void merge_all(struct merge_run *run, merge_rule *rule, const void *rules);
void merge_clear(struct merge_run *run);

#endif
