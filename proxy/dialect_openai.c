/* dialect_openai.c - POST /v1/chat/completions, as the OpenAI clients speak it
 * (shapes: OpenAI's own OpenAPI types). */
#include "proxy/dialect.h"

#include <stdio.h>
#include <string.h>

#include "base/hash.h"
#include "proxy/http_error.h"

static bool bad(struct err *err, const char *field, const char *reason) {
    return err_set_field(err, ERR_INPUT, field, "%s: %s", field, reason);
}

/* ---- a body to a chat_request ---- */

struct parser {
    struct chat_request *out;
    struct err *err;
};

static bool copy(struct parser *p, const char *text, struct span *out) {
    return arena_copy(p->out->arena, span_of(text), out, p->err);
}

static bool part_text(struct parser *p, const cJSON *part, const char *field,
                      struct bytes *text) {
    const cJSON *type, *value;

    if (!cJSON_IsObject(part)) return bad(p->err, field, "expected an object");
    type = cJSON_GetObjectItemCaseSensitive(part, "type");
    if (!cJSON_IsString(type))
        return bad(p->err, field, "a part needs a \"type\"");
    if (!strcmp(type->valuestring, "text")) {
        value = cJSON_GetObjectItemCaseSensitive(part, "text");
    } else if (!strcmp(type->valuestring, "refusal")) {
        value = cJSON_GetObjectItemCaseSensitive(part, "refusal");
    } else {
        return err_set_field(p->err, ERR_UNSUPPORTED, field,
                             "%s: the model reads text only, not \"%.40s\"",
                             field, type->valuestring);
    }
    if (!cJSON_IsString(value)) return bad(p->err, field, "expected a text");
    if (text->size && !bytes_append(text, "\n\n", 2, p->err)) return false;
    return bytes_append(text, value->valuestring, strlen(value->valuestring),
                        p->err);
}

/* A string, null, or parts of text, which are joined by blank lines. */
static bool content(struct parser *p, const cJSON *json, const char *path,
                    struct span *out) {
    struct bytes text = {0};
    char field[ERR_FIELD_MAX];
    const cJSON *part;
    int index = 0;
    bool ok = true;

    if (!json || cJSON_IsNull(json)) return true;
    if (cJSON_IsString(json)) return copy(p, json->valuestring, out);
    if (!cJSON_IsArray(json))
        return bad(p->err, path, "expected a string or a list of parts");
    cJSON_ArrayForEach(part, json) {
        (void)snprintf(field, sizeof field, "%.80s[%d]", path, index++);
        ok = part_text(p, part, field, &text);
        if (!ok) break;
    }
    ok = ok && arena_copy(p->out->arena, span_bytes(&text), out, p->err);
    bytes_free(&text);
    return ok;
}

static bool tool_call(struct parser *p, const cJSON *json, const char *path,
                      struct chat_tool_call *out) {
    const cJSON *function = cJSON_GetObjectItemCaseSensitive(json, "function");
    const char *id = NULL, *name = NULL, *arguments = NULL;
    char field[ERR_FIELD_MAX];
    struct err inner = {0};
    cJSON *parsed;

    (void)snprintf(field, sizeof field, "%.80s.function", path);
    if (!cJSON_IsObject(function)) return bad(p->err, field, "expected it");
    if (!json_get_string(json, path, "id", &id, p->err) ||
        !json_get_string(function, field, "name", &name, p->err) ||
        !json_get_string(function, field, "arguments", &arguments, p->err))
        return false;
    if (!id || !name || !arguments)
        return bad(p->err, path, "needs id, function.name and arguments");
    /* The model is shown the arguments as JSON; what is not JSON could pretend
     * to be something else. An empty text is what some clients send for {}. */
    if (!*arguments) arguments = "{}";
    parsed = json_parse(span_of(arguments), &inner);
    if (!parsed) {
        (void)snprintf(field, sizeof field, "%.60s.function.arguments", path);
        return bad(p->err, field, inner.text);
    }
    cJSON_Delete(parsed);
    return copy(p, id, &out->id) && copy(p, name, &out->name) &&
           copy(p, arguments, &out->arguments);
}

static bool tool_calls(struct parser *p, const cJSON *json, const char *path,
                       struct chat_message *m) {
    const cJSON *call;
    int count;

    if (!json || cJSON_IsNull(json)) return true;
    count = cJSON_GetArraySize(json);
    if (!cJSON_IsArray(json) || count > CHAT_TOOL_CALLS_MAX)
        return bad(p->err, path, "expected a list, at most 128 long");
    m->calls =
        arena_alloc(p->out->arena, (size_t)count, sizeof *m->calls, p->err);
    if (!m->calls) return false;
    cJSON_ArrayForEach(call, json) {
        char field[ERR_FIELD_MAX];

        (void)snprintf(field, sizeof field, "%.80s[%d]", path, m->call_count);
        if (!tool_call(p, call, field, &m->calls[m->call_count])) return false;
        m->call_count++;
    }
    return true;
}

static bool role_from_name(const char *name, enum chat_role *out) {
    static const struct {
        const char *name;
        enum chat_role role;
    } roles[] = {{"system", CHAT_SYSTEM},
                 {"developer", CHAT_SYSTEM},
                 {"user", CHAT_USER},
                 {"assistant", CHAT_ASSISTANT},
                 {"tool", CHAT_TOOL}};

    for (size_t i = 0; i < sizeof roles / sizeof *roles; i++) {
        if (strcmp(roles[i].name, name) != 0) continue;
        *out = roles[i].role;
        return true;
    }
    return false;
}

static bool message(struct parser *p, const cJSON *json, const char *path,
                    struct chat_message *m) {
    const char *role = NULL, *call_id = NULL;
    char field[ERR_FIELD_MAX];

    if (!cJSON_IsObject(json)) return bad(p->err, path, "expected an object");
    if (!json_get_string(json, path, "role", &role, p->err)) return false;
    (void)snprintf(field, sizeof field, "%s.role", path);
    if (!role) return bad(p->err, field, "missing");
    if (!role_from_name(role, &m->role))
        return bad(p->err, field,
                   "expected system, developer, user, assistant or tool");
    if (cJSON_GetObjectItemCaseSensitive(json, "function_call"))
        return err_set_field(p->err, ERR_UNSUPPORTED, path,
                             "%s.function_call: use tool_calls", path);
    (void)snprintf(field, sizeof field, "%s.content", path);
    if (!content(p, cJSON_GetObjectItemCaseSensitive(json, "content"), field,
                 &m->text))
        return false;
    (void)snprintf(field, sizeof field, "%s.tool_calls", path);
    if (m->role == CHAT_ASSISTANT &&
        !tool_calls(p, cJSON_GetObjectItemCaseSensitive(json, "tool_calls"),
                    field, m))
        return false;
    if (m->role != CHAT_TOOL) {
        (void)snprintf(field, sizeof field, "%s.content", path);
        if (!m->text.at && m->call_count == 0)
            return bad(p->err, field, "missing");
        return true;
    }
    if (!json_get_string(json, path, "tool_call_id", &call_id, p->err))
        return false;
    (void)snprintf(field, sizeof field, "%s.tool_call_id", path);
    if (!call_id) return bad(p->err, field, "missing");
    return copy(p, call_id, &m->call_id);
}

static bool messages(struct parser *p, const cJSON *body) {
    const cJSON *list = cJSON_GetObjectItemCaseSensitive(body, "messages");
    struct chat_request *r = p->out;
    const cJSON *json;
    int count = cJSON_GetArraySize(list);

    if (!cJSON_IsArray(list) || count == 0)
        return bad(p->err, "messages", "expected a list with a message");
    if (count > CHAT_MESSAGES_MAX)
        return err_set_field(p->err, ERR_LIMIT, "messages",
                             "messages: more than %d", CHAT_MESSAGES_MAX);
    r->messages =
        arena_alloc(r->arena, (size_t)count, sizeof *r->messages, p->err);
    if (!r->messages) return false;
    cJSON_ArrayForEach(json, list) {
        char path[32];

        (void)snprintf(path, sizeof path, "messages[%d]", r->message_count);
        if (!message(p, json, path, &r->messages[r->message_count]))
            return false;
        r->message_count++;
    }
    return true;
}

static bool tool_name_valid(const char *name) {
    size_t size = strlen(name);

    return size >= 1 && size <= 64 &&
           strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                        "0123456789_-") == size;
}

static bool tool(struct parser *p, const cJSON *json, const char *path,
                 struct chat_tool *out) {
    const cJSON *function = cJSON_GetObjectItemCaseSensitive(json, "function");
    const char *type = NULL, *name = NULL, *description = "";
    char field[ERR_FIELD_MAX];

    if (!json_get_string(json, path, "type", &type, p->err)) return false;
    (void)snprintf(field, sizeof field, "%s.type", path);
    if (!type || strcmp(type, "function") != 0)
        return bad(p->err, field, "expected \"function\"");
    (void)snprintf(field, sizeof field, "%s.function", path);
    if (!cJSON_IsObject(function)) return bad(p->err, field, "missing");
    if (!json_get_string(function, field, "name", &name, p->err) ||
        !json_get_string(function, field, "description", &description, p->err))
        return false;
    (void)snprintf(field, sizeof field, "%s.function.name", path);
    if (!name || !tool_name_valid(name))
        return bad(p->err, field, "expected 1 to 64 of a-z A-Z 0-9 _ -");
    for (const struct chat_tool *t = p->out->tools; t < out; t++)
        if (span_is(t->name, name)) return bad(p->err, field, "used twice");
    out->schema = cJSON_GetObjectItemCaseSensitive(function, "parameters");
    if (!out->schema || cJSON_IsNull(out->schema)) {
        static cJSON none = {.type = cJSON_Object};

        out->schema = &none; /* a function without parameters: any object */
    } else if (!cJSON_IsObject(out->schema)) {
        (void)snprintf(field, sizeof field, "%s.function.parameters", path);
        return bad(p->err, field, "expected a JSON Schema");
    }
    return copy(p, name, &out->name) && copy(p, description, &out->description);
}

static bool tools(struct parser *p, const cJSON *body) {
    const cJSON *list = cJSON_GetObjectItemCaseSensitive(body, "tools");
    struct chat_request *r = p->out;
    const cJSON *json;
    int count = cJSON_GetArraySize(list);

    if (cJSON_GetObjectItemCaseSensitive(body, "functions"))
        return err_set_field(p->err, ERR_UNSUPPORTED, "functions",
                             "functions: use tools");
    if (!list || cJSON_IsNull(list)) return true;
    if (!cJSON_IsArray(list) || count > CHAT_TOOLS_MAX)
        return bad(p->err, "tools", "expected a list, at most 128 long");
    r->tools = arena_alloc(r->arena, (size_t)count, sizeof *r->tools, p->err);
    if (!r->tools) return false;
    cJSON_ArrayForEach(json, list) {
        char path[32];

        (void)snprintf(path, sizeof path, "tools[%d]", r->tool_count);
        if (!tool(p, json, path, &r->tools[r->tool_count])) return false;
        r->tool_count++;
    }
    return true;
}

static bool tool_choice(struct parser *p, const cJSON *body) {
    const cJSON *json = cJSON_GetObjectItemCaseSensitive(body, "tool_choice");
    const cJSON *function, *name;
    struct chat_request *r = p->out;

    if (!json || cJSON_IsNull(json)) return true;
    if (cJSON_IsString(json)) {
        if (!strcmp(json->valuestring, "auto")) {
            r->choice = CHOICE_AUTO;
        } else if (!strcmp(json->valuestring, "none")) {
            r->choice = CHOICE_NONE;
        } else if (!strcmp(json->valuestring, "required")) {
            r->choice = CHOICE_REQUIRED;
        } else {
            return bad(p->err, "tool_choice",
                       "expected auto, none, required or a function");
        }
        return true;
    }
    function = cJSON_GetObjectItemCaseSensitive(json, "function");
    name = cJSON_GetObjectItemCaseSensitive(function, "name");
    if (!cJSON_IsString(name))
        return bad(p->err, "tool_choice", "needs function.name");
    for (int i = 0; i < r->tool_count; i++)
        if (span_is(r->tools[i].name, name->valuestring)) {
            r->choice = CHOICE_NAMED;
            r->choice_name = r->tools[i].name;
            return true;
        }
    return bad(p->err, "tool_choice.function.name", "no such tool");
}

static bool stops(struct parser *p, const cJSON *body) {
    const cJSON *json = cJSON_GetObjectItemCaseSensitive(body, "stop");
    const cJSON *item;
    struct chat_request *r = p->out;
    int count = cJSON_IsArray(json) ? cJSON_GetArraySize(json) : 1;

    if (!json || cJSON_IsNull(json)) return true;
    if (!cJSON_IsArray(json) && !cJSON_IsString(json))
        return bad(p->err, "stop", "expected a string or a list of strings");
    if (count > CHAT_STOPS_MAX)
        return err_set_field(p->err, ERR_LIMIT, "stop", "stop: more than %d",
                             CHAT_STOPS_MAX);
    r->stops = arena_alloc(r->arena, (size_t)count, sizeof *r->stops, p->err);
    if (!r->stops) return false;
    item = cJSON_IsArray(json) ? json->child : json;
    for (; item && r->stop_count < count; item = item->next) {
        size_t size = cJSON_IsString(item) ? strlen(item->valuestring) : 0;

        if (size == 0 || size > CHAT_STOP_BYTES_MAX)
            return bad(p->err, "stop", "a stop has 1 to 256 bytes");
        if (!copy(p, item->valuestring, &r->stops[r->stop_count++]))
            return false;
    }
    return true;
}

static bool format(struct parser *p, const cJSON *body) {
    const cJSON *json =
        cJSON_GetObjectItemCaseSensitive(body, "response_format");
    const cJSON *schema;
    const char *type = NULL;

    if (!json || cJSON_IsNull(json)) return true;
    if (!cJSON_IsObject(json))
        return bad(p->err, "response_format", "expected an object");
    if (!json_get_string(json, "response_format", "type", &type, p->err))
        return false;
    if (!type) return bad(p->err, "response_format.type", "missing");
    if (!strcmp(type, "text")) return true;
    if (!strcmp(type, "json_object")) {
        p->out->format = FORMAT_JSON_OBJECT;
        return true;
    }
    if (strcmp(type, "json_schema") != 0)
        return bad(p->err, "response_format.type",
                   "expected text, json_object or json_schema");
    schema = cJSON_GetObjectItemCaseSensitive(
        cJSON_GetObjectItemCaseSensitive(json, "json_schema"), "schema");
    if (!cJSON_IsObject(schema))
        return bad(p->err, "response_format.json_schema.schema", "missing");
    p->out->format = FORMAT_JSON_SCHEMA;
    p->out->format_schema = schema;
    return true;
}

static bool sampling(struct parser *p, const cJSON *body) {
    struct chat_request *r = p->out;
    double temperature = r->temperature, top_p = r->top_p;
    double presence = 0, frequency = 0;
    const cJSON *seed = cJSON_GetObjectItemCaseSensitive(body, "seed");
    int64_t max_tokens = 0, seed_value = 0;

    if (!json_get_number(body, "", "temperature", 0, 2, &temperature, p->err) ||
        !json_get_number(body, "", "top_p", 0, 1, &top_p, p->err) ||
        !json_get_number(body, "", "presence_penalty", -2, 2, &presence,
                         p->err) ||
        !json_get_number(body, "", "frequency_penalty", -2, 2, &frequency,
                         p->err) ||
        !json_get_int(body, "", "max_tokens", 1, CHAT_OUTPUT_TOKENS_MAX,
                      &max_tokens, p->err) ||
        !json_get_int(body, "", "max_completion_tokens", 1,
                      CHAT_OUTPUT_TOKENS_MAX, &max_tokens, p->err) ||
        !json_get_int(body, "", "seed", -(1LL << 53), 1LL << 53, &seed_value,
                      p->err))
        return false;
    r->temperature = (float)temperature;
    r->top_p = (float)top_p;
    r->presence_penalty = (float)presence;
    r->frequency_penalty = (float)frequency;
    r->max_tokens = (int)max_tokens;
    r->seeded = seed && !cJSON_IsNull(seed);
    r->seed = (uint64_t)seed_value;
    return true;
}

/* What is asked for and cannot be given is refused, not dropped. */
static bool unsupported(struct parser *p, const cJSON *body) {
    static const char *const absent[] = {
        "logit_bias", "audio", "web_search_options", "prediction", NULL};
    int64_t n = 1;
    bool logprobs = false;

    if (!json_get_int(body, "", "n", 1, 128, &n, p->err) ||
        !json_get_bool(body, "", "logprobs", &logprobs, p->err))
        return false;
    if (n != 1)
        return err_set_field(p->err, ERR_UNSUPPORTED, "n",
                             "n: only one choice is supported");
    if (logprobs)
        return err_set_field(p->err, ERR_UNSUPPORTED, "logprobs",
                             "logprobs: not supported");
    for (size_t i = 0; absent[i]; i++) {
        const cJSON *json = cJSON_GetObjectItemCaseSensitive(body, absent[i]);

        if (json && !cJSON_IsNull(json) && cJSON_GetArraySize(json) > 0)
            return err_set_field(p->err, ERR_UNSUPPORTED, absent[i],
                                 "%s: not supported", absent[i]);
    }
    return true;
}

static bool parse(const cJSON *body, struct chat_request *out,
                  struct err *err) {
    struct parser p = {out, err};
    const cJSON *options =
        cJSON_GetObjectItemCaseSensitive(body, "stream_options");
    const char *model = NULL;

    if (!cJSON_IsObject(body))
        return err_set(err, ERR_INPUT, "expected a JSON object");
    if (!json_get_string(body, "", "model", &model, err)) return false;
    if (!model || !*model) return bad(err, "model", "missing");
    if (options && !cJSON_IsNull(options) && !cJSON_IsObject(options))
        return bad(err, "stream_options", "expected an object");
    return copy(&p, model, &out->model) && messages(&p, body) &&
           tools(&p, body) && tool_choice(&p, body) &&
           json_get_bool(body, "", "parallel_tool_calls", &out->parallel_calls,
                         err) &&
           stops(&p, body) && format(&p, body) && sampling(&p, body) &&
           unsupported(&p, body) &&
           json_get_bool(body, "", "stream", &out->stream, err) &&
           json_get_bool(options, "stream_options", "include_usage",
                         &out->include_usage, err);
}

/* ---- an answer to bytes ---- */

static const char *finish_name(enum reply_finish finish) {
    switch (finish) {
    case REPLY_STOP:
        return "stop";
    case REPLY_LENGTH:
        return "length";
    case REPLY_TOOL_CALLS:
        return "tool_calls";
    case REPLY_FILTERED:
        return "content_filter";
    }
    return "stop";
}

static bool put_head(const struct reply *r, const char *object,
                     struct bytes *out, struct err *err) {
    return bytes_printf(out, err,
                        "{\"id\":\"chatcmpl-%s\",\"object\":\"%s\","
                        "\"created\":%lld,\"model\":",
                        r->id, object, (long long)r->created) &&
           json_put_string(out, r->model, err);
}

static bool put_usage(const struct llm_usage *u, struct bytes *out,
                      struct err *err) {
    return bytes_printf(
        out, err,
        "{\"prompt_tokens\":%d,\"completion_tokens\":%d,"
        "\"total_tokens\":%d,\"prompt_tokens_details\":{\"cached_tokens\":%d}"
        "}",
        u->prompt_tokens, u->completion_tokens,
        u->prompt_tokens + u->completion_tokens, u->cached_tokens);
}

static bool put_call(const struct chat_tool_call *call, struct bytes *out,
                     struct err *err) {
    return bytes_printf(out, err, "\"id\":") &&
           json_put_string(out, call->id, err) &&
           bytes_printf(out, err,
                        ",\"type\":\"function\",\"function\":{\"name\":") &&
           json_put_string(out, call->name, err) &&
           bytes_printf(out, err, ",\"arguments\":") &&
           json_put_string(out, call->arguments, err) &&
           bytes_printf(out, err, "}}");
}

static bool put_corral(const struct reply *r, struct bytes *out,
                       struct err *err) {
    if (!r->corral) return true;
    return bytes_printf(out, err, ",\"corral\":") &&
           json_print(r->corral, out, err);
}

static bool whole(const struct reply *reply, struct span text,
                  const struct chat_tool_call *calls, int call_count,
                  enum reply_finish finish, struct bytes *out,
                  struct err *err) {
    if (!put_head(reply, "chat.completion", out, err) ||
        !bytes_printf(out, err,
                      ",\"choices\":[{\"index\":0,\"message\":{"
                      "\"role\":\"assistant\",\"content\":"))
        return false;
    if (call_count && !text.size) {
        if (!bytes_printf(out, err, "null")) return false;
    } else if (!json_put_string(out, text, err)) {
        return false;
    }
    for (int i = 0; i < call_count; i++)
        if (!bytes_printf(out, err, i ? ",{" : ",\"tool_calls\":[{") ||
            !put_call(&calls[i], out, err))
            return false;
    return bytes_printf(out, err,
                        "%s,\"refusal\":null},\"logprobs\":null,"
                        "\"finish_reason\":\"%s\"}],\"usage\":",
                        call_count ? "]" : "", finish_name(finish)) &&
           put_usage(&reply->usage, out, err) && put_corral(reply, out, err) &&
           bytes_printf(out, err, "}");
}

/* `data: {... "choices":[{"index":0,"delta":{` with the role in the first. */
static bool chunk_begin(struct reply *r, struct bytes *out, struct err *err) {
    bool first = !r->begun;

    r->begun = true;
    return bytes_printf(out, err, "data: ") &&
           put_head(r, "chat.completion.chunk", out, err) &&
           bytes_printf(out, err, ",\"choices\":[{\"index\":0,\"delta\":{%s",
                        first ? "\"role\":\"assistant\"," : "");
}

/* With include_usage every chunk but the last says that it has none. */
static bool chunk_end(const struct reply *r, const char *finish,
                      struct bytes *out, struct err *err) {
    if (!bytes_printf(out, err, "},\"logprobs\":null,\"finish_reason\":") ||
        !bytes_printf(out, err, finish ? "\"%s\"}]" : "null}]",
                      finish ? finish : "") ||
        (finish && !put_corral(r, out, err)))
        return false;
    return bytes_printf(out, err, "%s}\n\n",
                        r->include_usage ? ",\"usage\":null" : "");
}

static bool stream_text(struct reply *reply, struct span text,
                        struct bytes *out, struct err *err) {
    return chunk_begin(reply, out, err) &&
           bytes_printf(out, err, "\"content\":") &&
           json_put_string(out, text, err) && chunk_end(reply, NULL, out, err);
}

static bool stream_call(struct reply *reply, const struct chat_tool_call *call,
                        struct bytes *out, struct err *err) {
    return chunk_begin(reply, out, err) &&
           bytes_printf(out, err, "\"tool_calls\":[{\"index\":%d,",
                        reply->calls_sent++) &&
           put_call(call, out, err) && bytes_printf(out, err, "]") &&
           chunk_end(reply, NULL, out, err);
}

static bool stream_end(struct reply *reply, enum reply_finish finish,
                       struct bytes *out, struct err *err) {
    bool first = !reply->begun;

    if (!chunk_begin(reply, out, err) ||
        !bytes_printf(out, err, first ? "\"content\":\"\"" : "") ||
        !chunk_end(reply, finish_name(finish), out, err))
        return false;
    if (reply->include_usage &&
        (!bytes_printf(out, err, "data: ") ||
         !put_head(reply, "chat.completion.chunk", out, err) ||
         !bytes_printf(out, err, ",\"choices\":[],\"usage\":") ||
         !put_usage(&reply->usage, out, err) ||
         !bytes_printf(out, err, "}\n\n")))
        return false;
    return bytes_printf(out, err, "data: [DONE]\n\n");
}

static bool stream_fail(struct reply *reply, const struct err *why,
                        struct bytes *out, struct err *err) {
    (void)reply;
    return bytes_printf(out, err, "data: ") && http_error_body(why, out, err) &&
           bytes_printf(out, err, "\n\ndata: [DONE]\n\n");
}

const struct dialect dialect_openai = {
    .name = "openai",
    .parse = parse,
    .whole = whole,
    .text = stream_text,
    .call = stream_call,
    .end = stream_end,
    .fail = stream_fail,
};
