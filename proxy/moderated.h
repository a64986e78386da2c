/* moderated.h - the inline `moderation` parameter of OpenAI's chat and
 * responses: what a client asks for, what the verdicts over its request say,
 * and the object in the answer that tells it. The policy is the operator's: a
 * client can have more blocked than the policy blocks, never less. Event-loop
 * thread. */
#ifndef CORRAL_PROXY_MODERATED_H
#define CORRAL_PROXY_MODERATED_H

#include "agent/chat.h"
#include "guard/policy.h"
#include "proxy/moderation_result.h"

/* All zero: it was not asked for, and nothing below does anything. */
struct moderated {
    bool wanted;
    bool blocks_input; /* mode "block": what is flagged is blocked */
    bool blocks_output;
    struct moderation_result input;
    struct moderation_result outputs[CHAT_CHOICES_MAX]; /* of each choice */
};

/* {"model", "policy": {"input": {"mode"}, "output": {"mode"}}} of a body.
 * ERR_INPUT with err->field. */
MUST_USE bool moderated_parse(const cJSON *body, struct moderated *out,
                              struct err *err);
/* Keep what a verdict says, of channels other than these two nothing. `choice`
 * is the output's. */
void moderated_note(struct moderated *m, enum channel channel, int choice,
                    const struct verdict *v);
/* Make what flags in `v` block where the client wants that. False: nothing was
 * changed. */
bool moderated_harden(const struct moderated *m, enum channel channel,
                      struct verdict *v);
/* Must an output be kept whole until its last verdict: does the policy let pass
 * some of what flags? */
bool moderated_holds(const struct moderated *m, const struct policy *p);

/* `,"moderation":{"input":...,"output":...}`, or nothing when it was not asked
 * for. A list of results each (chat completions), or with `bare` one result
 * (responses). */
MUST_USE bool moderated_put(const struct moderated *m, int choices, bool bare,
                            struct bytes *out, struct err *err);

#endif
