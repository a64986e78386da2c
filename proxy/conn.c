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

#include "proxy/front.h"
#include "proxy/http_error.h"
#include "proxy/response_head.h"

enum {
    AHEAD_MAX = 16 << 10, /* pipelined bytes held while a response runs */
    LINGER_MS = 2000,
    HANGUP_MS = 1000, /* how often to look for a hang-up while not reading */
    PLAIN_SIZE = 16 << 10, /* of one TLS record */
    PARTS_MAX = 3          /* written at once */
};

enum conn_state { READING, HANDLING, STREAMING, LINGERING, CLOSED };

struct conn {
    union {
        uv_tcp_t tcp;
        uv_pipe_t pipe; /* by a listener that is one */
    } socket;
    bool local;      /* a pipe */
    struct tls *tls; /* NULL: in the clear */
    uv_timer_t timer;
    uv_shutdown_t shutdown;
    const struct conn_options *options; /* borrowed, the server's */
    struct conn *next;                  /* the server's list */
    struct conn *prev;
    uint64_t id;
    struct front front; /* who it is */
    enum conn_state state;
    int handles; /* open or closing; the last one's close frees us */

    struct http_reader *reader;
    struct bytes ahead; /* came while we were not READING */
    bool taking;        /* on_request() may be on the stack */
    bool kicked;        /* the timer runs to get us back into the loop */
    bool broken;        /* cut off: to be told from the loop */
    bool reset;         /* close so that the client sees an error */
    bool stopped;       /* not reading, `ahead` is full */
    bool eof;
    bool draining;
    bool continued;          /* 100 Continue was sent */
    enum reader_state timed; /* the phase that the timer was set for */

    void *user;
    struct pass pass;
    struct bytes extra; /* header lines of the response in hand */
    bool keep_alive;    /* after the response in hand */
    size_t body_bytes;  /* our part of what all connections hold */
    bool head_only;
    bool chunked;
    bool wants_drain;
    struct conn_outcome end; /* of the response in hand, so far */
    uint64_t queued;         /* bytes ever given to libuv */
    uint64_t progress;       /* of them gone, when we last looked */
    uint64_t stall_at;       /* loop time by which there must be progress */
};

/* A write in flight. libuv reads `data` until on_written(), where the job is
 * freed and nowhere else. */
struct write_job {
    uv_write_t req; /* first, so that the callback can cast back */
    struct conn *conn;
    char data[];
};

static void pump(struct conn *c);
static void tell_end(struct conn *c);

static const struct limits *limits_of(const struct conn *c) {
    return c->options->limits;
}

static uv_stream_t *stream_of(struct conn *c) {
    return (uv_stream_t *)&c->socket;
}

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

/* Keep the count of all bodies held; false past its limit. */
static bool count_body(struct conn *c) {
    size_t held = http_reader_held(c->reader);
    size_t *all = c->options->bodies_bytes;

    *all = *all - c->body_bytes + held;
    c->body_bytes = held;
    return *all <= limits_of(c)->bodies_bytes_max;
}

static void next_message(struct conn *c) {
    http_reader_next(c->reader);
    (void)count_body(c);
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
    if (!c->reset || c->local ||
        uv_tcp_close_reset(&c->socket.tcp, on_handle_closed) != 0)
        uv_close((uv_handle_t *)&c->socket, on_handle_closed);
    uv_close((uv_handle_t *)&c->timer, on_handle_closed);
    next_message(c);
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

static void arm_writing(struct conn *c) {
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

/* A phase of reading begins; bytes that come within it do not extend it. */
static void arm_reading(struct conn *c) {
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
    if (c->state == READING) {
        if (c->ahead.size && !c->kicked) pump(c);
        return;
    }
    if (c->state != LINGERING || conn_pending_bytes(c)) arm_writing(c);
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
        if (size && conn_busy(c)) arm_writing(c);
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
        arm_writing(c);
}

/* What TLS has to say goes out. */
static void flush_tls(struct conn *c) {
    struct bytes sealed = {0};

    if (!tls_take_output(c->tls, &sealed, NULL)) c->broken = true;
    send_raw(c, (struct span[]){span_bytes(&sealed)}, 1);
    bytes_free(&sealed);
}

static void send_parts(struct conn *c, const struct span *parts, int count) {
    bool ok = true;

    if (!c->tls) {
        send_raw(c, parts, count);
        return;
    }
    if (c->state == CLOSED || c->broken) return;
    for (int i = 0; ok && i < count; i++)
        ok = tls_ready(c->tls) && tls_write(c->tls, parts[i], NULL);
    if (ok) {
        flush_tls(c);
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

static void on_alloc(uv_handle_t *handle, size_t hint, uv_buf_t *buf) {
    struct conn *c = handle->data;

    (void)hint;
    *buf = uv_buf_init(c->options->scratch, (unsigned)c->options->scratch_size);
}

static void on_read(uv_stream_t *stream, ssize_t count, const uv_buf_t *buf);

static void linger(struct conn *c) {
    if (c->tls && tls_ready(c->tls)) {
        tls_end(c->tls);
        flush_tls(c);
    }
    c->state = LINGERING;
    bytes_free(&c->ahead);
    next_message(c);
    if (c->broken) {
        kick(c);
        return;
    }
    if (c->stopped) {
        c->stopped = false;
        if (uv_read_start(stream_of(c), on_alloc, on_read) != 0)
            c->broken = true;
    }
    c->shutdown.data = c;
    /* Comes back once everything queued has gone out. */
    if (uv_shutdown(&c->shutdown, stream_of(c), on_shut) != 0) c->broken = true;
    if (c->broken)
        kick(c);
    else
        arm_writing(c);
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
        linger(c);
        return;
    }
    c->state = READING;
    next_message(c);
    c->continued = false;
    c->timed = READER_FAILED; /* no phase yet */
    arm_reading(c);
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
    struct bytes head = {0};
    char length[24];

    c->end.status = status;
    put_head(c, &head, status, content_type, headers, header_count);
    if (status != 204) {
        (void)snprintf(length, sizeof length, "%zu", body.size);
        http_put_header(&head, span_of("content-length"), span_of(length));
    }
    bytes_puts(&head, "\r\n");
    if (c->head_only || status == 204) body.size = 0;
    c->end.bytes = body.size;
    send_parts(c, (struct span[]){span_bytes(&head), body}, 2);
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

static void send_error(struct conn *c, const struct http_error *row,
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
    send_error(c, row, row->message ? row->message : err->text, err->field);
    end_response(c);
}

void conn_fail_status(struct conn *c, int status, const char *message) {
    if (c->state == CLOSED) return;
    assert(c->state == HANDLING);
    if (c->draining) c->keep_alive = false;
    send_error(c, http_error_of_status(status), message, NULL);
    end_response(c);
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
    send_parts(c, (struct span[]){span_bytes(&head)}, 1);
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
        send_parts(c, (struct span[]){span_of(size), piece, span_of("\r\n")},
                   3);
    else
        send_parts(c, &piece, 1);
    if (!c->broken && conn_pending_bytes(c) <= limits_of(c)->write_high_bytes)
        return true;
    c->wants_drain = true;
    return false;
}

void conn_end(struct conn *c) {
    if (c->state == CLOSED) return;
    assert(c->state == STREAMING);
    if (c->chunked && !c->head_only)
        send_parts(c, (struct span[]){span_of("0\r\n\r\n")}, 1);
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

/* Reading */

/* A request that nobody but us will see: answer and close. */
static void refuse(struct conn *c, int status, const char *message) {
    const struct conn_handler *h = c->options->handler;

    c->keep_alive = false;
    c->head_only = false;
    /* Of a coding that is not read: which one is. */
    if (status == 415) conn_add_header(c, "accept-encoding", "gzip");
    send_error(c, http_error_of_status(status), message, NULL);
    if (h->on_refused) h->on_refused(h->user, status);
    linger(c);
}

static void dispatch(struct conn *c) {
    const struct conn_handler *h = c->options->handler;
    const struct http_request *r = http_reader_request(c->reader);

    c->state = HANDLING;
    c->keep_alive = r->keep_alive && !c->draining;
    c->head_only = span_is(r->method, "HEAD");
    c->user = NULL;
    if (span_is(r->method, "OPTIONS")) {
        struct http_header allow = {
            span_of("allow"), span_of("GET, HEAD, POST, DELETE, OPTIONS")};

        conn_respond(c, 204, NULL, &allow, 1, (struct span){0});
        return;
    }
    arm_writing(c);
    h->on_request(h->user, c, r);
}

static void take_bytes(struct conn *c, struct span in) {
    c->taking = true;
    while (in.size && c->state == READING && !c->broken &&
           conn_pending_bytes(c) <= limits_of(c)->write_high_bytes) {
        size_t used;
        enum reader_state state = http_reader_feed(c->reader, in, &used);

        in = span_slice(in, used, in.size);
        if (state == READER_FAILED) {
            refuse(c, http_reader_fail_status(c->reader),
                   http_reader_fail_text(c->reader));
        } else if (!count_body(c)) {
            refuse(c, 503, "too many requests are in hand");
        } else if (state == READER_DONE) {
            dispatch(c);
        } else {
            arm_reading(c);
            if (!c->continued && http_reader_wants_continue(c->reader)) {
                c->continued = true;
                send_parts(
                    c,
                    (struct span[]){span_of("HTTP/1.1 100 Continue\r\n\r\n")},
                    1);
            }
        }
    }
    c->taking = false;
    if (c->state == LINGERING || c->state == CLOSED || !in.size) return;
    /* Cannot fail: the limit is AHEAD_MAX and two whole reads. */
    if (!bytes_append(&c->ahead, in.at, in.size, NULL)) c->broken = true;
    if (c->ahead.size >= AHEAD_MAX && !c->stopped) {
        (void)uv_read_stop(stream_of(c));
        c->stopped = true;
        if (conn_busy(c)) arm_writing(c);
    }
}

/* What came ahead has its turn. */
static void pump(struct conn *c) {
    struct bytes held = c->ahead;

    c->ahead = (struct bytes){.limit = held.limit};
    take_bytes(c, span_bytes(&held));
    bytes_free(&held);
    if (c->state == CLOSED || c->state == LINGERING) return;
    if (c->stopped && c->ahead.size < AHEAD_MAX) {
        c->stopped = false;
        if (uv_read_start(stream_of(c), on_alloc, on_read) != 0) conn_close(c);
    }
}

static void on_end_of_input(struct conn *c, ssize_t why) {
    c->eof = true;
    if (c->state == LINGERING && why == UV_EOF && conn_pending_bytes(c))
        return; /* on_shut() closes */
    /* Answers already queued still go out to a client that only closed its
     * own side. */
    if (c->state == READING && why == UV_EOF && conn_pending_bytes(c)) {
        linger(c);
        return;
    }
    conn_close(c);
}

static void take_input(struct conn *c, struct span in) {
    if (c->state == LINGERING) return;
    if (c->state != READING || !c->ahead.size)
        take_bytes(c, in);
    else if (!bytes_append(&c->ahead, in.at, in.size, NULL))
        conn_close(c);
    else
        pump(c);
}

/* A client that ends TLS, or breaks it, is as one that closes its socket. */
static void take_sealed(struct conn *c, struct span in) {
    char plain[PLAIN_SIZE];
    size_t got = 0;
    bool ready = tls_ready(c->tls), ok = tls_feed(c->tls, in, NULL);

    flush_tls(c); /* an alert, if it failed */
    while (ok && c->state != CLOSED && tls_ready(c->tls)) {
        if (!ready) c->timed = READER_FAILED; /* a request's time begins */
        if (!ready && c->state == READING) arm_reading(c);
        ready = true;
        ok = tls_read(c->tls, plain, sizeof plain, &got, NULL);
        if (!ok || !got) break;
        take_input(c, (struct span){plain, got});
    }
    if (c->state == CLOSED) return;
    if (!ok)
        conn_close(c);
    else if (tls_ended(c->tls) && !c->eof)
        on_end_of_input(c, UV_EOF);
}

static void feed(struct conn *c, struct span in) {
    if (c->tls)
        take_sealed(c, in);
    else
        take_input(c, in);
}

/* What a balancer says comes ahead of everything else, TLS too. */
static void take_front(struct conn *c, struct span in) {
    const struct conn_handler *h = c->options->handler;
    struct bytes rest;

    if (!front_take(&c->front, in)) {
        if (h->on_refused) h->on_refused(h->user, 400);
        conn_close(c);
        return;
    }
    if (c->front.waiting) return;
    rest = c->front.held;
    c->front.held = (struct bytes){0};
    c->timed = READER_FAILED; /* a request's time begins */
    arm_reading(c);
    if (rest.size) feed(c, span_bytes(&rest));
    bytes_free(&rest);
}

static void on_read(uv_stream_t *stream, ssize_t count, const uv_buf_t *buf) {
    struct conn *c = stream->data;

    if (c->state == CLOSED || count == 0) return;
    if (count < 0) {
        (void)uv_read_stop(stream);
        on_end_of_input(c, count);
        return;
    }
    if (c->front.waiting && c->state == READING)
        take_front(c, (struct span){buf->base, (size_t)count});
    else
        feed(c, (struct span){buf->base, (size_t)count});
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
        arm_writing(c);
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
        arm_reading(c);
        pump(c);
    } else if (http_reader_state(c->reader) == READER_IDLE) {
        conn_close(c);
    } else {
        refuse(c, 408, "the request did not arrive in time");
    }
}

/* What the server does with it */

struct conn *conn_open(uv_stream_t *listener, const struct conn_options *o,
                       uint64_t id, bool refused) {
    struct conn *c = xalloc(sizeof *c);
    const struct limits *l = o->limits;
    const struct http_reader_limits reader = {
        l->target_bytes_max, l->header_bytes_max, l->header_count_max,
        l->body_bytes_max};

    c->options = o;
    c->id = id;
    c->handles = 2;
    c->ahead.limit = AHEAD_MAX + 2 * o->scratch_size;
    c->timed = READER_FAILED;
    c->reader = http_reader_new_request(&reader);
    c->local = listener->type == UV_NAMED_PIPE;
    if (c->local)
        (void)uv_pipe_init(listener->loop, &c->socket.pipe, 0);
    else
        (void)uv_tcp_init(listener->loop, &c->socket.tcp);
    (void)uv_timer_init(listener->loop, &c->timer);
    stream_of(c)->data = c;
    c->timer.data = c;
    if (uv_accept(listener, stream_of(c)) != 0 ||
        uv_read_start(stream_of(c), on_alloc, on_read) != 0) {
        conn_close(c);
        return c;
    }
    if (!c->local) (void)uv_tcp_nodelay(&c->socket.tcp, 1);
    if (!front_begin(&c->front, o->trust, c->local ? NULL : &c->socket.tcp)) {
        conn_close(c);
        return c;
    }
    if (o->tls) c->tls = tls_accept(o->tls, NULL);
    if (o->tls && (!c->tls || refused))
        conn_close(c); /* there is no way yet to say why */
    else if (refused)
        refuse(c, 503, "too many connections");
    else
        arm_reading(c);
    return c;
}

void conn_drain(struct conn *c) {
    c->draining = true;
    if (c->state != READING || c->ahead.size ||
        http_reader_state(c->reader) != READER_IDLE)
        return;
    if (conn_pending_bytes(c))
        linger(c);
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
