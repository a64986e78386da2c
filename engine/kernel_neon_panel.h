/* kernel_neon_panel.h - gemm_q for one of the NEON tables. The file that
 * includes it has defined how its processors multiply int8:
 *
 *   void group_dot(const struct codes *c, const int8_t *const q[2],
 *                  size_t count, int32x4_t dot[2][2]);
 *
 * the exact dot products of one group of `count` (1 or 2) rows with 4 outputs:
 * dot[row][0] and [1] of the two halves, or all in dot[row][0] when the format
 * does not tell them apart. */
#ifndef CORRAL_ENGINE_KERNEL_NEON_PANEL_H
#define CORRAL_ENGINE_KERNEL_NEON_PANEL_H

#include "engine/kernel_neon.h"

enum { TILE = 8 /* rows of activations that share one reading of a panel */ };

/* What the loops are compiled for: constants wherever they are used. */
struct layout {
    int format;
    bool centred; /* codes of 8 bits with offset 128, turned into int8 */
    int offset;   /* that is left */
};

/* Codes of a group for 4 outputs: inputs 4j to 4j+3 are in at[j], four to a
 * lane. Centred ones reach from -128 to 127, other wide ones stay below 64 and
 * narrow ones below 16. */
struct codes {
    struct layout layout;
    int8x16_t at[8];
};

static void group_dot(const struct codes *c, const int8_t *const q[2],
                      size_t count, int32x4_t dot[2][2]);

/* Those of quarter r of a panel; `at` is where the group's codes begin. */
INLINE void load_codes(struct codes *c, const uint8_t *at, size_t r) {
    at += 16 * r;
    for (size_t j = 0; j < 4; j++) {
        uint8x16_t a = vld1q_u8(at + 64 * j);
        uint8x16_t b;

        if (c->layout.format & KERNEL_WIDE) {
            b = vld1q_u8(at + 64 * (j + 4));
            if (c->layout.centred) {
                a = veorq_u8(a, vdupq_n_u8(128));
                b = veorq_u8(b, vdupq_n_u8(128));
            }
        } else {
            b = vshrq_n_u8(a, 4);
            a = vandq_u8(a, vdupq_n_u8(15));
        }
        c->at[j] = vreinterpretq_s8_u8(a);
        c->at[j + 4] = vreinterpretq_s8_u8(b);
    }
}

/* scale * (dot - offset * sum) + min * sum; `w` is the group's scales. */
INLINE float32x4_t scaled(struct layout y, const uint8_t *w, size_t half,
                          size_t r, int32x4_t dot, int32_t sum) {
    size_t halves = y.format & KERNEL_HALVES ? 2 : 1;
    const uint8_t *at = w + 2 * LANES * r;
    float32x4_t t;

    if (y.offset) dot = vsubq_s32(dot, vdupq_n_s32(y.offset * sum));
    t = vmulq_f32(vcvtq_f32_s32(dot), load_f16(at + 32 * half));
    if (y.format & KERNEL_MIN)
        t = vfmaq_n_f32(t, load_f16(at + 32 * (halves + half)), (float)sum);
    return t;
}

/* `total` and a group's part of one row. */
INLINE float32x4_t add_group(float32x4_t total, struct layout y,
                             const uint8_t *w, size_t r, const int32x4_t dot[2],
                             const int32_t sum[2], float scale) {
    float32x4_t t;

    if (y.format & KERNEL_HALVES)
        t = vaddq_f32(scaled(y, w, 0, r, dot[0], sum[0] - sum[1]),
                      scaled(y, w, 1, r, dot[1], sum[1]));
    else
        t = scaled(y, w, 0, r, dot[0], sum[0]);
    return vfmaq_n_f32(total, t, scale);
}

/* Quarters [from, from + quarters) of a panel times `tile` rows. */
INLINE void panel_q(struct layout y, const uint8_t *w, size_t from,
                    size_t quarters, size_t groups, const int8_t *q,
                    const float *scale, const int32_t *sum, size_t tile,
                    float *out, size_t out_stride, size_t lanes, bool add) {
    size_t bytes = kernel_group_bytes(y.format);
    size_t scales = bytes - (y.format & KERNEL_WIDE ? 512 : 256);
    float32x4_t total[TILE][QUARTERS];
    struct codes codes = {.layout = y};

    for (size_t m = 0; m < tile; m++)
        for (size_t r = 0; r < quarters; r++) total[m][r] = vdupq_n_f32(0);
    for (size_t g = 0; g < groups; g++, w += bytes) {
        for (size_t r = 0; r < quarters; r++) {
            load_codes(&codes, w + scales, from + r);
            for (size_t m = 0; m < tile; m += 2) {
                size_t count = tile - m < 2 ? 1 : 2;
                const int8_t *lines[2] = {q + (m * groups + g) * KERNEL_GROUP,
                                          q + ((m + count - 1) * groups + g) *
                                                  KERNEL_GROUP};
                int32x4_t dot[2][2];

                group_dot(&codes, lines, count, dot);
                for (size_t i = 0; i < count; i++) {
                    size_t at = (m + i) * groups + g;

                    total[m + i][r] =
                        add_group(total[m + i][r], y, w, from + r, dot[i],
                                  sum + 2 * at, scale[at]);
                }
            }
        }
    }
    for (size_t m = 0; m < tile; m++)
        for (size_t r = 0; r < quarters && (from + r) * LANES < lanes; r++)
            finish(out + m * out_stride + (from + r) * LANES, total[m][r],
                   lanes - (from + r) * LANES, add);
}

INLINE void gemm_format(struct layout y, const uint8_t *w, size_t groups,
                        size_t columns, const int8_t *q, const float *scale,
                        const int32_t *sum, size_t rows, float *out,
                        size_t out_stride, bool add) {
    size_t panel_bytes = groups * kernel_group_bytes(y.format);

    for (size_t c = 0; c < columns; c += KERNEL_PANEL, w += panel_bytes) {
        size_t m = 0;

#define QUARTERS_OF(tile, from, quarters)                                      \
    panel_q(y, w, from, quarters, groups, q + m * groups * KERNEL_GROUP,       \
            scale + m * groups, sum + 2 * m * groups, tile,                    \
            out + m * out_stride + c, out_stride, columns - c, add)
        /* Totals are 16 registers either way; in the wider tile the codes are
         * taken apart for twice as many rows. */
        for (; rows - m >= TILE; m += TILE) {
            QUARTERS_OF(TILE, 0, 2);
            if (columns - c > 2 * LANES) QUARTERS_OF(TILE, 2, 2);
        }
        for (; rows - m >= 4; m += 4) QUARTERS_OF(4, 0, 4);
        for (; rows - m >= 2; m += 2) QUARTERS_OF(2, 0, 4);
        for (; m < rows; m++) QUARTERS_OF(1, 0, 4);
#undef QUARTERS_OF
    }
}

/* A function for each format, so that the loops above are compiled for it. */
#define GEMM(name, format)                                                     \
    static void name(int offset, const uint8_t *w, size_t groups,              \
                     size_t columns, const int8_t *q, const float *scale,      \
                     const int32_t *sum, size_t rows, float *out,              \
                     size_t out_stride, bool add) {                            \
        if (((format)&KERNEL_WIDE) && offset == 128)                           \
            gemm_format((struct layout){format, true, 0}, w, groups, columns,  \
                        q, scale, sum, rows, out, out_stride, add);            \
        else                                                                   \
            gemm_format((struct layout){format, false, offset}, w, groups,     \
                        columns, q, scale, sum, rows, out, out_stride, add);   \
    }

GEMM(gemm_0, 0)
GEMM(gemm_1, 1)
GEMM(gemm_2, 2)
GEMM(gemm_3, 3)
GEMM(gemm_4, 4)
GEMM(gemm_5, 5)
GEMM(gemm_6, 6)
GEMM(gemm_7, 7)

static void gemm_q(int format, int offset, const uint8_t *w, size_t groups,
                   size_t columns, const int8_t *q, const float *scale,
                   const int32_t *sum, size_t rows, float *out,
                   size_t out_stride, bool add) {
    static void (*const each[KERNEL_FORMATS])(
        int, const uint8_t *, size_t, size_t, const int8_t *, const float *,
        const int32_t *, size_t, float *, size_t, bool) = {
        gemm_0, gemm_1, gemm_2, gemm_3, gemm_4, gemm_5, gemm_6, gemm_7};

    each[format](offset, w, groups, columns, q, scale, sum, rows, out,
                 out_stride, add);
}

#endif
