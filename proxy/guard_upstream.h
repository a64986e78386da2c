/* guard_upstream.h - a Llama Guard behind an OpenAI-compatible server, as a
 * peer of the built-in guard. The server's own template frames the
 * conversation; it is asked for the likeliest tokens, and P(unsafe) is that of
 * the answer's first word. Its answer is as hostile as any input: what is not
 * "safe" or "unsafe" is an error, and the guard then blocks. Event-loop thread.
 *
 *   ASKED -> told (an answer, an error, or the deadline) or cancelled */
#ifndef CORRAL_PROXY_GUARD_UPSTREAM_H
#define CORRAL_PROXY_GUARD_UPSTREAM_H

#include <uv.h>

#include "agent/llm.h"
#include "guard/peer.h"

enum {
    GUARD_UPSTREAM_TOKENS = 64, /* of an answer */
    GUARD_UPSTREAM_RIVALS = 5,
    GUARD_UPSTREAM_TEXT_MAX = 1024 /* bytes of an answer */
};

struct guard_upstream;

/* Borrows the loop and the model, which must outlive it. `format` says which
 * category each code of the answer is. */
struct guard_upstream *guard_upstream_open(uv_loop_t *loop, struct llm *llm,
                                           enum llamaguard_format format);
void guard_upstream_close(struct guard_upstream *g);
/* Borrowed; its thresholds may be changed before it is used. */
struct peer *guard_upstream_peer(struct guard_upstream *g);

#endif
