/* mcp_http.c - a server behind an HTTP endpoint: each message is a POST of its
 * own, answered by one JSON text or by a stream of events. A stream that ends
 * before the answer came is asked for again by the id of its last event, after
 * the pause that the server named.
 *
 *   POSTED -> (streaming -> PAUSING -> a GET -> streaming ...) -> ended
 */
#include "tools/mcp_link.h"

#include <stdlib.h>
#include <string.h>

#include "base/sse.h"
#include "tools/mcp_wire.h"

enum {
    HEADERS_MAX = 16,
    OWN_HEADERS = 6,
    SESSION_MAX = 256,
    FORGOTTEN = -2,   /* in place of an id */
    RESUMES_MAX = 32, /* of one answer */
    RETRY_MS = 1000,  /* where the server names no pause */
    RETRY_MS_MAX = 60000,
    EXCHANGE_MS_MAX = 900000,   /* the client's own limits are shorter */
    STREAM_BYTES_MAX = 16 << 20 /* of one answer, all its events */
};

struct mcp_http {
    struct mcp_link link; /* first, so that the face can cast back */
    struct mcp_link_events events;
    uv_loop_t *loop;
    struct fetcher *fetcher;
    struct exchange *first;
    char *url;
    struct fetch_header headers[HEADERS_MAX]; /* names and values are ours */
    int header_count;
    char session[SESSION_MAX + 1];
    bool closed;
    bool down;
    int inside; /* callbacks of ours on the stack */
};

/* The pause before a stream is asked for again. */
struct pause {
    uv_timer_t timer;
    struct exchange *exchange; /* NULL: closing */
};

/* One POST, and the GETs for the rest of its answer. */
struct exchange {
    struct exchange *next;
    struct mcp_http *owner;
    struct fetch *fetch; /* NULL while pausing */
    struct pause *pause; /* NULL while not */
    int resumes;
    int64_t id;
    bool first_of_session;
    bool events; /* the answer is a stream of them */
    struct sse sse;
    struct bytes body;
    size_t taken;
};

/* ---- ends ---- */

static void on_pause_closed(uv_handle_t *handle) {
    free(handle->data);
}

static void pause_end(struct exchange *x) {
    if (!x->pause) return;
    x->pause->exchange = NULL;
    uv_close((uv_handle_t *)&x->pause->timer, on_pause_closed);
    x->pause = NULL;
}

static void exchange_free(struct exchange *x) {
    struct exchange **at = &x->owner->first;

    pause_end(x);
    while (*at != x) at = &(*at)->next;
    *at = x->next;
    sse_clear(&x->sse);
    bytes_free(&x->body);
    free(x);
}

static void http_free(struct mcp_http *h) {
    while (h->first) {
        fetch_cancel(h->first->fetch);
        exchange_free(h->first);
    }
    fetcher_close(h->fetcher);
    for (int i = 0; i < h->header_count; i++) {
        free((void *)(uintptr_t)h->headers[i].name);
        free((void *)(uintptr_t)h->headers[i].value);
    }
    free(h->url);
    free(h);
}

static void enter(struct mcp_http *h) {
    h->inside++;
}

static void leave(struct mcp_http *h) {
    if (--h->inside == 0 && h->closed) http_free(h);
}

static void close_link(struct mcp_link *link) {
    struct mcp_http *h = (struct mcp_http *)link;

    enter(h);
    h->closed = true;
    leave(h);
}

static void forget(struct mcp_link *link, int64_t id) {
    struct mcp_http *h = (struct mcp_http *)link;

    struct exchange *x = h->first;

    while (x && x->id != id) x = x->next;
    if (!x || id < 0) return;
    x->id = FORGOTTEN; /* on_body() ends it */
    if (h->inside && x->fetch) return;
    fetch_cancel(x->fetch);
    exchange_free(x);
}

static void lost(struct mcp_http *h, int64_t id, const struct err *err) {
    if (id >= 0 && !h->closed) h->events.on_lost(h->events.user, id, err);
}

static void session_gone(struct mcp_http *h) {
    struct err err = {0};

    if (h->closed || h->down) return;
    h->down = true;
    (void)err_set(&err, ERR_UNAVAILABLE, "the server forgot the session");
    h->events.on_down(h->events.user, &err);
}

/* ---- what it says ---- */

static bool deliver(struct exchange *x, struct span text, struct err *err) {
    cJSON *message = mcp_parse(text, err);

    if (!message) return false;
    if (!x->owner->closed)
        x->owner->events.on_message(x->owner->events.user, message);
    cJSON_Delete(message);
    return true;
}

static bool on_event(void *user, struct span data, struct err *err) {
    struct exchange *x = user;

    if (!data.size) return true; /* what some servers begin a stream with */
    return deliver(x, data, err) && !x->owner->closed && x->id != FORGOTTEN;
}

static bool keep_session(struct exchange *x, const char *id, struct err *err) {
    size_t size = strlen(id);

    if (!size || size > SESSION_MAX)
        return err_set(err, ERR_INPUT, "the server's session id is too long");
    for (size_t i = 0; i < size; i++)
        if (id[i] < 0x21 || id[i] > 0x7e)
            return err_set(err, ERR_INPUT, "the session id is not ASCII");
    memcpy(x->owner->session, id, size + 1);
    return true;
}

static bool on_head(void *user, const struct fetch *fetch, struct err *err) {
    struct exchange *x = user;
    const char *type = fetch_response_header(fetch, "content-type");
    const char *session = fetch_response_header(fetch, "mcp-session-id");

    x->events = type && !strncmp(type, "text/event-stream", 17);
    if (x->resumes && (fetch_status(fetch) != 200 || !x->events))
        return err_set(err, ERR_UNAVAILABLE,
                       "the server did not go on with its answer");
    if (x->first_of_session && session && fetch_status(fetch) == 200)
        return keep_session(x, session, err);
    return true;
}

static bool on_body(void *user, struct span part, struct err *err) {
    struct exchange *x = user;
    struct mcp_http *h = x->owner;
    bool ok;

    if (x->id == FORGOTTEN) return false;
    if (part.size > STREAM_BYTES_MAX - x->taken)
        return err_set(err, ERR_LIMIT, "an answer past %d bytes",
                       STREAM_BYTES_MAX);
    x->taken += part.size;
    if (!x->events) return bytes_append(&x->body, part.at, part.size, err);
    enter(h);
    ok = sse_feed(&x->sse, part, on_event, x, err) && !h->closed;
    leave(h);
    return ok;
}

/* Did the answer break off where the server said how to go on? What it did
 * wrong itself, it would do again. */
static bool may_resume(const struct exchange *x, const struct err *failure,
                       int status) {
    if (!x->events || status != 200 || x->id < 0 || !*x->sse.id) return false;
    return x->resumes < RESUMES_MAX &&
           (!failure || failure->code == ERR_IO ||
            failure->code == ERR_UNAVAILABLE) &&
           !x->owner->closed && !x->owner->down;
}

static void on_pause_over(uv_timer_t *timer);

static void pause_begin(struct exchange *x) {
    int ms = x->sse.retry_ms ? x->sse.retry_ms : RETRY_MS;
    struct pause *p = xalloc(sizeof *p);

    (void)uv_timer_init(x->owner->loop, &p->timer);
    p->timer.data = p;
    p->exchange = x;
    x->pause = p;
    x->fetch = NULL;
    x->resumes++;
    if (ms > RETRY_MS_MAX) ms = RETRY_MS_MAX;
    (void)uv_timer_start(&p->timer, on_pause_over, (uint64_t)ms, 0);
    uv_unref((uv_handle_t *)&p->timer);
}

/* An error's text may be a message as well. */
static void on_end(void *user, const struct fetch *fetch,
                   const struct err *failure) {
    struct exchange *x = user;
    struct mcp_http *h = x->owner;
    struct err err = {0};
    int status = fetch_status(fetch);
    int64_t id;

    if (may_resume(x, failure, status)) {
        pause_begin(x);
        return;
    }
    enter(h);
    if (failure) {
        err = *failure;
    } else {
        if (x->body.size) (void)!deliver(x, span_bytes(&x->body), &err);
        if (status >= 300)
            (void)err_set(&err, ERR_UNAVAILABLE,
                          "the server answered with "
                          "status %d",
                          status);
        else if (!err.code)
            (void)err_set(&err, ERR_UNAVAILABLE, "the server gave no answer");
    }
    id = x->id;
    exchange_free(x);
    if (!failure && status == 404 && *h->session)
        session_gone(h);
    else
        lost(h, id, &err);
    leave(h);
}

/* ---- what is said to it ---- */

static int own_headers(const struct mcp_http *h, const struct mcp_message *m,
                       struct fetch_header *out) {
    bool modern = h->link.version && !strcmp(h->link.version, MCP_MODERN);
    int n = 0;

    out[n++] = (struct fetch_header){"Content-Type", "application/json"};
    out[n++] =
        (struct fetch_header){"Accept", "application/json, text/event-stream"};
    if (h->link.version)
        out[n++] =
            (struct fetch_header){"MCP-Protocol-Version", h->link.version};
    if (*h->session)
        out[n++] = (struct fetch_header){"Mcp-Session-Id", h->session};
    if (modern && m->method)
        out[n++] = (struct fetch_header){"Mcp-Method", m->method};
    if (modern && m->tool)
        out[n++] = (struct fetch_header){"Mcp-Name", m->tool};
    return n;
}

/* With the `count` headers at `headers`, which has room for the operator's. */
static bool exchange_start(struct exchange *x, struct fetch_header *headers,
                           int count, struct span body, struct err *err) {
    const struct mcp_http *h = x->owner;
    const struct fetch_events events = {
        .on_head = on_head, .on_body = on_body, .on_end = on_end, .user = x};
    const struct fetch_options o = {.url = h->url,
                                    .headers = headers,
                                    .header_count = count + h->header_count,
                                    .body = body,
                                    .timeout_ms = EXCHANGE_MS_MAX};

    memcpy(headers + count, h->headers,
           (size_t)h->header_count * sizeof *headers);
    x->fetch = fetch_start(h->fetcher, &o, &events, err);
    return x->fetch != NULL;
}

static bool resume(struct exchange *x, struct err *err) {
    const struct mcp_http *h = x->owner;
    struct fetch_header headers[HEADERS_MAX + OWN_HEADERS];
    char last[SSE_ID_MAX + 1];
    int n = 0;

    memcpy(last, x->sse.id, sizeof last);
    sse_clear(&x->sse); /* half an event will not be ended */
    memcpy(x->sse.id, last, sizeof last);
    headers[n++] = (struct fetch_header){"Accept", "text/event-stream"};
    headers[n++] = (struct fetch_header){"Last-Event-ID", last};
    if (h->link.version)
        headers[n++] =
            (struct fetch_header){"MCP-Protocol-Version", h->link.version};
    if (*h->session)
        headers[n++] = (struct fetch_header){"Mcp-Session-Id", h->session};
    return exchange_start(x, headers, n, (struct span){0}, err);
}

static void on_pause_over(uv_timer_t *timer) {
    struct exchange *x = ((struct pause *)timer->data)->exchange;
    struct mcp_http *h;
    struct err err = {0};
    int64_t id;

    if (!x) return;
    h = x->owner;
    pause_end(x);
    if (resume(x, &err)) return;
    enter(h);
    id = x->id;
    exchange_free(x);
    lost(h, id, &err);
    leave(h);
}

static bool send_message(struct mcp_link *link, const struct mcp_message *m,
                         struct err *err) {
    struct mcp_http *h = (struct mcp_http *)link;
    struct fetch_header headers[HEADERS_MAX + OWN_HEADERS];
    struct exchange *x = xalloc(sizeof *x);
    int count = own_headers(h, m, headers);

    x->owner = h;
    x->id = m->id;
    x->body.limit = MCP_MESSAGE_BYTES_MAX;
    x->first_of_session = m->method && !strcmp(m->method, "initialize");
    if (x->first_of_session) *h->session = '\0';
    x->next = h->first;
    h->first = x;
    if (exchange_start(x, headers, count, m->json, err)) return true;
    exchange_free(x);
    return false;
}

struct mcp_link *mcp_http_open(uv_loop_t *loop, const char *url,
                               const struct fetch_header *headers,
                               int header_count, const char *ca_file,
                               const struct mcp_link_events *events,
                               struct err *err) {
    const struct fetcher_options o = {.any_address = true, .ca_file = ca_file};
    struct mcp_http *h;

    if (header_count > HEADERS_MAX) {
        (void)err_set(err, ERR_LIMIT, "more than %d headers", HEADERS_MAX);
        return NULL;
    }
    h = xalloc(sizeof *h);
    h->loop = loop;
    h->fetcher = fetcher_open(loop, &o, err);
    if (!h->fetcher) {
        free(h);
        return NULL;
    }
    h->link = (struct mcp_link){.has_streams = true,
                                .send = send_message,
                                .forget = forget,
                                .close = close_link};
    h->events = *events;
    h->url = xstrdup(url);
    for (; h->header_count < header_count; h->header_count++)
        h->headers[h->header_count] =
            (struct fetch_header){xstrdup(headers[h->header_count].name),
                                  xstrdup(headers[h->header_count].value)};
    return &h->link;
}
