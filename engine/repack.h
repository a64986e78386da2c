/* repack.h - matrices that were left in their file's rows, packed while the
 * model serves already: the kernels read panels faster, but the copy of a large
 * model takes a while. A thread of its own makes the copies; the model's owner
 * takes them over between two passes. No result changes by it. */
#ifndef CORRAL_ENGINE_REPACK_H
#define CORRAL_ENGINE_REPACK_H

#include "engine/pack.h"

struct repack;

/* Room for `most` matrices. */
MUST_USE struct repack *repack_new(size_t most);
/* Stops the thread; what was not taken over is dropped. */
void repack_free(struct repack *r);

/* Reserve memory for `p`, which has the rows of `t`. Both must outlive `r`. */
MUST_USE bool repack_add(struct repack *r, struct packed *p,
                         const struct gguf_tensor *t, struct err *err);
MUST_USE bool repack_start(struct repack *r, struct err *err);

/* The owner's: put the copies that are done in the place of their rows. */
void repack_take(struct repack *r);
/* Matrices that are still to be copied. Any thread. */
size_t repack_left(const struct repack *r);

#endif
