/* grammar_graph.h - a grammar as a graph over bytes, with calls and counted
 * repeats: what grammar_*.c build, and what a state walks. Built backwards:
 * each node is made after the one that follows it. */
#ifndef CORRAL_ENGINE_GRAMMAR_GRAPH_H
#define CORRAL_ENGINE_GRAMMAR_GRAPH_H

#include <stdatomic.h>

#include "engine/grammar.h"
#include "engine/grammar_cache.h"
#include "engine/grammar_dfa.h"
#include "engine/grammar_string.h"

enum {
    GRAPH_NODES_MAX = 1 << 16,
    GRAPH_HEIGHT_NONE = 1 << 20, /* no finite text leads to the end */
    GRAPH_NEED_MAX = 1 << 24
};

enum node_kind {
    NODE_RETURN, /* the end of a called body, or of the text */
    NODE_RANGE,  /* a byte from `low` to `high`, then `next` */
    NODE_TEXT,   /* `least` to `most` characters of a string, then `next` */
    NODE_DFA,    /* a text that dfas[other] accepts, then `next` */
    NODE_FORK,   /* `next` or `other` */
    NODE_CALL,   /* `other`, and after its return `next` */
    NODE_REPEAT, /* `other` `least` to `most` times, then `next` */
    NODE_KEY_END /* the quote that ends a key unlike those before it */
};

struct node {
    enum node_kind kind;
    int next;
    int other;
    int first; /* NODE_REPEAT: of round 1, instead of `other`; 0: none */
    int least;
    int most;
    int height; /* nesting levels that the shortest text from here on needs */
    int need;   /* its bytes, or a few more: up to the return of this body */
    unsigned char low;
    unsigned char high;
    bool level; /* NODE_CALL: one nesting level deeper */
    bool plain; /* NODE_TEXT: without escapes */
};

struct grammar {
    atomic_int references;
    struct node *nodes;
    int count;
    int capacity;
    int start;
    struct dfa **dfas;
    int dfa_count;
    struct grammar_cache cache;
    bool full; /* GRAPH_NODES_MAX was passed: graph_close() fails */
};

/* A graph in the making: node 0 is a NODE_RETURN. */
struct grammar *graph_new(void);
/* Set the start, check, compute heights. On failure the graph is freed. */
MUST_USE struct grammar *graph_close(struct grammar *g, int start,
                                     struct err *err);

int graph_return(void); /* node 0 */
int graph_range(struct grammar *g, int low, int high, int next);
int graph_text(struct grammar *g, struct span text, int next);
int graph_fork(struct grammar *g, int next, int other);
/* `body` ends in a return. */
int graph_call(struct grammar *g, int body, bool level, int next);
/* Characters within a JSON string: whole ones, valid UTF-8 and escapes. */
int graph_string(struct grammar *g, int least, int most, bool plain, int next);
/* What `d` accepts. Takes a reference. */
int graph_dfa(struct grammar *g, struct dfa *d, int next);
/* `body` takes at least a byte. */
int graph_repeat(struct grammar *g, int body, int least, int most, int next);
/* `least` to `most` rounds, the first by a body of its own (no comma). */
int graph_members(struct grammar *g, int first, int body, int least, int most,
                  int next);
/* The quote that ends a key. Directly inside a graph_repeat() over the members
 * of an object: no two of its members get the same key. The key has no
 * escapes, so that equal keys are equal bytes. */
int graph_key_end(struct grammar *g, int next);
/* A node to be set later by graph_set(): for bodies that call themselves. */
int graph_reserve(struct grammar *g);
void graph_set(struct grammar *g, int reserved, int target);
/* A copy of the nodes of `inner`; its start, a body that returns. */
int graph_include(struct grammar *g, const struct grammar *inner);
/* One of these texts, by a common trie. Sorts `list`. */
int graph_choices(struct grammar *g, struct span *list, int count, int next);

#endif
