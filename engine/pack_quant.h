/* pack_quant.h - rows of a quantised tensor into the kernels' panels, code by
 * code: nothing is rounded. No state, any thread. */
#ifndef CORRAL_ENGINE_PACK_QUANT_H
#define CORRAL_ENGINE_PACK_QUANT_H

#include "engine/gguf.h"
#include "engine/kernel.h"

/* False for what is not quantised. */
bool pack_quant_format(enum gguf_type type, enum kernel_format *out);

/* Row `r` of a panel from `source`, a row of `groups` groups of `type`. Writes
 * that row's bytes only. False when a scale is not finite. */
bool pack_quant_row(uint8_t *panel, enum kernel_format format, size_t r,
                    enum gguf_type type, const uint8_t *source, size_t groups);

/* Row `r` of a panel of `groups` groups: the very numbers that its source has
 * by quant_row(). */
void pack_quant_numbers(const uint8_t *panel, enum kernel_format format,
                        size_t r, size_t groups, float *out);

#endif
