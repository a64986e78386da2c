/* The NEON table of processors with +i8mm and +bf16: one instruction makes the
 * products of two rows with two outputs, each a sum over 8 int8 or 4 bf16. */
#if defined(__aarch64__)

#include "engine/kernel_attention.h"
#include "engine/kernel_neon_sdot.h"

/* 8 inputs of outputs 0 and 1 in the even registers, of 2 and 3 in the odd. */
INLINE void arrange(int8x16_t code[PIECES]) {
    UNROLL
    for (int j = 0; j < PIECES; j += 2) {
        int32x4_t first = vreinterpretq_s32_s8(code[j]);
        int32x4_t second = vreinterpretq_s32_s8(code[j + 1]);

        code[j] = vreinterpretq_s8_s32(vzip1q_s32(first, second));
        code[j + 1] = vreinterpretq_s8_s32(vzip2q_s32(first, second));
    }
}

/* A single row is multiplied twice: there are few of them. */
INLINE void pair_dot(int bits, bool halves, const int8x16_t code[PIECES],
                     const int8_t *const q[2], size_t count,
                     int32x4_t dot[2][2]) {
    const int part = halves ? PIECES / 2 : PIECES;

    (void)bits;
    UNROLL
    for (int h = 0; h < PIECES / part; h++) {
        int32x4_t low = vdupq_n_s32(0); /* outputs 0 and 1 of both rows */
        int32x4_t high = vdupq_n_s32(0);

        UNROLL
        for (int j = h * part; j < (h + 1) * part; j += 2) {
            int8x16_t v =
                vcombine_s8(vld1_s8(q[0] + 4 * j), vld1_s8(q[1] + 4 * j));

            low = vmmlaq_s32(low, v, code[j]);
            high = vmmlaq_s32(high, v, code[j + 1]);
        }
        dot[0][h] = vcombine_s32(vget_low_s32(low), vget_low_s32(high));
        if (count > 1)
            dot[1][h] = vcombine_s32(vget_high_s32(low), vget_high_s32(high));
    }
}

INLINE bfloat16x8_t pair_of(const uint16_t *x) {
    uint32_t two;

    memcpy(&two, x, sizeof two);
    return vreinterpretq_bf16_u32(vdupq_n_u32(two));
}

/* A pair of inputs of 4 outputs times one row. */
INLINE float32x4_t one_pair(float32x4_t total, const uint16_t *w,
                            const uint16_t *x) {
    return vbfdotq_f32(total, vreinterpretq_bf16_u16(vld1q_u16(w)), pair_of(x));
}

/* Two pairs of inputs of 4 outputs times two rows: outputs 0 and 1 of both are
 * in total[0], 2 and 3 in total[1]. The instruction adds the first pair, then
 * the second, so the sums are those of one_pair(). */
INLINE void two_pairs(float32x4_t total[2], uint32x4_t first, uint32x4_t second,
                      const uint16_t *a, const uint16_t *b) {
    bfloat16x8_t v =
        vreinterpretq_bf16_u16(vcombine_u16(vld1_u16(a), vld1_u16(b)));

    total[0] = vbfmmlaq_f32(total[0], v,
                            vreinterpretq_bf16_u32(vzip1q_u32(first, second)));
    total[1] = vbfmmlaq_f32(total[1], v,
                            vreinterpretq_bf16_u32(vzip2q_u32(first, second)));
}

/* Quarters [from, from + quarters) of a panel times 2 * `pairs` rows. */
INLINE void panel_bf16_pairs(const uint16_t *w, size_t from, size_t quarters,
                             size_t k, const uint16_t *x, size_t x_stride,
                             size_t pairs, float *out, size_t out_stride,
                             size_t lanes, bool add) {
    float32x4_t total[ROWS / 2][QUARTERS][2];
    size_t i = 0;

    w += 2 * LANES * from;
    for (size_t m = 0; m < pairs; m++)
        for (size_t r = 0; r < quarters; r++)
            total[m][r][0] = total[m][r][1] = vdupq_n_f32(0);
    for (; k - i >= 4; i += 4) {
        for (size_t r = 0; r < quarters; r++) {
            const uint16_t *at = w + i * KERNEL_PANEL + 2 * LANES * r;
            uint32x4_t first = vreinterpretq_u32_u16(vld1q_u16(at));
            uint32x4_t second =
                vreinterpretq_u32_u16(vld1q_u16(at + 2 * KERNEL_PANEL));

            for (size_t m = 0; m < pairs; m++)
                two_pairs(total[m][r], first, second, x + 2 * m * x_stride + i,
                          x + (2 * m + 1) * x_stride + i);
        }
    }
    for (size_t m = 0; m < 2 * pairs; m++) {
        for (size_t r = 0; r < quarters && (from + r) * LANES < lanes; r++) {
            const float32x4_t *t = total[m / 2][r];
            float32x4_t v =
                m % 2 ? vcombine_f32(vget_high_f32(t[0]), vget_high_f32(t[1]))
                      : vcombine_f32(vget_low_f32(t[0]), vget_low_f32(t[1]));

            if (i < k)
                v = one_pair(v, w + i * KERNEL_PANEL + 2 * LANES * r,
                             x + m * x_stride + i);
            finish(out + m * out_stride + (from + r) * LANES, v,
                   lanes - (from + r) * LANES, add);
        }
    }
}

INLINE void panel_bf16_one(const uint16_t *w, size_t k, const uint16_t *x,
                           float *out, size_t lanes, bool add) {
    float32x4_t total[QUARTERS];

    for (size_t r = 0; r < QUARTERS; r++) total[r] = vdupq_n_f32(0);
    for (size_t i = 0; i < k; i += 2)
        for (size_t r = 0; r < QUARTERS; r++)
            total[r] =
                one_pair(total[r], w + i * KERNEL_PANEL + 2 * LANES * r, x + i);
    for (size_t r = 0; r < QUARTERS && r * LANES < lanes; r++)
        finish(out + r * LANES, total[r], lanes - r * LANES, add);
}

static void gemm_bf16(const uint16_t *w, size_t k, size_t columns,
                      const uint16_t *x, size_t x_stride, size_t rows,
                      float *out, size_t out_stride, bool add) {
    for (size_t c = 0; c < columns; c += KERNEL_PANEL) {
        size_t m = 0;

#define QUARTERS_OF(pairs, from, quarters)                                     \
    panel_bf16_pairs(w + c * k, from, quarters, k, x + m * x_stride, x_stride, \
                     pairs, out + m * out_stride + c, out_stride, columns - c, \
                     add)
        for (; rows - m >= ROWS; m += ROWS) {
            QUARTERS_OF(ROWS / 2, 0, 2);
            if (columns - c > 2 * LANES) QUARTERS_OF(ROWS / 2, 2, 2);
        }
        for (; rows - m >= 2; m += 2) QUARTERS_OF(1, 0, 4);
#undef QUARTERS_OF
        for (; m < rows; m++)
            panel_bf16_one(w + c * k, k, x + m * x_stride,
                           out + m * out_stride + c, columns - c, add);
    }
}

const struct kernels kernels_neon_mm = {
    .name = "neon_mm",
    .quantise = neon_quantise,
    .to_bf16 = neon_to_bf16,
    .to_i16 = neon_to_i16,
    .gemm_q = gemm_q,
    .gemm_bf16 = gemm_bf16,
    KERNEL_ATTENTION_FIELDS(neon),
};

#else
typedef int kernel_neon_mm_is_for_arm; /* a file may not be empty */
#endif
