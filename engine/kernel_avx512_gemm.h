/* kernel_avx512_gemm.h - the part of the AVX-512 table that multiplies
 * weights; kernel.h says what the functions do. */
#ifndef CORRAL_ENGINE_KERNEL_AVX512_GEMM_H
#define CORRAL_ENGINE_KERNEL_AVX512_GEMM_H

#include "engine/kernel.h"

void avx512_gemm_q(enum kernel_format format, const uint8_t *w, size_t columns,
                   const struct kernel_input *x, float *out, size_t out_stride,
                   bool add);
void avx512_gemm_bf16(const uint16_t *w, size_t k, size_t columns,
                      const uint16_t *x, size_t x_stride, size_t rows,
                      float *out, size_t out_stride, bool add);

#endif
