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

float avx512_soften(float *x, size_t n, float *most) {
    __m512 top = _mm512_set1_ps(-INFINITY);
    __m512 total = _mm512_setzero_ps();

    for (size_t i = 0; i < n; i += LANES)
        top = _mm512_mask_max_ps(
            top, lanes_below(n - i), top,
            _mm512_maskz_loadu_ps(lanes_below(n - i), x + i));
    *most = _mm512_reduce_max_ps(top);
    top = _mm512_set1_ps(*most);
    for (size_t i = 0; i < n; i += LANES) {
        __mmask16 mask = lanes_below(n - i);
        __m512 v =
            exp_bounded(_mm512_sub_ps(_mm512_maskz_loadu_ps(mask, x + i), top));

        total = _mm512_mask_add_ps(total, mask, total, v);
        _mm512_mask_storeu_ps(x + i, mask, v);
    }
    return _mm512_reduce_add_ps(total);
}

/* Attention in bf16, whose products are summed two at a time in f32: a page
 * is unpacked once for all queries, as registers of 16 pairs. */

INLINE __m512i pairs_f16(const void *at) {
    __m512 low = load_f16(at);
    __m512 high = load_f16((const uint16_t *)at + LANES);

    return (__m512i)_mm512_cvtne2ps_pbh(high, low);
}

INLINE __m512 load_codes8(const int8_t *at) {
    return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(
        _mm_loadu_si128((const __m128i *)(const void *)at)));
}

INLINE __m512i pairs_q8(const int8_t *at, __m512 low_scale, __m512 high_scale) {
    __m512 low = _mm512_mul_ps(load_codes8(at), low_scale);
    __m512 high = _mm512_mul_ps(load_codes8(at + LANES), high_scale);

    return (__m512i)_mm512_cvtne2ps_pbh(high, low);
}

/* Pages lie far apart, so the processor does not see the next one coming. */
INLINE void fetch(const void *next, size_t offset) {
    _mm_prefetch((const char *)next + offset, _MM_HINT_T1);
}

/* K to [head/2][2] registers: positions 0 to 15 and 16 to 31. */
INLINE void unpack_k(enum kernel_kv type, const void *k, const void *next,
                     size_t head, __m512i *out) {
    const int8_t *code = k;
    const uint16_t *scales = (const void *)(code + head * KERNEL_POSITIONS);
    __m512 scale[4];

    if (type == KERNEL_KV_F16) {
        for (size_t i = 0; i < head; i++) {
            fetch(next, i * KERNEL_POSITIONS * sizeof(uint16_t));
            out[i] = pairs_f16((const uint16_t *)k + i * KERNEL_POSITIONS);
        }
        return;
    }
    for (size_t i = 0; i < head; i++) {
        size_t at = i % 2 * 2;

        if (i % 2 == 0) fetch(next, i * KERNEL_POSITIONS);
        if (i % KERNEL_GROUP == 0) { /* each position's scale, twice */
            const uint16_t *group =
                scales + i / KERNEL_GROUP * KERNEL_POSITIONS;
            const __m512i twice = _mm512_setr_epi32(0, 0, 1, 1, 2, 2, 3, 3, 4,
                                                    4, 5, 5, 6, 6, 7, 7);
            const __m512i above = _mm512_add_epi32(twice, _mm512_set1_epi32(8));

            for (size_t j = 0; j < 2; j++) {
                __m512 all = load_f16(group + j * LANES);

                scale[2 * j] = _mm512_permutexvar_ps(twice, all);
                scale[2 * j + 1] = _mm512_permutexvar_ps(above, all);
            }
        }
        out[i] =
            pairs_q8(code + i * KERNEL_POSITIONS, scale[at], scale[at + 1]);
    }
}

/* V to [(count+1)/2][head/16] registers; what follows an odd count is 0. */
INLINE void unpack_v(enum kernel_kv type, const void *v, const void *next,
                     size_t count, size_t head, __m512i *out) {
    const int8_t *code = v;
    const uint16_t *scales = (const void *)(code + head * KERNEL_POSITIONS);
    size_t wide = head / LANES;

    for (size_t i = 0; i < count; i += 2) {
        __m512i *line = out + i / 2 * wide;

        for (size_t j = 0; j < wide; j++) {
            size_t at = i * head + j * 2 * LANES;
            float pair[4] = {0};
            __m512 scale;

            if (type == KERNEL_KV_F16) {
                fetch(next, at * sizeof(uint16_t));
                line[j] = pairs_f16((const uint16_t *)v + at);
                continue;
            }
            if (j % 2 == 0) fetch(next, at);
            _mm_storeu_ps(
                pair,
                _mm_cvtph_ps(_mm_loadu_si32(
                    scales + j * LANES / KERNEL_GROUP * KERNEL_POSITIONS + i)));
            scale = _mm512_castpd_ps(
                _mm512_broadcastsd_pd(_mm_castps_pd(_mm_loadu_ps(pair))));
            line[j] = pairs_q8(code + at, scale, scale);
        }
        if (i + 1 == count)
            for (size_t j = 0; j < wide; j++)
                line[j] = _mm512_and_si512(line[j], _mm512_set1_epi32(0xffff));
    }
}

INLINE __m512 dot_pairs(__m512 total, __m512i a, const void *pair) {
    return _mm512_dpbf16_ps(total, (__m512bh)a, (__m512bh)spread(pair));
}

/* All positions of a page for `tile` queries at once. */
INLINE void scores_tile(const uint16_t *q, size_t tile, size_t head,
                        const __m512i *page, float *out, size_t out_stride) {
    __m512 total[TILE][2];

    for (size_t a = 0; a < tile; a++)
        total[a][0] = total[a][1] = _mm512_setzero_ps();
    for (size_t d = 0; d < head; d += 2) {
        for (size_t a = 0; a < tile; a++) {
            const uint16_t *pair = q + a * head + d;

            total[a][0] = dot_pairs(total[a][0], page[d], pair);
            total[a][1] = dot_pairs(total[a][1], page[d + 1], pair);
        }
    }
    for (size_t a = 0; a < tile; a++) {
        _mm512_storeu_ps(out + a * out_stride, total[a][0]);
        _mm512_storeu_ps(out + a * out_stride + LANES, total[a][1]);
    }
}

/* out += p * v for `tile` queries and `wide` registers of dimensions. */
INLINE void mix_tile(const uint16_t *p, size_t tile, const __m512i *page,
                     size_t pairs, size_t head, size_t wide, float *out) {
    __m512 total[4][4];

    for (size_t a = 0; a < tile; a++)
        for (size_t j = 0; j < wide; j++)
            total[a][j] = _mm512_loadu_ps(out + a * head + j * LANES);
    for (size_t i = 0; i < pairs; i++)
        for (size_t a = 0; a < tile; a++)
            for (size_t j = 0; j < wide; j++)
                total[a][j] =
                    dot_pairs(total[a][j], page[i * (head / LANES) + j],
                              p + a * KERNEL_POSITIONS + 2 * i);
    for (size_t a = 0; a < tile; a++)
        for (size_t j = 0; j < wide; j++)
            _mm512_storeu_ps(out + a * head + j * LANES, total[a][j]);
}

INLINE void mix_page(const uint16_t *p, size_t tile, const __m512i *page,
                     size_t pairs, size_t head, float *out) {
    size_t d = 0;

    for (; head - d >= 4 * LANES; d += 4 * LANES)
        mix_tile(p, tile, page + d / LANES, pairs, head, 4, out + d);
    for (; d < head; d += LANES)
        mix_tile(p, tile, page + d / LANES, pairs, head, 1, out + d);
}

/* Runs CALL(n), which handles n queries from `a` on; a literal n lets the
 * compiler keep the sums in registers. */
#define EACH_TILE(queries, most, CALL)                                         \
    for (size_t a = 0; a < (queries);) {                                       \
        size_t left = (queries)-a;                                             \
                                                                               \
        if ((most) == 8 && left >= 8) {                                        \
            CALL(8);                                                           \
            a += 8;                                                            \
        } else if (left >= 4) {                                                \
            CALL(4);                                                           \
            a += 4;                                                            \
        } else if (left == 3) {                                                \
            CALL(3);                                                           \
            a += 3;                                                            \
        } else if (left == 2) {                                                \
            CALL(2);                                                           \
            a += 2;                                                            \
        } else {                                                               \
            CALL(1);                                                           \
            a += 1;                                                            \
        }                                                                      \
    }

INLINE void scores(enum kernel_kv type, const float *q, size_t queries,
                   size_t head, const void *const *k, size_t pages, float *out,
                   size_t out_stride) {
    uint16_t half[KERNEL_QUERIES_MAX * KERNEL_HEAD_MAX];
    __m512i page[KERNEL_HEAD_MAX];

    kernels_avx512.to_bf16(q, queries * head, half);
    for (size_t i = 0; i < pages; i++, out += KERNEL_POSITIONS) {
        unpack_k(type, k[i], k[i + 1 < pages ? i + 1 : i], head, page);
#define SCORES(n)                                                              \
    scores_tile(half + a * head, n, head, page, out + a * out_stride,          \
                out_stride)
        EACH_TILE(queries, 8, SCORES)
#undef SCORES
    }
}

INLINE void mix(enum kernel_kv type, const float *p, size_t p_stride,
                size_t queries, const void *const *v, size_t count, size_t head,
                float *out) {
    uint16_t half[KERNEL_QUERIES_MAX * KERNEL_POSITIONS];
    __m512i page[KERNEL_HEAD_MAX];

    memset(out, 0, queries * head * sizeof *out);
    for (size_t i = 0; i < count; i += KERNEL_POSITIONS, v++) {
        size_t n = count - i < KERNEL_POSITIONS ? count - i : KERNEL_POSITIONS;

        for (size_t a = 0; a < queries; a++) {
            const float *line = p + a * p_stride + i;

            _mm512_storeu_si512(
                half + a * KERNEL_POSITIONS,
                (__m512i)_mm512_cvtne2ps_pbh(_mm512_loadu_ps(line + LANES),
                                             _mm512_loadu_ps(line)));
        }
        unpack_v(type, *v, v[i + KERNEL_POSITIONS < count], n, head, page);
#define MIX(n_queries)                                                         \
    mix_page(half + a * KERNEL_POSITIONS, n_queries, page, (n + 1) / 2, head,  \
             out + a * head)
        EACH_TILE(queries, 4, MIX)
#undef MIX
    }
}

KERNEL_ATTENTION_DEFINE(avx512, f16, KERNEL_KV_F16)
KERNEL_ATTENTION_DEFINE(avx512, q8, KERNEL_KV_Q8)

#else
typedef int kernel_avx512_attention_is_for_x86; /* a file may not be empty */
#endif
