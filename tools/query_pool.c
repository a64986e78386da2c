#include "tools/query_pool.h"

#include <stdlib.h>

#include "base/clock.h"

static void on_work(uv_work_t *work) {
    struct tool_run *run = (struct tool_run *)work;

    run->pool->work(run);
}

static void on_worked(uv_work_t *work, int status) {
    struct tool_run *run = (struct tool_run *)work;

    run->pool->running--;
    if (status) (void)err_set(&run->err, ERR_CANCELLED, "cancelled");
    if (run->done)
        run->done(run->user, !run->err.code,
                  run->err.code ? span_of(run->err.text)
                                : span_bytes(&run->out));
    uv_mutex_destroy(&run->lock);
    bytes_free(&run->out);
    free(run->query);
    free(run);
}

struct tool_run *query_run(const struct tool *tool, const cJSON *arguments,
                           const struct tool_context *context, tool_done *done,
                           void *user) {
    const cJSON *query = cJSON_GetObjectItemCaseSensitive(arguments, "query");
    struct query_pool *pool = tool->self;
    struct tool_run *run;

    (void)context;
    if (pool->running == QUERY_RUNS_MAX) {
        done(user, false, span_of(pool->busy));
        return NULL;
    }
    run = xalloc(sizeof *run);
    run->pool = pool;
    run->done = done;
    run->user = user;
    run->query = xstrdup(cJSON_IsString(query) ? query->valuestring : "");
    run->deadline_ms = clock_ms() + (uint64_t)pool->seconds * 1000;
    (void)uv_mutex_init(&run->lock);
    pool->running++;
    (void)uv_queue_work(pool->loop, &run->work, on_work, on_worked);
    return run;
}

void query_cancel(struct tool_run *run) {
    run->done = NULL;
    uv_mutex_lock(&run->lock);
    run->stopped = true;
    uv_mutex_unlock(&run->lock);
    (void)uv_cancel((uv_req_t *)&run->work);
}

bool query_stopped(struct tool_run *run) {
    bool stop;

    uv_mutex_lock(&run->lock);
    stop = run->stopped;
    uv_mutex_unlock(&run->lock);
    return stop || clock_ms() >= run->deadline_ms;
}

void query_pool_close(struct query_pool *pool) {
    while (pool->running) (void)uv_run(pool->loop, UV_RUN_ONCE);
}
