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
    float table##_soften(float *x, size_t n, float *most);                     \
    KERNEL_ATTENTION_TYPE(table, i16);                                         \
    KERNEL_ATTENTION_TYPE(table, q8)

#define KERNEL_ATTENTION_TYPE(table, type)                                     \
    void table##_scores_##type(const float *q, size_t queries, size_t head,    \
                               const void *const *k, size_t pages, float *out, \
                               size_t out_stride);                             \
    void table##_mix_##type(const float *p, size_t p_stride, size_t queries,   \
                            const void *const *v, size_t count, size_t head,   \
                            float *out)

/* The definitions of a type, from the table's own scores() and mix(). */
#define KERNEL_ATTENTION_DEFINE(table, type, kind)                             \
    void table##_scores_##type(const float *q, size_t queries, size_t head,    \
                               const void *const *k, size_t pages, float *out, \
                               size_t out_stride) {                            \
        scores(kind, q, queries, head, k, pages, out, out_stride);             \
    }                                                                          \
    void table##_mix_##type(const float *p, size_t p_stride, size_t queries,   \
                            const void *const *v, size_t count, size_t head,   \
                            float *out) {                                      \
        mix(kind, p, p_stride, queries, v, count, head, out);                  \
    }

/* F32 is for the exact mode, which is slow: all tables have the plain loops. */
#define KERNEL_ATTENTION_FIELDS(table)                                         \
    .dot = table##_dot, .rmsnorm = table##_rmsnorm,                            \
    .silu_mul = table##_silu_mul, .rope = table##_rope,                        \
    .soften = table##_soften,                                                  \
    .scores = {scalar_scores_f32, table##_scores_i16, table##_scores_q8},      \
    .mix = {scalar_mix_f32, table##_mix_i16, table##_mix_q8}

/* Where the scales of dimension `d` of a page begin, one for each position:
 * floats of I16, halves of Q8. */
static inline const void *
kernel_kv_scales(enum kernel_kv type, const void *page, size_t head, size_t d) {
    const int8_t *code = page;

    if (type == KERNEL_KV_I16) return code + 2 * head * KERNEL_POSITIONS;
    return code + head * KERNEL_POSITIONS +
           d / KERNEL_GROUP * KERNEL_POSITIONS * sizeof(uint16_t);
}

KERNEL_ATTENTION(scalar);
KERNEL_ATTENTION_TYPE(scalar, f32);
#if defined(__x86_64__)
KERNEL_ATTENTION(avx2);
KERNEL_ATTENTION(avx512);
#elif defined(__aarch64__)
KERNEL_ATTENTION(neon);
#endif

#endif
