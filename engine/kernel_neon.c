/* The NEON table that every ARMv8 processor runs: the forms of activations,
 * int8 by widening products, bf16 as floats. */
#if defined(__aarch64__)

#include "engine/kernel_attention.h"
#include "engine/kernel_neon_panel.h"

void neon_quantise(const float *x, size_t k, int8_t *q, float *scale,
                   float *sum) {
    for (size_t g = 0; g < k / KERNEL_GROUP; g++) {
        float32x4_t v[8];
        int32x4_t n[8];
        int32x4_t half[2] = {vdupq_n_s32(0), vdupq_n_s32(0)};
        float32x4_t top = vdupq_n_f32(0);
        float inverse;
        float most;

        /* maxnm passes NaN over, as the plain loop does. */
        for (size_t j = 0; j < 8; j++) {
            v[j] = vld1q_f32(x + g * KERNEL_GROUP + j * LANES);
            top = vmaxnmq_f32(top, vabsq_f32(v[j]));
        }
        most = vmaxnmvq_f32(top);
        if (!(most >= 1e-30f)) most = 0;
        inverse = most > 0 ? 127.0f / most : 0;
        for (size_t j = 0; j < 8; j++) {
            n[j] = vcvtnq_s32_f32(vmulq_n_f32(v[j], inverse));
            n[j] = vmaxq_s32(n[j], vdupq_n_s32(-127));
            n[j] = vminq_s32(n[j], vdupq_n_s32(127));
            half[j / 4] = vaddq_s32(half[j / 4], n[j]);
        }
        for (size_t j = 0; j < 8; j += 2)
            vst1_s8(
                q + g * KERNEL_GROUP + j * LANES,
                vmovn_s16(vcombine_s16(vmovn_s32(n[j]), vmovn_s32(n[j + 1]))));
        scale[g] = most / 127.0f;
        sum[2 * g] = scale[g] * (float)vaddvq_s32(vaddq_s32(half[0], half[1]));
        sum[2 * g + 1] = scale[g] * (float)vaddvq_s32(half[1]);
    }
}

/* To nearest, ties to even; a NaN keeps its head and stays one. */
INLINE uint16x4_t round_bf16(uint32x4_t bits) {
    uint32x4_t odd = vandq_u32(vshrq_n_u32(bits, 16), vdupq_n_u32(1));
    uint32x4_t up = vaddq_u32(vaddq_u32(bits, vdupq_n_u32(0x7fff)), odd);
    uint32x4_t quiet = vorrq_u32(bits, vdupq_n_u32(64 << 16));
    uint32x4_t nan = vcgtq_u32(vandq_u32(bits, vdupq_n_u32(0x7fffffff)),
                               vdupq_n_u32(0x7f800000));

    return vshrn_n_u32(vbslq_u32(nan, quiet, up), 16);
}

void neon_to_bf16(const float *x, size_t n, uint16_t *out) {
    size_t i = 0;

    for (; n - i >= LANES; i += LANES)
        vst1_u16(out + i, round_bf16(vreinterpretq_u32_f32(vld1q_f32(x + i))));
    for (; i < n; i++)
        vst1_lane_u16(out + i,
                      round_bf16(vreinterpretq_u32_f32(vdupq_n_f32(x[i]))), 0);
}

float neon_to_i16(const float *x, size_t n, int16_t *out) {
    float32x4_t top = vdupq_n_f32(0);
    float32x4_t odd = vdupq_n_f32(0); /* or NaN */
    float inverse;
    float most;

    for (size_t i = 0; i < n; i += LANES) {
        top = vmaxnmq_f32(top, vabsq_f32(vld1q_f32(x + i)));
        odd = vfmaq_n_f32(odd, vld1q_f32(x + i), 0);
    }
    most = vmaxnmvq_f32(top);
    if (!(most >= 1e-30f)) most = 0;
    inverse = most > 0 ? KERNEL_CODE_MAX / most : 0;
    for (size_t i = 0; i < n; i += LANES) {
        int32x4_t v = vcvtnq_s32_f32(vmulq_n_f32(vld1q_f32(x + i), inverse));

        v = vmaxq_s32(v, vdupq_n_s32(-KERNEL_CODE_MAX));
        v = vminq_s32(v, vdupq_n_s32(KERNEL_CODE_MAX));
        vst1_s16(out + i, vmovn_s32(v));
    }
    return most / KERNEL_CODE_MAX + vaddvq_f32(odd);
}

/* Products of 4 inputs of 4 outputs in 16 bits, those of the first two outputs
 * in low and the others in high. */
INLINE void multiply(int16x8_t *low, int16x8_t *high, int8x16_t code,
                     const int8_t *q) {
    int32_t four;
    int8x16_t v;

    memcpy(&four, q, sizeof four);
    v = vreinterpretq_s8_s32(vdupq_n_s32(four));
    *low = vmlal_s8(*low, vget_low_s8(code), vget_low_s8(v));
    *high = vmlal_high_s8(*high, code, v);
}

/* Inputs 4 * from to 4 * end, so few that 16 bits hold the sums. */
INLINE int32x4_t few_dot(const int8x16_t code[PIECES], const int8_t *q,
                         int from, int end) {
    int16x8_t low = vdupq_n_s16(0);
    int16x8_t high = vdupq_n_s16(0);

    UNROLL
    for (int j = from; j < end; j++) multiply(&low, &high, code[j], q + 4 * j);
    return vpaddq_s32(vpaddlq_s16(low), vpaddlq_s16(high));
}

/* 8 products of 31 * 127 fit, 4 of 63 * 127, and 2 of 128 * 127. */
INLINE void one_dot(int bits, bool halves, const int8x16_t code[PIECES],
                    const int8_t *q, int32x4_t dot[2]) {
    const int part = halves ? PIECES / 2 : PIECES;
    const int step = bits == 8 ? 2 : part;

    UNROLL
    for (int h = 0; h < PIECES / part; h++) {
        dot[h] = few_dot(code, q, h * part, h * part + step);
        UNROLL
        for (int j = h * part + step; j < (h + 1) * part; j += step)
            dot[h] = vaddq_s32(dot[h], few_dot(code, q, j, j + step));
    }
}

INLINE void arrange(int8x16_t code[PIECES]) {
    (void)code;
}

INLINE void pair_dot(int bits, bool halves, const int8x16_t code[PIECES],
                     const int8_t *const q[2], size_t count,
                     int32x4_t dot[2][2]) {
    UNROLL
    for (size_t i = 0; i < count; i++)
        one_dot(bits, halves, code, q[i], dot[i]);
}

/* A lane holds a pair of bf16: the odd one is the float's top half already,
 * the even one is shifted there. */
INLINE float32x4_t even_of(uint32x4_t pairs) {
    return vreinterpretq_f32_u32(vshlq_n_u32(pairs, 16));
}

INLINE float32x4_t odd_of(uint32x4_t pairs) {
    return vreinterpretq_f32_u32(vandq_u32(pairs, vdupq_n_u32(0xffff0000)));
}

INLINE void panel_bf16(const uint16_t *w, size_t k, const uint16_t *x,
                       size_t x_stride, size_t tile, float *out,
                       size_t out_stride, size_t lanes, bool add) {
    float32x4_t even[2][QUARTERS];
    float32x4_t odd[2][QUARTERS];

    for (size_t m = 0; m < tile; m++)
        for (size_t r = 0; r < QUARTERS; r++)
            even[m][r] = odd[m][r] = vdupq_n_f32(0);
    for (size_t i = 0; i < k; i += 2) {
        const uint16_t *at = w + i * KERNEL_PANEL;

        for (size_t r = 0; r < QUARTERS; r++) {
            uint32x4_t pairs =
                vreinterpretq_u32_u16(vld1q_u16(at + 2 * LANES * r));

            for (size_t m = 0; m < tile; m++) {
                uint32_t two;
                uint32x4_t v;

                memcpy(&two, x + m * x_stride + i, sizeof two);
                v = vdupq_n_u32(two);
                even[m][r] = vfmaq_f32(even[m][r], even_of(pairs), even_of(v));
                odd[m][r] = vfmaq_f32(odd[m][r], odd_of(pairs), odd_of(v));
            }
        }
    }
    for (size_t m = 0; m < tile; m++)
        for (size_t r = 0; r < QUARTERS && r * LANES < lanes; r++)
            finish(out + m * out_stride + r * LANES,
                   vaddq_f32(even[m][r], odd[m][r]), lanes - r * LANES, add);
}

void neon_gemm_bf16(const uint16_t *w, size_t k, size_t columns,
                    const uint16_t *x, size_t x_stride, size_t rows, float *out,
                    size_t out_stride, bool add) {
    for (size_t c = 0; c < columns; c += KERNEL_PANEL) {
        size_t m = 0;

        for (; rows - m >= 2; m += 2)
            panel_bf16(w + c * k, k, x + m * x_stride, x_stride, 2,
                       out + m * out_stride + c, out_stride, columns - c, add);
        for (; m < rows; m++)
            panel_bf16(w + c * k, k, x + m * x_stride, x_stride, 1,
                       out + m * out_stride + c, out_stride, columns - c, add);
    }
}

const struct kernels kernels_neon = {
    .name = "neon",
    .quantise = neon_quantise,
    .to_bf16 = neon_to_bf16,
    .to_i16 = neon_to_i16,
    .gemm_q = gemm_q,
    .gemm_bf16 = neon_gemm_bf16,
    KERNEL_ATTENTION_FIELDS(neon),
};

#else
typedef int kernel_neon_is_for_arm; /* a file may not be empty */
#endif
