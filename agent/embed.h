/* embed.h - a text as a vector: the hidden state that the model ends the text
 * with, brought to length 1. Event-loop thread. */
#ifndef CORRAL_AGENT_EMBED_H
#define CORRAL_AGENT_EMBED_H

#include "base/bytes.h"

struct engine;
struct embed; /* one text under way */

/* `size` floats, borrowed during the callback; NULL with `err`. Comes once,
 * from engine_poll(), never from inside embed_start(). */
typedef void embed_done(void *user, const float *vector, int size,
                        int prompt_tokens, const struct err *err);

/* NULL with `err`: ERR_LIMIT past the model's context, ERR_BUSY. */
MUST_USE struct embed *embed_start(struct engine *engine, struct span text,
                                   uint64_t client, embed_done *done,
                                   void *user, struct err *err);
/* Not after `done`. NULL is fine. */
void embed_cancel(struct embed *e);

#endif
