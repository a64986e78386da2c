/* Instead of libraries that a cross build has not. */
#include <assert.h>
#include <cblas.h>
#include <sodium.h>
#include <stddef.h>
#include <string.h>

/* No secret is made in a test. */
void randombytes_buf(void *out, size_t size) {
    memset(out, 0x5a, size);
}

void randombytes_buf_deterministic(
    void *out, size_t size, const unsigned char seed[randombytes_SEEDBYTES]) {
    memset(out, seed[0], size);
}

void sodium_memzero(void *at, size_t size) {
    memset(at, 0, size);
}

void openblas_set_num_threads(int count) {
    (void)count;
}

void cblas_sgemm(enum CBLAS_ORDER order, enum CBLAS_TRANSPOSE trans_a,
                 enum CBLAS_TRANSPOSE trans_b, int m, int n, int k, float alpha,
                 const float *a, int a_stride, const float *b, int b_stride,
                 float beta, float *c, int c_stride) {
    assert(order == CblasRowMajor && trans_a == CblasNoTrans &&
           trans_b == CblasTrans);
    for (ptrdiff_t i = 0; i < m; i++) {
        for (ptrdiff_t j = 0; j < n; j++) {
            float *out = &c[i * c_stride + j];
            float sum = 0;

            for (ptrdiff_t l = 0; l < k; l++)
                sum += a[i * a_stride + l] * b[j * b_stride + l];
            *out = beta != 0 ? alpha * sum + beta * *out : alpha * sum;
        }
    }
}
