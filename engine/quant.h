/* quant.h - the block formats of a GGUF, one row at a time, as plain numbers.
 * This is the reference: slow, exact, and what every kernel is tested
 * against. No state, any thread. */
#ifndef CORRAL_ENGINE_QUANT_H
#define CORRAL_ENGINE_QUANT_H

#include "engine/gguf.h"

/* Every quantised format is seen as groups of 32 codes, in two halves:
 *     value = scale * step[half] * (code - offset) + min * step_min[half]
 * where only the K-quants have steps (else 1), and only those with 16 values
 * to a scale use the halves. */
enum { QUANT_GROUP = 32 };

struct quant_group {
    uint8_t code[QUANT_GROUP];
    uint16_t scale; /* f16 */
    uint16_t min;   /* f16 */
    int8_t step[2];
    int8_t step_min[2];
};

/* False for F32, F16, BF16 and what is no weight format. */
bool quant_offset(enum gguf_type type, int *out);
/* Is it a format that weights may have here, quantised or not? */
bool quant_known(enum gguf_type type);
/* Bytes of a row of `count` elements, a whole number of blocks. */
size_t quant_row_bytes(enum gguf_type type, size_t count);

/* Are all scales and mins of a row of quantised type finite? */
bool quant_finite(enum gguf_type type, const void *row, size_t count);

/* Group `index` of a row of quantised type. */
void quant_group(enum gguf_type type, const void *row, size_t index,
                 struct quant_group *out);
/* A row of `count` floats, a multiple of 32, as Q8_0: each group by its greatest
 * magnitude. One that is not finite, or past 127 times an f16, makes a scale
 * that is not finite. */
void quant_to_q8_0(const float *row, size_t count, uint8_t *out);
/* A row of any known type as floats. */
void quant_row(enum gguf_type type, const void *row, size_t count, float *out);

float quant_from_f16(uint16_t half);
uint16_t quant_to_f16(float value); /* to nearest, ties to even */
float quant_from_bf16(uint16_t half);
uint16_t quant_to_bf16(float value);

#endif
