/* The AVX2 table for processors with AVX-VNNI: one instruction multiplies four
 * codes and activations in each lane, and adds them up in 32 bits. */
#if defined(__x86_64__)

#include "engine/kernel_attention.h"
#include "engine/kernel_avx2.h"

enum { CENTRED = 0 };

INLINE int depth(int bits) {
    (void)bits;
    return 8;
}

INLINE __m256i multiply(int bits, __m256i code, __m256i q) {
    (void)bits;
    return _mm256_dpbusd_avx_epi32(_mm256_setzero_si256(), code, q);
}

INLINE __m256i multiply_add(int bits, __m256i chain, __m256i code, __m256i q) {
    (void)bits;
    return _mm256_dpbusd_avx_epi32(chain, code, q);
}

INLINE __m256i gather(__m256i chain) {
    return chain;
}

#include "engine/kernel_avx2_panel.h"

const struct kernels kernels_avxvnni = {
    .name = "avxvnni",
    .quantise = avx2_quantise,
    .to_bf16 = avx2_to_bf16,
    .to_i16 = avx2_to_i16,
    .gemm_q = gemm_q,
    .gemm_bf16 = avx2_gemm_bf16,
    KERNEL_ATTENTION_FIELDS(avx2),
};

#else
typedef int kernel_avxvnni_is_for_x86; /* a file may not be empty */
#endif
