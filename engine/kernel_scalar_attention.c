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

void scalar_softmax(float *x, size_t n) {
    float most = -INFINITY;
    float total = 0;

    for (size_t i = 0; i < n; i++) most = x[i] > most ? x[i] : most;
    for (size_t i = 0; i < n; i++) {
        x[i] = expf(x[i] - most);
        total += x[i];
    }
    for (size_t i = 0; i < n; i++) x[i] /= total;
}

void scalar_scores_f32(const float *q, size_t queries, size_t head,
                       const float *k, float *out, size_t out_stride) {
    for (size_t a = 0; a < queries; a++) {
        float *row = out + a * out_stride;

        memset(row, 0, KERNEL_POSITIONS * sizeof *row);
        for (size_t d = 0; d < head; d++)
            for (size_t p = 0; p < KERNEL_POSITIONS; p++)
                row[p] += q[a * head + d] * k[d * KERNEL_POSITIONS + p];
    }
}

void scalar_mix_f32(const float *p, size_t p_stride, size_t queries,
                    const float *v, size_t count, size_t head, float *out) {
    for (size_t a = 0; a < queries; a++)
        for (size_t i = 0; i < count; i++)
            for (size_t d = 0; d < head; d++)
                out[a * head + d] += p[a * p_stride + i] * v[i * head + d];
}

void scalar_scores_f16(const float *q, size_t queries, size_t head,
                       const uint16_t *k, float *out, size_t out_stride) {
    float line[KERNEL_POSITIONS];

    for (size_t a = 0; a < queries; a++)
        memset(out + a * out_stride, 0, sizeof line);
    for (size_t d = 0; d < head; d++) {
        for (size_t p = 0; p < KERNEL_POSITIONS; p++)
            line[p] = quant_from_f16(k[d * KERNEL_POSITIONS + p]);
        for (size_t a = 0; a < queries; a++)
            for (size_t p = 0; p < KERNEL_POSITIONS; p++)
                out[a * out_stride + p] += q[a * head + d] * line[p];
    }
}

void scalar_mix_f16(const float *p, size_t p_stride, size_t queries,
                    const uint16_t *v, size_t count, size_t head, float *out) {
    for (size_t i = 0; i < count; i++) {
        for (size_t d = 0; d < head; d++) {
            float value = quant_from_f16(v[i * head + d]);

            for (size_t a = 0; a < queries; a++)
                out[a * head + d] += p[a * p_stride + i] * value;
        }
    }
}
