/* grammar_walk.h - the inside of a grammar_state: a set of configurations,
 * each a node that wants a byte and a stack of calls and repeats. Shared by
 * grammar_state.c, which moves it, and grammar_mask.c, which tries tokens. */
#ifndef CORRAL_ENGINE_GRAMMAR_WALK_H
#define CORRAL_ENGINE_GRAMMAR_WALK_H

#include "engine/grammar_graph.h"

/* A call or a repeat that is under way. */
struct cell {
    int parent; /* -1: none */
    int node;
    int round;  /* NODE_REPEAT: which one, from 1 */
    int levels; /* nesting levels up to here */
    int keys;   /* NODE_REPEAT over members: the keys so far; -1: none */
};

struct key {
    int previous;
    uint64_t hash;
};

struct config {
    int node; /* wants a byte; or node 0 with top -1: the text may end */
    int top;
    int state; /* NODE_TEXT: enum string_state; NODE_DFA: its state */
    int count; /* NODE_TEXT: characters begun */
};

/* How much of the arrays belongs to the text up to some byte. */
struct mark {
    int first; /* configurations after that byte: [first, configs) */
    int configs;
    int cells;
    int keys;
    uint64_t hash; /* of the bytes since the last quote */
};

struct grammar_state {
    struct grammar *grammar;
    struct config *configs;
    struct cell *cells;
    struct key *keys;
    int config_capacity;
    int cell_capacity;
    int key_capacity;
    struct mark now;
    long step_work;
    long work;
};

/* The configurations after one more byte are appended; false if none. */
bool walk_step(struct grammar_state *s, unsigned char byte);
/* Forget the present configurations, and be at `node` with this stack. */
void walk_enter(struct grammar_state *s, int node, int top);
/* A copy to walk about with; the arrays are a few hundred bytes. */
void walk_init(struct grammar_state *w, const struct grammar_state *s);
void walk_clear(struct grammar_state *w);
/* Bytes of the shortest way to the end, or a few more, from `node` on, whose
 * own need is `own`. */
int walk_need(const struct grammar_state *s, int own, int top);
/* The least of all configurations. */
int walk_least_need(const struct grammar_state *s);

#endif
