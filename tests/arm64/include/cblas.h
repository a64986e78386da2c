/* cblas.h - the one function of OpenBLAS that the engine calls, as a plain
 * loop, so that tests run where there is no OpenBLAS. */
#ifndef CORRAL_TESTS_ARM64_CBLAS_H
#define CORRAL_TESTS_ARM64_CBLAS_H

enum CBLAS_ORDER { CblasRowMajor = 101 };
enum CBLAS_TRANSPOSE { CblasNoTrans = 111, CblasTrans = 112 };

/* c[m][n] = alpha * a[m][k] * b[n][k] + beta * c */
void cblas_sgemm(enum CBLAS_ORDER order, enum CBLAS_TRANSPOSE trans_a,
                 enum CBLAS_TRANSPOSE trans_b, int m, int n, int k, float alpha,
                 const float *a, int a_stride, const float *b, int b_stride,
                 float beta, float *c, int c_stride);
void openblas_set_num_threads(int count);

#endif
