/* test_pack.c - repacked matrices against the dequantised tensor they came
 * from, for every matrix of the tiny model, whole and by pieces. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "engine/pack.h"
#include "engine/pool.h"
#include "engine/quant.h"

enum { ROWS = 5 };

static float wave(size_t i) {
    return sinf((float)i * 0.7f) * (1.0f + (float)(i % 7));
}

/* out = W x by the reference dequantisation. */
static void reference(const struct gguf_tensor *t, const float *x, float *out) {
    size_t k = (size_t)t->size[0];
    size_t n = (size_t)t->size[1];
    float *line = xalloc_array(k, sizeof *line);

    for (size_t c = 0; c < n; c++) {
        quant_row(t->type,
                  (const uint8_t *)t->data + c * quant_row_bytes(t->type, k), k,
                  line);
        for (size_t r = 0; r < ROWS; r++) {
            double total = 0;

            for (size_t i = 0; i < k; i++)
                total += (double)line[i] * (double)x[r * k + i];
            out[r * n + c] = (float)total;
        }
    }
    free(line);
}

static void check_tensor(const struct gguf_tensor *t,
                         const struct kernels *kernels, bool exact,
                         struct pool *pool) {
    size_t k = (size_t)t->size[0];
    size_t n = (size_t)t->size[1];
    struct packed p = {0};
    struct activation a;
    struct err err = {0};
    float *x = xalloc_array(ROWS * k, sizeof *x);
    float *want = xalloc_array(ROWS * n, sizeof *want);
    float *got = xalloc_array(ROWS * n, sizeof *got);
    double difference = 0;
    double size = 0;

    for (size_t i = 0; i < ROWS * k; i++) x[i] = wave(i);
    reference(t, x, want);
    if (!pack_tensor(&p, t, exact, pool, &err)) fail_msg("%s", err.text);
    activation_init(&a, ROWS, k);
    activation_begin(&a, x, k, k);
    for (size_t r = 0; r < ROWS; r++)
        activation_fill(&a, kernels, (int)p.kind, r, 0, k);
    /* In pieces, as the tasks of a pass do it. */
    for (size_t from = 0; from < pack_panels(&p); from += 3)
        pack_apply(&p, kernels, &a, 0, ROWS, from, from + 3, got, n, false);
    for (size_t i = 0; i < ROWS * n; i++) {
        difference += (double)(got[i] - want[i]) * (double)(got[i] - want[i]);
        size += (double)want[i] * (double)want[i];
    }
    if (!(sqrt(difference / size) < (exact ? 1e-5 : 0.02)))
        fail_msg("%.*s %s: off by %g", (int)t->name.size, t->name.at,
                 gguf_type_name(t->type), sqrt(difference / size));
    /* Adding twice doubles; rows may begin anywhere. */
    pack_apply(&p, kernels, &a, 2, ROWS - 2, 0, pack_panels(&p), got + 2 * n, n,
               true);
    for (size_t i = 2 * n; i < ROWS * n; i++)
        assert_float_equal(got[i], 2 * want[i],
                           (exact ? 1e-3f : 0.1f) * (10 + fabsf(want[i])));
    activation_clear(&a);
    pack_clear(&p);
    free(x);
    free(want);
    free(got);
}

static void check_all(const char *name, bool exact) {
    const struct kernels *kernels = kernels_named(name);
    struct err err = {0};
    struct gguf *g = gguf_open("tests/unit/data/tiny.gguf", &err);
    struct pool *pool = pool_open(3, &err);
    int checked = 0;

    if (!g) fail_msg("%s", err.text);
    for (size_t i = 0; kernels && i < gguf_tensor_count(g); i++) {
        const struct gguf_tensor *t = gguf_tensor_at(g, i);

        if (t->dims != 2) continue;
        check_tensor(t, kernels, exact, pool);
        checked++;
    }
    assert_true(!kernels || checked == 16);
    pool_close(pool);
    gguf_close(g);
}

static void test_each_table(void **state) {
    (void)state;
    for (size_t i = 0; kernels_name(i); i++) check_all(kernels_name(i), false);
}

static void test_exact(void **state) {
    (void)state;
    check_all("scalar", true);
}

static void test_refused(void **state) {
    float numbers[64] = {0};
    uint8_t q4[18 * 2] = {0};
    struct gguf_tensor t = {span_of("t"),  GGUF_F32, 2,
                            {32, 2, 1, 1}, numbers,  sizeof numbers};
    struct packed p = {0};
    struct err err = {0};
    struct pool *pool = pool_open(1, &err);

    (void)state;
    numbers[40] = INFINITY;
    assert_false(pack_tensor(&p, &t, false, pool, &err));
    assert_int_equal(err.code, ERR_INPUT);
    assert_null(p.data);
    t.type = GGUF_Q4_0;
    t.data = q4;
    q4[18 + 1] = 0x7c;
    assert_false(pack_tensor(&p, &t, false, pool, &err));
    assert_int_equal(err.code, ERR_INPUT);
    t.type = GGUF_I8;
    assert_false(pack_tensor(&p, &t, false, pool, &err));
    t.type = GGUF_F32;
    t.size[0] = 16;
    assert_false(pack_tensor(&p, &t, false, pool, &err));
    assert_int_equal(err.code, ERR_UNSUPPORTED);
    assert_false(pack_floats(&p, numbers, 2, 32, 1.0f, PACK_BF16, &err));
    pool_close(pool);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_table),
        cmocka_unit_test(test_exact),
        cmocka_unit_test(test_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
