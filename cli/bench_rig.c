#include "cli/bench.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

enum { SAMPLES_LEAST = 3, SAMPLES_MS = 1200, SAMPLES_LONG_MS = 6000 };

void bench_init(struct bench *b) {
    const struct tokenizer *t = engine_tokenizer(b->engine);

    for (int i = 0; i < tokenizer_vocab(t); i++)
        if (tokenizer_is_end(t, i) && b->end_count < BENCH_ENDS_MAX)
            b->ends[b->end_count++] = (struct token_bias){i, -100};
}

void bench_put(struct bench *b, const char *key, const char *unit,
               const char *about, double value) {
    if (b->figure_count == BENCH_FIGURES_MAX) abort();
    b->figures[b->figure_count++] =
        (struct bench_figure){key, unit, about, value};
}

double bench_get(const struct bench *b, const char *key) {
    for (int i = 0; i < b->figure_count; i++)
        if (!strcmp(b->figures[i].key, key)) return b->figures[i].value;
    return NAN;
}

/* ---- prompts ---- */

/* xorshift64: the same prompts on every run. */
static unsigned draw(struct bench *b, unsigned below) {
    uint64_t x = b->random ? b->random : 0x9e3779b97f4a7c15u;

    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    b->random = x;
    return (unsigned)(x >> 32) % below;
}

static void put_word(struct bench *b, struct bytes *out, const char *before,
                     const char *const *words, unsigned count) {
    bytes_puts(out, before);
    bytes_puts(out, words[draw(b, count)]);
}

#define PUT(before, words)                                                     \
    put_word(b, out, before, words, sizeof(words) / sizeof(words)[0])

/* "The old baker brought twelve green apples to the harbour in March. " */
static void put_sentence(struct bench *b, struct bytes *out) {
    static const char *const who[] = {
        "baker",  "sailor",   "teacher", "painter", "farmer",  "cousin",
        "doctor", "gardener", "tailor",  "student", "drummer", "clerk"};
    static const char *const how[] = {"old",   "young", "quiet",  "cheerful",
                                      "tired", "tall",  "clever", "patient"};
    static const char *const did[] = {"brought", "sold",  "carried", "counted",
                                      "painted", "sent",  "showed",  "lent",
                                      "gave",    "moved", "washed",  "offered"};
    static const char *const number[] = {"two",   "three",  "five",
                                         "seven", "twelve", "twenty",
                                         "forty", "sixty",  "ninety"};
    static const char *const colour[] = {"red",  "green", "yellow", "small",
                                         "blue", "grey",  "heavy",  "wooden"};
    static const char *const what[] = {"apples",  "boats",  "letters", "chairs",
                                       "lamps",   "books",  "stones",  "shirts",
                                       "bottles", "clocks", "pears",   "kites"};
    static const char *const where[] = {"harbour", "market", "school",
                                        "station", "garden", "library",
                                        "bridge",  "mill",   "village"};
    static const char *const when[] = {"March",  "April",   "June",
                                       "July",   "October", "the rain",
                                       "winter", "summer",  "the evening"};

    PUT("The ", how);
    PUT(" ", who);
    PUT(" ", did);
    PUT(" ", number);
    PUT(" ", colour);
    PUT(" ", what);
    PUT(" to the ", where);
    PUT(" in ", when);
    bytes_puts(out, ". ");
}

void bench_tokens(struct bench *b, int *out, int count) {
    struct bytes text = {0};
    struct tokens tokens = {0};

    while (tokens.count < (size_t)count) {
        text.size = 0;
        put_sentence(b, &text);
        if (!tokenizer_encode(engine_tokenizer(b->engine), span_bytes(&text),
                              &tokens, NULL))
            abort(); /* the list has no limit, and the text is short */
    }
    memcpy(out, tokens.at, (size_t)count * sizeof *out);
    tokens_free(&tokens);
    bytes_free(&text);
}

void bench_text(struct bench *b, int count, struct bytes *out) {
    struct tokens tokens = {0};

    out->size = 0;
    while (tokens.count < (size_t)count) {
        size_t from = out->size;

        put_sentence(b, out);
        if (!tokenizer_encode(engine_tokenizer(b->engine),
                              span_slice(span_bytes(out), from, out->size),
                              &tokens, NULL))
            abort();
    }
    tokens_free(&tokens);
}

/* ---- jobs ---- */

struct job bench_prompt_job(const int *tokens, int count) {
    static const int label = 0;

    return (struct job){.kind = JOB_SCORE,
                        .tokens = tokens,
                        .token_count = count,
                        .labels = &label,
                        .label_count = 1};
}

struct job bench_decode_job(const struct bench *b, const int *tokens, int count,
                            int max_tokens) {
    struct sampling sampling = SAMPLING_GREEDY;

    sampling.biases = b->ends;
    sampling.bias_count = b->end_count;
    return (struct job){.kind = JOB_GENERATE,
                        .tokens = tokens,
                        .token_count = count,
                        .sampling = sampling,
                        .no_speculation = true,
                        .max_tokens = max_tokens};
}

static void on_event(void *user, const struct job_event *event) {
    struct bench_run *run = user;

    if (event->kind == JOB_TEXT) {
        if (run->text_count < run->text_max)
            run->text_ns[run->text_count++] = clock_ns();
        if (run->output && !tokens_append(run->output, event->tokens,
                                          (size_t)event->token_count, NULL))
            abort(); /* the list has no limit */
    }
    if (event->kind != JOB_DONE) return;
    run->end_ns = clock_ns();
    run->usage = event->usage;
    run->err = event->err;
    run->ended = true;
}

bool bench_submit(struct bench *b, struct job *jobs, int count,
                  struct bench_run *runs, uint64_t *ids, struct err *err) {
    int done = 0;

    while (done < count) {
        jobs[done].on_event = on_event;
        jobs[done].user = &runs[done];
        runs[done].start_ns = clock_ns();
        ids[done] = engine_submit(b->engine, &jobs[done], err);
        if (!ids[done]) break;
        done++;
    }
    if (done == count) return true;
    while (done > 0) engine_cancel(b->engine, ids[--done]);
    return false;
}

void bench_wait(struct bench *b) {
    (void)engine_wait(b->engine, 1000);
    (void)engine_poll(b->engine);
}

static bool all_ended(const struct bench_run *runs, int count) {
    for (int i = 0; i < count; i++)
        if (!runs[i].ended) return false;
    return true;
}

bool bench_jobs(struct bench *b, struct job *jobs, int count,
                struct bench_run *runs, struct err *err) {
    uint64_t ids[BENCH_JOBS_MAX];

    if (count > BENCH_JOBS_MAX) abort();
    if (!bench_submit(b, jobs, count, runs, ids, err)) return false;
    while (!all_ended(runs, count)) bench_wait(b);
    for (int i = 0; i < count; i++) {
        if (!runs[i].err.code) continue;
        if (err) *err = runs[i].err;
        return false;
    }
    return true;
}

bool bench_job_ms(struct bench *b, struct job *job, double *ms,
                  struct err *err) {
    struct bench_run run = {0};

    if (!bench_jobs(b, job, 1, &run, err)) return false;
    *ms = (double)(run.end_ns - run.start_ns) / 1e6;
    return true;
}

bool bench_prompt_ms(struct bench *b, int count, double *ms, struct err *err) {
    int tokens[BENCH_PROMPT_MAX];
    struct job job;

    bench_tokens(b, tokens, count);
    job = bench_prompt_job(tokens, count);
    return bench_job_ms(b, &job, ms, err);
}

/* ---- samples ---- */

bool bench_more(const struct bench *b, struct bench_samples *s) {
    uint64_t ms;

    if (s->count == 0) s->start_ns = clock_ns();
    ms = (clock_ns() - s->start_ns) / 1000000;
    if (s->count < 1) return true;
    if (b->quick || s->count == BENCH_SAMPLES_MAX) return false;
    return ms < (s->count < SAMPLES_LEAST ? SAMPLES_LONG_MS : SAMPLES_MS);
}

void bench_sample(struct bench_samples *s, double value) {
    s->value[s->count++] = value;
}

static int compare(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

double bench_median(struct bench_samples *s) {
    int middle = s->count / 2;

    qsort(s->value, (size_t)s->count, sizeof s->value[0], compare);
    if (s->count % 2) return s->value[middle];
    return (s->value[middle - 1] + s->value[middle]) / 2;
}
