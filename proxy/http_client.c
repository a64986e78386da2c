/* http_client.c - one request to an upstream.
 *
 *   CONNECTING -> WAITING -> READING -> ENDED        (any) -> ENDED
 *        ^           |
 *        +-----------+ a connection that waited in the pool was closed
 *
 * A server may close a connection while our request is on its way there. When
 * it had waited in the pool and not a byte has come, the request goes once more
 * by a connection of its own. */
#include "proxy/http_client.h"

#include <stdlib.h>
#include <string.h>

#include "proxy/http_link.h"

enum {
    CONNECT_MS = 5 * 1000,
    FIRST_BYTE_MS = 60 * 1000,
    IDLE_MS = 60 * 1000,
    HEADER_BYTES = 64 << 10,
    HEADER_COUNT = 200,
    BODY_BYTES = 64 << 20,
    HEAD_ROOM = 512 /* for most */
};

enum call_state { CONNECTING, WAITING, READING, ENDED };

struct http_call {
    struct http_link *link; /* NULL when ENDED */
    uv_loop_t *loop;
    struct http_pool *pool; /* NULL: none */
    enum call_state state;
    struct http_call_events events;
    const struct tls_context *tls;
    char *host;
    int port;
    int connect_ms, first_byte_ms, idle_ms;

    struct bytes request; /* until nobody may need it once more */
    struct http_reader *reader;
    bool again; /* the connection waited in the pool */
    bool paused;
    bool telling; /* a callback runs: freed after it */
};

static void call_free(struct http_call *call) {
    http_reader_free(call->reader);
    bytes_free(&call->request);
    free(call->host);
    free(call);
}

/* From here on no callback but on_end(). */
static void shut_down(struct http_call *call) {
    call->state = ENDED;
    http_link_close(call->link);
    call->link = NULL;
}

/* The last thing done with a call. */
static void end(struct http_call *call, const struct err *err) {
    shut_down(call);
    call->telling = true;
    call->events.on_end(call->events.user, err);
    call_free(call);
}

static void end_with(struct http_call *call, enum err_code code,
                     const char *what) {
    struct err err;

    (void)err_set(&err, code, "%s:%d: %s", call->host, call->port, what);
    end(call, &err);
}

void http_call_cancel(struct http_call *call) {
    if (!call || call->state == ENDED) return;
    shut_down(call);
    if (!call->telling) call_free(call);
}

/* Reading. False: the call was cancelled in a callback, or is over. */

static bool tell_head(struct http_call *call) {
    int count, status = http_reader_status(call->reader);
    const struct http_header *headers =
        http_reader_headers(call->reader, &count);
    struct span coding = http_header_find(headers, count, "content-encoding");

    /* A guard cannot read what it cannot unpack. */
    if (coding.at && !span_is(coding, "identity") && coding.size) {
        end_with(call, ERR_UNSUPPORTED, "the response is compressed");
        return false;
    }
    call->state = READING;
    call->events.on_head(call->events.user, status, headers, count);
    return true;
}

/* The next request may go by the same connection when this one's answer ended
 * where it said that it would, and nothing followed. */
static void finish(struct http_call *call, bool clean) {
    if (call->pool && clean && http_reader_keep_alive(call->reader)) {
        http_pool_give(call->pool, call->link);
        call->link = NULL;
    }
    end(call, NULL);
}

/* Hand over what the reader has found. `clean`: it took all that came, and may
 * take more. */
static void tell(struct http_call *call, bool clean) {
    enum reader_state state = http_reader_state(call->reader);
    int status = http_reader_fail_status(call->reader);
    struct span part;

    call->telling = true;
    if (http_reader_has_head(call->reader)) {
        if (call->state == WAITING && !tell_head(call)) return;
        part = http_reader_take_body(call->reader);
        if (part.size && call->state == READING)
            call->events.on_body(call->events.user, part);
        http_reader_drop_body(call->reader);
    }
    call->telling = false;
    if (call->state == ENDED)
        call_free(call);
    else if (state == READER_DONE)
        finish(call, clean);
    else if (state == READER_FAILED)
        end_with(call, status == 413 || status == 431 ? ERR_LIMIT : ERR_IO,
                 http_reader_fail_text(call->reader));
    else if (call->state == READING && !call->paused)
        http_link_arm(call->link, call->idle_ms);
}

/* What the connection says */

/* It stands: now the request. */
static void on_ready(void *user) {
    struct http_call *call = user;

    call->state = WAITING;
    http_link_arm(call->link, call->first_byte_ms);
    http_link_write(call->link, span_bytes(&call->request));
    if (!call->again) bytes_free(&call->request);
}

static void on_bytes(void *user, struct span in) {
    struct http_call *call = user;
    size_t used;

    bytes_free(&call->request);
    call->again = false;
    (void)http_reader_feed(call->reader, in, &used);
    tell(call, used == in.size);
}

static bool dial(struct http_call *call, struct err *err);

/* Once more, by a connection that nobody used before. */
static void retry(struct http_call *call) {
    struct err err;

    http_link_close(call->link);
    call->again = false;
    call->state = CONNECTING;
    if (!dial(call, &err)) end(call, &err);
}

static void on_link_end(void *user, const struct err *why) {
    struct http_call *call = user;

    if (call->again) {
        retry(call);
    } else if (why) {
        struct err err = *why;

        end(call, &err);
    } else {
        (void)http_reader_finish(call->reader);
        tell(call, false);
    }
}

static void on_late(void *user) {
    struct http_call *call = user;

    end_with(call, ERR_TIMEOUT,
             call->state == WAITING ? "no response in time"
                                    : "stopped in mid-response");
}

static const struct http_link_events link_events = {on_ready, on_bytes,
                                                    on_link_end, on_late, NULL};

static bool dial(struct http_call *call, struct err *err) {
    const struct http_place place = {call->host, call->port, call->tls};
    struct http_link_events events = link_events;

    events.user = call;
    call->link =
        http_link_open(call->loop, &place, call->connect_ms, &events, err);
    if (call->link && call->paused) http_link_pause(call->link);
    return call->link != NULL;
}

/* By a connection that waits, if there is one. */
static bool take_waiting(struct http_call *call) {
    const struct http_place place = {call->host, call->port, call->tls};
    struct http_link_events events = link_events;

    call->link = call->pool ? http_pool_take(call->pool, &place) : NULL;
    if (!call->link) return false;
    events.user = call;
    http_link_hand(call->link, &events, false);
    call->again = true;
    on_ready(call);
    return true;
}

/* The idle time-out rests meanwhile; that for the first byte does not. */
void http_call_pause(struct http_call *call) {
    if (call->state == ENDED || call->paused) return;
    call->paused = true;
    http_link_pause(call->link);
    if (call->state == READING) http_link_arm(call->link, 0);
}

void http_call_resume(struct http_call *call) {
    if (call->state == ENDED || !call->paused) return;
    call->paused = false;
    if (call->state == READING) http_link_arm(call->link, call->idle_ms);
    http_link_resume(call->link);
}

/* The request */

static void put_host(const struct http_call_options *o, struct bytes *out) {
    bool address = strchr(o->host, ':') != NULL;

    bytes_puts(out, address ? "host: [" : "host: ");
    bytes_puts(out, o->host);
    if (address) bytes_puts(out, "]");
    if (o->port != (o->tls ? 443 : 80)) {
        bytes_puts(out, ":");
        bytes_put_int(out, o->port);
    }
    bytes_puts(out, "\r\n");
}

static void put_request(const struct http_call_options *o, struct bytes *out) {
    char digits[BYTES_DIGITS_SIZE];

    bytes_puts(out, o->method);
    bytes_puts(out, " ");
    bytes_puts(out, o->path);
    bytes_puts(out, " HTTP/1.1\r\n");
    put_host(o, out);
    for (int i = 0; i < o->header_count; i++)
        http_put_header(out, o->headers[i].name, o->headers[i].value);
    if (o->body.size || !strcmp(o->method, "POST")) {
        http_put_header(out, span_of("content-length"),
                        bytes_digits((int64_t)o->body.size, digits));
    }
    bytes_puts(out, "accept-encoding: identity\r\n");
    if (!o->pool) http_put_header(out, span_of("connection"), span_of("close"));
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

static struct http_call *call_new(uv_loop_t *loop,
                                  const struct http_call_options *o,
                                  const struct http_call_events *events) {
    const struct http_reader_limits limits = {
        .target_bytes_max = 1,
        .header_bytes_max =
            o->header_bytes_max ? o->header_bytes_max : HEADER_BYTES,
        .header_count_max = HEADER_COUNT,
        .body_bytes_max = o->body_bytes_max ? o->body_bytes_max : BODY_BYTES};
    struct http_call *call = xalloc(sizeof *call);

    call->loop = loop;
    call->pool = o->pool;
    call->events = *events;
    call->tls = o->tls ? o->tls_context : NULL;
    call->host = xstrdup(o->host);
    call->port = o->port;
    call->connect_ms = o->connect_ms ? o->connect_ms : CONNECT_MS;
    call->first_byte_ms = o->first_byte_ms ? o->first_byte_ms : FIRST_BYTE_MS;
    call->idle_ms = o->idle_ms ? o->idle_ms : IDLE_MS;
    call->request.limit = 2 * (size_t)BODY_BYTES;
    bytes_expect(&call->request, HEAD_ROOM + o->body.size);
    put_request(o, &call->request);
    call->reader = http_reader_new_response(&limits);
    return call;
}

struct http_call *http_call_start(uv_loop_t *loop,
                                  const struct http_call_options *o,
                                  const struct http_call_events *events,
                                  struct err *err) {
    struct http_call *call;

    if (!check_options(o, err)) return NULL;
    call = call_new(loop, o, events);
    if (take_waiting(call) || dial(call, err)) return call;
    call_free(call);
    return NULL;
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
