/* The plain loops over rows of floats and attention. */
#include "engine/kernel_attention.h"

#include <math.h>
#include <string.h>

#include "engine/quant.h"

float scalar_dot(const float *a, const float *b, size_t n) {
    float total = 0;

    for (size_t i = 0; i < n; i++) total += a[i] * b[i];
    return total;
}

void scalar_rmsnorm(const float *x, const float *w, size_t n, float epsilon,
                    float *out) {
    float scale = 1.0f / sqrtf(scalar_dot(x, x, n) / (float)n + epsilon);

    for (size_t i = 0; i < n; i++) out[i] = x[i] * scale * w[i];
}

void scalar_silu_mul(float *gate, const float *up, size_t n) {
    for (size_t i = 0; i < n; i++)
        gate[i] = gate[i] / (1.0f + expf(-gate[i])) * up[i];
}

void scalar_rope(float *x, const float *turns, size_t n) {
    for (size_t i = 0; i < n; i += 2) {
        float a = x[i];
        float b = x[i + 1];

        x[i] = a * turns[i] - b * turns[i + 1];
        x[i + 1] = a * turns[i + 1] + b * turns[i];
    }
}

float scalar_soften(float *x, size_t n, float *most) {
    float total = 0;

    *most = -INFINITY;
    for (size_t i = 0; i < n; i++) *most = x[i] > *most ? x[i] : *most;
    for (size_t i = 0; i < n; i++) {
        x[i] = expf(x[i] - *most);
        total += x[i];
    }
    return total;
}

/* A page as F32 lays it out; of V the first `count` positions. */

static float value_at(enum kernel_kv type, const void *page, size_t head,
                      size_t index, size_t dimension, size_t position) {
    const int8_t *code = page;
    const int16_t *wide = page;
    const void *scales = kernel_kv_scales(type, page, head, dimension);

    if (type == KERNEL_KV_I16)
        return (float)wide[index] * ((const float *)scales)[position];
    return (float)code[index] *
           quant_from_f16(((const uint16_t *)scales)[position]);
}

static void unpack_k(enum kernel_kv type, const void *page, size_t head,
                     float *out) {
    for (size_t d = 0; d < head; d++)
        for (size_t p = 0; p < KERNEL_POSITIONS; p++)
            out[d * KERNEL_POSITIONS + p] =
                value_at(type, page, head,
                         d / 2 * 2 * KERNEL_POSITIONS + 2 * p + d % 2, d, p);
}

static void unpack_v(enum kernel_kv type, const void *page, size_t head,
                     size_t count, float *out) {
    for (size_t p = 0; p < count; p++)
        for (size_t d = 0; d < head; d++)
            out[p * head + d] = value_at(
                type, page, head, p / 2 * 2 * head + 2 * d + p % 2, d, p);
}

static void scores_page(const float *q, size_t queries, size_t head,
                        const float *k, float *out, size_t out_stride) {
    for (size_t a = 0; a < queries; a++) {
        float *row = out + a * out_stride;

        memset(row, 0, KERNEL_POSITIONS * sizeof *row);
        for (size_t d = 0; d < head; d++)
            for (size_t p = 0; p < KERNEL_POSITIONS; p++)
                row[p] += q[a * head + d] * k[d * KERNEL_POSITIONS + p];
    }
}

static void mix_page(const float *p, size_t p_stride, size_t queries,
                     const float *v, size_t count, size_t head, float *out) {
    for (size_t a = 0; a < queries; a++)
        for (size_t i = 0; i < count; i++)
            for (size_t d = 0; d < head; d++)
                out[a * head + d] += p[a * p_stride + i] * v[i * head + d];
}

static void scores(enum kernel_kv type, const float *q, size_t queries,
                   size_t head, const void *const *k, size_t pages, float *out,
                   size_t out_stride) {
    float page[KERNEL_HEAD_MAX * KERNEL_POSITIONS];

    for (size_t i = 0; i < pages; i++) {
        if (type != KERNEL_KV_F32) unpack_k(type, k[i], head, page);
        scores_page(q, queries, head, type == KERNEL_KV_F32 ? k[i] : page,
                    out + i * KERNEL_POSITIONS, out_stride);
    }
}

static void mix(enum kernel_kv type, const float *p, size_t p_stride,
                size_t queries, const void *const *v, size_t count, size_t head,
                float *out) {
    float page[KERNEL_HEAD_MAX * KERNEL_POSITIONS];

    memset(out, 0, queries * head * sizeof *out);
    for (size_t i = 0; i < count; i += KERNEL_POSITIONS, v++) {
        size_t n = count - i < KERNEL_POSITIONS ? count - i : KERNEL_POSITIONS;

        if (type != KERNEL_KV_F32) unpack_v(type, *v, head, n, page);
        mix_page(p + i, p_stride, queries, type == KERNEL_KV_F32 ? *v : page, n,
                 head, out);
    }
}

KERNEL_ATTENTION_DEFINE(scalar, f32, KERNEL_KV_F32)
KERNEL_ATTENTION_DEFINE(scalar, i16, KERNEL_KV_I16)
KERNEL_ATTENTION_DEFINE(scalar, q8, KERNEL_KV_Q8)
