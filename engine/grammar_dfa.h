/* grammar_dfa.h - a deterministic automaton over bytes: the lexical parts of a
 * grammar (numbers, strings with a pattern or a format). Every state of a
 * finished one leads to acceptance. Immutable, counted by reference. */
#ifndef CORRAL_ENGINE_GRAMMAR_DFA_H
#define CORRAL_ENGINE_GRAMMAR_DFA_H

#include <stdatomic.h>
#include <stdint.h>

#include "base/bytes.h"

enum { DFA_STATES_MAX = 1 << 13, DFA_DEAD = UINT16_MAX };

struct dfa {
    atomic_int references;
    int count; /* states; the first is the start */
    int classes;
    unsigned char class_of[256];
    uint16_t *next;          /* (count, classes): a state or DFA_DEAD */
    uint16_t *need;          /* (count) fewest bytes to acceptance */
    unsigned char *boundary; /* (count) between two characters of a string */
    int need_max;
};

/* One in the making. All zero is an empty one. */
struct dfa_draft {
    uint16_t *next; /* (count, 256) */
    unsigned char *accept;
    unsigned char *boundary;
    int count;
    int capacity;
    bool full; /* DFA_STATES_MAX was passed: dfa_finish() fails */
};

/* A new state; 0 for the first, which is the start. */
int dfa_state(struct dfa_draft *d, bool accept, bool boundary);
void dfa_edge(struct dfa_draft *d, int from, int low, int high, int to);
/* Empties the draft. ERR_LIMIT when it is full, ERR_INPUT when it accepts
 * nothing. */
MUST_USE struct dfa *dfa_finish(struct dfa_draft *d, struct err *err);

struct dfa *dfa_ref(struct dfa *d);
void dfa_free(struct dfa *d); /* drops one reference */

/* The state after `byte`, or DFA_DEAD. */
static inline int dfa_step(const struct dfa *d, int state, unsigned char byte) {
    return d->next[state * d->classes + d->class_of[byte]];
}
static inline bool dfa_accepts(const struct dfa *d, int state) {
    return d->need[state] == 0;
}
/* Whether any byte may follow. */
bool dfa_goes_on(const struct dfa *d, int state);
bool dfa_matches(const struct dfa *d, struct span text);

/* What both accept. */
MUST_USE struct dfa *dfa_both(const struct dfa *a, const struct dfa *b,
                              struct err *err);
/* Of the accepted strings those of `least` to `most` characters; most < 0: no
 * limit. */
MUST_USE struct dfa *dfa_sized(const struct dfa *d, int least, int most,
                               struct err *err);

#endif
