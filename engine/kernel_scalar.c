/* The plain loops. They define what the others compute. */
#include "engine/kernel_attention.h"

#include <math.h>
#include <string.h>

#include "engine/quant.h"

static void quantise(const float *x, size_t k, int8_t *q, float *scale,
                     int32_t *sum) {
    for (size_t g = 0; g < k / KERNEL_GROUP; g++) {
        float most = 0;
        float inverse;

        for (size_t i = 0; i < KERNEL_GROUP; i++) {
            float a = fabsf(x[g * KERNEL_GROUP + i]);

            if (a > most) most = a;
        }
        /* Smaller than any number that matters, and 127/most would not be
         * finite. */
        if (most < 1e-30f) most = 0;
        inverse = most > 0 ? 127.0f / most : 0;
        scale[g] = most / 127.0f;
        sum[2 * g] = sum[2 * g + 1] = 0;
        for (size_t i = 0; i < KERNEL_GROUP; i++) {
            float v = rintf(x[g * KERNEL_GROUP + i] * inverse);

            /* Written so that a NaN ends inside the range as well. */
            if (!(v >= -127.0f)) v = -127.0f;
            if (!(v <= 127.0f)) v = 127.0f;
            q[g * KERNEL_GROUP + i] = (int8_t)v;
            sum[2 * g] += (int8_t)v;
            if (i >= KERNEL_GROUP / 2) sum[2 * g + 1] += (int8_t)v;
        }
    }
}

static void to_bf16(const float *x, size_t n, uint16_t *out) {
    for (size_t i = 0; i < n; i++) out[i] = quant_to_bf16(x[i]);
}

static void to_f16(const float *x, size_t n, uint16_t *out) {
    for (size_t i = 0; i < n; i++) out[i] = quant_to_f16(x[i]);
}

static float f16_at(const uint8_t *at, size_t index) {
    uint16_t half;

    memcpy(&half, at + 2 * index, sizeof half);
    return quant_from_f16(half);
}

/* One output of one group. */
static float group_dot(int format, int offset, const uint8_t *w, size_t r,
                       const int8_t *q, float scale, const int32_t *sum) {
    size_t halves = format & KERNEL_HALVES ? 2 : 1;
    size_t kinds = format & KERNEL_MIN ? 2 : 1;
    const uint8_t *codes = w + KERNEL_PANEL * 2 * halves * kinds;
    int32_t dot[2] = {0, 0};
    float total = 0;

    for (size_t i = 0; i < KERNEL_GROUP; i++) {
        size_t j = i / 4;
        int code;

        if (format & KERNEL_WIDE)
            code = codes[64 * j + 4 * r + i % 4];
        else
            code = codes[64 * (j % 4) + 4 * r + i % 4] >> (j / 4 * 4) & 15;
        dot[i / 16] += (code - offset) * q[i];
    }
    if (halves == 1) {
        total = f16_at(w, r) * scale * (float)(dot[0] + dot[1]);
        if (kinds == 2) total += f16_at(w, 16 + r) * (scale * (float)sum[0]);
        return total;
    }
    for (size_t h = 0; h < 2; h++) {
        total += f16_at(w, 16 * h + r) * scale * (float)dot[h];
        if (kinds == 2)
            total += f16_at(w, 32 + 16 * h + r) *
                     (scale * (float)(h ? sum[1] : sum[0] - sum[1]));
    }
    return total;
}

static void gemm_q(int format, int offset, const uint8_t *w, size_t groups,
                   size_t columns, const int8_t *q, const float *scale,
                   const int32_t *sum, size_t rows, float *out,
                   size_t out_stride, bool add) {
    size_t group_bytes = kernel_group_bytes(format);

    for (size_t c = 0; c < columns; c++) {
        const uint8_t *panel = w + c / KERNEL_PANEL * groups * group_bytes;

        for (size_t row = 0; row < rows; row++) {
            float total = 0;

            for (size_t g = 0; g < groups; g++) {
                size_t at = row * groups + g;

                total += group_dot(format, offset, panel + g * group_bytes,
                                   c % KERNEL_PANEL, q + at * KERNEL_GROUP,
                                   scale[at], sum + 2 * at);
            }
            out[row * out_stride + c] =
                add ? out[row * out_stride + c] + total : total;
        }
    }
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
    .to_f16 = to_f16,
    .gemm_q = gemm_q,
    .gemm_bf16 = gemm_bf16,
    KERNEL_ATTENTION_FIELDS(scalar),
};
