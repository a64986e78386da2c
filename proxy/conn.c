/* conn.c - one client's socket.
 *
 *   READING -> HANDLING -> STREAMING -> READING ...       (any) -> CLOSED
 *      |          +------------+-> LINGERING -> CLOSED
 *      +-- a bad request ----------^
 *
 * LINGERING has said all it had to say: the write side is shut and what still
 * comes is thrown away, because closing with unread bytes would reset the
 * connection and could take the answer with it. */
#include "proxy/conn.h"

#include <assert.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/conn_state.h"
#include "proxy/http_error.h"
#include "proxy/response_head.h"

enum {
    LINGER_MS = 2000,
    HANGUP_MS = 1000, /* how often to look for a hang-up while not reading */
    PARTS_MAX = 3,    /* written at once */
    HEAD_ROOM = 1024  /* for most */
};

/* A write in flight. libuv reads `data` until on_written(), where the job is
 * freed and nowhere else. */
struct write_job {
    uv_write_t req; /* first, so that the callback can cast back */
    struct conn *conn;
    char data[];
};

static void tell_end(struct conn *c);

static uint64_t now(const struct conn *c) {
    return uv_now(c->timer.loop);
}

bool conn_busy(const struct conn *c) {
    return c->state == HANDLING || c->state == STREAMING;
}

bool conn_streaming(const struct conn *c) {
    return c->state == STREAMING;
}

size_t conn_pending_bytes(const struct conn *c) {
    return uv_stream_get_write_queue_size((const uv_stream_t *)&c->socket);
}

bool conn_count_body(struct conn *c) {
    size_t held = http_reader_held(c->reader), before = c->body_bytes;
    atomic_size_t *all = c->options->bodies_bytes;

    /* What a difference below zero wraps to adds up all the same. */
    c->body_bytes = held;
    return (held == before ? atomic_load(all)
                           : atomic_fetch_add(all, held - before) + held -
                                 before) <= limits_of(c)->bodies_bytes_max;
}

void conn_next_message(struct conn *c) {
    http_reader_next(c->reader);
    (void)conn_count_body(c);
}

/* Closing */

static void on_handle_closed(uv_handle_t *handle) {
    struct conn *c = handle->data;

    if (--c->handles) return;
    c->options->on_closed(c->options->server, c);
    http_reader_free(c->reader);
    tls_free(c->tls);
    front_clear(&c->front);
    bytes_free(&c->ahead);
    bytes_free(&c->extra);
    free(c);
}

void conn_close_handles(struct conn *c) {
    if (!c->reset || c->local ||
        uv_tcp_close_reset(&c->socket.tcp, on_handle_closed) != 0)
        uv_close((uv_handle_t *)&c->socket, on_handle_closed);
    uv_close((uv_handle_t *)&c->timer, on_handle_closed);
}

void conn_close(struct conn *c) {
    bool busy = conn_busy(c);
    const struct conn_handler *h = c->options->handler;

    if (c->state == CLOSED) return;
    c->state = CLOSED;
    if (busy) {
        h->on_gone(h->user, c);
        c->end.status = 499; /* nginx's number for a client that left */
        tell_end(c);
    }
    conn_close_handles(c);
    conn_next_message(c);
}

/* Timers */

static void on_timer(uv_timer_t *timer);

static void arm(struct conn *c, uint64_t ms) {
    if (c->kicked) return;
    (void)uv_timer_start(&c->timer, on_timer, ms, 0);
}

/* Come back from the loop: no callback may run inside a conn_*() call. */
static void kick(struct conn *c) {
    arm(c, 0);
    c->kicked = true;
}

void conn_arm_writing(struct conn *c) {
    uint64_t wait = UINT64_MAX;

    if (c->kicked) return;
    if (conn_pending_bytes(c))
        wait = c->stall_at > now(c) ? c->stall_at - now(c) : 1;
    if (c->stopped && wait > HANGUP_MS) wait = HANGUP_MS;
    if (wait != UINT64_MAX)
        arm(c, wait);
    else
        (void)uv_timer_stop(&c->timer);
}

void conn_arm_reading(struct conn *c) {
    const struct limits *l = limits_of(c);
    enum reader_state phase = http_reader_state(c->reader);

    if (phase == c->timed) return;
    c->timed = phase;
    if (c->front.waiting || (c->tls && !tls_ready(c->tls))) {
        arm(c, (uint64_t)l->header_ms);
        return;
    }
    if (phase == READER_IDLE) arm(c, (uint64_t)l->idle_ms);
    if (phase == READER_HEAD) arm(c, (uint64_t)l->header_ms);
    if (phase == READER_BODY) arm(c, (uint64_t)l->body_ms);
}

/* Writing */

/* `more` was counted in c->queued, and libuv does not have it yet. */
static void expect_progress(struct conn *c, size_t more) {
    c->progress = c->queued - conn_pending_bytes(c) - more;
    c->stall_at = now(c) + (uint64_t)limits_of(c)->write_ms;
}

static void on_written(uv_write_t *req, int status) {
    struct conn *c = ((struct write_job *)req)->conn;
    const struct conn_handler *h = c->options->handler;

    free(req);
    if (c->state == CLOSED) return;
    if (status < 0) {
        conn_close(c);
        return;
    }
    expect_progress(c, 0);
    if (c->leaving) {
        conn_try_leave(c);
        return;
    }
    if (c->state == READING) {
        if (c->ahead.size && !c->kicked) conn_pump(c);
        return;
    }
    if (c->state != LINGERING || conn_pending_bytes(c)) conn_arm_writing(c);
    if (conn_busy(c) && c->wants_drain &&
        conn_pending_bytes(c) <= limits_of(c)->write_low_bytes) {
        c->wants_drain = false;
        h->on_drain(h->user, c);
    }
}

/* What the kernel takes at once, which is nearly always all, costs no copy.
 * The size of the whole in `size`. */
static size_t send_now(struct conn *c, const struct span *parts, int count,
                       size_t *size) {
    uv_buf_t bufs[PARTS_MAX];
    int taken;

    assert(count <= PARTS_MAX);
    *size = 0;
    for (int i = 0; i < count; i++) {
        /* Only read from; libuv's type does not say so. */
        bufs[i] = uv_buf_init((char *)(uintptr_t)parts[i].at,
                              (unsigned)parts[i].size);
        *size += parts[i].size;
    }
    if (!*size) return 0;
    taken = uv_try_write(stream_of(c), bufs, (unsigned)count);
    return taken > 0 ? (size_t)taken : 0; /* an error comes again below */
}

/* As they are. */
static void send_raw(struct conn *c, const struct span *parts, int count) {
    struct write_job *job;
    size_t size, taken, at = 0;
    uv_buf_t buf;

    if (c->state == CLOSED || c->broken) return;
    taken = send_now(c, parts, count, &size);
    c->queued += size;
    if (taken == size) {
        if (size && conn_busy(c)) conn_arm_writing(c);
        return;
    }
    job = xalloc(sizeof *job + size - taken);
    job->conn = c;
    for (int i = 0; i < count; i++) {
        struct span left = span_slice(parts[i], taken, parts[i].size);

        taken -= parts[i].size - left.size;
        if (!left.size) continue;
        memcpy(job->data + at, left.at, left.size);
        at += left.size;
    }
    if (!conn_pending_bytes(c)) expect_progress(c, at);
    buf = uv_buf_init(job->data, (unsigned)at);
    if (uv_write(&job->req, stream_of(c), &buf, 1, on_written) != 0) {
        free(job);
        c->broken = true;
    }
    if (conn_pending_bytes(c) > limits_of(c)->write_bytes_max) c->broken = true;
    if (c->broken)
        kick(c);
    else if (conn_busy(c))
        conn_arm_writing(c);
}

void conn_flush_tls(struct conn *c) {
    struct bytes sealed = {0};

    if (!tls_take_output(c->tls, &sealed, NULL)) c->broken = true;
    send_raw(c, (struct span[]){span_bytes(&sealed)}, 1);
    bytes_free(&sealed);
}

void conn_send(struct conn *c, const struct span *parts, int count) {
    bool ok = true;

    if (!c->tls) {
        send_raw(c, parts, count);
        return;
    }
    if (c->state == CLOSED || c->broken) return;
    for (int i = 0; ok && i < count; i++)
        ok = tls_ready(c->tls) && tls_write(c->tls, parts[i], NULL);
    if (ok) {
        conn_flush_tls(c);
        return;
    }
    c->broken = true;
    kick(c);
}

static void on_shut(uv_shutdown_t *req, int status) {
    struct conn *c = req->data;

    if (c->state == CLOSED) return;
    if (status < 0 || c->eof)
        conn_close(c);
    else
        arm(c, LINGER_MS);
}

void conn_linger(struct conn *c) {
    if (c->tls && tls_ready(c->tls)) {
        tls_end(c->tls);
        conn_flush_tls(c);
    }
    c->state = LINGERING;
    bytes_free(&c->ahead);
    conn_next_message(c);
    if (c->broken) {
        kick(c);
        return;
    }
    if (c->stopped) {
        c->stopped = false;
        if (uv_read_start(stream_of(c), conn_on_alloc, conn_on_read) != 0)
            c->broken = true;
    }
    c->shutdown.data = c;
    /* Comes back once everything queued has gone out. */
    if (uv_shutdown(&c->shutdown, stream_of(c), on_shut) != 0) c->broken = true;
    if (c->broken)
        kick(c);
    else
        conn_arm_writing(c);
}

static void tell_end(struct conn *c) {
    const struct conn_handler *h = c->options->handler;

    if (h->on_end) h->on_end(h->user, c, &c->end);
    c->end = (struct conn_outcome){0};
}

static void end_response(struct conn *c) {
    tell_end(c);
    c->user = NULL;
    c->pass = (struct pass){0};
    c->extra.size = 0;
    c->wants_drain = false;
    if (!c->keep_alive || c->draining || c->broken) {
        conn_linger(c);
        return;
    }
    c->state = READING;
    conn_next_message(c);
    c->continued = false;
    c->timed = READER_FAILED; /* no phase yet */
    conn_arm_reading(c);
    /* on_written() would do, if every response ended with a write. */
    if (!c->taking && (c->ahead.size || c->stopped)) kick(c);
}

static void put_head(const struct conn *c, struct bytes *out, int status,
                     const char *content_type,
                     const struct http_header *headers, int header_count) {
    const struct response_head head = {.request =
                                           http_reader_request(c->reader),
                                       .origins = c->options->origins,
                                       .origin_count = c->options->origin_count,
                                       .keep_alive = c->keep_alive,
                                       .status = status,
                                       .content_type = content_type,
                                       .headers = headers,
                                       .header_count = header_count,
                                       .extra = span_bytes(&c->extra)};

    response_head_put(&head, out);
}

static void send_whole(struct conn *c, int status, const char *content_type,
                       const struct http_header *headers, int header_count,
                       struct span body) {
    bool bodiless = status == 204 || status == 304;
    struct bytes head = {0};
    char digits[BYTES_DIGITS_SIZE];

    c->end.status = status;
    bytes_expect(&head, HEAD_ROOM);
    put_head(c, &head, status, content_type, headers, header_count);
    if (!bodiless) {
        http_put_header(&head, span_of("content-length"),
                        bytes_digits((int64_t)body.size, digits));
    }
    bytes_puts(&head, "\r\n");
    if (c->head_only || bodiless) body.size = 0;
    c->end.bytes = body.size;
    conn_send(c, (struct span[]){span_bytes(&head), body}, 2);
    bytes_free(&head);
}

void conn_add_header(struct conn *c, const char *name, const char *value) {
    http_put_header(&c->extra, span_of(name), span_of(value));
}

void conn_respond(struct conn *c, int status, const char *content_type,
                  const struct http_header *headers, int header_count,
                  struct span body) {
    if (c->state == CLOSED) return;
    assert(c->state == HANDLING);
    if (c->draining) c->keep_alive = false;
    send_whole(c, status, content_type, headers, header_count, body);
    end_response(c);
}

void conn_send_error(struct conn *c, const struct http_error *row,
                     const char *message, const char *param) {
    struct bytes body = {0};
    struct http_header retry = {span_of("retry-after"), {0}};
    char seconds[16];

    (void)snprintf(seconds, sizeof seconds, "%d", row->retry_after_s);
    retry.value = span_of(seconds);
    if (http_error_shaped(http_error_shape_of(conn_request(c)->path),
                          row->status, message, row->type, param, row->code,
                          &body, NULL))
        send_whole(c, row->status, "application/json", &retry,
                   row->retry_after_s ? 1 : 0, span_bytes(&body));
    bytes_free(&body);
}

void conn_fail(struct conn *c, const struct err *err) {
    const struct http_error *row = http_error_of(err->code);

    if (c->state == CLOSED) return;
    assert(c->state == HANDLING);
    if (c->draining) c->keep_alive = false;
    conn_send_error(c, row, row->message ? row->message : err->text,
                    err->field);
    end_response(c);
}

void conn_fail_status(struct conn *c, int status, const char *message) {
    if (c->state == CLOSED) return;
    assert(c->state == HANDLING);
    if (c->draining) c->keep_alive = false;
    conn_send_error(c, http_error_of_status(status), message, NULL);
    end_response(c);
}

void conn_fail_method(struct conn *c, const char *allow) {
    conn_add_header(c, "allow", allow);
    conn_fail_status(c, 405, "the route does not know this method");
}

void conn_begin_stream(struct conn *c, int status, const char *content_type,
                       const struct http_header *headers, int header_count) {
    struct bytes head = {0};

    if (c->state == CLOSED) return;
    assert(c->state == HANDLING);
    c->chunked = http_reader_request(c->reader)->version_minor == 1;
    if (!c->chunked || c->draining) c->keep_alive = false;
    c->end.status = status;
    put_head(c, &head, status, content_type, headers, header_count);
    if (c->chunked)
        http_put_header(&head, span_of("transfer-encoding"),
                        span_of("chunked"));
    bytes_puts(&head, "\r\n");
    c->state = STREAMING;
    conn_send(c, (struct span[]){span_bytes(&head)}, 1);
    bytes_free(&head);
}

bool conn_write(struct conn *c, struct span piece) {
    char size[24];

    if (c->state == CLOSED) return false;
    assert(c->state == STREAMING);
    if (c->head_only || !piece.size) return true;
    c->end.bytes += piece.size;
    (void)snprintf(size, sizeof size, "%zx\r\n", piece.size);
    if (c->chunked)
        conn_send(c, (struct span[]){span_of(size), piece, span_of("\r\n")}, 3);
    else
        conn_send(c, &piece, 1);
    if (!c->broken && conn_pending_bytes(c) <= limits_of(c)->write_high_bytes)
        return true;
    c->wants_drain = true;
    return false;
}

void conn_end(struct conn *c) {
    if (c->state == CLOSED) return;
    assert(c->state == STREAMING);
    if (c->chunked && !c->head_only)
        conn_send(c, (struct span[]){span_of("0\r\n\r\n")}, 1);
    end_response(c);
}

void conn_abort(struct conn *c) {
    if (c->state == CLOSED) return;
    assert(conn_busy(c));
    c->keep_alive = false;
    /* Only a chunked stream shows that its end is missing; for others the
     * connection itself must break. */
    if (c->state != STREAMING || !c->chunked) c->broken = c->reset = true;
    end_response(c);
}

static bool hung_up(const struct conn *c) {
    struct pollfd p = {.events = POLLRDHUP};
    uv_os_fd_t fd;

    if (uv_fileno((const uv_handle_t *)&c->socket, &fd) != 0) return true;
    p.fd = fd;
    return poll(&p, 1, 0) > 0 &&
           (p.revents & (POLLRDHUP | POLLHUP | POLLERR)) != 0;
}

/* A busy or lingering connection: does the client take our bytes, is it there?
 */
static void look_after(struct conn *c) {
    size_t pending = conn_pending_bytes(c);

    if (pending && now(c) >= c->stall_at) {
        if (c->queued - pending == c->progress) {
            conn_close(c);
            return;
        }
        expect_progress(c, 0);
    }
    if (c->stopped && hung_up(c)) {
        conn_close(c);
        return;
    }
    if (c->state == LINGERING && !pending)
        conn_close(c);
    else
        conn_arm_writing(c);
}

static void on_timer(uv_timer_t *timer) {
    struct conn *c = timer->data;
    bool kicked = c->kicked;

    c->kicked = false;
    if (c->state == CLOSED) return;
    if (c->broken) {
        conn_close(c);
    } else if (c->state != READING) {
        look_after(c);
    } else if (kicked) {
        c->timed = READER_FAILED;
        conn_arm_reading(c);
        conn_pump(c);
    } else if (http_reader_state(c->reader) == READER_IDLE) {
        conn_close(c);
    } else {
        conn_refuse(c, 408, "the request did not arrive in time");
    }
}

/* What the server does with it */

struct conn *conn_new(uv_loop_t *loop, const struct conn_options *o,
                      uint64_t id, bool local) {
    struct conn *c = xalloc(sizeof *c);

    c->options = o;
    c->id = id;
    c->handles = 2;
    c->ahead.limit = CONN_AHEAD_MAX + 2 * o->scratch_size;
    c->timed = READER_FAILED;
    c->local = local;
    if (local)
        (void)uv_pipe_init(loop, &c->socket.pipe, 0);
    else
        (void)uv_tcp_init(loop, &c->socket.tcp);
    (void)uv_timer_init(loop, &c->timer);
    stream_of(c)->data = c;
    c->timer.data = c;
    return c;
}

/* It has its socket: begin. */
static void welcome(struct conn *c, bool refused) {
    const struct conn_options *o = c->options;

    if (uv_read_start(stream_of(c), conn_on_alloc, conn_on_read) != 0) {
        conn_close(c);
        return;
    }
    if (!c->local) (void)uv_tcp_nodelay(&c->socket.tcp, 1);
    if (!front_begin(&c->front, o->trust, c->local ? NULL : &c->socket.tcp)) {
        conn_close(c);
        return;
    }
    if (o->tls) c->tls = tls_accept(o->tls, NULL);
    if (o->tls && (!c->tls || refused))
        conn_close(c); /* there is no way yet to say why */
    else if (refused)
        conn_refuse(c, 503, "too many connections");
    else
        conn_arm_reading(c);
}

static void make_reader(struct conn *c) {
    const struct limits *l = limits_of(c);
    const struct http_reader_limits reader = {
        l->target_bytes_max, l->header_bytes_max, l->header_count_max,
        l->body_bytes_max};

    c->reader = http_reader_new_request(&reader);
}

struct conn *conn_open(uv_stream_t *listener, const struct conn_options *o,
                       uint64_t id, bool refused) {
    struct conn *c =
        conn_new(listener->loop, o, id, listener->type == UV_NAMED_PIPE);

    make_reader(c);
    if (uv_accept(listener, stream_of(c)) != 0)
        conn_close(c);
    else
        welcome(c, refused);
    return c;
}

struct conn *conn_open_fd(uv_loop_t *loop, const struct conn_options *o,
                          uint64_t id, bool local, int fd) {
    struct conn *c = conn_new(loop, o, id, local);

    make_reader(c);
    if (conn_take_fd(c, fd))
        welcome(c, false);
    else
        conn_close(c);
    return c;
}

void conn_drain(struct conn *c) {
    c->draining = true;
    if (c->state != READING || c->ahead.size ||
        http_reader_state(c->reader) != READER_IDLE)
        return;
    if (conn_pending_bytes(c))
        conn_linger(c);
    else
        conn_close(c);
}

void conn_set_user(struct conn *c, void *user) {
    c->user = user;
}

void *conn_user(const struct conn *c) {
    return c->user;
}

struct pass *conn_pass(struct conn *c) {
    return &c->pass;
}

const struct http_request *conn_request(const struct conn *c) {
    return http_reader_request(c->reader);
}

const char *conn_peer(const struct conn *c) {
    return c->front.peer;
}

uint64_t conn_id(const struct conn *c) {
    return c->id;
}

struct conn **conn_next(struct conn *c) {
    return &c->next;
}

struct conn **conn_prev(struct conn *c) {
    return &c->prev;
}
