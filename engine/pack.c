#include "engine/pack.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/bytes.h"
#include "engine/gemm.h"
#include "engine/kernel_layout.h"
#include "engine/pack_quant.h"
#include "engine/pool.h"
#include "engine/quant.h"

enum { PANELS_PER_TASK = 8, LARGE_BYTES = 64 << 10 };

/* A model's matrices are read in order at memory speed, so large pages pay:
 * mapped one after the other they lie close enough to share them. The hundreds
 * of small ones of an adapter would only waste half a page each. */
static bool is_large(const struct packed *p) {
    return p->bytes >= LARGE_BYTES;
}

/* Zeroed, at a cache line; NULL when there is none. */
static void *reserve_small(size_t bytes) {
    void *data = NULL;

    if (posix_memalign(&data, KERNEL_LINE, bytes)) return NULL;
    return memset(data, 0, bytes);
}

static void *reserve_large(size_t bytes) {
    void *data = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (data == MAP_FAILED) return NULL;
    (void)madvise(data, bytes, MADV_HUGEPAGE);
    return data;
}

static bool reserve(struct packed *p, struct err *err) {
    p->bytes = p->panel_bytes * pack_panels(p);
    p->data = is_large(p) ? reserve_large(p->bytes) : reserve_small(p->bytes);
    if (p->data) return true;
    err_set(err, ERR_LIMIT, "no memory for %zu bytes of weights", p->bytes);
    p->bytes = 0;
    return false;
}

void pack_clear(struct packed *p) {
    if (p->data && !p->rows) {
        if (is_large(p))
            munmap(p->data, p->bytes);
        else
            free(p->data);
    }
    *p = (struct packed){0};
}

size_t pack_panels(const struct packed *p) {
    return (p->n + KERNEL_PANEL - 1) / KERNEL_PANEL;
}

struct job {
    struct packed *out;
    const struct gguf_tensor *tensor;
    size_t row_bytes;
    atomic_bool bad;
};

/* `w` is one row of k numbers. */
static bool pack_float_row(struct packed *p, size_t row, const float *w) {
    bool ok = true;

    for (size_t i = 0; i < p->k; i++) ok &= isfinite(w[i]) != 0;
    if (p->kind == PACK_F32) {
        memcpy(p->data + row * p->k * sizeof *w, w, p->k * sizeof *w);
        return ok;
    }
    for (size_t i = 0; i < p->k; i++) {
        uint16_t half = quant_to_bf16(w[i]);
        size_t at = i / 2 * 2 * KERNEL_PANEL + 2 * (row % KERNEL_PANEL) + i % 2;

        memcpy(p->data + row / KERNEL_PANEL * p->panel_bytes + 2 * at, &half,
               sizeof half);
    }
    return ok;
}

static void pack_task(void *user, int task, int thread) {
    struct job *job = user;
    struct packed *p = job->out;
    size_t row = (size_t)task * PANELS_PER_TASK * KERNEL_PANEL;
    size_t end = row + PANELS_PER_TASK * KERNEL_PANEL;
    float *line = NULL;

    (void)thread;
    if (p->kind != PACK_QUANT) line = xalloc_array(p->k, sizeof *line);
    for (; row < end && row < p->n; row++) {
        const uint8_t *source =
            (const uint8_t *)job->tensor->data + row * job->row_bytes;
        uint8_t *panel = p->data + row / KERNEL_PANEL * p->panel_bytes;
        bool ok;

        if (p->rows) {
            ok = quant_finite(job->tensor->type, source, p->k);
        } else if (p->kind == PACK_QUANT) {
            ok = pack_quant_row(panel, p->format, row % KERNEL_PANEL,
                                job->tensor->type, source, p->k / KERNEL_GROUP);
        } else {
            quant_row(job->tensor->type, source, p->k, line);
            ok = pack_float_row(p, row, line);
        }
        if (!ok) atomic_store(&job->bad, true);
    }
    free(line);
}

static void pack_layout(struct packed *p, enum pack_kind kind) {
    p->kind = kind;
    p->panel_bytes = kind == PACK_F32 ? KERNEL_PANEL * p->k * sizeof(float)
                     : kind == PACK_BF16
                         ? KERNEL_PANEL * p->k * sizeof(uint16_t)
                         : kernel_panel_bytes(p->format, p->k / KERNEL_GROUP);
}

static enum pack_kind kind_of(struct packed *p, enum gguf_type type,
                              bool exact) {
    if (exact || type == GGUF_F32) return PACK_F32;
    return pack_quant_format(type, &p->format) ? PACK_QUANT : PACK_BF16;
}

/* Leave the rows where they are, if the kernels can read them. */
static bool pack_rows(struct packed *p, const struct gguf_tensor *t,
                      const struct kernels *kernels) {
    if (p->kind != PACK_QUANT || !kernels->gemm_rows[p->format] ||
        p->n % KERNEL_PANEL)
        return false;
    p->rows = true;
    p->panel_bytes = KERNEL_PANEL * quant_row_bytes(t->type, p->k);
    p->data = (uint8_t *)(uintptr_t)t->data;
    p->bytes = t->bytes;
    return true;
}

bool pack_tensor(struct packed *out, const struct gguf_tensor *t,
                 const struct kernels *kernels, bool exact, struct pool *pool,
                 struct err *err) {
    struct packed p = {.k = (size_t)t->size[0], .n = (size_t)t->size[1]};
    struct job job = {.out = &p, .tensor = t};
    size_t tasks;

    if (t->dims != 2 || !quant_known(t->type))
        return err_set(err, ERR_INPUT, "tensor %.*s of type %s is no matrix",
                       (int)t->name.size, t->name.at, gguf_type_name(t->type));
    if (p.k % QUANT_GROUP)
        return err_set(err, ERR_UNSUPPORTED,
                       "tensor %.*s has rows of %zu, not a multiple of %d",
                       (int)t->name.size, t->name.at, p.k, QUANT_GROUP);
    pack_layout(&p, kind_of(&p, t->type, exact));
    if (!pack_rows(&p, t, kernels) && !reserve(&p, err)) return false;
    job.row_bytes = quant_row_bytes(t->type, p.k);
    tasks = (pack_panels(&p) + PANELS_PER_TASK - 1) / PANELS_PER_TASK;
    pool_run(pool, (int)tasks, pack_task, &job);
    if (atomic_load(&job.bad)) {
        pack_clear(&p);
        return err_set(err, ERR_INPUT,
                       "tensor %.*s holds a number that is not finite",
                       (int)t->name.size, t->name.at);
    }
    *out = p;
    return true;
}

bool pack_reserve(struct packed *out, const struct packed *p, struct err *err) {
    *out = (struct packed){
        .kind = p->kind, .format = p->format, .k = p->k, .n = p->n};
    pack_layout(out, p->kind);
    return reserve(out, err);
}

bool pack_copy(struct packed *out, const struct gguf_tensor *t,
               const atomic_bool *stop) {
    struct job job = {
        .out = out, .tensor = t, .row_bytes = quant_row_bytes(t->type, out->k)};
    size_t tasks = (pack_panels(out) + PANELS_PER_TASK - 1) / PANELS_PER_TASK;

    for (size_t i = 0; i < tasks; i++) {
        if (atomic_load(stop)) return false;
        pack_task(&job, (int)i, 0);
    }
    return true;
}

/* One row to Q8_0; `block` has room for it. What is not finite makes a scale
 * that is not. */
static bool pack_q8_row(struct packed *p, size_t row, const float *w,
                        uint8_t *block) {
    quant_to_q8_0(w, p->k, block);
    return pack_quant_row(p->data + row / KERNEL_PANEL * p->panel_bytes,
                          p->format, row % KERNEL_PANEL, GGUF_Q8_0, block,
                          p->k / KERNEL_GROUP);
}

bool pack_floats(struct packed *out, const float *w, size_t n, size_t k,
                 float scale, enum pack_kind kind, struct err *err) {
    size_t unit = kind == PACK_QUANT ? KERNEL_GROUP : 2;
    struct packed p = {
        .k = (k + unit - 1) / unit * unit, .n = n, .format = KERNEL_Q8};
    uint8_t *block;
    float *line;
    bool ok = true;

    pack_layout(&p, kind);
    if (!reserve(&p, err)) return false;
    line = xalloc_array(p.k, sizeof *line);
    block = xalloc(
        quant_row_bytes(GGUF_Q8_0, (p.k / QUANT_GROUP + 1) * QUANT_GROUP));
    for (size_t row = 0; row < n; row++) {
        for (size_t i = 0; i < k; i++) line[i] = w[row * k + i] * scale;
        ok &= kind == PACK_QUANT ? pack_q8_row(&p, row, line, block)
                                 : pack_float_row(&p, row, line);
    }
    free(block);
    free(line);
    if (!ok) {
        pack_clear(&p);
        return err_set(err, ERR_INPUT, "a number that is not finite");
    }
    *out = p;
    return true;
}

bool pack_keeps(const struct packed *p) {
    return p->kind == PACK_QUANT && !p->rows;
}

void pack_row(const struct packed *p, size_t row, float *out) {
    assert(pack_keeps(p) && row < p->n);
    pack_quant_numbers(p->data + row / KERNEL_PANEL * p->panel_bytes, p->format,
                       row % KERNEL_PANEL, p->k / KERNEL_GROUP, out);
}

static void apply_quant(const struct packed *p, const struct kernels *kernels,
                        const struct kernel_input *x, const uint8_t *w,
                        size_t columns, float *out, size_t out_stride,
                        bool add) {
    if (p->rows)
        kernels->gemm_rows[p->format](w, columns, x, out, out_stride, add);
    else
        kernels->gemm_q(p->format, w, columns, x, out, out_stride, add);
}

void pack_apply_extra(const struct packed *p, const struct kernels *kernels,
                      const struct activation *a, size_t row, size_t rows,
                      size_t from, size_t end, const struct kernel_extra *extra,
                      size_t extras, float *out, size_t out_stride, bool add) {
    size_t first = from * KERNEL_PANEL;
    size_t columns = end * KERNEL_PANEL < p->n ? end * KERNEL_PANEL : p->n;
    const uint8_t *w = p->data + from * p->panel_bytes;

    assert(p->kind == PACK_QUANT ? a->k == p->k : a->k >= p->k && !extras);
    if (first >= columns || !rows) return;
    columns -= first;
    out += first;
    if (p->kind == PACK_QUANT) {
        struct kernel_input x = activation_input(a, row, rows);

        x.extra = extra;
        x.extras = extras;
        apply_quant(p, kernels, &x, w, columns, out, out_stride, add);
    } else if (p->kind == PACK_BF16)
        kernels->gemm_bf16((const uint16_t *)(const void *)w, p->k, columns,
                           a->bf16 + row * a->k, a->k, rows, out, out_stride,
                           add);
    else
        gemm_f32((const float *)(const void *)w, p->k, columns,
                 a->f32 + row * a->f32_stride, a->f32_stride, rows, out,
                 out_stride, add);
}

void pack_apply(const struct packed *p, const struct kernels *kernels,
                const struct activation *a, size_t row, size_t rows,
                size_t from, size_t end, float *out, size_t out_stride,
                bool add) {
    pack_apply_extra(p, kernels, a, row, rows, from, end, NULL, 0, out,
                     out_stride, add);
}
