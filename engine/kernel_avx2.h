/* kernel_avx2.h - what the files of the AVX2 table share. */
#ifndef CORRAL_ENGINE_KERNEL_AVX2_H
#define CORRAL_ENGINE_KERNEL_AVX2_H

#include <immintrin.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define INLINE static inline __attribute__((always_inline))

/* Loops over registers, which must not stay loops. */
#if defined(__clang__)
#define UNROLL _Pragma("unroll")
#else
#define UNROLL _Pragma("GCC unroll 16")
#endif

enum { LANES = 8 };

INLINE __m256i spread(const void *four_bytes) {
    int32_t v;

    memcpy(&v, four_bytes, sizeof v);
    return _mm256_set1_epi32(v);
}

INLINE __m256i load_bytes(const void *at) {
    return _mm256_loadu_si256(at);
}

INLINE __m256 load_f16(const void *at) {
    return _mm256_cvtph_ps(_mm_loadu_si128(at));
}

INLINE float sum_lanes(__m256 v) {
    __m128 s =
        _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));

    s = _mm_add_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_add_ss(s, _mm_movehdup_ps(s)));
}

INLINE float max_lanes(__m256 v) {
    __m128 s =
        _mm_max_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));

    s = _mm_max_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_max_ss(s, _mm_movehdup_ps(s)));
}

/* Store or add to memory the first `lanes` lanes. */
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

#endif
