/* test_activation.c - rows with one huge channel keep the precision of their
 * other numbers, whatever rows stand beside them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "engine/pack.h"
#include "engine/pool.h"
#include "engine/quant.h"

enum { ROWS = 150, HUGE_EVERY = 3 }; /* more than two chunks */

struct fixture {
    struct gguf *gguf;
    struct pool *pool;
    const struct gguf_tensor *tensor;
    struct packed packed;
    struct activation a;
    size_t k, n;
    float *x, *got;
};

/* Every third row has a channel a hundred times larger than the rest, in a
 * group that differs from row to row. */
static void setup(struct fixture *f, const char *tensor,
                  const struct kernels *kernels) {
    struct err err = {0};

    *f = (struct fixture){.gguf = gguf_open("tests/unit/data/tiny.gguf", &err)};
    assert_non_null(f->gguf);
    f->pool = pool_open(1, &err);
    f->tensor = gguf_tensor(f->gguf, tensor);
    assert_non_null(f->tensor);
    assert_true(pack_tensor(&f->packed, f->tensor, &kernels_scalar, false,
                            f->pool, &err));
    assert_int_equal(f->packed.kind, PACK_QUANT);
    f->k = f->packed.k;
    f->n = f->packed.n;
    f->x = xalloc_array(ROWS * f->k, sizeof *f->x);
    f->got = xalloc_array(ROWS * f->n, sizeof *f->got);
    for (size_t i = 0; i < ROWS * f->k; i++) f->x[i] = sinf((float)i * 0.7f);
    for (size_t r = 0; r < ROWS; r += HUGE_EVERY)
        f->x[r * f->k + (r * 11) % f->k] = 100;
    activation_init(&f->a, ACTIVATION_QUANT, ROWS, f->k);
    activation_begin(&f->a, f->x, f->k, f->k);
    for (size_t r = 0; r < ROWS; r++)
        activation_fill(&f->a, kernels, PACK_QUANT, r, 0, f->k);
}

static void teardown(struct fixture *f) {
    activation_clear(&f->a);
    pack_clear(&f->packed);
    pool_close(f->pool);
    gguf_close(f->gguf);
    free(f->x);
    free(f->got);
}

/* The root mean square error of some rows against the dequantised product;
 * the huge channel's own share is exact enough in both and does not count. */
static double error_of(const struct fixture *f, const float *got) {
    float *line = xalloc_array(f->k, sizeof *line);
    double total = 0;
    size_t count = 0;

    for (size_t c = 0; c < f->n; c++) {
        quant_row(f->tensor->type,
                  (const uint8_t *)f->tensor->data +
                      c * quant_row_bytes(f->tensor->type, f->k),
                  f->k, line);
        for (size_t r = 0; r < ROWS; r += HUGE_EVERY, count++) {
            double want = 0;

            for (size_t i = 0; i < f->k; i++)
                want += (double)line[i] * (double)f->x[r * f->k + i];
            total += (want - (double)got[r * f->n + c]) *
                     (want - (double)got[r * f->n + c]);
        }
    }
    free(line);
    return sqrt(total / (double)count);
}

static void check(const char *tensor, const char *name) {
    const struct kernels *kernels = kernels_named(name);
    struct fixture f;
    struct kernel_input x;
    double plain, spilled;

    if (!kernels) return;
    setup(&f, tensor, kernels);
    x = activation_input(&f.a, 0, ROWS);
    x.spills = NULL;
    kernels->gemm_q(f.packed.format, f.packed.data, f.n, &x, f.got, f.n, false);
    plain = error_of(&f, f.got);
    pack_apply(&f.packed, kernels, &f.a, 0, ROWS, 0, pack_panels(&f.packed),
               f.got, f.n, false);
    spilled = error_of(&f, f.got);
    if (!(spilled < plain / 4))
        fail_msg("%s, %s: %g of %g is left", tensor, name, spilled, plain);
    /* One row alone, and in two pieces, gives the same bits. */
    for (size_t r = 0; r < ROWS; r += 7) {
        float *alone = xalloc_array(f.n, sizeof *alone);

        pack_apply(&f.packed, kernels, &f.a, r, 1, 0, 1, alone, f.n, false);
        pack_apply(&f.packed, kernels, &f.a, r, 1, 1, pack_panels(&f.packed),
                   alone, f.n, false);
        for (size_t c = 0; c < f.n; c++)
            assert_true(fabsf(alone[c] - f.got[r * f.n + c]) <=
                        1e-4f * (1 + fabsf(alone[c])));
        free(alone);
    }
    teardown(&f);
}

static void test_formats(void **state) {
    (void)state;
    for (size_t i = 0; kernels_name(i); i++) {
        check("blk.0.attn_q.weight", kernels_name(i));   /* Q4_K */
        check("blk.0.attn_k.weight", kernels_name(i));   /* Q6_K */
        check("blk.0.attn_v.weight", kernels_name(i));   /* Q8_0 */
        check("blk.0.ffn_gate.weight", kernels_name(i)); /* Q4_1 */
        check("blk.1.ffn_gate.weight", kernels_name(i)); /* Q2_K */
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_formats)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
