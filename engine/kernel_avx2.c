/* AVX2 with FMA and F16C: a panel of 16 outputs is two registers. */
#if defined(__x86_64__)

#include "engine/kernel_attention.h"
#include "engine/kernel_avx2.h"

enum { TILE = 2 };

INLINE int32_t sum_ints(__m256i v) {
    __m128i s = _mm_add_epi32(_mm256_castsi256_si128(v),
                              _mm256_extracti128_si256(v, 1));

    s = _mm_add_epi32(s, _mm_shuffle_epi32(s, 0x4e));
    s = _mm_add_epi32(s, _mm_shuffle_epi32(s, 0xb1));
    return _mm_cvtsi128_si32(s);
}

static void quantise(const float *x, size_t k, int8_t *q, float *scale,
                     int32_t *sum) {
    const __m256 sign = _mm256_set1_ps(-0.0f);
    const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);

    for (size_t g = 0; g < k / KERNEL_GROUP; g++) {
        __m256 v[4];
        __m256i n[4];
        __m256 inverse;
        __m256 top = _mm256_setzero_ps();
        float most;

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
        sum[2 * g + 1] = sum_ints(_mm256_add_epi32(n[2], n[3]));
        sum[2 * g] = sum_ints(_mm256_add_epi32(n[0], n[1])) + sum[2 * g + 1];
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

/* Four products each, summed in 32 bits. Codes of 8 bits with offset 128 are
 * int8 with the top bit turned: maddubs would overflow on codes, so it gets
 * magnitudes, and the signs go to the activations. Other codes stay below 64,
 * and 2 * 63 * 127 fits in 16 bits. */
INLINE __m256i products(__m256i sum, __m256i code, __m256i q, bool centred) {
    const __m256i ones = _mm256_set1_epi16(1);

    if (centred) {
        code = _mm256_xor_si256(code, _mm256_set1_epi8(-128));
        q = _mm256_sign_epi8(q, code);
        code = _mm256_abs_epi8(code);
    }
    return _mm256_add_epi32(
        sum, _mm256_madd_epi16(_mm256_maddubs_epi16(code, q), ones));
}

/* Codes of inputs 4j to 4j+3, for outputs 8h to 8h+7. */
INLINE __m256i load_code(int format, const uint8_t *at, int j, int h) {
    const __m256i nibble = _mm256_set1_epi8(15);
    __m256i both;

    if (format & KERNEL_WIDE) return load_bytes(at + 64 * j + 32 * h);
    both = load_bytes(at + 64 * (j % 4) + 32 * h);
    if (j >= 4) both = _mm256_srli_epi16(both, 4);
    return _mm256_and_si256(both, nibble);
}

INLINE __m256 scaled(int format, const uint8_t *w, int half, int h, __m256i dot,
                     int32_t sum) {
    int halves = format & KERNEL_HALVES ? 2 : 1;
    __m256 t = _mm256_mul_ps(_mm256_cvtepi32_ps(dot),
                             load_f16(w + 32 * half + 16 * h));

    if (format & KERNEL_MIN)
        t = _mm256_fmadd_ps(load_f16(w + 32 * (halves + half) + 16 * h),
                            _mm256_cvtepi32_ps(_mm256_set1_epi32(sum)), t);
    return t;
}

INLINE void finish(float *out, __m256 v, size_t lanes, bool add) {
    float line[LANES];

    if (lanes >= LANES) {
        if (add) v = _mm256_add_ps(v, _mm256_loadu_ps(out));
        _mm256_storeu_ps(out, v);
        return;
    }
    _mm256_storeu_ps(line, v);
    for (size_t i = 0; i < lanes; i++)
        out[i] = add ? out[i] + line[i] : line[i];
}

/* Half `h` of a panel (8 outputs) times `tile` rows. */
INLINE void panel_q(int format, bool centred, int offset, const uint8_t *w,
                    int h, size_t groups, const int8_t *q, const float *scale,
                    const int32_t *sum, size_t tile, float *out,
                    size_t out_stride, size_t lanes, bool add) {
    size_t scales = (format & KERNEL_HALVES ? 2u : 1u) *
                    (format & KERNEL_MIN ? 2u : 1u) * 32u;
    size_t bytes = scales + (format & KERNEL_WIDE ? 512 : 256);
    __m256 total[TILE];

    for (size_t m = 0; m < tile; m++) total[m] = _mm256_setzero_ps();
    for (size_t g = 0; g < groups; g++, w += bytes) {
        __m256i dot[TILE][2];

        for (size_t m = 0; m < tile; m++) {
            int32_t all = sum[2 * (m * groups + g)];
            int32_t second = sum[2 * (m * groups + g) + 1];

            /* With the centred codes the offset is gone already. */
            dot[m][0] = dot[m][1] = _mm256_setzero_si256();
            if (centred || !offset) continue;
            dot[m][0] = _mm256_set1_epi32(-offset * (all - second));
            dot[m][1] = _mm256_set1_epi32(-offset * second);
        }
        for (int j = 0; j < 8; j++) {
            __m256i code = load_code(format, w + scales, j, h);

            for (size_t m = 0; m < tile; m++)
                dot[m][j / 4] = products(
                    dot[m][j / 4], code,
                    spread(q + (m * groups + g) * KERNEL_GROUP + 4 * j),
                    centred);
        }
        for (size_t m = 0; m < tile; m++) {
            size_t at = m * groups + g;
            int32_t all = sum[2 * at];
            int32_t second = sum[2 * at + 1];
            __m256 t;

            if (format & KERNEL_HALVES)
                t = _mm256_add_ps(
                    scaled(format, w, 0, h, dot[m][0], all - second),
                    scaled(format, w, 1, h, dot[m][1], second));
            else
                t = scaled(format, w, 0, h,
                           _mm256_add_epi32(dot[m][0], dot[m][1]), all);
            total[m] = _mm256_fmadd_ps(t, _mm256_set1_ps(scale[at]), total[m]);
        }
    }
    for (size_t m = 0; m < tile; m++)
        finish(out + m * out_stride, total[m], lanes, add);
}

INLINE void gemm_format(int format, bool centred, int offset, const uint8_t *w,
                        size_t groups, size_t columns, const int8_t *q,
                        const float *scale, const int32_t *sum, size_t rows,
                        float *out, size_t out_stride, bool add) {
    size_t panel_bytes = groups * kernel_group_bytes(format);

    for (size_t c = 0; c < columns; c += LANES) {
        const uint8_t *panel = w + c / KERNEL_PANEL * panel_bytes;
        int h = (int)(c % KERNEL_PANEL / LANES);
        size_t lanes = columns - c;
        size_t m = 0;

        for (; rows - m >= TILE; m += TILE)
            panel_q(format, centred, offset, panel, h, groups,
                    q + m * groups * KERNEL_GROUP, scale + m * groups,
                    sum + 2 * m * groups, TILE, out + m * out_stride + c,
                    out_stride, lanes, add);
        for (; m < rows; m++)
            panel_q(format, centred, offset, panel, h, groups,
                    q + m * groups * KERNEL_GROUP, scale + m * groups,
                    sum + 2 * m * groups, 1, out + m * out_stride + c,
                    out_stride, lanes, add);
    }
}

/* A function for each format, so that the loops above are compiled for it. */
#define GEMM(name, format)                                                     \
    static void name(int offset, const uint8_t *w, size_t groups,              \
                     size_t columns, const int8_t *q, const float *scale,      \
                     const int32_t *sum, size_t rows, float *out,              \
                     size_t out_stride, bool add) {                            \
        if (((format)&KERNEL_WIDE) && offset == 128)                           \
            gemm_format(format, true, 0, w, groups, columns, q, scale, sum,    \
                        rows, out, out_stride, add);                           \
        else                                                                   \
            gemm_format(format, false, offset, w, groups, columns, q, scale,   \
                        sum, rows, out, out_stride, add);                      \
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
    .gemm_q = gemm_q,
    .gemm_bf16 = gemm_bf16,
    KERNEL_ATTENTION_FIELDS(avx2),
};

#else
typedef int kernel_avx2_is_for_x86; /* a file may not be empty */
#endif
