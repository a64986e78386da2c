#include "cli/file_watch.h"

#include <stdlib.h>

#include "base/bytes.h"

enum { ASK_MS = 1000 };

struct file_watch {
    uv_fs_poll_t poll;
    void (*on_change)(void *user);
    void *user;
};

/* With a `status` the file is not there, which is a change, too. */
static void on_poll(uv_fs_poll_t *poll, int status, const uv_stat_t *before,
                    const uv_stat_t *now) {
    struct file_watch *w = poll->data;

    (void)status;
    (void)before;
    (void)now;
    w->on_change(w->user);
}

struct file_watch *file_watch_open(uv_loop_t *loop, const char *path,
                                   void (*on_change)(void *user), void *user) {
    struct file_watch *w = xalloc(sizeof *w);

    w->on_change = on_change;
    w->user = user;
    (void)uv_fs_poll_init(loop, &w->poll);
    w->poll.data = w;
    uv_unref((uv_handle_t *)&w->poll);
    (void)uv_fs_poll_start(&w->poll, on_poll, path, ASK_MS);
    return w;
}

static void on_closed(uv_handle_t *handle) {
    free(handle->data);
}

void file_watch_close(struct file_watch *w) {
    if (w) uv_close((uv_handle_t *)&w->poll, on_closed);
}
