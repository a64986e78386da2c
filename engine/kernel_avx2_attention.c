/* The AVX2 table: rows of floats and attention. */
#if defined(__x86_64__)

#include "engine/kernel_attention.h"
#include "engine/kernel_avx2.h"

#include <math.h>

enum { SCORES_TILE = 2, SCORES_WIDE = KERNEL_POSITIONS, MIX_TILE = 4 };

float avx2_dot(const float *a, const float *b, size_t n) {
    __m256 total[4];
    float rest = 0;
    size_t i = 0;

    for (int j = 0; j < 4; j++) total[j] = _mm256_setzero_ps();
    for (; n - i >= 4 * LANES; i += 4 * LANES)
        for (size_t j = 0; j < 4; j++)
            total[j] =
                _mm256_fmadd_ps(_mm256_loadu_ps(a + i + j * LANES),
                                _mm256_loadu_ps(b + i + j * LANES), total[j]);
    for (; i < n; i++) rest += a[i] * b[i];
    return rest + sum_lanes(_mm256_add_ps(_mm256_add_ps(total[0], total[1]),
                                          _mm256_add_ps(total[2], total[3])));
}

void avx2_rmsnorm(const float *x, const float *w, size_t n, float epsilon,
                  float *out) {
    float scale = 1.0f / sqrtf(avx2_dot(x, x, n) / (float)n + epsilon);

    for (size_t i = 0; i < n; i++) out[i] = x[i] * scale * w[i];
}

/* As in kernel_avx512.c; here n is added to the exponent in two steps, so
 * that results down to the subnormals and up to infinity come out right. */
INLINE __m256 exp256(__m256 x) {
    __m256 n;
    __m256 r;
    __m256 y = _mm256_set1_ps(1.9875691500e-4f);
    __m256i whole;
    __m256i half;
    const __m256i bias = _mm256_set1_epi32(127);

    x = _mm256_min_ps(_mm256_set1_ps(128.0f), x);
    x = _mm256_max_ps(_mm256_set1_ps(-128.0f), x);
    n = _mm256_round_ps(_mm256_mul_ps(x, _mm256_set1_ps(1.44269504088896341f)),
                        _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    r = _mm256_fnmadd_ps(n, _mm256_set1_ps(0.693359375f), x);
    r = _mm256_fnmadd_ps(n, _mm256_set1_ps(-2.12194440e-4f), r);
    y = _mm256_fmadd_ps(y, r, _mm256_set1_ps(1.3981999507e-3f));
    y = _mm256_fmadd_ps(y, r, _mm256_set1_ps(8.3334519073e-3f));
    y = _mm256_fmadd_ps(y, r, _mm256_set1_ps(4.1665795894e-2f));
    y = _mm256_fmadd_ps(y, r, _mm256_set1_ps(1.6666665459e-1f));
    y = _mm256_fmadd_ps(y, r, _mm256_set1_ps(5.0000001201e-1f));
    y = _mm256_fmadd_ps(_mm256_mul_ps(r, r), y, r);
    y = _mm256_add_ps(y, _mm256_set1_ps(1.0f));
    whole = _mm256_cvtps_epi32(n);
    half = _mm256_srai_epi32(whole, 1);
    y = _mm256_mul_ps(y, _mm256_castsi256_ps(_mm256_slli_epi32(
                             _mm256_add_epi32(half, bias), 23)));
    whole = _mm256_sub_epi32(whole, half);
    return _mm256_mul_ps(y, _mm256_castsi256_ps(_mm256_slli_epi32(
                                _mm256_add_epi32(whole, bias), 23)));
}

void avx2_silu_mul(float *gate, const float *up, size_t n) {
    const __m256 one = _mm256_set1_ps(1.0f);
    size_t i = 0;

    for (; n - i >= LANES; i += LANES) {
        __m256 g = _mm256_loadu_ps(gate + i);
        __m256 e = exp256(_mm256_sub_ps(_mm256_setzero_ps(), g));

        g = _mm256_div_ps(g, _mm256_add_ps(one, e));
        _mm256_storeu_ps(gate + i, _mm256_mul_ps(g, _mm256_loadu_ps(up + i)));
    }
    for (; i < n; i++) gate[i] = gate[i] / (1.0f + expf(-gate[i])) * up[i];
}

void avx2_rope(float *x, const float *turns, size_t n) {
    size_t i = 0;

    for (; n - i >= LANES; i += LANES) {
        __m256 v = _mm256_loadu_ps(x + i);
        __m256 t = _mm256_loadu_ps(turns + i);
        __m256 crossed =
            _mm256_mul_ps(_mm256_permute_ps(v, 0xb1), _mm256_movehdup_ps(t));

        /* Subtracts in even lanes, adds in odd ones. */
        _mm256_storeu_ps(x + i,
                         _mm256_fmaddsub_ps(v, _mm256_moveldup_ps(t), crossed));
    }
    for (; i < n; i += 2) {
        float a = x[i];
        float b = x[i + 1];

        x[i] = a * turns[i] - b * turns[i + 1];
        x[i + 1] = a * turns[i + 1] + b * turns[i];
    }
}

float avx2_soften(float *x, size_t n, float *most) {
    __m256 top = _mm256_set1_ps(-INFINITY);
    __m256 sum = _mm256_setzero_ps();
    float total = 0;
    size_t i = 0;

    for (; n - i >= LANES; i += LANES)
        top = _mm256_max_ps(top, _mm256_loadu_ps(x + i));
    *most = max_lanes(top);
    for (; i < n; i++) *most = x[i] > *most ? x[i] : *most;
    top = _mm256_set1_ps(*most);
    for (i = 0; n - i >= LANES; i += LANES) {
        __m256 v = exp256(_mm256_sub_ps(_mm256_loadu_ps(x + i), top));

        sum = _mm256_add_ps(sum, v);
        _mm256_storeu_ps(x + i, v);
    }
    for (; i < n; i++) {
        x[i] = expf(x[i] - *most);
        total += x[i];
    }
    return total + sum_lanes(sum);
}

/* Eight pairs, first numbers and second numbers apart. */
INLINE void split_pairs(__m256 a, __m256 b, __m256 *first, __m256 *second) {
    __m256 x = _mm256_shuffle_ps(a, b, 0x88);
    __m256 y = _mm256_shuffle_ps(a, b, 0xdd);

    *first = _mm256_castpd_ps(_mm256_permute4x64_pd(_mm256_castps_pd(x), 0xd8));
    *second =
        _mm256_castpd_ps(_mm256_permute4x64_pd(_mm256_castps_pd(y), 0xd8));
}

/* Eight codes from number `at` of a page on. */
INLINE __m256 load_code(enum kernel_kv type, const void *page, size_t at) {
    const int8_t *code = page;
    const int16_t *wide = page;

    if (type == KERNEL_KV_I16)
        return _mm256_cvtepi32_ps(_mm256_cvtepi16_epi32(
            _mm_loadu_si128((const __m128i *)(const void *)(wide + at))));
    return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(
        _mm_loadl_epi64((const __m128i *)(const void *)(code + at))));
}

/* Eight pairs of codes. */
INLINE void load_pairs(enum kernel_kv type, const void *page, size_t at,
                       __m256 *first, __m256 *second) {
    split_pairs(load_code(type, page, at), load_code(type, page, at + LANES),
                first, second);
}

/* Of eight positions. */
INLINE __m256 load_scales(enum kernel_kv type, const void *scales, size_t at) {
    if (type == KERNEL_KV_I16)
        return _mm256_loadu_ps((const float *)scales + at);
    return load_f16((const uint16_t *)scales + at);
}

INLINE __m256 spread_scale(enum kernel_kv type, const void *scales, size_t at) {
    const uint16_t *half = scales;

    if (type == KERNEL_KV_I16)
        return _mm256_set1_ps(((const float *)scales)[at]);
    return _mm256_cvtph_ps(_mm_set1_epi16((short)half[at]));
}

INLINE void unpack_k(enum kernel_kv type, const void *page, size_t head,
                     float *out) {
    for (size_t d = 0; d < head; d += 2) {
        for (size_t p = 0; p < KERNEL_POSITIONS; p += LANES) {
            float *to = out + d * KERNEL_POSITIONS + p;
            __m256 scale =
                load_scales(type, kernel_kv_scales(type, page, head, d), p);
            __m256 first;
            __m256 second;

            load_pairs(type, page, d * KERNEL_POSITIONS + 2 * p, &first,
                       &second);
            _mm256_storeu_ps(to, _mm256_mul_ps(first, scale));
            _mm256_storeu_ps(to + KERNEL_POSITIONS,
                             _mm256_mul_ps(second, scale));
        }
    }
}

/* Of `count` positions, and of one more when that is odd. */
INLINE void unpack_v(enum kernel_kv type, const void *page, size_t count,
                     size_t head, float *out) {
    for (size_t i = 0; i < count; i += 2) {
        for (size_t d = 0; d < head; d += LANES) {
            const void *scales = kernel_kv_scales(type, page, head, d);
            float *to = out + i * head + d;
            __m256 first;
            __m256 second;

            load_pairs(type, page, i * head + 2 * d, &first, &second);
            _mm256_storeu_ps(
                to, _mm256_mul_ps(first, spread_scale(type, scales, i)));
            _mm256_storeu_ps(
                to + head,
                _mm256_mul_ps(second, spread_scale(type, scales, i + 1)));
        }
    }
}

/* All 32 positions for `tile` queries at once. */
INLINE void scores_tile(const float *q, size_t tile, size_t head,
                        const float *k, float *out, size_t out_stride) {
    __m256 total[SCORES_TILE][4];

    for (size_t a = 0; a < tile; a++)
        for (size_t j = 0; j < 4; j++) total[a][j] = _mm256_setzero_ps();
    for (size_t d = 0; d < head; d++) {
        for (size_t j = 0; j < 4; j++) {
            __m256 v = _mm256_loadu_ps(k + d * KERNEL_POSITIONS + j * LANES);

            for (size_t a = 0; a < tile; a++)
                total[a][j] = _mm256_fmadd_ps(_mm256_set1_ps(q[a * head + d]),
                                              v, total[a][j]);
        }
    }
    for (size_t a = 0; a < tile; a++)
        for (size_t j = 0; j < 4; j++)
            _mm256_storeu_ps(out + a * out_stride + j * LANES, total[a][j]);
}

/* 16 dimensions, for `tile` queries. */
INLINE void mix_tile(const float *p, size_t p_stride, size_t tile,
                     const float *v, size_t count, size_t head, float *out) {
    __m256 total[MIX_TILE][2];

    for (size_t a = 0; a < tile; a++)
        for (size_t j = 0; j < 2; j++)
            total[a][j] = _mm256_loadu_ps(out + a * head + j * LANES);
    for (size_t i = 0; i < count; i++) {
        __m256 low = _mm256_loadu_ps(v + i * head);
        __m256 high = _mm256_loadu_ps(v + i * head + LANES);

        for (size_t a = 0; a < tile; a++) {
            __m256 weight = _mm256_set1_ps(p[a * p_stride + i]);

            total[a][0] = _mm256_fmadd_ps(weight, low, total[a][0]);
            total[a][1] = _mm256_fmadd_ps(weight, high, total[a][1]);
        }
    }
    for (size_t a = 0; a < tile; a++)
        for (size_t j = 0; j < 2; j++)
            _mm256_storeu_ps(out + a * head + j * LANES, total[a][j]);
}

#include "engine/kernel_attention_pages.h"

KERNEL_ATTENTION_DEFINE(avx2, i16, KERNEL_KV_I16)
KERNEL_ATTENTION_DEFINE(avx2, q8, KERNEL_KV_Q8)

#else
typedef int kernel_avx2_attention_is_for_x86; /* a file may not be empty */
#endif
