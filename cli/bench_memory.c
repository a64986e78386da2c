/* bench_memory.c - how fast the compute threads read memory, what share of it
 * decoding reaches, and what the process holds. */
#include "cli/bench.h"

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "engine/pool.h"

enum {
    CHUNK = 1 << 20,
    AHEAD = 4096,
    DECODE_FROM = 64 /* positions, as in bench_model.c */
};

static const size_t stream_bytes = (size_t)1 << 30; /* past any L3 */

/* Sums a chunk with the widest loads, four sums at once so that no add waits
 * for another, asking for lines some way ahead: without that, one core does
 * not keep enough of them under way. */
#define READ(name, bits)                                                       \
    static uint64_t name(const char *from) {                                   \
        typedef uint64_t lanes __attribute__((vector_size(bits / 8)));         \
        const lanes *at = (const lanes *)(const void *)from;                   \
        lanes a = {0}, b = {0}, c = {0}, d = {0};                              \
        uint64_t sum = 0;                                                      \
                                                                               \
        for (size_t i = 0; i < CHUNK / sizeof *at; i += 4) {                   \
            for (size_t line = 0; line < 4 * sizeof *at; line += 64)           \
                __builtin_prefetch(from + i * sizeof *at + line + AHEAD);      \
            a += at[i];                                                        \
            b += at[i + 1];                                                    \
            c += at[i + 2];                                                    \
            d += at[i + 3];                                                    \
        }                                                                      \
        a += b + c + d;                                                        \
        for (size_t i = 0; i < sizeof a / 8; i++) sum += a[i];                 \
        return sum;                                                            \
    }

READ(read_128, 128)
#if defined(__x86_64__)
__attribute__((target("avx2"))) READ(read_256, 256)
    __attribute__((target("avx512f"))) READ(read_512, 512)
#endif

        typedef uint64_t read_chunk(const char *from);

static read_chunk *choose_read(void) {
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx512f")) return read_512;
    if (__builtin_cpu_supports("avx2")) return read_256;
#endif
    return read_128;
}

struct reading {
    read_chunk *read;
    const char *at;
    uint64_t sums[POOL_THREADS_MAX]; /* or reading would have no purpose */
};

static void read_task(void *user, int task, int thread) {
    struct reading *r = user;

    r->sums[thread] += r->read(r->at + (size_t)task * CHUNK);
}

/* GB/s of reading `bytes` once. */
static double read_gb_s(struct pool *pool, struct reading *r, size_t bytes) {
    int chunks = (int)(bytes / CHUNK);
    uint64_t from = clock_ns();

    pool_run(pool, chunks, read_task, r);
    return (double)chunks * CHUNK / (double)(clock_ns() - from);
}

/* Half of what is free, if that is not enough. */
static size_t stream_size(void) {
    long pages = sysconf(_SC_AVPHYS_PAGES), size = sysconf(_SC_PAGESIZE);
    size_t half = (size_t)pages / 2 * (size_t)size;

    return (half < stream_bytes ? half : stream_bytes) / CHUNK * CHUNK;
}

/* What one decode step reads beside the weights: the KV of the positions
 * before it, on average. */
static double kv_bytes_read(const struct bench *b) {
    const struct model_shape *s = engine_shape(b->engine);
    double positions = DECODE_FROM + b->decode / 2.0;

    return positions * s->blocks * s->kv_heads * s->head_size * 2 *
           sizeof(uint16_t);
}

/* The bytes of the file's tensors that a step reads: all, but of a table of
 * embeddings that is not the head as well, one row. */
static double file_bytes_read(const struct bench *b) {
    const struct gguf *gguf = engine_gguf(b->engine);
    bool apart = gguf_tensor(gguf, "output.weight") != NULL;
    double bytes = 0;

    for (size_t i = 0; i < gguf_tensor_count(gguf); i++) {
        const struct gguf_tensor *t = gguf_tensor_at(gguf, i);

        if (!apart || !span_is(t->name, "token_embd.weight"))
            bytes += (double)t->bytes;
    }
    return bytes;
}

/* Reading and decoding in turns, so that both see the same machine. */
static bool compare_speeds(struct bench *b, struct pool *pool,
                           struct reading *r, size_t bytes, struct err *err) {
    struct bench_samples memory = {0}, cached = {0}, decode = {0};
    double weights = (double)engine_weight_bytes(b->engine), kv, gb_s, steps;
    size_t hot = engine_weight_bytes(b->engine) / CHUNK * CHUNK;

    if (hot == 0 || hot > bytes) hot = bytes;
    while (bench_more(b, &memory)) {
        bench_sample(&memory, read_gb_s(pool, r, bytes));
        /* Into the caches, where it fits: that takes more than one look. */
        for (int i = 0; i < 3; i++) (void)read_gb_s(pool, r, hot);
        bench_sample(&cached, read_gb_s(pool, r, hot));
        if (!bench_decode_once(b, 1, &steps, err)) return false;
        bench_sample(&decode, steps);
    }
    kv = kv_bytes_read(b);
    steps = bench_median(&decode);
    gb_s = steps * (weights + kv) / 1e9;
    bench_put(b, "memory_gb_s", "GB/s", "reading memory past the caches",
              bench_median(&memory));
    bench_put(b, "weights_gb_s", "GB/s",
              "reading as much as the model has, again and again",
              bench_median(&cached));
    bench_put(b, "decode_gb_s", "GB/s", "weights and KV read by decode", gb_s);
    bench_put(b, "decode_share", "", "of memory_gb_s",
              gb_s / bench_get(b, "memory_gb_s"));
    bench_put(
        b, "decode_share_file", "", "the same, counting the model file's bytes",
        steps * (file_bytes_read(b) + kv) / 1e9 / bench_get(b, "memory_gb_s"));
    bench_put(b, "decode_share_weights", "", "of weights_gb_s",
              gb_s / bench_get(b, "weights_gb_s"));
    return true;
}

bool bench_memory(struct bench *b, struct err *err) {
    size_t bytes = stream_size();
    struct reading *r = xalloc(sizeof *r);
    struct pool *pool = NULL;
    bool ok = false;
    void *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (at == MAP_FAILED) {
        (void)err_set(err, ERR_LIMIT, "no memory to read");
        goto out;
    }
    (void)madvise(at, bytes, MADV_HUGEPAGE);
    memset(at, 1, bytes); /* untouched pages would all be one page of zeros */
    pool = pool_open(b->threads, err);
    if (!pool) goto out;
    r->at = at;
    r->read = choose_read();
    ok = compare_speeds(b, pool, r, bytes, err);

out:
    pool_close(pool);
    if (at != MAP_FAILED) (void)munmap(at, bytes);
    free(r);
    return ok;
}

/* ---- what the process holds ---- */

struct resident {
    double all, file, kv; /* bytes */
};

static double kv_capacity(const struct bench *b) {
    const struct model_shape *s = engine_shape(b->engine);
    struct engine_stats stats;

    engine_stats(b->engine, &stats);
    return (double)stats.kv_total * s->blocks * s->kv_heads * s->head_size * 2 *
           sizeof(uint16_t);
}

/* One mapping of /proc/self/smaps: its size, what of it is resident, and
 * whether it is of the model's file. The mapping that is as large as the KV is
 * the KV; if the system joined a neighbour to it, that counts as resident, so
 * the share of the KV is never made too large. */
static void count_mapping(struct resident *r, double size, double rss,
                          bool file, double kv) {
    r->all += rss;
    if (file)
        r->file += rss;
    else if (r->kv == 0 && size >= kv && size < kv + (64 << 20))
        r->kv = rss > size - kv ? rss - (size - kv) : 0;
}

static struct resident resident(const struct bench *b) {
    const char *path = gguf_path(engine_gguf(b->engine));
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    double kv = kv_capacity(b);
    struct resident r = {0};
    char line[4200];
    unsigned long from = 0, end = 0, kilobytes;
    bool file = false;
    FILE *f = fopen("/proc/self/smaps", "re");

    while (f && fgets(line, sizeof line, f)) {
        if (sscanf(line, "%lx-%lx ", &from, &end) == 2)
            file = strstr(line, name) != NULL;
        else if (sscanf(line, "Rss: %lu kB", &kilobytes) == 1)
            count_mapping(&r, (double)(end - from), (double)kilobytes * 1024,
                          file, kv);
    }
    if (f) (void)fclose(f);
    return r;
}

/* The engine serves already; what follows measures it at its full speed. */
static void wait_packed(const struct bench *b) {
    const struct timespec a_while = {0, 5000000};

    while (engine_unpacked(b->engine)) (void)nanosleep(&a_while, NULL);
}

void bench_start(struct bench *b) {
    bench_put(b, "start_ms", "ms", "from the start to ready, guard included",
              (double)(clock_ns() - b->began_ns) / 1e6);
    bench_put(b, "rss_start_mb", "MB", "resident when ready",
              resident(b).all / 1e6);
    wait_packed(b);
    bench_put(b, "packed_ms", "ms", "from the start to all weights packed",
              (double)(clock_ns() - b->began_ns) / 1e6);
}

void bench_resident(struct bench *b) {
    struct resident r = resident(b);
    double file = (double)gguf_file_bytes(engine_gguf(b->engine));

    bench_put(b, "rss_mb", "MB", "resident at the end", r.all / 1e6);
    bench_put(b, "rss_file_mb", "MB", "of it the mapped model file",
              r.file / 1e6);
    bench_put(b, "rss_kv_mb", "MB", "of it the KV cache", r.kv / 1e6);
    bench_put(b, "rss_beyond_mb", "MB", "of it past the file's size and the KV",
              (r.all - file - r.kv) / 1e6);
    bench_put(b, "file_mb", "MB", "the model file's size", file / 1e6);
    bench_put(b, "kv_mb", "MB", "the KV cache, full", kv_capacity(b) / 1e6);
}
