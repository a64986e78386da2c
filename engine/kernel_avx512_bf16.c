/* The AVX-512 table: weights in bf16. They are multiplied as floats, for bf16
 * products take four times as long as those of floats on Sapphire Rapids. Many
 * rows share an unpacked copy of a piece of two panels. A row's numbers are
 * added in the same order either way: in pieces of CHUNK inputs. */
#if defined(__x86_64__)

#include "engine/kernel_avx512_gemm.h"

#include "engine/kernel_avx512.h"

enum {
    CHUNK = 192, /* inputs, so that the copy and the rows fit the first cache */
    ROWS_FEW = 3,
    ROWS = 8,   /* of a tile */
    PANELS = 2, /* of a tile: 16 sums in registers */
    FEW_PANELS = 4
};

/* A lane holds a pair: the odd one is a float's top half already, the even one
 * is shifted there. */
INLINE __m512 even_of(__m512i pairs) {
    return _mm512_castsi512_ps(_mm512_slli_epi32(pairs, 16));
}

INLINE __m512 odd_of(__m512i pairs) {
    return _mm512_castsi512_ps(
        _mm512_and_si512(pairs, _mm512_set1_epi32((int32_t)0xffff0000)));
}

/* Inputs [0, count) of a panel, count even, as floats. */
INLINE void unpack(const uint16_t *panel, size_t count, float *out) {
    for (size_t i = 0; i < count; i += 2, out += 2 * LANES) {
        __m512i pairs = _mm512_loadu_si512(panel + i * KERNEL_PANEL);

        _mm512_storeu_ps(out, even_of(pairs));
        _mm512_storeu_ps(out + LANES, odd_of(pairs));
    }
}

INLINE void to_floats(const uint16_t *x, size_t count, float *out) {
    for (size_t i = 0; i < count; i += LANES)
        _mm512_storeu_ps(out + i,
                         _mm512_castsi512_ps(_mm512_slli_epi32(
                             _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(
                                 lanes_below(count - i), x + i)),
                             16)));
}

/* `panels` panels, CHUNK inputs apart, times the first `rows` of ROWS rows of
 * CHUNK inputs: the others are computed for nothing. */
INLINE void tile(const float *w, size_t panels, const float *x, size_t rows,
                 size_t count, float *out, size_t out_stride, __mmask16 mask,
                 bool add) {
    __m512 total[PANELS][ROWS];

    UNROLL
    for (size_t p = 0; p < panels; p++) {
        UNROLL
        for (size_t m = 0; m < ROWS; m++) total[p][m] = _mm512_setzero_ps();
    }
    for (size_t i = 0; i < count; i++) {
        UNROLL
        for (size_t m = 0; m < ROWS; m++) {
            __m512 value = _mm512_set1_ps(x[m * CHUNK + i]);

            UNROLL
            for (size_t p = 0; p < panels; p++)
                total[p][m] = _mm512_fmadd_ps(
                    _mm512_loadu_ps(w + (p * CHUNK + i) * LANES), value,
                    total[p][m]);
        }
    }
    UNROLL
    for (size_t p = 0; p < panels; p++) {
        UNROLL
        for (size_t m = 0; m < ROWS; m++)
            if (m < rows)
                finish(out + m * out_stride + p * LANES, total[p][m],
                       p + 1 < panels ? 0xffff : mask, add);
    }
}

/* All rows of one piece. */
INLINE void tiles(const float *w, size_t panels, const uint16_t *x,
                  size_t x_stride, size_t rows, size_t count, float *out,
                  size_t out_stride, __mmask16 mask, bool add) {
    float line[ROWS * CHUNK] = {0};

    for (size_t row = 0; row < rows; row += ROWS) {
        size_t some = rows - row < ROWS ? rows - row : ROWS;

        for (size_t m = 0; m < some; m++)
            to_floats(x + (row + m) * x_stride, count, line + m * CHUNK);
        tile(w, panels, line, some, count, out + row * out_stride, out_stride,
             mask, add);
    }
}

static void many(const uint16_t *w, size_t k, size_t columns, const uint16_t *x,
                 size_t x_stride, size_t rows, float *out, size_t out_stride,
                 bool add) {
    float room[PANELS * CHUNK * LANES];

    for (size_t c = 0; c < columns; c += PANELS * LANES) {
        bool two = columns - c > LANES;
        __mmask16 mask = lanes_below(columns - c - (two ? LANES : 0));

        for (size_t from = 0; from < k; from += CHUNK) {
            size_t count = k - from < CHUNK ? k - from : CHUNK;
            bool more = add || from > 0;

            unpack(w + (c * k + from * LANES), count, room);
            if (two) {
                unpack(w + ((c + LANES) * k + from * LANES), count,
                       room + CHUNK * LANES);
                tiles(room, 2, x + from, x_stride, rows, count, out + c,
                      out_stride, mask, more);
            } else {
                tiles(room, 1, x + from, x_stride, rows, count, out + c,
                      out_stride, mask, more);
            }
        }
    }
}

/* One row on several panels, which are read once, in order. */
INLINE void few_panels(const uint16_t *w, size_t k, const uint16_t *x,
                       size_t panels, float *out, size_t columns, bool add) {
    __m512 all[FEW_PANELS];

    UNROLL
    for (size_t p = 0; p < panels; p++)
        all[p] = add ? _mm512_maskz_loadu_ps(lanes_below(columns - p * LANES),
                                             out + p * LANES)
                     : _mm512_setzero_ps();
    for (size_t from = 0; from < k; from += CHUNK) {
        size_t end = k - from < CHUNK ? k : from + CHUNK;
        __m512 total[FEW_PANELS];

        UNROLL
        for (size_t p = 0; p < panels; p++) total[p] = _mm512_setzero_ps();
        for (size_t i = from; i < end; i += 2) {
            __m512i values = spread(x + i);

            UNROLL
            for (size_t p = 0; p < panels; p++) {
                __m512i pairs = _mm512_loadu_si512(w + (p * k + i) * LANES);

                total[p] =
                    _mm512_fmadd_ps(even_of(pairs), even_of(values), total[p]);
                total[p] =
                    _mm512_fmadd_ps(odd_of(pairs), odd_of(values), total[p]);
            }
        }
        UNROLL
        for (size_t p = 0; p < panels; p++)
            all[p] = _mm512_add_ps(all[p], total[p]);
    }
    UNROLL
    for (size_t p = 0; p < panels; p++)
        _mm512_mask_storeu_ps(out + p * LANES, lanes_below(columns - p * LANES),
                              all[p]);
}

static void few(const uint16_t *w, size_t k, size_t columns, const uint16_t *x,
                float *out, bool add) {
    size_t c = 0;

    for (; columns - c > (FEW_PANELS - 1) * LANES; c += FEW_PANELS * LANES) {
        few_panels(w + c * k, k, x, FEW_PANELS, out + c, columns - c, add);
        if (columns - c <= FEW_PANELS * LANES) return;
    }
    for (; c < columns; c += LANES)
        few_panels(w + c * k, k, x, 1, out + c, columns - c, add);
}

void avx512_gemm_bf16(const uint16_t *w, size_t k, size_t columns,
                      const uint16_t *x, size_t x_stride, size_t rows,
                      float *out, size_t out_stride, bool add) {
    if (rows > ROWS_FEW) {
        many(w, k, columns, x, x_stride, rows, out, out_stride, add);
        return;
    }
    for (size_t m = 0; m < rows; m++)
        few(w, k, columns, x + m * x_stride, out + m * out_stride, add);
}

#else
typedef int kernel_avx512_bf16_is_for_x86; /* a file may not be empty */
#endif
