/* pack.h - a weight matrix in the kernels' layout, and the activations that
 * it is multiplied with. Immutable once packed. */
#ifndef CORRAL_ENGINE_PACK_H
#define CORRAL_ENGINE_PACK_H

#include "engine/gguf.h"
#include "engine/kernel.h"

/* How a matrix wants its activations: int8 groups, bf16, or floats. */
enum pack_kind { PACK_QUANT = 1, PACK_BF16 = 2, PACK_F32 = 4 };

struct pool;

/* out[n] = W[n][k] * x[k]. All zero is an empty matrix. */
struct packed {
    enum pack_kind kind;
    int format; /* of PACK_QUANT: KERNEL_WIDE and so on */
    int offset;
    size_t k;
    size_t n;
    size_t panel_bytes; /* of 16 outputs; the last panel is filled up */
    uint8_t *data;
    size_t bytes;
};

/* Repack a tensor of two dimensions (k, n). Quantised formats keep their
 * codes; F16 and BF16 become bf16, F32 stays. `exact` makes everything F32.
 * ERR_INPUT when a scale or a weight is not finite. */
MUST_USE bool pack_tensor(struct packed *out, const struct gguf_tensor *t,
                          bool exact, struct pool *pool, struct err *err);
/* From floats (n rows of k), times `scale`: bf16, or F32 when `exact`. */
MUST_USE bool pack_floats(struct packed *out, const float *w, size_t n,
                          size_t k, float scale, bool exact, struct err *err);
void pack_clear(struct packed *p);

/* Activations of up to `rows` rows of up to `k_max` numbers, in the forms that
 * the matrices want. `f32` is borrowed, with `f32_stride` floats to a row. */
struct activation {
    const float *f32;
    size_t f32_stride;
    size_t k; /* now; the arrays below are dense for it */
    int8_t *q;
    float *scale;
    int32_t *sum;
    uint16_t *bf16;
    size_t bytes;
};

void activation_init(struct activation *a, size_t rows, size_t k_max);
void activation_clear(struct activation *a);
/* From now on rows of `k` numbers (a multiple of 32, or for bf16 of 2), read
 * from f32. */
void activation_begin(struct activation *a, const float *f32, size_t stride,
                      size_t k);
/* Make columns [from, end) (multiples of 32) of a row in the forms `kinds`. */
void activation_fill(struct activation *a, const struct kernels *kernels,
                     int kinds, size_t row, size_t from, size_t end);

/* out[i][c] = or += W * a[row + i] for the outputs of panels [from, end);
 * column c of `out` is output c of W. */
void pack_apply(const struct packed *p, const struct kernels *kernels,
                const struct activation *a, size_t row, size_t rows,
                size_t from, size_t end, float *out, size_t out_stride,
                bool add);
size_t pack_panels(const struct packed *p);

#endif
