/* kernel_neon.h - what the files of the NEON tables share. There are three of
 * them, one for each way that the processors multiply int8 and bf16; all else
 * is the same code.
 *
 *   neon       every ARMv8: int8 by widening products, bf16 as floats
 *   neon_dot   +dotprod: four int8 products to a lane, summed
 *   neon_mm    +i8mm +bf16: matrices of 2 by 2 products, and bf16 likewise */
#ifndef CORRAL_ENGINE_KERNEL_NEON_H
#define CORRAL_ENGINE_KERNEL_NEON_H

#include "engine/kernel.h"

#include <arm_neon.h>
#include <string.h>

#define INLINE static inline __attribute__((always_inline))
/* Loops over registers; else the registers lie in memory. */
#define UNROLL _Pragma("GCC unroll 16")

enum { LANES = 4, QUARTERS = KERNEL_PANEL / LANES };

INLINE float32x4_t load_f16(const void *at) {
    uint16x4_t bits;

    memcpy(&bits, at, sizeof bits);
    return vcvt_f32_f16(vreinterpret_f16_u16(bits));
}

/* out[0..lanes) = or += v */
INLINE void finish(float *out, float32x4_t v, size_t lanes, bool add) {
    float line[LANES];

    if (lanes >= LANES) {
        vst1q_f32(out, add ? vaddq_f32(vld1q_f32(out), v) : v);
        return;
    }
    vst1q_f32(line, v);
    for (size_t i = 0; i < lanes; i++)
        out[i] = add ? out[i] + line[i] : line[i];
}

/* The first `count` quarters of `lanes` outputs. */
INLINE void finish_quarters(float *out, const float32x4_t *v, size_t count,
                            size_t lanes, bool add) {
    UNROLL
    for (size_t r = 0; r < count; r++)
        if (r * LANES < lanes)
            finish(out + r * LANES, v[r], lanes - r * LANES, add);
}

/* The parts that one table takes over from another. */
void neon_quantise(const float *x, size_t k, int8_t *q, float *scale,
                   float *sum);
void neon_to_bf16(const float *x, size_t n, uint16_t *out);
float neon_to_i16(const float *x, size_t n, int16_t *out);
void neon_gemm_bf16(const uint16_t *w, size_t k, size_t columns,
                    const uint16_t *x, size_t x_stride, size_t rows, float *out,
                    size_t out_stride, bool add);

#endif
