/* ahead.h - an answer that was begun before it may be used: what comes is kept
 * here, unseen, until somebody may have it. Event-loop thread.
 *
 *   KEEPING -> its llm is started -> REPLAYING -> PASSING        (any) -> freed
 */
#ifndef CORRAL_PROXY_AHEAD_H
#define CORRAL_PROXY_AHEAD_H

#include <uv.h>

#include "agent/llm.h"

enum { AHEAD_BYTES_MAX = 1 << 20 };

struct ahead; /* opaque */

/* Begin. The request is borrowed until ahead_free() and must stay as it is; it
 * may not ask for log probabilities. What comes past AHEAD_BYTES_MAX waits at
 * the writer, or ends the attempt. */
struct ahead *ahead_start(uv_loop_t *loop, struct llm *llm,
                          const struct chat_request *r, uint64_t client);
/* A model whose first answer is the one that was begun (or, had that to be
 * given up, a new one); all later ones are the llm's own. Borrowed. */
struct llm *ahead_llm(struct ahead *a);
/* Cancels what runs. Frees itself in the loop. NULL is fine. */
void ahead_free(struct ahead *a);

#endif
