/* kernel_avx512.h - what the files of the AVX-512 table share. */
#ifndef CORRAL_ENGINE_KERNEL_AVX512_H
#define CORRAL_ENGINE_KERNEL_AVX512_H

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

enum { LANES = 16 };

INLINE __mmask16 lanes_below(size_t n) {
    return (__mmask16)(n >= LANES ? 0xffffu : (1u << n) - 1);
}

INLINE __m512i spread(const void *four_bytes) {
    int32_t v;

    memcpy(&v, four_bytes, sizeof v);
    return _mm512_set1_epi32(v);
}

INLINE __m512 load_f16(const void *at) {
    return _mm512_cvtph_ps(_mm256_loadu_si256(at));
}

/* Store or add to memory the lanes of `mask`. */
INLINE void finish(float *out, __m512 v, __mmask16 mask, bool add) {
    if (add) v = _mm512_add_ps(v, _mm512_maskz_loadu_ps(mask, out));
    _mm512_mask_storeu_ps(out, mask, v);
}

#endif
