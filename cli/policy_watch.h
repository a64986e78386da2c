/* policy_watch.h - tells when something in a policy's folder has changed: the
 * policy, a pack, a head. Everything here is the event loop's. */
#ifndef CORRAL_CLI_POLICY_WATCH_H
#define CORRAL_CLI_POLICY_WATCH_H

#include <uv.h>

#include "base/err.h"

struct policy_watch;

/* `on_change` is called a moment after the last of several changes. NULL with
 * `err` when the system cannot watch the folder: SIGHUP still works then. The
 * watch does not keep the loop running. */
MUST_USE struct policy_watch *policy_watch_open(uv_loop_t *loop,
                                                const char *policy_path,
                                                void (*on_change)(void *user),
                                                void *user, struct err *err);
/* Freed once the loop has run its handles' close callbacks. NULL is fine. */
void policy_watch_close(struct policy_watch *w);

#endif
