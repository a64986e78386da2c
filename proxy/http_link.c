#include "proxy/http_link.h"

#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    READ_SIZE = 16 << 10,
    RECORD_SIZE = 16 << 10, /* of TLS, at most */
    SEALED_BYTES = 256 << 20,
    ADDRESSES_MAX = 8
};

enum link_state { RESOLVING, CONNECTING, READY, OVER, CLOSED };

union address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};

struct http_link {
    uv_tcp_t tcp;
    uv_timer_t timer;
    uv_getaddrinfo_t resolve;
    uv_connect_t connect;
    enum link_state state;
    int pending;   /* handles not closed and look-ups not back */
    bool tcp_open; /* initialised and not closing */
    bool paused;
    bool failed; /* `err` is to be told from the loop */
    struct err err;
    struct http_link_events events;
    const struct tls_context *context; /* as it was asked for */
    struct tls *tls;                   /* NULL for plain HTTP */
    int port;
    char host[256];
    int address_count;
    int address_next;
    union address addresses[ADDRESSES_MAX];
};

/* A write in flight. libuv reads `out` until on_written(), where the job is
 * freed and nowhere else. */
struct write_job {
    uv_write_t req; /* first, so that the callback can cast back */
    struct http_link *link;
    struct bytes out;
};

static void connect_next(struct http_link *link);

static void release(struct http_link *link) {
    if (--link->pending) return;
    tls_free(link->tls);
    free(link);
}

static void on_closed(uv_handle_t *handle) {
    release(handle->data);
}

void http_link_close(struct http_link *link) {
    if (!link || link->state == CLOSED) return;
    if (link->state == RESOLVING && link->resolve.data)
        (void)uv_cancel((uv_req_t *)&link->resolve);
    link->state = CLOSED;
    if (link->tcp_open) uv_close((uv_handle_t *)&link->tcp, on_closed);
    link->tcp_open = false;
    uv_close((uv_handle_t *)&link->timer, on_closed);
}

/* Tell the end, from the loop. */
static void end(struct http_link *link, const struct err *err) {
    link->state = OVER;
    if (link->tcp_open) (void)uv_read_stop((uv_stream_t *)&link->tcp);
    (void)uv_timer_stop(&link->timer);
    link->events.on_end(link->events.user, err);
}

static void blame(struct http_link *link, enum err_code code,
                  const char *what) {
    (void)err_set(&link->err, code, "%s:%d: %s", link->host, link->port, what);
}

static void on_timer(uv_timer_t *timer) {
    struct http_link *link = timer->data;

    if (link->failed) {
        end(link, &link->err);
    } else if (link->state < READY) {
        blame(link, ERR_UNAVAILABLE, "no connection in time");
        end(link, &link->err);
    } else {
        link->events.on_late(link->events.user);
    }
}

/* Tell `link->err` from the loop, because we may be inside a call of ours. */
static void end_soon(struct http_link *link) {
    (void)uv_timer_start(&link->timer, on_timer, 0, 0);
    link->failed = true;
}

static void fail(struct http_link *link, enum err_code code, const char *what) {
    if (link->failed || link->state >= OVER) return;
    blame(link, code, what);
    end_soon(link);
}

void http_link_arm(struct http_link *link, int ms) {
    if (link->failed || link->state >= OVER) return;
    if (ms)
        (void)uv_timer_start(&link->timer, on_timer, (uint64_t)ms, 0);
    else
        (void)uv_timer_stop(&link->timer);
}

/* Writing */

static void on_written(uv_write_t *req, int status) {
    struct write_job *job = (struct write_job *)req;
    struct http_link *link = job->link;

    bytes_free(&job->out);
    free(job);
    /* A server may answer and close before it has read everything: whoever
     * reads sees the answer, or else the same error. */
    if (status < 0 && link->paused) fail(link, ERR_IO, uv_strerror(status));
}

static void send_bytes(struct http_link *link, struct span out) {
    uv_stream_t *stream = (uv_stream_t *)&link->tcp;
    struct write_job *job;
    uv_buf_t buf;
    int taken;

    if (!out.size) return;
    /* uv_buf_init() does not write, it is only not told so. */
    buf = uv_buf_init((char *)(uintptr_t)out.at, (unsigned)out.size);
    taken = uv_try_write(stream, &buf, 1);
    if (taken > 0) out = span_slice(out, (size_t)taken, out.size);
    if (!out.size) return;
    job = xalloc(sizeof *job);
    job->link = link;
    job->out.limit = out.size;
    bytes_put(&job->out, out);
    buf = uv_buf_init(job->out.at, (unsigned)job->out.size);
    if (uv_write(&job->req, stream, &buf, 1, on_written) == 0) return;
    bytes_free(&job->out);
    free(job);
    fail(link, ERR_IO, "cannot write");
}

static void flush_tls(struct http_link *link) {
    struct bytes out = {.limit = SEALED_BYTES};

    if (tls_take_output(link->tls, &out, NULL))
        send_bytes(link, span_bytes(&out));
    else
        fail(link, ERR_LIMIT, "too much to send");
    bytes_free(&out);
}

void http_link_write(struct http_link *link, struct span out) {
    if (link->state != READY) return;
    if (!link->tls)
        send_bytes(link, out);
    else if (tls_write(link->tls, out, NULL))
        flush_tls(link);
    else
        fail(link, ERR_IO, "cannot seal what is to be sent");
}

/* Reading. libuv reads into the buffer and hands it to on_read() before it asks
 * for another, so that all connections of a loop's thread have one between
 * them. */

static void on_alloc(uv_handle_t *handle, size_t hint, uv_buf_t *buf) {
    static _Thread_local char room[READ_SIZE];

    (void)handle;
    (void)hint;
    *buf = uv_buf_init(room, sizeof room);
}

static void become_ready(struct http_link *link) {
    if (link->failed) return;
    link->state = READY;
    (void)uv_timer_stop(&link->timer);
    if (link->paused) (void)uv_read_stop((uv_stream_t *)&link->tcp);
    link->events.on_ready(link->events.user);
}

/* Sealed bytes came: go on with the handshake, or open them for the owner, all
 * in one piece. The owner may change, or close us, in any callback. */
static void take_sealed(struct http_link *link, struct span in) {
    char plain[READ_SIZE + RECORD_SIZE]; /* with a record begun before */
    size_t got = 0, size = 0;
    bool ok = tls_feed(link->tls, in, &link->err);

    if (ok && link->state < READY && tls_ready(link->tls)) become_ready(link);
    if (link->state < OVER) flush_tls(link); /* an alert, if it failed */
    while (ok && link->state == READY) {
        ok = tls_read(link->tls, plain + size, sizeof plain - size, &got,
                      &link->err);
        if (!ok || !got) break;
        size += got;
    }
    if (ok && size)
        link->events.on_bytes(link->events.user, (struct span){plain, size});
    if (link->state >= OVER) return;
    if (!ok)
        end(link, &link->err);
    else if (tls_ended(link->tls))
        end(link, NULL);
}

static void take(struct http_link *link, ssize_t count, const char *at) {
    if (count == UV_EOF && !link->tls) {
        end(link, NULL);
    } else if (count < 0) {
        /* With TLS a bare end may be somebody's cut. */
        blame(link, link->state < READY ? ERR_UNAVAILABLE : ERR_IO,
              uv_strerror((int)count));
        end(link, &link->err);
    } else if (link->tls) {
        take_sealed(link, (struct span){at, (size_t)count});
    } else {
        link->events.on_bytes(link->events.user,
                              (struct span){at, (size_t)count});
    }
}

static void on_read(uv_stream_t *stream, ssize_t count, const uv_buf_t *buf) {
    struct http_link *link = stream->data;

    if (link->state < OVER && count) take(link, count, buf->base);
}

static void start_reading(struct http_link *link) {
    if (uv_read_start((uv_stream_t *)&link->tcp, on_alloc, on_read) != 0)
        fail(link, ERR_IO, "cannot read");
}

void http_link_pause(struct http_link *link) {
    link->paused = true;
    if (link->state == READY) (void)uv_read_stop((uv_stream_t *)&link->tcp);
}

void http_link_resume(struct http_link *link) {
    if (!link->paused) return;
    link->paused = false;
    if (link->state == READY) start_reading(link);
}

/* Connecting */

static void on_connect(uv_connect_t *req, int status) {
    struct http_link *link = req->data;

    if (link->state >= OVER) return;
    if (status < 0) {
        blame(link, ERR_UNAVAILABLE, uv_strerror(status));
        connect_next(link);
        return;
    }
    (void)uv_tcp_nodelay(&link->tcp, 1);
    if (link->tls && tls_feed(link->tls, (struct span){0}, NULL))
        flush_tls(link);
    else if (link->tls)
        fail(link, ERR_UNAVAILABLE, "TLS does not begin");
    start_reading(link);
    if (!link->tls) become_ready(link);
}

static void on_try_closed(uv_handle_t *handle) {
    struct http_link *link = handle->data;

    if (link->state < OVER) connect_next(link);
    release(link);
}

/* A socket whose connect failed is closed before the next one takes its
 * place. */
static void connect_next(struct http_link *link) {
    if (link->tcp_open) {
        link->tcp_open = false;
        uv_close((uv_handle_t *)&link->tcp, on_try_closed);
        return;
    }
    if (link->address_next == link->address_count) {
        end_soon(link);
        return;
    }
    link->state = CONNECTING;
    (void)uv_tcp_init(link->timer.loop, &link->tcp);
    link->tcp.data = link;
    link->tcp_open = true;
    link->pending++;
    link->connect.data = link;
    if (uv_tcp_connect(&link->connect, &link->tcp,
                       &link->addresses[link->address_next++].any,
                       on_connect) != 0) {
        blame(link, ERR_UNAVAILABLE, "cannot connect");
        connect_next(link);
    }
}

static void on_resolved(uv_getaddrinfo_t *req, int status,
                        struct addrinfo *list) {
    struct http_link *link = req->data;

    for (struct addrinfo *a = list; a; a = a->ai_next) {
        if (link->address_count == ADDRESSES_MAX) break;
        if (a->ai_addrlen <= sizeof link->addresses[0])
            memcpy(&link->addresses[link->address_count++], a->ai_addr,
                   a->ai_addrlen);
    }
    uv_freeaddrinfo(list);
    req->data = NULL; /* nothing left to cancel */
    if (link->state < OVER) {
        (void)err_set(&link->err, ERR_UNAVAILABLE, "%s: %s", link->host,
                      status < 0 ? uv_strerror(status) : "no address");
        connect_next(link);
    }
    release(link);
}

static bool is_address(struct http_link *link) {
    union address *at = &link->addresses[0];

    if (uv_ip4_addr(link->host, link->port, &at->v4) != 0 &&
        uv_ip6_addr(link->host, link->port, &at->v6) != 0)
        return false;
    link->address_count = 1;
    return true;
}

static void resolve(struct http_link *link) {
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM,
                             .ai_protocol = IPPROTO_TCP};
    char service[8];

    if (is_address(link)) {
        connect_next(link);
        return;
    }
    (void)snprintf(service, sizeof service, "%d", link->port);
    link->resolve.data = link;
    link->pending++;
    if (uv_getaddrinfo(link->timer.loop, &link->resolve, on_resolved,
                       link->host, service, &hints) != 0) {
        link->resolve.data = NULL;
        link->pending--;
        fail(link, ERR_UNAVAILABLE, "cannot look up the name");
    }
}

struct http_link *http_link_open(uv_loop_t *loop,
                                 const struct http_place *place, int connect_ms,
                                 const struct http_link_events *events,
                                 struct err *err) {
    size_t size = strlen(place->host);
    struct http_link *link;
    struct tls *tls = NULL;

    if (!size || size >= sizeof link->host) {
        (void)err_set(err, ERR_INPUT, "not a host name");
        return NULL;
    }
    if (place->tls) {
        tls = tls_new(place->tls, place->host, err);
        if (!tls) return NULL;
    }
    link = xalloc(sizeof *link);
    link->events = *events;
    link->context = place->tls;
    link->tls = tls;
    link->port = place->port;
    memcpy(link->host, place->host, size);
    (void)uv_timer_init(loop, &link->timer);
    link->timer.data = link;
    link->pending = 1;
    /* A loop keeps the time at which it last ran: behind a person who thinks,
     * or a model that loads, the time-out would be over at once. */
    uv_update_time(loop);
    http_link_arm(link, connect_ms);
    resolve(link);
    return link;
}

/* One owner after the other */

bool http_link_usable(const struct http_link *link) {
    return link->state == READY && !link->failed &&
           uv_stream_get_write_queue_size((const uv_stream_t *)&link->tcp) ==
               0 &&
           !(link->tls && tls_ended(link->tls));
}

bool http_link_is_at(const struct http_link *link,
                     const struct http_place *place) {
    return link->port == place->port && link->context == place->tls &&
           !strcmp(link->host, place->host);
}

void http_link_hand(struct http_link *link,
                    const struct http_link_events *events, bool idle) {
    link->events = *events;
    if (idle) {
        uv_unref((uv_handle_t *)&link->tcp);
        uv_unref((uv_handle_t *)&link->timer);
    } else {
        uv_ref((uv_handle_t *)&link->tcp);
        uv_ref((uv_handle_t *)&link->timer);
    }
    http_link_resume(link);
}
