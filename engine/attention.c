/* attention.c - a row looks at its positions in spans of a fixed length, each
 * with a softmax of its own; the spans' results are then joined in order. So
 * a result does not depend on who computes which span: with few rows, tasks
 * share the spans of one row; with many, a task does all spans of a tile. */
#include "engine/attention.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "engine/quant.h"

enum {
    SPAN = KERNEL_SPAN,
    SPAN_PAGES = SPAN / KV_PAGE,
    /* Below so many tasks for a thread, spans become tasks. */
    TASKS_EACH = 8,
    /* Room for the spans of 16 rows at position 8192, or of one at 131,072. */
    PARTS_EACH_HEAD = 512
};

static float *row_of(float *at, int row, int width) {
    return at + (size_t)row * (size_t)width;
}

/* ---- rows to pages ---- */

/* 32 numbers to codes; their scale as f16. */
static uint16_t quantise(const float *x, int8_t *code) {
    float most = 0;
    float inverse;
    uint16_t scale;

    for (int i = 0; i < KERNEL_GROUP; i++) most = fmaxf(most, fabsf(x[i]));
    scale = quant_to_f16(fminf(most / 127.0f, 65504.0f));
    inverse = quant_from_f16(scale);
    inverse = inverse > 0 ? 1.0f / inverse : 0;
    for (int i = 0; i < KERNEL_GROUP; i++) {
        float v = fminf(fmaxf(x[i] * inverse, -127.0f), 127.0f);

        code[i] = (int8_t)(v + (v < 0 ? -0.5f : 0.5f));
    }
    return scale;
}

/* Where number `d` of position `at` stands in a page of pairs. */
static size_t place(bool k, size_t head, size_t d, size_t at) {
    return k ? d / 2 * 2 * KV_PAGE + 2 * at + d % 2
             : at / 2 * 2 * head + 2 * d + at % 2;
}

static void store_f32(bool k, size_t head, size_t d, size_t at, const float *x,
                      void *to) {
    float *out = (float *)to + (k ? d * KV_PAGE + at : at * head + d);

    for (size_t i = 0; i < KERNEL_PANEL; i++) out[k ? i * KV_PAGE : i] = x[i];
}

static void store_i16(const struct kernels *kernels, bool k, size_t head,
                      size_t at, const float *x, void *to) {
    int16_t line[KERNEL_HEAD_MAX];
    int16_t *out = (int16_t *)to + place(k, head, 0, at);
    float *scales = (void *)((int16_t *)to + head * KV_PAGE);

    scales[at] = kernels->to_i16(x, head, line);
    for (size_t i = 0; k && i < head; i += 2)
        memcpy(out + i * KV_PAGE, line + i, 2 * sizeof *line);
    for (size_t i = 0; !k && i < head; i++) out[2 * i] = line[i];
}

static void store_q8(bool k, size_t head, size_t d, size_t at, const float *x,
                     void *to) {
    int8_t line[KERNEL_GROUP];
    uint16_t scale = quantise(x, line);
    int8_t *out = (int8_t *)to + place(k, head, d, at);
    uint8_t *scales = (uint8_t *)to + head * KV_PAGE;

    memcpy(scales + sizeof scale * (d / KERNEL_GROUP * KV_PAGE + at), &scale,
           sizeof scale);
    for (size_t i = 0; k && i < KERNEL_GROUP; i += 2)
        memcpy(out + i * KV_PAGE, line + i, 2);
    for (size_t i = 0; !k && i < KERNEL_GROUP; i++) out[2 * i] = line[i];
}

void attention_store(const struct pass *p, const struct row *row,
                     enum layer_matrix matrix, const float *values, int from,
                     int end) {
    enum kv_type type = sequence_shape(row->sequence)->type;
    bool k = matrix == LAYER_K;
    int head_size = p->m->shape.head_size;
    size_t head = (size_t)head_size;
    size_t bytes = kernel_kv_bytes((enum kernel_kv)type, head);
    size_t at = (size_t)(row->position % KV_PAGE);
    int page = row->position / KV_PAGE;
    uint8_t *half = k ? sequence_k(row->sequence, p->block, page)
                      : sequence_v(row->sequence, p->block, page);
    int step = type == KV_I16  ? head_size
               : type == KV_Q8 ? KERNEL_GROUP
                               : KERNEL_PANEL;

    for (int c = from; c < end; c += step) {
        size_t d = (size_t)(c % head_size);
        void *to = half + (size_t)(c / head_size) * bytes;

        if (type == KV_Q8)
            store_q8(k, head, d, at, values + c, to);
        else if (type == KV_I16)
            store_i16(p->m->kernels, k, head, at, values + c, to);
        else
            store_f32(k, head, d, at, values + c, to);
    }
}

/* ---- the plan ---- */

static int span_count(const struct scratch *s, const struct tile *t) {
    return s->rows[t->end - 1].position / SPAN + 1;
}

void attention_plan(struct pass *p) {
    const struct model_shape *shape = &p->m->shape;
    struct scratch *s = p->s;
    struct attention *a = &s->attention;
    int most = KERNEL_QUERIES_MAX / (shape->heads / shape->kv_heads);
    int parts = 0;

    a->tile_count = 0;
    a->spans = 1;
    for (int i = 0; i < s->count; i++) {
        struct tile *t = &a->tiles[a->tile_count];

        if (a->tile_count && t[-1].end - t[-1].row < most &&
            s->rows[i].sequence == s->rows[i - 1].sequence &&
            s->rows[i].position == s->rows[i - 1].position + 1) {
            t[-1].end = i + 1;
            continue;
        }
        *t = (struct tile){i, i + 1};
        a->tile_count++;
    }
    if (a->tile_count * shape->kv_heads >=
        TASKS_EACH * pool_threads(p->m->pool))
        return;
    for (int i = 0; i < a->tile_count; i++) {
        int spans = span_count(s, &a->tiles[i]);

        if (spans > a->spans) a->spans = spans;
    }
    parts = s->count * a->spans;
    if (parts > PARTS_EACH_HEAD) a->spans = 1;
}

/* ---- heads of numbers ---- */

/* The loops run over KERNEL_PANEL numbers, of which a head has a multiple, so
 * that the compiler does many at once. */

/* `to` may be `from`. */
static void scale_head(float *to, const float *from, float scale, int size) {
    for (int d = 0; d < size; d += KERNEL_PANEL) {
        float line[KERNEL_PANEL];

        for (int i = 0; i < KERNEL_PANEL; i++) line[i] = from[d + i] * scale;
        memcpy(to + d, line, sizeof line);
    }
}

static void add_heads(float *restrict total, float a,
                      const float *restrict part, float b, int size) {
    for (int d = 0; d < size; d += KERNEL_PANEL)
        for (int i = d; i < d + KERNEL_PANEL; i++)
            total[i] = total[i] * a + part[i] * b;
}

/* ---- spans ---- */

/* Of one query over some positions: the largest score, and the sum of the
 * others' weights relative to it. A sum of 0: it has seen none. */
struct mass {
    float most;
    float sum;
};

/* The queries of a tile on one KV head: query i is row i / heads of the tile,
 * head `head` + i % heads. */
struct queries {
    const struct tile *tile;
    int kv_head;
    int head;
    int heads;
    int count;
    float *q;      /* (query, head_size), scaled */
    float *scores; /* (query, SPAN) */
    float *part;   /* (query, head_size), of one span */
    float *total;  /* the same, of all so far */
    struct mass part_mass[KERNEL_QUERIES_MAX];
    struct mass total_mass[KERNEL_QUERIES_MAX];
};

static void join(float *total, struct mass *t, const float *part,
                 const struct mass *p, int size) {
    float most = p->most > t->most ? p->most : t->most;
    float a;
    float b;

    if (p->sum == 0) return;
    if (t->sum == 0) {
        memcpy(total, part, (size_t)size * sizeof *total);
        *t = *p;
        return;
    }
    a = expf(t->most - most);
    b = expf(p->most - most);
    add_heads(total, a, part, b, size);
    *t = (struct mass){most, t->sum * a + p->sum * b};
}

static void gather(const struct pass *p, struct queries *q) {
    int size = p->m->shape.head_size;
    int width = p->m->shape.heads * size;
    float scale = 1.0f / sqrtf((float)size);

    for (int i = 0; i < q->count; i++) {
        const float *from =
            row_of(p->s->q, q->tile->row + i / q->heads, width) +
            (q->head + i % q->heads) * size;

        scale_head(q->q + i * size, from, scale, size);
        q->total_mass[i] = (struct mass){0, 0};
    }
}

/* Query i's weights over the `count` positions from `start` on. */
static void soften(const struct pass *p, struct queries *q, int start,
                   int count) {
    int padded = (count + KV_PAGE - 1) / KV_PAGE * KV_PAGE;

    for (int i = 0; i < q->count; i++) {
        const struct row *row = &p->s->rows[q->tile->row + i / q->heads];
        float *line = row_of(q->scores, i, SPAN);
        struct mass *mass = &q->part_mass[i];
        int seen = row->position + 1 - start;

        if (seen > count) seen = count;
        if (seen < 0) seen = 0;
        *mass = (struct mass){0, 0};
        if (seen)
            mass->sum = p->m->kernels->soften(line, (size_t)seen, &mass->most);
        for (int j = seen; j < padded; j++) line[j] = 0;
    }
}

/* One span for all queries, to q->part. */
static void attend_span(const struct pass *p, struct queries *q, int span) {
    const struct row *last = &p->s->rows[q->tile->end - 1];
    enum kernel_kv type = (enum kernel_kv)sequence_shape(last->sequence)->type;
    size_t head = (size_t)p->m->shape.head_size;
    size_t at = (size_t)q->kv_head * kernel_kv_bytes(type, head);
    int start = span * SPAN;
    int count = last->position + 1 - start;
    int pages;
    const void *k[SPAN_PAGES];
    const void *v[SPAN_PAGES];

    if (count > SPAN) count = SPAN;
    pages = (count + KV_PAGE - 1) / KV_PAGE;
    for (int i = 0; i < pages; i++) {
        int page = span * SPAN_PAGES + i;

        k[i] = (uint8_t *)sequence_k(last->sequence, p->block, page) + at;
        v[i] = (uint8_t *)sequence_v(last->sequence, p->block, page) + at;
    }
    p->m->kernels->scores[type](q->q, (size_t)q->count, head, k, (size_t)pages,
                                q->scores, SPAN);
    soften(p, q, start, count);
    p->m->kernels->mix[type](q->scores, SPAN, (size_t)q->count, v,
                             (size_t)count, head, q->part);
}

/* Query heads take the place of q, which nobody else reads. */
static void scatter(const struct pass *p, const struct queries *q) {
    int size = p->m->shape.head_size;
    int width = p->m->shape.heads * size;

    for (int i = 0; i < q->count; i++) {
        float *to = row_of(p->s->q, q->tile->row + i / q->heads, width) +
                    (q->head + i % q->heads) * size;

        scale_head(to, q->total + i * size, 1.0f / q->total_mass[i].sum, size);
    }
}

/* ---- spans as tasks ---- */

/* Where a row's and head's result of a span is kept: head_size numbers, then
 * its mass. */
static float *part_of(const struct pass *p, int row, int head, int span) {
    const struct model_shape *shape = &p->m->shape;
    const struct attention *a = &p->s->attention;

    return row_of(a->parts, (row * shape->heads + head) * a->spans + span,
                  shape->head_size + 2);
}

static void keep_parts(const struct pass *p, const struct queries *q,
                       int span) {
    int size = p->m->shape.head_size;

    for (int i = 0; i < q->count; i++) {
        float *to = part_of(p, q->tile->row + i / q->heads,
                            q->head + i % q->heads, span);

        memcpy(to, q->part + i * size, (size_t)size * sizeof *to);
        to[size] = q->part_mass[i].most;
        to[size + 1] = q->part_mass[i].sum;
    }
}

void attention_finish(const struct pass *p, int row) {
    const struct model_shape *shape = &p->m->shape;
    struct scratch *s = p->s;
    int size = shape->head_size;
    int spans = s->rows[row].position / SPAN + 1;

    if (s->attention.spans == 1) return;
    for (int head = 0; head < shape->heads; head++) {
        float *to = row_of(s->q, row, shape->heads * size) + head * size;
        struct mass total = {0, 0};

        for (int span = 0; span < spans; span++) {
            const float *part = part_of(p, row, head, span);
            struct mass mass = {part[size], part[size + 1]};

            join(to, &total, part, &mass, size);
        }
        scale_head(to, to, 1.0f / total.sum, size);
    }
}

/* ---- the phase ---- */

static void attend(const struct pass *p, struct queries *q, int span) {
    int size = p->m->shape.head_size;

    gather(p, q);
    if (p->s->attention.spans > 1) {
        attend_span(p, q, span);
        keep_parts(p, q, span);
        return;
    }
    for (int i = 0; i < span_count(p->s, q->tile); i++) {
        attend_span(p, q, i);
        for (int j = 0; j < q->count; j++)
            join(q->total + j * size, &q->total_mass[j], q->part + j * size,
                 &q->part_mass[j], size);
    }
    scatter(p, q);
}

static void attention_task(void *user, int task, int thread) {
    const struct pass *p = user;
    const struct model_shape *shape = &p->m->shape;
    const struct attention *a = &p->s->attention;
    int group = shape->heads / shape->kv_heads;
    int span = task % a->spans;
    int kv_head = task / a->spans % shape->kv_heads;
    /* A text's last tiles have the most to look at, so they go first. */
    int tile = a->tile_count - 1 - task / a->spans / shape->kv_heads;
    struct queries q = {.tile = &a->tiles[tile], .kv_head = kv_head};
    float *own = a->own + (size_t)thread * a->own_floats;

    if (span >= span_count(p->s, q.tile)) return;
    q.q = own;
    q.part = q.q + KERNEL_QUERIES_MAX * shape->head_size;
    q.total = q.part + KERNEL_QUERIES_MAX * shape->head_size;
    q.scores = q.total + KERNEL_QUERIES_MAX * shape->head_size;
    for (int i = 0; i < group; i += KERNEL_QUERIES_MAX) {
        q.head = kv_head * group + i;
        q.heads =
            group - i < KERNEL_QUERIES_MAX ? group - i : KERNEL_QUERIES_MAX;
        q.count = (q.tile->end - q.tile->row) * q.heads;
        attend(p, &q, span);
    }
}

void attention_run(struct pass *p) {
    const struct attention *a = &p->s->attention;

    pool_run(p->m->pool, a->tile_count * p->m->shape.kv_heads * a->spans,
             attention_task, p);
}

/* ---- buffers ---- */

void attention_init(struct attention *a, const struct model *m) {
    size_t head = (size_t)m->shape.head_size;
    size_t threads = (size_t)pool_threads(m->pool);
    size_t parts = (size_t)m->shape.heads * PARTS_EACH_HEAD * (head + 2);

    a->tiles = xalloc_array((size_t)m->options.rows_max, sizeof *a->tiles);
    a->own_floats = KERNEL_QUERIES_MAX * (3 * head + SPAN);
    a->own = xalloc_array(threads * a->own_floats, sizeof *a->own);
    a->parts = xalloc_array(parts, sizeof *a->parts);
    a->bytes = (threads * a->own_floats + parts) * sizeof(float);
}

void attention_clear(struct attention *a) {
    free(a->tiles);
    free(a->own);
    free(a->parts);
    *a = (struct attention){0};
}
