/* kernel_avx2_panel.h - gemm_q for the tables with registers of 256 bits. The
 * file that includes it says how its processors multiply int8:
 *
 *   CENTRED      codes of 8 bits are wanted as int8, without an offset
 *   depth()      pieces of 4 inputs that one multiply_add() chain may have
 *   multiply()   products of the codes and activations of a piece, to begin a
 *                chain, and multiply_add() to go on with it
 *   gather()     the chain's sums, in lanes of 32 bits
 *
 * A few rows read the panels as they are; more of them share an unpacked copy
 * of a piece of a panel, small enough for the first cache. Dot products are
 * exact, and a row's numbers are added in the same order either way: in pieces
 * of CHUNK groups, each followed by its spills. */
#ifndef CORRAL_ENGINE_KERNEL_AVX2_PANEL_H
#define CORRAL_ENGINE_KERNEL_AVX2_PANEL_H

#include "engine/kernel_avx2_gemm.h"
#include "engine/kernel_avx2_group.h"

enum {
    CHUNK = 3 * KERNEL_BLOCK,
    ROWS_FEW = 2,
    ROWS = 3,       /* of a tile: 6 sums and 6 totals in registers */
    PREFETCH = 1024 /* bytes ahead of a panel that is read once */
};

/* A group that was unpacked. */
struct group {
    __m256i code[PIECES * SIDES]; /* [PIECES][SIDES] */
    struct factors factors[SIDES];
};

/* Pointers to the activations of some rows at one group. */
struct line {
    const int8_t *q;
    const float *scale;
    const float *sum;
    size_t groups; /* from a row to the next */
};

INLINE struct line line_at(const struct kernel_input *x, size_t row,
                           size_t group) {
    size_t at = row * x->groups + group;

    return (struct line){x->q + at * KERNEL_GROUP, x->scale + at,
                         x->sum + 2 * at, x->groups};
}

INLINE struct line spill_at(const struct kernel_input *x, size_t row,
                            size_t index) {
    size_t at = row * x->spills_max + index;

    return (struct line){x->spill_q + at * KERNEL_GROUP, x->spill_scale + at,
                         x->spill_sum + 2 * at, 0};
}

/* What is left to take off of the codes. */
INLINE int offset_of(enum kernel_format format) {
    const struct kernel_layout l = kernel_layouts[format];

    return CENTRED && l.bits == 8 ? 0 : l.offset;
}

/* total += half `h` of a group, from its dot products with row `m`. */
INLINE __m256 add_half(__m256 total, __m256i dot, const struct factors *f,
                       const struct line *x, size_t m, int h, bool has_min) {
    size_t at = m * x->groups;
    __m256 part = _mm256_mul_ps(_mm256_cvtepi32_ps(dot), f->scale[h]);

    total = _mm256_fmadd_ps(part, _mm256_broadcast_ss(x->scale + at), total);
    if (!has_min) return total;
    return _mm256_fmadd_ps(f->min[h], _mm256_broadcast_ss(x->sum + 2 * at + h),
                           total);
}

/* Pieces [from, end) of a group times `rows` rows, at most ROWS; code[j][s] for
 * `sides` sides. */
INLINE void pieces(int bits, const __m256i *code, size_t sides, int from,
                   int end, const struct line *x, size_t rows,
                   __m256i dot[ROWS][SIDES]) {
    const int step = depth(bits) < end - from ? depth(bits) : end - from;

    UNROLL
    for (int first = from; first < end; first += step) {
        __m256i chain[ROWS][SIDES];

        UNROLL
        for (int j = first; j < first + step; j++) {
            UNROLL
            for (size_t m = 0; m < rows; m++) {
                __m256i q = spread(x->q + m * x->groups * KERNEL_GROUP + 4 * j);

                UNROLL
                for (size_t s = 0; s < sides; s++) {
                    __m256i v = code[(size_t)j * sides + s];

                    chain[m][s] = j == first
                                      ? multiply(bits, v, q)
                                      : multiply_add(bits, chain[m][s], v, q);
                }
            }
        }
        UNROLL
        for (size_t m = 0; m < rows; m++) {
            UNROLL
            for (size_t s = 0; s < sides; s++)
                dot[m][s] =
                    first == from
                        ? gather(chain[m][s])
                        : _mm256_add_epi32(dot[m][s], gather(chain[m][s]));
        }
    }
}

/* One group times `rows` rows, for `sides` sides of total[rows][SIDES]. */
INLINE void group_rows(int bits, bool halves, bool has_min, const __m256i *code,
                       const struct factors *f, size_t sides,
                       const struct line *x, size_t rows, __m256 *total) {
    const int parts = halves ? 2 : 1;
    const int each = PIECES / parts;

    UNROLL
    for (int h = 0; h < parts; h++) {
        __m256i dot[ROWS][SIDES];

        pieces(bits, code, sides, h * each, (h + 1) * each, x, rows, dot);
        UNROLL
        for (size_t m = 0; m < rows; m++) {
            UNROLL
            for (size_t s = 0; s < sides; s++)
                total[m * SIDES + s] = add_half(total[m * SIDES + s], dot[m][s],
                                                &f[s], x, m, h, has_min);
        }
    }
}

/* One group, as it lies in the panel, times `rows` rows. */
INLINE void few_group(enum kernel_format format, const struct kernel_place *p,
                      const struct line *x, size_t rows, __m256 *total) {
    const struct kernel_layout l = kernel_layouts[format];
    const int offset = offset_of(format);

    UNROLL
    for (size_t s = 0; s < SIDES; s++) {
        struct factors f = load_factors(format, p, s, offset);
        __m256i code[PIECES];

        load_codes(format, p->codes, s, code);
        group_rows(l.bits, l.halves, l.min || offset, code, &f, 1, x, rows,
                   total + s);
    }
}

INLINE void finish_row(float *out, const __m256 *total, size_t lanes,
                       bool add) {
    finish(out, total[0], lanes, add);
    if (lanes > LANES) finish(out + LANES, total[1], lanes - LANES, add);
}

/* Groups [from, end) of a panel times `rows` rows from `row` on. */
INLINE void few(enum kernel_format format, const uint8_t *panel,
                const struct kernel_input *x, size_t rows, size_t from,
                size_t end, float *out, size_t out_stride, size_t lanes,
                bool add) {
    __m256 total[ROWS * SIDES];

    UNROLL
    for (size_t m = 0; m < rows * SIDES; m++) total[m] = _mm256_setzero_ps();
    for (size_t g = from; g < end; g++) {
        struct kernel_place p = kernel_place(format, panel, x->groups, g);
        struct line line = line_at(x, 0, g);

        for (size_t i = 0; i < kernel_code_bytes(format); i += KERNEL_LINE)
            _mm_prefetch((const char *)p.codes + PREFETCH + i, _MM_HINT_T0);
        few_group(format, &p, &line, rows, total);
    }
    for (size_t m = 0; m < rows; m++) {
        const uint32_t *group = x->spill_group + m * x->spills_max;
        size_t count = x->spills ? x->spills[m] : 0;

        for (size_t i = 0; i < count; i++) {
            struct line line = spill_at(x, m, i);
            struct kernel_place p;

            if (group[i] < from || group[i] >= end) continue;
            p = kernel_place(format, panel, x->groups, group[i]);
            few_group(format, &p, &line, 1, total + m * SIDES);
        }
        finish_row(out + m * out_stride, total + m * SIDES, lanes, add);
    }
}

INLINE void unpack(enum kernel_format format, const uint8_t *panel,
                   size_t groups, size_t from, size_t end, struct group *out) {
    for (size_t g = from; g < end; g++, out++) {
        struct kernel_place p = kernel_place(format, panel, groups, g);

        UNROLL
        for (size_t s = 0; s < SIDES; s++) {
            __m256i code[PIECES];

            load_codes(format, p.codes, s, code);
            UNROLL
            for (size_t j = 0; j < PIECES; j++)
                out->code[j * SIDES + s] = code[j];
            out->factors[s] = load_factors(format, &p, s, offset_of(format));
        }
    }
}

/* Unpacked groups [from, end) times `rows` rows. */
INLINE void tile(int bits, bool halves, const struct group *w,
                 const struct kernel_input *x, size_t row, size_t rows,
                 size_t from, size_t end, float *out, size_t out_stride,
                 size_t lanes, bool add) {
    const bool has_min = !(CENTRED && bits == 8);
    __m256 total[ROWS * SIDES];

    UNROLL
    for (size_t m = 0; m < rows * SIDES; m++) total[m] = _mm256_setzero_ps();
    for (size_t g = from; g < end; g++) {
        struct line line = line_at(x, row, g);

        group_rows(bits, halves, has_min, w[g - from].code, w[g - from].factors,
                   SIDES, &line, rows, total);
    }
    UNROLL
    for (size_t m = 0; m < rows; m++) {
        const uint32_t *group = x->spill_group + (row + m) * x->spills_max;
        size_t count = x->spills ? x->spills[row + m] : 0;

        for (size_t i = 0; i < count; i++) {
            struct line line = spill_at(x, row + m, i);

            if (group[i] < from || group[i] >= end) continue;
            group_rows(bits, halves, has_min, w[group[i] - from].code,
                       w[group[i] - from].factors, SIDES, &line, 1,
                       total + m * SIDES);
        }
        finish_row(out + m * out_stride, total + m * SIDES, lanes, add);
    }
}

/* All rows of some unpacked groups. Unpacked, formats with codes of the same
 * size are one. */
#define TILES(name, bits, halves)                                              \
    static void name(const struct group *w, const struct kernel_input *x,      \
                     size_t from, size_t end, float *out, size_t out_stride,   \
                     size_t lanes, bool add) {                                 \
        size_t row = 0;                                                        \
                                                                               \
        for (; x->rows - row >= ROWS && x->rows - row != 4; row += ROWS)       \
            tile(bits, halves, w, x, row, ROWS, from, end,                     \
                 out + row * out_stride, out_stride, lanes, add);              \
        for (; x->rows - row >= 2; row += 2)                                   \
            tile(bits, halves, w, x, row, 2, from, end,                        \
                 out + row * out_stride, out_stride, lanes, add);              \
        if (row < x->rows)                                                     \
            tile(bits, halves, w, x, row, 1, from, end,                        \
                 out + row * out_stride, out_stride, lanes, add);              \
    }

TILES(tiles_4, 4, false)
TILES(tiles_5, 5, false)
TILES(tiles_8, 8, false)
TILES(tiles_4_halves, 4, true)
TILES(tiles_6_halves, 6, true)

#define TILES_4 tiles_4
#define TILES_4_HALVES tiles_4_halves
#include "engine/kernel_chunks.h"

#endif
