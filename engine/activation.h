/* activation.h - rows of numbers in the forms that weight matrices want: int8
 * groups, bf16, or the floats themselves.
 *
 * In a Llama a few channels are far larger than the rest; a group that holds
 * one of them gets a coarse scale, and all its other numbers suffer. What the
 * first int8 codes left over of such groups is quantised once more, as spills
 * (see struct kernel_input), which more than halves the error of the logits
 * for a few per cent of the work. Which groups these are depends on the row
 * alone, so a row's result does not depend on its batch. */
#ifndef CORRAL_ENGINE_ACTIVATION_H
#define CORRAL_ENGINE_ACTIVATION_H

#include "engine/kernel.h"

/* The forms, any union of them. */
enum activation_kind {
    ACTIVATION_QUANT = 1,
    ACTIVATION_BF16 = 2,
    ACTIVATION_F32 = 4
};

/* Up to `rows` rows of up to `k_max` numbers. `f32` is borrowed, with
 * `f32_stride` floats to a row. */
struct activation {
    int kinds; /* there is room for */
    const float *f32;
    size_t f32_stride;
    size_t k_max;
    size_t k;  /* now; the arrays below are dense for it */
    int8_t *q; /* these as in struct kernel_input */
    float *scale;
    float *sum;
    uint32_t *spills;
    size_t spills_max;
    uint32_t *spill_group;
    int8_t *spill_q;
    float *spill_scale;
    float *spill_sum;
    uint16_t *bf16;
    size_t bytes;
};

/* Room for the forms `kinds` only. */
void activation_init(struct activation *a, int kinds, size_t rows,
                     size_t k_max);
void activation_clear(struct activation *a);
/* From now on rows of `k` numbers (a multiple of 32, or for bf16 of 2), read
 * from f32. */
void activation_begin(struct activation *a, const float *f32, size_t stride,
                      size_t k);
/* Borrowed: the same from row `row` on, as rows of k_max numbers lie. Begun
 * anew, it may have another k. */
struct activation activation_from(const struct activation *a, size_t row);
/* Make columns [from, end) (multiples of 32) of a row in the forms `kinds`.
 * A whole row at once is finished too. */
void activation_fill(struct activation *a, const struct kernels *kernels,
                     int kinds, size_t row, size_t from, size_t end);
/* After the last piece of a row that was filled in pieces, and while f32 still
 * holds it: find its spills. */
void activation_finish(struct activation *a, const struct kernels *kernels,
                       int kinds, size_t row);
/* Borrowed: the int8 form of rows [row, row + rows). */
struct kernel_input activation_input(const struct activation *a, size_t row,
                                     size_t rows);

#endif
