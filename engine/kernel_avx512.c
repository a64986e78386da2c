/* AVX-512 with VNNI and BF16: 16 outputs are one register. */
#if defined(__x86_64__)

#include "engine/kernel_attention.h"
#include "engine/kernel_avx512.h"
#include "engine/kernel_avx512_gemm.h"

/* Rows of activations that share one reading of a panel. */
enum { TILE = 8, PAIR_BLOCKS = 4 };

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

/* One row on several panels, or each step would wait for the one before. Each
 * sum is taken in the order of a tile's: a row's result does not depend on
 * how many rows there are. */
INLINE void panels_bf16_one(const uint16_t *w, size_t k, const uint16_t *x,
                            size_t panels, float *out, size_t columns,
                            bool add) {
    __m512 total[PAIR_BLOCKS];

    for (size_t j = 0; j < panels; j++) total[j] = _mm512_setzero_ps();
    for (size_t i = 0; i < k; i += 2) {
        __m512bh value = (__m512bh)spread(x + i);

        for (size_t j = 0; j < panels; j++)
            total[j] = _mm512_dpbf16_ps(
                total[j],
                (__m512bh)_mm512_loadu_si512(w + (j * k + i) * KERNEL_PANEL),
                value);
    }
    for (size_t j = 0; j < panels; j++)
        finish(out + j * KERNEL_PANEL, total[j],
               lanes_below(columns - j * KERNEL_PANEL), add);
}

/* The rows of a whole tile or of four; how many they are. */
INLINE size_t panel_bf16_rows(const uint16_t *panel, size_t k,
                              const uint16_t *x, size_t x_stride, size_t rows,
                              float *out, size_t out_stride, __mmask16 mask,
                              bool add) {
    size_t m = 0;

    for (; rows - m >= TILE; m += TILE)
        panel_bf16(panel, k, x + m * x_stride, x_stride, TILE,
                   out + m * out_stride, out_stride, mask, add);
    for (; rows - m >= 4; m += 4)
        panel_bf16(panel, k, x + m * x_stride, x_stride, 4,
                   out + m * out_stride, out_stride, mask, add);
    return m;
}

INLINE void panels_bf16(const uint16_t *w, size_t k, const uint16_t *x,
                        size_t x_stride, size_t rows, size_t panels, float *out,
                        size_t out_stride, size_t columns, bool add) {
    size_t m = 0;

    for (size_t j = 0; j < panels; j++)
        m = panel_bf16_rows(w + j * k * KERNEL_PANEL, k, x, x_stride, rows,
                            out + j * KERNEL_PANEL, out_stride,
                            lanes_below(columns - j * KERNEL_PANEL), add);
    for (; m < rows; m++)
        panels_bf16_one(w, k, x + m * x_stride, panels, out + m * out_stride,
                        columns, add);
}

static void gemm_bf16(const uint16_t *w, size_t k, size_t columns,
                      const uint16_t *x, size_t x_stride, size_t rows,
                      float *out, size_t out_stride, bool add) {
    size_t c = 0;

    for (; columns - c > (PAIR_BLOCKS - 1) * KERNEL_PANEL;
         c += PAIR_BLOCKS * KERNEL_PANEL) {
        panels_bf16(w + c * k, k, x, x_stride, rows, PAIR_BLOCKS, out + c,
                    out_stride, columns - c, add);
        if (columns - c <= PAIR_BLOCKS * KERNEL_PANEL) return;
    }
    for (; c < columns; c += KERNEL_PANEL)
        panels_bf16(w + c * k, k, x, x_stride, rows, 1, out + c, out_stride,
                    columns - c, add);
}

const struct kernels kernels_avx512 = {
    .name = "avx512",
    .quantise = quantise,
    .to_bf16 = to_bf16,
    .to_i16 = to_i16,
    .gemm_q = avx512_gemm_q,
    .gemm_bf16 = gemm_bf16,
    KERNEL_ATTENTION_FIELDS(avx512),
};

#else
typedef int kernel_avx512_is_for_x86; /* a file may not be empty */
#endif
