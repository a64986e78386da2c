/* upstream_body.c - a chat_request as the body that an upstream gets. */
#include <stdio.h>
#include <stdlib.h>

#include "proxy/upstream.h"

enum { BODY_ROOM = 2048 }; /* for short ones */

static void put(cJSON *object, const char *key, cJSON *value) {
    (void)cJSON_AddItemToObject(object, key, value);
}

static cJSON *text(struct span s) {
    char *copy = span_dup(s);
    cJSON *json = cJSON_CreateString(copy);

    free(copy);
    return json;
}

/* Conversations are most of a body and are written as they are; the rest goes
 * by way of a tree. */

static bool put_call(struct bytes *out, const struct chat_tool_call *call,
                     struct err *err) {
    return bytes_add(out, "{\"id\":", err) &&
           json_put_string(out, call->id, err) &&
           bytes_add(out,
                     ",\"type\":\"function\",\"function\":"
                     "{\"name\":",
                     err) &&
           json_put_string(out, call->name, err) &&
           bytes_add(out, ",\"arguments\":", err) &&
           json_put_string(out, call->arguments, err) &&
           bytes_add(out, "}}", err);
}

static bool put_calls(struct bytes *out, const struct chat_message *m,
                      struct err *err) {
    for (int i = 0; i < m->call_count; i++)
        if (!bytes_add(out, i ? "," : ",\"tool_calls\":[", err) ||
            !put_call(out, &m->calls[i], err))
            return false;
    return !m->call_count || bytes_add(out, "]", err);
}

static bool put_message(struct bytes *out, const struct chat_message *m,
                        struct err *err) {
    bool calls_only = m->call_count && !m->text.size;

    return bytes_add(out, "{\"role\":", err) &&
           json_put_string(out, span_of(chat_role_name(m->role)), err) &&
           bytes_add(out, ",\"content\":", err) &&
           (calls_only ? bytes_add(out, "null", err)
                       : json_put_string(out, m->text, err)) &&
           put_calls(out, m, err) &&
           (m->role != CHAT_TOOL ||
            (bytes_add(out, ",\"tool_call_id\":", err) &&
             json_put_string(out, m->call_id, err))) &&
           bytes_add(out, "}", err);
}

static bool put_messages(struct bytes *out, const struct chat_request *r,
                         struct err *err) {
    for (int i = 0; i < r->message_count; i++)
        if (!bytes_add(out, i ? "," : "", err) ||
            !put_message(out, &r->messages[i], err))
            return false;
    return true;
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

/* What else is asked for: the fields of an object, each with a comma before. */
static bool put_rest(struct bytes *out, const struct chat_request *r,
                     struct err *err) {
    cJSON *json = cJSON_CreateObject();
    size_t from = out->size;
    bool ok;

    if (r->tool_count) {
        cJSON *tools = cJSON_CreateArray();

        for (int i = 0; i < r->tool_count; i++)
            (void)cJSON_AddItemToArray(tools, tool_json(&r->tools[i]));
        put(json, "tools", tools);
        put(json, "tool_choice", choice_json(r));
    }
    if (r->format != FORMAT_TEXT) put(json, "response_format", format_json(r));
    put_sampling(json, r);
    for (int i = 0; i < r->extra_count; i++)
        put(json, r->extras[i]->string, cJSON_Duplicate(r->extras[i], true));
    ok = !json->child || json_print(json, out, err);
    if (ok && json->child) {
        out->at[from] = ',';
        out->size--;
    }
    cJSON_Delete(json);
    return ok;
}

bool upstream_body(const struct chat_request *r, const char *model,
                   struct bytes *out, struct err *err) {
    if (r->raw)
        return err_set_field(err, ERR_UNSUPPORTED, "prompt",
                             "prompt: this model runs on a server that is "
                             "asked for chats only");
    bytes_expect(out, BODY_ROOM);
    return bytes_add(out, "{\"model\":", err) &&
           json_put_string(out, model ? span_of(model) : r->model, err) &&
           bytes_add(out, ",\"messages\":[", err) &&
           put_messages(out, r, err) && bytes_add(out, "]", err) &&
           put_rest(out, r, err) &&
           bytes_add(out,
                     ",\"stream\":true,"
                     "\"stream_options\":{\"include_usage\":true}}",
                     err);
}
