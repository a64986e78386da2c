/* The NEON table of processors with +dotprod: one instruction sums four
 * products of int8 in each lane. */
#if defined(__aarch64__)

#include "engine/kernel_attention.h"
#include "engine/kernel_neon_sdot.h"

INLINE void arrange(int8x16_t code[PIECES]) {
    (void)code;
}

INLINE void pair_dot(int bits, bool halves, const int8x16_t code[PIECES],
                     const int8_t *const q[2], size_t count,
                     int32x4_t dot[2][2]) {
    UNROLL
    for (size_t i = 0; i < count; i++)
        one_dot(bits, halves, code, q[i], dot[i]);
}

const struct kernels kernels_neon_dot = {
    .name = "neon_dot",
    .quantise = neon_quantise,
    .to_bf16 = neon_to_bf16,
    .to_i16 = neon_to_i16,
    .gemm_q = gemm_q,
    .gemm_bf16 = neon_gemm_bf16,
    KERNEL_ATTENTION_FIELDS(neon),
};

#else
typedef int kernel_neon_dot_is_for_arm; /* a file may not be empty */
#endif
