/* test_repack.c - matrices that are packed on the side: the same bits before
 * and after, taken over by the owner only, and an end at any moment. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "engine/pool.h"
#include "engine/quant.h"
#include "engine/repack.h"

#include "tests/unit/model_fixture.h"

enum { COUNT = 8, OUT = 2 };

struct set {
    struct gguf *gguf;
    const struct kernels *kernels;
    struct packed matrix[COUNT];
    const struct gguf_tensor *tensor[COUNT];
    struct repack *repack;
    size_t count;
};

/* The K-quants of the tiny model that this table leaves in their rows. */
static void open_set(struct set *s, const struct kernels *kernels) {
    struct err err = {0};
    struct pool *pool = pool_open(1, &err);

    *s = (struct set){.kernels = kernels, .repack = repack_new(COUNT)};
    s->gguf = gguf_open("tests/unit/data/tiny.gguf", &err);
    assert_non_null(s->gguf);
    for (size_t i = 0; i < gguf_tensor_count(s->gguf); i++) {
        const struct gguf_tensor *t = gguf_tensor_at(s->gguf, i);
        struct packed *p = &s->matrix[s->count];

        if (t->dims != 2 || s->count == COUNT) continue;
        assert_true(pack_tensor(p, t, kernels, false, pool, &err));
        if (!p->rows) {
            pack_clear(p);
            continue;
        }
        s->tensor[s->count++] = t;
        assert_true(repack_add(s->repack, p, t, &err));
    }
    pool_close(pool);
}

static void close_set(struct set *s) {
    repack_free(s->repack);
    for (size_t i = 0; i < s->count; i++) pack_clear(&s->matrix[i]);
    gguf_close(s->gguf);
}

/* W times two rows of numbers. */
static float *product(const struct set *s, size_t i) {
    const struct packed *p = &s->matrix[i];
    float *x = xalloc_array(OUT * p->k, sizeof *x);
    float *out = xalloc_array(OUT * p->n, sizeof *out);
    struct activation a;

    for (size_t j = 0; j < OUT * p->k; j++) x[j] = sinf((float)j);
    activation_init(&a, ACTIVATION_QUANT, OUT, p->k);
    activation_begin(&a, x, p->k, p->k);
    for (size_t row = 0; row < OUT; row++)
        activation_fill(&a, s->kernels, (int)p->kind, row, 0, p->k);
    pack_apply(p, s->kernels, &a, 0, OUT, 0, pack_panels(p), out, p->n, false);
    activation_clear(&a);
    free(x);
    return out;
}

static void check_same(const struct kernels *kernels) {
    struct set s;
    float *before[COUNT];
    struct err err = {0};

    open_set(&s, kernels);
    assert_true(s.count > 1);
    assert_int_equal(repack_left(s.repack), s.count);
    repack_take(s.repack); /* nothing is done yet */
    for (size_t i = 0; i < s.count; i++) before[i] = product(&s, i);
    assert_true(repack_start(s.repack, &err));
    while (repack_left(s.repack)) (void)sched_yield();
    for (size_t i = 0; i < s.count; i++) assert_true(s.matrix[i].rows);
    repack_take(s.repack);
    for (size_t i = 0; i < s.count; i++) {
        float *after = product(&s, i);

        assert_false(s.matrix[i].rows);
        assert_ptr_not_equal(s.matrix[i].data, s.tensor[i]->data);
        assert_memory_equal(after, before[i],
                            OUT * s.matrix[i].n * sizeof(float));
        free(after);
        free(before[i]);
    }
    close_set(&s);
}

/* Ended before its start, at work, and with copies that nobody took. */
static void check_ends(const struct kernels *kernels) {
    struct err err = {0};

    for (int i = 0; i < 3; i++) {
        struct set s;

        open_set(&s, kernels);
        if (i) assert_true(repack_start(s.repack, &err));
        while (i == 2 && repack_left(s.repack)) (void)sched_yield();
        close_set(&s);
    }
}

static bool reads_rows(const struct kernels *k) {
    for (int f = 0; k && f < KERNEL_FORMATS; f++)
        if (k->gemm_rows[f]) return true;
    return false;
}

static void test_each_table(void **state) {
    (void)state;
    for (size_t i = 0; kernels_name(i); i++) {
        const struct kernels *kernels = kernels_named(kernels_name(i));

        if (!reads_rows(kernels)) continue;
        check_same(kernels);
        check_ends(kernels);
    }
}

/* A model answers the same before, while and after it is packed. */
static void test_model(void **state) {
    struct fixture f;
    float *first = NULL;
    size_t bytes;
    bool seen = false;
    int ids[40];

    (void)state;
    for (int i = 0; i < 40; i++) ids[i] = i * 37 % 260;
    open_model(&f, "tests/unit/data/tiny.gguf", NULL, false, 2);
    bytes = (size_t)model_shape(f.model)->vocab * sizeof *first;
    first = xalloc(bytes);
    for (bool packed = false, last = false; !last;) {
        struct sequence *s;

        last = packed;
        packed = model_unpacked(f.model) == 0;
        s = golden_feed(f.model, f.kv, ids, 40, 7, NULL, 0, f.hidden);
        model_logits(f.model, f.hidden, 1, f.logits);
        sequence_free(s);
        if (!seen) memcpy(first, f.logits, bytes);
        seen = true;
        assert_memory_equal(first, f.logits, bytes);
    }
    free(first);
    close_model(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_table),
        cmocka_unit_test(test_model),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
