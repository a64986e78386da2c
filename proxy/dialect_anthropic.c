/* dialect_anthropic.c - POST /v1/messages, as the Anthropic clients speak it
 * (shapes: the types of Anthropic's own client). An answer is a list of blocks:
 * one of text, then one for each tool call. */
#include "proxy/dialect.h"

#include <string.h>

#include "proxy/anthropic.h"
#include "proxy/openai.h"

static bool bad(struct err *err, const char *field, const char *reason) {
    return err_set_field(err, ERR_INPUT, field, "%s: %s", field, reason);
}

/* ---- a body to a chat_request ---- */

static bool options(struct chat_request *r, const cJSON *body,
                    struct err *err) {
    double temperature = r->temperature, top_p = r->top_p;
    int64_t top_k = 0, max_tokens = 0;
    struct openai_reader p = {r, err};

    if (!json_get_number(body, "", "temperature", 0, 1, &temperature, err) ||
        !json_get_number(body, "", "top_p", 0, 1, &top_p, err) ||
        !json_get_int(body, "", "top_k", 0, INT32_MAX, &top_k, err) ||
        !json_get_int(body, "", "max_tokens", 1, CHAT_OUTPUT_TOKENS_MAX,
                      &max_tokens, err) ||
        !openai_stop_list(
            &p, cJSON_GetObjectItemCaseSensitive(body, "stop_sequences"),
            "stop_sequences"))
        return false;
    r->temperature = (float)temperature;
    r->top_p = (float)top_p;
    r->top_k = (int)top_k;
    r->max_tokens = (int)max_tokens;
    return true;
}

/* {"format": {"type": "json_schema", "schema": {...}}} */
static bool output_config(struct chat_request *r, const cJSON *body,
                          struct err *err) {
    static const char field[] = "output_config.format";
    const cJSON *json = cJSON_GetObjectItemCaseSensitive(body, "output_config");
    const cJSON *format, *schema;
    const char *type = NULL;

    if (!json || cJSON_IsNull(json)) return true;
    if (!cJSON_IsObject(json))
        return bad(err, "output_config", "expected an object");
    format = cJSON_GetObjectItemCaseSensitive(json, "format");
    if (!format || cJSON_IsNull(format)) return true;
    if (!json_get_string(format, field, "type", &type, err)) return false;
    schema = cJSON_GetObjectItemCaseSensitive(format, "schema");
    if (!type || strcmp(type, "json_schema") != 0 || !cJSON_IsObject(schema))
        return bad(err, field, "expected a json_schema with its schema");
    r->format = FORMAT_JSON_SCHEMA;
    r->format_schema = schema;
    return true;
}

/* What is asked for and cannot be given is refused, not dropped. */
static bool unsupported(const cJSON *body, struct err *err) {
    static const char *const absent[] = {"container", "mcp_servers",
                                         "context_management", NULL};

    for (size_t i = 0; absent[i]; i++) {
        const cJSON *json = cJSON_GetObjectItemCaseSensitive(body, absent[i]);

        if (json && !cJSON_IsNull(json) &&
            (cJSON_IsString(json) || cJSON_GetArraySize(json) > 0))
            return err_set_field(err, ERR_UNSUPPORTED, absent[i],
                                 "%s: not supported", absent[i]);
    }
    return true;
}

static bool parse_count(const cJSON *body, struct chat_request *out,
                        struct err *err) {
    const char *model = NULL;

    if (!cJSON_IsObject(body))
        return err_set(err, ERR_INPUT, "expected a JSON object");
    if (!json_get_string(body, "", "model", &model, err)) return false;
    if (!model || !*model) return bad(err, "model", "missing");
    return arena_copy(out->arena, span_of(model), &out->model, err) &&
           anthropic_messages(out, body, err) &&
           anthropic_tools(out, body, err) && output_config(out, body, err) &&
           unsupported(body, err);
}

static bool parse(const cJSON *body, struct chat_request *out,
                  struct err *err) {
    if (!parse_count(body, out, err) || !options(out, body, err) ||
        !json_get_bool(body, "", "stream", &out->stream, err))
        return false;
    return out->max_tokens > 0 || bad(err, "max_tokens", "missing");
}

/* ---- an answer to bytes ---- */

static bool put_count(int tokens, struct bytes *out, struct err *err) {
    return bytes_printf(out, err, "{\"input_tokens\":%d}", tokens);
}

static const char *stop_reason(enum reply_finish finish) {
    switch (finish) {
    case REPLY_STOP:
        return "end_turn";
    case REPLY_LENGTH:
        return "max_tokens";
    case REPLY_TOOL_CALLS:
        return "tool_use";
    case REPLY_FILTERED:
        return "refusal";
    }
    return "end_turn";
}

/* Tokens from the cache are not counted as input, but beside it. */
static bool put_usage(const struct llm_usage *u, struct bytes *out,
                      struct err *err) {
    return bytes_printf(out, err,
                        ",\"usage\":{\"input_tokens\":%d,"
                        "\"cache_creation_input_tokens\":0,"
                        "\"cache_read_input_tokens\":%d,\"output_tokens\":%d}",
                        u->prompt_tokens - u->cached_tokens, u->cached_tokens,
                        u->completion_tokens);
}

/* The message up to its blocks, which `content` opens. */
static bool put_head(const struct reply *r, struct bytes *out,
                     struct err *err) {
    return bytes_printf(out, err,
                        "{\"id\":\"msg_%s\",\"type\":\"message\","
                        "\"role\":\"assistant\",\"model\":",
                        r->id) &&
           json_put_string(out, r->model, err) &&
           bytes_printf(out, err, ",\"content\":[");
}

static bool put_stop(const struct reply_choice *c, struct bytes *out,
                     struct err *err) {
    bool met = c->finish == REPLY_STOP && c->stop.size;

    return bytes_printf(out, err, "\"stop_reason\":\"%s\",\"stop_sequence\":",
                        met ? "stop_sequence" : stop_reason(c->finish)) &&
           (met ? json_put_string(out, c->stop, err)
                : bytes_printf(out, err, "null")) &&
           bytes_printf(out, err, ",\"stop_details\":%s",
                        c->finish == REPLY_FILTERED
                            ? "{\"type\":\"refusal\",\"category\":null,"
                              "\"explanation\":null}"
                            : "null");
}

static bool put_corral(const struct reply_choice *c, struct bytes *out,
                       struct err *err) {
    if (!c->corral) return true;
    return bytes_printf(out, err, ",\"corral\":") &&
           json_print(c->corral, out, err);
}

/* `input` is a JSON object, as text. */
static bool put_tool_use(const struct chat_tool_call *call, struct span input,
                         struct bytes *out, struct err *err) {
    return bytes_printf(out, err, "{\"type\":\"tool_use\",\"id\":") &&
           json_put_string(out, call->id, err) &&
           bytes_printf(out, err, ",\"name\":") &&
           json_put_string(out, call->name, err) &&
           bytes_printf(out, err, ",\"input\":") &&
           bytes_append(out, input.at, input.size, err) &&
           bytes_printf(out, err, "}");
}

static bool whole(const struct reply *reply,
                  const struct reply_choice *const *choices, int count,
                  struct bytes *out, struct err *err) {
    const struct reply_choice *c = choices[0];

    (void)count; /* one: this API knows no others */
    if (!put_head(reply, out, err)) return false;
    if (c->text.size &&
        (!bytes_printf(out, err, "{\"type\":\"text\",\"text\":") ||
         !json_put_string(out, c->text, err) || !bytes_printf(out, err, "}")))
        return false;
    for (int i = 0; i < c->call_count; i++)
        if (!bytes_printf(out, err, i || c->text.size ? "," : "") ||
            !put_tool_use(&c->calls[i], c->calls[i].arguments, out, err))
            return false;
    return bytes_printf(out, err, "],") && put_stop(c, out, err) &&
           put_usage(&reply->usage, out, err) && put_corral(c, out, err) &&
           bytes_printf(out, err, "}");
}

/* ---- the same in events ---- */

/* How many tokens the prompt had is told by the last event. */
static bool message_start(const struct reply *reply, struct reply_choice *c,
                          struct bytes *out, struct err *err) {
    static const struct llm_usage none;

    if (c->begun) return true;
    c->begun = true;
    return bytes_printf(out, err,
                        "event: message_start\n"
                        "data: {\"type\":\"message_start\",\"message\":") &&
           put_head(reply, out, err) &&
           bytes_printf(out, err,
                        "],\"stop_reason\":null,\"stop_sequence\":null,"
                        "\"stop_details\":null") &&
           put_usage(&none, out, err) &&
           bytes_printf(out, err,
                        "}}\n\nevent: ping\ndata: {\"type\":\"ping\"}\n\n");
}

/* `data: {"type":...,"index":0,"content_block":` */
static bool block_start(struct reply_choice *c, struct bytes *out,
                        struct err *err) {
    return bytes_printf(out, err,
                        "event: content_block_start\n"
                        "data: {\"type\":\"content_block_start\",\"index\":%d,"
                        "\"content_block\":",
                        c->blocks++);
}

static bool block_stop(const struct reply_choice *c, struct bytes *out,
                       struct err *err) {
    return bytes_printf(
        out, err,
        "event: content_block_stop\n"
        "data: {\"type\":\"content_block_stop\",\"index\":%d}\n\n",
        c->blocks - 1);
}

static bool block_delta(const struct reply_choice *c, const char *type,
                        const char *key, struct span text, struct bytes *out,
                        struct err *err) {
    return bytes_printf(out, err,
                        "event: content_block_delta\n"
                        "data: {\"type\":\"content_block_delta\",\"index\":%d,"
                        "\"delta\":{\"type\":\"%s\",\"%s\":",
                        c->blocks - 1, type, key) &&
           json_put_string(out, text, err) && bytes_printf(out, err, "}}\n\n");
}

static bool close_text(struct reply_choice *c, struct bytes *out,
                       struct err *err) {
    if (!c->open) return true;
    c->open = false;
    return block_stop(c, out, err);
}

static bool stream_text(const struct reply *reply, struct reply_choice *c,
                        struct span text, struct bytes *out, struct err *err) {
    if (!message_start(reply, c, out, err)) return false;
    if (!c->open &&
        (!block_start(c, out, err) ||
         !bytes_printf(out, err, "{\"type\":\"text\",\"text\":\"\"}}\n\n")))
        return false;
    c->open = true;
    return block_delta(c, "text_delta", "text", text, out, err);
}

static bool stream_call(const struct reply *reply, struct reply_choice *c,
                        const struct chat_tool_call *call, struct bytes *out,
                        struct err *err) {
    c->calls_sent++;
    return message_start(reply, c, out, err) && close_text(c, out, err) &&
           block_start(c, out, err) &&
           put_tool_use(call, span_of("{}"), out, err) &&
           bytes_printf(out, err, "}\n\n") &&
           block_delta(c, "input_json_delta", "partial_json", call->arguments,
                       out, err) &&
           block_stop(c, out, err);
}

static bool stream_end(const struct reply *reply, struct reply_choice *c,
                       struct bytes *out, struct err *err) {
    return message_start(reply, c, out, err) && close_text(c, out, err);
}

static bool stream_close(const struct reply *reply,
                         const struct reply_choice *const *choices, int count,
                         struct bytes *out, struct err *err) {
    (void)count;
    return bytes_printf(out, err,
                        "event: message_delta\n"
                        "data: {\"type\":\"message_delta\",\"delta\":{") &&
           put_stop(choices[0], out, err) && bytes_printf(out, err, "}") &&
           put_usage(&reply->usage, out, err) &&
           put_corral(choices[0], out, err) &&
           bytes_printf(out, err,
                        "}\n\nevent: message_stop\n"
                        "data: {\"type\":\"message_stop\"}\n\n");
}

static bool stream_fail(const struct err *why, struct bytes *out,
                        struct err *err) {
    return bytes_printf(out, err, "event: error\ndata: ") &&
           http_error_shaped_body(HTTP_ERROR_ANTHROPIC, why, out, err) &&
           bytes_printf(out, err, "\n\n");
}

const struct dialect dialect_anthropic = {
    .name = "anthropic",
    .route = ROUTE_MESSAGES,
    .errors = HTTP_ERROR_ANTHROPIC,
    .stream_type = "text/event-stream",
    .stream_idle = "event: ping\ndata: {\"type\":\"ping\"}\n\n",
    .parse = parse,
    .whole = whole,
    .text = stream_text,
    .call = stream_call,
    .end = stream_end,
    .close = stream_close,
    .fail = stream_fail,
};

const struct dialect dialect_anthropic_count = {
    .name = "anthropic_count",
    .route = ROUTE_MESSAGES,
    .errors = HTTP_ERROR_ANTHROPIC,
    .parse = parse_count,
    .count = put_count,
};
