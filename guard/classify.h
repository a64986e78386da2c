/* classify.h - the learned score: the hashed n-gram tier and the guard model's
 * label head, joined by the adapter's own calibrated combiner
 * (guard/models/README.md). Event-loop thread.
 *
 * What the guard model reads has the form it was trained on: a user's text
 * alone, or an answer behind the user turn it answers, of which the first half
 * window of tokens is kept. Older turns are the business of guard.c. */
#ifndef CORRAL_GUARD_CLASSIFY_H
#define CORRAL_GUARD_CLASSIFY_H

#include "engine/engine.h"
#include "guard/policy.h"

struct classifier;
struct classify_job;
struct classify_text;

enum { CLASSIFY_TOKENS_MAX = 65536 }; /* of one judged text, whoever asks */

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
    int tokens_max; /* a longer text is ERR_LIMIT; 0: CLASSIFY_TOKENS_MAX */
    uint64_t client;
    uint64_t deadline_ms;
};

/* scores[LABEL_COUNT], or NULL with `err`. */
typedef void classify_done(void *user, const float *scores,
                           const struct err *err);

/* Loads ngrams.gguf, guard.gguf and guard-activated.gguf from `folder` into
 * `engine` (which must outlive it). The last one may be missing: asking for
 * that model then fails. */
MUST_USE struct classifier *
classifier_open(struct engine *engine, const char *folder, struct err *err);
void classifier_close(struct classifier *c);
/* The same for the owner of another face of its engine; `c` outlives it. */
MUST_USE struct classifier *classifier_share(const struct classifier *c,
                                             struct engine *face);
bool classifier_has(const struct classifier *c, enum guard_model model);
/* 0, which everything passes, for a model that is not there. */
float classifier_threshold(const struct classifier *c, enum guard_model model,
                           enum level level, int label);

/* Everything is copied. `done` is called once, from engine_poll(), never from
 * inside this call; not after classify_cancel(). NULL with `err` when it could
 * not be queued: the caller must then block. */
MUST_USE struct classify_job *classify_start(struct classifier *c,
                                             const struct classify_request *r,
                                             classify_done *done, void *user,
                                             struct err *err);
/* Not after `done` was called: the job is gone by then. NULL is fine. */
void classify_cancel(struct classify_job *job);

/* The passage of a long text that the n-grams find worst (passage.h), a part of
 * `text`; false when the text is one passage. */
bool classify_passage(const struct classifier *c, struct span text,
                      struct span *out);

/* A text still arriving (stream.c), judged again and again as it grows. Each
 * piece is tokenised alone, so earlier tokens never change and the engine's
 * prefix cache makes the whole cost linear. Past a window the text is judged
 * from an overlap before the newest piece on. */
struct classify_text_options {
    enum guard_model model;
    enum guard_role role;           /* of the text */
    const struct guard_turn *turns; /* before it */
    int turn_count;
    /* As in classify_request: the main model's prompt, or NULL. */
    const int *prompt_tokens;
    int prompt_token_count;
};

MUST_USE struct classify_text *
classify_text_new(struct classifier *c, const struct classify_text_options *o,
                  struct err *err);
void classify_text_free(struct classify_text *t);
/* The next piece. Between two judgements at most a window of tokens. */
MUST_USE bool classify_text_add(struct classify_text *t, struct span piece,
                                struct err *err);
/* Tokens that the main model generated, in order, to ride on its KV. Used only
 * as long as their bytes are the text's. */
MUST_USE bool classify_text_ride(struct classify_text *t, const int *tokens,
                                 int count, struct err *err);
/* Judge the text so far, as classify_start() does. */
MUST_USE struct classify_job *classify_text_judge(struct classify_text *t,
                                                  uint64_t client,
                                                  uint64_t deadline_ms,
                                                  classify_done *done,
                                                  void *user, struct err *err);

#endif
