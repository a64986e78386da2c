/* mcp_client.h - one MCP server as a client of it sees it: connected, listed,
 * called, and connected again when it went away. Speaks 2026-07-28, and where
 * that is not understood 2025-11-25 with its handshake. Event-loop thread.
 *
 *   DOWN -> PROBING -> (INITIALIZING -> NOTIFYING) -> LISTING -> READY
 *    ^         |             |            |              |         |
 *    +---------+-------------+------------+--------------+---------+  a failure
 *
 * A server that never was READY is not tried again; one that was is, with a
 * growing pause. */
#ifndef CORRAL_TOOLS_MCP_CLIENT_H
#define CORRAL_TOOLS_MCP_CLIENT_H

#include "tools/mcp_link.h"
#include "tools/tool.h"

enum { MCP_TOOLS_MAX = 128 };

struct mcp_client;

struct mcp_client_options {
    const char *name; /* for the log; borrowed for good */
    int start_ms;     /* to be READY */
    int call_ms;      /* a call, from its start or its last sign of progress */
    int call_ms_max;  /* a call, in all */
    /* Make the link, again after a failure. NULL with `err`. */
    struct mcp_link *(*open)(void *user, const struct mcp_link_events *events,
                             struct err *err);
    /* All tools that the server has now, an array of definitions, borrowed. At
     * the first time, and whenever they were listed again. */
    void (*on_tools)(void *user, const cJSON *tools);
    /* The first attempt failed: there will be no other. Never inside
     * mcp_client_new(). */
    void (*on_failed)(void *user, const struct err *err);
    void *user;
};

/* Starts connecting once the loop runs. */
struct mcp_client *mcp_client_new(uv_loop_t *loop,
                                  const struct mcp_client_options *o);
/* No callback after this, no call may be under way. The loop must run for it to
 * end. NULL is fine. */
void mcp_client_close(struct mcp_client *c);

/* As run() of struct tool. `arguments` is borrowed during the call. */
struct tool_run *mcp_client_call(struct mcp_client *c, const char *tool,
                                 const cJSON *arguments, tool_done *done,
                                 void *user);
void mcp_client_cancel(struct tool_run *run);

#endif
