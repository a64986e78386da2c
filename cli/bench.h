/* bench.h - how fast the engine is on this machine: figures with names, and
 * the rig that runs jobs and looks at the clock. One thread, the command's.
 * Each part of the bench is one function that adds its figures. */
#ifndef CORRAL_CLI_BENCH_H
#define CORRAL_CLI_BENCH_H

#include "engine/engine.h"

enum { BENCH_FIGURES_MAX = 64, BENCH_JOBS_MAX = 16, BENCH_TOKENS_MAX = 8192 };

struct bench_figure {
    const char *key;  /* in JSON */
    const char *unit; /* "tok/s" */
    const char *about;
    double value;
};

struct bench {
    struct engine *engine;
    bool quick;           /* few repetitions: to see that it works */
    int adapter;          /* the full guard's number, 0: there is none */
    uint64_t random;      /* state of bench_tokens() */
    double weights_bytes; /* of the model file's tensors */
    struct bench_figure figures[BENCH_FIGURES_MAX];
    int figure_count;
};

/* `key`, `unit` and `about` are borrowed for good. */
void bench_put(struct bench *b, const char *key, const char *unit,
               const char *about, double value);
/* Of a figure that was put; NAN when it was not. */
double bench_get(const struct bench *b, const char *key);

/* What came of a job. */
struct bench_run {
    uint64_t start_ns; /* submitted */
    uint64_t end_ns;   /* its last event came */
    struct job_usage usage;
    bool ended;
    struct err err;
    /* When texts came, for whoever set a place for them. */
    uint64_t *text_ns;
    int text_count, text_max;
};

/* `count` ordinary tokens that no prompt had before, so that no cache knows
 * them. */
void bench_tokens(struct bench *b, int *out, int count);
/* Submit all at once and wait for all. Sets each job's callback; runs[i] is
 * to be zero, or to have a place for times only. */
MUST_USE bool bench_jobs(struct bench *b, struct job *jobs, int count,
                         struct bench_run *runs, struct err *err);
/* One job, as milliseconds. */
MUST_USE bool bench_job_ms(struct bench *b, struct job *job, double *ms,
                           struct err *err);

/* Samples of one figure, as many as the clock allows. */
struct bench_samples {
    double value[32];
    int count;
    uint64_t start_ns;
};

/* True while another sample is due: at least three, then for about a second
 * (once for a quick look). */
bool bench_more(const struct bench *b, struct bench_samples *s);
void bench_sample(struct bench_samples *s, double value);
double bench_median(struct bench_samples *s); /* sorts them */

/* The parts. */
MUST_USE bool bench_prefill(struct bench *b, struct err *err);
MUST_USE bool bench_decode(struct bench *b, struct err *err);
MUST_USE bool bench_guard(struct bench *b, struct err *err);

#endif
