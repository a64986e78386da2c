/* summary.h - the turns that left a conversation, in a few words: what a model
 * is asked for them, and how they stand in the conversation from then on. The
 * words are the model's, made of whatever stood there, so they come as what a
 * tool said: fenced, judged as a result, and with the taint of the tools whose
 * results they were made of. Event-loop thread. */
#ifndef CORRAL_AGENT_SUMMARY_H
#define CORRAL_AGENT_SUMMARY_H

#include "agent/chat.h"

enum { SUMMARY_TOKENS_MAX = 256, SUMMARY_MESSAGES = 2 };

/* The call that is put before a summary, by its name. */
extern const char summary_call[];

/* Fill `out` (initialised) with the question that asks for a summary of
 * `messages`, in out->arena; `window` is the model's, in tokens, 0: not known.
 * Long texts are cut. */
MUST_USE bool summary_ask(const struct chat_request *r,
                          const struct chat_message *messages, int count,
                          int window, struct chat_request *out,
                          struct err *err);
/* A call and a result with the text, in r->arena: out[SUMMARY_MESSAGES]. */
MUST_USE bool summary_put(const struct chat_request *r,
                          const struct chat_message *messages, int count,
                          struct span text, struct chat_message *out,
                          struct err *err);
/* Is messages[index] such a call? */
bool summary_at(const struct chat_request *r, int index);
/* The tools that the summary of such a call was made of: a JSON list of names
 * in its arguments, read into arena memory; none for any other call. */
MUST_USE bool summary_sources(const struct chat_tool_call *call,
                              struct arena *arena, struct span **out,
                              int *count, struct err *err);

#endif
