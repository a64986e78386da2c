/* ollama.h - the readers of a body in Ollama's shape, for dialect_ollama.c.
 * Pure functions over memory. Each fills a part of `out`, copying texts into
 * its arena, or fails with ERR_INPUT, ERR_LIMIT or ERR_UNSUPPORTED and
 * err->field. */
#ifndef CORRAL_PROXY_OLLAMA_H
#define CORRAL_PROXY_OLLAMA_H

#include "agent/chat.h"

/* `messages` of /api/chat. Calls without an id get one, and so do the results
 * that answer them. */
MUST_USE bool ollama_messages(struct chat_request *out, const cJSON *body,
                              struct err *err);
/* `system` and `prompt` of /api/generate. */
MUST_USE bool ollama_prompt(struct chat_request *out, const cJSON *body,
                            struct err *err);

/* In ollama_options.c: everything else. */
MUST_USE bool ollama_options(struct chat_request *out, const cJSON *body,
                             struct err *err);

#endif
