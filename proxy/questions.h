/* questions.h - what the classifier is asked about a request: its last user
 * turn within the conversation; each system turn by itself, since instructions
 * may hide there; and each tool result that no answer has followed yet. Earlier
 * turns were the last ones of earlier requests; the guard reads them as
 * context. Each prompt of a raw request is a question of its own. */
#ifndef CORRAL_PROXY_QUESTIONS_H
#define CORRAL_PROXY_QUESTIONS_H

#include "agent/chat.h"
#include "guard/classify.h"

/* One question: the last of `turns`. */
struct question {
    enum channel channel;
    bool system; /* a system turn */
    const struct guard_turn *turns;
    int turn_count;
};

/* All of them, in the request's arena, the conversation's first. None is fine.
 */
MUST_USE bool questions_plan(const struct chat_request *r,
                             const struct policy *policy, struct question **out,
                             int *count, struct err *err);

#endif
