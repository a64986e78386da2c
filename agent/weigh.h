/* weigh.h - how likely a model is to give each of a few answers, when it may
 * write one of them and nothing else. The answers are walked as a tree of
 * tokens: where they part, a score job says how the model would go on, so the
 * probabilities are those of constrained decoding and sum to 1. Event-loop
 * thread. */
#ifndef CORRAL_AGENT_WEIGH_H
#define CORRAL_AGENT_WEIGH_H

#include "engine/tokenizer.h"

enum { WEIGH_ANSWERS_MAX = 255, WEIGH_ANSWER_BYTES_MAX = 1024 };

struct engine;
struct weigh; /* one question under way */

struct weigh_usage {
    int prompt_tokens;
    int cached_tokens; /* of them, when the first job came */
};

/* `count` probabilities in the order of the answers, borrowed during the
 * callback; NULL with `err`. Comes once, from engine_poll(), never from inside
 * weigh_start(). */
typedef void weigh_done(void *user, const double *probabilities, int count,
                        const struct weigh_usage *usage, const struct err *err);

struct weigh_options {
    const struct tokens *prompt; /* up to where the answer begins; copied */
    int end; /* the token after an answer: one may begin like another */
    const struct span *answers; /* copied; 1 to WEIGH_ANSWERS_MAX */
    int answer_count;
    uint64_t client;
};

/* NULL with `err`: ERR_INPUT when two answers are the same tokens, ERR_LIMIT
 * past the model's context or the limits above, ERR_BUSY. */
MUST_USE struct weigh *weigh_start(struct engine *engine,
                                   const struct weigh_options *o,
                                   weigh_done *done, void *user,
                                   struct err *err);
/* Not after `done`. NULL is fine. */
void weigh_cancel(struct weigh *w);

#endif
