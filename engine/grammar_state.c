/* A text's place in a grammar: a set of configurations, each a node that
 * wants a byte and a stack of calls and repeats. Stacks share their cells,
 * which are only ever appended; a walk over the vocabulary appends too, and
 * rewinds. JSON is nearly deterministic, so the sets are small. */
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "engine/grammar_walk.h"

/* A schema may come from a client, and be made so that the ways through it
 * double at every level. Past these limits ways are left out, so that less is
 * allowed, never more. Common schemas stay below a hundredth of them. */
enum {
    CONFIGS_MAX = 1024,
    STEP_WORK_MAX = 1 << 15 /* nodes visited for one byte */
};

static void grow(void **array, int *capacity, int count, size_t size) {
    if (count < *capacity) return;
    *capacity = *capacity ? *capacity * 2 : 64;
    *array = xrealloc_array(*array, (size_t)*capacity, size);
}

static int levels_at(const struct grammar_state *s, int top) {
    return top < 0 ? 0 : s->cells[top].levels;
}

static void config_add(struct grammar_state *s, struct config c) {
    void *array = s->configs;

    s->step_work += (s->now.configs - s->now.first) / 16;
    for (int i = s->now.first; i < s->now.configs; i++)
        if (s->configs[i].node == c.node && s->configs[i].top == c.top &&
            s->configs[i].state == c.state && s->configs[i].count == c.count)
            return;
    if (s->now.configs - s->now.first >= CONFIGS_MAX) return; /* stays shut */
    grow(&array, &s->config_capacity, s->now.configs, sizeof *s->configs);
    s->configs = array;
    s->configs[s->now.configs++] = c;
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

/* Where a string or a DFA is, if more of it may come; true if it may end. */
static bool stay(struct grammar_state *s, struct config c) {
    const struct node *n = &s->grammar->nodes[c.node];
    bool may_end, more = true;

    if (n->kind == NODE_DFA) {
        const struct dfa *d = s->grammar->dfas[n->other];

        may_end = dfa_accepts(d, c.state);
        /* A string's DFA ends in a state after its quote, with no way on. */
        more = !may_end || dfa_goes_on(d, c.state);
    } else {
        may_end = c.state == STRING_NEXT && c.count >= n->least;
        more = c.state != STRING_NEXT || c.count < n->most;
    }
    if (more) config_add(s, c);
    return may_end;
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
        if (n->kind == NODE_TEXT || n->kind == NODE_DFA) {
            if (!stay(s, (struct config){node, top, 0, 0})) return;
            node = n->next;
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
            config_add(s, (struct config){node, top, 0, 0});
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

static void step_text(struct grammar_state *s, struct config c,
                      unsigned char byte, int fresh) {
    const struct node *n = &s->grammar->nodes[c.node];

    if (n->plain && byte == '\\') return;
    c.count += c.state == STRING_NEXT;
    c.state = string_step((enum string_state)c.state, byte);
    if (c.state >= 0 && stay(s, c)) follow(s, n->next, c.top, fresh);
}

static void step_dfa(struct grammar_state *s, struct config c,
                     unsigned char byte, int fresh) {
    const struct node *n = &s->grammar->nodes[c.node];

    c.state = dfa_step(s->grammar->dfas[n->other], c.state, byte);
    if (c.state != DFA_DEAD && stay(s, c)) follow(s, n->next, c.top, fresh);
}

static void step_config(struct grammar_state *s, struct config c,
                        unsigned char byte, int fresh) {
    const struct node *n = &s->grammar->nodes[c.node];

    switch (n->kind) {
    case NODE_RANGE:
        if (byte >= n->low && byte <= n->high) follow(s, n->next, c.top, fresh);
        break;
    case NODE_TEXT:
        step_text(s, c, byte, fresh);
        break;
    case NODE_DFA:
        step_dfa(s, c, byte, fresh);
        break;
    case NODE_KEY_END:
        if (byte == '"') step_key_end(s, c, fresh);
        break;
    default:
        break;
    }
}

bool walk_step(struct grammar_state *s, unsigned char byte) {
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

void walk_enter(struct grammar_state *s, int node, int top) {
    s->now.first = s->now.configs;
    s->step_work = 0;
    follow(s, node, top, s->now.cells);
}

/* ---- what is left to come ---- */

int walk_need(const struct grammar_state *s, int own, int top) {
    const struct node *nodes = s->grammar->nodes;
    long need = own;

    for (; top >= 0; top = s->cells[top].parent) {
        const struct cell *cell = &s->cells[top];
        const struct node *n = &nodes[cell->node];

        if (n->kind == NODE_REPEAT && cell->round < n->least)
            need += (long)(n->least - cell->round) * nodes[n->other].need;
        need += nodes[n->next].need;
        if (need >= GRAPH_NEED_MAX) return GRAPH_NEED_MAX;
    }
    return (int)need;
}

static int config_need(const struct grammar_state *s, struct config c) {
    const struct node *n = &s->grammar->nodes[c.node];
    int own = n->need;

    if (n->kind == NODE_DFA) {
        own = s->grammar->dfas[n->other]->need[c.state] +
              s->grammar->nodes[n->next].need;
    } else if (n->kind == NODE_TEXT) {
        own = s->grammar->nodes[n->next].need;
        if (c.count < n->least) own += n->least - c.count;
        own += string_need((enum string_state)c.state);
    }
    return walk_need(s, own, c.top);
}

int walk_least_need(const struct grammar_state *s) {
    int need = GRAPH_NEED_MAX;

    for (int i = s->now.first; i < s->now.configs; i++) {
        int own = config_need(s, s->configs[i]);

        if (own < need) need = own;
    }
    return need;
}

/* ---- a text's state ---- */

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
        bool alive = walk_step(s, (unsigned char)bytes.at[i]);

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

/* ---- copies ---- */

static void *copy_array(const void *array, int count, size_t size) {
    void *copy = xalloc_array((size_t)count, size);

    if (count) memcpy(copy, array, (size_t)count * size);
    return copy;
}

void walk_init(struct grammar_state *w, const struct grammar_state *s) {
    *w = *s;
    w->work = 0;
    w->configs = copy_array(s->configs, s->now.configs, sizeof *s->configs);
    w->cells = copy_array(s->cells, s->now.cells, sizeof *s->cells);
    w->keys = copy_array(s->keys, s->now.keys, sizeof *s->keys);
    w->config_capacity = s->now.configs;
    w->cell_capacity = s->now.cells;
    w->key_capacity = s->now.keys;
}

void walk_clear(struct grammar_state *w) {
    free(w->configs);
    free(w->cells);
    free(w->keys);
}
