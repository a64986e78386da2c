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

INLINE void group_dot(const struct codes *c, const int8_t *const q[2],
                      size_t count, int32x4_t dot[2][2]) {
    for (size_t i = 0; i < count; i++) {
        dot[i][0] = half_dot(vdupq_n_s32(0), c->at, q[i]);
        dot[i][1] = half_dot(vdupq_n_s32(0), c->at + 4, q[i] + 16);
        if (!c->layout.halves) dot[i][0] = vaddq_s32(dot[i][0], dot[i][1]);
    }
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
