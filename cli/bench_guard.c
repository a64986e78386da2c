/* bench_guard.c - what verdicts cost. */
#include "cli/bench.h"

#include <string.h>

enum { PREFIX = 256, NEW = 100 };

/* A score job of NEW tokens behind a prefix whose KV is there already. */
static bool verdict_ms(struct bench *b, double *out, struct err *err) {
    int tokens[PREFIX + NEW];
    struct bench_samples samples = {0};
    struct job job = {.kind = JOB_SCORE,
                      .adapter = b->adapter,
                      .tokens = tokens,
                      .token_count = PREFIX};
    double ms;

    bench_tokens(b, tokens, PREFIX);
    if (!bench_job_ms(b, &job, &ms, err)) return false;
    job.token_count = PREFIX + NEW;
    while (bench_more(b, &samples)) {
        bench_tokens(b, tokens + PREFIX, NEW);
        if (!bench_job_ms(b, &job, &ms, err)) return false;
        bench_sample(&samples, ms);
    }
    *out = bench_median(&samples);
    return true;
}

bool bench_guard(struct bench *b, struct err *err) {
    double ms;

    if (!b->adapter) return true;
    if (!verdict_ms(b, &ms, err)) return false;
    bench_put(b, "guard_ms_100", "ms",
              "verdict on 100 tokens behind a cached prefix", ms);
    return true;
}
