/* task.h - one job in the engine: its copy, and where it stands. The owner
 * makes it and hands it to the scheduler; afterwards the two share only the
 * reference count and the flags, everything else is the scheduler thread's. */
#ifndef CORRAL_ENGINE_TASK_H
#define CORRAL_ENGINE_TASK_H

#include <stdatomic.h>

#include "engine/draft.h"
#include "engine/hold.h"
#include "engine/job.h"
#include "engine/kv.h"

struct task {
    atomic_int references;
    atomic_bool cancelled;
    atomic_bool paused; /* a generation whose text nobody takes now */
    uint64_t id;        /* grows with the order of arrival */
    enum job_kind kind;
    uint64_t client;
    uint64_t deadline_ms; /* 0: none */
    int adapter;          /* 0: none */
    int active_from;
    int *labels;
    int label_count;
    bool embed;
    struct sampling sampling;  /* its biases are ours */
    struct token_bias *biases; /* the same */
    int output_max;
    struct grammar_state *grammar; /* NULL: free text */
    bool may_be_cut;
    struct hold hold;
    bool speculates;
    bool cut_by_context; /* output_max is less than was asked for */
    struct draft draft;

    struct kv_key *keys; /* prompt, output, a guess; room for all of them */
    int *tokens;         /* the same without adapters, for the sampler */
    /* (count, 1 + rival_count) of the tokens that `hold` has, as in a
     * job_event; unused unless asked for */
    bool logprobs;
    int rival_count;
    struct token_logprob *held_logprobs;
    size_t held_count, held_capacity;
    int prompt_count;
    int known;    /* keys so far */
    int computed; /* of them have their KV */
    int planned;  /* rows in the step being made, the guess among them */
    struct draft_guess guess; /* in the step being made: keys from known on */
    int cached; /* prompt positions that came from the cache; -1: not yet
                 * admitted */
    struct sequence *sequence; /* NULL: waiting */
};

/* A copy of a job that has been checked. One reference, the caller's. */
struct task *task_new(uint64_t id, const struct job *job, int output_max);
struct task *task_ref(struct task *t);
void task_free(struct task *t); /* drops one reference */

bool task_rests(const struct task *t); /* it is to get no rows for now */
int task_output_count(const struct task *t);
/* The adapter's number at a position, 0 where it does not apply. */
int task_adapter_at(const struct task *t, int position);
/* Append a token that was generated. */
void task_push(struct task *t, int token);
/* Keep a report with the token that goes to `hold` now. */
void task_hold_report(struct task *t, const struct sampler_report *report);
/* Copy the first `count` rows out and forget them. */
void task_take_logprobs(struct task *t, size_t count,
                        struct token_logprob *out);
/* Guess what comes after the known tokens, with `rows` texts in the step, in
 * no more than `most` tokens and none past what the job may still say. */
void task_guess(struct task *t, int most, int rows);

#endif
