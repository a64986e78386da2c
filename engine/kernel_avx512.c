/* AVX-512 with VNNI and BF16: 16 outputs are one register. */
#if defined(__x86_64__)

#include "engine/kernel_attention.h"
#include "engine/kernel_avx512.h"
#include "engine/kernel_avx512_gemm.h"

static void quantise(const float *x, size_t k, int8_t *q, float *scale,
                     float *sum) {
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
        sum[2 * g] = scale[g] * (float)_mm512_reduce_add_epi32(
                                    _mm512_add_epi32(first, second));
        sum[2 * g + 1] = scale[g] * (float)_mm512_reduce_add_epi32(second);
    }
}

static void to_bf16(const float *x, size_t n, uint16_t *out) {
    for (size_t i = 0; i < n; i += LANES) {
        __mmask16 mask = lanes_below(n - i);
        __m512 v = _mm512_maskz_loadu_ps(mask, x + i);

        _mm256_mask_storeu_epi16(out + i, mask, (__m256i)_mm512_cvtneps_pbh(v));
    }
}

static float to_i16(const float *x, size_t n, int16_t *out) {
    __m512 top = _mm512_setzero_ps();
    __m512 odd = _mm512_setzero_ps(); /* or NaN */
    __m512 inverse;
    float most;

    for (size_t i = 0; i < n; i += LANES) {
        __m512 v = _mm512_loadu_ps(x + i);

        top = _mm512_max_ps(_mm512_abs_ps(v), top);
        odd = _mm512_fmadd_ps(v, _mm512_setzero_ps(), odd);
    }
    most = _mm512_reduce_max_ps(top);
    if (!(most >= 1e-30f)) most = 0;
    inverse = _mm512_set1_ps(most > 0 ? KERNEL_CODE_MAX / most : 0);
    for (size_t i = 0; i < n; i += LANES) {
        __m512i v =
            _mm512_cvtps_epi32(_mm512_mul_ps(_mm512_loadu_ps(x + i), inverse));

        v = _mm512_max_epi32(v, _mm512_set1_epi32(-KERNEL_CODE_MAX));
        v = _mm512_min_epi32(v, _mm512_set1_epi32(KERNEL_CODE_MAX));
        _mm256_storeu_si256((__m256i *)(void *)(out + i),
                            _mm512_cvtepi32_epi16(v));
    }
    return most / KERNEL_CODE_MAX + _mm512_reduce_add_ps(odd);
}

const struct kernels kernels_avx512 = {
    .name = "avx512",
    .extras = true,
    .quantise = quantise,
    .to_bf16 = to_bf16,
    .to_i16 = to_i16,
    .gemm_q = avx512_gemm_q,
    .gemm_rows = {[KERNEL_Q4_K] = avx512_gemm_rows_q4_k,
                  [KERNEL_Q6_K] = avx512_gemm_rows_q6_k},
    .gemm_bf16 = avx512_gemm_bf16,
    KERNEL_ATTENTION_FIELDS(avx512),
};

#else
typedef int kernel_avx512_is_for_x86; /* a file may not be empty */
#endif
