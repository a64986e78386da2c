/* model.h - one forward pass of a Llama model over a batch of rows. A row is
 * one token of one sequence; rows of many sequences, with and without
 * adapters, go through together. Owned by the scheduler thread; it fans out
 * to a compute pool inside. Weights are repacked at load into the layout of
 * the kernels chosen at start (CORRAL_CPU=scalar|avx2|avx512 forces one). */
#ifndef CORRAL_ENGINE_MODEL_H
#define CORRAL_ENGINE_MODEL_H

#include "engine/adapter.h"
#include "engine/kv.h"

struct model;

struct model_shape {
    int blocks;
    int embedding; /* width of the residual stream */
    int heads;
    int kv_heads;
    int head_size;
    int feed_forward;
    int vocab;
    int context_max; /* positions the model was trained for */
};

struct model_options {
    int threads;  /* compute threads, the caller's included; 0: all cores */
    int rows_max; /* rows in one model_forward() */
    bool exact;   /* f32 weights and activations: the reference mode */
};

struct row {
    int token;
    int position;                  /* index within its sequence */
    struct sequence *sequence;     /* has room reserved for `position` */
    const struct adapter *adapter; /* NULL: the bare base model */
    bool want;                     /* its final hidden state is wanted */
};

MUST_USE struct model *model_open(const struct gguf *gguf,
                                  const struct model_options *options,
                                  struct err *err);
void model_close(struct model *m);
const struct model_shape *model_shape(const struct model *m);
size_t model_bytes(const struct model *m); /* weights and scratch */
/* Read in each pass, once all is packed. */
size_t model_weight_bytes(const struct model *m);
/* Matrices that are not packed yet, but read as slowly as the file has them.
 * Any thread. */
size_t model_unpacked(const struct model *m);
const char *model_kernels(const struct model *m); /* "avx512", ... */

/* Rows of one sequence come in order of position and without gaps. Writes the
 * KV of every row, and for the wanted rows, in order, the hidden state after
 * the output norm: hidden[wanted][embedding]. A row sees exactly the positions
 * of its own sequence up to its own. */
void model_forward(struct model *m, const struct row *rows, int count,
                   float *hidden);

/* logits[count][vocab] of hidden[count][embedding]. */
void model_logits(struct model *m, const float *hidden, int count,
                  float *logits);
/* Only the rows labels[0..label_count) of the head: out[label_count]. */
void model_label_logits(struct model *m, const float *hidden, const int *labels,
                        int label_count, float *out);

#endif
