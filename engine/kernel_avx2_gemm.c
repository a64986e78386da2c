/* The AVX2 table: quantised weights. A piece of a panel is unpacked into the
 * first cache, for all rows; half a panel is one register. */
#if defined(__x86_64__)

#include "engine/kernel_avx2_gemm.h"
#include "engine/kernel_avx2.h"
#include "engine/kernel_unpack.h"

enum { CHUNK = 2 * KERNEL_BLOCK, ROWS = 2, SIDES = KERNEL_PANEL / LANES };

/* A group of a panel. The offset of the codes is in `min`, except for codes of
 * 8 bits: those are turned into int8, and nothing is left to take off. The
 * second half's min is less that of the first, which goes with the sum of the
 * whole group. */
struct group {
    kernel_codes code;
    float scale[2][KERNEL_PANEL];
    float min[2][KERNEL_PANEL];
};

INLINE __m256 load_factor(bool super, const uint8_t *at, size_t side,
                          __m256 common) {
    if (!super) return load_f16(at + side * LANES * 2);
    return _mm256_mul_ps(
        common, _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64(
                    (const __m128i *)(const void *)(at + side * LANES)))));
}

INLINE void unpack_factors(enum kernel_format format,
                           const struct kernel_place *p, size_t side,
                           struct group *out) {
    const struct kernel_layout l = kernel_layouts[format];
    const uint8_t *at = p->head + side * LANES * 2;
    __m256 common = _mm256_setzero_ps();
    __m256 common_min = _mm256_setzero_ps();
    __m256 first = _mm256_setzero_ps();

    if (l.super) common = load_f16(at);
    if (l.super && l.min) common_min = load_f16(at + 2 * KERNEL_PANEL);
    for (int h = 0; h < (l.halves ? 2 : 1); h++) {
        __m256 scale =
            load_factor(l.super, p->head + p->scale[h], side, common);
        __m256 min = _mm256_setzero_ps();

        if (l.min)
            min = load_factor(l.super, p->head + p->min[h], side, common_min);
        if (l.bits < 8)
            min = _mm256_fmadd_ps(scale, _mm256_set1_ps(-(float)l.offset), min);
        if (h) min = _mm256_sub_ps(min, first);
        first = min;
        _mm256_storeu_ps(out->scale[h] + side * LANES, scale);
        _mm256_storeu_ps(out->min[h] + side * LANES, min);
    }
}

INLINE void centre(kernel_codes code) {
    for (int j = 0; j < KERNEL_PIECES; j++)
        for (int i = 0; i < KERNEL_LINE; i++) code[j][i] ^= 0x80;
}

INLINE void unpack(enum kernel_format format, const uint8_t *panel,
                   size_t groups, size_t from, size_t count,
                   struct group *out) {
    for (size_t g = from; g < from + count; g++, out++) {
        struct kernel_place p = kernel_place(format, panel, groups, g);

        kernel_unpack_codes(format, p.codes, out->code);
        if (kernel_layouts[format].bits == 8) centre(out->code);
        for (size_t side = 0; side < SIDES; side++)
            unpack_factors(format, &p, side, out);
    }
}

/* Four products each, summed in 32 bits. maddubs wants one side without signs
 * and would overflow on codes of 8 bits, so of those it gets magnitudes, and
 * the signs go to the activations. Other codes stay below 64, and 2 * 63 * 127
 * fits in 16 bits. */
INLINE __m256i products(__m256i sum, __m256i code, __m256i q, bool centred) {
    const __m256i ones = _mm256_set1_epi16(1);

    if (centred) {
        q = _mm256_sign_epi8(q, code);
        code = _mm256_abs_epi8(code);
    }
    return _mm256_add_epi32(
        sum, _mm256_madd_epi16(_mm256_maddubs_epi16(code, q), ones));
}

/* One group of a panel times `rows` rows; the rows' numbers lie `groups`
 * groups apart. */
INLINE void group_rows(bool centred, bool halves, const struct group *w,
                       const int8_t *q, const float *scale, const float *sum,
                       size_t groups, size_t rows, __m256 *total) {
    for (int h = 0; h < (halves ? 2 : 1); h++) {
        __m256i dot[ROWS][SIDES];

        UNROLL
        for (size_t m = 0; m < rows; m++) {
            UNROLL
            for (size_t s = 0; s < SIDES; s++)
                dot[m][s] = _mm256_setzero_si256();
        }
        for (int j = 4 * h; j < (halves ? 4 * h + 4 : KERNEL_PIECES); j++) {
            UNROLL
            for (size_t m = 0; m < rows; m++) {
                __m256i v = spread(q + m * groups * KERNEL_GROUP + 4 * j);

                UNROLL
                for (size_t s = 0; s < SIDES; s++)
                    dot[m][s] = products(
                        dot[m][s], load_bytes(w->code[j] + 32 * s), v, centred);
            }
        }
        UNROLL
        for (size_t s = 0; s < SIDES; s++) {
            __m256 factor = _mm256_loadu_ps(w->scale[h] + s * LANES);
            __m256 min = _mm256_loadu_ps(w->min[h] + s * LANES);

            UNROLL
            for (size_t m = 0; m < rows; m++) {
                __m256 part =
                    _mm256_mul_ps(_mm256_cvtepi32_ps(dot[m][s]), factor);

                total[SIDES * m + s] =
                    _mm256_fmadd_ps(part, _mm256_set1_ps(scale[m * groups]),
                                    total[SIDES * m + s]);
                total[SIDES * m + s] = _mm256_fmadd_ps(
                    min, _mm256_set1_ps(sum[2 * m * groups + (size_t)h]),
                    total[SIDES * m + s]);
            }
        }
    }
}

INLINE void row_spills(bool centred, bool halves, const struct group *w,
                       const struct kernel_input *x, size_t row, size_t from,
                       size_t count, __m256 *total) {
    size_t at = row * x->spills_max;

    for (size_t end = at + x->spills[row]; at < end; at++) {
        size_t g = x->spill_group[at];

        if (g >= from && g < from + count)
            group_rows(centred, halves, w + g - from,
                       x->spill_q + at * KERNEL_GROUP, x->spill_scale + at,
                       x->spill_sum + 2 * at, 0, 1, total);
    }
}

/* Unpacked groups [from, from + count) times `rows` rows. */
INLINE void tile(bool centred, bool halves, const struct group *w,
                 const struct kernel_input *x, size_t row, size_t rows,
                 size_t from, size_t count, float *out, size_t out_stride,
                 size_t lanes, bool add) {
    __m256 total[ROWS * SIDES];

    UNROLL
    for (size_t m = 0; m < rows; m++) {
        UNROLL
        for (size_t s = 0; s < SIDES; s++)
            total[SIDES * m + s] = _mm256_setzero_ps();
    }
    for (size_t g = 0; g < count; g++) {
        size_t at = row * x->groups + from + g;

        group_rows(centred, halves, w + g, x->q + at * KERNEL_GROUP,
                   x->scale + at, x->sum + 2 * at, x->groups, rows, total);
    }
    UNROLL
    for (size_t m = 0; m < rows; m++) {
        if (x->spills)
            row_spills(centred, halves, w, x, row + m, from, count,
                       total + SIDES * m);
        finish(out + m * out_stride, total[SIDES * m], lanes, add);
        if (lanes > LANES)
            finish(out + m * out_stride + LANES, total[SIDES * m + 1],
                   lanes - LANES, add);
    }
}

INLINE void gemm(enum kernel_format format, const uint8_t *w, size_t columns,
                 const struct kernel_input *x, float *out, size_t out_stride,
                 bool add) {
    const bool centred = kernel_layouts[format].bits == 8;
    const bool halves = kernel_layouts[format].halves;
    size_t panel_bytes = kernel_panel_bytes(format, x->groups);
    struct group room[CHUNK];

    for (size_t c = 0; c < columns; c += KERNEL_PANEL, w += panel_bytes) {
        for (size_t from = 0; from < x->groups; from += CHUNK) {
            size_t count = x->groups - from < CHUNK ? x->groups - from : CHUNK;
            bool more = add || from > 0;
            size_t row = 0;

            unpack(format, w, x->groups, from, count, room);
            for (; x->rows - row >= ROWS; row += ROWS)
                tile(centred, halves, room, x, row, ROWS, from, count,
                     out + row * out_stride + c, out_stride, columns - c, more);
            for (; row < x->rows; row++)
                tile(centred, halves, room, x, row, 1, from, count,
                     out + row * out_stride + c, out_stride, columns - c, more);
        }
    }
}

/* A function for each format, so that the loops above are compiled for it. */
typedef void gemm_function(const uint8_t *w, size_t columns,
                           const struct kernel_input *x, float *out,
                           size_t out_stride, bool add);

#define FORMAT(name, format)                                                   \
    static void name(const uint8_t *w, size_t columns,                         \
                     const struct kernel_input *x, float *out,                 \
                     size_t out_stride, bool add) {                            \
        gemm(format, w, columns, x, out, out_stride, add);                     \
    }

FORMAT(q4, KERNEL_Q4)
FORMAT(q4_min, KERNEL_Q4_MIN)
FORMAT(q5, KERNEL_Q5)
FORMAT(q5_min, KERNEL_Q5_MIN)
FORMAT(q8, KERNEL_Q8)
FORMAT(q2_k, KERNEL_Q2_K)
FORMAT(q3_k, KERNEL_Q3_K)
FORMAT(q4_k, KERNEL_Q4_K)
FORMAT(q5_k, KERNEL_Q5_K)
FORMAT(q6_k, KERNEL_Q6_K)

void avx2_gemm_q(enum kernel_format format, const uint8_t *w, size_t columns,
                 const struct kernel_input *x, float *out, size_t out_stride,
                 bool add) {
    static gemm_function *const each[KERNEL_FORMATS] = {
        [KERNEL_Q4] = q4,     [KERNEL_Q4_MIN] = q4_min,
        [KERNEL_Q5] = q5,     [KERNEL_Q5_MIN] = q5_min,
        [KERNEL_Q8] = q8,     [KERNEL_Q2_K] = q2_k,
        [KERNEL_Q3_K] = q3_k, [KERNEL_Q4_K] = q4_k,
        [KERNEL_Q5_K] = q5_k, [KERNEL_Q6_K] = q6_k,
    };

    each[format](w, columns, x, out, out_stride, add);
}

#else
typedef int kernel_avx2_gemm_is_for_x86; /* a file may not be empty */
#endif
