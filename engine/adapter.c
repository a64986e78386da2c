#include "engine/adapter.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "engine/layer.h"
#include "engine/quant.h"

enum { LABELS_MAX = 1024, NAME_BYTES = 64 };

struct adapter {
    int id;
    int labels;
    int blocks;
    int width; /* of the hidden state */
    const struct kernels *kernels;
    struct lora *parts; /* (block, matrix) */
    float *head;        /* (label, embedding) */
    float *bias;        /* (label) */
    size_t bytes;
};

const struct lora *adapter_lora(const struct adapter *a, int block,
                                enum layer_matrix matrix) {
    return &a->parts[block * LAYER_MATRICES + (int)matrix];
}

static bool bad(const struct gguf *gguf, struct err *err, const char *what,
                const char *reason) {
    return err_set(err, ERR_INPUT, "%s: %s %s", gguf_path(gguf), what, reason);
}

static bool check_keys(const struct gguf *gguf, float *alpha, struct err *err) {
    static const char *const want[][2] = {
        {"general.type", "adapter"},
        {"general.architecture", "llama"},
        {"adapter.type", "lora"},
    };
    struct span value;

    for (size_t i = 0; i < sizeof want / sizeof want[0]; i++) {
        if (!gguf_string(gguf, want[i][0], &value))
            return bad(gguf, err, want[i][0], "is missing");
        if (!span_is(value, want[i][1]))
            return bad(gguf, err, want[i][0], "is not that of a Llama LoRA");
    }
    if (!gguf_f32(gguf, "adapter.lora.alpha", alpha) || !isfinite(*alpha))
        return bad(gguf, err, "adapter.lora.alpha", "is missing");
    return true;
}

/* All of a tensor as floats, (n, k). */
static float *read_floats(const struct gguf *gguf, const struct gguf_tensor *t,
                          const char *name, struct err *err) {
    size_t k = (size_t)t->size[0];
    size_t n = (size_t)t->size[1];
    size_t row_bytes;
    float *out;

    if (t->type != GGUF_F32 && t->type != GGUF_F16 && t->type != GGUF_BF16 &&
        t->type != GGUF_Q8_0) {
        bad(gguf, err, name, "has an unsupported type");
        return NULL;
    }
    row_bytes = quant_row_bytes(t->type, k);
    out = xalloc_array(k * n, sizeof *out);
    for (size_t i = 0; i < n; i++)
        quant_row(t->type, (const uint8_t *)t->data + i * row_bytes, k,
                  out + i * k);
    return out;
}

/* All parts of an adapter, read by the pool: to make int8 of millions of
 * numbers is most of what a start takes. */
struct reading {
    const struct gguf *gguf;
    const struct model *model;
    float alpha;
    struct part {
        struct lora *out;
        struct err err; /* why it is no part; code 0: it is one, or is absent */
    } * parts;
};

/* `ta` and `tb` to `out`; their shapes are proved. */
static bool pack_part(const struct reading *r, const struct gguf_tensor *ta,
                      const struct gguf_tensor *tb, const char *name,
                      struct lora *out, struct err *err) {
    enum pack_kind kind = r->model->options.exact ? PACK_F32 : PACK_QUANT;
    size_t rank = (size_t)ta->size[1];
    float *fa = read_floats(r->gguf, ta, name, err);
    float *fb = fa ? read_floats(r->gguf, tb, name, err) : NULL;
    bool ok = false;

    if (!fb) goto out;
    ok = pack_floats(&out->a, fa, rank, (size_t)ta->size[0], 1.0f, kind, err) &&
         pack_floats(&out->b, fb, (size_t)tb->size[1], rank,
                     r->alpha / (float)rank, kind, err);
    if (!ok) bad(r->gguf, err, name, "or its lora_b is not finite");

out:
    free(fa);
    free(fb);
    return ok;
}

static bool read_part(const struct reading *r, const char *base,
                      struct lora *out, struct err *err) {
    const struct gguf_tensor *w = gguf_tensor(r->model->gguf, base);
    const struct gguf_tensor *ta;
    const struct gguf_tensor *tb;
    char name[2][NAME_BYTES + 8];

    (void)snprintf(name[0], sizeof name[0], "%s.lora_a", base);
    (void)snprintf(name[1], sizeof name[1], "%s.lora_b", base);
    ta = gguf_tensor(r->gguf, name[0]);
    tb = gguf_tensor(r->gguf, name[1]);
    if (!ta && !tb) return true;
    if (!ta) return bad(r->gguf, err, name[0], "is missing");
    if (!tb) return bad(r->gguf, err, name[1], "is missing");
    if (ta->size[1] > ADAPTER_RANK_MAX)
        return bad(r->gguf, err, name[0], "has a rank above 128");
    if (ta->dims != 2 || tb->dims != 2 || ta->size[0] != w->size[0] ||
        tb->size[0] != ta->size[1] || tb->size[1] != w->size[1])
        return bad(r->gguf, err, name[0], "or its lora_b has the wrong shape");
    return pack_part(r, ta, tb, name[0], out, err);
}

static void read_task(void *user, int task, int thread) {
    const struct reading *r = user;
    struct part *part = &r->parts[task];
    char base[NAME_BYTES];

    (void)thread;
    (void)snprintf(base, sizeof base, "blk.%d.%s.weight", task / LAYER_MATRICES,
                   layer_names[task % LAYER_MATRICES]);
    (void)read_part(r, base, part->out, &part->err);
}

/* The first part that fails says why. */
static bool read_parts(struct adapter *a, const struct gguf *gguf,
                       const struct model *m, float alpha, size_t *found,
                       struct err *err) {
    int count = a->blocks * LAYER_MATRICES;
    struct reading r = {.gguf = gguf, .model = m, .alpha = alpha};
    bool ok = true;

    a->parts = xalloc_array((size_t)count, sizeof *a->parts);
    r.parts = xalloc_array((size_t)count, sizeof *r.parts);
    for (int i = 0; i < count; i++) r.parts[i].out = &a->parts[i];
    pool_run(m->pool, count, read_task, &r);
    for (int i = 0; ok && i < count; i++) {
        const struct lora *l = &a->parts[i];

        ok = r.parts[i].err.code == 0;
        if (!ok && err) *err = r.parts[i].err;
        if (l->b.data) *found += 2;
        a->bytes += l->a.bytes + l->b.bytes;
    }
    free(r.parts);
    return ok;
}

static bool finite_all(const float *x, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (!isfinite(x[i])) return false;
    return true;
}

static bool read_head(struct adapter *a, const struct gguf *gguf, size_t *found,
                      struct err *err) {
    const struct gguf_tensor *w = gguf_tensor(gguf, "head.weight");
    const struct gguf_tensor *b = gguf_tensor(gguf, "head.bias");

    if (!w && !b) return true;
    if (!w || !b)
        return bad(gguf, err, "head.weight or head.bias", "is missing");
    if (w->dims != 2 || w->size[0] != (uint64_t)a->width ||
        w->size[1] > LABELS_MAX || b->dims != 1 || b->size[0] != w->size[1])
        return bad(gguf, err, "head.weight or head.bias",
                   "has the wrong shape");
    a->head = read_floats(gguf, w, "head.weight", err);
    if (!a->head) return false;
    a->bias = read_floats(gguf, b, "head.bias", err);
    if (!a->bias) return false;
    a->labels = (int)w->size[1];
    if (!finite_all(a->head, (size_t)a->labels * (size_t)a->width) ||
        !finite_all(a->bias, (size_t)a->labels))
        return bad(gguf, err, "head.weight or head.bias", "is not finite");
    a->bytes += (size_t)a->labels * ((size_t)a->width + 1) * sizeof(float);
    *found += 2;
    return true;
}

/* A part that goes nowhere would silently make another model. Tensors of
 * ours that are no part of the base have names of their own. */
static bool check_strays(const struct gguf *gguf, size_t found,
                         struct err *err) {
    size_t parts = 0;

    for (size_t i = 0; i < gguf_tensor_count(gguf); i++) {
        struct span name = gguf_tensor_at(gguf, i)->name;

        if (span_find(name, span_of(".lora_")) != SIZE_MAX ||
            span_is(name, "head.weight") || span_is(name, "head.bias"))
            parts++;
    }
    if (parts != found)
        return bad(gguf, err, "a tensor", "belongs to no matrix of the model");
    return true;
}

struct adapter *adapter_open(const char *path, const struct model *model,
                             int id, struct err *err) {
    struct gguf *gguf = gguf_open(path, err);
    struct adapter *a = NULL;
    float alpha = 0;
    size_t found = 0;
    bool ok = false;

    if (!gguf) return NULL;
    a = xalloc(sizeof *a);
    a->id = id;
    a->blocks = model->shape.blocks;
    a->width = model->shape.embedding;
    a->kernels = model->kernels;
    ok = check_keys(gguf, &alpha, err) &&
         read_parts(a, gguf, model, alpha, &found, err) &&
         read_head(a, gguf, &found, err) && check_strays(gguf, found, err);
    gguf_close(gguf);
    if (ok) return a;
    adapter_close(a);
    return NULL;
}

void adapter_close(struct adapter *a) {
    if (!a) return;
    for (int i = 0; a->parts && i < a->blocks * LAYER_MATRICES; i++) {
        pack_clear(&a->parts[i].a);
        pack_clear(&a->parts[i].b);
    }
    free(a->parts);
    free(a->head);
    free(a->bias);
    free(a);
}

int adapter_id(const struct adapter *a) {
    return a->id;
}

int adapter_labels(const struct adapter *a) {
    return a->labels;
}

size_t adapter_bytes(const struct adapter *a) {
    return a->bytes;
}

void adapter_head(const struct adapter *a, const float *hidden, float *out) {
    for (int i = 0; i < a->labels; i++)
        out[i] =
            a->bias[i] + a->kernels->dot(a->head + (size_t)i * (size_t)a->width,
                                         hidden, (size_t)a->width);
}
