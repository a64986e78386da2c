#include "engine/pack.h"

#include <assert.h>
#include <errno.h>
#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/bytes.h"
#include "engine/gemm.h"
#include "engine/pool.h"
#include "engine/quant.h"
#include "engine/spill.h"

enum { PANELS_PER_TASK = 8 };

/* Weights are read in order at memory speed, so large pages pay. */
static bool pack_reserve(struct packed *p, struct err *err) {
    void *data;

    p->bytes = p->panel_bytes * pack_panels(p);
    data = mmap(NULL, p->bytes, PROT_READ | PROT_WRITE,
                MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (data == MAP_FAILED) {
        p->bytes = 0;
        return err_set(err, ERR_LIMIT, "no memory for %zu bytes of weights: %s",
                       p->panel_bytes * pack_panels(p), strerror(errno));
    }
    (void)madvise(data, p->bytes, MADV_HUGEPAGE);
    p->data = data;
    return true;
}

void pack_clear(struct packed *p) {
    if (p->data) munmap(p->data, p->bytes);
    *p = (struct packed){0};
}

size_t pack_panels(const struct packed *p) {
    return (p->n + KERNEL_PANEL - 1) / KERNEL_PANEL;
}

/* False when a number is out of f16's range or not finite. */
static bool put_f16(uint8_t *at, size_t index, float value) {
    uint16_t half = quant_to_f16(value);

    memcpy(at + 2 * index, &half, sizeof half);
    return (half & 0x7c00) != 0x7c00;
}

/* Row `r` of one group of a panel. */
static bool put_group(const struct packed *p, uint8_t *at, size_t r,
                      const struct quant_group *g) {
    size_t halves = p->format & KERNEL_HALVES ? 2 : 1;
    size_t kinds = p->format & KERNEL_MIN ? 2 : 1;
    uint8_t *codes = at + KERNEL_PANEL * 2 * halves * kinds;
    bool ok = true;

    for (size_t h = 0; h < halves; h++) {
        ok &= put_f16(at, KERNEL_PANEL * h + r, g->scale[h]);
        if (kinds == 2)
            ok &= put_f16(at, KERNEL_PANEL * (halves + h) + r, g->min[h]);
    }
    for (size_t i = 0; i < QUANT_GROUP; i++) {
        size_t lane = 4 * r + i % 4;

        if (p->format & KERNEL_WIDE) {
            codes[64 * (i / 4) + lane] = g->code[i];
        } else {
            uint8_t *byte = &codes[64 * (i / 4 % 4) + lane];

            *byte = (uint8_t)(*byte | g->code[i] << (i / 16 * 4));
        }
    }
    return ok;
}

struct job {
    struct packed *out;
    const struct gguf_tensor *tensor;
    size_t row_bytes;
    atomic_bool bad;
};

static void pack_quant_row(struct job *job, size_t row) {
    struct packed *p = job->out;
    size_t groups = p->k / QUANT_GROUP;
    size_t group_bytes = kernel_group_bytes(p->format);
    uint8_t *panel = p->data + row / KERNEL_PANEL * p->panel_bytes;
    const uint8_t *source =
        (const uint8_t *)job->tensor->data + row * job->row_bytes;
    struct quant_group g;
    bool ok = true;

    for (size_t i = 0; i < groups; i++) {
        quant_group(job->tensor->type, source, i, &g);
        ok &= put_group(p, panel + i * group_bytes, row % KERNEL_PANEL, &g);
    }
    if (!ok) atomic_store(&job->bad, true);
}

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
        if (p->kind == PACK_QUANT) {
            pack_quant_row(job, row);
            continue;
        }
        quant_row(job->tensor->type,
                  (const uint8_t *)job->tensor->data + row * job->row_bytes,
                  p->k, line);
        if (!pack_float_row(p, row, line)) atomic_store(&job->bad, true);
    }
    free(line);
}

static void pack_layout(struct packed *p, enum gguf_type type, bool exact) {
    struct quant_format f = {0};

    if (exact || type == GGUF_F32) {
        p->kind = PACK_F32;
        p->panel_bytes = KERNEL_PANEL * p->k * sizeof(float);
    } else if (!quant_format(type, &f)) {
        p->kind = PACK_BF16;
        p->panel_bytes = KERNEL_PANEL * p->k * sizeof(uint16_t);
    } else {
        p->kind = PACK_QUANT;
        p->format = (f.wide ? KERNEL_WIDE : 0) |
                    (f.halves ? KERNEL_HALVES : 0) | (f.min ? KERNEL_MIN : 0);
        p->offset = f.offset;
        p->panel_bytes = p->k / QUANT_GROUP * kernel_group_bytes(p->format);
    }
}

bool pack_tensor(struct packed *out, const struct gguf_tensor *t, bool exact,
                 struct pool *pool, struct err *err) {
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
    pack_layout(&p, t->type, exact);
    if (!pack_reserve(&p, err)) return false;
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

bool pack_floats(struct packed *out, const float *w, size_t n, size_t k,
                 float scale, bool exact, struct err *err) {
    struct packed p = {.k = (k + 1) / 2 * 2, .n = n};
    float *line;
    bool ok = true;

    pack_layout(&p, exact ? GGUF_F32 : GGUF_BF16, exact);
    if (!pack_reserve(&p, err)) return false;
    line = xalloc_array(p.k, sizeof *line);
    for (size_t row = 0; row < n; row++) {
        for (size_t i = 0; i < k; i++) line[i] = w[row * k + i] * scale;
        ok &= pack_float_row(&p, row, line);
    }
    free(line);
    if (!ok) {
        pack_clear(&p);
        return err_set(err, ERR_INPUT, "a number that is not finite");
    }
    *out = p;
    return true;
}

static void *reserve(struct activation *a, size_t count, size_t size) {
    void *at = NULL;

    /* Cache lines, and room for a kernel that reads a whole vector. */
    count = (count * size + 127) / 64 * 64;
    if (posix_memalign(&at, 64, count)) abort();
    memset(at, 0, count);
    a->bytes += count;
    return at;
}

void activation_init(struct activation *a, size_t rows, size_t k_max) {
    *a = (struct activation){0};
    a->q = reserve(a, rows * k_max, sizeof *a->q);
    a->scale = reserve(a, rows * k_max / KERNEL_GROUP + 1, sizeof *a->scale);
    a->sum = reserve(a, rows * k_max / 16 + 1, sizeof *a->sum);
    a->bf16 = reserve(a, rows * k_max, sizeof *a->bf16);
}

void activation_clear(struct activation *a) {
    free(a->q);
    free(a->scale);
    free(a->sum);
    free(a->bf16);
    *a = (struct activation){0};
}

void activation_begin(struct activation *a, const float *f32, size_t stride,
                      size_t k) {
    a->f32 = f32;
    a->f32_stride = stride;
    a->k = k;
}

void activation_fill(struct activation *a, const struct kernels *kernels,
                     int kinds, size_t row, size_t from, size_t end) {
    const float *x = a->f32 + row * a->f32_stride + from;
    size_t at = row * a->k + from;

    if (kinds & PACK_QUANT)
        kernels->quantise(x, end - from, a->q + at,
                          a->scale + at / KERNEL_GROUP, a->sum + at / 16);
    if (kinds & PACK_BF16) kernels->to_bf16(x, end - from, a->bf16 + at);
}

void pack_apply(const struct packed *p, const struct kernels *kernels,
                const struct activation *a, size_t row, size_t rows,
                size_t from, size_t end, float *out, size_t out_stride,
                bool add) {
    size_t first = from * KERNEL_PANEL;
    size_t columns = end * KERNEL_PANEL < p->n ? end * KERNEL_PANEL : p->n;
    const uint8_t *w = p->data + from * p->panel_bytes;
    size_t at = row * a->k;

    assert(p->kind == PACK_QUANT ? a->k == p->k : a->k >= p->k);
    if (first >= columns || !rows) return;
    columns -= first;
    out += first;
    if (p->kind == PACK_QUANT) {
        kernels->gemm_q(p->format, p->offset, w, p->k / KERNEL_GROUP, columns,
                        a->q + at, a->scale + at / KERNEL_GROUP,
                        a->sum + at / 16, rows, out, out_stride, add);
        spill_apply(p, kernels, a, row, rows, w, columns, out, out_stride);
    } else if (p->kind == PACK_BF16)
        kernels->gemm_bf16((const uint16_t *)(const void *)w, p->k, columns,
                           a->bf16 + at, a->k, rows, out, out_stride, add);
    else
        gemm_f32((const float *)(const void *)w, p->k, columns,
                 a->f32 + row * a->f32_stride, a->f32_stride, rows, out,
                 out_stride, add);
}
