/* bench_speculation.c - what prompt lookup brings where the answer quotes, and
 * what it costs where there is nothing to quote. The answers must be equal. */
#include "cli/bench.h"

#include <stdlib.h>
#include <string.h>

enum { QUOTED = 128, PLAIN = 64 };

struct answer {
    double ms;
    struct job_usage usage;
    struct tokens tokens;
};

/* The prompt is in the prefix cache when the clock starts. */
static bool ask(struct bench *b, const struct tokens *prompt, float temperature,
                bool guessing, struct answer *out, struct err *err) {
    struct job job;
    struct bench_run run = {.output = &out->tokens};

    job = bench_decode_job(b, prompt->at, (int)prompt->count, b->decode);
    job.no_speculation = !guessing;
    job.sampling.temperature = temperature;
    out->tokens.count = 0;
    if (!bench_jobs(b, &job, 1, &run, err)) return false;
    out->ms = (double)(run.end_ns - run.start_ns) / 1e6;
    out->usage = run.usage;
    return true;
}

static bool equal(const struct tokens *a, const struct tokens *b) {
    return a->count == b->count &&
           (a->count == 0 ||
            memcmp(a->at, b->at, a->count * sizeof *a->at) == 0);
}

static bool quote_prompt(struct bench *b, struct tokens *out, struct err *err) {
    struct bytes text = {0}, prompt = {0};
    bool ok;

    bench_text(b, QUOTED, &text);
    ok = bytes_printf(&prompt, err,
                      "The text:\n%.*s\n\nThe same text once more:\n",
                      (int)text.size, text.at) &&
         tokenizer_encode(engine_tokenizer(b->engine), span_bytes(&prompt), out,
                          err);
    bytes_free(&text);
    bytes_free(&prompt);
    return ok;
}

static bool plain_prompt(struct bench *b, struct tokens *out, struct err *err) {
    int tokens[PLAIN];

    bench_tokens(b, tokens, PLAIN);
    return tokens_append(out, tokens, PLAIN, err);
}

struct gain {
    double ratio, accepted; /* of what was guessed */
};

/* With and without guessing, in turns, on the same prompts. */
static bool gain(struct bench *b,
                 bool (*make)(struct bench *, struct tokens *, struct err *),
                 float temperature, struct gain *out, struct err *err) {
    struct bench_samples ratios = {0};
    struct answer with = {0}, without = {0};
    struct tokens prompt = {0};
    double drafted = 0, accepted = 0, ms;
    bool ok = true;

    while (ok && bench_more(b, &ratios)) {
        struct job warm;

        prompt.count = 0;
        ok = make(b, &prompt, err);
        if (!ok) break;
        warm = bench_prompt_job(prompt.at, (int)prompt.count);
        ok = bench_job_ms(b, &warm, &ms, err) &&
             ask(b, &prompt, temperature, true, &with, err) &&
             ask(b, &prompt, temperature, false, &without, err);
        if (ok && !equal(&with.tokens, &without.tokens))
            ok = err_set(err, ERR_INTERNAL,
                         "guessing changed what the model says");
        bench_sample(&ratios, without.ms / with.ms);
        drafted += with.usage.drafted_tokens;
        accepted += with.usage.accepted_tokens;
    }
    tokens_free(&prompt);
    tokens_free(&with.tokens);
    tokens_free(&without.tokens);
    if (!ok) return false;
    out->ratio = bench_median(&ratios);
    out->accepted = drafted > 0 ? accepted / drafted : 0;
    return true;
}

bool bench_speculation(struct bench *b, struct err *err) {
    struct gain g;

    if (!gain(b, quote_prompt, 0, &g, err)) return false;
    bench_put(b, "quote_ratio", "",
              "prompt lookup where the answer quotes, to plain decode",
              g.ratio);
    bench_put(b, "quote_accepted", "", "of the tokens guessed", g.accepted);
    /* A small model left to itself repeats itself, which can be guessed: it
     * has to be thrown off. */
    if (!gain(b, plain_prompt, 1, &g, err)) return false;
    bench_put(b, "plain_ratio", "", "the same where it does not quote",
              g.ratio);
    return true;
}
