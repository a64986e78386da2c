/* The NEON table of processors with +dotprod: one instruction sums four
 * products of int8 in each lane. */
#if defined(__aarch64__)

#include "engine/kernel_attention.h"
#include "engine/kernel_neon_panel.h"

/* The number of a lane has to be a constant even for clang. */
INLINE int32x4_t half_dot(int32x4_t sum, const int8x16_t code[4],
                          const int8_t *q) {
    int8x16_t v = vld1q_s8(q);

    sum = vdotq_laneq_s32(sum, code[0], v, 0);
    sum = vdotq_laneq_s32(sum, code[1], v, 1);
    sum = vdotq_laneq_s32(sum, code[2], v, 2);
    return vdotq_laneq_s32(sum, code[3], v, 3);
}

INLINE void one_dot(int bits, bool halves, const int8x16_t code[PIECES],
                    const int8_t *q, int32x4_t dot[2]) {
    (void)bits;
    dot[0] = half_dot(vdupq_n_s32(0), code, q);
    dot[1] = half_dot(vdupq_n_s32(0), code + 4, q + 16);
    if (!halves) dot[0] = vaddq_s32(dot[0], dot[1]);
}

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
    .to_f16 = neon_to_f16,
    .gemm_q = gemm_q,
    .gemm_bf16 = neon_gemm_bf16,
    KERNEL_ATTENTION_FIELDS(neon),
};

#else
typedef int kernel_neon_dot_is_for_arm; /* a file may not be empty */
#endif
