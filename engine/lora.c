#include "engine/lora.h"

#include <assert.h>

#include "engine/job.h"

static_assert((int)ENGINE_ADAPTERS_MAX < (int)KERNEL_EXTRAS_MAX,
              "how an adapter is added must not hang on what else is there");
static_assert(ADAPTER_RANK_MAX <= KERNEL_EXTRA_GROUPS_MAX * KERNEL_GROUP,
              "the kernels have room for the largest rank");

static float *rank_of(const struct pass *p, int slot, int row) {
    size_t rows = (size_t)p->m->options.rows_max;

    return p->s->rank + ((size_t)slot * rows + (size_t)row) * ADAPTER_RANK_MAX;
}

/* The ranks of a segment's rows, in the form that `b` wants: row 0 is the
 * segment's first. Each segment has room for the largest rank, and its rows lie
 * close within it. */
static struct activation ranks_of(const struct pass *p, const struct segment *g,
                                  int slot, const struct packed *b) {
    struct activation ranks =
        activation_from(&p->s->ranks[slot], (size_t)g->row);

    activation_begin(&ranks, rank_of(p, slot, g->row), ADAPTER_RANK_MAX, b->k);
    return ranks;
}

static void down(struct pass *p, const struct activation *x,
                 const struct segment *g, const struct lora *l, int slot,
                 int from, int end) {
    struct activation ranks;

    if (!l->a.data) return;
    ranks = ranks_of(p, g, slot, &l->b);
    pack_apply(&l->a, p->m->kernels, x, (size_t)from, (size_t)(end - from), 0,
               pack_panels(&l->a), rank_of(p, slot, from), ADAPTER_RANK_MAX,
               false);
    for (int row = from; row < end; row++) {
        float *line = rank_of(p, slot, row);

        for (size_t c = l->a.n; c < l->b.k; c++) line[c] = 0;
        activation_fill(&ranks, p->m->kernels, (int)l->b.kind,
                        (size_t)(row - g->row), 0, l->b.k);
    }
}

void lora_down(struct pass *p, const struct activation *x, int from, int end) {
    if (!p->adapted) return;
    for (int i = 0; i < p->s->segment_count; i++) {
        const struct segment *g = &p->s->segments[i];
        int first = g->row > from ? g->row : from;
        int last = g->end < end ? g->end : end;

        if (!g->adapter || first >= last) continue;
        for (int j = (int)p->first; j <= (int)p->last; j++)
            down(p, x, g,
                 adapter_lora(g->adapter, p->block, (enum layer_matrix)j),
                 j - (int)p->first, first, last);
    }
}

/* The part of a segment's adapter that the rows [row, last) want of `matrix`,
 * and those of its rows; NULL when there is none. */
static const struct lora *part_of(const struct pass *p, const struct segment *g,
                                  enum layer_matrix matrix, int row, int last,
                                  struct segment *out) {
    const struct lora *l;

    *out = *g;
    if (out->row < row) out->row = row;
    if (out->end > last) out->end = last;
    if (!g->adapter || out->row >= out->end) return NULL;
    l = adapter_lora(g->adapter, p->block, matrix);
    return l->b.data ? l : NULL;
}

/* By themselves, after the matrix. */
static void up(const struct pass *p, enum layer_matrix matrix, size_t from,
               size_t end, int row, int last, float *out, size_t stride) {
    int slot = (int)matrix - (int)p->first;

    for (int i = 0; i < p->s->segment_count; i++) {
        const struct segment *g = &p->s->segments[i];
        struct segment rows;
        const struct lora *l = part_of(p, g, matrix, row, last, &rows);
        struct activation ranks;

        if (!l) continue;
        ranks = ranks_of(p, g, slot, &l->b);
        pack_apply(&l->b, p->m->kernels, &ranks, (size_t)(rows.row - g->row),
                   (size_t)(rows.end - rows.row), from, end,
                   out + (size_t)(rows.row - row) * stride, stride, true);
    }
}

/* For the kernels to add; how many there are. */
static size_t extras(const struct pass *p, enum layer_matrix matrix,
                     size_t from, int row, int last,
                     struct kernel_extra out[KERNEL_EXTRAS_MAX]) {
    int slot = (int)matrix - (int)p->first;
    size_t count = 0;

    for (int i = 0; i < p->s->segment_count; i++) {
        const struct segment *g = &p->s->segments[i];
        struct segment rows;
        const struct lora *l = part_of(p, g, matrix, row, last, &rows);
        struct activation ranks;

        if (!l) continue;
        ranks = ranks_of(p, g, slot, &l->b);
        out[count++] = (struct kernel_extra){
            .w = l->b.data + from * l->b.panel_bytes,
            .inputs = l->a.n,
            .from = (size_t)(rows.row - row),
            .end = (size_t)(rows.end - row),
            .x = activation_input(&ranks, (size_t)(rows.row - g->row),
                                  (size_t)(rows.end - rows.row)),
        };
    }
    return count;
}

void lora_apply(const struct pass *p, enum layer_matrix matrix,
                const struct activation *x, size_t from, size_t end, int row,
                int last, float *out, size_t stride, bool add) {
    const struct packed *w = &p->layer->matrix[matrix];
    const struct kernels *kernels = p->m->kernels;
    bool together = p->adapted && w->kind == PACK_QUANT && kernels->extras &&
                    p->s->segment_count <= KERNEL_EXTRAS_MAX;
    struct kernel_extra extra[KERNEL_EXTRAS_MAX];
    size_t count;

    extra[0] = (struct kernel_extra){0};
    count = together ? extras(p, matrix, from, row, last, extra) : 0;

    pack_apply_extra(w, kernels, x, (size_t)row, (size_t)(last - row), from,
                     end, extra, count, out, stride, add);
    if (p->adapted && !together)
        up(p, matrix, from, end, row, last, out, stride);
}
