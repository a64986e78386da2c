/* kernel_neon_sdot.h - one row and 4 outputs by the instruction that sums four
 * products of int8 in each lane, for the tables of processors that have it:
 * one_dot() of kernel_neon_panel.h. */
#ifndef CORRAL_ENGINE_KERNEL_NEON_SDOT_H
#define CORRAL_ENGINE_KERNEL_NEON_SDOT_H

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

#endif
