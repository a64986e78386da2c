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
    double presence = 0, frequency = 0, min_p = 0, repeat = 0;
    int64_t top_k = 0, window = r->repeat_window;
    const cJSON *seed = cJSON_GetObjectItemCaseSensitive(body, "seed");
    int64_t max_tokens = 0, seed_value = 0;

    if (!json_get_number(body, "", "temperature", 0, 2, &temperature, p->err) ||
        !json_get_number(body, "", "top_p", 0, 1, &top_p, p->err) ||
        !json_get_number(body, "", "presence_penalty", -2, 2, &presence,
                         p->err) ||
        !json_get_number(body, "", "frequency_penalty", -2, 2, &frequency,
                         p->err) ||
        !json_get_int(body, "", "top_k", 0, INT32_MAX, &top_k, p->err) ||
        !json_get_number(body, "", "min_p", 0, 1, &min_p, p->err) ||
        !json_get_number(body, "", "repeat_penalty", 0.1, 10, &repeat,
                         p->err) ||
        !json_get_int(body, "", "repeat_last_n", -1, INT32_MAX, &window,
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
    r->top_k = (int)top_k;
    r->min_p = (float)min_p;
    r->repeat_penalty = (float)repeat;
    r->repeat_window = (int)window;
    r->max_tokens = (int)max_tokens;
    r->seeded = seed && !cJSON_IsNull(seed);
    r->seed = (uint64_t)seed_value;
    return true;
}

/* A token id, as the key of an object. -1 when it is none. */
static int token_id(const char *key) {
    long id = 0;
    size_t size = strlen(key);

    if (size == 0 || size > 9 || strspn(key, "0123456789") != size) return -1;
    for (size_t i = 0; i < size; i++) id = id * 10 + (key[i] - '0');
    return (int)id;
}

/* {"50256": -100, ...}: whether the model has such tokens, it will say. */
static bool logit_bias(struct parser *p, const cJSON *body) {
    const cJSON *json = cJSON_GetObjectItemCaseSensitive(body, "logit_bias");
    const cJSON *item;
    struct chat_request *r = p->out;
    int count = cJSON_GetArraySize(json);
    double bias = 0;

    if (!json || cJSON_IsNull(json)) return true;
    if (!cJSON_IsObject(json))
        return bad(p->err, "logit_bias", "expected an object");
    if (count > SAMPLING_BIASES_MAX)
        return err_set_field(p->err, ERR_LIMIT, "logit_bias",
                             "logit_bias: more than %d tokens",
                             SAMPLING_BIASES_MAX);
    r->biases = arena_alloc(r->arena, (size_t)count, sizeof *r->biases, p->err);
    if (!r->biases) return false;
    cJSON_ArrayForEach(item, json) {
        int token = token_id(item->string);

        if (token < 0)
            return bad(p->err, "logit_bias", "a key must be a token id");
        if (!json_get_number(json, "logit_bias", item->string, -100, 100, &bias,
                             p->err))
            return false;
        if (!cJSON_IsNull(item))
            r->biases[r->bias_count++] =
                (struct token_bias){token, (float)bias};
    }
    return true;
}

static bool logprobs(struct parser *p, const cJSON *body) {
    struct chat_request *r = p->out;
    int64_t rivals = 0, n = 1;

    if (!json_get_bool(body, "", "logprobs", &r->logprobs, p->err) ||
        !json_get_int(body, "", "top_logprobs", 0, LOGPROBS_TOP_MAX, &rivals,
                      p->err) ||
        !json_get_int(body, "", "n", 1, CHAT_CHOICES_MAX, &n, p->err))
        return false;
    if (rivals && !r->logprobs)
        return bad(p->err, "top_logprobs", "needs \"logprobs\": true");
    r->top_logprobs = (int)rivals;
    r->choices = (int)n;
    return true;
}

/* What is asked for and cannot be given is refused, not dropped. */
static bool unsupported(struct parser *p, const cJSON *body) {
    static const char *const absent[] = {"audio", "web_search_options",
                                         "prediction", NULL};

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
           logit_bias(&p, body) && logprobs(&p, body) &&
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

static bool put_corral(const struct reply_choice *c, struct bytes *out,
                       struct err *err) {
    if (!c->corral) return true;
    return bytes_printf(out, err, ",\"corral\":") &&
           json_print(c->corral, out, err);
}

/* `"token":"a","logprob":-0.1,"bytes":[97]` */
static bool put_token(const struct llm_logprob *t, struct bytes *out,
                      struct err *err) {
    if (!bytes_printf(out, err, "\"token\":") ||
        !json_put_string(out, t->text.size ? t->text : t->name, err) ||
        !bytes_printf(out, err,
                      ",\"logprob\":%.7g,\"bytes\":", (double)t->logprob))
        return false;
    if (t->text.size == 0) return bytes_printf(out, err, "null");
    for (size_t i = 0; i < t->text.size; i++)
        if (!bytes_printf(out, err, "%c%d", i ? ',' : '[',
                          (unsigned char)t->text.at[i]))
            return false;
    return bytes_printf(out, err, "]");
}

/* An element of `logprobs.content`, with a comma before it unless it is the
 * first. */
static bool put_logprob(const struct llm_logprob *entry, struct bytes *out,
                        struct err *err) {
    if (!bytes_printf(out, err, "%s{", out->size ? "," : "") ||
        !put_token(entry, out, err) ||
        !bytes_printf(out, err, ",\"top_logprobs\":["))
        return false;
    for (int i = 0; i < entry->top_count; i++)
        if (!bytes_printf(out, err, "%s{", i ? "," : "") ||
            !put_token(&entry->top[i], out, err) ||
            !bytes_printf(out, err, "}"))
            return false;
    return bytes_printf(out, err, "]}");
}

static bool put_logprobs(struct span entries, struct bytes *out,
                         struct err *err) {
    if (!entries.size) return bytes_printf(out, err, ",\"logprobs\":null");
    return bytes_printf(out, err, ",\"logprobs\":{\"content\":[") &&
           bytes_append(out, entries.at, entries.size, err) &&
           bytes_printf(out, err, "],\"refusal\":null}");
}

static bool put_choice(const struct reply_choice *c, struct bytes *out,
                       struct err *err) {
    if (!bytes_printf(out, err,
                      "{\"index\":%d,\"message\":{"
                      "\"role\":\"assistant\",\"content\":",
                      c->index))
        return false;
    if (c->call_count && !c->text.size) {
        if (!bytes_printf(out, err, "null")) return false;
    } else if (!json_put_string(out, c->text, err)) {
        return false;
    }
    for (int i = 0; i < c->call_count; i++)
        if (!bytes_printf(out, err, i ? ",{" : ",\"tool_calls\":[{") ||
            !put_call(&c->calls[i], out, err))
            return false;
    return bytes_printf(out, err, "%s,\"refusal\":null}",
                        c->call_count ? "]" : "") &&
           put_logprobs(c->logprobs, out, err) &&
           bytes_printf(out, err, ",\"finish_reason\":\"%s\"",
                        finish_name(c->finish));
}

/* A refusal's object stands beside the choices when there is only one, where
 * it is told apart easily; else in the choice that was refused. */
static bool whole(const struct reply *reply,
                  const struct reply_choice *const *choices, int count,
                  struct bytes *out, struct err *err) {
    if (!put_head(reply, "chat.completion", out, err) ||
        !bytes_printf(out, err, ",\"choices\":["))
        return false;
    for (int i = 0; i < count; i++)
        if (!bytes_printf(out, err, i ? "," : "") ||
            !put_choice(choices[i], out, err) ||
            (count > 1 && !put_corral(choices[i], out, err)) ||
            !bytes_printf(out, err, "}"))
            return false;
    return bytes_printf(out, err, "],\"usage\":") &&
           put_usage(&reply->usage, out, err) &&
           (count > 1 || put_corral(choices[0], out, err)) &&
           bytes_printf(out, err, "}");
}

/* `data: {... "choices":[{"index":0,"delta":{` with the role in the first. */
static bool chunk_begin(const struct reply *r, struct reply_choice *c,
                        struct bytes *out, struct err *err) {
    bool first = !c->begun;

    c->begun = true;
    return bytes_printf(out, err, "data: ") &&
           put_head(r, "chat.completion.chunk", out, err) &&
           bytes_printf(out, err, ",\"choices\":[{\"index\":%d,\"delta\":{%s",
                        c->index, first ? "\"role\":\"assistant\"," : "");
}

static bool chunk_end(struct span logprobs, const char *finish,
                      struct bytes *out, struct err *err) {
    return bytes_printf(out, err, "}") && put_logprobs(logprobs, out, err) &&
           bytes_printf(out, err, ",\"finish_reason\":%s%s%s}]",
                        finish ? "\"" : "", finish ? finish : "null",
                        finish ? "\"" : "");
}

/* With include_usage every chunk but the last says that it has none. */
static bool chunk_close(const struct reply *r, struct bytes *out,
                        struct err *err) {
    return bytes_printf(out, err, "%s}\n\n",
                        r->include_usage ? ",\"usage\":null" : "");
}

static bool stream_text(const struct reply *reply, struct reply_choice *c,
                        struct span text, struct bytes *out, struct err *err) {
    return chunk_begin(reply, c, out, err) &&
           bytes_printf(out, err, "\"content\":") &&
           json_put_string(out, text, err) &&
           chunk_end(c->logprobs, NULL, out, err) &&
           chunk_close(reply, out, err);
}

static bool stream_call(const struct reply *reply, struct reply_choice *c,
                        const struct chat_tool_call *call, struct bytes *out,
                        struct err *err) {
    return chunk_begin(reply, c, out, err) &&
           bytes_printf(out, err, "\"tool_calls\":[{\"index\":%d,",
                        c->calls_sent++) &&
           put_call(call, out, err) && bytes_printf(out, err, "]") &&
           chunk_end((struct span){0}, NULL, out, err) &&
           chunk_close(reply, out, err);
}

static bool stream_end(const struct reply *reply, struct reply_choice *c,
                       struct bytes *out, struct err *err) {
    bool first = !c->begun;

    return chunk_begin(reply, c, out, err) &&
           bytes_printf(out, err, first ? "\"content\":\"\"" : "") &&
           chunk_end(c->logprobs, finish_name(c->finish), out, err) &&
           put_corral(c, out, err) && chunk_close(reply, out, err);
}

static bool stream_close(const struct reply *reply, struct bytes *out,
                         struct err *err) {
    if (reply->include_usage &&
        (!bytes_printf(out, err, "data: ") ||
         !put_head(reply, "chat.completion.chunk", out, err) ||
         !bytes_printf(out, err, ",\"choices\":[],\"usage\":") ||
         !put_usage(&reply->usage, out, err) ||
         !bytes_printf(out, err, "}\n\n")))
        return false;
    return bytes_printf(out, err, "data: [DONE]\n\n");
}

static bool stream_fail(const struct err *why, struct bytes *out,
                        struct err *err) {
    return bytes_printf(out, err, "data: ") && http_error_body(why, out, err) &&
           bytes_printf(out, err, "\n\ndata: [DONE]\n\n");
}

const struct dialect dialect_openai = {
    .name = "openai",
    .parse = parse,
    .logprob = put_logprob,
    .whole = whole,
    .text = stream_text,
    .call = stream_call,
    .end = stream_end,
    .close = stream_close,
    .fail = stream_fail,
};
