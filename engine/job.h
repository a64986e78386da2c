/* job.h - what is asked of the engine and what it answers. */
#ifndef CORRAL_ENGINE_JOB_H
#define CORRAL_ENGINE_JOB_H

#include "base/bytes.h"
#include "engine/grammar.h"
#include "engine/sampler.h"

enum {
    ENGINE_STOPS_MAX = 16,
    ENGINE_STOP_BYTES_MAX = 256,
    ENGINE_ADAPTERS_MAX = 16,
    ENGINE_LABELS_MAX = 1024 /* head rows of one score job */
};

enum job_kind { JOB_GENERATE, JOB_SCORE };

enum job_end {
    JOB_END_STOP,   /* an end token, or a stop string (not part of the text) */
    JOB_END_LENGTH, /* max_tokens or the context's end */
    JOB_END_ERROR   /* event.err says why */
};

enum job_event_kind { JOB_TEXT, JOB_SCORES, JOB_DONE };

struct job_usage {
    int prompt_tokens;
    int cached_tokens; /* of the prompt, taken from the prefix cache */
    int output_tokens;
    int drafted_tokens;  /* guessed from the text itself, and checked */
    int accepted_tokens; /* of these: they cost no step of their own */
};

/* Everything borrowed is valid during the callback only. */
struct job_event {
    enum job_event_kind kind;
    struct span text;  /* JOB_TEXT: whole UTF-8, held back while it could
                        * begin a stop string */
    const int *tokens; /* JOB_TEXT: those whose last byte is in this text
                        * (a control token has none); end tokens and what
                        * spelled a stop string are not among them */
    int token_count;
    /* JOB_TEXT, (token_count, 1 + rival_count) when job.logprobs asks for it,
     * else NULL: each token's own, then its rivals, the likeliest first. A
     * rival that does not exist is token -1. */
    const struct token_logprob *logprobs;
    int rival_count;
    const float *scores; /* JOB_SCORES: raw logits, of labels or the head, or
                          * a hidden state */
    int score_count;
    enum job_end end; /* JOB_DONE: always the last event of a job */
    int stop;         /* JOB_END_STOP: 1 + the index of the stop string, or 0 */
    bool context_full;      /* JOB_END_LENGTH: the context ended the text,
                             * before max_tokens did */
    struct job_usage usage; /* JOB_DONE, JOB_SCORES */
    struct err err;         /* JOB_DONE with JOB_END_ERROR */
};

struct job {
    enum job_kind kind;
    const int *tokens; /* the prompt, copied */
    int token_count;
    int adapter;     /* from engine_adapter_add(), 0: the base model */
    int active_from; /* the adapter applies from this position on. 0: to the
                      * whole text (full); positions before an activated
                      * adapter's invocation share the base model's KV. In a
                      * generate job it also applies to what is generated. */
    uint64_t client; /* fairness: clients take turns; 0 is one of them */
    uint64_t deadline_ms; /* clock_ms() time; 0: none. Past it: ERR_TIMEOUT */

    const int *labels; /* JOB_SCORE: head rows wanted at the last position; */
    int label_count;   /* 0: the adapter's label head */
    bool embed;        /* JOB_SCORE without labels: the scores are the last
                        * position's hidden state itself, shape.embedding floats */

    struct sampling sampling; /* JOB_GENERATE from here on; biases copied */
    bool logprobs;
    int rival_count; /* with logprobs: 0 to LOGPROBS_TOP_MAX */
    int max_tokens;
    const struct span *stops; /* copied */
    int stop_count;
    struct grammar *grammar; /* the job takes a reference; may be NULL */
    /* That max_tokens cuts the text off within the grammar does no harm. Then
     * what is still to come is reckoned at three bytes a token, as text goes,
     * not at one: near the end the shorter way is not taken for its shortness.
     */
    bool may_be_cut;
    bool no_speculation; /* the same tokens, one a step */

    void (*on_event)(void *user, const struct job_event *event);
    void *user;
};

struct engine_stats {
    uint64_t jobs_done;
    uint64_t prompt_tokens;
    uint64_t cached_tokens;
    uint64_t output_tokens;
    uint64_t drafted_tokens;
    uint64_t accepted_tokens;
    uint64_t steps;
    int jobs_waiting;
    int jobs_running;
    int kv_used; /* positions held by live sequences */
    int kv_total;
};

#endif
