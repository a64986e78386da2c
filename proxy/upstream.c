#include "proxy/upstream.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/http_client.h"

struct upstream {
    struct llm llm; /* first, so that an llm can be cast back */
    uv_loop_t *loop;
    const struct config_openai *config;
    struct tls_context *tls; /* for https, else NULL */
    char *authorization;     /* "Bearer ...", or NULL */
    char *path;
};

struct llm_call {
    struct upstream *upstream;
    struct http_call *http;
    struct upstream_reader *reader;
    struct llm_events events;
    struct err err; /* of the body; told when the call ends */
    int status;
    bool whole; /* the upstream does not stream: one JSON body */
    struct bytes body;
    bool reading;   /* events may run: a cancel only marks the call */
    bool cancelled; /* by such an event */
};

/* ---- a chat_request to a body ---- */

static void put(cJSON *object, const char *key, cJSON *value) {
    (void)cJSON_AddItemToObject(object, key, value);
}

static cJSON *text(struct span s) {
    char *copy = span_dup(s);
    cJSON *json = cJSON_CreateString(copy);

    free(copy);
    return json;
}

static cJSON *call_json(const struct chat_tool_call *call) {
    cJSON *json = cJSON_CreateObject(), *function = cJSON_CreateObject();

    put(json, "id", text(call->id));
    put(json, "type", cJSON_CreateString("function"));
    put(function, "name", text(call->name));
    put(function, "arguments", text(call->arguments));
    put(json, "function", function);
    return json;
}

static cJSON *message_json(const struct chat_message *m) {
    cJSON *json = cJSON_CreateObject();

    put(json, "role", cJSON_CreateString(chat_role_name(m->role)));
    put(json, "content",
        m->call_count && !m->text.size ? cJSON_CreateNull() : text(m->text));
    if (m->call_count) {
        cJSON *calls = cJSON_CreateArray();

        for (int i = 0; i < m->call_count; i++)
            (void)cJSON_AddItemToArray(calls, call_json(&m->calls[i]));
        put(json, "tool_calls", calls);
    }
    if (m->role == CHAT_TOOL) put(json, "tool_call_id", text(m->call_id));
    return json;
}

static cJSON *tool_json(const struct chat_tool *t) {
    cJSON *json = cJSON_CreateObject(), *function = cJSON_CreateObject();

    put(function, "name", text(t->name));
    put(function, "description", text(t->description));
    put(function, "parameters", cJSON_Duplicate(t->schema, true));
    put(json, "type", cJSON_CreateString("function"));
    put(json, "function", function);
    return json;
}

static cJSON *choice_json(const struct chat_request *r) {
    cJSON *json, *function;

    if (r->choice == CHOICE_NONE) return cJSON_CreateString("none");
    if (r->choice == CHOICE_REQUIRED) return cJSON_CreateString("required");
    if (r->choice == CHOICE_AUTO) return cJSON_CreateString("auto");
    json = cJSON_CreateObject();
    function = cJSON_CreateObject();
    put(function, "name", text(r->choice_name));
    put(json, "type", cJSON_CreateString("function"));
    put(json, "function", function);
    return json;
}

static cJSON *format_json(const struct chat_request *r) {
    cJSON *json = cJSON_CreateObject(), *schema;

    if (r->format == FORMAT_JSON_OBJECT) {
        put(json, "type", cJSON_CreateString("json_object"));
        return json;
    }
    schema = cJSON_CreateObject();
    put(schema, "name", cJSON_CreateString("answer"));
    put(schema, "strict", cJSON_CreateTrue());
    put(schema, "schema", cJSON_Duplicate(r->format_schema, true));
    put(json, "type", cJSON_CreateString("json_schema"));
    put(json, "json_schema", schema);
    return json;
}

/* What OpenAI's API does not have goes only to those who were asked for it. */
static void put_extensions(cJSON *json, const struct chat_request *r) {
    if (r->top_k) put(json, "top_k", cJSON_CreateNumber(r->top_k));
    if (r->min_p > 0) put(json, "min_p", cJSON_CreateNumber((double)r->min_p));
    if (r->repeat_penalty > 0) {
        put(json, "repeat_penalty",
            cJSON_CreateNumber((double)r->repeat_penalty));
        put(json, "repeat_last_n", cJSON_CreateNumber(r->repeat_window));
    }
}

/* Token ids are the upstream's own: the client must know its model. */
static void put_bias(cJSON *json, const struct chat_request *r) {
    cJSON *bias = cJSON_CreateObject();
    char key[16];

    for (int i = 0; i < r->bias_count; i++) {
        (void)snprintf(key, sizeof key, "%d", r->biases[i].token);
        put(bias, key, cJSON_CreateNumber((double)r->biases[i].bias));
    }
    put(json, "logit_bias", bias);
}

static void put_sampling(cJSON *json, const struct chat_request *r) {
    if (r->temperature >= 0)
        put(json, "temperature", cJSON_CreateNumber((double)r->temperature));
    if (r->top_p >= 0) put(json, "top_p", cJSON_CreateNumber((double)r->top_p));
    if (r->presence_penalty != 0)
        put(json, "presence_penalty",
            cJSON_CreateNumber((double)r->presence_penalty));
    if (r->frequency_penalty != 0)
        put(json, "frequency_penalty",
            cJSON_CreateNumber((double)r->frequency_penalty));
    if (r->seeded)
        put(json, "seed", cJSON_CreateNumber((double)(int64_t)r->seed));
    if (r->max_tokens)
        put(json, "max_tokens", cJSON_CreateNumber(r->max_tokens));
    if (r->bias_count) put_bias(json, r);
    if (r->logprobs) {
        put(json, "logprobs", cJSON_CreateTrue());
        put(json, "top_logprobs", cJSON_CreateNumber(r->top_logprobs));
    }
    put_extensions(json, r);
    if (r->stop_count) {
        cJSON *stops = cJSON_CreateArray();

        for (int i = 0; i < r->stop_count; i++)
            (void)cJSON_AddItemToArray(stops, text(r->stops[i]));
        put(json, "stop", stops);
    }
}

bool upstream_body(const struct chat_request *r, const char *model,
                   struct bytes *out, struct err *err) {
    cJSON *json = cJSON_CreateObject(), *messages = cJSON_CreateArray();
    cJSON *options = cJSON_CreateObject();
    bool ok;

    put(json, "model", model ? cJSON_CreateString(model) : text(r->model));
    for (int i = 0; i < r->message_count; i++)
        (void)cJSON_AddItemToArray(messages, message_json(&r->messages[i]));
    put(json, "messages", messages);
    if (r->tool_count) {
        cJSON *tools = cJSON_CreateArray();

        for (int i = 0; i < r->tool_count; i++)
            (void)cJSON_AddItemToArray(tools, tool_json(&r->tools[i]));
        put(json, "tools", tools);
        put(json, "tool_choice", choice_json(r));
    }
    if (r->format != FORMAT_TEXT) put(json, "response_format", format_json(r));
    put_sampling(json, r);
    put(json, "stream", cJSON_CreateTrue());
    put(options, "include_usage", cJSON_CreateTrue());
    put(json, "stream_options", options);
    ok = json_print(json, out, err);
    cJSON_Delete(json);
    return ok;
}

/* ---- one call ---- */

static void call_free(struct llm_call *call) {
    upstream_reader_free(call->reader);
    bytes_free(&call->body);
    free(call);
}

static void call_end(struct llm_call *call, const struct llm_end *end) {
    struct llm_events events = call->events;

    call_free(call);
    events.on_end(events.user, end);
}

static void call_fail(struct llm_call *call, const struct err *why) {
    struct llm_end end = {.ok = false, .err = *why};

    call_end(call, &end);
}

static void on_head(void *user, int status, const struct http_header *headers,
                    int header_count) {
    struct llm_call *call = user;

    call->status = status;
    call->whole =
        !http_type_is(http_header_find(headers, header_count, "content-type"),
                      "text/event-stream");
    /* Enough for any error body; an answer as one JSON is held to the same
     * limit as an event. */
    call->body.limit = 4 << 20;
}

static void on_body(void *user, struct span part) {
    struct llm_call *call = user;
    struct err why = {0};
    bool ok;

    if (call->err.code || call->status != 200) return;
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
        call_fail(call, &why);
    }
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

/* One JSON body is fed like a stream of one event. */
static bool feed_whole(struct llm_call *call, struct err *err) {
    cJSON *json = json_parse(span_bytes(&call->body), err);
    struct bytes event = {0};
    bool ok;

    if (!json) {
        err->code = ERR_IO;
        return false;
    }
    bytes_puts(&event, "data: ");
    ok = json_print(json, &event, err);
    bytes_puts(&event, "\n\n");
    ok = ok && upstream_reader_feed(call->reader, span_bytes(&event), err);
    cJSON_Delete(json);
    bytes_free(&event);
    return ok;
}

/* The whole answer, with its tool calls. */
static bool conclude(struct llm_call *call, struct llm_end *end,
                     struct err *why) {
    if (call->status != 200) {
        status_err(call->status, why);
        return false;
    }
    if (call->err.code) {
        *why = call->err;
        return false;
    }
    return (!call->whole || feed_whole(call, why)) &&
           upstream_reader_finish(call->reader, end, why);
}

static void on_end(void *user, const struct err *err) {
    struct llm_call *call = user;
    struct llm_end end = {0};
    struct err why = {0};
    bool ok = false;

    call->http = NULL;
    if (err) {
        why = *err;
    } else {
        call->reading = true;
        ok = conclude(call, &end, &why);
        call->reading = false;
    }
    if (call->cancelled)
        call_free(call);
    else if (ok)
        call_end(call, &end);
    else
        call_fail(call, &why);
}

static struct llm_call *start(struct llm *llm, const struct chat_request *r,
                              uint64_t client, const struct llm_events *events,
                              struct err *err) {
    struct upstream *u = (struct upstream *)llm;
    const struct config_openai *c = u->config;
    struct http_header headers[3] = {
        {span_of("content-type"), span_of("application/json")},
        {span_of("accept"), span_of("text/event-stream")},
        {span_of("authorization"), span_of(u->authorization)}};
    struct bytes body = {0};
    struct llm_call *call;
    struct http_call_events http = {on_head, on_body, on_end, NULL};
    struct http_call_options options = {
        .host = c->url.host,
        .port = c->url.port,
        .tls = c->url.tls,
        .method = "POST",
        .path = u->path,
        .headers = headers,
        .header_count = u->authorization ? 3 : 2,
        .connect_ms = c->connect_ms,
        .first_byte_ms = c->first_byte_ms,
        .idle_ms = c->idle_ms,
        .tls_context = u->tls,
    };

    (void)client;
    if (!upstream_body(r, c->model, &body, err)) {
        bytes_free(&body);
        return NULL;
    }
    options.body = span_bytes(&body);
    call = xalloc(sizeof *call);
    call->upstream = u;
    call->events = *events;
    call->reader = upstream_reader_new(events);
    http.user = call;
    call->http = http_call_start(u->loop, &options, &http, err);
    bytes_free(&body);
    if (call->http) return call;
    call_free(call);
    return NULL;
}

static void cancel(struct llm *llm, struct llm_call *call) {
    (void)llm;
    http_call_cancel(call->http);
    call->http = NULL;
    if (call->reading) {
        call->cancelled = true;
        upstream_reader_mute(call->reader);
    } else {
        call_free(call);
    }
}

struct llm *upstream_open(uv_loop_t *loop, const struct config_openai *config,
                          const char *key, struct err *err) {
    struct upstream *u = xalloc(sizeof *u);
    struct bytes path = {0}, authorization = {0};

    u->llm = (struct llm){.name = config->model ? config->model : "upstream",
                          .start = start,
                          .cancel = cancel};
    u->loop = loop;
    u->config = config;
    if (config->url.tls) {
        u->tls = tls_context_open(config->ca_file, err);
        if (!u->tls) {
            free(u);
            return NULL;
        }
    }
    if (!bytes_printf(&path, err, "%s/chat/completions%c", config->url.path,
                      '\0') ||
        (key && !bytes_printf(&authorization, err, "Bearer %s%c", key, '\0'))) {
        bytes_free(&path);
        bytes_free(&authorization);
        tls_context_close(u->tls);
        free(u);
        return NULL;
    }
    u->path = path.at; /* ownership moves, with the NUL just written */
    u->authorization = authorization.at;
    return &u->llm;
}

void upstream_close(struct llm *llm) {
    struct upstream *u = (struct upstream *)llm;

    if (!u) return;
    free(u->path);
    free(u->authorization);
    tls_context_close(u->tls);
    free(u);
}
