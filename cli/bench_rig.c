#include "cli/bench.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

enum { SAMPLES_LEAST = 3, SAMPLES_MS = 1200 };

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

/* xorshift64: the same prompts on every run. */
static uint64_t next_random(uint64_t *state) {
    uint64_t x = *state ? *state : 0x9e3779b97f4a7c15u;

    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    return *state = x;
}

void bench_tokens(struct bench *b, int *out, int count) {
    const struct tokenizer *t = engine_tokenizer(b->engine);
    uint64_t vocab = (uint64_t)tokenizer_vocab(t);

    for (int i = 0; i < count;) {
        int token = (int)(next_random(&b->random) % vocab);

        if (!tokenizer_is_control(t, token)) out[i++] = token;
    }
}

/* ---- jobs ---- */

static void on_event(void *user, const struct job_event *event) {
    struct bench_run *run = user;

    if (event->kind == JOB_TEXT && run->text_count < run->text_max)
        run->text_ns[run->text_count++] = clock_ns();
    if (event->kind != JOB_DONE) return;
    run->end_ns = clock_ns();
    run->usage = event->usage;
    run->err = event->err;
    run->ended = true;
}

static bool all_ended(const struct bench_run *runs, int count) {
    for (int i = 0; i < count; i++)
        if (!runs[i].ended) return false;
    return true;
}

bool bench_jobs(struct bench *b, struct job *jobs, int count,
                struct bench_run *runs, struct err *err) {
    uint64_t ids[BENCH_JOBS_MAX] = {0};
    bool ok = true;

    for (int i = 0; ok && i < count; i++) {
        jobs[i].on_event = on_event;
        jobs[i].user = &runs[i];
        runs[i].start_ns = clock_ns();
        ids[i] = engine_submit(b->engine, &jobs[i], err);
        ok = ids[i] != 0;
    }
    if (!ok) { /* the runs are about to go */
        for (int i = 0; i < count; i++) engine_cancel(b->engine, ids[i]);
        return false;
    }
    while (!all_ended(runs, count)) {
        (void)engine_wait(b->engine, 1000);
        (void)engine_poll(b->engine);
    }
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

/* ---- samples ---- */

bool bench_more(const struct bench *b, struct bench_samples *s) {
    int most = (int)(sizeof s->value / sizeof s->value[0]);

    if (s->count == 0) s->start_ns = clock_ns();
    if (b->quick) return s->count < 1;
    if (s->count < SAMPLES_LEAST) return true;
    return s->count < most &&
           clock_ns() - s->start_ns < SAMPLES_MS * (uint64_t)1000000;
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
