/* bench_speed.c - prefill and decode of the bare model. */
#include "cli/bench.h"

enum {
    PREFILL = 512,
    PREFILL_SHORT = 100,
    PROMPT = 64, /* before decoding */
    DECODE = 128,
    TOGETHER = 8
};

/* Prefill alone: one row of the head, so that nothing but the prompt costs. */
static bool prefill_ms(struct bench *b, int count, double *out,
                       struct err *err) {
    int tokens[PREFILL], label = 0;
    struct bench_samples samples = {0};
    double ms;

    while (bench_more(b, &samples)) {
        struct job job = {.kind = JOB_SCORE,
                          .tokens = tokens,
                          .token_count = count,
                          .labels = &label,
                          .label_count = 1};

        bench_tokens(b, tokens, count);
        if (!bench_job_ms(b, &job, &ms, err)) return false;
        bench_sample(&samples, ms);
    }
    *out = bench_median(&samples);
    return true;
}

bool bench_prefill(struct bench *b, struct err *err) {
    double ms;

    if (!prefill_ms(b, PREFILL, &ms, err)) return false;
    bench_put(b, "prefill_tok_s", "tok/s", "prefill, 512 tokens",
              PREFILL * 1000 / ms);
    if (!prefill_ms(b, PREFILL_SHORT, &ms, err)) return false;
    bench_put(b, "prefill_ms_100", "ms", "prefill of 100 tokens", ms);
    return true;
}

/* Tokens a second of `count` sequences together. Their prompts are in the
 * prefix cache when the clock starts, so every step is a decode step. */
static bool decode_once(struct bench *b, int count, double *out,
                        struct err *err) {
    int tokens[TOGETHER][PROMPT], label = 0, total = 0;
    struct bench_run runs[TOGETHER] = {{0}}, warm[TOGETHER] = {{0}};
    struct job jobs[TOGETHER] = {{0}};
    uint64_t end_ns = 0;

    for (int i = 0; i < count; i++) {
        bench_tokens(b, tokens[i], PROMPT);
        jobs[i] = (struct job){.kind = JOB_SCORE,
                               .tokens = tokens[i],
                               .token_count = PROMPT,
                               .labels = &label,
                               .label_count = 1};
    }
    if (!bench_jobs(b, jobs, count, warm, err)) return false;
    for (int i = 0; i < count; i++)
        jobs[i] = (struct job){.kind = JOB_GENERATE,
                               .tokens = tokens[i],
                               .token_count = PROMPT,
                               .client = (uint64_t)i,
                               .sampling = SAMPLING_GREEDY,
                               .max_tokens = DECODE};
    if (!bench_jobs(b, jobs, count, runs, err)) return false;
    for (int i = 0; i < count; i++) {
        total += runs[i].usage.output_tokens;
        if (runs[i].end_ns > end_ns) end_ns = runs[i].end_ns;
    }
    *out = total * 1e9 / (double)(end_ns - runs[0].start_ns);
    return true;
}

static bool decode_tok_s(struct bench *b, int count, double *out,
                         struct err *err) {
    struct bench_samples samples = {0};
    double tok_s;

    while (bench_more(b, &samples)) {
        if (!decode_once(b, count, &tok_s, err)) return false;
        bench_sample(&samples, tok_s);
    }
    *out = bench_median(&samples);
    return true;
}

bool bench_decode(struct bench *b, struct err *err) {
    double tok_s;

    if (!decode_tok_s(b, 1, &tok_s, err)) return false;
    bench_put(b, "decode_tok_s", "tok/s", "decode, one sequence", tok_s);
    if (!decode_tok_s(b, TOGETHER, &tok_s, err)) return false;
    bench_put(b, "decode8_tok_s", "tok/s", "decode, 8 sequences, their sum",
              tok_s);
    return true;
}
