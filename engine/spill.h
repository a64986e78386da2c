/* spill.h - the second half of int8 activations. In a Llama a few channels are
 * far larger than the rest; a group that holds one of them gets a coarse scale,
 * and all its other numbers suffer. What the first int8 pass left over of such
 * groups is quantised once more and multiplied too, which more than halves the
 * error of the logits for a few per cent of the work. Which groups these are
 * depends on the row alone, so a row's result does not depend on its batch. */
#ifndef CORRAL_ENGINE_SPILL_H
#define CORRAL_ENGINE_SPILL_H

#include "engine/pack.h"

/* out[i] += W * (x - q * scale) over the coarse groups of rows
 * [row, row + rows); `w` is the first of the panels that make `columns`
 * outputs. */
void spill_apply(const struct packed *p, const struct kernels *kernels,
                 const struct activation *a, size_t row, size_t rows,
                 const uint8_t *w, size_t columns, float *out,
                 size_t out_stride);

#endif
