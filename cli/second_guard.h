/* second_guard.h - the Llama Guard that a configuration names, here or behind a
 * server, opened for the daemon. Event-loop thread. */
#ifndef CORRAL_CLI_SECOND_GUARD_H
#define CORRAL_CLI_SECOND_GUARD_H

#include <uv.h>

#include "proxy/config.h"

struct second_guard;

/* Borrows both. A configuration without one gives an object without a peer. */
MUST_USE struct second_guard *second_guard_open(uv_loop_t *loop,
                                                const struct config *config,
                                                struct err *err);
/* After the guard. Frees itself in the loop. NULL is fine. */
void second_guard_close(struct second_guard *s);
/* The next verdicts go by these, strict, balanced, loose. */
void second_guard_set(struct second_guard *s,
                      const float thresholds[LEVEL_OFF]);
/* Borrowed; NULL: none. */
const struct peer *second_guard_peer(const struct second_guard *s);

#endif
