/* AVX2 with FMA and F16C: a panel of 16 outputs is two registers. */
#if defined(__x86_64__)

#include "engine/kernel_attention.h"
#include "engine/kernel_avx2.h"
#include "engine/kernel_avx2_gemm.h"

INLINE int32_t sum_ints(__m256i v) {
    __m128i s = _mm_add_epi32(_mm256_castsi256_si128(v),
                              _mm256_extracti128_si256(v, 1));

    s = _mm_add_epi32(s, _mm_shuffle_epi32(s, 0x4e));
    s = _mm_add_epi32(s, _mm_shuffle_epi32(s, 0xb1));
    return _mm_cvtsi128_si32(s);
}

static void quantise(const float *x, size_t k, int8_t *q, float *scale,
                     float *sum) {
    const __m256 sign = _mm256_set1_ps(-0.0f);
    const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);

    for (size_t g = 0; g < k / KERNEL_GROUP; g++) {
        __m256 v[4];
        __m256i n[4];
        __m256 inverse;
        __m256 top = _mm256_setzero_ps();
        float most;
        int32_t all;
        int32_t second;

        for (size_t j = 0; j < 4; j++) {
            v[j] = _mm256_loadu_ps(x + g * KERNEL_GROUP + j * LANES);
            top = _mm256_max_ps(_mm256_andnot_ps(sign, v[j]), top);
        }
        most = max_lanes(top);
        if (!(most >= 1e-30f)) most = 0;
        inverse = _mm256_set1_ps(most > 0 ? 127.0f / most : 0);
        for (size_t j = 0; j < 4; j++) {
            n[j] = _mm256_cvtps_epi32(_mm256_mul_ps(v[j], inverse));
            n[j] = _mm256_max_epi32(n[j], _mm256_set1_epi32(-127));
            n[j] = _mm256_min_epi32(n[j], _mm256_set1_epi32(127));
        }
        /* The packs work in 128-bit halves; `order` puts them right. */
        _mm256_storeu_si256(
            (__m256i *)(void *)(q + g * KERNEL_GROUP),
            _mm256_permutevar8x32_epi32(
                _mm256_packs_epi16(_mm256_packs_epi32(n[0], n[1]),
                                   _mm256_packs_epi32(n[2], n[3])),
                order));
        scale[g] = most / 127.0f;
        second = sum_ints(_mm256_add_epi32(n[2], n[3]));
        all = sum_ints(_mm256_add_epi32(n[0], n[1])) + second;
        sum[2 * g] = scale[g] * (float)all;
        sum[2 * g + 1] = scale[g] * (float)second;
    }
}

static void to_bf16(const float *x, size_t n, uint16_t *out) {
    for (size_t i = 0; i < n; i++) {
        uint32_t bits;

        memcpy(&bits, x + i, sizeof bits);
        if ((bits & 0x7fffffff) > 0x7f800000)
            out[i] = (uint16_t)(bits >> 16 | 64);
        else
            out[i] = (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
    }
}

static void to_f16(const float *x, size_t n, uint16_t *out) {
    size_t i = 0;

    for (; n - i >= LANES; i += LANES)
        _mm_storeu_si128(
            (__m128i *)(void *)(out + i),
            _mm256_cvtps_ph(_mm256_loadu_ps(x + i), _MM_FROUND_TO_NEAREST_INT));
    for (; i < n; i++)
        out[i] = (uint16_t)_mm_cvtsi128_si32(
            _mm_cvtps_ph(_mm_set_ss(x[i]), _MM_FROUND_TO_NEAREST_INT));
}

/* A lane holds a pair of bf16: the odd one is the float's top half already,
 * the even one is shifted there. */
INLINE __m256 even_of(__m256i pairs) {
    return _mm256_castsi256_ps(_mm256_slli_epi32(pairs, 16));
}

INLINE __m256 odd_of(__m256i pairs) {
    return _mm256_castsi256_ps(
        _mm256_and_si256(pairs, _mm256_set1_epi32((int)0xffff0000)));
}

INLINE void panel_bf16(const uint16_t *w, size_t k, const uint16_t *x,
                       size_t x_stride, size_t tile, float *out,
                       size_t out_stride, size_t lanes, bool add) {
    __m256 even[4];
    __m256 odd[4];

    for (size_t m = 0; m < tile; m++) even[m] = odd[m] = _mm256_setzero_ps();
    for (size_t i = 0; i < k; i += 2) {
        __m256i pairs = load_bytes(w + i * KERNEL_PANEL);
        __m256 a = even_of(pairs);
        __m256 b = odd_of(pairs);

        for (size_t m = 0; m < tile; m++) {
            __m256i v = spread(x + m * x_stride + i);

            even[m] = _mm256_fmadd_ps(a, even_of(v), even[m]);
            odd[m] = _mm256_fmadd_ps(b, odd_of(v), odd[m]);
        }
    }
    for (size_t m = 0; m < tile; m++)
        finish(out + m * out_stride, _mm256_add_ps(even[m], odd[m]), lanes,
               add);
}

static void gemm_bf16(const uint16_t *w, size_t k, size_t columns,
                      const uint16_t *x, size_t x_stride, size_t rows,
                      float *out, size_t out_stride, bool add) {
    for (size_t c = 0; c < columns; c += LANES) {
        const uint16_t *panel =
            w + c / KERNEL_PANEL * KERNEL_PANEL * k + c % KERNEL_PANEL * 2;
        size_t m = 0;

        for (; rows - m >= 4; m += 4)
            panel_bf16(panel, k, x + m * x_stride, x_stride, 4,
                       out + m * out_stride + c, out_stride, columns - c, add);
        for (; m < rows; m++)
            panel_bf16(panel, k, x + m * x_stride, x_stride, 1,
                       out + m * out_stride + c, out_stride, columns - c, add);
    }
}

const struct kernels kernels_avx2 = {
    .name = "avx2",
    .quantise = quantise,
    .to_bf16 = to_bf16,
    .to_f16 = to_f16,
    .gemm_q = avx2_gemm_q,
    .gemm_bf16 = gemm_bf16,
    KERNEL_ATTENTION_FIELDS(avx2),
};

#else
typedef int kernel_avx2_is_for_x86; /* a file may not be empty */
#endif
