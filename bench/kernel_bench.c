/* kernel_bench.c - the speed of the matrix products alone, on all cores.
 *
 *   bench_kernel [FORMAT K N MEGABYTES]
 *
 * prints for each number of rows the billions of operations (two a weight and
 * row) and the gigabytes of weights in a second, over different matrices of
 * MEGABYTES in all, so that what is read each time comes from where the
 * weights of a model of that size would be. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "engine/activation.h"
#include "engine/kernel_layout.h"
#include "engine/pool.h"
#include "engine/quant.h"

enum { ROWS_MAX = 512, TASKS_EACH = 4, PANELS_EVEN = 2 };
enum { LONG_ENOUGH_NS = 300000000 }; /* that a figure is measured over */

struct bench {
    const struct kernels *kernels;
    enum kernel_format format;
    bool in_rows; /* as a model file has them, not packed */
    size_t k, n, matrices;
    uint8_t *weights;
    struct activation a;
    float *x, *out;
    size_t rows, matrix, panels_each; /* of the phase that runs */
};

static const char *const names[KERNEL_FORMATS] = {
    [KERNEL_Q4] = "q4",     [KERNEL_Q4_MIN] = "q4_min",
    [KERNEL_Q5] = "q5",     [KERNEL_Q5_MIN] = "q5_min",
    [KERNEL_Q8] = "q8",     [KERNEL_Q2_K] = "q2_k",
    [KERNEL_Q3_K] = "q3_k", [KERNEL_Q4_K] = "q4_k",
    [KERNEL_Q5_K] = "q5_k", [KERNEL_Q6_K] = "q6_k",
};

static size_t panel_bytes(const struct bench *b) {
    if (b->in_rows)
        return KERNEL_PANEL *
               quant_row_bytes(b->format == KERNEL_Q4_K ? GGUF_Q4_K : GGUF_Q6_K,
                               b->k);
    return kernel_panel_bytes(b->format, b->k / KERNEL_GROUP);
}

static size_t matrix_bytes(const struct bench *b) {
    return panel_bytes(b) * b->n / KERNEL_PANEL;
}

static void product_task(void *user, int task, int thread) {
    struct bench *b = user;
    size_t panel = panel_bytes(b);
    size_t from = (size_t)task * b->panels_each;
    size_t end = from + b->panels_each;
    struct kernel_input x = activation_input(&b->a, 0, b->rows);
    const uint8_t *w = b->weights + b->matrix * matrix_bytes(b) + from * panel;
    float *out = b->out + from * KERNEL_PANEL;

    (void)thread;
    if (end > b->n / KERNEL_PANEL) end = b->n / KERNEL_PANEL;
    if (b->in_rows)
        b->kernels->gemm_rows[b->format](w, (end - from) * KERNEL_PANEL, &x,
                                         out, b->n, false);
    else
        b->kernels->gemm_q(b->format, w, (end - from) * KERNEL_PANEL, &x, out,
                           b->n, false);
}

static void run(struct bench *b, struct pool *pool) {
    size_t panels = b->n / KERNEL_PANEL;
    size_t pieces = (size_t)pool_threads(pool) * TASKS_EACH;

    b->panels_each =
        ((panels + pieces - 1) / pieces + 1) / PANELS_EVEN * PANELS_EVEN;
    pool_run(pool, (int)((panels + b->panels_each - 1) / b->panels_each),
             product_task, b);
    b->matrix = (b->matrix + 1) % b->matrices;
}

static void measure(struct bench *b, struct pool *pool, size_t rows) {
    uint64_t from, spent;
    double runs = 0;

    b->rows = rows;
    run(b, pool);
    from = clock_ns();
    do {
        run(b, pool);
        runs++;
        spent = clock_ns() - from;
    } while (spent < LONG_ENOUGH_NS);
    printf("%-7s%s %5zu x %5zu, %3zu rows: %6.1f GOP/s, %6.2f GB/s\n",
           names[b->format], b->in_rows ? " rows" : "", b->k, b->n, rows,
           2.0 * runs * (double)(rows * b->k * b->n) / (double)spent,
           runs * (double)matrix_bytes(b) / (double)spent);
}

static void measure_format(struct bench *b, struct pool *pool,
                           size_t megabytes) {
    static const size_t rows[] = {1, 2, 4, 8, 16, 100, 512};
    size_t bytes = matrix_bytes(b);
    uint32_t seed = 1;

    b->matrices = megabytes * 1000000 / bytes + 1;
    b->matrix = 0;
    b->weights = mmap(NULL, b->matrices * bytes, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (b->weights == MAP_FAILED) abort();
    (void)madvise(b->weights, b->matrices * bytes, MADV_HUGEPAGE);
    for (size_t i = 0; i < b->matrices * bytes; i++) {
        seed = seed * 1664525u + 1013904223u;
        b->weights[i] = (uint8_t)(seed >> 24) & 0x3b; /* no f16 is infinite */
    }
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        measure(b, pool, rows[i]);
    munmap(b->weights, b->matrices * bytes);
}

static void make_input(struct bench *b) {
    b->x = xalloc_array(ROWS_MAX * b->k, sizeof *b->x);
    b->out = xalloc_array(ROWS_MAX * b->n, sizeof *b->out);
    for (size_t i = 0; i < ROWS_MAX * b->k; i++)
        b->x[i] = sinf((float)i * 0.7f) * (i % 1200 == 70 ? 30.0f : 1.0f);
    activation_init(&b->a, ACTIVATION_QUANT, ROWS_MAX, b->k);
    activation_begin(&b->a, b->x, b->k, b->k);
    for (size_t r = 0; r < ROWS_MAX; r++)
        activation_fill(&b->a, b->kernels, ACTIVATION_QUANT, r, 0, b->k);
}

int main(int argc, char **argv) {
    struct err err = {0};
    struct bench b = {.kernels = kernels_choose(&err), .k = 576, .n = 1536};
    struct pool *pool = pool_open(0, &err);
    size_t megabytes = 60;

    if (!b.kernels || !pool) {
        fprintf(stderr, "bench_kernel: %s\n", err.text);
        return 1;
    }
    if (argc > 4) {
        b.k = strtoul(argv[2], NULL, 10);
        b.n = strtoul(argv[3], NULL, 10);
        megabytes = strtoul(argv[4], NULL, 10);
    }
    make_input(&b);
    for (int f = 0; f < KERNEL_FORMATS; f++) {
        b.format = (enum kernel_format)f;
        if (argc > 1 && strcmp(argv[1], names[f]) && strcmp(argv[1], "all"))
            continue;
        if (b.k % (kernel_layouts[f].super ? 256 : 32)) continue;
        measure_format(&b, pool, megabytes);
        b.in_rows = b.kernels->gemm_rows[f] != NULL;
        if (b.in_rows) measure_format(&b, pool, megabytes);
        b.in_rows = false;
    }
    activation_clear(&b.a);
    free(b.x);
    free(b.out);
    pool_close(pool);
    return 0;
}
