/* kernel_avx2_gemm.h - the part of the AVX2 table that multiplies
 * quantised weights; kernel.h says what it does. */
#ifndef CORRAL_ENGINE_KERNEL_AVX2_GEMM_H
#define CORRAL_ENGINE_KERNEL_AVX2_GEMM_H

#include "engine/kernel.h"

void avx2_gemm_q(enum kernel_format format, const uint8_t *w, size_t columns,
                 const struct kernel_input *x, float *out, size_t out_stride,
                 bool add);

#endif
