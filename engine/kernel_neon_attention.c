/* The NEON tables: rows of floats and attention. */
#if defined(__aarch64__)

#include "engine/kernel_attention.h"
#include "engine/kernel_neon.h"

#include <math.h>

enum { TILE = 4 /* queries that share one reading of K or V */ };

float neon_dot(const float *a, const float *b, size_t n) {
    float32x4_t total[4];
    float rest = 0;
    size_t i = 0;

    for (int j = 0; j < 4; j++) total[j] = vdupq_n_f32(0);
    for (; n - i >= 4 * LANES; i += 4 * LANES)
        for (size_t j = 0; j < 4; j++)
            total[j] = vfmaq_f32(total[j], vld1q_f32(a + i + j * LANES),
                                 vld1q_f32(b + i + j * LANES));
    for (; i < n; i++) rest += a[i] * b[i];
    return rest + vaddvq_f32(vaddq_f32(vaddq_f32(total[0], total[1]),
                                       vaddq_f32(total[2], total[3])));
}

void neon_rmsnorm(const float *x, const float *w, size_t n, float epsilon,
                  float *out) {
    float scale = 1.0f / sqrtf(neon_dot(x, x, n) / (float)n + epsilon);

    for (size_t i = 0; i < n; i++) out[i] = x[i] * scale * w[i];
}

/* 2^n for n in [-126, 127] */
INLINE float32x4_t power_of_two(int32x4_t n) {
    return vreinterpretq_f32_s32(
        vshlq_n_s32(vaddq_s32(n, vdupq_n_s32(127)), 23));
}

/* e^x to two units in the last place: x = n ln 2 + r, a polynomial for e^r
 * (Cephes' expf), and 2^n in two steps, so that results down to the
 * subnormals and up to infinity come out right. */
INLINE float32x4_t exp_lanes(float32x4_t x) {
    float32x4_t n;
    float32x4_t r;
    float32x4_t y = vdupq_n_f32(1.9875691500e-4f);
    int32x4_t whole;
    int32x4_t half;

    x = vmaxq_f32(vminq_f32(x, vdupq_n_f32(128.0f)), vdupq_n_f32(-128.0f));
    n = vrndnq_f32(vmulq_n_f32(x, 1.44269504088896341f));
    r = vfmsq_f32(x, n, vdupq_n_f32(0.693359375f));
    r = vfmsq_f32(r, n, vdupq_n_f32(-2.12194440e-4f));
    y = vfmaq_f32(vdupq_n_f32(1.3981999507e-3f), y, r);
    y = vfmaq_f32(vdupq_n_f32(8.3334519073e-3f), y, r);
    y = vfmaq_f32(vdupq_n_f32(4.1665795894e-2f), y, r);
    y = vfmaq_f32(vdupq_n_f32(1.6666665459e-1f), y, r);
    y = vfmaq_f32(vdupq_n_f32(5.0000001201e-1f), y, r);
    y = vaddq_f32(vfmaq_f32(r, vmulq_f32(r, r), y), vdupq_n_f32(1.0f));
    whole = vcvtq_s32_f32(n);
    half = vshrq_n_s32(whole, 1);
    y = vmulq_f32(y, power_of_two(half));
    return vmulq_f32(y, power_of_two(vsubq_s32(whole, half)));
}

void neon_silu_mul(float *gate, const float *up, size_t n) {
    size_t i = 0;

    for (; n - i >= LANES; i += LANES) {
        float32x4_t g = vld1q_f32(gate + i);
        float32x4_t e = exp_lanes(vnegq_f32(g));

        g = vdivq_f32(g, vaddq_f32(vdupq_n_f32(1.0f), e));
        vst1q_f32(gate + i, vmulq_f32(g, vld1q_f32(up + i)));
    }
    for (; i < n; i++) gate[i] = gate[i] / (1.0f + expf(-gate[i])) * up[i];
}

void neon_rope(float *x, const float *turns, size_t n) {
    size_t i = 0;

    for (; n - i >= 2 * LANES; i += 2 * LANES) {
        float32x4x2_t v = vld2q_f32(x + i);
        float32x4x2_t t = vld2q_f32(turns + i);
        float32x4x2_t turned;

        turned.val[0] =
            vfmsq_f32(vmulq_f32(v.val[0], t.val[0]), v.val[1], t.val[1]);
        turned.val[1] =
            vfmaq_f32(vmulq_f32(v.val[0], t.val[1]), v.val[1], t.val[0]);
        vst2q_f32(x + i, turned);
    }
    for (; i < n; i += 2) {
        float a = x[i];
        float b = x[i + 1];

        x[i] = a * turns[i] - b * turns[i + 1];
        x[i + 1] = a * turns[i + 1] + b * turns[i];
    }
}

void neon_softmax(float *x, size_t n) {
    float32x4_t top = vdupq_n_f32(-INFINITY);
    float32x4_t sum = vdupq_n_f32(0);
    float most;
    float total = 0;
    size_t i = 0;

    for (; n - i >= LANES; i += LANES) top = vmaxq_f32(top, vld1q_f32(x + i));
    most = vmaxvq_f32(top);
    for (; i < n; i++) most = x[i] > most ? x[i] : most;
    for (i = 0; n - i >= LANES; i += LANES) {
        float32x4_t v =
            exp_lanes(vsubq_f32(vld1q_f32(x + i), vdupq_n_f32(most)));

        sum = vaddq_f32(sum, v);
        vst1q_f32(x + i, v);
    }
    for (; i < n; i++) {
        x[i] = expf(x[i] - most);
        total += x[i];
    }
    total = 1.0f / (total + vaddvq_f32(sum));
    for (i = 0; i < n; i++) x[i] *= total;
}

INLINE float32x4_t load_value(bool half, const void *at, size_t index) {
    return half ? load_f16((const uint16_t *)at + index)
                : vld1q_f32((const float *)at + index);
}

/* Positions [from, from + 16) for `tile` queries at once. */
INLINE void scores_tile(bool half, const float *q, size_t tile, size_t head,
                        const void *k, size_t from, float *out,
                        size_t out_stride) {
    float32x4_t total[TILE][4];

    for (size_t a = 0; a < tile; a++)
        for (size_t j = 0; j < 4; j++) total[a][j] = vdupq_n_f32(0);
    for (size_t d = 0; d < head; d++) {
        for (size_t j = 0; j < 4; j++) {
            float32x4_t v =
                load_value(half, k, d * KERNEL_POSITIONS + from + j * LANES);

            for (size_t a = 0; a < tile; a++)
                total[a][j] = vfmaq_n_f32(total[a][j], v, q[a * head + d]);
        }
    }
    for (size_t a = 0; a < tile; a++)
        for (size_t j = 0; j < 4; j++)
            vst1q_f32(out + a * out_stride + from + j * LANES, total[a][j]);
}

INLINE void scores(bool half, const float *q, size_t queries, size_t head,
                   const void *k, float *out, size_t out_stride) {
    for (size_t from = 0; from < KERNEL_POSITIONS; from += 4 * LANES) {
        size_t a = 0;

        for (; queries - a >= TILE; a += TILE)
            scores_tile(half, q + a * head, TILE, head, k, from,
                        out + a * out_stride, out_stride);
        for (; a < queries; a++)
            scores_tile(half, q + a * head, 1, head, k, from,
                        out + a * out_stride, out_stride);
    }
}

void neon_scores_f16(const float *q, size_t queries, size_t head,
                     const uint16_t *k, float *out, size_t out_stride) {
    scores(true, q, queries, head, k, out, out_stride);
}

void neon_scores_f32(const float *q, size_t queries, size_t head,
                     const float *k, float *out, size_t out_stride) {
    scores(false, q, queries, head, k, out, out_stride);
}

/* 16 dimensions, for `tile` queries. */
INLINE void mix_tile(bool half, const float *p, size_t p_stride, size_t tile,
                     const void *v, size_t from, size_t count, size_t head,
                     float *out) {
    float32x4_t total[TILE][4];

    for (size_t a = 0; a < tile; a++)
        for (size_t j = 0; j < 4; j++)
            total[a][j] = vld1q_f32(out + a * head + from + j * LANES);
    for (size_t i = 0; i < count; i++) {
        for (size_t j = 0; j < 4; j++) {
            float32x4_t value =
                load_value(half, v, i * head + from + j * LANES);

            for (size_t a = 0; a < tile; a++)
                total[a][j] =
                    vfmaq_n_f32(total[a][j], value, p[a * p_stride + i]);
        }
    }
    for (size_t a = 0; a < tile; a++)
        for (size_t j = 0; j < 4; j++)
            vst1q_f32(out + a * head + from + j * LANES, total[a][j]);
}

INLINE void mix(bool half, const float *p, size_t p_stride, size_t queries,
                const void *v, size_t count, size_t head, float *out) {
    for (size_t d = 0; d < head; d += 4 * LANES) {
        size_t a = 0;

        for (; queries - a >= TILE; a += TILE)
            mix_tile(half, p + a * p_stride, p_stride, TILE, v, d, count, head,
                     out + a * head);
        for (; a < queries; a++)
            mix_tile(half, p + a * p_stride, p_stride, 1, v, d, count, head,
                     out + a * head);
    }
}

void neon_mix_f16(const float *p, size_t p_stride, size_t queries,
                  const uint16_t *v, size_t count, size_t head, float *out) {
    mix(true, p, p_stride, queries, v, count, head, out);
}

void neon_mix_f32(const float *p, size_t p_stride, size_t queries,
                  const float *v, size_t count, size_t head, float *out) {
    mix(false, p, p_stride, queries, v, count, head, out);
}

#else
typedef int kernel_neon_attention_is_for_arm; /* a file may not be empty */
#endif
