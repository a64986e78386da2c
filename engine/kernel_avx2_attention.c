/* The AVX2 table: rows of floats and attention. */
#if defined(__x86_64__)

#include "engine/kernel_attention.h"
#include "engine/kernel_avx2.h"

#include <math.h>

enum { TILE = 2 };

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

void avx2_softmax(float *x, size_t n) {
    __m256 top = _mm256_set1_ps(-INFINITY);
    __m256 sum = _mm256_setzero_ps();
    float most;
    float total = 0;
    size_t i = 0;

    for (; n - i >= LANES; i += LANES)
        top = _mm256_max_ps(top, _mm256_loadu_ps(x + i));
    most = max_lanes(top);
    for (; i < n; i++) most = x[i] > most ? x[i] : most;
    for (i = 0; n - i >= LANES; i += LANES) {
        __m256 v =
            exp256(_mm256_sub_ps(_mm256_loadu_ps(x + i), _mm256_set1_ps(most)));

        sum = _mm256_add_ps(sum, v);
        _mm256_storeu_ps(x + i, v);
    }
    for (; i < n; i++) {
        x[i] = expf(x[i] - most);
        total += x[i];
    }
    total = 1.0f / (total + sum_lanes(sum));
    for (i = 0; i < n; i++) x[i] *= total;
}

INLINE __m256 load_value(bool half, const void *at, size_t index) {
    return half ? load_f16((const uint16_t *)at + index)
                : _mm256_loadu_ps((const float *)at + index);
}

/* All 32 positions for `tile` queries at once. */
INLINE void scores_tile(bool half, const float *q, size_t tile, size_t head,
                        const void *k, float *out, size_t out_stride) {
    __m256 total[TILE][4];

    for (size_t a = 0; a < tile; a++)
        for (size_t j = 0; j < 4; j++) total[a][j] = _mm256_setzero_ps();
    for (size_t d = 0; d < head; d++) {
        for (size_t j = 0; j < 4; j++) {
            __m256 v = load_value(half, k, d * KERNEL_POSITIONS + j * LANES);

            for (size_t a = 0; a < tile; a++)
                total[a][j] = _mm256_fmadd_ps(_mm256_set1_ps(q[a * head + d]),
                                              v, total[a][j]);
        }
    }
    for (size_t a = 0; a < tile; a++)
        for (size_t j = 0; j < 4; j++)
            _mm256_storeu_ps(out + a * out_stride + j * LANES, total[a][j]);
}

void avx2_scores_f16(const float *q, size_t queries, size_t head,
                     const uint16_t *k, float *out, size_t out_stride) {
    size_t a = 0;

    for (; queries - a >= TILE; a += TILE)
        scores_tile(true, q + a * head, TILE, head, k, out + a * out_stride,
                    out_stride);
    for (; a < queries; a++)
        scores_tile(true, q + a * head, 1, head, k, out + a * out_stride,
                    out_stride);
}

void avx2_scores_f32(const float *q, size_t queries, size_t head,
                     const float *k, float *out, size_t out_stride) {
    for (size_t a = 0; a < queries; a++)
        scores_tile(false, q + a * head, 1, head, k, out + a * out_stride,
                    out_stride);
}

/* 16 dimensions, for `tile` queries. */
INLINE void mix_tile(bool half, const float *p, size_t p_stride, size_t tile,
                     const void *v, size_t from, size_t count, size_t head,
                     float *out) {
    __m256 total[4][2];

    for (size_t a = 0; a < tile; a++)
        for (size_t j = 0; j < 2; j++)
            total[a][j] = _mm256_loadu_ps(out + a * head + from + j * LANES);
    for (size_t i = 0; i < count; i++) {
        __m256 low = load_value(half, v, i * head + from);
        __m256 high = load_value(half, v, i * head + from + LANES);

        for (size_t a = 0; a < tile; a++) {
            __m256 weight = _mm256_set1_ps(p[a * p_stride + i]);

            total[a][0] = _mm256_fmadd_ps(weight, low, total[a][0]);
            total[a][1] = _mm256_fmadd_ps(weight, high, total[a][1]);
        }
    }
    for (size_t a = 0; a < tile; a++)
        for (size_t j = 0; j < 2; j++)
            _mm256_storeu_ps(out + a * head + from + j * LANES, total[a][j]);
}

INLINE void mix(bool half, const float *p, size_t p_stride, size_t queries,
                const void *v, size_t count, size_t head, float *out) {
    for (size_t d = 0; d < head; d += KERNEL_PANEL) {
        size_t a = 0;

        for (; queries - a >= 4; a += 4)
            mix_tile(half, p + a * p_stride, p_stride, 4, v, d, count, head,
                     out + a * head);
        for (; a < queries; a++)
            mix_tile(half, p + a * p_stride, p_stride, 1, v, d, count, head,
                     out + a * head);
    }
}

void avx2_mix_f16(const float *p, size_t p_stride, size_t queries,
                  const uint16_t *v, size_t count, size_t head, float *out) {
    mix(true, p, p_stride, queries, v, count, head, out);
}

void avx2_mix_f32(const float *p, size_t p_stride, size_t queries,
                  const float *v, size_t count, size_t head, float *out) {
    mix(false, p, p_stride, queries, v, count, head, out);
}

#else
typedef int kernel_avx2_attention_is_for_x86; /* a file may not be empty */
#endif
