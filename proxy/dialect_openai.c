/* dialect_openai.c - POST /v1/chat/completions, as the OpenAI clients speak it
 * (shapes: OpenAI's own OpenAPI types). */
#include "proxy/dialect.h"

#include <string.h>

#include "base/hash.h"
#include "proxy/extras.h"
#include "proxy/http_error.h"
#include "proxy/moderated.h"
#include "proxy/openai.h"

/* ---- a body to a chat_request ---- */
/* What is asked for and cannot be given is refused, not dropped. */
static bool unsupported(struct openai_reader *p, const cJSON *body) {
    static const char *const absent[] = {"audio", "web_search_options",
                                         "prediction", NULL};

    for (size_t i = 0; absent[i]; i++) {
        const cJSON *json = json_field(body, absent[i]);

        if (json && !cJSON_IsNull(json) && cJSON_GetArraySize(json) > 0)
            return err_set_field(p->err, ERR_UNSUPPORTED, absent[i],
                                 "%s: not supported", absent[i]);
    }
    return true;
}

static bool format(struct openai_reader *p, const cJSON *body) {
    const cJSON *json = json_field(body, "response_format");

    return openai_format(p, json, json_field(json, "json_schema"),
                         "response_format");
}

/* Read here, or refused. */
static const char *const known[] = {"model",
                                    "messages",
                                    "tools",
                                    "tool_choice",
                                    "parallel_tool_calls",
                                    "functions",
                                    "function_call",
                                    "stop",
                                    "response_format",
                                    "temperature",
                                    "top_p",
                                    "presence_penalty",
                                    "frequency_penalty",
                                    "top_k",
                                    "min_p",
                                    "repeat_penalty",
                                    "repeat_last_n",
                                    "max_tokens",
                                    "max_completion_tokens",
                                    "seed",
                                    "logit_bias",
                                    "logprobs",
                                    "top_logprobs",
                                    "n",
                                    "stream",
                                    "stream_options",
                                    "audio",
                                    "modalities",
                                    "web_search_options",
                                    "prediction",
                                    "moderation",
                                    NULL};

static bool parse(const cJSON *body, struct chat_request *out,
                  struct err *err) {
    struct openai_reader p = {out, err};
    const cJSON *options = json_field(body, "stream_options");
    const char *model = NULL;

    if (!cJSON_IsObject(body))
        return err_set(err, ERR_INPUT, "expected a JSON object");
    if (!json_get_string(body, "", "model", &model, err)) return false;
    if (!model || !*model) return openai_bad(&p, "model", "missing");
    if (options && !cJSON_IsNull(options) && !cJSON_IsObject(options))
        return openai_bad(&p, "stream_options", "expected an object");
    return arena_copy(out->arena, span_of(model), &out->model, err) &&
           openai_messages(&p, body) && openai_tools(&p, body) &&
           openai_tool_choice(&p, body) &&
           json_get_bool(body, "", "parallel_tool_calls", &out->parallel_calls,
                         err) &&
           openai_stops(&p, body) && format(&p, body) &&
           openai_sampling(&p, body) && openai_logit_bias(&p, body) &&
           openai_logprobs(&p, body) && unsupported(&p, body) &&
           extras_collect(body, known, out, err) &&
           json_get_bool(body, "", "stream", &out->stream, err) &&
           json_get_bool(options, "stream_options", "include_usage",
                         &out->include_usage, err) &&
           json_get_bool(options, "stream_options", "include_events",
                         &out->include_events, err);
}

/* ---- an answer to bytes ---- */

static const char *finish_name(const struct reply *r,
                               enum reply_finish finish) {
    switch (finish) {
    case REPLY_STOP:
        return "stop";
    case REPLY_LENGTH:
        return "length";
    case REPLY_TOOL_CALLS:
        return r->legacy_calls ? "function_call" : "tool_calls";
    case REPLY_FILTERED:
        return "content_filter";
    }
    return "stop";
}

enum { HEAD_ROOM = 256 };

static bool put_head(const struct reply *r, const char *object,
                     struct bytes *out, struct err *err) {
    bool own = r->own_id.size > 0;

    /* Of our own making: ids are short. */
    if (!bytes_reserve(out, HEAD_ROOM + r->own_id.size, err)) return false;
    bytes_puts(out, own ? "{\"id\":\"" : "{\"id\":\"chatcmpl-");
    bytes_put(out, own ? r->own_id : span_of(r->id));
    bytes_puts(out, "\",\"object\":\"");
    bytes_puts(out, object);
    bytes_puts(out, "\",\"created\":");
    bytes_put_int(out, r->created);
    bytes_puts(out, ",\"model\":");
    return json_put_string(out, r->model, err) &&
           (!r->fingerprint.size ||
            (bytes_add(out, ",\"system_fingerprint\":", err) &&
             json_put_string(out, r->fingerprint, err)));
}

/* `{"name":"f","arguments":"{}"}` */
static bool put_function(const struct chat_tool_call *call, struct bytes *out,
                         struct err *err) {
    return bytes_add(out, "{\"name\":", err) &&
           json_put_string(out, call->name, err) &&
           bytes_add(out, ",\"arguments\":", err) &&
           json_put_string(out, call->arguments, err) &&
           bytes_add(out, "}", err);
}

static bool put_call(const struct chat_tool_call *call, struct bytes *out,
                     struct err *err) {
    return bytes_add(out, "\"id\":", err) &&
           json_put_string(out, call->id, err) &&
           bytes_add(out, ",\"type\":\"function\",\"function\":", err) &&
           put_function(call, out, err) && bytes_add(out, "}", err);
}

static bool put_calls(const struct reply *r, const struct reply_choice *c,
                      struct bytes *out, struct err *err) {
    if (!c->call_count) return true;
    if (r->legacy_calls)
        return bytes_add(out, ",\"function_call\":", err) &&
               put_function(&c->calls[0], out, err);
    for (int i = 0; i < c->call_count; i++)
        if (!bytes_add(out, i ? ",{" : ",\"tool_calls\":[{", err) ||
            !put_call(&c->calls[i], out, err))
            return false;
    return bytes_add(out, "]", err);
}

/* `"token":"a","logprob":-0.1,"bytes":[97]` */
static bool put_token(const struct llm_logprob *t, struct bytes *out,
                      struct err *err) {
    if (!bytes_add(out, "\"token\":", err) ||
        !json_put_string(out, t->text.size ? t->text : t->name, err) ||
        !bytes_printf(out, err,
                      ",\"logprob\":%.7g,\"bytes\":", (double)t->logprob))
        return false;
    if (t->text.size == 0) return bytes_add(out, "null", err);
    for (size_t i = 0; i < t->text.size; i++)
        if (!bytes_printf(out, err, "%c%d", i ? ',' : '[',
                          (unsigned char)t->text.at[i]))
            return false;
    return bytes_add(out, "]", err);
}

/* An element of `logprobs.content`, with a comma before it unless it is the
 * first. */
static bool put_logprob(const struct llm_logprob *entry, struct bytes *out,
                        struct err *err) {
    if (!bytes_printf(out, err, "%s{", out->size ? "," : "") ||
        !put_token(entry, out, err) ||
        !bytes_add(out, ",\"top_logprobs\":[", err))
        return false;
    for (int i = 0; i < entry->top_count; i++)
        if (!bytes_printf(out, err, "%s{", i ? "," : "") ||
            !put_token(&entry->top[i], out, err) || !bytes_add(out, "}", err))
            return false;
    return bytes_add(out, "]}", err);
}

static bool put_logprobs(struct span entries, struct bytes *out,
                         struct err *err) {
    if (!entries.size) return bytes_add(out, ",\"logprobs\":null", err);
    return bytes_add(out, ",\"logprobs\":{\"content\":[", err) &&
           bytes_append(out, entries.at, entries.size, err) &&
           bytes_add(out, "],\"refusal\":null}", err);
}

static bool put_index(const char *before, const struct reply_choice *c,
                      struct bytes *out, struct err *err) {
    char room[BYTES_DIGITS_SIZE];
    struct span digits = bytes_digits(c->index, room);

    return bytes_add(out, before, err) &&
           bytes_append(out, digits.at, digits.size, err);
}

/* NULL: there is none yet. */
static bool put_finish(const char *name, struct bytes *out, struct err *err) {
    if (!name) return bytes_add(out, ",\"finish_reason\":null", err);
    return bytes_add(out, ",\"finish_reason\":\"", err) &&
           bytes_add(out, name, err) && bytes_add(out, "\"", err);
}

static bool put_choice(const struct reply *r, const struct reply_choice *c,
                       struct bytes *out, struct err *err) {
    if (!put_index("{\"index\":", c, out, err) ||
        !bytes_add(out,
                   ",\"message\":{\"role\":\"assistant\",\"content\":", err))
        return false;
    if (c->call_count && !c->text.size) {
        if (!bytes_add(out, "null", err)) return false;
    } else if (!json_put_string(out, c->text, err)) {
        return false;
    }
    return put_calls(r, c, out, err) &&
           bytes_add(out, ",\"refusal\":null}", err) &&
           put_logprobs(c->logprobs, out, err) &&
           put_finish(finish_name(r, c->finish), out, err);
}

/* A refusal's object stands beside the choices when there is only one, where
 * it is told apart easily; else in the choice that was refused. */
static bool whole(const struct reply *reply,
                  const struct reply_choice *const *choices, int count,
                  struct bytes *out, struct err *err) {
    if (!put_head(reply, "chat.completion", out, err) ||
        !bytes_add(out, ",\"choices\":[", err))
        return false;
    for (int i = 0; i < count; i++)
        if (!bytes_add(out, i ? "," : "", err) ||
            !put_choice(reply, choices[i], out, err) ||
            (count > 1 && !openai_put_corral(choices[i], out, err)) ||
            !bytes_add(out, "}", err))
            return false;
    return bytes_add(out, "],\"usage\":", err) &&
           openai_put_usage(&reply->usage, out, err) &&
           moderated_put(reply->moderated, count, false, out, err) &&
           (count > 1 || openai_put_corral(choices[0], out, err)) &&
           bytes_add(out, "}", err);
}

/* `data: {... "choices":[{"index":0,"delta":{` with the role in the first. */
static bool chunk_begin(const struct reply *r, struct reply_choice *c,
                        struct bytes *out, struct err *err) {
    bool first = !c->begun;

    c->begun = true;
    return bytes_add(out, "data: ", err) &&
           put_head(r, "chat.completion.chunk", out, err) &&
           put_index(",\"choices\":[{\"index\":", c, out, err) &&
           bytes_add(out, ",\"delta\":{", err) &&
           (!first || bytes_add(out, "\"role\":\"assistant\",", err));
}

static bool chunk_end(struct span logprobs, const char *finish,
                      struct bytes *out, struct err *err) {
    return bytes_add(out, "}", err) && put_logprobs(logprobs, out, err) &&
           put_finish(finish, out, err) && bytes_add(out, "}]", err);
}

/* With include_usage every chunk but the last says that it has none. */
static bool chunk_close(const struct reply *r, struct bytes *out,
                        struct err *err) {
    return (!r->include_usage || bytes_add(out, ",\"usage\":null", err)) &&
           bytes_add(out, "}\n\n", err);
}

static bool stream_text(const struct reply *reply, struct reply_choice *c,
                        struct span text, struct bytes *out, struct err *err) {
    return chunk_begin(reply, c, out, err) &&
           bytes_add(out, "\"content\":", err) &&
           json_put_string(out, text, err) &&
           chunk_end(c->logprobs, NULL, out, err) &&
           chunk_close(reply, out, err);
}

static bool stream_call(const struct reply *reply, struct reply_choice *c,
                        const struct chat_tool_call *call, struct bytes *out,
                        struct err *err) {
    int index = c->calls_sent++;

    /* The older form has no place for a second call. */
    if (reply->legacy_calls && index > 0) return true;
    if (!chunk_begin(reply, c, out, err)) return false;
    if (reply->legacy_calls) {
        if (!bytes_add(out, "\"function_call\":", err) ||
            !put_function(call, out, err))
            return false;
    } else if (!bytes_printf(out, err, "\"tool_calls\":[{\"index\":%d,",
                             index) ||
               !put_call(call, out, err) || !bytes_add(out, "]", err)) {
        return false;
    }
    return chunk_end((struct span){0}, NULL, out, err) &&
           chunk_close(reply, out, err);
}

static bool stream_end(const struct reply *reply, struct reply_choice *c,
                       struct bytes *out, struct err *err) {
    bool first = !c->begun;

    return chunk_begin(reply, c, out, err) &&
           bytes_add(out, first ? "\"content\":\"\"" : "", err) &&
           chunk_end(c->logprobs, finish_name(reply, c->finish), out, err) &&
           openai_put_corral(c, out, err) && chunk_close(reply, out, err);
}

/* A chunk without choices, up to its own key. */
static bool extra_chunk(const struct reply *r, struct bytes *out,
                        struct err *err) {
    return bytes_add(out, "data: ", err) &&
           put_head(r, "chat.completion.chunk", out, err) &&
           bytes_add(out, ",\"choices\":[]", err);
}

static bool stream_event(const struct reply *reply, struct span event,
                         struct bytes *out, struct err *err) {
    return extra_chunk(reply, out, err) &&
           bytes_add(out, ",\"corral\":{\"event\":", err) &&
           bytes_append(out, event.at, event.size, err) &&
           bytes_add(out, "}", err) && chunk_close(reply, out, err);
}

static bool stream_close(const struct reply *reply,
                         const struct reply_choice *const *choices, int count,
                         struct bytes *out, struct err *err) {
    (void)choices;
    if (reply->moderated && reply->moderated->wanted &&
        (!extra_chunk(reply, out, err) ||
         !moderated_put(reply->moderated, count, false, out, err) ||
         !chunk_close(reply, out, err)))
        return false;
    if (reply->include_usage &&
        (!extra_chunk(reply, out, err) || !bytes_add(out, ",\"usage\":", err) ||
         !openai_put_usage(&reply->usage, out, err) ||
         !bytes_add(out, "}\n\n", err)))
        return false;
    return bytes_add(out, "data: [DONE]\n\n", err);
}

const struct dialect dialect_openai = {
    .name = "openai",
    .route = ROUTE_CHAT,
    .errors = HTTP_ERROR_OPENAI,
    .stream_type = "text/event-stream",
    .stream_idle = ": waiting for approval\n\n",
    .parse = parse,
    .moderates = true,
    .logprob = put_logprob,
    .whole = whole,
    .text = stream_text,
    .call = stream_call,
    .end = stream_end,
    .event = stream_event,
    .close = stream_close,
    .fail = openai_stream_fail,
};
