/* upstream_body.c - a chat_request as the body that an upstream gets. */
#include <stdio.h>
#include <stdlib.h>

#include "proxy/upstream.h"

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

    if (r->raw) {
        cJSON_Delete(json);
        cJSON_Delete(messages);
        cJSON_Delete(options);
        return err_set_field(err, ERR_UNSUPPORTED, "prompt",
                             "prompt: this model runs on a server that is "
                             "asked for chats only");
    }
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
    for (int i = 0; i < r->extra_count; i++)
        put(json, r->extras[i]->string, cJSON_Duplicate(r->extras[i], true));
    put(json, "stream", cJSON_CreateTrue());
    put(options, "include_usage", cJSON_CreateTrue());
    put(json, "stream_options", options);
    ok = json_print(json, out, err);
    cJSON_Delete(json);
    return ok;
}
