/* query_pool.h - tools whose one argument is a text named "query", answered on
 * libuv's pool: the calls under way, their time limits and their ends. Loop
 * thread, but for what a query's work calls. */
#ifndef CORRAL_TOOLS_QUERY_POOL_H
#define CORRAL_TOOLS_QUERY_POOL_H

#include <uv.h>

#include "tools/tool.h"

enum { QUERY_RUNS_MAX = 2 }; /* at once: they share the pool with all else */

/* The first member of what tool->self is. */
struct query_pool {
    uv_loop_t *loop;
    int seconds;      /* for a query */
    const char *busy; /* what a call past QUERY_RUNS_MAX is told */
    /* On the pool: answer run->query into run->out, or fail with run->err;
     * look at query_stopped() now and then. */
    void (*work)(struct tool_run *run);
    int running;
};

struct tool_run {
    uv_work_t work; /* first, so the callback can cast back */
    struct query_pool *pool;
    tool_done *done; /* NULL: cancelled. Loop thread only */
    void *user;
    char *query;
    uint64_t deadline_ms;
    uv_mutex_t lock; /* of `stopped` */
    bool stopped;    /* by the loop */
    struct bytes out;
    struct err err;
};

/* A tool's run() and cancel(). */
struct tool_run *query_run(const struct tool *tool, const cJSON *arguments,
                           const struct tool_context *context, tool_done *done,
                           void *user);
void query_cancel(struct tool_run *run);
/* Cancelled, or out of time. Any thread. */
bool query_stopped(struct tool_run *run);
/* No run is under way, but a cancelled one may still be ending: waits. */
void query_pool_close(struct query_pool *pool);

#endif
