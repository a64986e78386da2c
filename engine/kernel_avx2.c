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

void avx2_quantise(const float *x, size_t k, int8_t *q, float *scale,
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

void avx2_to_bf16(const float *x, size_t n, uint16_t *out) {
    for (size_t i = 0; i < n; i++) {
        uint32_t bits;

        memcpy(&bits, x + i, sizeof bits);
        if ((bits & 0x7fffffff) > 0x7f800000)
            out[i] = (uint16_t)(bits >> 16 | 64);
        else
            out[i] = (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
    }
}

INLINE __m256i codes_of(const float *x, __m256 inverse) {
    __m256i v = _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_loadu_ps(x), inverse));

    v = _mm256_max_epi32(v, _mm256_set1_epi32(-KERNEL_CODE_MAX));
    return _mm256_min_epi32(v, _mm256_set1_epi32(KERNEL_CODE_MAX));
}

float avx2_to_i16(const float *x, size_t n, int16_t *out) {
    const __m256 sign = _mm256_set1_ps(-0.0f);
    __m256 top = _mm256_setzero_ps();
    __m256 odd = _mm256_setzero_ps(); /* or NaN */
    __m256 inverse;
    float most;

    for (size_t i = 0; i < n; i += LANES) {
        __m256 v = _mm256_loadu_ps(x + i);

        top = _mm256_max_ps(_mm256_andnot_ps(sign, v), top);
        odd = _mm256_fmadd_ps(v, _mm256_setzero_ps(), odd);
    }
    most = max_lanes(top);
    if (!(most >= 1e-30f)) most = 0;
    inverse = _mm256_set1_ps(most > 0 ? KERNEL_CODE_MAX / most : 0);
    for (size_t i = 0; i < n; i += 2 * LANES)
        _mm256_storeu_si256(
            (__m256i *)(void *)(out + i),
            _mm256_permute4x64_epi64(
                _mm256_packs_epi32(codes_of(x + i, inverse),
                                   codes_of(x + i + LANES, inverse)),
                0xd8));
    return most / KERNEL_CODE_MAX + sum_lanes(odd);
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

enum {
    SIDES = KERNEL_PANEL / LANES,
    ROWS = 2,    /* of a tile: 8 sums in registers */
    PAIRS = 128, /* of inputs, and as many panels as ... */
    PANELS = 2   /* ... stay in the first cache for all rows */
};

/* Some pairs of inputs of a row, as floats. */
struct split {
    float even[PAIRS];
    float odd[PAIRS];
};

INLINE void split_pairs(const uint16_t *x, size_t pairs, struct split *out) {
    size_t i = 0;

    for (; pairs - i >= LANES; i += LANES) {
        __m256i v = load_bytes(x + 2 * i);

        _mm256_storeu_ps(out->even + i, even_of(v));
        _mm256_storeu_ps(out->odd + i, odd_of(v));
    }
    for (; i < pairs; i++) {
        __m256i v = spread(x + 2 * i);

        out->even[i] = _mm256_cvtss_f32(even_of(v));
        out->odd[i] = _mm256_cvtss_f32(odd_of(v));
    }
}

/* Some pairs of a panel times `rows` rows. Even and odd inputs are summed
 * apart, or each step would wait for the one before. */
INLINE void panel_bf16(const uint16_t *w, size_t pairs, const struct split *x,
                       size_t rows, float *out, size_t out_stride, size_t lanes,
                       bool add) {
    __m256 even[ROWS][SIDES];
    __m256 odd[ROWS][SIDES];

    UNROLL
    for (size_t m = 0; m < rows; m++) {
        UNROLL
        for (size_t s = 0; s < SIDES; s++)
            even[m][s] = odd[m][s] = _mm256_setzero_ps();
    }
    for (size_t i = 0; i < pairs; i++, w += 2 * KERNEL_PANEL) {
        UNROLL
        for (size_t s = 0; s < SIDES; s++) {
            __m256i v = load_bytes(w + 2 * LANES * s);

            UNROLL
            for (size_t m = 0; m < rows; m++) {
                even[m][s] = _mm256_fmadd_ps(
                    even_of(v), _mm256_set1_ps(x[m].even[i]), even[m][s]);
                odd[m][s] = _mm256_fmadd_ps(
                    odd_of(v), _mm256_set1_ps(x[m].odd[i]), odd[m][s]);
            }
        }
    }
    UNROLL
    for (size_t m = 0; m < rows; m++) {
        UNROLL
        for (size_t s = 0; s < SIDES; s++)
            if (s * LANES < lanes)
                finish(out + m * out_stride + s * LANES,
                       _mm256_add_ps(even[m][s], odd[m][s]), lanes - s * LANES,
                       add);
    }
}

/* One or two rows, which are split already, times some panels. */
INLINE void panels_bf16(const uint16_t *w, size_t k, size_t pairs,
                        size_t columns, const struct split *x, size_t rows,
                        float *out, size_t out_stride, bool add) {
    for (size_t c = 0; c < columns; c += KERNEL_PANEL)
        panel_bf16(w + c * k, pairs, x, rows, out + c, out_stride, columns - c,
                   add);
}

/* Some pairs of inputs of all rows times some panels. */
static void rows_bf16(const uint16_t *w, size_t k, size_t pairs, size_t columns,
                      const uint16_t *x, size_t x_stride, size_t rows,
                      float *out, size_t out_stride, bool add) {
    struct split part[ROWS];
    size_t m = 0;

    for (; rows - m >= ROWS; m += ROWS) {
        for (size_t i = 0; i < ROWS; i++)
            split_pairs(x + (m + i) * x_stride, pairs, &part[i]);
        panels_bf16(w, k, pairs, columns, part, ROWS, out + m * out_stride,
                    out_stride, add);
    }
    if (m == rows) return;
    split_pairs(x + m * x_stride, pairs, part);
    panels_bf16(w, k, pairs, columns, part, 1, out + m * out_stride, out_stride,
                add);
}

void avx2_gemm_bf16(const uint16_t *w, size_t k, size_t columns,
                    const uint16_t *x, size_t x_stride, size_t rows, float *out,
                    size_t out_stride, bool add) {
    const size_t most = PANELS * KERNEL_PANEL;

    for (size_t c = 0; c < columns; c += most) {
        size_t count = columns - c < most ? columns - c : most;

        for (size_t i = 0; i < k; i += 2 * PAIRS) {
            size_t pairs = k - i < 2 * PAIRS ? (k - i) / 2 : PAIRS;

            rows_bf16(w + c * k + i * KERNEL_PANEL, k, pairs, count, x + i,
                      x_stride, rows, out + c, out_stride, add || i > 0);
        }
    }
}

const struct kernels kernels_avx2 = {
    .name = "avx2",
    .quantise = avx2_quantise,
    .to_bf16 = avx2_to_bf16,
    .to_i16 = avx2_to_i16,
    .gemm_q = avx2_gemm_q,
    .gemm_bf16 = avx2_gemm_bf16,
    KERNEL_ATTENTION_FIELDS(avx2),
};

#else
typedef int kernel_avx2_is_for_x86; /* a file may not be empty */
#endif
