#include "engine/lora.h"

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

void lora_up(const struct pass *p, enum layer_matrix matrix, size_t from,
             size_t end, int row, int last, float *out, size_t stride) {
    int slot = (int)matrix - (int)p->first;

    if (!p->adapted) return;
    for (int i = 0; i < p->s->segment_count; i++) {
        const struct segment *g = &p->s->segments[i];
        int top = g->row > row ? g->row : row;
        int bottom = g->end < last ? g->end : last;
        const struct lora *l;
        struct activation ranks;

        if (!g->adapter || top >= bottom) continue;
        l = adapter_lora(g->adapter, p->block, matrix);
        if (!l->b.data) continue;
        ranks = ranks_of(p, g, slot, &l->b);
        pack_apply(&l->b, p->m->kernels, &ranks, (size_t)(top - g->row),
                   (size_t)(bottom - top), from, end,
                   out + (size_t)(top - row) * stride, stride, true);
    }
}
