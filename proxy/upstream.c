#include "proxy/upstream.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    /* Enough for any error body; an answer as one JSON is held to the same
     * limit as an event. */
    WHOLE_BYTES_MAX = 4 << 20,
    /* Of upstream_ask(): vectors are long. */
    ANSWER_BYTES_MAX = 64 << 20,
    ANSWER_VALUES_MAX = 4 << 20, /* 256 vectors of 16,384 numbers */
    RETRY_AFTER_MAX_S = 3600
};

struct upstream {
    uv_loop_t *loop;
    struct http_url url;
    struct tls_context *tls; /* for https, else NULL */
    char *authorization;     /* "Bearer ...", or NULL */
    struct http_pool *pool;  /* for the next request; NULL: none are kept */
    char *path;              /* of chat completions */
    int connect_ms, first_byte_ms, idle_ms;
};

struct upstream_call {
    struct http_call *http;
    struct upstream_reader *reader; /* NULL: `answer` gets all at once */
    bool (*answer)(void *user, const cJSON *json, struct err *err);
    const struct chat_request *request;
    void *user;
    void (*on_end)(void *user, const struct upstream_end *end);
    struct err err; /* of the body; told when the call ends */
    int status;     /* 0: no head has come */
    int retry_after_s;
    bool whole; /* the upstream does not stream: one JSON body */
    struct bytes body;
    bool reading;   /* events may run: a cancel only marks the call */
    bool cancelled; /* by such an event */
};

/* ---- the end ---- */

static void call_free(struct upstream_call *call) {
    upstream_reader_free(call->reader);
    bytes_free(&call->body);
    free(call);
}

static void call_end(struct upstream_call *call, struct upstream_end *end) {
    void (*on_end)(void *, const struct upstream_end *) = call->on_end;
    void *user = call->user;

    end->retry_after_s = call->retry_after_s;
    call_free(call);
    on_end(user, end);
}

/* What a client may know of an upstream's refusal. */
static void status_err(int status, struct err *err) {
    if (status == 429)
        (void)err_set(err, ERR_BUSY, "the upstream is busy");
    else if (status == 400 || status == 422)
        (void)err_set(err, ERR_INPUT, "the upstream refused the request");
    else if (status == 503)
        (void)err_set(err, ERR_UNAVAILABLE, "the upstream is unavailable");
    else
        (void)err_set(err, ERR_IO, "the upstream answered %d", status);
}

/* A server that was not reached, or that says itself that another may do
 * better, has begun nothing. One that fell silent may be at work still. `said`:
 * it did answer, but not what can be read. A client may have made the model
 * write that, and must not take the server away from the others. */
static void call_fail(struct upstream_call *call, const struct err *why,
                      bool said) {
    struct upstream_end end = {.llm = {.ok = false, .err = *why},
                               .health = UPSTREAM_ILL};
    struct err *told = &end.llm.err;
    int status = call->status;

    /* What is wrong with its bytes is not the client's fault. */
    if ((status == 0 || status == 200) && told->code != ERR_UNAVAILABLE &&
        told->code != ERR_TIMEOUT)
        told->code = ERR_IO;
    if (status == 0) {
        end.retry = told->code != ERR_TIMEOUT;
    } else if (status == 429) {
        end.health = UPSTREAM_BUSY;
        end.retry = true;
    } else {
        end.retry = status == 502 || status == 503 || status == 504;
        if (said || (status >= 300 && status < 500)) end.health = UPSTREAM_WELL;
    }
    call_end(call, &end);
}

/* ---- what comes ---- */

static int seconds_of(struct span s) {
    int value = 0;

    if (!s.size || s.size > 6) return 0;
    for (size_t i = 0; i < s.size; i++) {
        if (s.at[i] < '0' || s.at[i] > '9') return 0; /* a date, or nonsense */
        value = value * 10 + (s.at[i] - '0');
    }
    return value < RETRY_AFTER_MAX_S ? value : RETRY_AFTER_MAX_S;
}

static void on_head(void *user, int status, const struct http_header *headers,
                    int header_count) {
    struct upstream_call *call = user;
    struct err why = {0};

    call->status = status;
    call->retry_after_s =
        seconds_of(http_header_find(headers, header_count, "retry-after"));
    call->whole =
        !http_type_is(http_header_find(headers, header_count, "content-type"),
                      "text/event-stream");
    if (call->answer) call->whole = true;
    call->body.limit = call->answer ? ANSWER_BYTES_MAX : WHOLE_BYTES_MAX;
    if (status == 200) return;
    /* Why is the operator's business: no need to wait for it. */
    http_call_cancel(call->http);
    status_err(status, &why);
    call_fail(call, &why, false);
}

static void on_body(void *user, struct span part) {
    struct upstream_call *call = user;
    struct err why = {0};
    bool ok;

    if (call->err.code) return;
    if (call->whole) {
        /* Past the limit call->err is set, and told at the end. */
        if (!bytes_append(&call->body, part.at, part.size, &call->err))
            call->body.size = 0;
        return;
    }
    call->reading = true;
    ok = upstream_reader_feed(call->reader, part, &why);
    call->reading = false;
    if (call->cancelled) {
        call_free(call);
    } else if (!ok) {
        http_call_cancel(call->http);
        call_fail(call, &why, true);
    }
}

static bool take_whole(struct upstream_call *call, struct err *err) {
    const cJSON *json = json_read(span_bytes(&call->body), err);
    bool ok = json && upstream_reader_take(call->reader, json, err);

    if (!json) err->code = ERR_IO;
    json_free(json);
    return ok;
}

static bool give_answer(struct upstream_call *call, struct err *err) {
    const cJSON *json =
        json_read_up_to(span_bytes(&call->body), ANSWER_VALUES_MAX, err);
    bool ok = json && call->answer(call->user, json, err);

    if (!json) err->code = ERR_IO;
    json_free(json);
    return ok;
}

/* Only one that was asked for is told. */
static struct span stop_met(const struct upstream_call *call) {
    struct span said = upstream_reader_stop(call->reader);

    for (int i = 0; said.size && i < call->request->stop_count; i++)
        if (span_equal(call->request->stops[i], said))
            return call->request->stops[i];
    return (struct span){0};
}

/* The whole answer, with its tool calls. */
static bool conclude(struct upstream_call *call, struct llm_end *end,
                     struct err *why) {
    if (call->err.code) {
        *why = call->err;
        return false;
    }
    if (call->answer) {
        end->ok = give_answer(call, why);
        return end->ok;
    }
    return (!call->whole || take_whole(call, why)) &&
           upstream_reader_finish(call->reader, end, why);
}

static void on_end(void *user, const struct err *err) {
    struct upstream_call *call = user;
    struct upstream_end end = {.health = UPSTREAM_WELL};
    struct err why = {0};
    bool ok = false;

    call->http = NULL;
    if (err) {
        why = *err;
    } else {
        call->reading = true;
        ok = conclude(call, &end.llm, &why);
        if (ok && call->reader) end.llm.stop = stop_met(call);
        call->reading = false;
    }
    if (call->cancelled)
        call_free(call);
    else if (ok)
        call_end(call, &end);
    else
        call_fail(call, &why, !err && call->status == 200);
}

/* ---- starting ---- */

static struct http_call *request(struct upstream *u, const char *method,
                                 const char *path, struct span body,
                                 struct span trace, int timeout_ms,
                                 const struct http_call_events *events,
                                 struct err *err) {
    struct http_header headers[4] = {
        {span_of("content-type"), span_of("application/json")},
        {span_of("accept"), span_of("text/event-stream, application/json")}};
    struct http_call_options options = {
        .host = u->url.host,
        .port = u->url.port,
        .tls = u->url.tls,
        .method = method,
        .path = path,
        .headers = headers,
        .header_count = 2,
        .body = body,
        .connect_ms = timeout_ms ? timeout_ms : u->connect_ms,
        .first_byte_ms = timeout_ms ? timeout_ms : u->first_byte_ms,
        .idle_ms = timeout_ms ? timeout_ms : u->idle_ms,
        .tls_context = u->tls,
        /* A probe asks whether the server still takes connections. */
        .pool = timeout_ms ? NULL : u->pool,
    };

    if (u->authorization)
        headers[options.header_count++] = (struct http_header){
            span_of("authorization"), span_of(u->authorization)};
    if (trace.size)
        headers[options.header_count++] =
            (struct http_header){span_of("traceparent"), trace};
    return http_call_start(u->loop, &options, events, err);
}

struct upstream_call *
upstream_start(struct upstream *u, const struct chat_request *r,
               const char *model, const struct llm_events *events,
               void (*told)(void *end_user, const struct upstream_end *end),
               void *end_user, struct err *err) {
    struct http_call_events http = {on_head, on_body, on_end, NULL};
    struct bytes body = {0};
    struct upstream_call *call;

    if (!upstream_body(r, model, &body, err)) {
        bytes_free(&body);
        return NULL;
    }
    call = xalloc(sizeof *call);
    call->user = end_user;
    call->on_end = told;
    call->reader = upstream_reader_new(events);
    call->request = r;
    http.user = call;
    call->http =
        request(u, "POST", u->path, span_bytes(&body), r->trace, 0, &http, err);
    bytes_free(&body);
    if (call->http) return call;
    call_free(call);
    return NULL;
}

struct upstream_call *
upstream_ask(struct upstream *u, const char *path, struct span body,
             struct span trace,
             bool (*answer)(void *user, const cJSON *json, struct err *err),
             void (*told)(void *user, const struct upstream_end *end),
             void *user, struct err *err) {
    struct http_call_events http = {on_head, on_body, on_end, NULL};
    struct upstream_call *call = xalloc(sizeof *call);
    struct bytes full = {0};

    call->user = user;
    call->on_end = told;
    call->answer = answer;
    http.user = call;
    if (bytes_printf(&full, err, "%s%s%c", u->url.path, path, '\0'))
        call->http = request(u, "POST", full.at, body, trace, 0, &http, err);
    bytes_free(&full);
    if (call->http) return call;
    call_free(call);
    return NULL;
}

void upstream_cancel(struct upstream_call *call) {
    http_call_cancel(call->http);
    call->http = NULL;
    if (call->reading) {
        call->cancelled = true;
        if (call->reader) upstream_reader_mute(call->reader);
    } else {
        call_free(call);
    }
}

void upstream_throttle(struct upstream_call *call, bool on) {
    if (!call->http) return;
    if (on)
        http_call_pause(call->http);
    else
        http_call_resume(call->http);
}

struct http_call *upstream_probe(struct upstream *u, const char *path,
                                 int timeout_ms,
                                 const struct http_call_events *events,
                                 struct err *err) {
    struct bytes full = {0};
    struct http_call *call = NULL;

    if (bytes_printf(&full, err, "%s%s%c", u->url.path, path, '\0'))
        call = request(u, "GET", full.at, (struct span){0}, (struct span){0},
                       timeout_ms, events, err);
    bytes_free(&full);
    return call;
}

struct upstream *upstream_open(uv_loop_t *loop,
                               const struct upstream_options *o,
                               struct err *err) {
    struct upstream *u = xalloc(sizeof *u);
    struct bytes path = {0}, authorization = {0};
    bool ok;

    u->loop = loop;
    u->url = *o->url;
    u->connect_ms = o->connect_ms;
    u->first_byte_ms = o->first_byte_ms;
    u->idle_ms = o->idle_ms;
    if (o->keep_connections)
        u->pool = http_pool_new(o->keep_connections, o->keep_ms);
    ok =
        bytes_printf(&path, err, "%s/chat/completions%c", o->url->path, '\0') &&
        (!o->key ||
         bytes_printf(&authorization, err, "Bearer %s%c", o->key, '\0'));
    u->path = path.at; /* ownership moves, with the NUL just written */
    u->authorization = authorization.at;
    if (ok && o->url->tls) {
        u->tls = tls_context_open(o->ca_file, err);
        ok = u->tls != NULL;
    }
    if (ok) return u;
    upstream_close(u);
    return NULL;
}

void upstream_close(struct upstream *u) {
    if (!u) return;
    free(u->path);
    free(u->authorization);
    http_pool_free(u->pool);
    tls_context_close(u->tls);
    free(u);
}
