/* kernel_avx512_gemm.h - the part of the AVX-512 table that multiplies
 * weights; kernel.h says what the functions do. */
#ifndef CORRAL_ENGINE_KERNEL_AVX512_GEMM_H
#define CORRAL_ENGINE_KERNEL_AVX512_GEMM_H

#include <immintrin.h>

#include "engine/kernel.h"

/* Where the codes come from that many rows share. unpack() writes groups
 * [from, from + count) of a panel as kernel_avx512_group.h has them; `from` is
 * the beginning of a block. */
typedef void avx512_unpack(const uint8_t *panel, size_t groups, size_t from,
                           size_t count, __m512i *out);

struct avx512_source {
    bool halves;        /* as in struct kernel_layout */
    size_t panel_bytes; /* from a panel to the next */
    avx512_unpack *unpack;
};

/* gemm_q() on panels of any layout. */
void avx512_gemm_unpacked(const struct avx512_source *source, const uint8_t *w,
                          size_t columns, const struct kernel_input *x,
                          float *out, size_t out_stride, bool add);
void avx512_gemm_q(enum kernel_format format, const uint8_t *w, size_t columns,
                   const struct kernel_input *x, float *out, size_t out_stride,
                   bool add);
void avx512_gemm_bf16(const uint16_t *w, size_t k, size_t columns,
                      const uint16_t *x, size_t x_stride, size_t rows,
                      float *out, size_t out_stride, bool add);
/* kernel_avx512_rows.c */
void avx512_gemm_rows_q4_k(const uint8_t *w, size_t columns,
                           const struct kernel_input *x, float *out,
                           size_t out_stride, bool add);
void avx512_gemm_rows_q6_k(const uint8_t *w, size_t columns,
                           const struct kernel_input *x, float *out,
                           size_t out_stride, bool add);

#endif
