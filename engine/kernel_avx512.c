/* AVX-512 with VNNI and BF16: 16 outputs are one register. */
#if defined(__x86_64__)

#include "engine/kernel.h"

#include <immintrin.h>
#include <math.h>
#include <string.h>

#define INLINE static inline __attribute__((always_inline))

enum { LANES = 16, PAIR_BLOCKS = 4 };

/* Rows of activations that share one reading of a panel. */
enum { TILE = 8 };

INLINE __mmask16 lanes_below(size_t n) {
    return (__mmask16)(n >= LANES ? 0xffffu : (1u << n) - 1);
}

INLINE __m512i spread(const void *four_bytes) {
    int32_t v;

    memcpy(&v, four_bytes, sizeof v);
    return _mm512_set1_epi32(v);
}

INLINE __m512 load_f16(const void *at) {
    return _mm512_cvtph_ps(_mm256_loadu_si256(at));
}

static void quantise(const float *x, size_t k, int8_t *q, float *scale,
                     int32_t *sum) {
    const __m512i low = _mm512_set1_epi32(-127);
    const __m512i high = _mm512_set1_epi32(127);

    for (size_t g = 0; g < k / KERNEL_GROUP; g++) {
        __m512 a = _mm512_loadu_ps(x + g * KERNEL_GROUP);
        __m512 b = _mm512_loadu_ps(x + g * KERNEL_GROUP + LANES);
        float most = _mm512_reduce_max_ps(
            _mm512_max_ps(_mm512_abs_ps(a), _mm512_abs_ps(b)));
        __m512 inverse;
        __m512i first;
        __m512i second;

        if (!(most >= 1e-30f)) most = 0;
        inverse = _mm512_set1_ps(most > 0 ? 127.0f / most : 0);
        first = _mm512_cvtps_epi32(_mm512_mul_ps(a, inverse));
        second = _mm512_cvtps_epi32(_mm512_mul_ps(b, inverse));
        first = _mm512_min_epi32(_mm512_max_epi32(first, low), high);
        second = _mm512_min_epi32(_mm512_max_epi32(second, low), high);
        _mm_storeu_si128((__m128i *)(void *)(q + g * KERNEL_GROUP),
                         _mm512_cvtepi32_epi8(first));
        _mm_storeu_si128((__m128i *)(void *)(q + g * KERNEL_GROUP + LANES),
                         _mm512_cvtepi32_epi8(second));
        scale[g] = most / 127.0f;
        sum[2 * g] = _mm512_reduce_add_epi32(_mm512_add_epi32(first, second));
        sum[2 * g + 1] = _mm512_reduce_add_epi32(second);
    }
}

static void to_bf16(const float *x, size_t n, uint16_t *out) {
    for (size_t i = 0; i < n; i += LANES) {
        __mmask16 mask = lanes_below(n - i);
        __m512 v = _mm512_maskz_loadu_ps(mask, x + i);

        _mm256_mask_storeu_epi16(out + i, mask, (__m256i)_mm512_cvtneps_pbh(v));
    }
}

static void to_f16(const float *x, size_t n, uint16_t *out) {
    for (size_t i = 0; i < n; i += LANES) {
        __mmask16 mask = lanes_below(n - i);
        __m512 v = _mm512_maskz_loadu_ps(mask, x + i);

        _mm256_mask_storeu_epi16(out + i, mask,
                                 _mm512_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT));
    }
}

INLINE void finish(float *out, __m512 v, __mmask16 mask, bool add) {
    if (add) v = _mm512_add_ps(v, _mm512_maskz_loadu_ps(mask, out));
    _mm512_mask_storeu_ps(out, mask, v);
}

/* The eight registers of codes of a group, inputs 4j to 4j+3 in code[j]. */
INLINE void load_codes(int format, const uint8_t *at, __m512i code[8]) {
    const __m512i nibble = _mm512_set1_epi8(15);

    if (format & KERNEL_WIDE) {
        for (int j = 0; j < 8; j++) code[j] = _mm512_loadu_si512(at + 64 * j);
        return;
    }
    for (int j = 0; j < 4; j++) {
        __m512i both = _mm512_loadu_si512(at + 64 * j);

        code[j] = _mm512_and_si512(both, nibble);
        code[j + 4] = _mm512_and_si512(_mm512_srli_epi16(both, 4), nibble);
    }
}

/* Dot products of one row and the codes [from, end), less the offset. */
INLINE __m512 codes_dot(const __m512i code[8], int from, int end,
                        const int8_t *q, int offset, int32_t sum) {
    __m512i dot = offset ? _mm512_mullo_epi32(_mm512_set1_epi32(sum),
                                              _mm512_set1_epi32(-offset))
                         : _mm512_setzero_si512();

    for (int j = from; j < end; j++)
        dot = _mm512_dpbusd_epi32(dot, code[j], spread(q + 4 * j));
    return _mm512_cvtepi32_ps(dot);
}

/* scale * dot + min * sum */
INLINE __m512 scaled(int format, const uint8_t *w, int half, __m512 dot,
                     int32_t sum) {
    int halves = format & KERNEL_HALVES ? 2 : 1;
    __m512 t = _mm512_mul_ps(dot, load_f16(w + 32 * half));

    if (format & KERNEL_MIN)
        t = _mm512_fmadd_ps(load_f16(w + 32 * (halves + half)),
                            _mm512_cvtepi32_ps(_mm512_set1_epi32(sum)), t);
    return t;
}

/* One panel times `tile` rows. */
INLINE void panel_q(int format, int offset, const uint8_t *w, size_t groups,
                    const int8_t *q, const float *scale, const int32_t *sum,
                    size_t tile, float *out, size_t out_stride, __mmask16 mask,
                    bool add) {
    size_t scales = (format & KERNEL_HALVES ? 2u : 1u) *
                    (format & KERNEL_MIN ? 2u : 1u) * 32u;
    size_t bytes = scales + (format & KERNEL_WIDE ? 512 : 256);
    __m512 total[TILE];
    __m512i code[8];

    for (size_t m = 0; m < tile; m++) total[m] = _mm512_setzero_ps();
    for (size_t g = 0; g < groups; g++, w += bytes) {
        load_codes(format, w + scales, code);
        for (size_t m = 0; m < tile; m++) {
            size_t at = m * groups + g;
            const int8_t *line = q + at * KERNEL_GROUP;
            int32_t all = sum[2 * at];
            int32_t second = sum[2 * at + 1];
            __m512 t;

            if (format & KERNEL_HALVES) {
                t = scaled(format, w, 0,
                           codes_dot(code, 0, 4, line, offset, all - second),
                           all - second);
                t = _mm512_add_ps(
                    t, scaled(format, w, 1,
                              codes_dot(code, 4, 8, line, offset, second),
                              second));
            } else {
                t = scaled(format, w, 0,
                           codes_dot(code, 0, 8, line, offset, all), all);
            }
            total[m] = _mm512_fmadd_ps(t, _mm512_set1_ps(scale[at]), total[m]);
        }
    }
    for (size_t m = 0; m < tile; m++)
        finish(out + m * out_stride, total[m], mask, add);
}

INLINE void gemm_format(int format, int offset, const uint8_t *w, size_t groups,
                        size_t columns, const int8_t *q, const float *scale,
                        const int32_t *sum, size_t rows, float *out,
                        size_t out_stride, bool add) {
    size_t panel_bytes = groups * kernel_group_bytes(format);

    for (size_t c = 0; c < columns; c += KERNEL_PANEL, w += panel_bytes) {
        __mmask16 mask = lanes_below(columns - c);
        size_t m = 0;

#define PANEL_TILES(tile)                                                      \
    for (; rows - m >= (tile); m += (tile))                                    \
    panel_q(format, offset, w, groups, q + m * groups * KERNEL_GROUP,          \
            scale + m * groups, sum + 2 * m * groups, (tile),                  \
            out + m * out_stride + c, out_stride, mask, add)
        PANEL_TILES(8);
        PANEL_TILES(4);
        PANEL_TILES(2);
        PANEL_TILES(1);
#undef PANEL_TILES
    }
}

/* A function for each format, with and without an offset, so that the loops
 * above are compiled for it. */
#define GEMM(name, format)                                                     \
    static void name(int offset, const uint8_t *w, size_t groups,              \
                     size_t columns, const int8_t *q, const float *scale,      \
                     const int32_t *sum, size_t rows, float *out,              \
                     size_t out_stride, bool add) {                            \
        if (offset)                                                            \
            gemm_format(format, offset, w, groups, columns, q, scale, sum,     \
                        rows, out, out_stride, add);                           \
        else                                                                   \
            gemm_format(format, 0, w, groups, columns, q, scale, sum, rows,    \
                        out, out_stride, add);                                 \
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

INLINE void panel_bf16(const uint16_t *w, size_t k, const uint16_t *x,
                       size_t x_stride, size_t tile, float *out,
                       size_t out_stride, __mmask16 mask, bool add) {
    __m512 total[TILE];

    for (size_t m = 0; m < tile; m++) total[m] = _mm512_setzero_ps();
    for (size_t i = 0; i < k; i += 2) {
        __m512bh pair = (__m512bh)_mm512_loadu_si512(w + i * KERNEL_PANEL);

        for (size_t m = 0; m < tile; m++)
            total[m] = _mm512_dpbf16_ps(total[m], pair,
                                        (__m512bh)spread(x + m * x_stride + i));
    }
    for (size_t m = 0; m < tile; m++)
        finish(out + m * out_stride, total[m], mask, add);
}

/* One row: four sums, or each step would wait for the one before. */
INLINE void panel_bf16_one(const uint16_t *w, size_t k, const uint16_t *x,
                           float *out, __mmask16 mask, bool add) {
    __m512 total[PAIR_BLOCKS];
    size_t i = 0;

    for (int j = 0; j < PAIR_BLOCKS; j++) total[j] = _mm512_setzero_ps();
    for (; k - i >= 2 * PAIR_BLOCKS; i += 2 * PAIR_BLOCKS)
        for (size_t j = 0; j < PAIR_BLOCKS; j++)
            total[j] = _mm512_dpbf16_ps(
                total[j],
                (__m512bh)_mm512_loadu_si512(w + (i + 2 * j) * KERNEL_PANEL),
                (__m512bh)spread(x + i + 2 * j));
    for (; i < k; i += 2)
        total[0] = _mm512_dpbf16_ps(
            total[0], (__m512bh)_mm512_loadu_si512(w + i * KERNEL_PANEL),
            (__m512bh)spread(x + i));
    finish(out,
           _mm512_add_ps(_mm512_add_ps(total[0], total[1]),
                         _mm512_add_ps(total[2], total[3])),
           mask, add);
}

static void gemm_bf16(const uint16_t *w, size_t k, size_t columns,
                      const uint16_t *x, size_t x_stride, size_t rows,
                      float *out, size_t out_stride, bool add) {
    for (size_t c = 0; c < columns; c += KERNEL_PANEL) {
        const uint16_t *panel = w + c * k;
        __mmask16 mask = lanes_below(columns - c);
        size_t m = 0;

        for (; rows - m >= TILE; m += TILE)
            panel_bf16(panel, k, x + m * x_stride, x_stride, TILE,
                       out + m * out_stride + c, out_stride, mask, add);
        for (; rows - m >= 4; m += 4)
            panel_bf16(panel, k, x + m * x_stride, x_stride, 4,
                       out + m * out_stride + c, out_stride, mask, add);
        for (; m < rows; m++)
            panel_bf16_one(panel, k, x + m * x_stride, out + m * out_stride + c,
                           mask, add);
    }
}

static float dot(const float *a, const float *b, size_t n) {
    __m512 total[4];
    size_t i = 0;

    for (int j = 0; j < 4; j++) total[j] = _mm512_setzero_ps();
    for (; n - i >= 4 * LANES; i += 4 * LANES)
        for (size_t j = 0; j < 4; j++)
            total[j] =
                _mm512_fmadd_ps(_mm512_loadu_ps(a + i + j * LANES),
                                _mm512_loadu_ps(b + i + j * LANES), total[j]);
    for (; i < n; i += LANES) {
        __mmask16 mask = lanes_below(n - i);

        total[0] =
            _mm512_fmadd_ps(_mm512_maskz_loadu_ps(mask, a + i),
                            _mm512_maskz_loadu_ps(mask, b + i), total[0]);
    }
    return _mm512_reduce_add_ps(_mm512_add_ps(
        _mm512_add_ps(total[0], total[1]), _mm512_add_ps(total[2], total[3])));
}

static void rmsnorm(const float *x, const float *w, size_t n, float epsilon,
                    float *out) {
    __m512 scale =
        _mm512_set1_ps(1.0f / sqrtf(dot(x, x, n) / (float)n + epsilon));

    for (size_t i = 0; i < n; i += LANES) {
        __mmask16 mask = lanes_below(n - i);
        __m512 v = _mm512_mul_ps(_mm512_maskz_loadu_ps(mask, x + i), scale);

        _mm512_mask_storeu_ps(
            out + i, mask,
            _mm512_mul_ps(v, _mm512_maskz_loadu_ps(mask, w + i)));
    }
}

/* e^x to two units in the last place: x = n ln 2 + r, a polynomial for e^r
 * (Cephes' expf), and scalef, which overflows and underflows as it should. */
INLINE __m512 exp512(__m512 x) {
    __m512 n = _mm512_roundscale_ps(
        _mm512_mul_ps(x, _mm512_set1_ps(1.44269504088896341f)),
        _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    __m512 r = _mm512_fnmadd_ps(n, _mm512_set1_ps(0.693359375f), x);
    __m512 y = _mm512_set1_ps(1.9875691500e-4f);

    r = _mm512_fnmadd_ps(n, _mm512_set1_ps(-2.12194440e-4f), r);
    y = _mm512_fmadd_ps(y, r, _mm512_set1_ps(1.3981999507e-3f));
    y = _mm512_fmadd_ps(y, r, _mm512_set1_ps(8.3334519073e-3f));
    y = _mm512_fmadd_ps(y, r, _mm512_set1_ps(4.1665795894e-2f));
    y = _mm512_fmadd_ps(y, r, _mm512_set1_ps(1.6666665459e-1f));
    y = _mm512_fmadd_ps(y, r, _mm512_set1_ps(5.0000001201e-1f));
    y = _mm512_fmadd_ps(_mm512_mul_ps(r, r), y, r);
    return _mm512_scalef_ps(_mm512_add_ps(y, _mm512_set1_ps(1.0f)), n);
}

/* Beyond these e^x is infinite or zero in a float; and an infinite x would
 * make the remainder above a NaN. */
INLINE __m512 exp_bounded(__m512 x) {
    x = _mm512_min_ps(_mm512_set1_ps(128.0f), x);
    return exp512(_mm512_max_ps(_mm512_set1_ps(-128.0f), x));
}

static void silu_mul(float *gate, const float *up, size_t n) {
    const __m512 one = _mm512_set1_ps(1.0f);

    for (size_t i = 0; i < n; i += LANES) {
        __mmask16 mask = lanes_below(n - i);
        __m512 g = _mm512_maskz_loadu_ps(mask, gate + i);
        __m512 u = _mm512_maskz_loadu_ps(mask, up + i);
        __m512 e = exp_bounded(_mm512_sub_ps(_mm512_setzero_ps(), g));

        g = _mm512_div_ps(g, _mm512_add_ps(one, e));
        _mm512_mask_storeu_ps(gate + i, mask, _mm512_mul_ps(g, u));
    }
}

static void rope(float *x, const float *turns, size_t n) {
    for (size_t i = 0; i < n; i += LANES) {
        __mmask16 mask = lanes_below(n - i);
        __m512 v = _mm512_maskz_loadu_ps(mask, x + i);
        __m512 t = _mm512_maskz_loadu_ps(mask, turns + i);
        __m512 crossed =
            _mm512_mul_ps(_mm512_permute_ps(v, 0xb1), _mm512_movehdup_ps(t));

        /* Subtracts in even lanes, adds in odd ones. */
        v = _mm512_fmaddsub_ps(v, _mm512_moveldup_ps(t), crossed);
        _mm512_mask_storeu_ps(x + i, mask, v);
    }
}

static void softmax(float *x, size_t n) {
    __m512 most = _mm512_set1_ps(-INFINITY);
    __m512 total = _mm512_setzero_ps();
    __m512 scale;

    for (size_t i = 0; i < n; i += LANES)
        most = _mm512_mask_max_ps(
            most, lanes_below(n - i), most,
            _mm512_maskz_loadu_ps(lanes_below(n - i), x + i));
    most = _mm512_set1_ps(_mm512_reduce_max_ps(most));
    for (size_t i = 0; i < n; i += LANES) {
        __mmask16 mask = lanes_below(n - i);
        __m512 v = exp_bounded(
            _mm512_sub_ps(_mm512_maskz_loadu_ps(mask, x + i), most));

        total = _mm512_mask_add_ps(total, mask, total, v);
        _mm512_mask_storeu_ps(x + i, mask, v);
    }
    scale = _mm512_set1_ps(1.0f / _mm512_reduce_add_ps(total));
    for (size_t i = 0; i < n; i += LANES) {
        __mmask16 mask = lanes_below(n - i);

        _mm512_mask_storeu_ps(
            x + i, mask,
            _mm512_mul_ps(_mm512_maskz_loadu_ps(mask, x + i), scale));
    }
}

INLINE __m512 load_value(bool half, const void *at, size_t index) {
    return half ? load_f16((const uint16_t *)at + index)
                : _mm512_loadu_ps((const float *)at + index);
}

/* Both registers of 32 positions for `tile` queries at once. */
INLINE void scores_tile(bool half, const float *q, size_t tile, size_t head,
                        const void *k, float *out, size_t out_stride) {
    __m512 total[TILE][2];

    for (size_t a = 0; a < tile; a++)
        total[a][0] = total[a][1] = _mm512_setzero_ps();
    for (size_t d = 0; d < head; d++) {
        __m512 low = load_value(half, k, d * KERNEL_POSITIONS);
        __m512 high = load_value(half, k, d * KERNEL_POSITIONS + LANES);

        for (size_t a = 0; a < tile; a++) {
            __m512 v = _mm512_set1_ps(q[a * head + d]);

            total[a][0] = _mm512_fmadd_ps(v, low, total[a][0]);
            total[a][1] = _mm512_fmadd_ps(v, high, total[a][1]);
        }
    }
    for (size_t a = 0; a < tile; a++) {
        _mm512_storeu_ps(out + a * out_stride, total[a][0]);
        _mm512_storeu_ps(out + a * out_stride + LANES, total[a][1]);
    }
}

/* The rest is below the tile; a switch makes its size known to the compiler. */
#define EACH_TILE(queries, CALL)                                               \
    for (size_t a = 0; a < (queries);) {                                       \
        switch ((queries)-a) {                                                 \
        case 1:                                                                \
            CALL(1);                                                           \
            break;                                                             \
        case 2:                                                                \
            CALL(2);                                                           \
            break;                                                             \
        case 3:                                                                \
            CALL(3);                                                           \
            break;                                                             \
        case 4:                                                                \
            CALL(4);                                                           \
            break;                                                             \
        default:                                                               \
            CALL(4);                                                           \
            break;                                                             \
        }                                                                      \
        a += (queries)-a < 4 ? (queries)-a : 4;                                \
    }

static void scores_f16(const float *q, size_t queries, size_t head,
                       const uint16_t *k, float *out, size_t out_stride) {
    for (; queries >= TILE; queries -= TILE) {
        scores_tile(true, q, TILE, head, k, out, out_stride);
        q += TILE * head;
        out += TILE * out_stride;
    }
#define SCORES(n)                                                              \
    scores_tile(true, q + a * head, n, head, k, out + a * out_stride,          \
                out_stride)
    EACH_TILE(queries, SCORES)
#undef SCORES
}

static void scores_f32(const float *q, size_t queries, size_t head,
                       const float *k, float *out, size_t out_stride){
#define SCORES(n)                                                              \
    scores_tile(false, q + a * head, n, head, k, out + a * out_stride,         \
                out_stride)
    EACH_TILE(queries, SCORES)
#undef SCORES
}

/* `wide` registers of dimensions for `tile` queries. */
INLINE void mix_tile(bool half, const float *p, size_t p_stride, size_t tile,
                     const void *v, size_t from, size_t count, size_t head,
                     size_t wide, float *out) {
    __m512 total[4][4];

    for (size_t a = 0; a < tile; a++)
        for (size_t j = 0; j < wide; j++)
            total[a][j] = _mm512_loadu_ps(out + a * head + from + j * LANES);
    for (size_t i = 0; i < count; i++) {
        __m512 value[4];

        for (size_t j = 0; j < wide; j++)
            value[j] = load_value(half, v, i * head + from + j * LANES);
        for (size_t a = 0; a < tile; a++) {
            __m512 weight = _mm512_set1_ps(p[a * p_stride + i]);

            for (size_t j = 0; j < wide; j++)
                total[a][j] = _mm512_fmadd_ps(weight, value[j], total[a][j]);
        }
    }
    for (size_t a = 0; a < tile; a++)
        for (size_t j = 0; j < wide; j++)
            _mm512_storeu_ps(out + a * head + from + j * LANES, total[a][j]);
}

INLINE void mix_heads(bool half, const float *p, size_t p_stride, size_t tile,
                      const void *v, size_t count, size_t head, float *out) {
    size_t d = 0;

    for (; head - d >= 4 * LANES; d += 4 * LANES)
        mix_tile(half, p, p_stride, tile, v, d, count, head, 4, out);
    for (; d < head; d += LANES)
        mix_tile(half, p, p_stride, tile, v, d, count, head, 1, out);
}

static void mix_f16(const float *p, size_t p_stride, size_t queries,
                    const uint16_t *v, size_t count, size_t head, float *out) {
#define MIX(n)                                                                 \
    mix_heads(true, p + a * p_stride, p_stride, n, v, count, head,             \
              out + a * head)
    EACH_TILE(queries, MIX)
#undef MIX
}

static void mix_f32(const float *p, size_t p_stride, size_t queries,
                    const float *v, size_t count, size_t head, float *out) {
#define MIX(n)                                                                 \
    mix_heads(false, p + a * p_stride, p_stride, n, v, count, head,            \
              out + a * head)
    EACH_TILE(queries, MIX)
#undef MIX
}

const struct kernels kernels_avx512 = {
    .name = "avx512",
    .quantise = quantise,
    .to_bf16 = to_bf16,
    .to_f16 = to_f16,
    .gemm_q = gemm_q,
    .gemm_bf16 = gemm_bf16,
    .dot = dot,
    .rmsnorm = rmsnorm,
    .silu_mul = silu_mul,
    .rope = rope,
    .softmax = softmax,
    .scores_f16 = scores_f16,
    .scores_f32 = scores_f32,
    .mix_f16 = mix_f16,
    .mix_f32 = mix_f32,
};

#else
typedef int kernel_avx512_is_for_x86; /* a file may not be empty */
#endif
