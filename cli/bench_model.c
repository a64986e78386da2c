/* bench_model.c - prefill and decode of the bare model, and how near decode
 * comes to the memory's speed. */
#include "cli/bench.h"

enum {
    SHORT = 100,
    PROMPT = 64, /* before decoding */
    TOGETHER = 8 /* sequences, the most */
};

static bool prefill_ms(struct bench *b, int count, double *out,
                       struct err *err) {
    struct bench_samples samples = {0};
    double ms;

    while (bench_more(b, &samples)) {
        if (!bench_prompt_ms(b, count, &ms, err)) return false;
        bench_sample(&samples, ms);
    }
    *out = bench_median(&samples);
    return true;
}

bool bench_prefill(struct bench *b, struct err *err) {
    double ms;

    if (!prefill_ms(b, b->prompt, &ms, err)) return false;
    bench_put(b, "prefill_tok_s", "tok/s", "prefill of prompt_tokens",
              b->prompt * 1000 / ms);
    if (!prefill_ms(b, SHORT, &ms, err)) return false;
    bench_put(b, "prefill_ms_100", "ms", "prefill of 100 tokens", ms);
    return true;
}

bool bench_decode_once(struct bench *b, int count, double *out,
                       struct err *err) {
    int tokens[TOGETHER][PROMPT], total = 0;
    struct bench_run runs[TOGETHER] = {{0}}, warm[TOGETHER] = {{0}};
    struct job jobs[TOGETHER] = {{0}};
    uint64_t end_ns = 0;

    for (int i = 0; i < count; i++) {
        bench_tokens(b, tokens[i], PROMPT);
        jobs[i] = bench_prompt_job(tokens[i], PROMPT);
    }
    if (!bench_jobs(b, jobs, count, warm, err)) return false;
    for (int i = 0; i < count; i++) {
        jobs[i] = bench_decode_job(b, tokens[i], PROMPT, b->decode);
        jobs[i].client = (uint64_t)i;
    }
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
        if (!bench_decode_once(b, count, &tok_s, err)) return false;
        bench_sample(&samples, tok_s);
    }
    *out = bench_median(&samples);
    return true;
}

bool bench_decode(struct bench *b, struct err *err) {
    double tok_s;

    if (!decode_tok_s(b, 1, &tok_s, err)) return false;
    bench_put(b, "decode_tok_s", "tok/s", "decode, one sequence", tok_s);
    return true;
}

bool bench_decode8(struct bench *b, struct err *err) {
    double tok_s;

    if (!decode_tok_s(b, TOGETHER, &tok_s, err)) return false;
    bench_put(b, "decode8_tok_s", "tok/s", "decode, 8 sequences, their sum",
              tok_s);
    return true;
}
