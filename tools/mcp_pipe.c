/* mcp_pipe.c - a server that is a process of ours: one message a line on its
 * standard input and output. It has its own process group, so that what it
 * started goes with it.
 *
 *   RUNNING -> DOWN -> STOPPING -> (all handles closed: freed)
 *
 * STOPPING: its input is closed at once, SIGTERM and SIGKILL follow. */
#include "tools/mcp_link.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "tools/mcp_wire.h"

enum {
    TERM_MS = 300,  /* from the end of its input to SIGTERM */
    KILL_MS = 1500, /* from there to SIGKILL */
    QUEUE_BYTES_MAX = 8 << 20,
    READ_SIZE = 64 << 10,
    STDERR_LINE_MAX = 300,
    STDERR_LINES_MAX = 500 /* shown of one process */
};

enum state { RUNNING, DOWN, STOPPING };

struct mcp_pipe {
    struct mcp_link link; /* first, so that the face can cast back */
    enum state state;
    struct mcp_link_events events;
    uv_process_t process;
    uv_pipe_t in, out, err;
    uv_timer_t timer;
    int handles; /* not closed yet */
    bool exited;
    bool spawned;
    bool terminated;
    char name[65];
    struct mcp_lines lines;
    struct bytes complaint; /* a line of its standard error */
    int complaints;
    char room[READ_SIZE];
};

struct write_job {
    uv_write_t req; /* first, so the callback can cast back */
    char *at;
};

/* ---- ends ---- */

static void on_closed(uv_handle_t *handle) {
    struct mcp_pipe *p = handle->data;

    if (--p->handles) return;
    mcp_lines_clear(&p->lines);
    bytes_free(&p->complaint);
    free(p);
}

static void close_handle(void *handle) {
    uv_handle_t *h = handle;

    if (h->type && !uv_is_closing(h)) uv_close(h, on_closed);
}

static void close_all(struct mcp_pipe *p) {
    close_handle(&p->process);
    close_handle(&p->in);
    close_handle(&p->out);
    close_handle(&p->err);
    close_handle(&p->timer);
}

static void signal_group(struct mcp_pipe *p, int number) {
    if (p->spawned) (void)kill(-p->process.pid, number);
}

static void down(struct mcp_pipe *p, enum err_code code, const char *reason) {
    struct err err = {0};

    if (p->state != RUNNING) return;
    p->state = DOWN;
    (void)err_set(&err, code, "%.300s", reason);
    p->events.on_down(p->events.user, &err);
}

static void on_process_end(uv_process_t *process, int64_t status, int signal) {
    struct mcp_pipe *p = process->data;
    char reason[64];

    p->exited = true;
    signal_group(p, SIGKILL);
    (void)snprintf(reason, sizeof reason, "the server ended (%s %d)",
                   signal ? "signal" : "status", signal ? signal : (int)status);
    if (p->state == STOPPING)
        close_all(p);
    else
        down(p, ERR_UNAVAILABLE, reason);
}

static void on_timer(uv_timer_t *timer) {
    struct mcp_pipe *p = timer->data;

    signal_group(p, p->terminated ? SIGKILL : SIGTERM);
    p->terminated = true;
}

static void close_link(struct mcp_link *link) {
    struct mcp_pipe *p = (struct mcp_pipe *)link;

    p->state = STOPPING;
    if (p->exited) {
        close_all(p);
        return;
    }
    close_handle(&p->in);
    close_handle(&p->out);
    close_handle(&p->err);
    uv_ref((uv_handle_t *)&p->process);
    (void)uv_timer_start(&p->timer, on_timer, TERM_MS, KILL_MS);
}

/* ---- what it says ---- */

static void on_alloc(uv_handle_t *handle, size_t wish, uv_buf_t *buf) {
    struct mcp_pipe *p = handle->data;

    (void)wish;
    *buf = uv_buf_init(p->room, sizeof p->room);
}

static bool on_message(void *user, const cJSON *message) {
    struct mcp_pipe *p = user;

    p->events.on_message(p->events.user, message);
    return p->state == RUNNING;
}

static void on_output(uv_stream_t *stream, ssize_t size, const uv_buf_t *buf) {
    struct mcp_pipe *p = stream->data;
    struct err err = {0};

    if (p->state != RUNNING) return;
    if (size < 0)
        down(p, ERR_UNAVAILABLE, "the server closed its output");
    else if (!mcp_lines_feed(&p->lines, (struct span){buf->base, (size_t)size},
                             on_message, p, &err))
        down(p, err.code, err.text);
}

static void complain(struct mcp_pipe *p) {
    char quoted[2 * STDERR_LINE_MAX];

    if (p->complaint.size && p->complaints++ < STDERR_LINES_MAX) {
        bytes_put(&p->complaint, (struct span){"", 1});
        log_event(LOG_DEBUG, "mcp_stderr", "server=%s line=%s", p->name,
                  log_quote(p->complaint.at, quoted, sizeof quoted));
    }
    p->complaint.size = 0;
}

static void on_errors(uv_stream_t *stream, ssize_t size, const uv_buf_t *buf) {
    struct mcp_pipe *p = stream->data;

    if (size < 0) (void)uv_read_stop(stream);
    for (ssize_t i = 0; i < size; i++) {
        if (buf->base[i] == '\n')
            complain(p);
        else if (p->complaint.size < STDERR_LINE_MAX && buf->base[i])
            bytes_put(&p->complaint, (struct span){&buf->base[i], 1});
    }
}

/* ---- what is said to it ---- */

static void on_written(uv_write_t *req, int status) {
    struct write_job *job = (struct write_job *)req;
    struct mcp_pipe *p = req->data;

    free(job->at);
    free(job);
    if (status && status != UV_ECANCELED)
        down(p, ERR_UNAVAILABLE, "the server takes no input");
}

static bool send_message(struct mcp_link *link, const struct mcp_message *m,
                         struct err *err) {
    struct mcp_pipe *p = (struct mcp_pipe *)link;
    struct write_job *job;
    uv_buf_t buf;

    if (p->state != RUNNING)
        return err_set(err, ERR_UNAVAILABLE, "the server is not running");
    if (uv_stream_get_write_queue_size((uv_stream_t *)&p->in) + m->json.size >
        QUEUE_BYTES_MAX)
        return err_set(err, ERR_BUSY, "the server does not read its input");
    job = xalloc(sizeof *job);
    job->at = xalloc(m->json.size + 1);
    memcpy(job->at, m->json.at, m->json.size);
    job->at[m->json.size] = '\n';
    job->req.data = p;
    buf = uv_buf_init(job->at, (unsigned)m->json.size + 1);
    if (!uv_write(&job->req, (uv_stream_t *)&p->in, &buf, 1, on_written))
        return true;
    free(job->at);
    free(job);
    return err_set(err, ERR_UNAVAILABLE, "the server takes no input");
}

static void forget(struct mcp_link *link, int64_t id) {
    (void)link; /* its answer is nobody's */
    (void)id;
}

/* ---- the start ---- */

static void own(struct mcp_pipe *p, void *handle) {
    uv_handle_t *h = handle;

    h->data = p;
    p->handles++;
    uv_unref(h);
}

static int spawn(struct mcp_pipe *p, uv_loop_t *loop,
                 const char *const *command, const char *const *environment,
                 const char *folder) {
    uv_stdio_container_t stdio[3] = {
        {.flags = UV_CREATE_PIPE | UV_READABLE_PIPE,
         .data.stream = (uv_stream_t *)&p->in},
        {.flags = UV_CREATE_PIPE | UV_WRITABLE_PIPE,
         .data.stream = (uv_stream_t *)&p->out},
        {.flags = UV_CREATE_PIPE | UV_WRITABLE_PIPE,
         .data.stream = (uv_stream_t *)&p->err}};
    uv_process_options_t o = {
        .file = command[0],
        /* libuv reads them only */
        .args = (char **)(uintptr_t)command,
        .env = (char **)(uintptr_t)environment,
        .cwd = folder,
        .flags = UV_PROCESS_DETACHED,
        .stdio = stdio,
        .stdio_count = 3,
        .exit_cb = on_process_end,
    };
    int error = uv_spawn(loop, &p->process, &o);

    p->spawned = !error;
    p->exited = error != 0;
    return error;
}

struct mcp_link *
mcp_pipe_open(uv_loop_t *loop, const char *name, const char *const *command,
              const char *const *environment, const char *folder,
              const struct mcp_link_events *events, struct err *err) {
    struct mcp_pipe *p = xalloc(sizeof *p);
    int error;

    p->link = (struct mcp_link){
        .send = send_message, .forget = forget, .close = close_link};
    p->events = *events;
    (void)snprintf(p->name, sizeof p->name, "%s", name);
    (void)uv_pipe_init(loop, &p->in, 0);
    (void)uv_pipe_init(loop, &p->out, 0);
    (void)uv_pipe_init(loop, &p->err, 0);
    (void)uv_timer_init(loop, &p->timer);
    own(p, &p->in);
    own(p, &p->out);
    own(p, &p->err);
    own(p, &p->timer);
    error = spawn(p, loop, command, environment, folder);
    own(p, &p->process); /* initialised in any case */
    if (error) {
        (void)err_set(err, ERR_UNAVAILABLE, "%.200s cannot be started: %s",
                      command[0], uv_strerror(error));
        close_all(p);
        return NULL;
    }
    (void)uv_read_start((uv_stream_t *)&p->out, on_alloc, on_output);
    (void)uv_read_start((uv_stream_t *)&p->err, on_alloc, on_errors);
    return &p->link;
}
