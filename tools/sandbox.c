/* sandbox.c - the process, its three pipes and its messages.
 *
 *   RUNNING -> DYING -> gone       killed, by us or for breaking the protocol
 *      +-----> DYING               ended by itself
 *
 * It is freed when its process has been reaped and its pipes are closed. */
#include "tools/sandbox.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tools/sandbox_filter.h"

enum {
    PIPES = 3,
    FILTER_FD = 3,
    ARGS_MAX = 96,
    NOBODY = 65534,
    SAID_BYTES_MAX = 8 << 20
};
enum state { RUNNING, DYING };

struct sandbox {
    enum state state;
    uv_process_t process;
    uv_pipe_t pipes[PIPES]; /* its stdin, stdout, stderr */
    int handles;            /* open */
    bool alive;             /* there is a process to kill */
    struct sandbox_events events;
    bool silent; /* the owner let go */
    struct bytes inbox;
    struct bytes words;
    char chunk[16 << 10];
};

struct send_job {
    uv_write_t req; /* first, so the callback can cast back */
    struct bytes out;
};

/* ---- the command ---- */

struct command {
    const char *args[ARGS_MAX];
    int count;
    char numbers[6][24];
    int number_count;
    char *folder; /* of an interpreter that is not below /usr */
};

static void say(struct command *c, const char *arg) {
    if (c->count < ARGS_MAX - 1) c->args[c->count++] = arg;
}

static void say_all(struct command *c, const char *const *list) {
    while (*list) say(c, *list++);
}

static void say_number(struct command *c, long long number) {
    char *at = c->numbers[c->number_count++];

    (void)snprintf(at, sizeof c->numbers[0], "%lld", number);
    say(c, at);
}

/* "/opt/venv" of "/opt/venv/bin/python3". */
static char *folder_of(const char *python) {
    struct span s = span_of(python);

    for (int up = 0; up < 2; up++) {
        while (s.size && s.at[s.size - 1] != '/') s.size--;
        if (s.size > 1) s.size--;
    }
    return span_dup(s);
}

/* Python is the only process inside: it limits itself, and could write into the
 * memory of another one of its user, which has no limits (bubblewrap's own that
 * reaps). The order matters: the root and /dev are made read-only last, since
 * both are file systems in memory that no limit bounds. */
static void command_fill(struct command *c, const struct sandbox_options *o) {
    static const char *const first[] = {"bwrap",
                                        "--unshare-all",
                                        "--as-pid-1",
                                        "--die-with-parent",
                                        "--new-session",
                                        "--uid",
                                        "1000",
                                        "--gid",
                                        "1000",
                                        "--cap-drop",
                                        "ALL",
                                        "--hostname",
                                        "sandbox",
                                        "--ro-bind",
                                        "/usr",
                                        "/usr",
                                        "--symlink",
                                        "usr/lib",
                                        "/lib",
                                        "--symlink",
                                        "usr/lib64",
                                        "/lib64",
                                        "--symlink",
                                        "usr/bin",
                                        "/bin",
                                        "--ro-bind-try",
                                        "/etc/alternatives",
                                        "/etc/alternatives",
                                        "--ro-bind-try",
                                        "/etc/matplotlibrc",
                                        "/etc/matplotlibrc",
                                        NULL};
    static const char *const last[] = {
        "--proc",       "/proc", "--dev",   "/dev", "--remount-ro", "/dev",
        "--remount-ro", "/",     "--chdir", "/tmp", "--seccomp",    "3",
        "--",           NULL};

    say_all(c, first);
    if (strncmp(o->python, "/usr/", 5) != 0) {
        c->folder = folder_of(o->python);
        say(c, "--ro-bind");
        say(c, c->folder);
        say(c, c->folder);
    }
    say(c, "--size");
    say_number(c, (long long)o->disk_mb << 20);
    say(c, "--tmpfs");
    say(c, "/tmp");
    /* What it prints, apart: a full /tmp can still be told of. */
    say(c, "--size");
    say_number(c, SAID_BYTES_MAX);
    say(c, "--tmpfs");
    say(c, "/run");
    say_all(c, last);
    say(c, o->python);
    say(c, "-IBc");
    say(c, o->script);
    say_number(c, (long long)o->memory_mb << 20);
    say_number(c, (long long)o->disk_mb << 20);
    say_number(c, SANDBOX_TASKS);
    say_number(c, o->cpu_seconds);
    c->args[c->count] = NULL;
}

/* ---- its end ---- */

static void on_handle_closed(uv_handle_t *handle) {
    struct sandbox *s = handle->data;

    if (--s->handles) return;
    bytes_free(&s->inbox);
    bytes_free(&s->words);
    free(s);
}

/* Killed at once: bubblewrap, on whose end the kernel ends the namespace. The
 * process handle stays until the kernel has told us, and keeps the loop. */
static void die(struct sandbox *s) {
    if (s->state == DYING) return;
    s->state = DYING;
    if (s->alive) (void)uv_process_kill(&s->process, SIGKILL);
    uv_ref((uv_handle_t *)&s->process);
    for (int i = 0; i < PIPES; i++)
        uv_close((uv_handle_t *)&s->pipes[i], on_handle_closed);
}

static void end(struct sandbox *s) {
    struct sandbox_events events = s->events;

    die(s);
    if (s->silent) return;
    s->silent = true;
    events.on_exit(events.user, span_bytes(&s->words));
}

void sandbox_kill(struct sandbox *s) {
    if (!s) return;
    s->silent = true;
    die(s);
}

/* Keep the first of what it says on standard error. */
static void hear(struct sandbox *s, size_t size) {
    size_t room = SANDBOX_LAST_WORDS_MAX - s->words.size;

    bytes_put(&s->words, (struct span){s->chunk, size < room ? size : room});
}

/* Standard error may still hold the reason, so it is drained before the end is
 * told: what is there has arrived, since the process is gone. */
static void on_ended(uv_process_t *process, int64_t status, int signal) {
    struct sandbox *s = process->data;
    ssize_t got;
    int fd;

    (void)status;
    (void)signal;
    s->alive = false;
    if (s->state == RUNNING && !uv_fileno((uv_handle_t *)&s->pipes[2], &fd)) {
        while ((got = read(fd, s->chunk, sizeof s->chunk)) > 0)
            hear(s, (size_t)got);
    }
    if (s->state == RUNNING) end(s);
    uv_close((uv_handle_t *)process, on_handle_closed);
}

/* ---- what it says ---- */

static void on_room(uv_handle_t *handle, size_t suggested, uv_buf_t *out) {
    struct sandbox *s = handle->data;

    (void)suggested;
    *out = uv_buf_init(s->chunk, sizeof s->chunk);
}

/* One message; false when there is none yet, or none any more. */
static bool take_message(struct sandbox *s) {
    const unsigned char *at = (const unsigned char *)s->inbox.at;
    struct bytes message = {0};
    size_t size;

    if (s->state == DYING || s->inbox.size < 4) return false;
    size =
        (size_t)at[0] << 24 | (size_t)at[1] << 16 | (size_t)at[2] << 8 | at[3];
    if (size > SANDBOX_MESSAGE_BYTES_MAX) {
        end(s);
        return false;
    }
    if (s->inbox.size - 4 < size) return false;
    bytes_put(&message, (struct span){s->inbox.at + 4, size});
    bytes_drop(&s->inbox, size + 4);
    s->events.on_message(s->events.user, span_bytes(&message));
    bytes_free(&message);
    return true;
}

static void on_said(uv_stream_t *stream, ssize_t got, const uv_buf_t *buf) {
    struct sandbox *s = stream->data;

    if (s->state == DYING || got == 0) return;
    if (got < 0) {
        (void)uv_read_stop(stream);
    } else if (stream == (uv_stream_t *)&s->pipes[2]) {
        hear(s, (size_t)got);
    } else if (!bytes_append(&s->inbox, buf->base, (size_t)got, NULL)) {
        end(s);
    } else {
        while (take_message(s)) {
        }
    }
}

/* ---- what it is told ---- */

static void on_written(uv_write_t *req, int status) {
    struct send_job *job = (struct send_job *)req;

    (void)status; /* if it is gone, on_exit tells */
    bytes_free(&job->out);
    free(job);
}

bool sandbox_send(struct sandbox *s, struct span message, struct err *err) {
    struct send_job *job = xalloc(sizeof *job);
    unsigned char head[4] = {(unsigned char)(message.size >> 24),
                             (unsigned char)(message.size >> 16),
                             (unsigned char)(message.size >> 8),
                             (unsigned char)message.size};
    uv_buf_t buf;

    bytes_put(&job->out, (struct span){(const char *)head, 4});
    bytes_put(&job->out, message);
    buf = uv_buf_init(job->out.at, (unsigned)job->out.size);
    if (s->state == RUNNING &&
        !uv_write(&job->req, (uv_stream_t *)&s->pipes[0], &buf, 1, on_written))
        return true;
    bytes_free(&job->out);
    free(job);
    return err_set(err, ERR_IO, "the interpreter does not listen");
}

/* ---- its start ---- */

static void watch(struct sandbox *s) {
    (void)uv_read_start((uv_stream_t *)&s->pipes[1], on_room, on_said);
    (void)uv_read_start((uv_stream_t *)&s->pipes[2], on_room, on_said);
    for (int i = 0; i < PIPES; i++) uv_unref((uv_handle_t *)&s->pipes[i]);
    uv_unref((uv_handle_t *)&s->process);
}

static int spawn(struct sandbox *s, uv_loop_t *loop, const char *const *args,
                 int filter) {
    static const char *const env[] = {"PATH=/usr/bin:/bin",
                                      "HOME=/tmp",
                                      "LANG=C.UTF-8",
                                      "MPLBACKEND=Agg",
                                      "MPLCONFIGDIR=/tmp",
                                      "OPENBLAS_NUM_THREADS=2",
                                      NULL};
    uv_stdio_container_t stdio[PIPES + 1];
    uv_process_options_t options = {.exit_cb = on_ended,
                                    .file = "bwrap",
                                    .stdio = stdio,
                                    .stdio_count = PIPES + 1};
    /* uv_spawn() takes them as if it changed them, which it does not. */
    char *arg_list[ARGS_MAX], *env_list[sizeof env / sizeof *env];

    memcpy(arg_list, args, sizeof arg_list);
    memcpy(env_list, env, sizeof env_list);
    options.args = arg_list;
    options.env = env_list;
    options.cwd = "/";
    /* A user of its own even outside: root's count of processes is not
     * limited, and what the sandbox shows by mistake root could read. */
    if (geteuid() == 0) {
        options.flags = UV_PROCESS_SETUID | UV_PROCESS_SETGID;
        options.uid = NOBODY;
        options.gid = NOBODY;
    }
    for (int i = 0; i < PIPES; i++) {
        stdio[i].flags =
            UV_CREATE_PIPE | (i == 0 ? UV_READABLE_PIPE : UV_WRITABLE_PIPE);
        stdio[i].data.stream = (uv_stream_t *)&s->pipes[i];
    }
    stdio[FILTER_FD].flags = UV_INHERIT_FD;
    stdio[FILTER_FD].data.fd = filter;
    return uv_spawn(loop, &s->process, &options);
}

struct sandbox *sandbox_spawn(uv_loop_t *loop, const struct sandbox_options *o,
                              const struct sandbox_events *events,
                              struct err *err) {
    int filter = sandbox_filter_open(err), status;
    struct command command = {.count = 0};
    struct sandbox *s;

    if (filter < 0) return NULL;
    s = xalloc(sizeof *s);
    s->events = *events;
    s->handles = PIPES + 1;
    s->inbox.limit = SANDBOX_MESSAGE_BYTES_MAX + sizeof s->chunk + 4;
    s->words.limit = SANDBOX_LAST_WORDS_MAX;
    for (int i = 0; i < PIPES; i++) {
        (void)uv_pipe_init(loop, &s->pipes[i], 0);
        s->pipes[i].data = s;
    }
    command_fill(&command, o);
    status = spawn(s, loop, command.args, filter);
    s->process.data = s;
    (void)close(filter);
    free(command.folder);
    if (status == 0) {
        s->alive = true;
        watch(s);
        return s;
    }
    sandbox_kill(s);
    uv_close((uv_handle_t *)&s->process, on_handle_closed);
    (void)err_set(err, ERR_UNAVAILABLE, "bwrap cannot be started: %s",
                  status == UV_ENOENT ? "bubblewrap is not installed"
                                      : uv_strerror(status));
    return NULL;
}
