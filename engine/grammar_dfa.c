#include "engine/grammar_dfa.h"

#include <stdlib.h>
#include <string.h>

/* ---- in the making ---- */

static void grow(struct dfa_draft *d) {
    size_t capacity = d->capacity ? (size_t)d->capacity * 2 : 64;

    d->next = xrealloc_array(d->next, capacity, 256 * sizeof *d->next);
    d->accept = xrealloc_array(d->accept, capacity, 1);
    d->boundary = xrealloc_array(d->boundary, capacity, 1);
    d->capacity = (int)capacity;
}

int dfa_state(struct dfa_draft *d, bool accept, bool boundary) {
    if (d->count == DFA_STATES_MAX) {
        d->full = true;
        return 0;
    }
    if (d->count == d->capacity) grow(d);
    memset(d->next + (size_t)d->count * 256, 0xFF, 256 * sizeof *d->next);
    d->accept[d->count] = accept;
    d->boundary[d->count] = boundary;
    return d->count++;
}

void dfa_edge(struct dfa_draft *d, int from, int low, int high, int to) {
    for (int byte = low; byte <= high; byte++)
        d->next[from * 256 + byte] = (uint16_t)to;
}

static void draft_clear(struct dfa_draft *d) {
    free(d->next);
    free(d->accept);
    free(d->boundary);
    *d = (struct dfa_draft){0};
}

/* ---- finished ---- */

/* The states that lead to each state, one list after the other. */
struct sources {
    int *first; /* (count + 1) */
    int *list;
};

/* Calls for each edge once where neighbouring bytes lead to the same state. */
static void each_source(const struct dfa_draft *d, int *count_of,
                        struct sources *s) {
    for (int from = 0; from < d->count; from++) {
        const uint16_t *row = d->next + (size_t)from * 256;

        for (int byte = 0; byte < 256; byte++) {
            if (row[byte] == DFA_DEAD) continue;
            if (byte > 0 && row[byte] == row[byte - 1]) continue;
            if (s) s->list[s->first[row[byte]] + count_of[row[byte]]] = from;
            count_of[row[byte]]++;
        }
    }
}

static void sources_init(struct sources *s, const struct dfa_draft *d) {
    size_t count = (size_t)d->count;
    int *counts = xalloc_array(count, sizeof *counts);

    s->first = xalloc_array(count + 1, sizeof *s->first);
    each_source(d, counts, NULL);
    for (size_t i = 0; i < count; i++)
        s->first[i + 1] = s->first[i] + counts[i];
    s->list = xalloc_array((size_t)s->first[count] + 1, sizeof *s->list);
    memset(counts, 0, count * sizeof *counts);
    each_source(d, counts, s);
    free(counts);
}

/* From the accepting states backwards; DFA_DEAD where none can be reached. */
static uint16_t *needs_of(const struct dfa_draft *d) {
    size_t count = (size_t)d->count;
    uint16_t *need = xalloc_array(count, sizeof *need);
    int *queue = xalloc_array(count, sizeof *queue);
    struct sources sources;
    int head = 0, tail = 0;

    sources_init(&sources, d);
    for (int i = 0; i < d->count; i++) {
        need[i] = d->accept[i] ? 0 : DFA_DEAD;
        if (d->accept[i]) queue[tail++] = i;
    }
    while (head < tail) {
        int state = queue[head++];

        for (int i = sources.first[state]; i < sources.first[state + 1]; i++) {
            int from = sources.list[i];

            if (need[from] != DFA_DEAD) continue;
            need[from] = (uint16_t)(need[state] + 1);
            queue[tail++] = from;
        }
    }
    free(sources.first);
    free(sources.list);
    free(queue);
    return need;
}

static bool same_column(const struct dfa_draft *d, int a, int b) {
    for (int i = 0; i < d->count; i++)
        if (d->next[(size_t)i * 256 + (size_t)a] !=
            d->next[(size_t)i * 256 + (size_t)b])
            return false;
    return true;
}

/* Bytes that always lead to the same states are one class; those are nearly
 * always neighbours, and comparing with them alone keeps this linear. */
static void classes_of(struct dfa *out, const struct dfa_draft *d,
                       unsigned char *byte_of) {
    for (int byte = 0; byte < 256; byte++) {
        int class = byte > 0 ? out->class_of[byte - 1] : 0;

        if (byte == 0 || !same_column(d, byte - 1, byte)) {
            class = out->classes++;
            byte_of[class] = (unsigned char)byte;
        }
        out->class_of[byte] = (unsigned char)class;
    }
}

/* The states that lead somewhere, renumbered in their order. */
static struct dfa *compact(const struct dfa_draft *d, const uint16_t *need) {
    struct dfa *out = xalloc(sizeof *out);
    int *moved = xalloc_array((size_t)d->count, sizeof *moved);
    unsigned char byte_of[256];
    size_t at = 0;

    atomic_init(&out->references, 1);
    classes_of(out, d, byte_of);
    for (int i = 0; i < d->count; i++)
        moved[i] = need[i] == DFA_DEAD ? DFA_DEAD : out->count++;
    out->next =
        xalloc_array((size_t)(out->count * out->classes), sizeof *out->next);
    out->need = xalloc_array((size_t)out->count, sizeof *out->need);
    out->boundary = xalloc_array((size_t)out->count, 1);
    for (int i = 0; i < d->count; i++) {
        if (moved[i] == DFA_DEAD) continue;
        out->need[moved[i]] = need[i];
        out->boundary[moved[i]] = d->boundary[i];
        if (need[i] > out->need_max) out->need_max = need[i];
        for (int class = 0; class < out->classes; class ++) {
            int to = d->next[(size_t)i * 256 + byte_of[class]];

            out->next[at++] = (uint16_t)(to == DFA_DEAD ? DFA_DEAD : moved[to]);
        }
    }
    free(moved);
    return out;
}

struct dfa *dfa_finish(struct dfa_draft *d, struct err *err) {
    struct dfa *out = NULL;
    uint16_t *need = NULL;

    if (d->full) {
        err_set(err, ERR_LIMIT, "needs an automaton of more than %d states",
                DFA_STATES_MAX);
        goto out;
    }
    if (d->count > 0) need = needs_of(d);
    if (!need || need[0] == DFA_DEAD) {
        err_set(err, ERR_INPUT, "no text fits");
        goto out;
    }
    out = compact(d, need);

out:
    free(need);
    draft_clear(d);
    return out;
}

struct dfa *dfa_ref(struct dfa *d) {
    atomic_fetch_add(&d->references, 1);
    return d;
}

void dfa_free(struct dfa *d) {
    if (!d || atomic_fetch_sub(&d->references, 1) > 1) return;
    free(d->next);
    free(d->need);
    free(d->boundary);
    free(d);
}

bool dfa_goes_on(const struct dfa *d, int state) {
    for (int class = 0; class < d->classes; class ++)
        if (d->next[state * d->classes + class] != DFA_DEAD) return true;
    return false;
}

bool dfa_matches(const struct dfa *d, struct span text) {
    int state = 0;

    for (size_t i = 0; i < text.size && state != DFA_DEAD; i++)
        state = dfa_step(d, state, (unsigned char)text.at[i]);
    return state != DFA_DEAD && dfa_accepts(d, state);
}

/* ---- products ---- */

/* Pairs (a state, a number below `width`) and the states they became; 0 is
 * not yet one. */
struct pairs {
    struct dfa_draft draft;
    struct pair {
        int state, other;
    } * list; /* (DFA_STATES_MAX) */
    int *slots;
    size_t slot_count;
};

static void pairs_init(struct pairs *p) {
    *p = (struct pairs){.slot_count = 4 * DFA_STATES_MAX};
    p->list = xalloc_array(DFA_STATES_MAX, sizeof *p->list);
    p->slots = xalloc_array(p->slot_count, sizeof *p->slots);
}

static struct dfa *pairs_finish(struct pairs *p, struct err *err) {
    free(p->list);
    free(p->slots);
    return dfa_finish(&p->draft, err);
}

static int pair_state(struct pairs *p, int state, int other, bool accept,
                      bool boundary) {
    size_t slot =
        ((size_t)state * 40503 + (size_t)other * 2654435761u) % p->slot_count;
    int made;

    for (; p->slots[slot]; slot = (slot + 1) % p->slot_count) {
        const struct pair *have = &p->list[p->slots[slot] - 1];

        if (have->state == state && have->other == other)
            return p->slots[slot] - 1;
    }
    made = dfa_state(&p->draft, accept, boundary);
    if (p->draft.full) return 0;
    p->list[made] = (struct pair){state, other};
    p->slots[slot] = made + 1;
    return made;
}

static int both_state(struct pairs *p, const struct dfa *a, int state,
                      const struct dfa *b, int other) {
    return pair_state(p, state, other,
                      dfa_accepts(a, state) && dfa_accepts(b, other),
                      a->boundary[state] && b->boundary[other]);
}

struct dfa *dfa_both(const struct dfa *a, const struct dfa *b,
                     struct err *err) {
    struct pairs p;

    pairs_init(&p);
    (void)both_state(&p, a, 0, b, 0);
    for (int i = 0; i < p.draft.count && !p.draft.full; i++)
        for (int byte = 0; byte < 256; byte++) {
            int state = dfa_step(a, p.list[i].state, (unsigned char)byte);
            int other = dfa_step(b, p.list[i].other, (unsigned char)byte);

            if (state == DFA_DEAD || other == DFA_DEAD) continue;
            dfa_edge(&p.draft, i, byte, byte,
                     both_state(&p, a, state, b, other));
        }
    return pairs_finish(&p, err);
}

/* A character is counted when its last byte was read. Past `least` without a
 * limit, counting stops. */
static int sized_state(struct pairs *p, const struct dfa *d, int state,
                       int count, int least) {
    return pair_state(p, state, count, dfa_accepts(d, state) && count >= least,
                      d->boundary[state]);
}

struct dfa *dfa_sized(const struct dfa *d, int least, int most,
                      struct err *err) {
    struct pairs p;

    pairs_init(&p);
    (void)sized_state(&p, d, 0, 0, least);
    for (int i = 0; i < p.draft.count && !p.draft.full; i++)
        for (int byte = 0; byte < 256; byte++) {
            int state = dfa_step(d, p.list[i].state, (unsigned char)byte);
            int count = p.list[i].other;

            if (state == DFA_DEAD) continue;
            count += d->boundary[state];
            if (most >= 0 && count > most) continue;
            if (most < 0 && count > least) count = least;
            dfa_edge(&p.draft, i, byte, byte,
                     sized_state(&p, d, state, count, least));
        }
    return pairs_finish(&p, err);
}
