/* decide.h - does the last message need a tool, and which? For models that were
 * not trained to say so themselves. The model completes a short text of worked
 * examples ("Message: ... Tool: ..."); the scores of the tools' names against
 * "none" are compared with what they are for messages that need nothing. The
 * work is a few score jobs that share all but their last line.
 *
 *   decision_new -> { decision_next -> decision_scored } until decision_done
 */
#ifndef CORRAL_AGENT_DECIDE_H
#define CORRAL_AGENT_DECIDE_H

#include "agent/chat.h"
#include "engine/tokenizer.h"

struct decision;

/* A score job: the logits of `labels` after `tokens`. */
struct decision_question {
    const int *tokens;
    int token_count;
    const int *labels;
    int label_count;
};

/* NULL when there is nothing to decide: no tools, or the last message is not
 * a user's (a tool's result is answered, not followed by another call).
 * Borrows both. */
struct decision *decision_new(const struct tokenizer *t,
                              const struct chat_request *r);
void decision_free(struct decision *d);
/* The next question, borrowed until the next call. */
MUST_USE bool decision_next(struct decision *d, struct decision_question *out,
                            struct err *err);
void decision_scored(struct decision *d, const float *scores, int count);
bool decision_done(const struct decision *d);
/* The index of the tool, or -1 for none. */
int decision_tool(const struct decision *d);

#endif
