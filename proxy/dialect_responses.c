/* dialect_responses.c - the answers of POST /v1/responses, whole and as typed
 * events. An answer is a list of items: a message when there is a text, then
 * the calls. A refusal is a message whose part says so. */
#include <stdio.h>
#include <string.h>

#include "proxy/http_error.h"
#include "proxy/moderated.h"
#include "proxy/openai.h"
#include "proxy/responses.h"

static const cJSON *get(const cJSON *json, const char *key) {
    return cJSON_GetObjectItemCaseSensitive(json, key);
}

/* ---- items ---- */

static bool filtered(const struct reply_choice *c) {
    return c && c->finish == REPLY_FILTERED;
}

/* Its text is the policy's. */
static bool refused_whole(const struct reply_choice *c) {
    return filtered(c) && c->corral;
}

static bool put_part(struct span text, bool refused, struct bytes *out,
                     struct err *err) {
    return bytes_printf(out, err,
                        refused ? "{\"type\":\"refusal\",\"refusal\":"
                                : "{\"type\":\"output_text\",\"annotations\":"
                                  "[],\"logprobs\":[],\"text\":") &&
           json_put_string(out, text, err) && bytes_printf(out, err, "}");
}

/* A message with its part, or with none while it is begun. */
static bool put_message(const struct reply *r, const char *status,
                        const struct span *text, bool refused,
                        struct bytes *out, struct err *err) {
    return bytes_printf(out, err,
                        "{\"id\":\"msg_%s\",\"type\":\"message\",\"role\":"
                        "\"assistant\",\"status\":\"%s\",\"content\":[",
                        r->id, status) &&
           (!text || put_part(*text, refused, out, err)) &&
           bytes_printf(out, err, "]}");
}

static bool put_call(const struct reply *r, int index, const char *status,
                     const struct chat_tool_call *call, struct span arguments,
                     struct bytes *out, struct err *err) {
    return bytes_printf(out, err,
                        "{\"id\":\"fc_%s_%d\",\"type\":\"function_call\","
                        "\"status\":\"%s\",\"call_id\":",
                        r->id, index, status) &&
           json_put_string(out, call->id, err) &&
           bytes_printf(out, err, ",\"name\":") &&
           json_put_string(out, call->name, err) &&
           bytes_printf(out, err, ",\"arguments\":") &&
           json_put_string(out, arguments, err) && bytes_printf(out, err, "}");
}

static const char *status_name(const struct reply_choice *c) {
    if (!c) return "in_progress";
    return c->finish == REPLY_LENGTH || c->finish == REPLY_FILTERED
               ? "incomplete"
               : "completed";
}

static bool is_refusal(const struct reply_choice *c) {
    return c->refused || (refused_whole(c) && !c->begun);
}

bool responses_put_output(const struct reply *r, const struct reply_choice *c,
                          struct bytes *out, struct err *err) {
    bool any = c->text.size > 0 || c->call_count == 0;

    if (!bytes_printf(out, err, "[") ||
        (any &&
         !put_message(r, status_name(c), &c->text, is_refusal(c), out, err)))
        return false;
    for (int i = 0; i < c->call_count; i++)
        if (!bytes_printf(out, err, any || i ? "," : "") ||
            !put_call(r, i, "completed", &c->calls[i], c->calls[i].arguments,
                      out, err))
            return false;
    return bytes_printf(out, err, "]");
}

/* ---- the response itself ---- */

/* A part of the request as the client wrote it. */
static bool put_own(const cJSON *body, const char *key, const char *otherwise,
                    struct bytes *out, struct err *err) {
    const cJSON *json = get(body, key);

    if (!bytes_printf(out, err, ",\"%s\":", key)) return false;
    return json && !cJSON_IsNull(json)
               ? json_print(json, out, err)
               : bytes_printf(out, err, "%s", otherwise);
}

/* Nothing is repeated of a request that the policy has refused. */
static bool put_request(const cJSON *body, struct bytes *out, struct err *err) {
    return put_own(body, "max_output_tokens", "null", out, err) &&
           put_own(body, "parallel_tool_calls", "true", out, err) &&
           put_own(body, "previous_response_id", "null", out, err) &&
           put_own(body, "store", "true", out, err) &&
           put_own(body, "temperature", "null", out, err) &&
           put_own(body, "top_p", "null", out, err) &&
           put_own(body, "text", "{\"format\":{\"type\":\"text\"}}", out,
                   err) &&
           put_own(body, "tool_choice", "\"auto\"", out, err) &&
           put_own(body, "tools", "[]", out, err) &&
           put_own(body, "metadata", "{}", out, err);
}

static bool put_usage(const struct llm_usage *u, struct bytes *out,
                      struct err *err) {
    return bytes_printf(out, err,
                        ",\"usage\":{\"input_tokens\":%d,"
                        "\"input_tokens_details\":{\"cached_tokens\":%d},"
                        "\"output_tokens\":%d,\"output_tokens_details\":{"
                        "\"reasoning_tokens\":%d},\"total_tokens\":%d}",
                        u->prompt_tokens, u->cached_tokens,
                        u->completion_tokens, u->reasoning_tokens,
                        u->prompt_tokens + u->completion_tokens);
}

static bool put_incomplete(const struct reply_choice *c, struct bytes *out,
                           struct err *err) {
    const char *reason = NULL;

    if (c && c->finish == REPLY_LENGTH) reason = "max_output_tokens";
    if (filtered(c)) reason = "content_filter";
    if (!reason) return bytes_printf(out, err, ",\"incomplete_details\":null");
    return bytes_printf(out, err, ",\"incomplete_details\":{\"reason\":\"%s\"}",
                        reason);
}

/* Under way when `c` is NULL. `body` is the request, or NULL. */
static bool put_response(const struct reply *r, const struct reply_choice *c,
                         const cJSON *body, struct bytes *out,
                         struct err *err) {
    return bytes_printf(out, err,
                        "{\"id\":\"resp_%s\",\"object\":\"response\","
                        "\"created_at\":%lld,\"status\":\"%s\",\"model\":",
                        r->id, (long long)r->created, status_name(c)) &&
           json_put_string(out, r->model, err) &&
           bytes_printf(out, err,
                        ",\"error\":null,\"background\":false,"
                        "\"instructions\":null,\"truncation\":\"disabled\"") &&
           put_incomplete(c, out, err) && put_request(body, out, err) &&
           bytes_printf(out, err, ",\"output\":") &&
           (c ? responses_put_output(r, c, out, err)
              : bytes_printf(out, err, "[]")) &&
           (c ? put_usage(&r->usage, out, err)
              : bytes_printf(out, err, ",\"usage\":null")) &&
           (!c || moderated_put(r->moderated, 1, true, out, err)) &&
           (!c || openai_put_corral(c, out, err)) &&
           bytes_printf(out, err, "}");
}

/* The request as an answer may repeat it. */
static const cJSON *shown(const struct reply *r, const struct reply_choice *c) {
    return filtered(c) ? NULL : r->body;
}

bool responses_put(const struct reply *r, const struct reply_choice *c,
                   struct bytes *out, struct err *err) {
    return put_response(r, c, shown(r, c), out, err);
}

static bool whole(const struct reply *reply,
                  const struct reply_choice *const *choices, int count,
                  struct bytes *out, struct err *err) {
    (void)count; /* always one */
    return responses_put(reply, choices[0], out, err);
}

/* ---- events ---- */

/* Up to where the event's own keys begin. */
static bool event(int number, const char *type, struct bytes *out,
                  struct err *err) {
    return bytes_printf(out, err,
                        "event: %s\ndata: {\"type\":\"%s\","
                        "\"sequence_number\":%d",
                        type, type, number);
}

static bool event_close(struct bytes *out, struct err *err) {
    return bytes_printf(out, err, "}\n\n");
}

static bool response_event(const struct reply *r, int number, const char *type,
                           const struct reply_choice *c, const cJSON *body,
                           struct bytes *out, struct err *err) {
    return event(number, type, out, err) &&
           bytes_printf(out, err, ",\"response\":") &&
           put_response(r, c, body, out, err) && event_close(out, err);
}

static bool begin(const struct reply *r, struct reply_choice *c,
                  struct bytes *out, struct err *err) {
    /* Refused before it began? */
    const cJSON *body = refused_whole(c) ? NULL : r->body;

    if (c->begun) return true;
    c->begun = true;
    return response_event(r, c->events++, "response.created", NULL, body, out,
                          err) &&
           response_event(r, c->events++, "response.in_progress", NULL, body,
                          out, err);
}

/* An event about the message's part: `"item_id","output_index","content_index"`
 * and then the key's own text. */
static bool part_event(const struct reply *r, struct reply_choice *c,
                       const char *type, const char *key, struct bytes *out,
                       struct err *err) {
    return event(c->events++, type, out, err) &&
           bytes_printf(out, err,
                        ",\"item_id\":\"msg_%s\",\"output_index\":0,"
                        "\"content_index\":0,\"%s\":",
                        r->id, key);
}

static bool open_message(const struct reply *r, struct reply_choice *c,
                         struct bytes *out, struct err *err) {
    c->open = true;
    c->blocks = 1;
    c->refused = refused_whole(c);
    return event(c->events++, "response.output_item.added", out, err) &&
           bytes_printf(out, err, ",\"output_index\":0,\"item\":") &&
           put_message(r, "in_progress", NULL, false, out, err) &&
           event_close(out, err) &&
           part_event(r, c, "response.content_part.added", "part", out, err) &&
           put_part(span_of(""), c->refused, out, err) && event_close(out, err);
}

static bool close_message(const struct reply *r, struct reply_choice *c,
                          const char *status, struct bytes *out,
                          struct err *err) {
    c->open = false;
    return part_event(r, c,
                      c->refused ? "response.refusal.done"
                                 : "response.output_text.done",
                      c->refused ? "refusal" : "text", out, err) &&
           json_put_string(out, c->text, err) &&
           bytes_printf(out, err, c->refused ? "" : ",\"logprobs\":[]") &&
           event_close(out, err) &&
           part_event(r, c, "response.content_part.done", "part", out, err) &&
           put_part(c->text, c->refused, out, err) && event_close(out, err) &&
           event(c->events++, "response.output_item.done", out, err) &&
           bytes_printf(out, err, ",\"output_index\":0,\"item\":") &&
           put_message(r, status, &c->text, c->refused, out, err) &&
           event_close(out, err);
}

static bool stream_text(const struct reply *r, struct reply_choice *c,
                        struct span text, struct bytes *out, struct err *err) {
    return begin(r, c, out, err) && (c->open || open_message(r, c, out, err)) &&
           part_event(r, c,
                      c->refused ? "response.refusal.delta"
                                 : "response.output_text.delta",
                      "delta", out, err) &&
           json_put_string(out, text, err) &&
           bytes_printf(out, err, c->refused ? "" : ",\"logprobs\":[]") &&
           event_close(out, err);
}

static bool call_item(const struct reply *r, struct reply_choice *c, int index,
                      const char *type, const char *status,
                      const struct chat_tool_call *call, struct span arguments,
                      struct bytes *out, struct err *err) {
    return event(c->events++, type, out, err) &&
           bytes_printf(out, err,
                        ",\"output_index\":%d,\"item\":", c->blocks) &&
           put_call(r, index, status, call, arguments, out, err) &&
           event_close(out, err);
}

static bool call_arguments(const struct reply *r, struct reply_choice *c,
                           int index, const char *type, const char *key,
                           const struct chat_tool_call *call, struct bytes *out,
                           struct err *err) {
    return event(c->events++, type, out, err) &&
           bytes_printf(out, err,
                        ",\"item_id\":\"fc_%s_%d\",\"output_index\":%d,"
                        "\"name\":",
                        r->id, index, c->blocks) &&
           json_put_string(out, call->name, err) &&
           bytes_printf(out, err, ",\"%s\":", key) &&
           json_put_string(out, call->arguments, err) && event_close(out, err);
}

static bool stream_call(const struct reply *r, struct reply_choice *c,
                        const struct chat_tool_call *call, struct bytes *out,
                        struct err *err) {
    int index = c->calls_sent++;
    bool ok =
        begin(r, c, out, err) &&
        (!c->open || close_message(r, c, "completed", out, err)) &&
        call_item(r, c, index, "response.output_item.added", "in_progress",
                  call, span_of(""), out, err) &&
        call_arguments(r, c, index, "response.function_call_arguments.delta",
                       "delta", call, out, err) &&
        call_arguments(r, c, index, "response.function_call_arguments.done",
                       "arguments", call, out, err) &&
        call_item(r, c, index, "response.output_item.done", "completed", call,
                  call->arguments, out, err);

    c->blocks++;
    return ok;
}

static bool stream_end(const struct reply *r, struct reply_choice *c,
                       struct bytes *out, struct err *err) {
    if (!begin(r, c, out, err)) return false;
    /* An answer without a word is a message all the same. */
    if (!c->open && c->blocks == 0 && !open_message(r, c, out, err))
        return false;
    return !c->open || close_message(r, c, status_name(c), out, err);
}

static bool stream_close(const struct reply *r,
                         const struct reply_choice *const *choices, int count,
                         struct bytes *out, struct err *err) {
    const struct reply_choice *c = choices[0];
    bool completed = !strcmp(status_name(c), "completed");

    (void)count;
    return response_event(
        r, c->events, completed ? "response.completed" : "response.incomplete",
        c, shown(r, c), out, err);
}

static bool stream_fail(const struct err *why, struct bytes *out,
                        struct err *err) {
    const struct http_error *e = http_error_of(why->code);

    return bytes_printf(out, err,
                        "event: error\ndata: {\"type\":\"error\",\"code\":") &&
           json_put_string(out, span_of(e->code), err) &&
           bytes_printf(out, err, ",\"message\":") &&
           json_put_string(out, span_of(e->message ? e->message : why->text),
                           err) &&
           bytes_printf(out, err, ",\"param\":null,\"sequence_number\":0}\n\n");
}

const struct dialect dialect_responses = {
    .name = "responses",
    .route = ROUTE_RESPONSES,
    .errors = HTTP_ERROR_OPENAI,
    .stream_type = "text/event-stream",
    .stream_idle = ": waiting for approval\n\n",
    .parse = responses_parse,
    .moderates = true,
    .keeps_text = true,
    .prepare = responses_prepare,
    .keep = responses_keep,
    .whole = whole,
    .text = stream_text,
    .call = stream_call,
    .end = stream_end,
    .close = stream_close,
    .fail = stream_fail,
};
