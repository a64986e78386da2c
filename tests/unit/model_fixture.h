/* model_fixture.h - an open model with a KV cache, and its logits compared with
 * a golden file's. After cmocka.h. */
#ifndef CORRAL_TESTS_UNIT_MODEL_FIXTURE_H
#define CORRAL_TESTS_UNIT_MODEL_FIXTURE_H

#include "tests/unit/golden.h"

enum { ROWS = 512, POSITIONS = 2048 };

struct fixture {
    struct gguf *gguf;
    struct model *model;
    struct kv *kv;
    float *hidden;
    float *logits;
};

static inline void open_model(struct fixture *f, const char *path,
                              const char *cpu, bool exact, int threads) {
    struct model_options options = {threads, ROWS, exact};
    struct err err = {0};

    if (cpu) setenv("CORRAL_CPU", cpu, 1);
    f->gguf = gguf_open(path, &err);
    if (!f->gguf) fail_msg("%s (scripts/setup gets the model)", err.text);
    f->model = model_open(f->gguf, &options, &err);
    if (!f->model) fail_msg("%s", err.text);
    unsetenv("CORRAL_CPU");
    f->kv = golden_kv(f->model, POSITIONS, exact ? KV_F32 : KV_I16);
    f->hidden = xalloc_array((size_t)(ROWS * model_shape(f->model)->embedding),
                             sizeof(float));
    f->logits =
        xalloc_array((size_t)model_shape(f->model)->vocab, sizeof(float));
}

static inline void close_model(struct fixture *f) {
    model_close(f->model);
    kv_free(f->kv);
    gguf_close(f->gguf);
    free(f->hidden);
    free(f->logits);
}

static inline int best_of(const float *x, int count) {
    int best = 0;

    for (int i = 1; i < count; i++)
        if (x[i] > x[best]) best = i;
    return best;
}

/* Largest difference over all cases; top-1 must agree in exact mode. */
static inline double worst_of(struct fixture *f, const char *path, int step,
                              bool same_top, int cases_max) {
    FILE *file = fopen(path, "r");
    struct golden *g = xalloc(sizeof *g);
    double worst = 0;
    double total = 0;
    int values = 0;
    int cases = 0;
    int same = 0;

    assert_non_null(file);
    while (cases < cases_max && golden_next(file, g)) {
        struct sequence *s = golden_feed(f->model, f->kv, g->ids, g->count,
                                         step, NULL, 0, f->hidden);
        int best;

        model_logits(f->model, f->hidden, 1, f->logits);
        best = best_of(f->logits, model_shape(f->model)->vocab);
        if (same_top) assert_int_equal(best, g->best);
        same += best == g->best;
        for (int i = 0; i < g->values; i++) {
            double d = fabs((double)(f->logits[g->index[i]] - g->value[i]));

            if (d > worst || isnan(d)) worst = d;
            total += d;
            values++;
        }
        cases++;
        sequence_free(s);
    }
    print_message("%s, %s: worst %.4f, mean %.4f, same top-1 in %d of %d\n",
                  path, model_kernels(f->model), worst, total / values, same,
                  cases);
    assert_true(cases >= 3);
    fclose(file);
    free(g);
    return worst;
}

#endif
