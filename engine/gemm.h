/* gemm.h - float matrices by OpenBLAS, which runs in the calling thread only:
 * the pool has split the work already. */
#ifndef CORRAL_ENGINE_GEMM_H
#define CORRAL_ENGINE_GEMM_H

#include <stdbool.h>
#include <stddef.h>

/* Call once before the pool starts. */
void gemm_init(void);

/* out[row][0..columns) = or += w[columns][k] * x[row][k] */
void gemm_f32(const float *w, size_t k, size_t columns, const float *x,
              size_t x_stride, size_t rows, float *out, size_t out_stride,
              bool add);

#endif
