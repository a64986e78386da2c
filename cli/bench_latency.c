/* bench_latency.c - what one client's long prompt does to the others: the time
 * between tokens of four streams, alone and beside it; and what a grammar's
 * mask costs in a decode step. */
#include "cli/bench.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/json.h"

enum {
    STREAMS = 4,
    PROMPT = 64,
    SETTLED = 4,  /* tokens until all streams run */
    ALONE = 64,   /* tokens of each */
    TIMES = 4096, /* of each stream at most */
    LONG = 4000   /* the prompt beside them */
};

struct streams {
    int tokens[STREAMS][PROMPT];
    struct job jobs[STREAMS];
    struct bench_run runs[STREAMS];
    uint64_t ids[STREAMS];
    uint64_t times[STREAMS][TIMES];
};

static bool streams_start(struct bench *b, struct streams *s, struct err *err) {
    memset(s, 0, sizeof *s);
    for (int i = 0; i < STREAMS; i++) {
        bench_tokens(b, s->tokens[i], PROMPT);
        s->jobs[i] = bench_decode_job(b, s->tokens[i], PROMPT, TIMES);
        s->jobs[i].client = (uint64_t)i + 1;
        s->runs[i].text_ns = s->times[i];
        s->runs[i].text_max = TIMES;
    }
    return bench_submit(b, s->jobs, STREAMS, s->runs, s->ids, err);
}

static void streams_stop(struct bench *b, struct streams *s) {
    for (int i = 0; i < STREAMS; i++) engine_cancel(b->engine, s->ids[i]);
}

/* One that ended by itself need not be waited for. */
static bool streams_have(const struct streams *s, int count) {
    for (int i = 0; i < STREAMS; i++)
        if (s->runs[i].text_count < count && !s->runs[i].ended) return false;
    return true;
}

/* The gaps that end between the two times, of all streams, in order of size;
 * ms, the caller frees. */
static double *gaps(const struct streams *s, uint64_t from, uint64_t end,
                    int *count) {
    double *out = xalloc_array((size_t)STREAMS * TIMES, sizeof *out);

    *count = 0;
    for (int i = 0; i < STREAMS; i++)
        for (int k = 1; k < s->runs[i].text_count; k++)
            if (s->times[i][k] > from && s->times[i][k] <= end)
                out[(*count)++] =
                    (double)(s->times[i][k] - s->times[i][k - 1]) / 1e6;
    return out;
}

static int compare(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static void put_gaps(struct bench *b, const struct streams *s, uint64_t from,
                     uint64_t end, const char *p50, const char *p99) {
    int count;
    double *all = gaps(s, from, end, &count);

    qsort(all, (size_t)count, sizeof *all, compare);
    bench_put(b, p50, "ms", "between tokens of 4 streams, half are below",
              count ? all[count / 2] : NAN);
    bench_put(b, p99, "ms", "99 of 100 are below",
              count ? all[count * 99 / 100] : NAN);
    free(all);
}

static bool alone(struct bench *b, struct streams *s, struct err *err) {
    uint64_t from;

    if (!streams_start(b, s, err)) return false;
    while (!streams_have(s, SETTLED)) bench_wait(b);
    from = clock_ns();
    while (!streams_have(s, SETTLED + ALONE)) bench_wait(b);
    streams_stop(b, s);
    put_gaps(b, s, from, clock_ns(), "gap_p50_ms", "gap_p99_ms");
    return true;
}

/* A prompt as long as the context allows, up to LONG tokens. */
static bool beside(struct bench *b, struct streams *s, struct err *err) {
    static int tokens[LONG];
    int context = engine_context(b->engine) - 1;
    int count = context < LONG ? context : LONG;
    struct job job = bench_decode_job(b, tokens, count, 1);
    struct bench_run run = {0};
    uint64_t id;

    job.client = STREAMS + 1;
    bench_tokens(b, tokens, count);
    if (!streams_start(b, s, err)) return false;
    while (!streams_have(s, SETTLED)) bench_wait(b);
    if (!bench_submit(b, &job, 1, &run, &id, err)) {
        streams_stop(b, s);
        return false;
    }
    while (!run.ended) bench_wait(b);
    streams_stop(b, s);
    if (run.err.code) {
        if (err) *err = run.err;
        return false;
    }
    put_gaps(b, s, run.start_ns, run.end_ns, "gap_busy_p50_ms",
             "gap_busy_p99_ms");
    bench_put(b, "long_prompt_ms", "ms",
              "until a 4,000-token prompt beside them has its answer",
              (double)(run.end_ns - run.start_ns) / 1e6);
    return true;
}

bool bench_latency(struct bench *b, struct err *err) {
    struct streams *s = xalloc(sizeof *s);
    bool ok = alone(b, s, err) && (b->quick || beside(b, s, err));

    free(s);
    return ok;
}

/* ---- a grammar's mask ---- */

static const char schema_text[] =
    "{\"type\":\"object\",\"properties\":{"
    "\"name\":{\"type\":\"string\",\"maxLength\":40},"
    "\"kind\":{\"enum\":[\"boat\",\"bridge\",\"mill\"]},"
    "\"year\":{\"type\":\"integer\",\"minimum\":1000,\"maximum\":2100},"
    "\"open\":{\"type\":\"boolean\"},"
    "\"tags\":{\"type\":\"array\",\"items\":{\"type\":\"string\"},"
    "\"maxItems\":5},"
    "\"place\":{\"type\":\"object\",\"properties\":{"
    "\"north\":{\"type\":\"number\"},\"east\":{\"type\":\"number\"}},"
    "\"required\":[\"north\",\"east\"]}},"
    "\"required\":[\"name\",\"kind\",\"year\",\"open\",\"tags\",\"place\"]}";

static const char sample_text[] =
    "{\"name\":\"The old mill by the harbour\",\"kind\":\"mill\","
    "\"year\":1874,\"open\":true,\"tags\":[\"wood\",\"water wheel\","
    "\"for children\"],\"place\":{\"north\":54.32,\"east\":-10.135}}";

/* Microseconds for a mask at each token of the sample: their mean. */
static bool mask_us(struct bench *b, const struct grammar *g, double *out,
                    struct err *err) {
    const struct tokenizer *t = engine_tokenizer(b->engine);
    size_t words = (size_t)tokenizer_vocab(t) / 64 + 1;
    uint64_t *mask = xalloc_array(words, sizeof *mask);
    struct grammar_state *state = grammar_state_new(g);
    struct tokens tokens = {0};
    uint64_t spent_ns = 0;
    bool ok = tokenizer_encode(t, span_of(sample_text), &tokens, err);

    for (size_t i = 0; ok && i < tokens.count; i++) {
        uint64_t from = clock_ns();

        grammar_state_mask(state, t, 1024, mask);
        spent_ns += clock_ns() - from;
        if (!grammar_state_feed(state, tokenizer_piece(t, tokens.at[i])))
            ok = err_set(err, ERR_INTERNAL, "the sample is not valid");
    }
    if (ok) *out = (double)spent_ns / 1e3 / (double)tokens.count;
    tokens_free(&tokens);
    grammar_state_free(state);
    free(mask);
    return ok;
}

bool bench_grammar(struct bench *b, struct err *err) {
    cJSON *schema = cJSON_Parse(schema_text);
    struct bench_samples samples = {0};
    double us = 0, steps = bench_get(b, "decode_tok_s");
    bool ok = true;

    while (ok && bench_more(b, &samples)) {
        /* A new one each time, since it keeps the masks that it has made. */
        struct grammar *g = grammar_from_schema(schema, err);

        ok = g && mask_us(b, g, &us, err);
        bench_sample(&samples, us);
        grammar_free(g);
    }
    cJSON_Delete(schema);
    if (!ok) return false;
    us = bench_median(&samples);
    bench_put(b, "grammar_mask_us", "us", "a JSON schema's mask, each token",
              us);
    if (isfinite(steps))
        bench_put(b, "grammar_share", "", "of a decode step", us * steps / 1e6);
    return true;
}
