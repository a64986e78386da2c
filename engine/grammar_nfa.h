/* grammar_nfa.h - a nondeterministic automaton over bytes, built backwards
 * (each node after the one that follows it), and made deterministic. */
#ifndef CORRAL_ENGINE_GRAMMAR_NFA_H
#define CORRAL_ENGINE_GRAMMAR_NFA_H

#include "engine/grammar_dfa.h"

enum { NFA_NODES_MAX = 1 << 15 };

enum nfa_kind {
    NFA_ACCEPT,
    NFA_RANGE, /* a byte from `low` to `high`, then `next` */
    NFA_FORK,  /* `next` or `other` */
    NFA_BEGIN, /* nothing was read yet, then `next` */
    NFA_END    /* nothing comes any more, then `next` */
};

struct nfa_node {
    enum nfa_kind kind;
    int next;
    int other;
    unsigned char low;
    unsigned char high;
    bool first; /* NFA_RANGE: the first byte of a character */
};

struct nfa {
    struct nfa_node *nodes; /* node 0 accepts */
    int count;
    int capacity;
    bool full; /* NFA_NODES_MAX was passed: nfa_dfa() fails */
};

/* Code points from `low` to `high`. */
struct point_range {
    uint32_t low;
    uint32_t high;
};

void nfa_init(struct nfa *n);
void nfa_clear(struct nfa *n);
int nfa_range(struct nfa *n, int low, int high, bool first, int next);
int nfa_fork(struct nfa *n, int next, int other);
int nfa_anchor(struct nfa *n, enum nfa_kind kind, int next);
/* A fork that nfa_loop() gives its first way. */
int nfa_reserve(struct nfa *n, int other);
void nfa_loop(struct nfa *n, int fork, int next);
/* One character of a JSON string out of `ranges` (sorted, apart), in the one
 * spelling that is written here: UTF-8, or the escape of a quote, a backslash
 * and a control character. NUL and surrogates are not among them. -1 when none
 * is left. */
int nfa_character(struct nfa *n, const struct point_range *ranges, int count,
                  int next);

/* From `start`. `quoted`: a quote ends the text, and is part of it. `work` is
 * what may be spent on it, in nodes looked at, and is lessened by what was.
 * ERR_LIMIT when it is spent, or the states pass their limit. */
MUST_USE struct dfa *nfa_dfa(const struct nfa *n, int start, bool quoted,
                             long *work, struct err *err);

#endif
