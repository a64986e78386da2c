/* attention.h - the attention of one layer: rows to pages, pages to rows.
 * Part of forward; nobody else includes it. */
#ifndef CORRAL_ENGINE_ATTENTION_H
#define CORRAL_ENGINE_ATTENTION_H

#include "engine/layer.h"

/* Store columns [from, end), some whole heads, of a row's K or V in its page;
 * values[0] is column 0. */
void attention_store(const struct pass *p, const struct row *row,
                     enum layer_matrix matrix, const float *values, int from,
                     int end);

/* Tiles of the rows that the pass now has. */
void attention_plan(struct pass *p);
/* The phase: each row of q becomes its attention, but for those that were cut
 * into spans. */
void attention_run(struct pass *p);
/* The rest for one row, in any later phase. */
void attention_finish(const struct pass *p, int row);

/* Buffers of struct scratch that only these use. */
void attention_init(struct attention *a, const struct model *m);
void attention_clear(struct attention *a);

#endif
