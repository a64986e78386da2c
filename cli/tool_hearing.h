/* tool_hearing.h - what MCP servers say of their tools, heard under policies
 * before these are in force: by their checks of definitions and of documents.
 * Event-loop thread.
 *
 *   HEARING (one policy after the other, its tools side by side) -> ENDED
 *
 * Whatever cannot be judged is not admitted. */
#ifndef CORRAL_CLI_TOOL_HEARING_H
#define CORRAL_CLI_TOOL_HEARING_H

#include <uv.h>

#include "guard/guard.h"
#include "tools/registry.h"

struct tool_hearing;

typedef void tool_hearing_done(void *user);

/* Ends with policy_admit_tools() for each of `policies`, which may be the same
 * ones several times, and with `done`, called from the loop, later. The log
 * says which tools a policy refuses. Guard and registry are borrowed, policies
 * referenced. */
MUST_USE struct tool_hearing *
tool_hearing_new(uv_loop_t *loop, struct guard *g, const struct registry *r,
                 const struct policy *const *policies, int count,
                 tool_hearing_done *done, void *user);
/* Before its end: `done` is not called, nothing more is admitted. NULL is
 * fine. */
void tool_hearing_cancel(struct tool_hearing *h);
/* The same, waited for by running the loop: at start, before anything is
 * served. */
void tool_hearing_run(uv_loop_t *loop, struct guard *g,
                      const struct registry *r,
                      const struct policy *const *policies, int count);

#endif
