/* forward.c - one pass over a batch. The rows are sorted by adapter, so that
 * each adapter works on one run of rows. A layer is a few phases; within one,
 * every task writes its own rows or its own columns:
 *
 *   norm rows > Q,K,V columns (turned, K and V stored) > attention by tile and
 *   KV head > rows > O columns > norm rows > gate and up columns > rows >
 *   down columns
 *
 * A column task reads its weights once, in order, for all rows. Of the last
 * layer, rows that nobody wants get their K and V only. */
#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "engine/attention.h"
#include "engine/layer.h"
#include "engine/lora.h"

enum {
    ROWS_PER_TASK = 8,
    ROWS_PER_ADAPTED_TASK = 12, /* whole tiles for the products with A */
    ROW_NUMBERS_PER_TASK = 4096,
    MULTIPLY_ADDS_PER_TASK = 1 << 16,
    WEIGHTS_PER_TASK = 1 << 20, /* what a thread may have to wait for another */
    FEED_ROWS = 64, /* whose gate and up are in the cache together */
    EVEN = KERNEL_GROUP / KERNEL_PANEL
};

static float *row_of(float *at, int row, int width) {
    return at + (size_t)row * (size_t)width;
}

/* The form that an adapter's parts want. */
static int lora_kind(const struct model *m) {
    return m->options.exact ? PACK_F32 : PACK_QUANT;
}

/* The forms that the matrices `first` to `last` and the adapters' parts
 * want. */
static int kinds_of(const struct pass *p, enum layer_matrix first,
                    enum layer_matrix last) {
    int kinds = 0;

    for (int i = (int)first; i <= (int)last; i++)
        kinds |= (int)p->layer->matrix[i].kind;
    if (p->adapted) kinds |= lora_kind(p->m);
    return kinds;
}

/* ---- how a phase is cut ---- */

/* An adapter's products want whole tiles, but no thread may stand idle. */
static int adapted_rows(const struct pass *p) {
    int threads = pool_threads(p->m->pool);
    int share = (p->s->count + threads - 1) / threads;

    return share < ROWS_PER_ADAPTED_TASK ? share : ROWS_PER_ADAPTED_TASK;
}

/* Rows of `width` numbers: a task must be worth its claim. */
static void run_rows(struct pass *p, int width, pool_task *task) {
    int each = ROW_NUMBERS_PER_TASK / width;

    if (each > ROWS_PER_TASK) each = ROWS_PER_TASK;
    if (each < 1) each = 1;
    p->rows_each = p->adapted ? adapted_rows(p) : each;
    pool_run(p->m->pool, (p->s->count + p->rows_each - 1) / p->rows_each, task,
             p);
}

static int task_end(const struct pass *p, int task) {
    int end = (task + 1) * p->rows_each;

    return end < p->s->count ? end : p->s->count;
}

size_t forward_panels_each(const struct model *m, size_t panels, size_t k) {
    size_t pieces = 4 * (size_t)pool_threads(m->pool);
    size_t each = (panels + pieces - 1) / pieces;
    size_t most = WEIGHTS_PER_TASK / (KERNEL_PANEL * k) + 1;

    return each < most ? each : most;
}

/* Split `panels` of k inputs so that a task is worth its claim; a multiple of
 * `unit` each, since groups of 32 outputs, and heads, are quantised by the task
 * that makes them. */
static void run_columns(struct pass *p, size_t panels, size_t k, size_t unit,
                        pool_task *task) {
    size_t each = forward_panels_each(p->m, panels, k);
    size_t panel_work = KERNEL_PANEL * k * (size_t)p->s->count;
    size_t least = MULTIPLY_ADDS_PER_TASK / panel_work + 1;

    if (each < least) each = least;
    p->panels_each = (each + unit - 1) / unit * unit;
    pool_run(p->m->pool, (int)((panels + p->panels_each - 1) / p->panels_each),
             task, p);
}

/* ---- row phases ---- */

/* x to norm, and on to the forms and ranks of the matrices that follow. */
static void norm_task(void *user, int task, int thread) {
    struct pass *p = user;
    const struct model *m = p->m;
    struct scratch *s = p->s;
    int width = m->shape.embedding;
    int from = task * p->rows_each;
    int end = task_end(p, task);
    int kinds = kinds_of(p, p->first, p->last);

    (void)thread;
    for (int row = from; row < end; row++) {
        m->kernels->rmsnorm(row_of(s->x, row, width), p->norm, (size_t)width,
                            m->epsilon, row_of(s->norm, row, width));
        activation_fill(&s->narrow, m->kernels, kinds, (size_t)row, 0,
                        (size_t)width);
    }
    lora_down(p, &s->narrow, from, end);
}

static void run_norm(struct pass *p, const float *norm, enum layer_matrix first,
                     enum layer_matrix last) {
    size_t width = (size_t)p->m->shape.embedding;

    p->norm = norm;
    p->first = first;
    p->last = last;
    activation_begin(&p->s->narrow, p->s->norm, width, width);
    run_rows(p, (int)width, norm_task);
}

/* What attention has mixed, to the forms and the rank of O. */
static void mixed_task(void *user, int task, int thread) {
    struct pass *p = user;
    int from = task * p->rows_each;
    int end = task_end(p, task);
    int kinds = kinds_of(p, p->first, p->last);

    (void)thread;
    for (int row = from; row < end; row++) {
        attention_finish(p, row);
        activation_fill(&p->s->narrow, p->m->kernels, kinds, (size_t)row, 0,
                        p->s->narrow.k);
    }
    lora_down(p, &p->s->narrow, from, end);
}

/* feed_task has made down's input in pieces. */
static void fed_task(void *user, int task, int thread) {
    struct pass *p = user;
    int from = task * p->rows_each;
    int end = task_end(p, task);
    int kinds = kinds_of(p, p->first, p->last);

    (void)thread;
    for (int row = from; row < end; row++)
        activation_finish(&p->s->wide, p->m->kernels, kinds, (size_t)row);
    lora_down(p, &p->s->wide, from, end);
}

/* ---- column phases ---- */

/* Panels [from, end) of Q, K or V for all rows. */
static void qkv_columns(struct pass *p, enum layer_matrix matrix, size_t from,
                        size_t end) {
    const struct model *m = p->m;
    struct scratch *s = p->s;
    int head = m->shape.head_size;
    int kv_width = m->shape.kv_heads * head;
    int stride = matrix == LAYER_Q ? m->shape.heads * head : 2 * kv_width;
    float *out = matrix == LAYER_Q   ? s->q
                 : matrix == LAYER_K ? s->kv
                                     : s->kv + kv_width;

    lora_apply(p, matrix, &s->narrow, from, end, 0, s->count, out,
               (size_t)stride, false);
    for (int row = 0; row < s->count; row++) {
        float *line = row_of(out, row, stride);

        for (int c = (int)from * KERNEL_PANEL;
             matrix != LAYER_V && c < (int)end * KERNEL_PANEL;
             c += KERNEL_PANEL)
            m->kernels->rope(line + c, row_of(s->turns, row, head) + c % head,
                             KERNEL_PANEL);
        if (matrix != LAYER_Q)
            attention_store(p, &s->rows[row], matrix, line,
                            (int)from * KERNEL_PANEL, (int)end * KERNEL_PANEL);
    }
}

/* p->first to p->last, some of Q, K and V, are one run of panels; a task may
 * span two of them. */
static void qkv_task(void *user, int task, int thread) {
    struct pass *p = user;
    size_t from = (size_t)task * p->panels_each;
    size_t end = from + p->panels_each;
    size_t start = 0;

    (void)thread;
    for (int i = (int)p->first; i <= (int)p->last; i++) {
        size_t panels = pack_panels(&p->layer->matrix[i]);
        size_t first = from > start ? from - start : 0;
        size_t last = end > start ? end - start : 0;

        if (last > panels) last = panels;
        if (first < last) qkv_columns(p, (enum layer_matrix)i, first, last);
        start += panels;
    }
}

/* The norm and the columns of `first` to `last`, of Q, K and V. */
static void run_qkv(struct pass *p, enum layer_matrix first,
                    enum layer_matrix last) {
    size_t panels = 0;

    run_norm(p, p->layer->attention_norm, first, last);
    for (int i = (int)first; i <= (int)last; i++)
        panels += pack_panels(&p->layer->matrix[i]);
    run_columns(p, panels, (size_t)p->m->shape.embedding,
                (size_t)p->m->shape.head_size / KERNEL_PANEL, qkv_task);
}

/* x += matrix * input */
static void add_columns(struct pass *p, int task,
                        const struct activation *input) {
    size_t from = (size_t)task * p->panels_each;
    size_t end = from + p->panels_each;
    size_t width = (size_t)p->m->shape.embedding;

    lora_apply(p, p->first, input, from, end, 0, p->s->count, p->s->x, width,
               true);
}

static void output_task(void *user, int task, int thread) {
    struct pass *p = user;

    (void)thread;
    add_columns(p, task, &p->s->narrow);
}

static void down_task(void *user, int task, int thread) {
    struct pass *p = user;

    (void)thread;
    add_columns(p, task, &p->s->wide);
}

/* Panels [from, end) of gate = silu(gate) * up for the rows [row, last), and
 * on to the form that down wants. */
static void feed_rows(struct pass *p, size_t from, size_t end, int row,
                      int last, float *up) {
    const struct kernels *kernels = p->m->kernels;
    struct scratch *s = p->s;
    size_t width = (size_t)p->m->shape.feed_forward;
    size_t first = from * KERNEL_PANEL;
    size_t count =
        (end * KERNEL_PANEL < width ? end * KERNEL_PANEL : width) - first;
    int kinds = kinds_of(p, LAYER_DOWN, LAYER_DOWN);
    float *gate = s->gate + (size_t)row * width;

    lora_apply(p, LAYER_GATE, &s->narrow, from, end, row, last, gate, width,
               false);
    lora_apply(p, LAYER_UP, &s->narrow, from, end, row, last, up, width, false);
    for (int i = row; i < last; i++) {
        kernels->silu_mul(gate + first, up + first, count);
        activation_fill(&s->wide, kernels, kinds, (size_t)i, first,
                        first + count);
        gate += width;
        up += width;
    }
}

static void feed_task(void *user, int task, int thread) {
    struct pass *p = user;
    size_t from = (size_t)task * p->panels_each;
    float *up = p->s->up + (size_t)thread * p->s->up_floats;

    for (int row = 0; row < p->s->count; row += FEED_ROWS) {
        int last = row + FEED_ROWS;

        feed_rows(p, from, from + p->panels_each, row,
                  last < p->s->count ? last : p->s->count, up);
    }
}

/* ---- layers ---- */

/* What follows Q, K and V. */
static void forward_rest(struct pass *p) {
    const struct model_shape *shape = &p->m->shape;
    struct scratch *s = p->s;
    const struct packed *w = p->layer->matrix;
    size_t width = (size_t)shape->embedding;
    size_t q_width = (size_t)(shape->heads * shape->head_size);
    size_t feed = (size_t)shape->feed_forward;

    attention_run(p);
    p->first = p->last = LAYER_O;
    activation_begin(&s->narrow, s->q, q_width, q_width);
    run_rows(p, (int)q_width, mixed_task);
    run_columns(p, pack_panels(&w[LAYER_O]), q_width, EVEN, output_task);

    run_norm(p, p->layer->feed_norm, LAYER_GATE, LAYER_UP);
    activation_begin(&s->wide, s->gate, feed, feed);
    run_columns(p, pack_panels(&w[LAYER_GATE]), width, EVEN, feed_task);
    p->first = p->last = LAYER_DOWN;
    run_rows(p, (int)feed, fed_task);
    run_columns(p, pack_panels(&w[LAYER_DOWN]), feed, EVEN, down_task);
}

/* ---- the batch ---- */

/* Runs of the sorted rows with one adapter. */
static void make_segments(struct pass *p) {
    struct scratch *s = p->s;

    s->segment_count = 0;
    p->adapted = false;
    for (int i = 0; i < s->count; i++) {
        const struct adapter *adapter = s->rows[i].adapter;

        p->adapted |= adapter != NULL;
        if (i && adapter == s->rows[i - 1].adapter)
            s->segments[s->segment_count - 1].end = i + 1;
        else
            s->segments[s->segment_count++] =
                (struct segment){adapter, i, i + 1};
    }
}

/* Sort rows by adapter, keeping the order within each: the batch has few
 * adapters, so one sweep for each is enough. */
static void sort_rows(struct pass *p, const struct row *rows, int count) {
    struct scratch *s = p->s;
    int placed = 0;

    s->count = count;
    for (int i = 0; i < count; i++) s->order[i] = -1;
    while (placed < count) {
        const struct adapter *adapter = NULL;
        bool chosen = false;

        for (int i = 0; i < count; i++) {
            if (s->order[i] != -1) continue;
            if (!chosen) adapter = rows[i].adapter;
            chosen = true;
            if (rows[i].adapter != adapter) continue;
            s->rows[placed] = rows[i];
            s->order[i] = placed++;
        }
    }
}

/* Let the rows go that nobody wants; `count` is of the caller's. */
static void keep_wanted(struct pass *p, int count) {
    struct scratch *s = p->s;
    int width = p->m->shape.embedding;
    int head = p->m->shape.head_size;
    int kept = 0;

    for (int i = 0; i < s->count; i++) {
        if (!s->rows[i].want) continue;
        s->moved[i] = kept;
        if (i != kept) {
            s->rows[kept] = s->rows[i];
            memcpy(row_of(s->x, kept, width), row_of(s->x, i, width),
                   (size_t)width * sizeof *s->x);
            memcpy(row_of(s->turns, kept, head), row_of(s->turns, i, head),
                   (size_t)head * sizeof *s->turns);
        }
        kept++;
    }
    for (int i = 0; i < count; i++) s->order[i] = s->moved[s->order[i]];
    s->count = kept;
}

static void begin_row(const struct model *m, struct scratch *s, int i) {
    const struct row *row = &s->rows[i];
    float *turns = row_of(s->turns, i, m->shape.head_size);

    assert(row->token >= 0 && row->token < m->shape.vocab);
    assert(row->position >= 0 && row->position < m->shape.context_max);
    assert(row->position < sequence_length(row->sequence));
    model_token_row(m, m->embedding, row->token,
                    row_of(s->x, i, m->shape.embedding));
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
    for (int i = task * p->rows_each; i < end; i++) begin_row(p->m, p->s, i);
}

/* The last layer: only rows that are wanted go beyond K and V. */
static void forward_last(struct pass *p, int count) {
    run_qkv(p, LAYER_K, LAYER_V);
    keep_wanted(p, count);
    if (p->s->count == 0) return;
    make_segments(p);
    attention_plan(p);
    run_qkv(p, LAYER_Q, LAYER_Q);
    forward_rest(p);
}

void model_forward(struct model *m, const struct row *rows, int count,
                   float *hidden) {
    struct pass p = {.m = m, .s = &m->scratch};
    int width = m->shape.embedding;
    bool all = true;

    assert(count > 0 && count <= m->options.rows_max);
    repack_take(m->repack);
    for (int i = 0; i < count; i++) all &= rows[i].want;
    sort_rows(&p, rows, count);
    make_segments(&p);
    attention_plan(&p);
    run_rows(&p, width, begin_task);
    for (p.block = 0; p.block < m->shape.blocks; p.block++) {
        p.layer = &m->layers[p.block];
        if (p.block == m->shape.blocks - 1 && !all) {
            forward_last(&p, count);
            break;
        }
        run_qkv(&p, LAYER_Q, LAYER_V);
        forward_rest(&p);
    }
    for (int i = 0; i < count; i++) {
        if (!rows[i].want) continue;
        m->kernels->rmsnorm(row_of(p.s->x, p.s->order[i], width),
                            m->output_norm, (size_t)width, m->epsilon, hidden);
        hidden += width;
    }
}

/* ---- buffers ---- */

/* The forms that any matrix of the model, or of an adapter, wants. */
static int all_kinds(const struct model *m) {
    int kinds = (int)m->head.kind | lora_kind(m);

    for (int i = 0; i < m->shape.blocks; i++)
        for (int j = 0; j < LAYER_MATRICES; j++)
            kinds |= (int)m->layers[i].matrix[j].kind;
    return kinds;
}

static float *floats(struct scratch *s, size_t count) {
    s->bytes += count * sizeof(float);
    return xalloc_array(count, sizeof(float));
}

void scratch_init(struct scratch *s, const struct model *m) {
    const struct model_shape *shape = &m->shape;
    size_t rows = (size_t)m->options.rows_max;
    size_t threads = (size_t)pool_threads(m->pool);
    size_t feed_rows = rows < FEED_ROWS ? rows : FEED_ROWS;
    size_t width = (size_t)shape->embedding;
    size_t head = (size_t)shape->head_size;
    size_t q = (size_t)shape->heads * head;
    size_t kv = (size_t)shape->kv_heads * head;
    size_t feed = (size_t)shape->feed_forward;
    int kinds = all_kinds(m);

    s->rows = xalloc_array(rows, sizeof *s->rows);
    s->order = xalloc_array(rows, sizeof *s->order);
    s->moved = xalloc_array(rows, sizeof *s->moved);
    s->segments = xalloc_array(rows, sizeof *s->segments);
    s->x = floats(s, rows * width);
    s->norm = floats(s, rows * width);
    s->q = floats(s, rows * q);
    s->kv = floats(s, rows * 2 * kv);
    s->gate = floats(s, rows * feed);
    s->up_floats = feed_rows * feed;
    s->up = floats(s, threads * s->up_floats);
    s->turns = floats(s, rows * head);
    s->rank = floats(s, LORA_SLOTS * rows * ADAPTER_RANK_MAX);
    activation_init(&s->narrow, kinds, rows, width > q ? width : q);
    activation_init(&s->wide, kinds, rows, feed);
    for (size_t i = 0; i < LORA_SLOTS; i++) {
        activation_init(&s->ranks[i], lora_kind(m), rows, ADAPTER_RANK_MAX);
        s->bytes += s->ranks[i].bytes;
    }
    attention_init(&s->attention, m);
    s->bytes += s->narrow.bytes + s->wide.bytes + s->attention.bytes;
}

void scratch_clear(struct scratch *s) {
    free(s->rows);
    free(s->order);
    free(s->moved);
    free(s->segments);
    free(s->x);
    free(s->norm);
    free(s->q);
    free(s->kv);
    free(s->gate);
    free(s->up);
    free(s->turns);
    free(s->rank);
    activation_clear(&s->narrow);
    activation_clear(&s->wide);
    for (size_t i = 0; i < LORA_SLOTS; i++) activation_clear(&s->ranks[i]);
    attention_clear(&s->attention);
    *s = (struct scratch){0};
}
