/* classify.h - the learned score: the hashed n-gram tier and the guard model's
 * label head, joined by the adapter's own calibrated combiner
 * (guard/models/README.md). Event-loop thread. */
#ifndef CORRAL_GUARD_CLASSIFY_H
#define CORRAL_GUARD_CLASSIFY_H

#include "engine/engine.h"
#include "guard/policy.h"

struct classifier;
struct classify_job;

enum guard_role { GUARD_USER, GUARD_ASSISTANT };

struct guard_turn {
    enum guard_role role;
    struct span text;
};

/* What is judged is the last turn. */
struct classify_request {
    enum guard_model model;
    const struct guard_turn *turns;
    int turn_count;
    /* GUARD_MODEL_ACTIVATED on what the main model has read: its own tokens up
     * to the end of the judged text; then `turns` serves the n-grams only.
     * NULL: the conversation is rendered as the main model's prompt would be.
     */
    const int *tokens;
    int token_count;
    int tokens_max; /* a longer text is ERR_LIMIT */
    uint64_t client;
    uint64_t deadline_ms;
};

/* scores[LABEL_COUNT], or NULL with `err`. */
typedef void classify_done(void *user, const float *scores,
                           const struct err *err);

/* Loads ngrams.gguf, guard.gguf and guard-activated.gguf from `folder` into
 * `engine` (which must outlive it). */
MUST_USE struct classifier *
classifier_open(struct engine *engine, const char *folder, struct err *err);
void classifier_close(struct classifier *c);
float classifier_threshold(const struct classifier *c, enum guard_model model,
                           enum level level, int label);

/* Everything is copied. `done` is called once, from engine_poll(), never from
 * inside this call; not after classify_cancel(). NULL with `err` when it could
 * not be queued: the caller must then block. */
MUST_USE struct classify_job *classify_start(struct classifier *c,
                                             const struct classify_request *r,
                                             classify_done *done, void *user,
                                             struct err *err);
void classify_cancel(struct classify_job *job);

#endif
