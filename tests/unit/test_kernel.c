/* test_kernel.c - every table against the scalar one, on random and on edge
 * inputs, for every format of codes, batch size and cut of the last panel. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "engine/activation.h"
#include "engine/kernel_layout.h"
#include "engine/quant.h"

static uint32_t seed = 1;

static uint32_t next(void) {
    seed = seed * 1664525u + 1013904223u;
    return seed >> 8;
}

/* -1 to 1 */
static float number(void) {
    return (float)next() / (float)(1 << 23) - 1.0f;
}

static void fill(float *x, size_t n) {
    for (size_t i = 0; i < n; i++) x[i] = number();
}

static void check_near(const char *what, const float *a, const float *b,
                       size_t n, float tolerance) {
    for (size_t i = 0; i < n; i++) {
        float allowed = tolerance * (1.0f + fabsf(b[i]));

        if (!(fabsf(a[i] - b[i]) <= allowed) && a[i] != b[i])
            fail_msg("%s: [%zu] is %g, not %g", what, i, (double)a[i],
                     (double)b[i]);
    }
}

static void check_quantise(const struct kernels *k) {
    enum { N = 256 };
    float x[N];
    int8_t q[2][N];
    float scale[2][N / 32];
    float sum[2][N / 16];

    for (int round = 0; round < 50; round++) {
        fill(x, N);
        if (round == 1) memset(x, 0, sizeof x);
        if (round == 2) x[5] = 1e30f;
        if (round == 3) x[40] = 1e-38f;
        if (round == 4)
            for (size_t i = 0; i < N; i++) x[i] = i % 2 ? 1e-39f : -1e-36f;
        if (round == 5)
            for (size_t i = 0; i < N; i++) x[i] = (float)(i % 255) - 127.5f;
        kernels_scalar.quantise(x, N, q[0], scale[0], sum[0]);
        k->quantise(x, N, q[1], scale[1], sum[1]);
        assert_memory_equal(q[0], q[1], sizeof q[0]);
        assert_memory_equal(scale[0], scale[1], sizeof scale[0]);
        assert_memory_equal(sum[0], sum[1], sizeof sum[0]);
        for (size_t i = 0; i < N / 32; i++) {
            int32_t all = 0;
            int32_t second = 0;

            for (size_t j = 0; j < 32; j++) {
                int32_t v = q[1][32 * i + j];

                assert_in_range(v + 127, 0, 254);
                all += v;
                if (j >= 16) second += v;
            }
            assert_true(sum[1][2 * i] == scale[1][i] * (float)all);
            assert_true(sum[1][2 * i + 1] == scale[1][i] * (float)second);
        }
    }
    /* Nothing sensible comes of these, but the codes stay in range. */
    x[0] = NAN;
    x[40] = INFINITY;
    x[80] = -INFINITY;
    k->quantise(x, N, q[0], scale[0], sum[0]);
    for (size_t i = 0; i < N; i++) assert_int_not_equal(q[0][i], -128);
}

/* Panels of any bits, but for the f16 numbers, which are finite. `edge` makes
 * every code and step as large as it can be. */
static uint8_t *make_panels(enum kernel_format format, size_t groups,
                            size_t panels, bool edge) {
    const struct kernel_layout l = kernel_layouts[format];
    size_t bytes = kernel_panel_bytes(format, groups);
    uint8_t *w = xalloc(panels * bytes);

    for (size_t i = 0; i < panels * bytes; i++)
        w[i] = edge ? 0xff : (uint8_t)next();
    for (size_t p = 0; p < panels; p++) {
        for (size_t g = 0; g < groups; g++) {
            struct kernel_place at =
                kernel_place(format, w + p * bytes, groups, g);
            uint8_t *head = w + (at.head - w);
            size_t scale = l.super ? 0 : at.scale[0];
            size_t min = l.super ? 2 * KERNEL_PANEL : at.min[0];

            for (size_t r = 0; r < KERNEL_PANEL; r++) {
                uint16_t half = quant_to_f16(number() * 0.1f);

                memcpy(head + scale + 2 * r, &half, sizeof half);
                half = quant_to_f16(number() * 0.1f);
                if (l.min) memcpy(head + min + 2 * r, &half, sizeof half);
            }
            for (size_t h = 0; edge && l.super && h < 2; h++)
                memset(head + at.scale[h], 0x80, KERNEL_PANEL);
        }
    }
    return w;
}

struct rows {
    struct activation a;
    struct kernel_input x;
    float *numbers;
};

/* Rows with spills here and there; row 0 is at its limit everywhere: the
 * largest sums that there can be. Row 2 is zero. */
static void make_rows(struct rows *r, size_t rows, size_t groups) {
    size_t k = groups * KERNEL_GROUP;

    r->numbers = xalloc_array(rows * k, sizeof(float));
    fill(r->numbers, rows * k);
    for (size_t i = 0; i < k; i++) r->numbers[i] = 1.0f;
    for (size_t i = 0; rows > 2 && i < k; i++) r->numbers[2 * k + i] = 0;
    for (size_t row = 1; row < rows; row += 2)
        for (size_t g = row % 5; g < groups; g += 7)
            r->numbers[row * k + g * KERNEL_GROUP + next() % KERNEL_GROUP] = 90;
    activation_init(&r->a, ACTIVATION_QUANT, rows, k);
    activation_begin(&r->a, r->numbers, k, k);
    for (size_t row = 0; row < rows; row++)
        activation_fill(&r->a, &kernels_scalar, ACTIVATION_QUANT, row, 0, k);
    r->x = activation_input(&r->a, 0, rows);
}

static void clear_rows(struct rows *r) {
    activation_clear(&r->a);
    free(r->numbers);
}

/* Floats err relative to the numbers that were added up. */
static float size_of(const float *out, size_t n) {
    float most = 1.0f;

    for (size_t i = 0; i < n; i++)
        if (fabsf(out[i]) > most) most = fabsf(out[i]);
    return most;
}

static void check_gemm_q(const struct kernels *k, enum kernel_format format,
                         size_t groups, size_t rows, size_t columns,
                         bool edge) {
    enum { STRIDE = 80 };
    uint8_t *w = make_panels(format, groups, (columns + 15) / 16, edge);
    float *out[2];
    struct rows r;
    size_t n = rows * STRIDE;
    float size;

    make_rows(&r, rows, groups);
    for (int i = 0; i < 2; i++) out[i] = xalloc_array(n, sizeof(float));
    for (int add = 0; add < 2; add++) {
        for (size_t i = 0; i < n; i++) out[0][i] = out[1][i] = (float)(i % 9);
        kernels_scalar.gemm_q(format, w, columns, &r.x, out[0], STRIDE, add);
        k->gemm_q(format, w, columns, &r.x, out[1], STRIDE, add);
        size = size_of(out[0], n);
        for (size_t i = 0; i < n; i++) {
            /* The columns beyond are untouched. */
            float allowed = i % STRIDE < columns ? 2e-5f * size : 0;

            if (!(fabsf(out[1][i] - out[0][i]) <= allowed))
                fail_msg("%s, format %d, %zu groups, %zu rows, %zu columns: "
                         "[%zu] is %g, not %g",
                         k->name, (int)format, groups, rows, columns, i,
                         (double)out[1][i], (double)out[0][i]);
        }
    }
    clear_rows(&r);
    free(out[0]);
    free(out[1]);
    free(w);
}

static size_t groups_of(enum kernel_format format, size_t groups) {
    return kernel_layouts[format].super ? (groups + 7) / 8 * 8 : groups;
}

static void check_each_gemm_q(const struct kernels *k) {
    static const size_t columns[] = {1, 7, 8, 9, 15, 16, 17, 31, 64, 71};
    static const size_t groups[] = {1, 5, 18, 24, 27, 56};

    for (int f = 0; f < KERNEL_FORMATS; f++) {
        enum kernel_format format = (enum kernel_format)f;

        for (size_t rows = 1; rows <= 40; rows++)
            check_gemm_q(k, format, groups_of(format, 5), rows,
                         columns[rows % 10], rows % 2);
        for (size_t i = 0; i < sizeof groups / sizeof *groups; i++)
            for (size_t rows = 1; rows <= 9; rows += 4)
                check_gemm_q(k, format, groups_of(format, groups[i]), rows, 40,
                             false);
    }
}

/* Integer scales and activations that are whole numbers leave nothing to
 * round: every table must give the very same sum. */
static void check_exact(const struct kernels *k, enum kernel_format format) {
    enum { ROWS = 7, GROUPS = 16, COLUMNS = 32 };
    const struct kernel_layout l = kernel_layouts[format];
    uint8_t *w = make_panels(format, GROUPS, COLUMNS / 16, false);
    size_t bytes = kernel_panel_bytes(format, GROUPS);
    float out[2][ROWS * COLUMNS];
    struct rows r;

    for (size_t p = 0; p < COLUMNS / 16; p++) {
        for (size_t g = 0; g < GROUPS; g++) {
            struct kernel_place at =
                kernel_place(format, w + p * bytes, GROUPS, g);
            uint8_t *head = w + (at.head - w);

            for (size_t i = 0; i < KERNEL_PANEL; i++) {
                uint16_t one = quant_to_f16((float)(i % 3));

                memcpy(head + (l.super ? 0 : at.scale[0]) + 2 * i, &one, 2);
                if (l.min)
                    memcpy(head + (l.super ? 32 : at.min[0]) + 2 * i, &one, 2);
                for (size_t h = 0; l.super && h < 2; h++) {
                    head[at.scale[h] + i] = (uint8_t)(g % 2);
                    if (l.min) head[at.min[h] + i] = 1;
                }
            }
        }
    }
    make_rows(&r, ROWS, GROUPS);
    for (size_t i = 0; i < ROWS * GROUPS; i++) {
        int all = 0;
        int second = 0;

        for (size_t j = 0; j < KERNEL_GROUP; j++) {
            r.a.q[i * KERNEL_GROUP + j] = (int8_t)((int)(next() % 255) - 127);
            all += r.a.q[i * KERNEL_GROUP + j];
            if (j >= 16) second += r.a.q[i * KERNEL_GROUP + j];
        }
        r.a.scale[i] = 1;
        r.a.sum[2 * i] = (float)all;
        r.a.sum[2 * i + 1] = (float)second;
    }
    r.x.spills = NULL;
    kernels_scalar.gemm_q(format, w, COLUMNS, &r.x, out[0], COLUMNS, false);
    k->gemm_q(format, w, COLUMNS, &r.x, out[1], COLUMNS, false);
    assert_memory_equal(out[0], out[1], sizeof out[0]);
    clear_rows(&r);
    free(w);
}

/* A row's bits do not depend on the rows beside it. */
static void check_rows_alone(const struct kernels *k,
                             enum kernel_format format) {
    enum { ROWS = 23, GROUPS = 56, COLUMNS = 48 };
    uint8_t *w = make_panels(format, GROUPS, COLUMNS / 16, false);
    float together[ROWS * COLUMNS];
    float alone[COLUMNS];
    struct rows r;

    make_rows(&r, ROWS, GROUPS);
    k->gemm_q(format, w, COLUMNS, &r.x, together, COLUMNS, false);
    for (size_t row = 0; row < ROWS; row++) {
        struct kernel_input one = activation_input(&r.a, row, 1);

        k->gemm_q(format, w, COLUMNS, &one, alone, COLUMNS, false);
        assert_memory_equal(alone, together + row * COLUMNS, sizeof alone);
    }
    clear_rows(&r);
    free(w);
}

/* Rows whose numbers from `inputs` on are 0, without spills. */
static void make_filled_up(struct rows *r, size_t rows, size_t groups,
                           size_t inputs) {
    size_t k = groups * KERNEL_GROUP;

    make_rows(r, rows, groups);
    for (size_t row = 0; row < rows; row++) {
        for (size_t i = inputs; i < k; i++) r->numbers[row * k + i] = 0;
        activation_fill(&r->a, &kernels_scalar, ACTIVATION_QUANT, row, 0, k);
    }
    r->x = activation_input(&r->a, 0, rows);
    r->x.spills = NULL;
}

/* Rows [from, end) of a product that have an extra of `groups` groups, filled
 * up from `inputs` on; all 0: no such rows. */
struct extra_case {
    size_t from, end, groups, inputs;
};

/* Near to two products that are added, and a row's bits do not depend on the
 * rows beside it, nor on whether they have the same extra. */
static void check_extras(const struct kernels *k, enum kernel_format format,
                         size_t columns, const struct extra_case parts[2]) {
    enum { ROWS = 23, GROUPS = 32, MOST = 48 };
    uint8_t *w = make_panels(format, GROUPS, MOST / 16, false);
    struct kernel_extra extra[2];
    struct rows r, of[2];
    uint8_t *more[2];
    float want[ROWS * MOST] = {0}, got[ROWS * MOST] = {0}, alone[MOST];
    size_t count = 0;

    make_rows(&r, ROWS, GROUPS);
    kernels_scalar.gemm_q(format, w, columns, &r.x, want, MOST, false);
    for (; count < 2 && parts[count].end; count++) {
        const struct extra_case *c = &parts[count];

        more[count] = make_panels(KERNEL_Q8, c->groups, MOST / 16, false);
        make_filled_up(&of[count], c->end - c->from, c->groups, c->inputs);
        kernels_scalar.gemm_q(KERNEL_Q8, more[count], columns, &of[count].x,
                              want + c->from * MOST, MOST, true);
        extra[count] = (struct kernel_extra){more[count], c->inputs, c->from,
                                             c->end, of[count].x};
    }
    r.x.extra = extra;
    r.x.extras = count;
    k->gemm_q(format, w, columns, &r.x, got, MOST, false);
    for (size_t i = 0; i < ROWS * MOST; i++)
        assert_float_equal(got[i], want[i], 2e-5f * size_of(want, ROWS * MOST));
    for (size_t row = 0; row < ROWS; row++) {
        struct kernel_input one = activation_input(&r.a, row, 1);
        size_t i = count > 1 && row >= parts[1].from;
        struct kernel_extra own = extra[i];

        if (row >= own.from && row < own.end) {
            own.x = activation_input(&of[i].a, row - own.from, 1);
            own.from = 0;
            own.end = 1;
            one.extra = &own;
            one.extras = 1;
        }
        k->gemm_q(format, w, columns, &one, alone, MOST, false);
        assert_memory_equal(alone, got + row * MOST, columns * sizeof *alone);
    }
    for (size_t i = 0; i < count; i++) {
        clear_rows(&of[i]);
        free(more[i]);
    }
    clear_rows(&r);
    free(w);
}

static void check_each_extras(const struct kernels *k,
                              enum kernel_format format) {
    /* One that all rows have, or some; two that begin and end within a tile;
     * of one group and of the most there may be, full and not. */
    static const struct extra_case cases[][2] = {
        {{0, 23, 1, 16}},
        {{0, 23, 1, 17}},
        {{0, 23, 4, 112}},
        {{3, 20, 1, 5}},
        {{3, 20, 2, 64}},
        {{2, 14, 1, 32}, {14, 22, 4, 128}},
        {{2, 9, 1, 16}, {9, 17, 4, 97}},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        check_extras(k, format, 48, cases[i]);
        check_extras(k, format, 7, cases[i]);
    }
}

static void check_formats(const struct kernels *k) {
    check_each_gemm_q(k);
    for (int f = 0; f < KERNEL_FORMATS; f++) {
        check_exact(k, (enum kernel_format)f);
        check_rows_alone(k, (enum kernel_format)f);
        if (k->extras) check_each_extras(k, (enum kernel_format)f);
    }
}

static void check_gemm_bf16(const struct kernels *k) {
    enum { K = 600, X_STRIDE = 608, COLUMNS = 39, STRIDE = 50, ROWS = 13 };
    static const size_t inputs[] = {2, 36, 70, 256, 258, K};
    uint16_t w[48 * K];
    uint16_t x[ROWS * X_STRIDE];
    float out[2][ROWS * STRIDE];
    float alone[COLUMNS];

    for (size_t i = 0; i < 48 * K; i++) w[i] = quant_to_bf16(number());
    for (size_t i = 0; i < ROWS * X_STRIDE; i++) x[i] = quant_to_bf16(number());
    for (size_t i = 0; i < sizeof inputs / sizeof *inputs; i++) {
        for (size_t rows = 1; rows <= ROWS; rows++) {
            memset(out, 0, sizeof out);
            for (int add = 1; add >= 0; add--) {
                kernels_scalar.gemm_bf16(w, inputs[i], COLUMNS, x, X_STRIDE,
                                         rows, out[0], STRIDE, add);
                k->gemm_bf16(w, inputs[i], COLUMNS, x, X_STRIDE, rows, out[1],
                             STRIDE, add);
                check_near("bf16", out[1], out[0], ROWS * STRIDE, 1e-4f);
            }
            k->gemm_bf16(w, inputs[i], COLUMNS, x + (rows - 1) * X_STRIDE,
                         X_STRIDE, 1, alone, STRIDE, false);
            assert_memory_equal(alone, out[1] + (rows - 1) * STRIDE,
                                sizeof alone);
        }
    }
}

static void check_halves(const struct kernels *k) {
    static const float edge[] = {0.0f,     -0.0f,  1.0f,       65504.0f,
                                 65520.0f, 1e9f,   6e-8f,      -6e-8f,
                                 3.05e-5f, 1e-10f, 1.0009765f, -1.0004883f};
    enum { N = 1000 };
    float x[N];
    uint16_t out[2][N];

    for (size_t i = 0; i < N; i++)
        x[i] = i < sizeof edge / sizeof edge[0]
                   ? edge[i]
                   : number() * powf(10, (float)(next() % 12) - 6);
    for (size_t n = 1; n <= N; n += 111) {
        memset(out, 0, sizeof out);
        kernels_scalar.to_bf16(x, n, out[0]);
        k->to_bf16(x, n, out[1]);
        assert_memory_equal(out[0], out[1], sizeof out[0]);
    }
}

/* Codes and scale are those of the plain loop, and near the numbers; one that
 * is not finite leaves no scale. */
static void check_codes(const struct kernels *k) {
    static const float odd[] = {NAN, INFINITY, -INFINITY};
    enum { N = 160 };
    float x[N];
    int16_t code[2][N];

    for (size_t n = 16; n <= N; n += 16) {
        for (int magnitude = -36; magnitude <= 36; magnitude += 4) {
            float scale;

            fill(x, n);
            for (size_t i = 0; i < n; i++) x[i] *= powf(10, (float)magnitude);
            memset(code, 0, sizeof code);
            scale = kernels_scalar.to_i16(x, n, code[0]);
            assert_true(k->to_i16(x, n, code[1]) == scale);
            assert_memory_equal(code[0], code[1], sizeof code[0]);
            for (size_t i = 0; i < n; i++) {
                assert_in_range(code[1][i] + KERNEL_CODE_MAX, 0,
                                2 * KERNEL_CODE_MAX);
                assert_true(fabsf((float)code[1][i] * scale - x[i]) <=
                            fmaxf(scale * 0.501f, 1e-30f));
            }
        }
        fill(x, n);
        for (size_t i = 0; i < sizeof odd / sizeof *odd; i++) {
            x[n - 3] = odd[i];
            assert_true(isnan(k->to_i16(x, n, code[1])));
            for (size_t j = 0; j < n; j++)
                assert_in_range(code[1][j] + KERNEL_CODE_MAX, 0,
                                2 * KERNEL_CODE_MAX);
        }
    }
}

static void check_vectors(const struct kernels *k) {
    enum { N = 600 };
    float a[N];
    float b[N];
    float out[2][N];

    for (size_t n = 2; n <= N; n += 2 + n / 8 * 2) {
        float d[2];
        float most[2];

        fill(a, n);
        fill(b, n);
        d[0] = kernels_scalar.dot(a, b, n);
        d[1] = k->dot(a, b, n);
        check_near("dot", &d[1], &d[0], 1, 1e-5f);
        kernels_scalar.rmsnorm(a, b, n, 1e-5f, out[0]);
        k->rmsnorm(a, b, n, 1e-5f, out[1]);
        check_near("rmsnorm", out[1], out[0], n, 1e-5f);
        memcpy(out[0], a, sizeof a);
        memcpy(out[1], a, sizeof a);
        kernels_scalar.rope(out[0], b, n);
        k->rope(out[1], b, n);
        check_near("rope", out[1], out[0], n, 1e-6f);
        for (size_t i = 0; i < n; i++) a[i] *= 100;
        if (n > 20) a[7] = -1e30f, a[8] = 1e4f, a[9] = -INFINITY;
        memcpy(out[0], a, sizeof a);
        memcpy(out[1], a, sizeof a);
        d[0] = kernels_scalar.soften(out[0], n, &most[0]);
        d[1] = k->soften(out[1], n, &most[1]);
        check_near("soften", out[1], out[0], n, 1e-6f);
        check_near("soften's sum", &d[1], &d[0], 1, 1e-5f);
        assert_true(most[0] == most[1]);
        if (n > 20) a[9] = -1e3f;
        memcpy(out[0], a, sizeof a);
        memcpy(out[1], a, sizeof a);
        kernels_scalar.silu_mul(out[0], b, n);
        k->silu_mul(out[1], b, n);
        check_near("silu", out[1], out[0], n, 1e-5f);
    }
}

/* A page of a head with numbers from -1 to 1 in each type's layout. */
static void fill_page(enum kernel_kv type, size_t head, void *page) {
    float v[KERNEL_POSITIONS * KERNEL_HEAD_MAX];
    size_t count = head * KERNEL_POSITIONS;
    int8_t *code = page;
    uint8_t *scales = (uint8_t *)page + count;

    fill(v, count);
    if (type == KERNEL_KV_F32) {
        memcpy(page, v, count * sizeof *v);
        return;
    }
    if (type == KERNEL_KV_I16) {
        int16_t *wide = page;
        float *scale = (void *)(wide + count);

        for (size_t i = 0; i < count; i++)
            wide[i] = (int16_t)(v[i] * KERNEL_CODE_MAX);
        for (size_t i = 0; i < KERNEL_POSITIONS; i++)
            scale[i] = (2 + number()) / (3 * KERNEL_CODE_MAX);
        return;
    }
    for (size_t i = 0; i < count; i++) code[i] = (int8_t)(v[i] * 127);
    for (size_t i = 0; i < count / KERNEL_GROUP; i++) {
        uint16_t scale = quant_to_f16((2 + number()) / 400);

        memcpy(scales + 2 * i, &scale, 2);
    }
}

/* Tables may make codes of queries and weights, as wide as their sum lets them
 * be: half a code of 2^18 for each of the terms, and as many terms of up to 1,
 * is the most that this costs. */
static void check_products(const char *what, const float *a, const float *b,
                           size_t n, size_t terms) {
    float allowed = (float)(terms * terms) * 0x1p-19f + 1e-4f;
    double total = 0;

    for (size_t i = 0; i < n; i++) {
        float d = fabsf(a[i] - b[i]);

        if (!(d <= allowed))
            fail_msg("%s: [%zu] is %g, not %g", what, i, (double)a[i],
                     (double)b[i]);
        total += (double)d;
    }
    /* Roundings go either way, so that most of them cancel. */
    if (total / (double)n > 1e-4 * sqrt((double)terms))
        fail_msg("%s: off by %g on average", what, total / (double)n);
}

enum { PAGES = 3, CASE_HEAD = 160, CASE_QUERIES = KERNEL_QUERIES_MAX };

struct attention_case {
    float q[CASE_QUERIES * CASE_HEAD];
    float p[CASE_QUERIES * PAGES * KERNEL_POSITIONS];
    float page[PAGES][CASE_HEAD * KERNEL_POSITIONS];
    float out[2][CASE_QUERIES * (CASE_HEAD + PAGES * KERNEL_POSITIONS)];
};

static void check_scores(const struct kernels *k, struct attention_case *c,
                         enum kernel_kv type, size_t queries, size_t head,
                         const void *const *pages) {
    size_t stride = PAGES * KERNEL_POSITIONS + 8;

    for (size_t n = 1; n <= PAGES; n++) {
        memset(c->out, 0, sizeof c->out);
        kernels_scalar.scores[type](c->q, queries, head, pages, n, c->out[0],
                                    stride);
        k->scores[type](c->q, queries, head, pages, n, c->out[1], stride);
        check_products("scores", c->out[1], c->out[0], queries * stride, head);
    }
}

static void check_mix(const struct kernels *k, struct attention_case *c,
                      enum kernel_kv type, size_t queries, size_t head,
                      const void *const *pages) {
    size_t stride = PAGES * KERNEL_POSITIONS;

    for (size_t count = 1; count <= stride; count += 19) {
        fill(c->p, queries * stride);
        for (size_t a = 0; a < queries; a++)
            for (size_t i = count; i < stride; i++) c->p[a * stride + i] = 0;
        memset(c->out, 1, sizeof c->out);
        kernels_scalar.mix[type](c->p, stride, queries, pages, count, head,
                                 c->out[0]);
        k->mix[type](c->p, stride, queries, pages, count, head, c->out[1]);
        check_products("mix", c->out[1], c->out[0], queries * head, count);
    }
}

/* The first query's result must be the same, to the bit, when it is alone. */
static void check_alone(const struct kernels *k, struct attention_case *c,
                        enum kernel_kv type, size_t head,
                        const void *const *pages) {
    size_t stride = PAGES * KERNEL_POSITIONS;
    size_t count = stride - 3;

    fill(c->p, CASE_QUERIES * stride);
    for (size_t a = 0; a < CASE_QUERIES; a++)
        for (size_t i = count; i < stride; i++) c->p[a * stride + i] = 0;
    k->scores[type](c->q, CASE_QUERIES, head, pages, PAGES, c->out[0], stride);
    k->scores[type](c->q, 1, head, pages, PAGES, c->out[1], stride);
    assert_memory_equal(c->out[0], c->out[1], stride * sizeof(float));
    k->mix[type](c->p, stride, CASE_QUERIES, pages, count, head, c->out[0]);
    k->mix[type](c->p, stride, 1, pages, count, head, c->out[1]);
    assert_memory_equal(c->out[0], c->out[1], head * sizeof(float));
}

/* What stands behind the last position may be no number at all. */
static void check_behind(const struct kernels *k, struct attention_case *c,
                         size_t head) {
    int16_t *code = (int16_t *)(void *)c->page[0];
    float *scale = (void *)(code + head * KERNEL_POSITIONS);
    const void *page = code;

    memset(code, 0xff, kernel_kv_bytes(KERNEL_KV_I16, head));
    for (size_t d = 0; d < head; d++) code[2 * d] = KERNEL_CODE_MAX;
    scale[0] = 1.0f / KERNEL_CODE_MAX;
    memset(c->p, 0, sizeof c->p);
    c->p[0] = 0.5f;
    k->mix[KERNEL_KV_I16](c->p, KERNEL_POSITIONS, 1, &page, 1, head, c->out[0]);
    for (size_t d = 0; d < head; d++)
        assert_float_equal(c->out[0][d], 0.5f, 1e-6);
}

static void check_attention(const struct kernels *k) {
    struct attention_case *c = xalloc(sizeof *c);

    for (size_t head = 16; head <= CASE_HEAD; head += 16) {
        for (int type = KERNEL_KV_F32; type < KERNEL_KV_TYPES; type++) {
            const void *pages[PAGES];

            if (type == KERNEL_KV_Q8 && head % KERNEL_GROUP) continue;
            for (size_t i = 0; i < PAGES; i++) {
                fill_page((enum kernel_kv)type, head, c->page[i]);
                pages[i] = c->page[i];
            }
            fill(c->q, CASE_QUERIES * head);
            for (size_t queries = 1; queries <= CASE_QUERIES;
                 queries += queries < 9 ? 1 : 5) {
                check_scores(k, c, (enum kernel_kv)type, queries, head, pages);
                check_mix(k, c, (enum kernel_kv)type, queries, head, pages);
            }
            check_alone(k, c, (enum kernel_kv)type, head, pages);
        }
        check_behind(k, c, head);
    }
    free(c);
}

static void check_all(const char *name) {
    const struct kernels *k = kernels_named(name);

    if (!k) {
        print_message("%s does not run here\n", name);
        return;
    }
    check_quantise(k);
    check_formats(k);
    check_gemm_bf16(k);
    check_halves(k);
    check_codes(k);
    check_vectors(k);
    check_attention(k);
}

static void test_each_table(void **state) {
    (void)state;
    /* The last one is the scalar table itself. */
    for (size_t i = 0; kernels_name(i + 1); i++) check_all(kernels_name(i));
}

/* test_pack.c holds the scalar products against the dequantised weights. */
static void test_scalar(void **state) {
    (void)state;
    for (int f = 0; f < KERNEL_FORMATS; f++)
        check_rows_alone(&kernels_scalar, (enum kernel_format)f);
}

static void test_choose(void **state) {
    struct err err = {0};

    (void)state;
    setenv("CORRAL_CPU", "scalar", 1);
    assert_ptr_equal(kernels_choose(&err), &kernels_scalar);
    setenv("CORRAL_CPU", "pentium", 1);
    assert_null(kernels_choose(&err));
    assert_int_equal(err.code, ERR_UNSUPPORTED);
    unsetenv("CORRAL_CPU");
    assert_non_null(kernels_choose(&err));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_choose),
        cmocka_unit_test(test_scalar),
        cmocka_unit_test(test_each_table),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
