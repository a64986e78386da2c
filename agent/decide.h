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
/* The same when a call is demanded: always one. */
int decision_best(const struct decision *d);

/* More worked examples, up to where the arguments of a call to this tool are
 * to be written: " {...}" comes next. Appended to `out`. */
MUST_USE bool decide_arguments_prompt(const struct tokenizer *t,
                                      const struct chat_request *r, int tool,
                                      struct tokens *out, struct err *err);
/* Can a request be handled so: it ends with a user's message, and has no more
 * tools than can be told apart. */
bool decide_can(const struct chat_request *r);

#endif
