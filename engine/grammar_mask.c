/* From a text's place in a grammar to the tokens that may follow.
 *
 * Most tokens that may follow are inside a string, a number or a pattern: for
 * these a mask was made before (token_index, grammar_cache), and only tokens
 * that leave them are tried. Everything else is a walk over the trie of the
 * vocabulary, which is short where little may come.
 *
 * Near the end of the budget each token is tried, and only those stay after
 * which the text can still be finished in time. */
#include <stdlib.h>
#include <string.h>

#include "engine/grammar_walk.h"

enum { MASK_WORK_MAX = 1 << 24 /* nodes visited: some 200 ms */ };

struct masker {
    const struct grammar_state *s;
    const struct token_index *x;
    uint64_t *mask;
    struct grammar_state w; /* a copy to walk with */
    struct mark start;      /* of the copy */
    struct mark *marks;     /* (all.depth_max + 1) after each byte */
    struct config *general; /* those that are walked */
    int general_count;
    int need_max; /* of what may be left to come after the token */
};

static void set_bit(uint64_t *mask, int token) {
    mask[token / 64] |= 1ull << (token % 64);
}

static void clear_bit(uint64_t *mask, int token) {
    mask[token / 64] &= ~(1ull << (token % 64));
}

/* How many characters may come before the rest that is walked. */
struct before {
    int least;
    int most;
    bool plain;
};

static bool fits_before(const struct before *b, const struct trie_item *item) {
    return !b || (item->before >= b->least && item->before <= b->most &&
                  (item->plain || !b->plain));
}

/* Set the bits of those items that may follow the walker's configurations. */
static void walk(struct masker *m, const struct trie *t,
                 const struct before *before) {
    struct grammar_state *w = &m->w;

    m->marks[0] = w->now;
    for (int i = 0; i < t->count && w->work < MASK_WORK_MAX;) {
        const struct trie_node *n = &t->nodes[i];

        w->now = m->marks[n->depth - 1];
        if (!walk_step(w, n->byte)) {
            i = n->skip;
            continue;
        }
        m->marks[n->depth] = w->now;
        if (n->count > 0 && walk_least_need(w) <= m->need_max)
            for (int k = n->first; k < n->first + n->count; k++)
                if (fits_before(before, &t->items[k]))
                    set_bit(m->mask, t->items[k].token);
        i++;
    }
    w->now = m->start;
}

/* Walk from these configurations, which are those of the text. */
static void walk_from(struct masker *m, const struct trie *t,
                      const struct config *configs, int count) {
    struct grammar_state *w = &m->w;

    if (count == 0) return;
    memcpy(w->configs + w->now.first, configs, (size_t)count * sizeof *configs);
    w->now.configs = w->now.first + count;
    walk(m, t, NULL);
}

/* Walk from the node after one that was left. */
static void walk_after(struct masker *m, const struct trie *t, int node,
                       int top, const struct before *before) {
    walk_enter(&m->w, node, top);
    walk(m, t, before);
}

/* ---- strings ---- */

/* The mask of tokens within a string of which `room` characters are left. */
static void set_inside(struct masker *m, const struct node *n, int room) {
    const struct token_index *x = m->x;
    const uint64_t *inside = n->plain ? x->plain : x->inside;
    uint64_t *long_ones;
    int i = 0;

    if (x->inside_count == 0 || x->sizes[0].characters <= room) {
        for (size_t word = 0; word < x->words; word++)
            m->mask[word] |= inside[word];
        return;
    }
    long_ones = xalloc_array(x->words, sizeof *long_ones);
    memcpy(long_ones, inside, x->words * sizeof *long_ones);
    for (; i < x->inside_count && x->sizes[i].characters > room; i++)
        clear_bit(long_ones, x->sizes[i].token);
    for (size_t word = 0; word < x->words; word++)
        m->mask[word] |= long_ones[word];
    free(long_ones);
}

/* False: to be walked. Between two characters every token is known. */
static bool mask_text(struct masker *m, struct config c) {
    const struct node *nodes = m->s->grammar->nodes, *n = &nodes[c.node];
    int next = nodes[n->next].need;
    int missing = n->least > c.count ? n->least - c.count : 0;
    int most_need = walk_need(m->s, next + missing + STRING_NEED_MAX, c.top);

    if (n->kind != NODE_TEXT || c.state != STRING_NEXT ||
        most_need > m->need_max)
        return false;
    set_inside(m, n, n->most - c.count);
    /* A key's end depends on all of its bytes. */
    if (nodes[n->next].kind == NODE_KEY_END) {
        walk_from(m, &m->x->with_quote, &c, 1);
    } else {
        struct before before = {missing, n->most - c.count, n->plain};

        walk_after(m, &m->x->after_quote, n->next, c.top, &before);
    }
    return true;
}

/* ---- numbers and patterns ---- */

static bool mask_dfa(struct masker *m, struct config c) {
    struct grammar *g = m->s->grammar;
    const struct node *n = &g->nodes[c.node];
    const struct dfa *d;
    const struct dfa_tokens *e;
    int next = g->nodes[n->next].need;

    if (n->kind != NODE_DFA) return false;
    d = g->dfas[n->other];
    if (walk_need(m->s, next + d->need_max, c.top) > m->need_max) return false;
    e = grammar_cache_enter(&g->cache, d, c.state, m->x);
    if (e->mask)
        for (size_t word = 0; word < m->x->words; word++)
            m->mask[word] |= e->mask[word];
    else
        for (int i = 0; i < e->token_count; i++) set_bit(m->mask, e->tokens[i]);
    walk_after(m, &e->leaving, n->next, c.top, NULL);
    grammar_cache_leave(&g->cache);
    return true;
}

/* ---- all of it ---- */

static void fill(struct masker *m) {
    const struct grammar_state *s = m->s;

    memset(m->mask, 0, m->x->words * sizeof *m->mask);
    m->general_count = 0;
    m->w.work = 0;
    for (int i = s->now.first; i < s->now.configs; i++) {
        struct config c = s->configs[i];

        if (mask_text(m, c) || mask_dfa(m, c)) continue;
        m->general[m->general_count++] = c;
    }
    walk_from(m, &m->x->all, m->general, m->general_count);
    if (grammar_state_done(s))
        for (int i = 0; i < m->x->end_count; i++)
            set_bit(m->mask, m->x->ends[i]);
}

static bool is_empty(const struct masker *m) {
    for (size_t word = 0; word < m->x->words; word++)
        if (m->mask[word]) return false;
    return true;
}

void grammar_state_mask(const struct grammar_state *s,
                        const struct tokenizer *t, int tokens_left,
                        uint64_t *mask) {
    const struct token_index *x = tokenizer_index(t);
    size_t count = (size_t)(s->now.configs - s->now.first);
    struct masker m = {
        .s = s,
        .x = x,
        .mask = mask,
        .marks = xalloc_array((size_t)x->all.depth_max + 1, sizeof *m.marks),
        .general = xalloc_array(count + 1, sizeof *m.general),
        .need_max = tokens_left - 1,
    };
    int need = walk_least_need(s);

    walk_init(&m.w, s);
    m.start = m.w.now;
    /* What cannot be finished in time is at least not made longer. */
    if (need > tokens_left) m.need_max = need - 1;
    fill(&m);
    if (is_empty(&m)) {
        m.need_max = GRAPH_NEED_MAX;
        fill(&m);
    }
    walk_clear(&m.w);
    free(m.marks);
    free(m.general);
}
