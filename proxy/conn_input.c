/* conn_input.c - what a client sends: through the balancer's header and TLS to
 * the reader, and a request to its handler. */
#include "proxy/conn_state.h"

enum { PLAIN_SIZE = 16 << 10 }; /* of one TLS record */

/* A request that nobody but us will see: answer and close. */
void conn_refuse(struct conn *c, int status, const char *message) {
    const struct conn_handler *h = c->options->handler;

    c->keep_alive = false;
    c->head_only = false;
    /* Of a coding that is not read: which one is. */
    if (status == 415) conn_add_header(c, "accept-encoding", "gzip");
    /* Of a method that no path knows: none of its target's are. */
    if (status == 405) conn_add_header(c, "allow", "");
    conn_send_error(c, http_error_of_status(status), message, NULL);
    if (h->on_refused) h->on_refused(h->user, status);
    conn_linger(c);
}

void conn_dispatch(struct conn *c) {
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
    conn_arm_writing(c);
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
            conn_refuse(c, http_reader_fail_status(c->reader),
                        http_reader_fail_text(c->reader));
        } else if (!conn_count_body(c)) {
            conn_refuse(c, 503, "too many requests are in hand");
        } else if (state == READER_DONE) {
            conn_dispatch(c);
        } else {
            conn_arm_reading(c);
            if (!c->continued && http_reader_wants_continue(c->reader)) {
                c->continued = true;
                conn_send(
                    c,
                    (struct span[]){span_of("HTTP/1.1 100 Continue\r\n\r\n")},
                    1);
            }
        }
    }
    c->taking = false;
    if (c->state == LINGERING || c->state == CLOSED) return;
    /* Cannot fail: the limit is CONN_AHEAD_MAX and two whole reads. */
    if (!bytes_append(&c->ahead, in.at, in.size, NULL)) c->broken = true;
    if (c->leaving) conn_try_leave(c);
    if (c->state == CLOSED || !in.size) return;
    if (c->ahead.size >= CONN_AHEAD_MAX && !c->stopped) {
        (void)uv_read_stop(stream_of(c));
        c->stopped = true;
        if (conn_busy(c)) conn_arm_writing(c);
    }
}

/* What came ahead has its turn. */
void conn_pump(struct conn *c) {
    struct bytes held = c->ahead;

    c->ahead = (struct bytes){.limit = held.limit};
    take_bytes(c, span_bytes(&held));
    bytes_free(&held);
    if (c->state == CLOSED || c->state == LINGERING) return;
    if (c->stopped && c->ahead.size < CONN_AHEAD_MAX) {
        c->stopped = false;
        if (uv_read_start(stream_of(c), conn_on_alloc, conn_on_read) != 0)
            conn_close(c);
    }
}

static void on_end_of_input(struct conn *c, ssize_t why) {
    c->eof = true;
    if (c->state == LINGERING && why == UV_EOF && conn_pending_bytes(c))
        return; /* on_shut() closes */
    /* Answers already queued still go out to a client that only closed its
     * own side. */
    if (c->state == READING && why == UV_EOF && conn_pending_bytes(c)) {
        conn_linger(c);
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
        conn_pump(c);
}

/* A client that ends TLS, or breaks it, is as one that closes its socket. */
static void take_sealed(struct conn *c, struct span in) {
    char plain[PLAIN_SIZE];
    size_t got = 0;
    bool ready = tls_ready(c->tls), ok = tls_feed(c->tls, in, NULL);

    conn_flush_tls(c); /* an alert, if it failed */
    while (ok && c->state != CLOSED && tls_ready(c->tls)) {
        if (!ready) c->timed = READER_FAILED; /* a request's time begins */
        if (!ready && c->state == READING) conn_arm_reading(c);
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

void conn_feed(struct conn *c, struct span in) {
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
    conn_arm_reading(c);
    if (rest.size) conn_feed(c, span_bytes(&rest));
    bytes_free(&rest);
}

void conn_on_read(uv_stream_t *stream, ssize_t count, const uv_buf_t *buf) {
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
        conn_feed(c, (struct span){buf->base, (size_t)count});
}

void conn_on_alloc(uv_handle_t *handle, size_t hint, uv_buf_t *buf) {
    struct conn *c = handle->data;

    (void)hint;
    *buf = uv_buf_init(c->options->scratch, (unsigned)c->options->scratch_size);
}
