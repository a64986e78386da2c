#include "engine/grammar_graph.h"

#include <stdlib.h>
#include <string.h>

struct grammar *graph_new(void) {
    struct grammar *g = xalloc(sizeof *g);

    atomic_init(&g->references, 1);
    g->capacity = 256;
    g->nodes = xalloc_array((size_t)g->capacity, sizeof *g->nodes);
    g->count = 1; /* node 0: return */
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

int graph_members(struct grammar *g, int first, int body, int most, int next) {
    int node = graph_repeat(g, body, 0, most, next);

    if (node) g->nodes[node].first = first;
    return node;
}

/* One node for each state, side by side in the order of the states, so that
 * the node of state b is the node of state a plus b - a. */
int graph_string_body(struct grammar *g, bool plain) {
    int first = g->count;

    for (int state = 0; state < STRING_STATES; state++)
        add(g, (struct node){.kind = NODE_STRING,
                             .state = (unsigned char)state,
                             .plain = plain,
                             .next = graph_return()});
    return first;
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
        if (node.other) node.other += offset;
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

/* ---- heights ---- */

static int least(int a, int b) {
    return a < b ? a : b;
}

static int most(int a, int b) {
    return a > b ? a : b;
}

static int height_of(const struct grammar *g, const struct node *n) {
    int next = g->nodes[n->next].height, other = g->nodes[n->other].height;

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

static void compute_heights(struct grammar *g) {
    bool changed = true;

    for (int i = 1; i < g->count; i++) g->nodes[i].height = GRAPH_HEIGHT_NONE;
    while (changed) {
        changed = false;
        for (int i = 1; i < g->count; i++) {
            int height = least(height_of(g, &g->nodes[i]), GRAPH_HEIGHT_NONE);

            changed |= height != g->nodes[i].height;
            g->nodes[i].height = height;
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
    free(g->nodes);
    free(g);
}
