/* lora.h - the matrices of a layer with the adapters' parts: b * (a * x) for
 * the rows that carry one. Part of forward; nobody else includes it. */
#ifndef CORRAL_ENGINE_LORA_H
#define CORRAL_ENGINE_LORA_H

#include "engine/layer.h"

/* a * x of rows [from, end) for the matrices p->first to p->last, which share
 * the input `x`. */
void lora_down(struct pass *p, const struct activation *x, int from, int end);

/* out = or += (matrix + b * a) * x for panels [from, end) of `matrix` and the
 * rows [row, last), of which lora_down() made a * x; out[0] is column 0 of row
 * `row`. */
void lora_apply(const struct pass *p, enum layer_matrix matrix,
                const struct activation *x, size_t from, size_t end, int row,
                int last, float *out, size_t stride, bool add);

#endif
