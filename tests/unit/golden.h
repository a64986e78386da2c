/* golden.h - the golden logits that tests/reference makes, and a pass over a
 * prompt to compare with them. */
#ifndef CORRAL_TESTS_UNIT_GOLDEN_H
#define CORRAL_TESTS_UNIT_GOLDEN_H

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "engine/model.h"

enum { GOLDEN_IDS_MAX = 2048, GOLDEN_VALUES_MAX = 300 };

struct golden {
    int count;
    int ids[GOLDEN_IDS_MAX];
    int best;
    int values;
    int index[2 * GOLDEN_VALUES_MAX];
    float value[2 * GOLDEN_VALUES_MAX];
};

static inline int golden_pairs(FILE *f, const char *word, struct golden *g) {
    char name[8] = "";
    int count = 0;

    if (fscanf(f, "%7s %d", name, &count) != 2 || strcmp(name, word) ||
        count < 1 || count > GOLDEN_VALUES_MAX)
        return -1;
    for (int i = 0; i < count; i++, g->values++)
        if (fscanf(f, "%d %f", &g->index[g->values], &g->value[g->values]) != 2)
            return -1;
    return count;
}

/* The next case; false at the end of the file. A broken file aborts. */
static inline bool golden_next(FILE *f, struct golden *g) {
    g->values = 0;
    if (fscanf(f, " case %d", &g->count) != 1) return false;
    if (g->count < 1 || g->count > GOLDEN_IDS_MAX) abort();
    for (int i = 0; i < g->count; i++)
        if (fscanf(f, "%d", &g->ids[i]) != 1) abort();
    if (golden_pairs(f, "top", g) < 1) abort();
    g->best = g->index[0];
    if (golden_pairs(f, "sample", g) < 1) abort();
    return true;
}

static inline struct kv *golden_kv(const struct model *m, int positions,
                                   enum kv_type type) {
    const struct model_shape *s = model_shape(m);
    struct kv_shape shape = {s->blocks, s->kv_heads, s->head_size, positions,
                             type};
    struct kv *kv = kv_new(&shape, NULL);

    if (!kv) abort();
    return kv;
}

/* Feed ids[0..count) in steps of at most `step` rows and write the hidden
 * state of the last one. The sequence stays the caller's. */
static inline struct sequence *golden_feed(struct model *m, struct kv *kv,
                                           const int *ids, int count, int step,
                                           const struct adapter *adapter,
                                           int active_from, float *hidden) {
    struct kv_key *keys = xalloc_array((size_t)count, sizeof *keys);
    struct row *rows = xalloc_array((size_t)count, sizeof *rows);
    struct sequence *s;
    int at = 0;

    for (int i = 0; i < count; i++) {
        bool active = adapter && i >= active_from;

        keys[i] = (struct kv_key){ids[i], active ? adapter_id(adapter) : 0};
    }
    s = sequence_new(kv, keys, count, &at);
    if (!sequence_extend(s, keys + at, count - at, NULL)) abort();
    while (at < count) {
        int n = count - at < step ? count - at : step;

        for (int i = 0; i < n; i++)
            rows[i] = (struct row){ids[at + i], at + i, s,
                                   keys[at + i].adapter ? adapter : NULL,
                                   at + i == count - 1};
        model_forward(m, rows, n, hidden);
        at += n;
        sequence_commit(s, at);
    }
    free(keys);
    free(rows);
    return s;
}

#endif
