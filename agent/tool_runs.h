/* tool_runs.h - the calls of one generation that may be made, run side by side.
 * Calls of tools that are not idempotent keep their order among themselves: one
 * begins when the one before it has ended. Results are asked for by the index
 * of the call, so they keep their order, too. Event-loop thread. */
#ifndef CORRAL_AGENT_TOOL_RUNS_H
#define CORRAL_AGENT_TOOL_RUNS_H

#include "agent/chat.h"
#include "tools/registry.h"

enum { TOOL_RUNS_PARALLEL_MAX = 8 }; /* running at the same time */

struct tool_runs;

/* Borrowed for the life of the runs. */
struct tool_runs_options {
    const struct registry *registry;    /* may be NULL: nothing runs */
    const struct chat_request *request; /* declares what may be called */
    struct span session;
    struct span owner;
    /* A result is there. From the loop, or inside tool_runs_start(), from
     * where tool_runs_free() is not allowed. */
    void (*on_done)(void *user);
    void *user;
};

struct tool_runs *tool_runs_new(const struct tool_runs_options *o);
void tool_runs_free(struct tool_runs *r); /* cancels; NULL is fine */

/* The next call, borrowed. It does not run yet. */
void tool_runs_add(struct tool_runs *r, const struct chat_tool_call *call);
/* One that will not run: `reason` is the error that is its result. */
void tool_runs_add_denied(struct tool_runs *r,
                          const struct chat_tool_call *call,
                          struct span reason);
int tool_runs_count(const struct tool_runs *r);
const struct chat_tool_call *tool_runs_call(const struct tool_runs *r,
                                            int index);
bool tool_runs_denied(const struct tool_runs *r, int index);

/* Begin what may begin now; call it again after each on_done(). */
void tool_runs_start(struct tool_runs *r);
/* False: it is not there yet. Borrowed. All of what the tool said, to be
 * judged; an error, so also one in place of what passes TOOL_RESULT_BYTES_MAX,
 * begins with "error: ". */
bool tool_runs_result(const struct tool_runs *r, int index, struct span *out);

/* How much of what the tool of this name says the model is shown. The registry
 * may be NULL, and need not have such a tool. */
size_t tool_result_room(const struct registry *registry, struct span name);

/* `text` as the model is shown it: cut where it passes `room`, which is past
 * the mark that says so. With `more` something was cut off before. */
void tool_result_put(struct bytes *out, const char *prefix, struct span text,
                     size_t room, bool more);

#endif
