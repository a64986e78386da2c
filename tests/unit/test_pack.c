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
    if (!pack_tensor(&p, t, kernels, exact, pool, &err))
        fail_msg("%s", err.text);
    activation_init(&a, (int)p.kind, ROWS, k);
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

/* The kernels that read a file's own rows give the very bits that packed panels
 * give, for any number of rows, and with large channels. */
static void check_rows(const struct gguf_tensor *t,
                       const struct kernels *kernels, struct pool *pool) {
    enum { MANY = 15 };
    struct kernels packing = *kernels;
    size_t k = (size_t)t->size[0], n = (size_t)t->size[1];
    struct packed p = {0}, in_place = {0};
    struct activation a;
    struct err err = {0};
    float *x = xalloc_array(MANY * k, sizeof *x);
    float *out[2];

    memset(packing.gemm_rows, 0, sizeof packing.gemm_rows);
    assert_true(pack_tensor(&p, t, &packing, false, pool, &err));
    assert_true(pack_tensor(&in_place, t, kernels, false, pool, &err));
    assert_true(in_place.rows && !p.rows && in_place.data == t->data);
    for (size_t i = 0; i < MANY * k; i++)
        x[i] = wave(i) * (i % 301 == 0 ? 90.0f : 1.0f);
    activation_init(&a, ACTIVATION_QUANT, MANY, k);
    activation_begin(&a, x, k, k);
    for (size_t r = 0; r < MANY; r++)
        activation_fill(&a, kernels, (int)p.kind, r, 0, k);
    for (int i = 0; i < 2; i++) out[i] = xalloc_array(MANY * n, sizeof(float));
    for (size_t rows = 1; rows <= MANY; rows++) {
        pack_apply(&p, kernels, &a, 0, rows, 0, pack_panels(&p), out[0], n,
                   rows % 2);
        pack_apply(&in_place, kernels, &a, 0, rows, 0, pack_panels(&p), out[1],
                   n, rows % 2);
        assert_memory_equal(out[0], out[1], rows * n * sizeof(float));
    }
    for (int i = 0; i < 2; i++) free(out[i]);
    activation_clear(&a);
    pack_clear(&in_place);
    pack_clear(&p);
    free(x);
}

/* Random codes and small scales for a tensor of two dimensions. */
static uint8_t *random_rows(struct gguf_tensor *t) {
    uint32_t seed = 1;
    uint8_t *data;

    t->bytes = t->size[1] * quant_row_bytes(t->type, (size_t)t->size[0]);
    t->data = data = xalloc(t->bytes);
    for (size_t i = 0; i < t->bytes; i++) {
        seed = seed * 1664525u + 1013904223u;
        data[i] = (uint8_t)(seed >> 24) & 0xbb; /* no f16 is infinite */
    }
    return data;
}

static void check_random_rows(enum gguf_type type, size_t k, size_t n,
                              const struct kernels *kernels,
                              struct pool *pool) {
    struct gguf_tensor t = {span_of("t"), type, 2, {k, n, 1, 1}, NULL, 0};
    uint8_t *data = random_rows(&t);

    check_rows(&t, kernels, pool);
    free(data);
}

static void test_rows(void **state) {
    static const enum gguf_type types[] = {GGUF_Q4_K, GGUF_Q6_K};
    struct err err = {0};
    struct pool *pool = pool_open(2, &err);

    (void)state;
    for (size_t i = 0; kernels_name(i); i++) {
        const struct kernels *kernels = kernels_named(kernels_name(i));

        for (size_t j = 0; kernels && j < 2; j++) {
            enum kernel_format f = j ? KERNEL_Q6_K : KERNEL_Q4_K;

            if (!kernels->gemm_rows[f]) continue;
            check_random_rows(types[j], 256, 16, kernels, pool);
            check_random_rows(types[j], 1024, 48, kernels, pool);
            check_random_rows(types[j], 1536, 64, kernels, pool);
        }
    }
    pool_close(pool);
}

/* Each row of what is packed, taken out again, is that of the tensor, to the
 * last bit, but for the sign of a zero; the last block of the plain formats is
 * not full. */
static void test_taken_out(void **state) {
    static const enum gguf_type types[] = {
        GGUF_Q4_0, GGUF_Q4_1, GGUF_Q5_0, GGUF_Q5_1, GGUF_Q8_0,  GGUF_Q2_K,
        GGUF_Q3_K, GGUF_Q4_K, GGUF_Q5_K, GGUF_Q6_K, GGUF_IQ4_NL};
    struct err err = {0};
    struct pool *pool = pool_open(2, &err);

    (void)state;
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        bool small = types[i] < GGUF_Q2_K || types[i] == GGUF_IQ4_NL;
        size_t k = small ? 352 : 512;
        struct gguf_tensor t = {span_of("t"),  types[i], 2,
                                {k, 37, 1, 1}, NULL,     0};
        size_t row_bytes = quant_row_bytes(types[i], k);
        uint8_t *data = random_rows(&t);
        struct packed p = {0};
        float got[512], want[512];

        assert_true(pack_tensor(&p, &t, &kernels_scalar, false, pool, &err));
        assert_true(pack_keeps(&p));
        for (size_t row = 0; row < 37; row++) {
            pack_row(&p, row, got);
            quant_row(types[i], data + row * row_bytes, k, want);
            for (size_t c = 0; c < k; c++) assert_true(got[c] == want[c]);
        }
        pack_clear(&p);
        free(data);
    }
    pool_close(pool);
}

static void test_refused(void **state) {
    float numbers[64] = {0};
    uint8_t q4[18 * 2] = {0};
    uint8_t q6[16 * 210] = {0};
    struct gguf_tensor t = {span_of("t"),  GGUF_F32, 2,
                            {32, 2, 1, 1}, numbers,  sizeof numbers};
    struct packed p = {0};
    struct err err = {0};
    struct pool *pool = pool_open(1, &err);

    (void)state;
    numbers[40] = INFINITY;
    assert_false(pack_tensor(&p, &t, &kernels_scalar, false, pool, &err));
    assert_int_equal(err.code, ERR_INPUT);
    assert_null(p.data);
    t.type = GGUF_Q4_0;
    t.data = q4;
    q4[18 + 1] = 0x7c;
    assert_false(pack_tensor(&p, &t, &kernels_scalar, false, pool, &err));
    assert_int_equal(err.code, ERR_INPUT);
    t.type = GGUF_Q6_K; /* left in its rows, or packed: its last byte is d's */
    t.size[0] = 256;
    t.size[1] = 16;
    t.data = q6;
    q6[15 * 210 + 209] = 0x7c;
    for (size_t i = 0; kernels_name(i); i++) {
        const struct kernels *k = kernels_named(kernels_name(i));

        if (!k) continue;
        assert_false(pack_tensor(&p, &t, k, false, pool, &err));
        assert_int_equal(err.code, ERR_INPUT);
        assert_null(p.data);
    }
    t.type = GGUF_I8;
    assert_false(pack_tensor(&p, &t, &kernels_scalar, false, pool, &err));
    t.type = GGUF_F32;
    t.size[0] = 16;
    assert_false(pack_tensor(&p, &t, &kernels_scalar, false, pool, &err));
    assert_int_equal(err.code, ERR_UNSUPPORTED);
    assert_false(pack_floats(&p, numbers, 2, 32, 1.0f, PACK_BF16, &err));
    pool_close(pool);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_table), cmocka_unit_test(test_exact),
        cmocka_unit_test(test_rows),       cmocka_unit_test(test_taken_out),
        cmocka_unit_test(test_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
