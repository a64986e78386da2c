/* bench.h - how fast the engine and the guard are on this machine: figures
 * with names, and the rig that runs jobs and looks at the clock. One thread,
 * the command's. Each part of the bench is one function that adds its
 * figures. */
#ifndef CORRAL_CLI_BENCH_H
#define CORRAL_CLI_BENCH_H

#include "guard/guard.h"

enum {
    BENCH_FIGURES_MAX = 64,
    BENCH_JOBS_MAX = 16,
    BENCH_SAMPLES_MAX = 32,
    BENCH_ENDS_MAX = 32,
    BENCH_PROMPT_MAX = 4096 /* of --prompt and --tokens */
};

struct bench_figure {
    const char *key;  /* in JSON */
    const char *unit; /* "tok/s" */
    const char *about;
    double value;
};

struct bench {
    struct engine *engine;
    struct guard *guard; /* NULL: not for this base model */
    int threads;
    int prompt; /* tokens of a prefill (512) */
    int decode; /* tokens of a decode (128) */
    bool quick; /* each figure once: to see that it works */
    uint64_t began_ns;
    uint64_t random;                        /* state of the texts below */
    struct token_bias ends[BENCH_ENDS_MAX]; /* no end tokens */
    int end_count;
    struct bench_figure figures[BENCH_FIGURES_MAX];
    int figure_count;
};

/* Of the full guard in the engine: classifier_open() loads it first. */
enum { BENCH_ADAPTER_FULL = 1 };

/* Once `engine` is there. */
void bench_init(struct bench *b);

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
    struct tokens *output; /* may be NULL */
};

/* Exactly `count` tokens of plain English that no prompt had before, so that
 * no cache knows them. */
void bench_tokens(struct bench *b, int *out, int count);
/* The same as text, of about `count` tokens. */
void bench_text(struct bench *b, int count, struct bytes *out);

/* A prompt alone: a score job with one row of the head, so that nothing but
 * the prompt costs. Borrows `tokens`. */
struct job bench_prompt_job(const int *tokens, int count);
/* Greedy, without guessing, and the model may not end it before max_tokens.
 * Borrows the bench, too. */
struct job bench_decode_job(const struct bench *b, const int *tokens, int count,
                            int max_tokens);

/* Submit all at once; sets each job's callback. runs[i] is zero but for the
 * places that it may have, and must live until its job has ended or was
 * cancelled. `ids` gets their numbers. */
MUST_USE bool bench_submit(struct bench *b, struct job *jobs, int count,
                           struct bench_run *runs, uint64_t *ids,
                           struct err *err);
/* Let the engine work until something came of it. */
void bench_wait(struct bench *b);
/* Submit, and wait until all have ended. */
MUST_USE bool bench_jobs(struct bench *b, struct job *jobs, int count,
                         struct bench_run *runs, struct err *err);
/* One job, in milliseconds. */
MUST_USE bool bench_job_ms(struct bench *b, struct job *job, double *ms,
                           struct err *err);
/* A prompt of `count` tokens (at most BENCH_PROMPT_MAX) that no cache knows. */
MUST_USE bool bench_prompt_ms(struct bench *b, int count, double *ms,
                              struct err *err);

/* Tokens a second of `count` sequences (at most 8) together. Their prompts are
 * in the prefix cache when the clock starts, so every step is a decode step. */
MUST_USE bool bench_decode_once(struct bench *b, int count, double *tok_s,
                                struct err *err);

/* Samples of one figure, as many as the clock allows. All zero is none. */
struct bench_samples {
    double value[BENCH_SAMPLES_MAX];
    int count;
    uint64_t start_ns;
};

/* True while another sample is due: for about a second, at least three unless
 * they are long (once for a quick look). */
bool bench_more(const struct bench *b, struct bench_samples *s);
void bench_sample(struct bench_samples *s, double value);
double bench_median(struct bench_samples *s); /* sorts them */

/* The parts. */
MUST_USE bool bench_prefill(struct bench *b, struct err *err);
MUST_USE bool bench_decode(struct bench *b, struct err *err);
MUST_USE bool bench_decode8(struct bench *b, struct err *err);
MUST_USE bool bench_memory(struct bench *b, struct err *err);
MUST_USE bool bench_guard(struct bench *b, struct err *err);
MUST_USE bool bench_activated(struct bench *b, struct err *err);
MUST_USE bool bench_stream(struct bench *b, struct err *err);
MUST_USE bool bench_turns(struct bench *b, struct err *err);
MUST_USE bool bench_latency(struct bench *b, struct err *err);
MUST_USE bool bench_speculation(struct bench *b, struct err *err);
MUST_USE bool bench_grammar(struct bench *b, struct err *err);
MUST_USE bool bench_rules(struct bench *b, struct err *err);
/* What the process holds; before and after the parts. */
void bench_start(struct bench *b);
void bench_resident(struct bench *b);

#endif
