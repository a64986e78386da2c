/* The plain loops. They define what the others compute. */
#include "engine/kernel_attention.h"

#include <math.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "engine/kernel_unpack.h"
#include "engine/quant.h"

static void quantise(const float *x, size_t k, int8_t *q, float *scale,
                     float *sum) {
    for (size_t g = 0; g < k / KERNEL_GROUP; g++) {
        float most = 0;
        float inverse;
        int all = 0;
        int second = 0;

        for (size_t i = 0; i < KERNEL_GROUP; i++) {
            float a = fabsf(x[g * KERNEL_GROUP + i]);

            if (a > most) most = a;
        }
        /* Smaller than any number that matters, and 127/most would not be
         * finite. */
        if (most < 1e-30f) most = 0;
        inverse = most > 0 ? 127.0f / most : 0;
        scale[g] = most / 127.0f;
        for (size_t i = 0; i < KERNEL_GROUP; i++) {
            float v = rintf(x[g * KERNEL_GROUP + i] * inverse);

            /* Written so that a NaN ends inside the range as well. */
            if (!(v >= -127.0f)) v = -127.0f;
            if (!(v <= 127.0f)) v = 127.0f;
            q[g * KERNEL_GROUP + i] = (int8_t)v;
            all += (int8_t)v;
            if (i >= KERNEL_GROUP / 2) second += (int8_t)v;
        }
        sum[2 * g] = scale[g] * (float)all;
        sum[2 * g + 1] = scale[g] * (float)second;
    }
}

static void to_bf16(const float *x, size_t n, uint16_t *out) {
    for (size_t i = 0; i < n; i++) out[i] = quant_to_bf16(x[i]);
}

static float to_i16(const float *x, size_t n, int16_t *out) {
    const float top = KERNEL_CODE_MAX;
    float most = 0;
    float odd = 0; /* or NaN */
    float inverse;

    for (size_t i = 0; i < n; i++) {
        if (fabsf(x[i]) > most) most = fabsf(x[i]);
        odd += x[i] * 0;
    }
    if (most < 1e-30f) most = 0;
    inverse = most > 0 ? top / most : 0;
    for (size_t i = 0; i < n; i++) {
        float v = rintf(x[i] * inverse);

        if (!(v >= -top)) v = -top;
        if (!(v <= top)) v = top;
        out[i] = (int16_t)v;
    }
    return most / top + odd;
}

/* A group of a panel, as the loops below want it. */
struct group {
    kernel_codes code;
    float scale[2][KERNEL_PANEL];
    float min[2][KERNEL_PANEL];
};

static void unpack(enum kernel_format format, const uint8_t *panel,
                   size_t groups, size_t g, struct group *out) {
    struct kernel_place p = kernel_place(format, panel, groups, g);

    kernel_unpack_codes(format, p.codes, out->code);
    for (size_t h = 0; h < 2; h++) {
        for (size_t r = 0; r < KERNEL_PANEL; r++) {
            out->scale[h][r] = kernel_scale(format, &p, h, r);
            out->min[h][r] = kernel_min(format, &p, h, r);
        }
    }
}

/* Output `r` of a group times 32 activations. */
static float group_dot(const struct kernel_layout *l, const struct group *w,
                       size_t r, const int8_t *q, float scale,
                       const float *sum) {
    int32_t dot[2] = {0, 0};

    for (size_t i = 0; i < KERNEL_GROUP; i++)
        dot[i / 16] += (w->code[i / 4][4 * r + i % 4] - l->offset) * q[i];
    if (!l->halves)
        return w->scale[0][r] * scale * (float)(dot[0] + dot[1]) +
               w->min[0][r] * sum[0];
    return w->scale[0][r] * scale * (float)dot[0] +
           w->scale[1][r] * scale * (float)dot[1] +
           w->min[0][r] * (sum[0] - sum[1]) + w->min[1][r] * sum[1];
}

/* Output `r` of a panel that was unpacked, for one row. */
static float row_dot(const struct kernel_layout *l, const struct group *w,
                     size_t r, const struct kernel_input *x, size_t row) {
    float total = 0;
    size_t count = x->spills ? x->spills[row] : 0;

    for (size_t g = 0; g < x->groups; g++) {
        size_t at = row * x->groups + g;

        total += group_dot(l, &w[g], r, x->q + at * KERNEL_GROUP, x->scale[at],
                           x->sum + 2 * at);
    }
    for (size_t i = 0; i < count; i++) {
        size_t at = row * x->spills_max + i;

        total += group_dot(l, &w[x->spill_group[at]], r,
                           x->spill_q + at * KERNEL_GROUP, x->spill_scale[at],
                           x->spill_sum + 2 * at);
    }
    return total;
}

static void gemm_q(enum kernel_format format, const uint8_t *w, size_t columns,
                   const struct kernel_input *x, float *out, size_t out_stride,
                   bool add) {
    const struct kernel_layout *l = &kernel_layouts[format];
    struct group *panel = xalloc_array(x->groups, sizeof *panel);

    for (size_t c = 0; c < columns; c++) {
        if (c % KERNEL_PANEL == 0) {
            for (size_t g = 0; g < x->groups; g++)
                unpack(format, w, x->groups, g, &panel[g]);
            w += kernel_panel_bytes(format, x->groups);
        }
        for (size_t row = 0; row < x->rows; row++) {
            float total = row_dot(l, panel, c % KERNEL_PANEL, x, row);
            float *to = out + row * out_stride + c;

            *to = add ? *to + total : total;
        }
    }
    free(panel);
}

static void gemm_bf16(const uint16_t *w, size_t k, size_t columns,
                      const uint16_t *x, size_t x_stride, size_t rows,
                      float *out, size_t out_stride, bool add) {
    for (size_t row = 0; row < rows; row++) {
        for (size_t c = 0; c < columns; c++) {
            const uint16_t *panel = w + c / KERNEL_PANEL * KERNEL_PANEL * k +
                                    2 * (c % KERNEL_PANEL);
            float total = 0;

            for (size_t i = 0; i < k; i++)
                total +=
                    quant_from_bf16(panel[i / 2 * 2 * KERNEL_PANEL + i % 2]) *
                    quant_from_bf16(x[row * x_stride + i]);
            out[row * out_stride + c] =
                add ? out[row * out_stride + c] + total : total;
        }
    }
}

const struct kernels kernels_scalar = {
    .name = "scalar",
    .quantise = quantise,
    .to_bf16 = to_bf16,
    .to_i16 = to_i16,
    .gemm_q = gemm_q,
    .gemm_bf16 = gemm_bf16,
    KERNEL_ATTENTION_FIELDS(scalar),
};
