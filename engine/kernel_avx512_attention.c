/* The AVX-512 table: rows of floats and attention. */
#if defined(__x86_64__)

#include "engine/kernel_attention.h"
#include "engine/kernel_avx512.h"

#include <math.h>

/* Queries that share one reading of a page. */
enum { TILE = 8 };

float avx512_dot(const float *a, const float *b, size_t n) {
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

void avx512_rmsnorm(const float *x, const float *w, size_t n, float epsilon,
                    float *out) {
    __m512 scale =
        _mm512_set1_ps(1.0f / sqrtf(avx512_dot(x, x, n) / (float)n + epsilon));

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

void avx512_silu_mul(float *gate, const float *up, size_t n) {
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

void avx512_rope(float *x, const float *turns, size_t n) {
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

void avx512_softmax(float *x, size_t n) {
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

void avx512_scores_f16(const float *q, size_t queries, size_t head,
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

void avx512_scores_f32(const float *q, size_t queries, size_t head,
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

void avx512_mix_f16(const float *p, size_t p_stride, size_t queries,
                    const uint16_t *v, size_t count, size_t head, float *out) {
#define MIX(n)                                                                 \
    mix_heads(true, p + a * p_stride, p_stride, n, v, count, head,             \
              out + a * head)
    EACH_TILE(queries, MIX)
#undef MIX
}

void avx512_mix_f32(const float *p, size_t p_stride, size_t queries,
                    const float *v, size_t count, size_t head, float *out) {
#define MIX(n)                                                                 \
    mix_heads(false, p + a * p_stride, p_stride, n, v, count, head,            \
              out + a * head)
    EACH_TILE(queries, MIX)
#undef MIX
}

#else
typedef int kernel_avx512_attention_is_for_x86; /* a file may not be empty */
#endif
