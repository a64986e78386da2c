#include "cli/policy_watch.h"

#include <libgen.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"

/* Editors and `corral policy train` write several files one after the other;
 * a change that never ends must be seen all the same. */
enum { QUIET_MS = 200, PATIENCE_MS = 2000 };

struct policy_watch {
    uv_fs_event_t events;
    uv_timer_t quiet;
    int handles;         /* not closed yet */
    uint64_t changed_ms; /* the first change not yet told; 0: none */
    void (*on_change)(void *user);
    void *user;
};

static void on_closed(uv_handle_t *handle) {
    struct policy_watch *w = handle->data;

    if (--w->handles == 0) free(w);
}

static void on_quiet(uv_timer_t *timer) {
    struct policy_watch *w = timer->data;

    w->changed_ms = 0;
    w->on_change(w->user);
}

static bool ends_with(const char *name, const char *end) {
    size_t size = strlen(name), tail = strlen(end);

    return size > tail && !strcmp(name + size - tail, end);
}

/* A folder swapped as a whole, as Kubernetes does it, changes a link in it. */
static bool concerns(const char *name) {
    return !name || ends_with(name, ".yaml") || ends_with(name, ".head") ||
           ends_with(name, ".jsonl") || !strncmp(name, "..", 2);
}

static void on_event(uv_fs_event_t *handle, const char *name, int events,
                     int status) {
    struct policy_watch *w = handle->data;
    uint64_t now = uv_now(handle->loop);

    (void)events;
    if (status < 0 || !concerns(name)) return;
    if (!w->changed_ms) w->changed_ms = now;
    if (now - w->changed_ms < PATIENCE_MS)
        (void)uv_timer_start(&w->quiet, on_quiet, QUIET_MS, 0);
}

struct policy_watch *policy_watch_open(uv_loop_t *loop, const char *policy_path,
                                       void (*on_change)(void *user),
                                       void *user, struct err *err) {
    struct policy_watch *w = xalloc(sizeof *w);
    char *copy = xstrdup(policy_path);
    int code;

    w->on_change = on_change;
    w->user = user;
    w->handles = 2;
    w->events.data = w->quiet.data = w;
    (void)uv_fs_event_init(loop, &w->events);
    (void)uv_timer_init(loop, &w->quiet);
    uv_unref((uv_handle_t *)&w->events);
    uv_unref((uv_handle_t *)&w->quiet);
    code = uv_fs_event_start(&w->events, on_event, dirname(copy), 0);
    free(copy);
    if (!code) return w;
    (void)err_set(err, ERR_IO, "%s: cannot be watched: %s", policy_path,
                  uv_strerror(code));
    policy_watch_close(w);
    return NULL;
}

void policy_watch_close(struct policy_watch *w) {
    if (!w) return;
    uv_close((uv_handle_t *)&w->events, on_closed);
    uv_close((uv_handle_t *)&w->quiet, on_closed);
}
