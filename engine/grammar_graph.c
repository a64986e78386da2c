#include "engine/grammar_graph.h"

#include <stdlib.h>
#include <string.h>

struct grammar *graph_new(void) {
    struct grammar *g = xalloc(sizeof *g);

    atomic_init(&g->references, 1);
    g->capacity = 256;
    g->nodes = xalloc_array((size_t)g->capacity, sizeof *g->nodes);
    g->count = 1; /* node 0: return */
    grammar_cache_init(&g->cache);
    return g;
}

/* Past the limit everything becomes node 0, and graph_close() fails. */
static int add(struct grammar *g, struct node node) {
    if (g->count >= GRAPH_NODES_MAX) {
        g->full = true;
        return 0;
    }
    if (g->count == g->capacity) {
        g->capacity *= 2;
        g->nodes =
            xrealloc_array(g->nodes, (size_t)g->capacity, sizeof *g->nodes);
    }
    g->nodes[g->count] = node;
    return g->count++;
}

int graph_return(void) {
    return 0;
}

int graph_range(struct grammar *g, int low, int high, int next) {
    return add(g, (struct node){.kind = NODE_RANGE,
                                .low = (unsigned char)low,
                                .high = (unsigned char)high,
                                .next = next});
}

int graph_text(struct grammar *g, struct span text, int next) {
    for (size_t i = text.size; i > 0; i--) {
        int byte = (unsigned char)text.at[i - 1];

        next = graph_range(g, byte, byte, next);
    }
    return next;
}

int graph_fork(struct grammar *g, int next, int other) {
    return add(g,
               (struct node){.kind = NODE_FORK, .next = next, .other = other});
}

int graph_call(struct grammar *g, int body, bool level, int next) {
    return add(
        g, (struct node){
               .kind = NODE_CALL, .next = next, .other = body, .level = level});
}

int graph_repeat(struct grammar *g, int body, int least, int most, int next) {
    return add(g, (struct node){.kind = NODE_REPEAT,
                                .next = next,
                                .other = body,
                                .least = least,
                                .most = most});
}

int graph_members(struct grammar *g, int first, int body, int least, int most,
                  int next) {
    int node = graph_repeat(g, body, least, most, next);

    if (node) g->nodes[node].first = first;
    return node;
}

int graph_string(struct grammar *g, int least, int most, bool plain, int next) {
    return add(g, (struct node){.kind = NODE_TEXT,
                                .least = least,
                                .most = most,
                                .plain = plain,
                                .next = next});
}

/* The number of a DFA, which is kept once. */
static int dfa_index(struct grammar *g, struct dfa *d) {
    for (int i = 0; i < g->dfa_count; i++)
        if (g->dfas[i] == d) return i;
    g->dfas =
        xrealloc_array(g->dfas, (size_t)g->dfa_count + 1, sizeof *g->dfas);
    g->dfas[g->dfa_count] = dfa_ref(d);
    return g->dfa_count++;
}

int graph_dfa(struct grammar *g, struct dfa *d, int next) {
    return add(g, (struct node){.kind = NODE_DFA,
                                .other = dfa_index(g, d),
                                .next = next});
}

int graph_key_end(struct grammar *g, int next) {
    return add(g, (struct node){.kind = NODE_KEY_END, .next = next});
}

/* A fork whose two ways are one. */
int graph_reserve(struct grammar *g) {
    return graph_fork(g, 0, 0);
}

void graph_set(struct grammar *g, int reserved, int target) {
    if (g->full) return;
    g->nodes[reserved].next = target;
    g->nodes[reserved].other = target;
}

int graph_include(struct grammar *g, const struct grammar *inner) {
    int offset = g->count - 1; /* node 0 stays node 0 */

    for (int i = 1; i < inner->count; i++) {
        struct node node = inner->nodes[i];

        if (node.next) node.next += offset;
        if (node.kind == NODE_DFA)
            node.other = dfa_index(g, inner->dfas[node.other]);
        else if (node.other)
            node.other += offset;
        if (node.first) node.first += offset;
        add(g, node);
    }
    return inner->start ? inner->start + offset : 0;
}

/* ---- choices ---- */

static int compare_spans(const void *a, const void *b) {
    const struct span *s = a, *t = b;
    size_t size = s->size < t->size ? s->size : t->size;
    int order = size ? memcmp(s->at, t->at, size) : 0;

    if (order) return order;
    return (s->size > t->size) - (s->size < t->size);
}

/* list[0..count) agree on their first `depth` bytes; a node for the rest. */
static int trie(struct grammar *g, const struct span *list, int count,
                size_t depth, int next) {
    const struct span *last = &list[count - 1];
    size_t same = depth;
    int node = -1;

    while (same < list[0].size && same < last->size &&
           list[0].at[same] == last->at[same])
        same++;
    if (count == 1 || list[0].size == same) {
        int from = 0;

        node = next;
        while (from < count && list[from].size == same) from++;
        if (from < count)
            node = graph_fork(g, node,
                              trie(g, list + from, count - from, same, next));
    } else {
        for (int from = 0, end; from < count; from = end) {
            int branch;

            for (end = from + 1; end < count; end++)
                if (list[end].at[same] != list[from].at[same]) break;
            branch = trie(g, list + from, end - from, same, next);
            node = node < 0 ? branch : graph_fork(g, branch, node);
        }
    }
    return graph_text(g, span_slice(list[0], depth, same), node);
}

int graph_choices(struct grammar *g, struct span *list, int count, int next) {
    qsort(list, (size_t)count, sizeof *list, compare_spans);
    return trie(g, list, count, 0, next);
}

/* ---- heights and needs ---- */

static int least(int a, int b) {
    return a < b ? a : b;
}

static int most(int a, int b) {
    return a > b ? a : b;
}

static int height_of(const struct grammar *g, const struct node *n) {
    int next = g->nodes[n->next].height;
    int other = n->kind == NODE_DFA ? 0 : g->nodes[n->other].height;

    switch (n->kind) {
    case NODE_RETURN:
        return 0;
    case NODE_FORK:
        return least(next, other);
    case NODE_CALL:
        return most(next, other + n->level);
    case NODE_REPEAT:
        return n->least > 0 ? most(next, other) : next;
    default:
        return next;
    }
}

/* A key may have to grow by a few bytes, so as to be unlike those before. */
enum { KEY_END_NEED = 4 };

static int need_of(const struct grammar *g, const struct node *n) {
    long next = g->nodes[n->next].need, own = 1;

    switch (n->kind) {
    case NODE_RETURN:
        return 0;
    case NODE_FORK:
        return least((int)next, g->nodes[n->other].need);
    case NODE_CALL:
        own = g->nodes[n->other].need;
        break;
    case NODE_REPEAT:
        own = (long)n->least * g->nodes[n->other].need;
        break;
    case NODE_TEXT:
        own = n->least;
        break;
    case NODE_DFA:
        own = g->dfas[n->other]->need[0];
        break;
    case NODE_KEY_END:
        own = KEY_END_NEED;
        break;
    case NODE_RANGE:
        break;
    }
    return next + own < GRAPH_NEED_MAX ? (int)(next + own) : GRAPH_NEED_MAX;
}

/* Until nothing changes: a node is made after the one that follows it, so one
 * round is enough but for bodies that call themselves. */
static void compute_heights(struct grammar *g) {
    bool changed = true;

    for (int i = 1; i < g->count; i++) {
        g->nodes[i].height = GRAPH_HEIGHT_NONE;
        g->nodes[i].need = GRAPH_NEED_MAX;
    }
    while (changed) {
        changed = false;
        for (int i = 1; i < g->count; i++) {
            struct node *n = &g->nodes[i];
            int height = least(height_of(g, n), GRAPH_HEIGHT_NONE);
            int need = need_of(g, n);

            changed |= height != n->height || need != n->need;
            n->height = height;
            n->need = need;
        }
    }
}

struct grammar *graph_close(struct grammar *g, int start, struct err *err) {
    g->start = start;
    if (g->full) {
        err_set(err, ERR_LIMIT, "the grammar has more than %d nodes",
                GRAPH_NODES_MAX);
        grammar_free(g);
        return NULL;
    }
    compute_heights(g);
    if (g->nodes[start].height > GRAMMAR_DEPTH_MAX) {
        err_set(err, ERR_UNSUPPORTED,
                "no value of at most %d levels fits the schema",
                GRAMMAR_DEPTH_MAX);
        grammar_free(g);
        return NULL;
    }
    return g;
}

struct grammar *grammar_ref(struct grammar *g) {
    atomic_fetch_add(&g->references, 1);
    return g;
}

void grammar_free(struct grammar *g) {
    if (!g || atomic_fetch_sub(&g->references, 1) > 1) return;
    for (int i = 0; i < g->dfa_count; i++) dfa_free(g->dfas[i]);
    free(g->dfas);
    grammar_cache_clear(&g->cache);
    free(g->nodes);
    free(g);
}
