#include "engine/gemm.h"

#include <cblas.h>

void gemm_init(void) {
    openblas_set_num_threads(1);
}

void gemm_f32(const float *w, size_t k, size_t columns, const float *x,
              size_t x_stride, size_t rows, float *out, size_t out_stride,
              bool add) {
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, (int)rows,
                (int)columns, (int)k, 1.0f, x, (int)x_stride, w, (int)k,
                add ? 1.0f : 0.0f, out, (int)out_stride);
}
