/* http_client.c - one request to an upstream.
 *
 *   RESOLVING -> CONNECTING (and TLS) -> WAITING -> READING -> ENDED
 *                                                      (any) -> ENDED
 *
 * Several addresses are tried one after the other, within one time-out. Every
 * call has a connection of its own. */
#include "proxy/http_client.h"

#include <assert.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    CONNECT_MS = 5 * 1000,
    FIRST_BYTE_MS = 60 * 1000,
    IDLE_MS = 60 * 1000,
    HEADER_BYTES = 64 << 10,
    HEADER_COUNT = 200,
    BODY_BYTES = 64 << 20,
    READ_SIZE = 16 << 10,
    SEALED_BYTES = 256 << 20,
    ADDRESSES_MAX = 8
};

enum call_state { RESOLVING, CONNECTING, WAITING, READING, ENDED };

struct http_call {
    uv_tcp_t tcp;
    uv_timer_t timer;
    uv_getaddrinfo_t resolve;
    uv_connect_t connect;
    enum call_state state;
    int pending;   /* handles not closed and look-ups not back */
    bool tcp_open; /* initialised and not closing */
    struct http_call_events events;
    char host[256];
    int port;
    int first_byte_ms;
    int idle_ms;

    struct sockaddr_storage addresses[ADDRESSES_MAX];
    int address_count;
    int address_next;
    struct bytes request;
    struct tls *tls; /* NULL for plain HTTP */
    struct http_reader *reader;
    bool head_told;
    bool paused;
    bool failed; /* `err` is to be told from the loop */
    struct err err;
    char input[READ_SIZE];
};

/* A write in flight. libuv reads `out` until on_written(), where the job is
 * freed and nowhere else. */
struct write_job {
    uv_write_t req; /* first, so that the callback can cast back */
    struct http_call *call;
    struct bytes out;
};

static void connect_next(struct http_call *call);

static void release(struct http_call *call) {
    if (--call->pending) return;
    http_reader_free(call->reader);
    tls_free(call->tls);
    bytes_free(&call->request);
    free(call);
}

static void on_closed(uv_handle_t *handle) {
    release(handle->data);
}

/* From here on no callback; memory goes when libuv has let go of it. */
static void shut_down(struct http_call *call) {
    if (call->state == RESOLVING && call->resolve.data)
        (void)uv_cancel((uv_req_t *)&call->resolve);
    call->state = ENDED;
    if (call->tcp_open) uv_close((uv_handle_t *)&call->tcp, on_closed);
    call->tcp_open = false;
    uv_close((uv_handle_t *)&call->timer, on_closed);
}

static void end(struct http_call *call, const struct err *err) {
    shut_down(call);
    call->events.on_end(call->events.user, err);
}

static void on_timer(uv_timer_t *timer) {
    struct http_call *call = timer->data;

    if (!call->failed)
        (void)err_set(&call->err,
                      call->state < WAITING ? ERR_UNAVAILABLE : ERR_TIMEOUT,
                      "%s:%d: %s", call->host, call->port,
                      call->state < WAITING    ? "no connection in time"
                      : call->state == WAITING ? "no response in time"
                                               : "stopped in mid-response");
    end(call, &call->err);
}

static void arm(struct http_call *call, int ms) {
    if (!call->failed)
        (void)uv_timer_start(&call->timer, on_timer, (uint64_t)ms, 0);
}

/* To be told from the loop, because we may be inside http_call_start(). */
static void fail(struct http_call *call, enum err_code code, const char *what) {
    (void)err_set(&call->err, code, "%s:%d: %s", call->host, call->port, what);
    arm(call, 0);
    call->failed = true;
}

/* Reading */

static bool tell_head(struct http_call *call) {
    int count, status = http_reader_status(call->reader);
    const struct http_header *headers =
        http_reader_headers(call->reader, &count);
    struct span coding = http_header_find(headers, count, "content-encoding");

    /* A guard cannot read what it cannot unpack. */
    if (coding.at && !span_is(coding, "identity") && coding.size) {
        fail(call, ERR_UNSUPPORTED, "the response is compressed");
        end(call, &call->err);
        return false;
    }
    call->head_told = true;
    call->state = READING;
    call->events.on_head(call->events.user, status, headers, count);
    return call->state != ENDED;
}

/* Hand over what the reader has found; false when the call is over. */
static bool tell(struct http_call *call) {
    enum reader_state state = http_reader_state(call->reader);
    int status = http_reader_fail_status(call->reader);
    struct span part;

    if (http_reader_has_head(call->reader)) {
        if (!call->head_told && !tell_head(call)) return false;
        part = http_reader_take_body(call->reader);
        if (part.size) call->events.on_body(call->events.user, part);
        if (call->state == ENDED) return false;
    }
    if (state == READER_DONE) {
        end(call, NULL);
        return false;
    }
    if (state != READER_FAILED) return true;
    fail(call, status == 413 || status == 431 ? ERR_LIMIT : ERR_IO,
         http_reader_fail_text(call->reader));
    end(call, &call->err);
    return false;
}

static void on_alloc(uv_handle_t *handle, size_t hint, uv_buf_t *buf) {
    struct http_call *call = handle->data;

    (void)hint;
    *buf = uv_buf_init(call->input, sizeof call->input);
}

static void on_written(uv_write_t *req, int status) {
    struct write_job *job = (struct write_job *)req;
    struct http_call *call = job->call;

    bytes_free(&job->out);
    free(job);
    /* A server may answer and close before it has read everything: whoever
     * reads sees the answer, or else the same error. */
    if (call->state != ENDED && status < 0 && call->paused)
        fail(call, ERR_IO, uv_strerror(status));
}

/* Takes `out`. */
static void send_bytes(struct http_call *call, struct bytes out) {
    struct write_job *job;
    uv_buf_t buf;

    if (!out.size) {
        bytes_free(&out);
        return;
    }
    job = xalloc(sizeof *job);
    job->call = call;
    job->out = out;
    buf = uv_buf_init(out.at, (unsigned)out.size);
    if (uv_write(&job->req, (uv_stream_t *)&call->tcp, &buf, 1, on_written) ==
        0)
        return;
    bytes_free(&job->out);
    free(job);
    fail(call, ERR_IO, "cannot write");
}

/* The connection stands: now the request. */
static void send_request(struct http_call *call) {
    struct bytes out = call->request;

    call->request = (struct bytes){0};
    call->state = WAITING;
    arm(call, call->first_byte_ms);
    if (call->paused) (void)uv_read_stop((uv_stream_t *)&call->tcp);
    if (!call->tls) {
        send_bytes(call, out);
        return;
    }
    if (!tls_write(call->tls, span_bytes(&out), NULL))
        fail(call, ERR_IO, "cannot seal the request");
    bytes_free(&out);
}

static void flush_tls(struct http_call *call) {
    struct bytes out = {.limit = SEALED_BYTES};

    if (tls_take_output(call->tls, &out, NULL)) {
        send_bytes(call, out);
        return;
    }
    bytes_free(&out);
    fail(call, ERR_LIMIT, "the request is too large");
}

/* Sealed bytes came: go on with the handshake, or open them for the reader.
 * False when the call is over. */
static bool take_sealed(struct http_call *call, struct span in) {
    char plain[READ_SIZE];
    size_t got = 0, used;
    bool ok = tls_feed(call->tls, in, &call->err);

    if (ok && call->state < WAITING && tls_ready(call->tls)) send_request(call);
    flush_tls(call); /* an alert, if it failed */
    while (ok && tls_ready(call->tls)) {
        ok = tls_read(call->tls, plain, sizeof plain, &got, &call->err);
        if (!ok || !got) break;
        (void)http_reader_feed(call->reader, (struct span){plain, got}, &used);
    }
    if (ok && tls_ended(call->tls)) (void)http_reader_finish(call->reader);
    if (ok) return true;
    end(call, &call->err);
    return false;
}

static void on_read(uv_stream_t *stream, ssize_t count, const uv_buf_t *buf) {
    struct http_call *call = stream->data;
    size_t used;

    if (call->state == ENDED || count == 0) return;
    if (count < 0 && (count != UV_EOF || call->tls)) {
        /* With TLS a bare end may be somebody's cut. */
        fail(call, call->state < WAITING ? ERR_UNAVAILABLE : ERR_IO,
             uv_strerror((int)count));
        end(call, &call->err);
        return;
    }
    if (count == UV_EOF) {
        (void)http_reader_finish(call->reader);
    } else {
        struct span in = {buf->base, (size_t)count};

        if (!call->tls)
            (void)http_reader_feed(call->reader, in, &used);
        else if (!take_sealed(call, in))
            return;
    }
    if (tell(call) && call->state == READING && !call->paused)
        arm(call, call->idle_ms);
}

void http_call_pause(struct http_call *call) {
    if (call->state == ENDED || call->paused) return;
    call->paused = true;
    if (call->state < WAITING) return;
    (void)uv_read_stop((uv_stream_t *)&call->tcp);
    if (call->state == READING && !call->failed)
        (void)uv_timer_stop(&call->timer);
}

static void start_reading(struct http_call *call) {
    if (uv_read_start((uv_stream_t *)&call->tcp, on_alloc, on_read) != 0)
        fail(call, ERR_IO, "cannot read");
}

void http_call_resume(struct http_call *call) {
    if (call->state == ENDED || !call->paused) return;
    call->paused = false;
    if (call->state < WAITING) return;
    if (call->state == READING) arm(call, call->idle_ms);
    start_reading(call);
}

/* Connecting */

static void on_connect(uv_connect_t *req, int status) {
    struct http_call *call = req->data;

    if (call->state == ENDED) return;
    if (status < 0) {
        (void)err_set(&call->err, ERR_UNAVAILABLE, "%s:%d: %s", call->host,
                      call->port, uv_strerror(status));
        connect_next(call);
        return;
    }
    (void)uv_tcp_nodelay(&call->tcp, 1);
    if (!call->tls)
        send_request(call);
    else if (tls_feed(call->tls, (struct span){0}, NULL))
        flush_tls(call);
    else
        fail(call, ERR_UNAVAILABLE, "TLS does not begin");
    if (call->tls || !call->paused) start_reading(call);
}

static void on_try_closed(uv_handle_t *handle) {
    struct http_call *call = handle->data;

    if (call->state != ENDED) connect_next(call);
    release(call);
}

/* A socket whose connect failed is closed before the next one takes its
 * place. */
static void connect_next(struct http_call *call) {
    const struct sockaddr *to;

    if (call->tcp_open) {
        call->tcp_open = false;
        uv_close((uv_handle_t *)&call->tcp, on_try_closed);
        return;
    }
    if (call->address_next == call->address_count) {
        call->failed = false;
        arm(call, 0);
        call->failed = true;
        return;
    }
    to = (const struct sockaddr *)&call->addresses[call->address_next++];
    call->state = CONNECTING;
    (void)uv_tcp_init(call->timer.loop, &call->tcp);
    call->tcp.data = call;
    call->tcp_open = true;
    call->pending++;
    call->connect.data = call;
    if (uv_tcp_connect(&call->connect, &call->tcp, to, on_connect) != 0) {
        (void)err_set(&call->err, ERR_UNAVAILABLE, "%s:%d: cannot connect",
                      call->host, call->port);
        connect_next(call);
    }
}

static void on_resolved(uv_getaddrinfo_t *req, int status,
                        struct addrinfo *list) {
    struct http_call *call = req->data;

    for (struct addrinfo *a = list; a; a = a->ai_next) {
        if (call->address_count == ADDRESSES_MAX ||
            a->ai_addrlen > sizeof call->addresses[0])
            break;
        memcpy(&call->addresses[call->address_count++], a->ai_addr,
               a->ai_addrlen);
    }
    uv_freeaddrinfo(list);
    if (call->state != ENDED) {
        req->data = NULL; /* nothing left to cancel */
        (void)err_set(&call->err, ERR_UNAVAILABLE, "%s: %s", call->host,
                      status < 0 ? uv_strerror(status) : "no address");
        connect_next(call);
    }
    release(call);
}

static bool is_address(struct http_call *call) {
    struct sockaddr_storage *at = &call->addresses[0];

    if (uv_ip4_addr(call->host, call->port, (struct sockaddr_in *)at) != 0 &&
        uv_ip6_addr(call->host, call->port, (struct sockaddr_in6 *)at) != 0)
        return false;
    call->address_count = 1;
    return true;
}

static void resolve(struct http_call *call) {
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM,
                             .ai_protocol = IPPROTO_TCP};
    char service[8];

    if (is_address(call)) {
        connect_next(call);
        return;
    }
    (void)snprintf(service, sizeof service, "%d", call->port);
    call->resolve.data = call;
    call->pending++;
    if (uv_getaddrinfo(call->timer.loop, &call->resolve, on_resolved,
                       call->host, service, &hints) != 0) {
        call->resolve.data = NULL;
        call->pending--;
        fail(call, ERR_UNAVAILABLE, "cannot look up the name");
    }
}

/* The request */

static void put_host(const struct http_call_options *o, struct bytes *out) {
    char text[300];
    bool bare = o->port == (o->tls ? 443 : 80);

    (void)snprintf(text, sizeof text, strchr(o->host, ':') ? "[%s]" : "%s",
                   o->host);
    if (!bare)
        (void)snprintf(text + strlen(text), sizeof text - strlen(text), ":%d",
                       o->port);
    http_put_header(out, span_of("host"), span_of(text));
}

static void put_request(const struct http_call_options *o, struct bytes *out) {
    char length[24];

    bytes_puts(out, o->method);
    bytes_puts(out, " ");
    bytes_puts(out, o->path);
    bytes_puts(out, " HTTP/1.1\r\n");
    put_host(o, out);
    for (int i = 0; i < o->header_count; i++)
        http_put_header(out, o->headers[i].name, o->headers[i].value);
    if (o->body.size || !strcmp(o->method, "POST")) {
        (void)snprintf(length, sizeof length, "%zu", o->body.size);
        http_put_header(out, span_of("content-length"), span_of(length));
    }
    http_put_header(out, span_of("accept-encoding"), span_of("identity"));
    http_put_header(out, span_of("connection"), span_of("close"));
    bytes_puts(out, "\r\n");
    bytes_put(out, o->body);
}

static bool check_options(const struct http_call_options *o, struct err *err) {
    size_t host = strlen(o->host);

    if (o->tls && !o->tls_context)
        return err_set(err, ERR_UNSUPPORTED,
                       "https needs to be told whom to trust");
    if (!host || host > 255) return err_set(err, ERR_INPUT, "not a host name");
    if (o->path[0] != '/')
        return err_set(err, ERR_INPUT, "a path begins with a slash");
    for (const char *at = o->path; *at; at++)
        if (*at <= ' ' || *at == 127)
            return err_set(err, ERR_INPUT, "a path holds no blanks");
    if (o->body.size > BODY_BYTES)
        return err_set(err, ERR_LIMIT, "the request is too large");
    return true;
}

struct http_call *http_call_start(uv_loop_t *loop,
                                  const struct http_call_options *o,
                                  const struct http_call_events *events,
                                  struct err *err) {
    struct tls *tls = NULL;
    struct http_call *call;
    struct http_reader_limits limits = {
        .target_bytes_max = 1,
        .header_bytes_max =
            o->header_bytes_max ? o->header_bytes_max : HEADER_BYTES,
        .header_count_max = HEADER_COUNT,
        .body_bytes_max = o->body_bytes_max ? o->body_bytes_max : BODY_BYTES};

    if (!check_options(o, err)) return NULL;
    if (o->tls) {
        tls = tls_new(o->tls_context, o->host, err);
        if (!tls) return NULL;
    }
    call = xalloc(sizeof *call);
    call->tls = tls;
    call->events = *events;
    (void)snprintf(call->host, sizeof call->host, "%s", o->host);
    call->port = o->port;
    call->first_byte_ms = o->first_byte_ms ? o->first_byte_ms : FIRST_BYTE_MS;
    call->idle_ms = o->idle_ms ? o->idle_ms : IDLE_MS;
    call->request.limit = 2 * (size_t)BODY_BYTES;
    put_request(o, &call->request);
    call->reader = http_reader_new_response(&limits);
    (void)uv_timer_init(loop, &call->timer);
    call->timer.data = call;
    call->pending = 1;
    arm(call, o->connect_ms ? o->connect_ms : CONNECT_MS);
    resolve(call);
    return call;
}

void http_call_cancel(struct http_call *call) {
    if (call && call->state != ENDED) shut_down(call);
}

/* URLs */

static bool parse_port(struct span s, int *out) {
    int port = 0;

    if (!s.size || s.size > 5) return false;
    for (size_t i = 0; i < s.size; i++) {
        if (s.at[i] < '0' || s.at[i] > '9') return false;
        port = port * 10 + (s.at[i] - '0');
    }
    *out = port;
    return port > 0 && port <= 65535;
}

static bool host_byte(char c, bool address) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           (c >= '0' && c <= '9') || c == '.' || c == '-' || c == '_' ||
           (address && c == ':');
}

/* "host", "host:port", "[::1]:port". */
static bool parse_authority(struct span s, struct http_url *out) {
    bool address = s.size && s.at[0] == '[';
    size_t end = span_find(s, span_of(address ? "]" : ":"));
    struct span host = span_slice(s, address, end);
    struct span rest = {0};

    if (address && end == SIZE_MAX) return false;
    if (end != SIZE_MAX) rest = span_slice(s, end + address, s.size);
    if (!host.size || host.size >= sizeof out->host) return false;
    for (size_t i = 0; i < host.size; i++)
        if (!host_byte(host.at[i], address)) return false;
    memcpy(out->host, host.at, host.size);
    out->host[host.size] = '\0';
    if (!rest.size) return true;
    return rest.at[0] == ':' &&
           parse_port(span_slice(rest, 1, rest.size), &out->port);
}

bool http_url_parse(struct span text, struct http_url *out, struct err *err) {
    struct http_url url = {0};
    struct span rest, path;
    size_t slash;

    url.tls = span_starts(text, span_of("https://"));
    if (!url.tls && !span_starts(text, span_of("http://")))
        return err_set(err, ERR_INPUT, "a URL begins with http:// or https://");
    url.port = url.tls ? 443 : 80;
    rest = span_slice(text, url.tls ? 8 : 7, text.size);
    slash = span_find(rest, span_of("/"));
    path = span_slice(rest, slash, rest.size);
    if (!parse_authority(span_slice(rest, 0, slash), &url))
        return err_set(err, ERR_INPUT, "not a host and a port");
    while (path.size && path.at[path.size - 1] == '/') path.size--;
    if (path.size >= sizeof url.path)
        return err_set(err, ERR_INPUT, "the path is too long");
    for (size_t i = 0; i < path.size; i++)
        if (path.at[i] <= ' ' || path.at[i] > '~' || path.at[i] == '?' ||
            path.at[i] == '#' || path.at[i] == '@')
            return err_set(err, ERR_INPUT,
                           "the path holds a blank, a query or a fragment");
    if (path.size) memcpy(url.path, path.at, path.size);
    *out = url;
    return true;
}
