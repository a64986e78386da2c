/* The AVX2 table: quantised weights. maddubs adds two products in 16 bits, and
 * several of its results fit there too before they are widened. */
#if defined(__x86_64__)

#include "engine/kernel_avx2.h"

/* maddubs wants one side without signs, and two products of codes of 8 bits
 * would overflow: of those it gets magnitudes, and the signs go to the
 * activations. */
enum { CENTRED = 1 };

/* Pieces add two products of a code and 127 each: 8 * 2 * 15 * 127 fits in 16
 * bits, 4 * 2 * 31 * 127, 2 * 2 * 63 * 127, and 2 * 128 * 127. */
INLINE int depth(int bits) {
    return bits <= 4 ? 8 : bits == 5 ? 4 : bits == 6 ? 2 : 1;
}

INLINE __m256i multiply(int bits, __m256i code, __m256i q) {
    if (bits == 8) {
        code = _mm256_xor_si256(code, _mm256_set1_epi8(-128));
        q = _mm256_sign_epi8(q, code);
        code = _mm256_abs_epi8(code);
    }
    return _mm256_maddubs_epi16(code, q);
}

INLINE __m256i multiply_add(int bits, __m256i chain, __m256i code, __m256i q) {
    return _mm256_add_epi16(chain, multiply(bits, code, q));
}

INLINE __m256i gather(__m256i chain) {
    return _mm256_madd_epi16(chain, _mm256_set1_epi16(1));
}

#include "engine/kernel_avx2_panel.h"

void avx2_gemm_q(enum kernel_format format, const uint8_t *w, size_t columns,
                 const struct kernel_input *x, float *out, size_t out_stride,
                 bool add) {
    gemm_q(format, w, columns, x, out, out_stride, add);
}

#else
typedef int kernel_avx2_gemm_is_for_x86; /* a file may not be empty */
#endif
