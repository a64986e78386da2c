#include "engine/grammar_cache.h"

#include <stdlib.h>
#include <string.h>

enum { SLOTS = 2 * GRAMMAR_CACHE_ENTRIES_MAX };

/* ---- one entry ---- */

struct walk {
    const struct token_index *index;
    int *tokens; /* (vocab) */
    int token_count;
    struct trie_item *leaving;
    int leaving_count;
    int leaving_capacity;
};

static void add_leaving(struct walk *w, struct trie_item item, size_t from) {
    if (w->leaving_count == w->leaving_capacity) {
        w->leaving_capacity =
            w->leaving_capacity ? 2 * w->leaving_capacity : 16;
        w->leaving = xrealloc_array(w->leaving, (size_t)w->leaving_capacity,
                                    sizeof *w->leaving);
    }
    item.text = span_slice(item.text, from, item.text.size);
    w->leaving[w->leaving_count++] = item;
}

/* The items below a node lie side by side in the list. */
static void leave_at(struct walk *w, const struct trie_node *n) {
    const struct trie *all = &w->index->all;
    int end =
        n->skip < all->count ? all->nodes[n->skip].first : all->item_count;

    for (int i = n->first + n->count; i < end; i++)
        add_leaving(w, all->items[i], n->depth);
}

static void walk(struct walk *w, const struct dfa *d, int state) {
    const struct trie *all = &w->index->all;
    uint16_t *states = xalloc_array((size_t)all->depth_max + 1, sizeof *states);

    states[0] = (uint16_t)state;
    for (int i = 0; i < all->count;) {
        const struct trie_node *n = &all->nodes[i];
        int next = dfa_step(d, states[n->depth - 1], n->byte);

        if (next == DFA_DEAD) {
            i = n->skip;
            continue;
        }
        states[n->depth] = (uint16_t)next;
        for (int k = 0; k < n->count; k++)
            w->tokens[w->token_count++] = all->items[n->first + k].token;
        if (dfa_accepts(d, next)) leave_at(w, n);
        i++;
    }
    free(states);
}

static struct dfa_tokens *entry_new(const struct dfa *d, int state,
                                    const struct token_index *x) {
    struct dfa_tokens *e = xalloc(sizeof *e);
    struct walk w = {.index = x,
                     .tokens = xalloc_array((size_t)x->vocab, sizeof(int))};
    size_t count;

    walk(&w, d, state);
    count = (size_t)w.token_count;
    *e = (struct dfa_tokens){.dfa = d, .state = state};
    e->token_count = w.token_count;
    if (count * sizeof(int) > x->words * sizeof(uint64_t)) {
        e->mask = xalloc_array(x->words, sizeof *e->mask);
        for (size_t i = 0; i < count; i++)
            e->mask[w.tokens[i] / 64] |= 1ull << (w.tokens[i] % 64);
    } else {
        e->tokens = xalloc_array(count + 1, sizeof *e->tokens);
        memcpy(e->tokens, w.tokens, count * sizeof *e->tokens);
    }
    trie_init(&e->leaving, w.leaving, w.leaving_count);
    free(w.tokens);
    return e;
}

static size_t entry_size(const struct dfa_tokens *e,
                         const struct token_index *x) {
    size_t tokens = e->mask ? x->words * sizeof *e->mask
                            : (size_t)e->token_count * sizeof *e->tokens;

    return sizeof *e + tokens + trie_size(&e->leaving);
}

static void entry_free(struct dfa_tokens *e) {
    if (!e) return;
    free(e->mask);
    free(e->tokens);
    trie_clear(&e->leaving);
    free(e);
}

/* ---- all of them ---- */

void grammar_cache_init(struct grammar_cache *c) {
    *c = (struct grammar_cache){0};
    pthread_mutex_init(&c->lock, NULL);
}

static void drop_all(struct grammar_cache *c) {
    for (int i = 0; c->slots && i < SLOTS; i++) {
        entry_free(c->slots[i]);
        c->slots[i] = NULL;
    }
    c->count = 0;
    c->bytes = 0;
}

void grammar_cache_clear(struct grammar_cache *c) {
    drop_all(c);
    free(c->slots);
    pthread_mutex_destroy(&c->lock);
}

static struct dfa_tokens **slot_of(struct grammar_cache *c, const struct dfa *d,
                                   int state) {
    size_t slot = ((uintptr_t)d / sizeof *d * 31 + (size_t)state) % SLOTS;

    while (c->slots[slot] &&
           (c->slots[slot]->dfa != d || c->slots[slot]->state != state))
        slot = (slot + 1) % SLOTS;
    return &c->slots[slot];
}

const struct dfa_tokens *grammar_cache_enter(struct grammar_cache *c,
                                             const struct dfa *d, int state,
                                             const struct token_index *x) {
    struct dfa_tokens **slot, *made;

    pthread_mutex_lock(&c->lock);
    if (!c->slots) c->slots = xalloc_array(SLOTS, sizeof(struct dfa_tokens *));
    if (c->index != x) drop_all(c);
    c->index = x;
    slot = slot_of(c, d, state);
    if (*slot) return *slot;
    made = entry_new(d, state, x);
    /* What is full starts anew: which entry is used next is anyone's guess. */
    if (c->bytes + entry_size(made, x) > GRAMMAR_CACHE_BYTES_MAX ||
        c->count == GRAMMAR_CACHE_ENTRIES_MAX) {
        drop_all(c);
        slot = slot_of(c, d, state);
    }
    *slot = made;
    c->count++;
    c->bytes += entry_size(made, x);
    return made;
}

void grammar_cache_leave(struct grammar_cache *c) {
    pthread_mutex_unlock(&c->lock);
}
