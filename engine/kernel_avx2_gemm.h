/* kernel_avx2_gemm.h - what the two tables with registers of 256 bits have
 * from each other's files; kernel.h says what the functions do. */
#ifndef CORRAL_ENGINE_KERNEL_AVX2_GEMM_H
#define CORRAL_ENGINE_KERNEL_AVX2_GEMM_H

#include "engine/kernel.h"

void avx2_quantise(const float *x, size_t k, int8_t *q, float *scale,
                   float *sum);
void avx2_to_bf16(const float *x, size_t n, uint16_t *out);
float avx2_to_i16(const float *x, size_t n, int16_t *out);
void avx2_gemm_q(enum kernel_format format, const uint8_t *w, size_t columns,
                 const struct kernel_input *x, float *out, size_t out_stride,
                 bool add);
void avx2_gemm_bf16(const uint16_t *w, size_t k, size_t columns,
                    const uint16_t *x, size_t x_stride, size_t rows, float *out,
                    size_t out_stride, bool add);

#endif
