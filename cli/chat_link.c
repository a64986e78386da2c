#include "cli/chat_link.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "base/sse.h"
#include "proxy/http_client.h"

enum {
    BODY_BYTES_MAX = 16 << 20,
    SILENCE_MS = 300, /* the first time, then longer and longer */
    SILENCE_MS_MAX = 3000,
    ANSWER_MS = 600 * 1000
};

struct chat_link {
    struct http_url url;
    char *key;
    struct tls_context *tls;
    uv_loop_t stream; /* two loops: one is asked while the other waits */
    uv_loop_t ask;
};

/* One request on its way. */
struct request {
    struct http_call *call;
    struct chat_reply *reply;
    const struct chat_stream_events *events; /* NULL: not streamed */
    struct sse sse;
    uv_timer_t silence;
    uv_signal_t interrupt;
    uint64_t silence_ms;
    bool streams; /* the answer is one */
    bool interrupted;
    bool over;
    struct err err;
};

struct chat_link *chat_link_open(const char *url, const char *key,
                                 struct err *err) {
    struct chat_link *l = xalloc(sizeof *l);

    if (!http_url_parse(span_of(url), &l->url, err)) {
        free(l);
        return NULL;
    }
    if (l->url.tls) {
        l->tls = tls_context_open(NULL, err);
        if (!l->tls) {
            free(l);
            return NULL;
        }
    }
    l->key = key ? xstrdup(key) : NULL;
    (void)uv_loop_init(&l->stream);
    (void)uv_loop_init(&l->ask);
    return l;
}

void chat_link_close(struct chat_link *l) {
    if (!l) return;
    (void)uv_loop_close(&l->stream);
    (void)uv_loop_close(&l->ask);
    tls_context_close(l->tls);
    free(l->key);
    free(l);
}

/* ---- events --------------------------------------------------------- */

static void over(struct request *r) {
    if (r->over) return;
    r->over = true;
    r->call = NULL;
    if (!r->events) return;
    uv_close((uv_handle_t *)&r->silence, NULL);
    uv_close((uv_handle_t *)&r->interrupt, NULL);
}

static void on_head(void *user, int status, const struct http_header *headers,
                    int header_count) {
    struct request *r = user;

    r->reply->status = status;
    for (int i = 0; i < header_count; i++) {
        struct span value = headers[i].value;

        if (span_is(headers[i].name, "content-type"))
            r->streams =
                r->events && span_starts(value, span_of("text/event-stream"));
        if (span_is(headers[i].name, "x-corral-policy"))
            (void)snprintf(r->reply->policy, sizeof r->reply->policy, "%.*s",
                           value.size < 63 ? (int)value.size : 63, value.at);
    }
}

static bool on_data(void *user, struct span data, struct err *err) {
    struct request *r = user;

    (void)err;
    r->silence_ms = SILENCE_MS;
    r->events->on_data(r->events->user, data);
    return true;
}

static void on_body(void *user, struct span part) {
    struct request *r = user;
    bool ok = r->streams
                  ? sse_feed(&r->sse, part, on_data, r, &r->err)
                  : bytes_append(&r->reply->body, part.at, part.size, &r->err);

    if (ok) return;
    http_call_cancel(r->call);
    over(r);
}

static void on_end(void *user, const struct err *err) {
    struct request *r = user;

    if (err) r->err = *err;
    over(r);
}

static void on_interrupt(uv_signal_t *signal, int number) {
    struct request *r = signal->data;

    (void)number;
    r->interrupted = true;
    http_call_cancel(r->call);
    over(r);
}

static void on_silence(uv_timer_t *timer) {
    struct request *r = timer->data;

    r->events->on_silence(r->events->user);
    r->silence_ms += r->silence_ms / 2;
    if (r->silence_ms > SILENCE_MS_MAX) r->silence_ms = SILENCE_MS_MAX;
    (void)uv_timer_start(timer, on_silence, r->silence_ms, 0);
}

/* ---- requests ------------------------------------------------------- */

static bool start(struct chat_link *l, uv_loop_t *loop, const char *method,
                  const char *path, struct span body, struct request *r,
                  struct err *err) {
    const struct http_call_events events = {on_head, on_body, on_end, r};
    struct bytes whole = {0}, bearer = {0};
    struct http_header headers[2];
    struct http_call_options o = {.host = l->url.host,
                                  .port = l->url.port,
                                  .tls = l->url.tls,
                                  .tls_context = l->tls,
                                  .method = method,
                                  .headers = headers,
                                  .body = body,
                                  .first_byte_ms = ANSWER_MS,
                                  .idle_ms = ANSWER_MS,
                                  .body_bytes_max = BODY_BYTES_MAX};

    bytes_puts(&whole, l->url.path);
    bytes_puts(&whole, path);
    bytes_put(&whole, (struct span){"", 1});
    o.path = whole.at;
    if (body.size)
        headers[o.header_count++] = (struct http_header){
            span_of("content-type"), span_of("application/json")};
    if (l->key) {
        bytes_puts(&bearer, "Bearer ");
        bytes_puts(&bearer, l->key);
        headers[o.header_count++] =
            (struct http_header){span_of("authorization"), span_bytes(&bearer)};
    }
    r->call = http_call_start(loop, &o, &events, err);
    bytes_free(&whole);
    bytes_free(&bearer);
    return r->call != NULL;
}

bool chat_link_ask(struct chat_link *l, const char *method, const char *path,
                   struct span body, struct chat_reply *out, struct err *err) {
    struct request r = {.reply = out};

    if (!start(l, &l->ask, method, path, body, &r, err)) return false;
    (void)uv_run(&l->ask, UV_RUN_DEFAULT);
    if (r.err.code && err) *err = r.err;
    return !r.err.code;
}

bool chat_link_stream(struct chat_link *l, const char *path, struct span body,
                      const struct chat_stream_events *events,
                      struct chat_reply *out, bool *interrupted,
                      struct err *err) {
    struct request r = {
        .reply = out, .events = events, .silence_ms = SILENCE_MS};

    if (!start(l, &l->stream, "POST", path, body, &r, err)) return false;
    (void)uv_timer_init(&l->stream, &r.silence);
    (void)uv_signal_init(&l->stream, &r.interrupt);
    r.silence.data = r.interrupt.data = &r;
    (void)uv_timer_start(&r.silence, on_silence, r.silence_ms, 0);
    (void)uv_signal_start(&r.interrupt, on_interrupt, SIGINT);
    (void)uv_run(&l->stream, UV_RUN_DEFAULT);
    sse_clear(&r.sse);
    *interrupted = r.interrupted;
    if (r.err.code && err) *err = r.err;
    return !r.err.code;
}
