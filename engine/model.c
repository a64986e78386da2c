#include "engine/model.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "engine/gemm.h"
#include "engine/kernel_layout.h"
#include "engine/layer.h"
#include "engine/quant.h"

/* Of a model file; the largest Llama has 126 blocks of 16,384. */
enum {
    BLOCKS_MAX = 512,
    WIDTH_MAX = 1 << 17,
    HEADS_MAX = 1024,
    HEAD_SIZE_MAX = 512,
    VOCAB_MAX = 1 << 20,
    CONTEXT_LIMIT = 1 << 20,
    ROWS_LIMIT = 8192,
    NAME_MAX_BYTES = 64
};

const char *const layer_names[LAYER_MATRICES] = {
    [LAYER_Q] = "attn_q",      [LAYER_K] = "attn_k",      [LAYER_V] = "attn_v",
    [LAYER_O] = "attn_output", [LAYER_GATE] = "ffn_gate", [LAYER_UP] = "ffn_up",
    [LAYER_DOWN] = "ffn_down",
};

static bool bad(const struct model *m, struct err *err, const char *what,
                const char *reason) {
    return err_set(err, ERR_INPUT, "%s: %s %s", gguf_path(m->gguf), what,
                   reason);
}

/* A failure below that knows the tensor but not the file. */
static bool in_file(const struct model *m, struct err *err) {
    struct err inner;

    if (!err) return false;
    inner = *err;
    return err_set(err, inner.code, "%s: %s", gguf_path(m->gguf), inner.text);
}

/* A key that must be there, from 1 to `most`. */
static bool read_size(const struct model *m, const char *key, int most,
                      int *out, struct err *err) {
    uint32_t value = 0;

    if (!gguf_u32(m->gguf, key, &value)) return bad(m, err, key, "is missing");
    if (value < 1 || value > (uint32_t)most)
        return bad(m, err, key, "is out of range");
    *out = (int)value;
    return true;
}

static bool read_optional(const struct model *m, const char *key, int most,
                          int *out, struct err *err) {
    uint32_t value;

    if (!gguf_u32(m->gguf, key, &value)) return true;
    return read_size(m, key, most, out, err);
}

static bool read_heads(struct model *m, struct err *err) {
    struct model_shape *s = &m->shape;
    int value_size;
    int turned;

    if (!read_size(m, "llama.attention.head_count", HEADS_MAX, &s->heads, err))
        return false;
    s->kv_heads = s->heads;
    if (!read_optional(m, "llama.attention.head_count_kv", HEADS_MAX,
                       &s->kv_heads, err))
        return false;
    if (s->heads % s->kv_heads)
        return bad(m, err, "llama.attention.head_count",
                   "is no multiple of head_count_kv");
    if (s->embedding % s->heads == 0) s->head_size = s->embedding / s->heads;
    if (!read_optional(m, "llama.attention.key_length", HEAD_SIZE_MAX,
                       &s->head_size, err))
        return false;
    value_size = turned = s->head_size;
    if (!read_optional(m, "llama.attention.value_length", HEAD_SIZE_MAX,
                       &value_size, err) ||
        !read_optional(m, "llama.rope.dimension_count", HEAD_SIZE_MAX, &turned,
                       err))
        return false;
    if (value_size != s->head_size || turned != s->head_size)
        return bad(m, err, "the head size",
                   "is not the same for keys, values and positions");
    if (s->head_size < KERNEL_PANEL || s->head_size > HEAD_SIZE_MAX ||
        s->head_size % KERNEL_PANEL)
        return bad(m, err, "the head size", "is not a multiple of 16 to 512");
    return true;
}

static bool read_shape(struct model *m, struct err *err) {
    struct model_shape *s = &m->shape;
    struct span architecture = {0};

    if (!gguf_string(m->gguf, "general.architecture", &architecture))
        return bad(m, err, "general.architecture", "is missing");
    if (!span_is(architecture, "llama"))
        return bad(m, err, "general.architecture", "is not llama");
    if (!read_size(m, "llama.block_count", BLOCKS_MAX, &s->blocks, err) ||
        !read_size(m, "llama.embedding_length", WIDTH_MAX, &s->embedding,
                   err) ||
        !read_size(m, "llama.feed_forward_length", WIDTH_MAX, &s->feed_forward,
                   err) ||
        !read_size(m, "llama.context_length", CONTEXT_LIMIT, &s->context_max,
                   err) ||
        !read_heads(m, err))
        return false;
    if (s->embedding % KERNEL_GROUP || s->feed_forward % KERNEL_GROUP ||
        s->heads * s->head_size % KERNEL_GROUP)
        return bad(m, err, "a width", "is not a multiple of 32");
    if (!gguf_f32(m->gguf, "llama.attention.layer_norm_rms_epsilon",
                  &m->epsilon))
        return bad(m, err, "llama.attention.layer_norm_rms_epsilon",
                   "is missing");
    if (!(m->epsilon > 0 && m->epsilon < 1))
        return bad(m, err, "llama.attention.layer_norm_rms_epsilon",
                   "is out of range");
    return true;
}

/* Find a tensor and prove its shape; `n` of 0 stands for a vector. */
static const struct gguf_tensor *find(const struct model *m, const char *name,
                                      int k, int n, struct err *err) {
    const struct gguf_tensor *t = gguf_tensor(m->gguf, name);
    uint64_t want_n = n ? (uint64_t)n : 1;

    if (!t) {
        bad(m, err, name, "is missing");
        return NULL;
    }
    if (t->dims != (n ? 2 : 1) || t->size[0] != (uint64_t)k ||
        t->size[1] != want_n) {
        bad(m, err, name, "has the wrong shape");
        return NULL;
    }
    if (!quant_known(t->type) || (!n && t->type != GGUF_F32)) {
        bad(m, err, name, "has an unsupported type");
        return NULL;
    }
    return t;
}

static float *read_vector(const struct model *m, const char *name, int k,
                          struct err *err) {
    const struct gguf_tensor *t = find(m, name, k, 0, err);
    float *out;

    if (!t) return NULL;
    out = xalloc_array((size_t)k, sizeof *out);
    quant_row(t->type, t->data, (size_t)k, out);
    for (int i = 0; i < k; i++) {
        if (isfinite(out[i])) continue;
        bad(m, err, name, "holds a number that is not finite");
        free(out);
        return NULL;
    }
    return out;
}

/* Radians that each pair of a head turns by from one position to the next,
 * slowed down by the factors of Llama 3.1 where the file has them. */
static bool read_speeds(struct model *m, struct err *err) {
    int pairs = m->shape.head_size / 2;
    float base = 10000.0f;
    float *factors = NULL;
    struct span scaling;

    (void)gguf_f32(m->gguf, "llama.rope.freq_base", &base);
    if (!(base >= 1.0f && base < 1e12f))
        return bad(m, err, "llama.rope.freq_base", "is out of range");
    if (gguf_string(m->gguf, "llama.rope.scaling.type", &scaling) &&
        !span_is(scaling, "none"))
        return bad(m, err, "llama.rope.scaling.type", "is not supported");
    if (gguf_tensor(m->gguf, "rope_freqs.weight")) {
        factors = read_vector(m, "rope_freqs.weight", pairs, err);
        if (!factors) return false;
    }
    m->speeds = xalloc_array((size_t)pairs, sizeof *m->speeds);
    for (int i = 0; i < pairs; i++) {
        double factor = factors ? (double)factors[i] : 1.0;

        if (!(factor > 1e-6)) {
            free(factors);
            return bad(m, err, "rope_freqs.weight", "is not positive");
        }
        m->speeds[i] =
            pow((double)base, -2.0 * i / m->shape.head_size) / factor;
    }
    free(factors);
    return true;
}

/* What stays in the file's rows is packed later, on the side. */
static bool pack_matrix(struct model *m, struct packed *out,
                        const struct gguf_tensor *t, struct err *err) {
    size_t groups = (size_t)t->size[0] / KERNEL_GROUP;

    if (!pack_tensor(out, t, m->kernels, m->options.exact, m->pool, err))
        return in_file(m, err);
    if (!out->rows) {
        gguf_tensor_forget(t);
        m->weight_bytes += out->bytes;
        return true;
    }
    m->weight_bytes +=
        kernel_panel_bytes(out->format, groups) * pack_panels(out);
    return repack_add(m->repack, out, t, err) || in_file(m, err);
}

static bool read_matrix(struct model *m, struct packed *out, const char *name,
                        int k, int n, struct err *err) {
    const struct gguf_tensor *t = find(m, name, k, n, err);

    return t && pack_matrix(m, out, t, err);
}

static bool read_layer(struct model *m, int block, struct err *err) {
    const struct model_shape *s = &m->shape;
    struct layer *l = &m->layers[block];
    int q = s->heads * s->head_size;
    int kv = s->kv_heads * s->head_size;
    const int sizes[LAYER_MATRICES][2] = {
        [LAYER_Q] = {s->embedding, q},
        [LAYER_K] = {s->embedding, kv},
        [LAYER_V] = {s->embedding, kv},
        [LAYER_O] = {q, s->embedding},
        [LAYER_GATE] = {s->embedding, s->feed_forward},
        [LAYER_UP] = {s->embedding, s->feed_forward},
        [LAYER_DOWN] = {s->feed_forward, s->embedding},
    };
    char name[NAME_MAX_BYTES];

    (void)snprintf(name, sizeof name, "blk.%d.attn_norm.weight", block);
    l->attention_norm = read_vector(m, name, s->embedding, err);
    if (!l->attention_norm) return false;
    (void)snprintf(name, sizeof name, "blk.%d.ffn_norm.weight", block);
    l->feed_norm = read_vector(m, name, s->embedding, err);
    if (!l->feed_norm) return false;
    for (int i = 0; i < LAYER_MATRICES; i++) {
        (void)snprintf(name, sizeof name, "blk.%d.%s.weight", block,
                       layer_names[i]);
        if (!read_matrix(m, &l->matrix[i], name, sizes[i][0], sizes[i][1], err))
            return false;
        (void)snprintf(name, sizeof name, "blk.%d.%s.bias", block,
                       layer_names[i]);
        if (gguf_tensor(m->gguf, name))
            return bad(m, err, name, "is not supported");
    }
    return true;
}

static bool read_weights(struct model *m, struct err *err) {
    struct model_shape *s = &m->shape;
    const struct gguf_tensor *t = gguf_tensor(m->gguf, "token_embd.weight");
    uint32_t vocab = 0;

    if (!t || t->dims != 2 || t->size[1] > VOCAB_MAX)
        return bad(m, err, "token_embd.weight", "is missing or too big");
    s->vocab = (int)t->size[1];
    if (gguf_u32(m->gguf, "llama.vocab_size", &vocab) &&
        vocab != (uint32_t)s->vocab)
        return bad(m, err, "llama.vocab_size", "is not that of the embedding");
    m->embedding = find(m, "token_embd.weight", s->embedding, s->vocab, err);
    if (!m->embedding) return false;
    m->output = m->embedding;
    if (gguf_tensor(m->gguf, "output.weight"))
        m->output = find(m, "output.weight", s->embedding, s->vocab, err);
    if (!m->output) return false;
    m->repack = repack_new((size_t)s->blocks * LAYER_MATRICES + 1);
    if (!pack_matrix(m, &m->head, m->output, err)) return false;
    m->output_norm = read_vector(m, "output_norm.weight", s->embedding, err);
    if (!m->output_norm) return false;
    m->layers = xalloc_array((size_t)s->blocks, sizeof *m->layers);
    for (int i = 0; i < s->blocks; i++)
        if (!read_layer(m, i, err)) return false;
    return repack_left(m->repack) == 0 || repack_start(m->repack, err);
}

struct model *model_open(const struct gguf *gguf,
                         const struct model_options *options, struct err *err) {
    struct model *m = xalloc(sizeof *m);

    m->gguf = gguf;
    m->options = *options;
    if (options->rows_max < 1 || options->rows_max > ROWS_LIMIT) {
        err_set(err, ERR_LIMIT, "a batch of %d rows", options->rows_max);
        goto fail;
    }
    m->kernels = kernels_choose(err);
    if (!m->kernels) goto fail;
    gemm_init();
    m->pool = pool_open(options->threads, err);
    if (!m->pool) goto fail;
    if (!read_shape(m, err) || !read_speeds(m, err) || !read_weights(m, err))
        goto fail;
    scratch_init(&m->scratch, m);
    return m;

fail:
    model_close(m);
    return NULL;
}

void model_close(struct model *m) {
    if (!m) return;
    repack_free(m->repack);
    for (int i = 0; m->layers && i < m->shape.blocks; i++) {
        free(m->layers[i].attention_norm);
        free(m->layers[i].feed_norm);
        for (int j = 0; j < LAYER_MATRICES; j++)
            pack_clear(&m->layers[i].matrix[j]);
    }
    pack_clear(&m->head);
    free(m->layers);
    free(m->output_norm);
    free(m->speeds);
    scratch_clear(&m->scratch);
    pool_close(m->pool);
    free(m);
}

const struct model_shape *model_shape(const struct model *m) {
    return &m->shape;
}

size_t model_bytes(const struct model *m) {
    return m->weight_bytes + m->scratch.bytes;
}

size_t model_weight_bytes(const struct model *m) {
    return m->weight_bytes;
}

size_t model_unpacked(const struct model *m) {
    return repack_left(m->repack);
}

const char *model_kernels(const struct model *m) {
    return m->kernels->name;
}

struct logits_job {
    struct model *m;
    int rows;
    int panels_each;
    float *out;
};

static void logits_task(void *user, int task, int thread) {
    struct logits_job *job = user;
    const struct model *m = job->m;
    size_t from = (size_t)task * (size_t)job->panels_each;

    (void)thread;
    pack_apply(&m->head, m->kernels, &m->scratch.narrow, 0, (size_t)job->rows,
               from, from + (size_t)job->panels_each, job->out,
               (size_t)m->shape.vocab, false);
}

void model_logits(struct model *m, const float *hidden, int count,
                  float *logits) {
    size_t width = (size_t)m->shape.embedding;
    struct activation *a = &m->scratch.narrow;
    int panels = (int)pack_panels(&m->head);

    for (int done = 0; done < count; done += m->options.rows_max) {
        struct logits_job job = {m, count - done, 0, NULL};

        if (job.rows > m->options.rows_max) job.rows = m->options.rows_max;
        job.panels_each = (int)forward_panels_each(m, (size_t)panels, width);
        job.out = logits + (size_t)done * (size_t)m->shape.vocab;
        activation_begin(a, hidden + (size_t)done * width, width, width);
        for (int i = 0; i < job.rows; i++)
            activation_fill(a, m->kernels, (int)m->head.kind, (size_t)i, 0,
                            width);
        pool_run(m->pool, (panels + job.panels_each - 1) / job.panels_each,
                 logits_task, &job);
    }
}

/* What is both embedding and head is packed as the head, and then its copy in
 * the file stays out of memory. */
void model_token_row(const struct model *m, const struct gguf_tensor *t,
                     int token, float *out) {
    size_t width = (size_t)m->shape.embedding;

    assert(token >= 0 && token < m->shape.vocab);
    if (t == m->output && pack_keeps(&m->head))
        pack_row(&m->head, (size_t)token, out);
    else
        quant_row(t->type,
                  (const uint8_t *)t->data +
                      (size_t)token * quant_row_bytes(t->type, width),
                  width, out);
}

void model_label_logits(struct model *m, const float *hidden, const int *labels,
                        int label_count, float *out) {
    size_t width = (size_t)m->shape.embedding;
    float *line = m->scratch.norm; /* free between passes */

    for (int i = 0; i < label_count; i++) {
        model_token_row(m, m->output, labels[i], line);
        out[i] = m->kernels->dot(line, hidden, width);
    }
}
