/* fence.h - a tool's result as the model is shown it: between two marks that
 * say whose words these are. The closing mark is a word that whoever wrote the
 * text cannot know, so no text can pretend to end, and to go on as a user or a
 * system turn. */
#ifndef CORRAL_AGENT_FENCE_H
#define CORRAL_AGENT_FENCE_H

#include "agent/chat.h"

/* Append `text` in its fence; `tool` is named when its name is a plain one.
 * `key` is a secret of this process. The word is made of the key and of the
 * text: the same text gets the same word, so that a conversation that comes
 * again finds its prefix in the KV cache, and any other text another. */
MUST_USE bool fence_put(uint64_t key, struct span tool, struct span text,
                        struct bytes *out, struct err *err);

/* Messages from `from` on as the model is shown them, at the same indices of
 * `out`: results in their fences, in the request's arena. A key of 0 leaves
 * them as they are. */
MUST_USE bool fence_messages(uint64_t key, const struct chat_request *r,
                             int from, struct chat_message *out,
                             struct err *err);

#endif
