/* kernel.h - the inner loops, one table of them for each instruction set,
 * chosen once at start. A kernel sees numbers and sizes, in plain arrays; it
 * has no state, so any number of threads may run it at once.
 *
 * Weights lie in panels of 16 output rows; kernel_layout.h says how. A weight
 * is scale * (code - offset) + min. Activations are int8 in groups of 32 with a
 * float scale; the sums of the codes, times the scale, supply the offset and
 * min terms. The dot product of a group's codes is an exact integer in every
 * table, the rest is float. */
#ifndef CORRAL_ENGINE_KERNEL_H
#define CORRAL_ENGINE_KERNEL_H

#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

enum {
    KERNEL_PANEL = 16,
    KERNEL_GROUP = 32,
    KERNEL_POSITIONS = 32, /* of a page of K and V */
    KERNEL_QUERIES_MAX = 32,
    KERNEL_HEAD_MAX = 512,
    KERNEL_EXTRAS_MAX = 17, /* the most adapters, and the rows without one */
    KERNEL_EXTRA_GROUPS_MAX = 4,
    KERNEL_SPAN = 256,     /* positions that attention looks at in one go */
    KERNEL_CODE_MAX = 8191 /* of 16-bit codes of K and V */
};

/* How K and V are kept. One KV head's part of a page is
 *
 *   F32  K [head][32], V [32][head]
 *   I16  int16 codes K [head/2][32][2], V [16][head][2]: pairs of successive
 *        dimensions, or of successive positions, so that one 32-bit lane holds
 *        both; then each position's scale, f32 [32]
 *   Q8   int8 codes in the same order, then f16 scales [head/32][32] of each
 *        position's groups of 32 dimensions; head is a multiple of 32 */
enum kernel_kv { KERNEL_KV_F32, KERNEL_KV_I16, KERNEL_KV_Q8, KERNEL_KV_TYPES };

/* How the codes and scales of a weight matrix are stored; the K formats have
 * byte scales under one f16 scale for 256 inputs. */
enum kernel_format {
    KERNEL_Q4, /* offset 8 */
    KERNEL_Q4_MIN,
    KERNEL_Q5, /* offset 16 */
    KERNEL_Q5_MIN,
    KERNEL_Q8, /* offset 128 */
    KERNEL_Q2_K,
    KERNEL_Q3_K,
    KERNEL_Q4_K,
    KERNEL_Q5_K,
    KERNEL_Q6_K,
    KERNEL_FORMATS
};

struct kernel_extra;

/* Activations of some rows, borrowed. A row may have spills: groups whose
 * scale is coarse, quantised once more after the first codes were taken off.
 * They stand in ascending order of their group and count like further groups
 * of the row. */
struct kernel_input {
    size_t rows;
    size_t groups;      /* of 32 inputs, in a row */
    const int8_t *q;    /* [rows][groups][32], -127 to 127 */
    const float *scale; /* [rows][groups] */
    const float *sum;   /* [rows][groups][2]: scale times the sum of the
                         * group's codes, and of its second half's */

    const uint32_t *spills;      /* [rows]: their count; NULL: no row has any */
    size_t spills_max;           /* room of a row */
    const uint32_t *spill_group; /* [rows][spills_max] */
    const int8_t *spill_q;       /* [rows][spills_max][32] */
    const float *spill_scale;    /* [rows][spills_max] */
    const float *spill_sum;      /* [rows][spills_max][2] */

    const struct kernel_extra *extra; /* no two of them for one row; */
    size_t extras;                    /* only if kernels.extras */
};

/* More inputs of some rows, with weights of their own: what an adapter adds to
 * the same outputs. */
struct kernel_extra {
    const uint8_t *w;      /* KERNEL_Q8, its first panel that of the product */
    size_t inputs;         /* of a row of x, before it was filled up with 0 */
    size_t from, end;      /* the rows, counted as in the product */
    struct kernel_input x; /* row 0 is row `from`; its spills are not used */
};

struct kernels {
    const char *name;
    bool extras; /* are added by gemm_q() and gemm_rows() */

    /* x[k] to q[k], scale[k/32], sum[k/32][2] as in struct kernel_input; k is
     * a multiple of 32. */
    void (*quantise)(const float *x, size_t k, int8_t *q, float *scale,
                     float *sum);
    void (*to_bf16)(const float *x, size_t n, uint16_t *out);
    /* The scale of the codes of x[n], n a multiple of 16: the largest number's
     * is KERNEL_CODE_MAX. NaN when a number is not finite. */
    float (*to_i16)(const float *x, size_t n, int16_t *out);

    /* out[row][0..columns) = or += w * x[row], with the spills. `w` is the
     * first of the panels; the last may be cut by `columns`. A row's result
     * depends on its own numbers only. */
    void (*gemm_q)(enum kernel_format format, const uint8_t *w, size_t columns,
                   const struct kernel_input *x, float *out, size_t out_stride,
                   bool add);
    /* The same, from a model file's own rows, one after the other; bit for bit
     * what gemm_q() gives of them packed. `columns` is a multiple of 16. NULL
     * for the formats that must be packed first. */
    void (*gemm_rows[KERNEL_FORMATS])(const uint8_t *w, size_t columns,
                                      const struct kernel_input *x, float *out,
                                      size_t out_stride, bool add);
    /* Weights in panels of pairs: [k/2][16][2], k even. */
    void (*gemm_bf16)(const uint16_t *w, size_t k, size_t columns,
                      const uint16_t *x, size_t x_stride, size_t rows,
                      float *out, size_t out_stride, bool add);
    float (*dot)(const float *a, const float *b, size_t n);

    void (*rmsnorm)(const float *x, const float *w, size_t n, float epsilon,
                    float *out);
    void (*silu_mul)(float *gate, const float *up, size_t n);
    /* Turn pairs (x[2i], x[2i+1]) by turns[2i..] = (cos, sin). */
    void (*rope)(float *x, const float *turns, size_t n);
    /* x[i] = e^(x[i] - most), where most is the largest of x[n]; their sum. */
    float (*soften)(float *x, size_t n, float *most);

    /* Attention on one KV head's parts of pages that follow one another, for
     * at most KERNEL_QUERIES_MAX queries. A result does not depend on what
     * other queries there are.
     *   out[query][0..32 * pages) = q[query] * K; lanes of positions that are
     *   not yet filled are rubbish. */
    void (*scores[KERNEL_KV_TYPES])(const float *q, size_t queries, size_t head,
                                    const void *const *k, size_t pages,
                                    float *out, size_t out_stride);
    /* out[query][head] = p[query][0..count) * V, count at most KERNEL_SPAN; p
     * has numbers up to the end of the last page, and they are 0 from `count`
     * on. */
    void (*mix[KERNEL_KV_TYPES])(const float *p, size_t p_stride,
                                 size_t queries, const void *const *v,
                                 size_t count, size_t head, float *out);
};

/* Bytes of K, or of V, of one KV head in a page. */
size_t kernel_kv_bytes(enum kernel_kv type, size_t head);

/* The best table this processor runs, or the one that CORRAL_CPU names;
 * NULL and ERR_UNSUPPORTED when that is unknown or does not run here. */
MUST_USE const struct kernels *kernels_choose(struct err *err);
/* By name; NULL when there is no such table or it does not run here. */
const struct kernels *kernels_named(const char *name);
/* The names of the tables for this kind of processor, the best one first and
 * "scalar" last: avx512, avxvnni, avx2 or neon_mm, neon_dot, neon. NULL at
 * the end. */
const char *kernels_name(size_t index);

extern const struct kernels kernels_scalar;
#if defined(__x86_64__)
extern const struct kernels kernels_avx2;
extern const struct kernels kernels_avxvnni;
extern const struct kernels kernels_avx512;
#elif defined(__aarch64__)
extern const struct kernels kernels_neon; /* kernel_neon.h tells them apart */
extern const struct kernels kernels_neon_dot;
extern const struct kernels kernels_neon_mm;
#endif

#endif
