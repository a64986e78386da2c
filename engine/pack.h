/* pack.h - a weight matrix in the kernels' layout, or in that of its file where
 * the kernels can read it, if slower. Immutable once packed. */
#ifndef CORRAL_ENGINE_PACK_H
#define CORRAL_ENGINE_PACK_H

#include <stdatomic.h>

#include "engine/activation.h"
#include "engine/gguf.h"

/* How a matrix wants its activations. */
enum pack_kind {
    PACK_QUANT = ACTIVATION_QUANT,
    PACK_BF16 = ACTIVATION_BF16,
    PACK_F32 = ACTIVATION_F32
};

struct pool;

/* out[n] = W[n][k] * x[k]. All zero is an empty matrix. */
struct packed {
    enum pack_kind kind;
    enum kernel_format format; /* of PACK_QUANT */
    size_t k;
    size_t n;
    size_t panel_bytes; /* of 16 outputs; the last panel is filled up */
    bool rows; /* `data` are the tensor's own rows, borrowed, read only */
    uint8_t *data;
    size_t bytes;
};

/* Pack a tensor of two dimensions (k, n). Quantised formats keep their codes,
 * or stay where they are if `kernels`, which are those that will be applied,
 * take them so; F16 and BF16 become bf16, F32 stays. `exact` makes everything
 * F32. ERR_INPUT when a scale or a weight is not finite. */
MUST_USE bool pack_tensor(struct packed *out, const struct gguf_tensor *t,
                          const struct kernels *kernels, bool exact,
                          struct pool *pool, struct err *err);
/* From floats (n rows of k), times `scale`. PACK_QUANT is Q8_0, with k
 * rounded up to whole groups, PACK_BF16 with k rounded up to even. */
MUST_USE bool pack_floats(struct packed *out, const float *w, size_t n,
                          size_t k, float scale, enum pack_kind kind,
                          struct err *err);
void pack_clear(struct packed *p);

/* Does pack_row() give the numbers that the tensor has? If so, the file need
 * not be read for them. */
bool pack_keeps(const struct packed *p);
/* Row `row`: out[k]. */
void pack_row(const struct packed *p, size_t row, float *out);

/* A copy of `p`, which was left in its rows, in the kernels' layout: first its
 * memory, then, from the same tensor, its numbers. False, with the copy of no
 * use, once `stop` is set. */
MUST_USE bool pack_reserve(struct packed *out, const struct packed *p,
                           struct err *err);
MUST_USE bool pack_copy(struct packed *out, const struct gguf_tensor *t,
                        const atomic_bool *stop);

/* out[i][c] = or += W * a[row + i] for the outputs of panels [from, end);
 * column c of `out` is output c of W. */
void pack_apply(const struct packed *p, const struct kernels *kernels,
                const struct activation *a, size_t row, size_t rows,
                size_t from, size_t end, float *out, size_t out_stride,
                bool add);
/* The same of PACK_QUANT, with extras whose `w` is at panel `from` too and
 * whose rows count from `row`; kernels->extras is true, or there are none. */
void pack_apply_extra(const struct packed *p, const struct kernels *kernels,
                      const struct activation *a, size_t row, size_t rows,
                      size_t from, size_t end, const struct kernel_extra *extra,
                      size_t extras, float *out, size_t out_stride, bool add);
size_t pack_panels(const struct packed *p);

#endif
