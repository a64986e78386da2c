/* forward.c - one pass over a batch. The rows are sorted by adapter, so that
 * each adapter works on one run of rows. A layer is a few phases; within one,
 * every task writes its own rows or its own columns:
 *
 *   norm rows > Q,K,V columns (turned, K and V stored) > attention by tile and
 *   KV head > rows > O columns > norm rows > gate and up columns > down columns
 *
 * A column task reads its weights once, in order, for all rows. */
#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "engine/layer.h"
#include "engine/quant.h"

enum { ROWS_PER_TASK = 8, MULTIPLY_ADDS_PER_TASK = 1 << 17 };

/* One pass; `block` advances between phases only. */
struct pass {
    struct model *m;
    struct scratch *s;
    struct layer *layer;
    int block;
    size_t panels_each; /* of the column phase that runs */
    const float *norm;  /* of the norm phase that runs */
};

static float *row_of(float *at, int row, int width) {
    return at + (size_t)row * (size_t)width;
}

/* Adapters. */

/* rank[slot][row] = a * activation[row], for the rows of [from, end) that
 * carry an adapter with a part for `matrix`. */
static void lora_down(struct pass *p, const struct activation *x, int slot,
                      enum layer_matrix matrix, int from, int end) {
    struct scratch *s = p->s;
    size_t slot_floats = (size_t)p->m->options.rows_max * ADAPTER_RANK_MAX;
    float *rank = s->rank + (size_t)slot * slot_floats;

    for (int i = 0; i < s->segment_count; i++) {
        const struct segment *g = &s->segments[i];
        int first = g->row > from ? g->row : from;
        int last = g->end < end ? g->end : end;
        const struct lora *l;

        if (!g->adapter || first >= last) continue;
        l = adapter_lora(g->adapter, p->block, matrix);
        if (!l->a.data) continue;
        pack_apply(&l->a, p->m->kernels, x, (size_t)first,
                   (size_t)(last - first), 0, pack_panels(&l->a),
                   row_of(rank, first, ADAPTER_RANK_MAX), ADAPTER_RANK_MAX,
                   false);
        for (int row = first; row < last; row++) {
            float *line = row_of(rank, row, ADAPTER_RANK_MAX);

            for (size_t c = l->a.n; c < l->b.k; c++) line[c] = 0;
            activation_fill(&s->ranks[slot], p->m->kernels, (int)l->b.kind,
                            (size_t)row, 0, l->b.k);
        }
    }
}

/* out += b * rank[slot] for the panels [from, end). */
static void lora_up(const struct pass *p, int slot, enum layer_matrix matrix,
                    size_t from, size_t end, float *out, size_t stride) {
    const struct scratch *s = p->s;

    for (int i = 0; i < s->segment_count; i++) {
        const struct segment *g = &s->segments[i];
        const struct lora *l;

        if (!g->adapter) continue;
        l = adapter_lora(g->adapter, p->block, matrix);
        if (!l->b.data) continue;
        pack_apply(&l->b, p->m->kernels, &s->ranks[slot], (size_t)g->row,
                   (size_t)(g->end - g->row), from, end,
                   out + (size_t)g->row * stride, stride, true);
    }
}

static bool any_adapter(const struct scratch *s) {
    for (int i = 0; i < s->segment_count; i++)
        if (s->segments[i].adapter) return true;
    return false;
}

/* The forms that a set of matrices and the adapters' parts want. */
static int kinds_of(const struct pass *p, enum layer_matrix first,
                    enum layer_matrix last) {
    int kinds = 0;

    for (int i = (int)first; i <= (int)last; i++)
        kinds |= (int)p->layer->matrix[i].kind;
    if (any_adapter(p->s)) kinds |= p->m->options.exact ? PACK_F32 : PACK_BF16;
    return kinds;
}

/* Phases. */

static void run_rows(struct pass *p, pool_task *task) {
    pool_run(p->m->pool, (p->s->count + ROWS_PER_TASK - 1) / ROWS_PER_TASK,
             task, p);
}

/* Split `panels` of k inputs so that a task is worth its claim, and that
 * there are some for each thread; an even number each, since groups of 32
 * outputs are quantised by the task that makes them. */
static void run_columns(struct pass *p, size_t panels, size_t k,
                        pool_task *task) {
    size_t pieces = 4 * (size_t)pool_threads(p->m->pool);
    size_t each = (panels + pieces - 1) / pieces;
    size_t panel_work = KERNEL_PANEL * k * (size_t)p->s->count;
    size_t least = MULTIPLY_ADDS_PER_TASK / panel_work + 1;

    if (each < least) each = least;
    p->panels_each = (each + 1) / 2 * 2;
    pool_run(p->m->pool, (int)((panels + p->panels_each - 1) / p->panels_each),
             task, p);
}

static int task_end(const struct pass *p, int task) {
    int end = (task + 1) * ROWS_PER_TASK;

    return end < p->s->count ? end : p->s->count;
}

/* x to norm, and on to the forms and ranks of the matrices [first, last]. */
static void norm_rows(struct pass *p, int task, enum layer_matrix first,
                      enum layer_matrix last) {
    const struct model *m = p->m;
    struct scratch *s = p->s;
    int width = m->shape.embedding;
    int from = task * ROWS_PER_TASK;
    int end = task_end(p, task);
    int kinds = kinds_of(p, first, last);

    for (int row = from; row < end; row++) {
        m->kernels->rmsnorm(row_of(s->x, row, width), p->norm, (size_t)width,
                            m->epsilon, row_of(s->norm, row, width));
        activation_fill(&s->narrow, m->kernels, kinds, (size_t)row, 0,
                        (size_t)width);
    }
    for (int i = (int)first; i <= (int)last; i++)
        lora_down(p, &s->narrow, i - (int)first, (enum layer_matrix)i, from,
                  end);
}

static void attention_norm_task(void *user, int task, int thread) {
    (void)thread;
    norm_rows(user, task, LAYER_Q, LAYER_V);
}

static void feed_norm_task(void *user, int task, int thread) {
    (void)thread;
    norm_rows(user, task, LAYER_GATE, LAYER_UP);
}

static void output_rows_task(void *user, int task, int thread) {
    struct pass *p = user;
    int kinds = kinds_of(p, LAYER_O, LAYER_O);
    int end = task_end(p, task);

    (void)thread;
    for (int row = task * ROWS_PER_TASK; row < end; row++)
        activation_fill(&p->s->narrow, p->m->kernels, kinds, (size_t)row, 0,
                        p->s->narrow.k);
    lora_down(p, &p->s->narrow, 0, LAYER_O, task * ROWS_PER_TASK, end);
}

static void down_rows_task(void *user, int task, int thread) {
    struct pass *p = user;
    int end = task_end(p, task);

    (void)thread;
    for (int row = task * ROWS_PER_TASK; row < end; row++)
        activation_fill(&p->s->wide, p->m->kernels,
                        kinds_of(p, LAYER_DOWN, LAYER_DOWN), (size_t)row, 0,
                        p->s->wide.k);
    lora_down(p, &p->s->wide, 0, LAYER_DOWN, task * ROWS_PER_TASK, end);
}

/* Store columns [from, end) of a row's K or V in its page. */
static void store(const struct pass *p, const struct row *row,
                  enum layer_matrix matrix, const float *values, int from,
                  int end) {
    const struct kernels *kernels = p->m->kernels;
    int head_size = p->m->shape.head_size;
    int at = row->position % KV_PAGE;
    int page = row->position / KV_PAGE;
    bool half = sequence_shape(row->sequence)->type == KV_F16;
    void *to = matrix == LAYER_K ? sequence_k(row->sequence, p->block, page)
                                 : sequence_v(row->sequence, p->block, page);
    uint16_t line[KERNEL_PANEL];

    for (int c = from; c < end; c += KERNEL_PANEL) {
        /* A panel lies within one head. */
        int head = c / head_size;
        int d = c % head_size;
        size_t first =
            matrix == LAYER_K
                ? (size_t)c * KV_PAGE + (size_t)at
                : (size_t)(head * KV_PAGE + at) * (size_t)head_size + (size_t)d;
        size_t step = matrix == LAYER_K ? KV_PAGE : 1;

        if (half) kernels->to_f16(values + c, KERNEL_PANEL, line);
        for (size_t i = 0; i < KERNEL_PANEL; i++) {
            if (half)
                ((uint16_t *)to)[first + i * step] = line[i];
            else
                ((float *)to)[first + i * step] = values[(size_t)c + i];
        }
    }
}

/* Panels [from, end) of Q, K or V for all rows. */
static void qkv_columns(struct pass *p, enum layer_matrix matrix, size_t from,
                        size_t end) {
    const struct model *m = p->m;
    struct scratch *s = p->s;
    int head = m->shape.head_size;
    int q_width = m->shape.heads * head;
    int kv_width = m->shape.kv_heads * head;
    int stride = matrix == LAYER_Q ? q_width : 2 * kv_width;
    float *out = matrix == LAYER_Q   ? s->q
                 : matrix == LAYER_K ? s->kv
                                     : s->kv + kv_width;

    pack_apply(&p->layer->matrix[matrix], m->kernels, &s->narrow, 0,
               (size_t)s->count, from, end, out, (size_t)stride, false);
    lora_up(p, (int)matrix - LAYER_Q, matrix, from, end, out, (size_t)stride);
    for (int row = 0; row < s->count; row++) {
        float *line = row_of(out, row, stride);

        for (int c = (int)from * KERNEL_PANEL;
             matrix != LAYER_V && c < (int)end * KERNEL_PANEL;
             c += KERNEL_PANEL)
            m->kernels->rope(line + c, row_of(s->turns, row, head) + c % head,
                             KERNEL_PANEL);
        if (matrix != LAYER_Q)
            store(p, &s->rows[row], matrix, line, (int)from * KERNEL_PANEL,
                  (int)end * KERNEL_PANEL);
    }
}

/* Q, K and V are one run of panels; a task may span two of them. */
static void qkv_task(void *user, int task, int thread) {
    struct pass *p = user;
    size_t from = (size_t)task * p->panels_each;
    size_t end = from + p->panels_each;
    size_t start = 0;

    (void)thread;
    for (int i = LAYER_Q; i <= (int)LAYER_V; i++) {
        size_t panels = pack_panels(&p->layer->matrix[i]);
        size_t first = from > start ? from - start : 0;
        size_t last = end > start ? end - start : 0;

        if (last > panels) last = panels;
        if (first < last) qkv_columns(p, (enum layer_matrix)i, first, last);
        start += panels;
    }
}

/* Scores of `queries` rows of q over the positions [0, positions). */
static void all_scores(const struct pass *p, const struct row *row,
                       const float *q, int queries, int kv_head, int positions,
                       float *scores, size_t stride) {
    size_t head = (size_t)p->m->shape.head_size;
    const struct kernels *k = p->m->kernels;
    bool half = sequence_shape(row->sequence)->type == KV_F16;
    size_t at = (size_t)kv_head * head * KV_PAGE;

    for (int page = 0; page * KV_PAGE < positions; page++) {
        const void *keys = sequence_k(row->sequence, p->block, page);
        float *out = scores + page * KV_PAGE;

        if (half)
            k->scores_f16(q, (size_t)queries, head, (const uint16_t *)keys + at,
                          out, stride);
        else
            k->scores_f32(q, (size_t)queries, head, (const float *)keys + at,
                          out, stride);
    }
}

static void all_mixes(const struct pass *p, const struct row *row,
                      const float *scores, size_t stride, int queries,
                      int kv_head, int positions, float *out) {
    size_t head = (size_t)p->m->shape.head_size;
    const struct kernels *k = p->m->kernels;
    bool half = sequence_shape(row->sequence)->type == KV_F16;
    size_t at = (size_t)kv_head * head * KV_PAGE;

    memset(out, 0, (size_t)queries * head * sizeof *out);
    for (int page = 0; page * KV_PAGE < positions; page++) {
        const void *values = sequence_v(row->sequence, p->block, page);
        const float *weights = scores + page * KV_PAGE;
        int count = positions - page * KV_PAGE;

        if (count > KV_PAGE) count = KV_PAGE;
        if (half)
            k->mix_f16(weights, stride, (size_t)queries,
                       (const uint16_t *)values + at, (size_t)count, head, out);
        else
            k->mix_f32(weights, stride, (size_t)queries,
                       (const float *)values + at, (size_t)count, head, out);
    }
}

/* Heads [from, from + count) of the rows of a tile, all on one KV head.
 * Query i is row i / count of the tile, head from + i % count. */
static void attend(const struct pass *p, const struct tile *tile, int kv_head,
                   int from, int count, int thread) {
    const struct model *m = p->m;
    struct scratch *s = p->s;
    int head = m->shape.head_size;
    int width = m->shape.heads * head;
    int queries = (tile->end - tile->row) * count;
    size_t bytes = (size_t)head * sizeof(float);
    size_t stride =
        (size_t)(m->shape.context_max + KV_PAGE - 1) / KV_PAGE * KV_PAGE;
    float *scores = s->scores + (size_t)thread * KERNEL_QUERIES_MAX * stride;
    float *q = row_of(s->heads, thread * 2 * KERNEL_QUERIES_MAX, head);
    float *out = q + KERNEL_QUERIES_MAX * head;
    const struct row *last = &s->rows[tile->end - 1];
    float scale = 1.0f / sqrtf((float)head);

    for (int i = 0; i < queries; i++) {
        const float *source = row_of(s->q, tile->row + i / count, width) +
                              (from + i % count) * head;

        for (int d = 0; d < head; d++) q[i * head + d] = source[d] * scale;
    }
    all_scores(p, last, q, queries, kv_head, last->position + 1, scores,
               stride);
    for (int i = 0; i < queries; i++) {
        float *line = scores + (size_t)i * stride;
        int seen = s->rows[tile->row + i / count].position + 1;

        m->kernels->softmax(line, (size_t)seen);
        for (int j = seen; j <= last->position; j++) line[j] = 0;
    }
    all_mixes(p, last, scores, stride, queries, kv_head, last->position + 1,
              out);
    for (int i = 0; i < queries; i++)
        memcpy(row_of(s->mixed, tile->row + i / count, width) +
                   (from + i % count) * head,
               out + i * head, bytes);
}

static void attention_task(void *user, int task, int thread) {
    struct pass *p = user;
    const struct model_shape *shape = &p->m->shape;
    int group = shape->heads / shape->kv_heads;
    int kv_head = task % shape->kv_heads;

    for (int i = 0; i < group; i += KERNEL_QUERIES_MAX) {
        int count = group - i;

        if (count > KERNEL_QUERIES_MAX) count = KERNEL_QUERIES_MAX;
        attend(p, &p->s->tiles[task / shape->kv_heads], kv_head,
               kv_head * group + i, count, thread);
    }
}

/* x += O * mixed */
static void output_task(void *user, int task, int thread) {
    struct pass *p = user;
    size_t from = (size_t)task * p->panels_each;
    size_t end = from + p->panels_each;
    size_t width = (size_t)p->m->shape.embedding;

    (void)thread;
    pack_apply(&p->layer->matrix[LAYER_O], p->m->kernels, &p->s->narrow, 0,
               (size_t)p->s->count, from, end, p->s->x, width, true);
    lora_up(p, 0, LAYER_O, from, end, p->s->x, width);
}

/* gate = silu(gate) * up, and on to the forms that down wants. */
static void feed_task(void *user, int task, int thread) {
    struct pass *p = user;
    const struct kernels *kernels = p->m->kernels;
    struct scratch *s = p->s;
    size_t from = (size_t)task * p->panels_each;
    size_t end = from + p->panels_each;
    size_t width = (size_t)p->m->shape.feed_forward;
    size_t first = from * KERNEL_PANEL;
    size_t last = end * KERNEL_PANEL < width ? end * KERNEL_PANEL : width;
    int kinds = (int)p->layer->matrix[LAYER_DOWN].kind;

    (void)thread;
    pack_apply(&p->layer->matrix[LAYER_GATE], kernels, &s->narrow, 0,
               (size_t)s->count, from, end, s->gate, width, false);
    pack_apply(&p->layer->matrix[LAYER_UP], kernels, &s->narrow, 0,
               (size_t)s->count, from, end, s->up, width, false);
    lora_up(p, 0, LAYER_GATE, from, end, s->gate, width);
    lora_up(p, 1, LAYER_UP, from, end, s->up, width);
    for (size_t row = 0; row < (size_t)s->count; row++) {
        kernels->silu_mul(s->gate + row * width + first,
                          s->up + row * width + first, last - first);
        activation_fill(&s->wide, kernels, kinds, row, first, last);
    }
}

/* x += down * gate */
static void down_task(void *user, int task, int thread) {
    struct pass *p = user;
    size_t from = (size_t)task * p->panels_each;
    size_t end = from + p->panels_each;
    size_t width = (size_t)p->m->shape.embedding;

    (void)thread;
    pack_apply(&p->layer->matrix[LAYER_DOWN], p->m->kernels, &p->s->wide, 0,
               (size_t)p->s->count, from, end, p->s->x, width, true);
    lora_up(p, 0, LAYER_DOWN, from, end, p->s->x, width);
}

static void forward_layer(struct pass *p) {
    const struct model_shape *shape = &p->m->shape;
    struct scratch *s = p->s;
    size_t width = (size_t)shape->embedding;
    size_t q_width = (size_t)(shape->heads * shape->head_size);
    size_t feed = (size_t)shape->feed_forward;
    const struct packed *w = p->layer->matrix;

    p->norm = p->layer->attention_norm;
    activation_begin(&s->narrow, s->norm, width, width);
    run_rows(p, attention_norm_task);
    run_columns(p,
                pack_panels(&w[LAYER_Q]) + pack_panels(&w[LAYER_K]) +
                    pack_panels(&w[LAYER_V]),
                width, qkv_task);
    pool_run(p->m->pool, s->tile_count * shape->kv_heads, attention_task, p);

    activation_begin(&s->narrow, s->mixed, q_width, q_width);
    run_rows(p, output_rows_task);
    run_columns(p, pack_panels(&w[LAYER_O]), q_width, output_task);

    p->norm = p->layer->feed_norm;
    activation_begin(&s->narrow, s->norm, width, width);
    activation_begin(&s->wide, s->gate, feed, feed);
    run_rows(p, feed_norm_task);
    run_columns(p, pack_panels(&w[LAYER_GATE]), width, feed_task);
    if (any_adapter(s)) run_rows(p, down_rows_task);
    run_columns(p, pack_panels(&w[LAYER_DOWN]), feed, down_task);
}

/* Sort rows by adapter, keeping the order within each: the batch has few
 * adapters, so one sweep for each is enough. */
static void sort_rows(struct scratch *s, const struct row *rows, int count) {
    int placed = 0;

    s->count = count;
    s->segment_count = 0;
    for (int i = 0; i < count; i++) s->order[i] = -1;
    while (placed < count) {
        const struct adapter *adapter = NULL;
        int start = placed;
        bool chosen = false;

        for (int i = 0; i < count; i++) {
            if (s->order[i] != -1) continue;
            if (!chosen) adapter = rows[i].adapter;
            chosen = true;
            if (rows[i].adapter != adapter) continue;
            s->rows[placed] = rows[i];
            s->order[i] = placed++;
        }
        s->segments[s->segment_count++] =
            (struct segment){adapter, start, placed};
    }
}

static void make_tiles(struct scratch *s, const struct model_shape *shape) {
    int group = shape->heads / shape->kv_heads;
    int most = KERNEL_QUERIES_MAX / group;

    s->tile_count = 0;
    for (int i = 0; i < s->count; i++) {
        struct tile *t = &s->tiles[s->tile_count];

        if (s->tile_count && t[-1].end - t[-1].row < most &&
            s->rows[i].sequence == s->rows[i - 1].sequence &&
            s->rows[i].position == s->rows[i - 1].position + 1) {
            t[-1].end = i + 1;
            continue;
        }
        *t = (struct tile){i, i + 1};
        s->tile_count++;
    }
}

static void begin_row(const struct model *m, struct scratch *s, int i) {
    const struct row *row = &s->rows[i];
    size_t width = (size_t)m->shape.embedding;
    size_t row_bytes = quant_row_bytes(m->embedding->type, width);
    float *turns = row_of(s->turns, i, m->shape.head_size);

    assert(row->token >= 0 && row->token < m->shape.vocab);
    assert(row->position >= 0 && row->position < m->shape.context_max);
    assert(row->position < sequence_length(row->sequence));
    quant_row(m->embedding->type,
              (const uint8_t *)m->embedding->data +
                  (size_t)row->token * row_bytes,
              width, row_of(s->x, i, (int)width));
    for (int pair = 0; pair < m->shape.head_size / 2; pair++) {
        double angle = m->speeds[pair] * row->position;

        turns[2 * pair] = (float)cos(angle);
        turns[2 * pair + 1] = (float)sin(angle);
    }
}

static void begin_task(void *user, int task, int thread) {
    struct pass *p = user;
    int end = task_end(p, task);

    (void)thread;
    for (int i = task * ROWS_PER_TASK; i < end; i++) begin_row(p->m, p->s, i);
}

void model_forward(struct model *m, const struct row *rows, int count,
                   float *hidden) {
    struct pass p = {.m = m, .s = &m->scratch};
    int width = m->shape.embedding;

    assert(count > 0 && count <= m->options.rows_max);
    sort_rows(p.s, rows, count);
    make_tiles(p.s, &m->shape);
    run_rows(&p, begin_task);
    for (p.block = 0; p.block < m->shape.blocks; p.block++) {
        p.layer = &m->layers[p.block];
        forward_layer(&p);
    }
    for (int i = 0; i < count; i++) {
        if (!rows[i].want) continue;
        m->kernels->rmsnorm(row_of(p.s->x, p.s->order[i], width),
                            m->output_norm, (size_t)width, m->epsilon, hidden);
        hidden += width;
    }
}

static float *floats(struct scratch *s, size_t count) {
    s->bytes += count * sizeof(float);
    return xalloc_array(count, sizeof(float));
}

void scratch_init(struct scratch *s, const struct model *m) {
    const struct model_shape *shape = &m->shape;
    size_t rows = (size_t)m->options.rows_max;
    size_t threads = (size_t)pool_threads(m->pool);
    size_t width = (size_t)shape->embedding;
    size_t head = (size_t)shape->head_size;
    size_t q = (size_t)shape->heads * head;
    size_t kv = (size_t)shape->kv_heads * head;
    size_t feed = (size_t)shape->feed_forward;
    size_t context = (size_t)shape->context_max + KV_PAGE;

    s->rows = xalloc_array(rows, sizeof *s->rows);
    s->order = xalloc_array(rows, sizeof *s->order);
    s->segments = xalloc_array(rows, sizeof *s->segments);
    s->tiles = xalloc_array(rows, sizeof *s->tiles);
    s->x = floats(s, rows * width);
    s->norm = floats(s, rows * width);
    s->q = floats(s, rows * q);
    s->kv = floats(s, rows * 2 * kv);
    s->mixed = floats(s, rows * q);
    s->gate = floats(s, rows * feed);
    s->up = floats(s, rows * feed);
    s->turns = floats(s, rows * head);
    s->scores = floats(s, threads * KERNEL_QUERIES_MAX * context);
    s->heads = floats(s, threads * 2 * KERNEL_QUERIES_MAX * head);
    s->rank = floats(s, 3 * rows * ADAPTER_RANK_MAX);
    activation_init(&s->narrow, rows, width > q ? width : q);
    activation_init(&s->wide, rows, feed);
    for (size_t i = 0; i < 3; i++) {
        activation_init(&s->ranks[i], rows, ADAPTER_RANK_MAX);
        activation_begin(&s->ranks[i], s->rank + i * rows * ADAPTER_RANK_MAX,
                         ADAPTER_RANK_MAX, ADAPTER_RANK_MAX);
        s->bytes += s->ranks[i].bytes;
    }
    s->bytes += s->narrow.bytes + s->wide.bytes;
}

void scratch_clear(struct scratch *s) {
    free(s->rows);
    free(s->order);
    free(s->segments);
    free(s->tiles);
    free(s->x);
    free(s->norm);
    free(s->q);
    free(s->kv);
    free(s->mixed);
    free(s->gate);
    free(s->up);
    free(s->turns);
    free(s->scores);
    free(s->heads);
    free(s->rank);
    activation_clear(&s->narrow);
    activation_clear(&s->wide);
    for (size_t i = 0; i < 3; i++) activation_clear(&s->ranks[i]);
    *s = (struct scratch){0};
}
