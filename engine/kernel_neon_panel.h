/* kernel_neon_panel.h - gemm_q for one of the NEON tables. The file that
 * includes it says how its processors multiply int8:
 *
 *   one_dot()    a row and 4 outputs: dot[0] of the first half of a group and
 *                dot[1] of the second, or dot[0] of all of it
 *   arrange()    codes in the order in which pair_dot() wants them
 *   pair_dot()   one or two rows and 4 outputs, from arranged codes: dot[row]
 *
 * A few rows read the panels as they are; more of them share an unpacked copy
 * of a piece of a panel, small enough for the first cache. Dot products are
 * exact, and a row's numbers are added in the same order either way: in pieces
 * of CHUNK groups, each followed by its spills. */
#ifndef CORRAL_ENGINE_KERNEL_NEON_PANEL_H
#define CORRAL_ENGINE_KERNEL_NEON_PANEL_H

#include "engine/kernel_neon_group.h"

enum {
    CHUNK = 3 * KERNEL_BLOCK,
    ROWS_FEW = 2,
    ROWS = 8, /* of a tile, times ... */
    WIDE = 2  /* ... quarters: 16 totals and 8 registers of codes */
};

static void one_dot(int bits, bool halves, const int8x16_t code[PIECES],
                    const int8_t *q, int32x4_t dot[2]);
static void arrange(int8x16_t code[PIECES]);
static void pair_dot(int bits, bool halves, const int8x16_t code[PIECES],
                     const int8_t *const q[2], size_t count,
                     int32x4_t dot[2][2]);

/* A group that was unpacked, by quarters. */
struct group {
    struct {
        int8x16_t code[PIECES];
        struct factors factors;
    } quarter[QUARTERS];
};

/* The activations of a row at one group. */
struct line {
    const int8_t *q;
    float scale;
    const float *sum;
};

INLINE struct line line_at(const struct kernel_input *x, size_t row,
                           size_t group) {
    size_t at = row * x->groups + group;

    return (struct line){x->q + at * KERNEL_GROUP, x->scale[at],
                         x->sum + 2 * at};
}

INLINE struct line spill_at(const struct kernel_input *x, size_t row,
                            size_t index) {
    size_t at = row * x->spills_max + index;

    return (struct line){x->spill_q + at * KERNEL_GROUP, x->spill_scale[at],
                         x->spill_sum + 2 * at};
}

/* total += a group, from its dot products. */
INLINE float32x4_t add_group(bool halves, bool has_min, float32x4_t total,
                             const struct factors *f, const struct line *x,
                             const int32x4_t dot[2]) {
    const int parts = halves ? 2 : 1;

    UNROLL
    for (int h = 0; h < parts; h++) {
        total = vfmaq_n_f32(
            total, vmulq_f32(vcvtq_f32_s32(dot[h]), f->scale[h]), x->scale);
        if (has_min) total = vfmaq_n_f32(total, f->min[h], x->sum[h]);
    }
    return total;
}

/* One group, as it lies in the panel, times some rows: total[row][quarter]. */
INLINE void few_group(enum kernel_format format, const struct kernel_place *p,
                      const struct line *line, size_t rows,
                      float32x4_t *total) {
    const struct kernel_layout l = kernel_layouts[format];
    const bool has_min = l.min || offset_of(format);

    UNROLL
    for (size_t r = 0; r < QUARTERS; r++) {
        struct factors f = load_factors(format, p, r);
        int8x16_t code[PIECES];

        load_codes(format, p->codes, r, code);
        UNROLL
        for (size_t m = 0; m < rows; m++) {
            int32x4_t dot[2];

            one_dot(l.bits, l.halves, code, line[m].q, dot);
            total[m * QUARTERS + r] = add_group(
                l.halves, has_min, total[m * QUARTERS + r], &f, &line[m], dot);
        }
    }
}

/* Groups [from, end) of a panel times `rows` rows, at most ROWS_FEW. */
INLINE void few(enum kernel_format format, const uint8_t *panel,
                const struct kernel_input *x, size_t rows, size_t from,
                size_t end, float *out, size_t out_stride, size_t lanes,
                bool add) {
    float32x4_t total[ROWS_FEW * QUARTERS];

    UNROLL
    for (size_t i = 0; i < rows * QUARTERS; i++) total[i] = vdupq_n_f32(0);
    for (size_t g = from; g < end; g++) {
        struct kernel_place p = kernel_place(format, panel, x->groups, g);
        struct line line[ROWS_FEW];

        UNROLL
        for (size_t m = 0; m < rows; m++) line[m] = line_at(x, m, g);
        few_group(format, &p, line, rows, total);
    }
    for (size_t m = 0; m < rows; m++) {
        const uint32_t *group = x->spill_group + m * x->spills_max;
        size_t count = x->spills ? x->spills[m] : 0;

        for (size_t i = 0; i < count; i++) {
            struct line line = spill_at(x, m, i);
            struct kernel_place p;

            if (group[i] < from || group[i] >= end) continue;
            p = kernel_place(format, panel, x->groups, group[i]);
            few_group(format, &p, &line, 1, total + m * QUARTERS);
        }
        finish_quarters(out + m * out_stride, total + m * QUARTERS, QUARTERS,
                        lanes, add);
    }
}

INLINE void unpack(enum kernel_format format, const uint8_t *panel,
                   size_t groups, size_t from, size_t end, struct group *out) {
    for (size_t g = from; g < end; g++, out++) {
        struct kernel_place p = kernel_place(format, panel, groups, g);

        UNROLL
        for (size_t r = 0; r < QUARTERS; r++) {
            int8x16_t code[PIECES];

            load_codes(format, p.codes, r, code);
            arrange(code);
            memcpy(out->quarter[r].code, code, sizeof code);
            out->quarter[r].factors = load_factors(format, &p, r);
        }
    }
}

/* The spills of a row in groups [from, end), the unpacked ones. */
static void tile_spills(int bits, bool halves, const struct group *w,
                        const struct kernel_input *x, size_t row, size_t from,
                        size_t end, size_t first, float32x4_t *total) {
    const uint32_t *group = x->spill_group + row * x->spills_max;

    for (size_t i = 0; i < x->spills[row]; i++) {
        const struct line line = spill_at(x, row, i);
        const int8_t *const q[2] = {line.q, line.q};
        const struct group *at = w + (group[i] - from);

        if (group[i] < from || group[i] >= end) continue;
        for (size_t r = 0; r < WIDE; r++) {
            int32x4_t dot[2][2];

            pair_dot(bits, halves, at->quarter[first + r].code, q, 1, dot);
            total[r] =
                add_group(halves, bits < 8, total[r],
                          &at->quarter[first + r].factors, &line, dot[0]);
        }
    }
}

/* The unpacked groups [from, end), WIDE quarters from `first` on, times `rows`
 * rows from `row` on. */
INLINE void tile(int bits, bool halves, const struct group *w,
                 const struct kernel_input *x, size_t row, size_t rows,
                 size_t from, size_t end, size_t first, float *out,
                 size_t out_stride, size_t lanes, bool add) {
    float32x4_t total[ROWS * WIDE];
    float32x4_t sum[ROWS * WIDE]; /* in memory: its index is no constant */

    UNROLL
    for (size_t i = 0; i < rows * WIDE; i++) total[i] = vdupq_n_f32(0);
    for (size_t g = from; g < end; g++) {
        UNROLL
        for (size_t r = 0; r < WIDE; r++) {
            const int8x16_t *code = w[g - from].quarter[first + r].code;
            const struct factors f = w[g - from].quarter[first + r].factors;

            UNROLL
            for (size_t m = 0; m < rows; m += 2) {
                const size_t count = rows - m < 2 ? 1 : 2;
                const struct line line[2] = {
                    line_at(x, row + m, g), line_at(x, row + m + count - 1, g)};
                const int8_t *const q[2] = {line[0].q, line[1].q};
                int32x4_t dot[2][2];

                pair_dot(bits, halves, code, q, count, dot);
                UNROLL
                for (size_t i = 0; i < count; i++)
                    total[(m + i) * WIDE + r] =
                        add_group(halves, bits < 8, total[(m + i) * WIDE + r],
                                  &f, &line[i], dot[i]);
            }
        }
    }
    UNROLL
    for (size_t i = 0; i < rows * WIDE; i++) sum[i] = total[i];
    for (size_t m = 0; m < rows; m++) {
        if (x->spills)
            tile_spills(bits, halves, w, x, row + m, from, end, first,
                        sum + m * WIDE);
        finish_quarters(out + m * out_stride, sum + m * WIDE, WIDE, lanes, add);
    }
}

/* All rows of some unpacked groups. Unpacked, formats with codes of the same
 * kind are one. */
#define TILE(bits, halves, rows)                                               \
    for (size_t r = 0; r < QUARTERS && r * LANES < lanes; r += WIDE)           \
    tile(bits, halves, w, x, row, rows, from, end, r,                          \
         out + row * out_stride + r * LANES, out_stride, lanes - r * LANES,    \
         add)
#define TILES(name, bits, halves)                                              \
    static void name(const struct group *w, const struct kernel_input *x,      \
                     size_t from, size_t end, float *out, size_t out_stride,   \
                     size_t lanes, bool add) {                                 \
        size_t row = 0;                                                        \
                                                                               \
        for (; x->rows - row >= ROWS; row += ROWS) TILE(bits, halves, ROWS);   \
        for (; x->rows - row >= 2; row += 2) TILE(bits, halves, 2);            \
        for (; row < x->rows; row++) TILE(bits, halves, 1);                    \
    }

TILES(tiles_5, 5, false) /* up to 5 bits */
TILES(tiles_8, 8, false)
TILES(tiles_6_halves, 6, true) /* up to 6 */

#define TILES_4 tiles_5
#define TILES_4_HALVES tiles_6_halves
#include "engine/kernel_chunks.h"

#endif
