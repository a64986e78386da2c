/* kernel_attention.h - the part of a table that works on rows of floats:
 * norms, positions, attention. Each instruction set has it in a file of its
 * own, kernel_<table>_attention.c; kernel.h says what the functions do. */
#ifndef CORRAL_ENGINE_KERNEL_ATTENTION_H
#define CORRAL_ENGINE_KERNEL_ATTENTION_H

#include "engine/kernel.h"

#define KERNEL_ATTENTION(table)                                                \
    float table##_dot(const float *a, const float *b, size_t n);               \
    void table##_rmsnorm(const float *x, const float *w, size_t n,             \
                         float epsilon, float *out);                           \
    void table##_silu_mul(float *gate, const float *up, size_t n);             \
    void table##_rope(float *x, const float *turns, size_t n);                 \
    void table##_softmax(float *x, size_t n);                                  \
    void table##_scores_f16(const float *q, size_t queries, size_t head,       \
                            const uint16_t *k, float *out, size_t out_stride); \
    void table##_scores_f32(const float *q, size_t queries, size_t head,       \
                            const float *k, float *out, size_t out_stride);    \
    void table##_mix_f16(const float *p, size_t p_stride, size_t queries,      \
                         const uint16_t *v, size_t count, size_t head,         \
                         float *out);                                          \
    void table##_mix_f32(const float *p, size_t p_stride, size_t queries,      \
                         const float *v, size_t count, size_t head,            \
                         float *out)

#define KERNEL_ATTENTION_FIELDS(table)                                         \
    .dot = table##_dot, .rmsnorm = table##_rmsnorm,                            \
    .silu_mul = table##_silu_mul, .rope = table##_rope,                        \
    .softmax = table##_softmax, .scores_f16 = table##_scores_f16,              \
    .scores_f32 = table##_scores_f32, .mix_f16 = table##_mix_f16,              \
    .mix_f32 = table##_mix_f32

KERNEL_ATTENTION(scalar);
#if defined(__x86_64__)
KERNEL_ATTENTION(avx2);
KERNEL_ATTENTION(avx512);
#elif defined(__aarch64__)
KERNEL_ATTENTION(neon);
#endif

#endif
