/* The NEON tables: rows of floats and attention. */
#if defined(__aarch64__)

#include "engine/kernel_attention.h"
#include "engine/kernel_neon.h"

#include <math.h>

enum { SCORES_TILE = 4, SCORES_WIDE = 4 * LANES, MIX_TILE = 4 };

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

float neon_soften(float *x, size_t n, float *most) {
    float32x4_t top = vdupq_n_f32(-INFINITY);
    float32x4_t sum = vdupq_n_f32(0);
    float total = 0;
    size_t i = 0;

    for (; n - i >= LANES; i += LANES) top = vmaxq_f32(top, vld1q_f32(x + i));
    *most = vmaxvq_f32(top);
    for (; i < n; i++) *most = x[i] > *most ? x[i] : *most;
    for (i = 0; n - i >= LANES; i += LANES) {
        float32x4_t v =
            exp_lanes(vsubq_f32(vld1q_f32(x + i), vdupq_n_f32(*most)));

        sum = vaddq_f32(sum, v);
        vst1q_f32(x + i, v);
    }
    for (; i < n; i++) {
        x[i] = expf(x[i] - *most);
        total += x[i];
    }
    return total + vaddvq_f32(sum);
}

/* Four pairs of codes from number `at` of a page on. */
INLINE float32x4x2_t load_pairs(enum kernel_kv type, const void *page,
                                size_t at) {
    float32x4x2_t out;
    int16x4x2_t pairs;

    if (type == KERNEL_KV_I16) {
        pairs = vld2_s16((const int16_t *)page + at);
    } else {
        int16x8_t code = vmovl_s8(vld1_s8((const int8_t *)page + at));

        pairs = vuzp_s16(vget_low_s16(code), vget_high_s16(code));
    }
    out.val[0] = vcvtq_f32_s32(vmovl_s16(pairs.val[0]));
    out.val[1] = vcvtq_f32_s32(vmovl_s16(pairs.val[1]));
    return out;
}

/* Of four positions. */
INLINE float32x4_t load_scales(enum kernel_kv type, const void *scales,
                               size_t at) {
    if (type == KERNEL_KV_I16) return vld1q_f32((const float *)scales + at);
    return load_f16((const uint16_t *)scales + at);
}

INLINE float32x4_t spread_scale(enum kernel_kv type, const void *scales,
                                size_t at) {
    const uint16_t *half = scales;

    if (type == KERNEL_KV_I16) return vdupq_n_f32(((const float *)scales)[at]);
    return vcvt_f32_f16(vreinterpret_f16_u16(vdup_n_u16(half[at])));
}

INLINE void unpack_k(enum kernel_kv type, const void *page, size_t head,
                     float *out) {
    for (size_t d = 0; d < head; d += 2) {
        for (size_t p = 0; p < KERNEL_POSITIONS; p += LANES) {
            float *to = out + d * KERNEL_POSITIONS + p;
            float32x4x2_t v =
                load_pairs(type, page, d * KERNEL_POSITIONS + 2 * p);
            float32x4_t scale =
                load_scales(type, kernel_kv_scales(type, page, head, d), p);

            vst1q_f32(to, vmulq_f32(v.val[0], scale));
            vst1q_f32(to + KERNEL_POSITIONS, vmulq_f32(v.val[1], scale));
        }
    }
}

/* Of `count` positions, and of one more when that is odd. */
INLINE void unpack_v(enum kernel_kv type, const void *page, size_t count,
                     size_t head, float *out) {
    for (size_t i = 0; i < count; i += 2) {
        for (size_t d = 0; d < head; d += LANES) {
            const void *scales = kernel_kv_scales(type, page, head, d);
            float *to = out + i * head + d;
            float32x4x2_t v = load_pairs(type, page, i * head + 2 * d);

            vst1q_f32(to, vmulq_f32(v.val[0], spread_scale(type, scales, i)));
            vst1q_f32(to + head,
                      vmulq_f32(v.val[1], spread_scale(type, scales, i + 1)));
        }
    }
}

/* 16 positions for `tile` queries at once. */
INLINE void scores_tile(const float *q, size_t tile, size_t head,
                        const float *k, float *out, size_t out_stride) {
    float32x4_t total[SCORES_TILE][4];

    for (size_t a = 0; a < tile; a++)
        for (size_t j = 0; j < 4; j++) total[a][j] = vdupq_n_f32(0);
    for (size_t d = 0; d < head; d++) {
        for (size_t j = 0; j < 4; j++) {
            float32x4_t v = vld1q_f32(k + d * KERNEL_POSITIONS + j * LANES);

            for (size_t a = 0; a < tile; a++)
                total[a][j] = vfmaq_n_f32(total[a][j], v, q[a * head + d]);
        }
    }
    for (size_t a = 0; a < tile; a++)
        for (size_t j = 0; j < 4; j++)
            vst1q_f32(out + a * out_stride + j * LANES, total[a][j]);
}

/* 16 dimensions, for `tile` queries. */
INLINE void mix_tile(const float *p, size_t p_stride, size_t tile,
                     const float *v, size_t count, size_t head, float *out) {
    float32x4_t total[MIX_TILE][4];

    for (size_t a = 0; a < tile; a++)
        for (size_t j = 0; j < 4; j++)
            total[a][j] = vld1q_f32(out + a * head + j * LANES);
    for (size_t i = 0; i < count; i++) {
        for (size_t j = 0; j < 4; j++) {
            float32x4_t value = vld1q_f32(v + i * head + j * LANES);

            for (size_t a = 0; a < tile; a++)
                total[a][j] =
                    vfmaq_n_f32(total[a][j], value, p[a * p_stride + i]);
        }
    }
    for (size_t a = 0; a < tile; a++)
        for (size_t j = 0; j < 4; j++)
            vst1q_f32(out + a * head + j * LANES, total[a][j]);
}

#include "engine/kernel_attention_pages.h"

KERNEL_ATTENTION_DEFINE(neon, i16, KERNEL_KV_I16)
KERNEL_ATTENTION_DEFINE(neon, q8, KERNEL_KV_Q8)

#else
typedef int kernel_neon_attention_is_for_arm; /* a file may not be empty */
#endif
