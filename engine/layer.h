/* layer.h - what model, forward and adapter share, and nobody else includes:
 * the weights of a layer, the parts of a model, the scratch of one pass. */
#ifndef CORRAL_ENGINE_LAYER_H
#define CORRAL_ENGINE_LAYER_H

#include "engine/model.h"
#include "engine/pack.h"
#include "engine/pool.h"
#include "engine/repack.h"

enum layer_matrix {
    LAYER_Q,
    LAYER_K,
    LAYER_V,
    LAYER_O,
    LAYER_GATE,
    LAYER_UP,
    LAYER_DOWN,
    LAYER_MATRICES
};

/* "attn_q" and so on: the middle of a tensor's name. */
extern const char *const layer_names[LAYER_MATRICES];

struct layer {
    float *attention_norm;
    float *feed_norm;
    struct packed matrix[LAYER_MATRICES];
};

/* y += b * (a * x); the adapter's scale is in b. No data: no such part. Unless
 * the model is exact both are Q8: int8 is the form that x has for the weights
 * anyway, and for the few inputs of b it is the fastest. */
struct lora {
    struct packed a; /* rank outputs */
    struct packed b; /* rank inputs, rounded up to whole groups */
};

enum { ADAPTER_RANK_MAX = 128 };

/* A run of rows of the batch with the same adapter. */
struct segment {
    const struct adapter *adapter;
    int row;
    int end;
};

/* Rows of one sequence at successive positions, whose attention is computed
 * together, so that a page is read once for all of them. */
struct tile {
    int row;
    int end;
};

/* Of attention.c. */
struct attention {
    struct tile *tiles;
    int tile_count;
    int spans;         /* tasks of a tile and KV head; 1: a task does all */
    float *own;        /* (thread, own_floats) */
    size_t own_floats; /* q, part and total of the queries, and scores */
    float *parts;      /* (row, head, span, head_size + 2) */
    size_t bytes;
};

enum { LORA_SLOTS = 3 /* matrices with one input: Q, K, V */ };

/* Rows of one pass, sorted by adapter. Belongs to the scheduler thread;
 * within a phase each compute thread writes its own part only. */
struct scratch {
    struct row *rows;
    int *order; /* rows[i] of the caller is row order[i] */
    int *moved; /* where a row went when the unwanted ones left */
    struct segment *segments;
    int count;
    int segment_count;
    float *x;    /* (row, embedding), the residual stream */
    float *norm; /* (row, embedding) */
    float *q;    /* (row, heads * head_size): Q, then its mix */
    float *kv;   /* (row, 2 * kv_heads * head_size): K, then V */
    float *gate; /* (row, feed_forward) */
    float *up;   /* (thread, up_floats): some rows of up */
    size_t up_floats;
    float *turns;             /* (row, head_size): cos, sin for each pair */
    struct activation narrow; /* of norm or q */
    struct activation wide;   /* of gate */
    float *rank;              /* (LORA_SLOTS, row, ADAPTER_RANK_MAX) */
    struct activation ranks[LORA_SLOTS];
    struct attention attention;
    size_t bytes;
};

struct model {
    const struct gguf *gguf; /* borrowed */
    struct model_shape shape;
    struct model_options options;
    const struct kernels *kernels;
    struct pool *pool;
    float epsilon;
    double *speeds; /* [head_size / 2]: radians a position */
    struct layer *layers;
    float *output_norm;
    const struct gguf_tensor *embedding;
    const struct gguf_tensor *output;
    struct packed head;    /* `output` packed */
    struct repack *repack; /* of what is in rows yet */
    size_t weight_bytes;
    struct scratch scratch;
};

/* One pass; what is said of a phase changes between phases only. */
struct pass {
    struct model *m;
    struct scratch *s;
    struct layer *layer;
    int block;
    bool adapted;            /* some row has an adapter */
    int rows_each;           /* of a task of a row phase */
    size_t panels_each;      /* of a task of a column phase */
    const float *norm;       /* of a norm phase */
    enum layer_matrix first; /* whose input, or columns, the phase makes */
    enum layer_matrix last;
};

/* The adapter's part of a matrix, or NULL. */
const struct lora *adapter_lora(const struct adapter *a, int block,
                                enum layer_matrix matrix);

/* Row `token` of `t`, which is the model's embedding or its output. */
void model_token_row(const struct model *m, const struct gguf_tensor *t,
                     int token, float *out);

/* Panels of k inputs for one task: some tasks for each thread, and none so long
 * that at the end all wait for one. */
size_t forward_panels_each(const struct model *m, size_t panels, size_t k);

void scratch_init(struct scratch *s, const struct model *m);
void scratch_clear(struct scratch *s);

#endif
