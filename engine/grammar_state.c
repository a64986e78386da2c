/* A text's place in a grammar: a set of configurations, each a node that
 * wants a byte and a stack of calls and repeats. Stacks share their cells,
 * which are only ever appended; a walk over the vocabulary appends too, and
 * rewinds. JSON is nearly deterministic, so the sets are small. */
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "engine/grammar_graph.h"

/* A schema may come from a client, and be made so that the ways through it
 * double at every level. Past these limits ways are left out, so that less is
 * allowed, never more. Common schemas stay below a hundredth of them. */
enum {
    CONFIGS_MAX = 1024,
    STEP_WORK_MAX = 1 << 15, /* nodes visited for one byte */
    MASK_WORK_MAX = 1 << 24  /* and for one mask: some 200 ms */
};

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

static void grow(void **array, int *capacity, int count, size_t size) {
    if (count < *capacity) return;
    *capacity = *capacity ? *capacity * 2 : 64;
    *array = xrealloc_array(*array, (size_t)*capacity, size);
}

static int levels_at(const struct grammar_state *s, int top) {
    return top < 0 ? 0 : s->cells[top].levels;
}

static void config_add(struct grammar_state *s, int node, int top) {
    void *array = s->configs;

    s->step_work += (s->now.configs - s->now.first) / 16;
    for (int i = s->now.first; i < s->now.configs; i++)
        if (s->configs[i].node == node && s->configs[i].top == top) return;
    if (s->now.configs - s->now.first >= CONFIGS_MAX) return; /* stays shut */
    grow(&array, &s->config_capacity, s->now.configs, sizeof *s->configs);
    s->configs = array;
    s->configs[s->now.configs++] = (struct config){node, top};
}

static bool cell_equal(const struct cell *a, const struct cell *b) {
    return a->parent == b->parent && a->node == b->node &&
           a->round == b->round && a->keys == b->keys;
}

/* A cell, or the equal one made since `fresh`: two ways to the same place
 * become one configuration, so that sets do not grow with the text. */
static int cell_push(struct grammar_state *s, struct cell cell, int fresh) {
    void *array = s->cells;

    s->step_work += (s->now.cells - fresh) / 16;
    for (int i = fresh; i < s->now.cells; i++)
        if (cell_equal(&s->cells[i], &cell)) return i;
    grow(&array, &s->cell_capacity, s->now.cells, sizeof *s->cells);
    s->cells = array;
    s->cells[s->now.cells] = cell;
    return s->now.cells++;
}

/* Follow everything that takes no byte from (node, top). Bodies of repeats
 * always take one and calls that take none cannot come back to themselves:
 * both are checked when a grammar is built, so this ends. Recursion is on the
 * first way of a fork and on leaving a repeat; chains go by the second. */
static void follow(struct grammar_state *s, int node, int top, int fresh) {
    const struct node *nodes = s->grammar->nodes;

    for (;;) {
        const struct node *n = &nodes[node];
        struct cell cell = {.parent = top, .node = node, .keys = -1};

        if (s->step_work++ > STEP_WORK_MAX) return;
        if (levels_at(s, top) + n->height > GRAMMAR_DEPTH_MAX) return;
        cell.levels = levels_at(s, top) + n->level;
        if (n->kind == NODE_FORK) {
            if (n->next != n->other) follow(s, n->next, top, fresh);
            node = n->other;
            continue;
        }
        if (n->kind == NODE_CALL) {
            top = cell_push(s, cell, fresh);
            node = n->other;
            continue;
        }
        if (n->kind == NODE_RETURN && top >= 0) {
            cell = s->cells[top];
            n = &nodes[cell.node];
            if (n->kind == NODE_CALL) {
                top = cell.parent;
                node = n->next;
                continue;
            }
        } else if (n->kind != NODE_REPEAT) {
            config_add(s, node, top);
            return;
        }
        /* A repeat, before its first round or after cell.round of them. */
        if (cell.round >= n->most) {
            top = cell.parent;
            node = n->next;
            continue;
        }
        if (cell.round >= n->least) follow(s, n->next, cell.parent, fresh);
        cell.round++;
        top = cell_push(s, cell, fresh);
        node = cell.round == 1 && n->first ? n->first : n->other;
    }
}

static void step_key_end(struct grammar_state *s, struct config c, int fresh) {
    struct cell cell = s->cells[c.top];
    void *array = s->keys;

    for (int i = cell.keys; i >= 0; i = s->keys[i].previous)
        if (s->keys[i].hash == s->now.hash) return;
    grow(&array, &s->key_capacity, s->now.keys, sizeof *s->keys);
    s->keys = array;
    s->keys[s->now.keys] = (struct key){cell.keys, s->now.hash};
    cell.keys = s->now.keys++;
    follow(s, s->grammar->nodes[c.node].next, cell_push(s, cell, fresh), fresh);
}

static void step_config(struct grammar_state *s, struct config c,
                        unsigned char byte, int fresh) {
    const struct node *n = &s->grammar->nodes[c.node];
    int state;

    switch (n->kind) {
    case NODE_RANGE:
        if (byte >= n->low && byte <= n->high) follow(s, n->next, c.top, fresh);
        break;
    case NODE_STRING:
        if (n->plain && byte == '\\') break;
        state = string_step((enum string_state)n->state, byte);
        if (state == STRING_NEXT)
            follow(s, n->next, c.top, fresh);
        else if (state > 0)
            config_add(s, c.node + state - n->state, c.top);
        break;
    case NODE_KEY_END:
        if (byte == '"') step_key_end(s, c, fresh);
        break;
    default:
        break;
    }
}

/* The configurations after one more byte are appended; false if none. */
static bool step(struct grammar_state *s, unsigned char byte) {
    int from = s->now.first, end = s->now.configs, fresh = s->now.cells;
    char c = (char)byte;

    s->now.first = end;
    s->step_work = 0;
    for (int i = from; i < end; i++) step_config(s, s->configs[i], byte, fresh);
    s->work += s->step_work + end - from;
    s->now.hash = byte == '"' ? HASH_FNV1A_START
                              : hash_fnv1a(s->now.hash, (struct span){&c, 1});
    return s->now.configs > s->now.first;
}

struct grammar_state *grammar_state_new(const struct grammar *g) {
    struct grammar_state *s = xalloc(sizeof *s);

    /* Only the count of references changes, which is what it is for. */
    memcpy(&s->grammar, &g, sizeof g);
    grammar_ref(s->grammar);
    s->now.hash = HASH_FNV1A_START;
    follow(s, g->start, -1, 0);
    return s;
}

void grammar_state_free(struct grammar_state *s) {
    if (!s) return;
    grammar_free(s->grammar);
    free(s->configs);
    free(s->cells);
    free(s->keys);
    free(s);
}

/* ---- feeding ---- */

/* Keep only the cells that the present configurations reach, and these in
 * their order: a cell only points to older ones, so moving them down never
 * overwrites one that is still to be moved. Keys are few and stay. */
static void compact(struct grammar_state *s) {
    int *moved = xalloc_array((size_t)s->now.cells, sizeof *moved);
    int count = s->now.configs - s->now.first, kept = 0;

    for (int i = s->now.first; i < s->now.configs; i++)
        for (int c = s->configs[i].top; c >= 0 && !moved[c];
             c = s->cells[c].parent)
            moved[c] = 1;
    for (int i = 0; i < s->now.cells; i++) {
        struct cell cell = s->cells[i];

        if (!moved[i]) continue;
        if (cell.parent >= 0) cell.parent = moved[cell.parent];
        moved[i] = kept;
        s->cells[kept++] = cell;
    }
    for (int i = 0; i < count; i++) {
        struct config c = s->configs[s->now.first + i];

        if (c.top >= 0) c.top = moved[c.top];
        s->configs[i] = c;
    }
    s->now.first = 0;
    s->now.configs = count;
    s->now.cells = kept;
    free(moved);
}

bool grammar_state_feed(struct grammar_state *s, struct span bytes) {
    for (size_t i = 0; i < bytes.size; i++) {
        bool alive = step(s, (unsigned char)bytes.at[i]);

        compact(s);
        if (!alive) return false;
    }
    return s->now.configs > s->now.first;
}

bool grammar_state_done(const struct grammar_state *s) {
    for (int i = s->now.first; i < s->now.configs; i++)
        if (s->configs[i].node == graph_return()) return true;
    return false;
}

bool grammar_state_final(const struct grammar_state *s) {
    for (int i = s->now.first; i < s->now.configs; i++)
        if (s->configs[i].node != graph_return()) return false;
    return s->now.configs > s->now.first;
}

/* ---- the mask ---- */

static void *copy_array(const void *array, int count, size_t size) {
    void *copy = xalloc_array((size_t)count, size);

    if (count) memcpy(copy, array, (size_t)count * size);
    return copy;
}

/* A copy to walk about with; the arrays are a few hundred bytes. */
static void walker_init(struct grammar_state *w,
                        const struct grammar_state *s) {
    *w = *s;
    w->work = 0;
    w->configs = copy_array(s->configs, s->now.configs, sizeof *s->configs);
    w->cells = copy_array(s->cells, s->now.cells, sizeof *s->cells);
    w->keys = copy_array(s->keys, s->now.keys, sizeof *s->keys);
    w->config_capacity = s->now.configs;
    w->cell_capacity = s->now.cells;
    w->key_capacity = s->now.keys;
}

static void walker_clear(struct grammar_state *w) {
    free(w->configs);
    free(w->cells);
    free(w->keys);
}

/* Set the bits of the tokens on the list that may follow. They are sorted, so
 * what two neighbours share is walked once, and a byte that cannot come rules
 * out everything that begins like this. marks[d] is the place after d bytes. */
static void walk(struct grammar_state *w, const struct tokenizer *t,
                 const struct token_list *list, struct mark *marks,
                 uint64_t *mask) {
    size_t depth = 0; /* bytes of the last token that could come */

    marks[0] = w->now;
    for (size_t i = 0; i < list->count && w->work < MASK_WORK_MAX; i++) {
        struct span piece = tokenizer_piece(t, list->tokens[i]);
        size_t shared = i > 0 ? list->shared[i] : 0;

        if (shared > depth) continue; /* dead within the shared part */
        depth = shared;
        w->now = marks[depth];
        while (depth < piece.size && step(w, (unsigned char)piece.at[depth]))
            marks[++depth] = w->now;
        if (depth == piece.size)
            mask[list->tokens[i] / 64] |= 1ull << (list->tokens[i] % 64);
    }
    w->now = marks[0];
}

/* Between two characters of a string that is far from its longest: every
 * token of string characters may follow. */
static bool in_long_string(const struct grammar_state *s, struct config c,
                           size_t longest) {
    const struct node *n = &s->grammar->nodes[c.node], *repeat;

    if (n->kind != NODE_STRING || n->state != STRING_NEXT || n->plain ||
        c.top < 0)
        return false;
    repeat = &s->grammar->nodes[s->cells[c.top].node];
    return repeat->kind == NODE_REPEAT &&
           (size_t)(repeat->most - s->cells[c.top].round) >= longest;
}

/* Walk with those configurations that are in such a string, or not. */
static void walk_some(const struct grammar_state *s, const struct tokenizer *t,
                      const struct token_list *list, size_t longest,
                      bool in_string, struct mark *marks, uint64_t *mask) {
    struct grammar_state w;
    int count = 0;

    walker_init(&w, s);
    for (int i = s->now.first; i < s->now.configs; i++)
        if (in_long_string(s, s->configs[i], longest) == in_string)
            w.configs[s->now.first + count++] = s->configs[i];
    w.now.configs = s->now.first + count;
    if (count > 0) walk(&w, t, list, marks, mask);
    walker_clear(&w);
}

void grammar_state_mask(const struct grammar_state *s,
                        const struct tokenizer *t, uint64_t *mask) {
    const struct token_strings *strings = tokenizer_strings(t);
    size_t words = (size_t)tokenizer_vocab(t) / 64 + 1;
    struct mark *marks =
        xalloc_array(strings->piece_bytes_max + 1, sizeof *marks);
    size_t longest = strings->inside_bytes_max;
    bool in_string = false;

    for (int i = s->now.first; i < s->now.configs; i++)
        in_string |= in_long_string(s, s->configs[i], longest);
    if (in_string)
        memcpy(mask, strings->inside, words * sizeof *mask);
    else
        memset(mask, 0, words * sizeof *mask);
    walk_some(s, t, &strings->all, longest, false, marks, mask);
    if (in_string)
        walk_some(s, t, &strings->leaving, longest, true, marks, mask);
    if (grammar_state_done(s))
        for (int id = 0; id < tokenizer_vocab(t); id++)
            if (tokenizer_is_end(t, id)) mask[id / 64] |= 1ull << (id % 64);
    free(marks);
}
