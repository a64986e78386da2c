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

#include "engine/kernel_layout.h"
#include "engine/kernel_neon.h"

enum { TILE = 8 /* rows of activations that share one reading of a panel */ };

/* Codes of a group for 4 outputs: inputs 4j to 4j+3 are in at[j], four to a
 * lane. Those of 8 bits are turned into int8, the others stay below 64. What
 * the loops are compiled for is a constant wherever it is used. */
struct codes {
    struct kernel_layout layout;
    int8x16_t at[8];
};

/* The float side of a group for 4 outputs: the offset of the codes is in the
 * min, and the second half's min is less that of the first, which goes with the
 * sum of the whole group. */
struct factors {
    float32x4_t scale[2];
    float32x4_t min[2];
};

static void group_dot(const struct codes *c, const int8_t *const q[2],
                      size_t count, int32x4_t dot[2][2]);

INLINE uint8x16_t shifted(uint8x16_t v, int right) {
    return vshlq_u8(v, vdupq_n_s8((int8_t)-right));
}

/* The bits of input 4j to 4j+3 beyond, or without, the low four; `at` is where
 * the pieces of pairs or of single bits begin. */
INLINE uint8x16_t more_bits(const struct kernel_layout *l, const uint8_t *at,
                            int j) {
    uint8x16_t v = vdupq_n_u8(0);

    if (l->bits == 5)
        return vandq_u8(shifted(vld1q_u8(at), j - 4), vdupq_n_u8(16));
    if (l->bits == 6)
        return vandq_u8(
            shifted(vld1q_u8(at + j / 4 * KERNEL_LINE), j % 4 * 2 - 4),
            vdupq_n_u8(48));
    if (l->bits <= 3)
        v = vandq_u8(shifted(vld1q_u8(at + j / 4 * KERNEL_LINE), j % 4 * 2),
                     vdupq_n_u8(3));
    if (l->bits == 3)
        v = vorrq_u8(v, vandq_u8(shifted(vld1q_u8(at + 2 * KERNEL_LINE), j - 2),
                                 vdupq_n_u8(4)));
    return v;
}

/* Those of quarter r of a panel; `at` is where the group's codes begin. */
INLINE void load_codes(struct codes *c, const uint8_t *at, size_t r) {
    const struct kernel_layout *l = &c->layout;
    const uint8_t *more = l->bits < 4 ? at : at + 4 * KERNEL_LINE;

    at += 16 * r;
    more += 16 * r;
    for (int j = 0; j < 8; j++) {
        uint8x16_t a = vdupq_n_u8(0);

        if (l->bits == 8)
            a = veorq_u8(vld1q_u8(at + KERNEL_LINE * j), vdupq_n_u8(128));
        else if (l->bits >= 4 && j < 4)
            a = vandq_u8(vld1q_u8(at + KERNEL_LINE * j), vdupq_n_u8(15));
        else if (l->bits >= 4)
            a = vshrq_n_u8(vld1q_u8(at + KERNEL_LINE * (j - 4)), 4);
        if (l->bits < 8 && l->bits != 4) a = vorrq_u8(a, more_bits(l, more, j));
        c->at[j] = vreinterpretq_s8_u8(a);
    }
}

/* `common` is the f16 numbers that a K format multiplies by. */
INLINE float32x4_t load_factor(bool super, const uint8_t *at,
                               const uint8_t *common, size_t r) {
    int32_t four;
    int16x8_t steps;

    if (!super) return load_f16(at + 2 * LANES * r);
    memcpy(&four, at + LANES * r, sizeof four);
    steps = vmovl_s8(vreinterpret_s8_s32(vdup_n_s32(four)));
    return vmulq_f32(vcvtq_f32_s32(vmovl_s16(vget_low_s16(steps))),
                     load_f16(common + 2 * LANES * r));
}

INLINE struct factors load_factors(const struct kernel_layout *l,
                                   const struct kernel_place *p, size_t r) {
    struct factors f;

    for (size_t h = 0; h < (l->halves ? 2 : 1); h++) {
        f.scale[h] = load_factor(l->super, p->head + p->scale[h], p->head, r);
        f.min[h] = vdupq_n_f32(0);
        if (l->min)
            f.min[h] = load_factor(l->super, p->head + p->min[h],
                                   p->head + 2 * KERNEL_PANEL, r);
        if (l->bits < 8)
            f.min[h] = vfmsq_n_f32(f.min[h], f.scale[h], (float)l->offset);
    }
    if (l->halves) f.min[1] = vsubq_f32(f.min[1], f.min[0]);
    return f;
}

/* `total` and a group's part of one row. */
INLINE float32x4_t add_group(float32x4_t total, bool halves,
                             const struct factors *f, const int32x4_t dot[2],
                             const float sum[2], float scale) {
    for (size_t h = 0; h < (halves ? 2 : 1); h++) {
        float32x4_t t = vmulq_f32(vcvtq_f32_s32(dot[h]), f->scale[h]);

        total = vfmaq_n_f32(total, t, scale);
        total = vfmaq_n_f32(total, f->min[h], sum[h]);
    }
    return total;
}

/* The spills of a row, into its total of quarter r. */
INLINE float32x4_t add_spills(enum kernel_format format, const uint8_t *w,
                              size_t r, const struct kernel_input *x,
                              size_t row, float32x4_t total) {
    struct codes codes = {.layout = kernel_layouts[format]};
    size_t at = row * x->spills_max;

    for (size_t end = at + x->spills[row]; at < end; at++) {
        struct kernel_place p =
            kernel_place(format, w, x->groups, x->spill_group[at]);
        struct factors f = load_factors(&codes.layout, &p, r);
        const int8_t *line = x->spill_q + at * KERNEL_GROUP;
        const int8_t *const lines[2] = {line, line};
        int32x4_t dot[2][2];

        load_codes(&codes, p.codes, r);
        group_dot(&codes, lines, 1, dot);
        total = add_group(total, codes.layout.halves, &f, dot[0],
                          x->spill_sum + 2 * at, x->spill_scale[at]);
    }
    return total;
}

/* Quarters [from, from + quarters) of a panel times `tile` rows. */
INLINE void panel_q(enum kernel_format format, const uint8_t *w, size_t from,
                    size_t quarters, const struct kernel_input *x, size_t row,
                    size_t tile, float *out, size_t out_stride, size_t lanes,
                    bool add) {
    float32x4_t total[TILE][QUARTERS];
    struct codes codes = {.layout = kernel_layouts[format]};
    size_t groups = x->groups;

    for (size_t m = 0; m < tile; m++)
        for (size_t r = 0; r < quarters; r++) total[m][r] = vdupq_n_f32(0);
    for (size_t g = 0; g < groups; g++) {
        struct kernel_place p = kernel_place(format, w, groups, g);

        for (size_t r = 0; r < quarters; r++) {
            struct factors f = load_factors(&codes.layout, &p, from + r);

            load_codes(&codes, p.codes, from + r);
            for (size_t m = 0; m < tile; m += 2) {
                size_t count = tile - m < 2 ? 1 : 2;
                size_t at = (row + m) * groups + g;
                const int8_t *line = x->q + at * KERNEL_GROUP;
                const int8_t *const lines[2] = {
                    line, line + (count - 1) * groups * KERNEL_GROUP};
                int32x4_t dot[2][2];

                group_dot(&codes, lines, count, dot);
                for (size_t i = 0; i < count; i++, at += groups)
                    total[m + i][r] =
                        add_group(total[m + i][r], codes.layout.halves, &f,
                                  dot[i], x->sum + 2 * at, x->scale[at]);
            }
        }
    }
    for (size_t m = 0; m < tile; m++) {
        for (size_t r = 0; r < quarters && (from + r) * LANES < lanes; r++) {
            if (x->spills)
                total[m][r] =
                    add_spills(format, w, from + r, x, row + m, total[m][r]);
            finish(out + m * out_stride + (from + r) * LANES, total[m][r],
                   lanes - (from + r) * LANES, add);
        }
    }
}

INLINE void gemm_format(enum kernel_format format, const uint8_t *w,
                        size_t columns, const struct kernel_input *x,
                        float *out, size_t out_stride, bool add) {
    size_t panel_bytes = kernel_panel_bytes(format, x->groups);

    for (size_t c = 0; c < columns; c += KERNEL_PANEL, w += panel_bytes) {
        size_t m = 0;

#define QUARTERS_OF(tile, from, quarters)                                      \
    panel_q(format, w, from, quarters, x, m, tile, out + m * out_stride + c,   \
            out_stride, columns - c, add)
        /* Totals are 16 registers either way; in the wider tile the codes are
         * taken apart for twice as many rows. */
        for (; x->rows - m >= TILE; m += TILE) {
            QUARTERS_OF(TILE, 0, 2);
            if (columns - c > 2 * LANES) QUARTERS_OF(TILE, 2, 2);
        }
        for (; x->rows - m >= 4; m += 4) QUARTERS_OF(4, 0, 4);
        for (; x->rows - m >= 2; m += 2) QUARTERS_OF(2, 0, 4);
        for (; m < x->rows; m++) QUARTERS_OF(1, 0, 4);
#undef QUARTERS_OF
    }
}

/* A function for each format, so that the loops above are compiled for it. */
#define GEMM(name, format)                                                     \
    static void name(const uint8_t *w, size_t columns,                         \
                     const struct kernel_input *x, float *out,                 \
                     size_t out_stride, bool add) {                            \
        gemm_format(format, w, columns, x, out, out_stride, add);              \
    }

GEMM(q4, KERNEL_Q4)
GEMM(q4_min, KERNEL_Q4_MIN)
GEMM(q5, KERNEL_Q5)
GEMM(q5_min, KERNEL_Q5_MIN)
GEMM(q8, KERNEL_Q8)
GEMM(q2_k, KERNEL_Q2_K)
GEMM(q3_k, KERNEL_Q3_K)
GEMM(q4_k, KERNEL_Q4_K)
GEMM(q5_k, KERNEL_Q5_K)
GEMM(q6_k, KERNEL_Q6_K)

static void gemm_q(enum kernel_format format, const uint8_t *w, size_t columns,
                   const struct kernel_input *x, float *out, size_t out_stride,
                   bool add) {
    static void (*const each[KERNEL_FORMATS])(const uint8_t *, size_t,
                                              const struct kernel_input *,
                                              float *, size_t, bool) = {
        [KERNEL_Q4] = q4,     [KERNEL_Q4_MIN] = q4_min,
        [KERNEL_Q5] = q5,     [KERNEL_Q5_MIN] = q5_min,
        [KERNEL_Q8] = q8,     [KERNEL_Q2_K] = q2_k,
        [KERNEL_Q3_K] = q3_k, [KERNEL_Q4_K] = q4_k,
        [KERNEL_Q5_K] = q5_k, [KERNEL_Q6_K] = q6_k,
    };

    each[format](w, columns, x, out, out_stride, add);
}

#endif
