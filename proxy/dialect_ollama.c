/* dialect_ollama.c - POST /api/chat and /api/generate, as the Ollama clients
 * speak them: JSON values, one a line, the last with the figures. The two
 * differ in where the text lies. */
#include "proxy/dialect.h"

#include <time.h>

#include "proxy/ollama.h"
#include "proxy/openai.h"

static bool model_read(const cJSON *body, struct chat_request *out,
                       struct err *err) {
    const char *model = NULL;

    if (!cJSON_IsObject(body))
        return err_set(err, ERR_INPUT, "expected a JSON object");
    if (!json_get_string(body, "", "model", &model, err)) return false;
    if (!model || !*model)
        return err_set_field(err, ERR_INPUT, "model", "model: missing");
    return arena_copy(out->arena, span_of(model), &out->model, err);
}

static bool parse_chat(const cJSON *body, struct chat_request *out,
                       struct err *err) {
    struct openai_reader p = {out, err};

    /* Tools have OpenAI's shape. */
    return model_read(body, out, err) && ollama_messages(out, body, err) &&
           openai_tools(&p, body) && ollama_options(out, body, err);
}

static bool parse_generate(const cJSON *body, struct chat_request *out,
                           struct err *err) {
    return model_read(body, out, err) && ollama_prompt(out, body, err) &&
           ollama_options(out, body, err);
}

/* ---- an answer to bytes ---- */

static bool put_head(const struct reply *r, struct bytes *out,
                     struct err *err) {
    time_t at = (time_t)r->created;
    char stamp[32] = "1970-01-01T00:00:00Z";
    struct tm tm;

    if (gmtime_r(&at, &tm))
        (void)strftime(stamp, sizeof stamp, "%Y-%m-%dT%H:%M:%SZ", &tm);
    return bytes_printf(out, err, "{\"model\":") &&
           json_put_string(out, r->model, err) &&
           bytes_printf(out, err, ",\"created_at\":\"%s\",", stamp);
}

/* An element of `logprobs`, with a comma before it unless it is the first. */
static bool put_token(const struct llm_logprob *t, struct bytes *out,
                      struct err *err) {
    if (!bytes_printf(out, err, "\"token\":") ||
        !json_put_string(out, t->text.size ? t->text : t->name, err) ||
        !bytes_printf(out, err, ",\"logprob\":%.7g,\"bytes\":[",
                      (double)t->logprob))
        return false;
    for (size_t i = 0; i < t->text.size; i++)
        if (!bytes_printf(out, err, i ? ",%d" : "%d",
                          (unsigned char)t->text.at[i]))
            return false;
    return bytes_printf(out, err, "]");
}

static bool put_logprob(const struct llm_logprob *entry, struct bytes *out,
                        struct err *err) {
    if (!bytes_printf(out, err, out->size ? ",{" : "{") ||
        !put_token(entry, out, err) ||
        !bytes_printf(out, err, ",\"top_logprobs\":["))
        return false;
    for (int i = 0; i < entry->top_count; i++)
        if (!bytes_printf(out, err, i ? ",{" : "{") ||
            !put_token(&entry->top[i], out, err) ||
            !bytes_printf(out, err, "}"))
            return false;
    return bytes_printf(out, err, "]}");
}

static bool put_logprobs(struct span entries, struct bytes *out,
                         struct err *err) {
    if (!entries.size) return true;
    return bytes_printf(out, err, ",\"logprobs\":[") &&
           bytes_append(out, entries.at, entries.size, err) &&
           bytes_printf(out, err, "]");
}

static bool put_calls(const struct chat_tool_call *calls, int count, int first,
                      struct bytes *out, struct err *err) {
    for (int i = 0; i < count; i++)
        if (!bytes_printf(out, err,
                          i ? ",{\"id\":" : ",\"tool_calls\":[{\"id\":") ||
            !json_put_string(out, calls[i].id, err) ||
            !bytes_printf(out, err,
                          ",\"function\":{\"index\":%d,\"name\":", first + i) ||
            !json_put_string(out, calls[i].name, err) ||
            !bytes_printf(out, err, ",\"arguments\":") ||
            !bytes_append(out, calls[i].arguments.at, calls[i].arguments.size,
                          err) ||
            !bytes_printf(out, err, "}}"))
            return false;
    return !count || bytes_printf(out, err, "]");
}

/* `"message":{...}`, or `"response":...` where there are no messages. */
static bool put_text(const struct reply *r, bool chat, struct span text,
                     const struct chat_tool_call *calls, int count, int first,
                     struct bytes *out, struct err *err) {
    if (!put_head(r, out, err)) return false;
    if (!chat)
        return bytes_printf(out, err, "\"response\":") &&
               json_put_string(out, text, err);
    return bytes_printf(out, err,
                        "\"message\":{\"role\":\"assistant\",\"content\":") &&
           json_put_string(out, text, err) &&
           put_calls(calls, count, first, out, err) &&
           bytes_printf(out, err, "}");
}

static const char *done_reason(enum reply_finish finish) {
    switch (finish) {
    case REPLY_STOP:
    case REPLY_TOOL_CALLS:
        return "stop";
    case REPLY_LENGTH:
        return "length";
    case REPLY_FILTERED:
        return "content_filter";
    }
    return "stop";
}

/* Nanoseconds. The model has been loaded since the start, so that takes none;
 * what a model elsewhere took for its parts is not known. */
static bool put_figures(const struct reply *r, struct bytes *out,
                        struct err *err) {
    const struct llm_usage *u = &r->usage;

    if (!bytes_printf(out, err,
                      ",\"total_duration\":%llu,\"load_duration\":0,"
                      "\"prompt_eval_count\":%d,\"eval_count\":%d",
                      (unsigned long long)r->total_ns, u->prompt_tokens,
                      u->completion_tokens))
        return false;
    return !u->prompt_ns ||
           bytes_printf(out, err,
                        ",\"prompt_eval_duration\":%llu,\"eval_duration\":%llu",
                        (unsigned long long)u->prompt_ns,
                        (unsigned long long)u->completion_ns);
}

static bool put_done(const struct reply *r, const struct reply_choice *c,
                     struct bytes *out, struct err *err) {
    return bytes_printf(out, err, ",\"done\":true,\"done_reason\":\"%s\"",
                        done_reason(c->finish)) &&
           put_figures(r, out, err) &&
           (!c->corral || (bytes_printf(out, err, ",\"corral\":") &&
                           json_print(c->corral, out, err))) &&
           bytes_printf(out, err, "}");
}

static bool put_whole(const struct reply *reply, bool chat,
                      const struct reply_choice *c, struct bytes *out,
                      struct err *err) {
    return put_text(reply, chat, c->text, c->calls, c->call_count, 0, out,
                    err) &&
           put_logprobs(c->logprobs, out, err) && put_done(reply, c, out, err);
}

/* ---- in lines ---- */

static bool line(const struct reply *reply, bool chat, struct reply_choice *c,
                 struct span text, struct bytes *out, struct err *err) {
    c->begun = true;
    return put_text(reply, chat, text, NULL, 0, 0, out, err) &&
           put_logprobs(c->logprobs, out, err) &&
           bytes_printf(out, err, ",\"done\":false}\n");
}

/* Tokens whose text is already out still have a line to go. */
static bool last_logprobs(const struct reply *reply, bool chat,
                          struct reply_choice *c, struct bytes *out,
                          struct err *err) {
    return !c->logprobs.size || line(reply, chat, c, span_of(""), out, err);
}

static bool last_line(const struct reply *reply, bool chat,
                      const struct reply_choice *c, struct bytes *out,
                      struct err *err) {
    return put_text(reply, chat, span_of(""), NULL, 0, 0, out, err) &&
           put_done(reply, c, out, err) && bytes_printf(out, err, "\n");
}

static bool stream_fail(const struct err *why, struct bytes *out,
                        struct err *err) {
    return http_error_shaped_body(HTTP_ERROR_OLLAMA, why, out, err) &&
           bytes_printf(out, err, "\n");
}

/* ---- chat ---- */

static bool chat_whole(const struct reply *reply,
                       const struct reply_choice *const *choices, int count,
                       struct bytes *out, struct err *err) {
    (void)count; /* one: this API knows no others */
    return put_whole(reply, true, choices[0], out, err);
}

static bool chat_text(const struct reply *reply, struct reply_choice *c,
                      struct span text, struct bytes *out, struct err *err) {
    return line(reply, true, c, text, out, err);
}

static bool chat_call(const struct reply *reply, struct reply_choice *c,
                      const struct chat_tool_call *call, struct bytes *out,
                      struct err *err) {
    return put_text(reply, true, span_of(""), call, 1, c->calls_sent++, out,
                    err) &&
           bytes_printf(out, err, ",\"done\":false}\n");
}

static bool chat_end(const struct reply *reply, struct reply_choice *c,
                     struct bytes *out, struct err *err) {
    return last_logprobs(reply, true, c, out, err);
}

static bool chat_close(const struct reply *reply,
                       const struct reply_choice *const *choices, int count,
                       struct bytes *out, struct err *err) {
    (void)count;
    return last_line(reply, true, choices[0], out, err);
}

const struct dialect dialect_ollama_chat = {
    .name = "ollama_chat",
    .route = ROUTE_OLLAMA,
    .errors = HTTP_ERROR_OLLAMA,
    .stream_type = "application/x-ndjson",
    .stream_idle = "",
    .parse = parse_chat,
    .logprob = put_logprob,
    .whole = chat_whole,
    .text = chat_text,
    .call = chat_call,
    .end = chat_end,
    .close = chat_close,
    .fail = stream_fail,
};

/* ---- generate ---- */

static bool generate_whole(const struct reply *reply,
                           const struct reply_choice *const *choices, int count,
                           struct bytes *out, struct err *err) {
    (void)count;
    return put_whole(reply, false, choices[0], out, err);
}

static bool generate_text(const struct reply *reply, struct reply_choice *c,
                          struct span text, struct bytes *out,
                          struct err *err) {
    return line(reply, false, c, text, out, err);
}

/* There is no place for one, and no client tool that could be called. */
static bool generate_call(const struct reply *reply, struct reply_choice *c,
                          const struct chat_tool_call *call, struct bytes *out,
                          struct err *err) {
    (void)reply;
    (void)c;
    (void)call;
    (void)out;
    return err_set(err, ERR_INTERNAL, "a tool call in /api/generate");
}

static bool generate_end(const struct reply *reply, struct reply_choice *c,
                         struct bytes *out, struct err *err) {
    return last_logprobs(reply, false, c, out, err);
}

static bool generate_close(const struct reply *reply,
                           const struct reply_choice *const *choices, int count,
                           struct bytes *out, struct err *err) {
    (void)count;
    return last_line(reply, false, choices[0], out, err);
}

const struct dialect dialect_ollama_generate = {
    .name = "ollama_generate",
    .route = ROUTE_OLLAMA,
    .errors = HTTP_ERROR_OLLAMA,
    .stream_type = "application/x-ndjson",
    .stream_idle = "",
    .parse = parse_generate,
    .logprob = put_logprob,
    .whole = generate_whole,
    .text = generate_text,
    .call = generate_call,
    .end = generate_end,
    .close = generate_close,
    .fail = stream_fail,
};
