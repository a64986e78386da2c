/* dialect_completions.c - POST /v1/completions: texts to be continued as they
 * stand, in the shape that OpenAI's clients still speak. */
#include "proxy/dialect.h"

#include <string.h>

#include "base/utf8.h"
#include "proxy/http_error.h"
#include "proxy/openai.h"

enum {
    OUTPUT_TOKENS_DEFAULT = 16, /* OpenAI's own */
    RIVALS_MAX = 5              /* the same */
};

/* ---- a body to a chat_request ---- */

static bool prompt(struct openai_reader *p, const cJSON *json) {
    struct chat_message *m = &p->out->messages[p->out->message_count++];

    if (cJSON_IsNumber(json) || cJSON_IsArray(json))
        return err_set_field(p->err, ERR_UNSUPPORTED, "prompt",
                             "prompt: the guard reads texts, not token ids");
    if (!cJSON_IsString(json) || !*json->valuestring)
        return openai_bad(p, "prompt", "expected a text, or a list of texts");
    m->role = CHAT_USER;
    return arena_copy(p->out->arena, span_of(json->valuestring), &m->text,
                      p->err);
}

static bool prompts(struct openai_reader *p, const cJSON *body) {
    const cJSON *json = cJSON_GetObjectItemCaseSensitive(body, "prompt");
    const cJSON *item;
    struct chat_request *r = p->out;
    int count = cJSON_IsArray(json) ? cJSON_GetArraySize(json) : 1;

    if (!json || count == 0) return openai_bad(p, "prompt", "missing");
    if (count > CHAT_CHOICES_MAX)
        return err_set_field(p->err, ERR_LIMIT, "prompt",
                             "prompt: more than %d", CHAT_CHOICES_MAX);
    r->messages =
        arena_alloc(r->arena, (size_t)count, sizeof *r->messages, p->err);
    if (!r->messages) return false;
    if (!cJSON_IsArray(json)) return prompt(p, json);
    cJSON_ArrayForEach(item, json) {
        if (!prompt(p, item)) return false;
    }
    return true;
}

/* `n` answers to each prompt. More are not made to choose from. */
static bool choices(struct openai_reader *p, const cJSON *body) {
    struct chat_request *r = p->out;
    int64_t n = 1, best = 0, rivals = 0;
    const cJSON *logprobs = cJSON_GetObjectItemCaseSensitive(body, "logprobs");

    if (!json_get_int(body, "", "n", 1, CHAT_CHOICES_MAX, &n, p->err) ||
        !json_get_int(body, "", "best_of", 1, CHAT_CHOICES_MAX, &best,
                      p->err) ||
        !json_get_int(body, "", "logprobs", 0, RIVALS_MAX, &rivals, p->err))
        return false;
    if (best > n)
        return err_set_field(p->err, ERR_UNSUPPORTED, "best_of",
                             "best_of: no more than n are made");
    if (n * r->message_count > CHAT_CHOICES_MAX)
        return err_set_field(p->err, ERR_LIMIT, "n",
                             "n: more than %d answers in all",
                             CHAT_CHOICES_MAX);
    r->choices = (int)n * r->message_count;
    r->logprobs = logprobs && !cJSON_IsNull(logprobs);
    r->top_logprobs = (int)rivals;
    if (r->logprobs && r->echo)
        return err_set_field(p->err, ERR_UNSUPPORTED, "logprobs",
                             "logprobs: not together with echo");
    return true;
}

static bool parse(const cJSON *body, struct chat_request *out,
                  struct err *err) {
    struct openai_reader p = {out, err};
    const cJSON *options =
        cJSON_GetObjectItemCaseSensitive(body, "stream_options");
    const char *model = NULL, *suffix = NULL;

    if (!cJSON_IsObject(body))
        return err_set(err, ERR_INPUT, "expected a JSON object");
    if (!json_get_string(body, "", "model", &model, err) ||
        !json_get_string(body, "", "suffix", &suffix, err))
        return false;
    if (!model || !*model) return openai_bad(&p, "model", "missing");
    if (suffix && *suffix)
        return err_set_field(err, ERR_UNSUPPORTED, "suffix",
                             "suffix: not supported");
    if (options && !cJSON_IsNull(options) && !cJSON_IsObject(options))
        return openai_bad(&p, "stream_options", "expected an object");
    out->raw = true;
    if (!arena_copy(out->arena, span_of(model), &out->model, err) ||
        !prompts(&p, body) ||
        !json_get_bool(body, "", "echo", &out->echo, err) ||
        !openai_stops(&p, body) || !openai_sampling(&p, body) ||
        !openai_logit_bias(&p, body) || !choices(&p, body) ||
        !json_get_bool(body, "", "stream", &out->stream, err) ||
        !json_get_bool(options, "stream_options", "include_usage",
                       &out->include_usage, err))
        return false;
    if (!out->max_tokens) out->max_tokens = OUTPUT_TOKENS_DEFAULT;
    return true;
}

/* ---- log probabilities ----
 *
 * The API wants four lists side by side. Entries are kept one a line, as
 * `characters TAB token TAB logprob TAB rivals`, all of it JSON, in which
 * neither a TAB nor a line's end can occur. */

static bool put_token(const struct llm_logprob *t, struct bytes *out,
                      struct err *err) {
    struct span s = t->text.size ? t->text : t->name;
    bool ok = true;

    if (utf8_valid(s)) return json_put_string(out, s, err);
    /* A part of a character, as OpenAI writes it: "bytes:\xe2\x82". */
    ok = bytes_printf(out, err, "\"bytes:");
    for (size_t i = 0; ok && i < s.size; i++)
        ok = bytes_printf(out, err, "\\\\x%02x", (unsigned char)s.at[i]);
    return ok && bytes_printf(out, err, "\"");
}

static int characters(struct span s) {
    int count = 0;

    for (size_t i = 0; i < s.size; i++)
        count += ((unsigned char)s.at[i] & 0xC0) != 0x80;
    return count;
}

/* A key of an object comes once. */
static bool is_first(const struct llm_logprob *entry, int index) {
    for (int i = 0; i < index; i++)
        if (span_equal(entry->top[i].text, entry->top[index].text) &&
            span_equal(entry->top[i].name, entry->top[index].name))
            return false;
    return true;
}

static bool put_logprob(const struct llm_logprob *entry, struct bytes *out,
                        struct err *err) {
    bool any = false;

    if (!bytes_printf(out, err, "%d\t", characters(entry->text)) ||
        !put_token(entry, out, err) ||
        !bytes_printf(out, err, "\t%.7g\t{", (double)entry->logprob))
        return false;
    for (int i = 0; i < entry->top_count; i++) {
        if (!is_first(entry, i)) continue;
        if (!bytes_printf(out, err, any ? "," : "") ||
            !put_token(&entry->top[i], out, err) ||
            !bytes_printf(out, err, ":%.7g", (double)entry->top[i].logprob))
            return false;
        any = true;
    }
    return bytes_printf(out, err, "}\n");
}

/* Take a line's next column. */
static struct span column(struct span *rest) {
    size_t end = 0;
    struct span taken;

    while (end < rest->size && rest->at[end] != '\t' && rest->at[end] != '\n')
        end++;
    taken = span_slice(*rest, 0, end);
    *rest = span_slice(*rest, end + 1, rest->size);
    return taken;
}

static bool put_column(struct span entries, int wanted, struct bytes *out,
                       struct err *err) {
    bool any = false;

    while (entries.size) {
        struct span columns[4];

        for (int i = 0; i < 4; i++) columns[i] = column(&entries);
        if (!bytes_printf(out, err, any ? "," : "") ||
            !bytes_append(out, columns[wanted].at, columns[wanted].size, err))
            return false;
        any = true;
    }
    return true;
}

static bool put_offsets(struct span entries, size_t *offset, struct bytes *out,
                        struct err *err) {
    bool any = false;

    while (entries.size) {
        struct span size = column(&entries);

        if (!bytes_printf(out, err, any ? ",%zu" : "%zu", *offset))
            return false;
        for (size_t i = 0, n = 0; i <= size.size; i++) {
            if (i == size.size)
                *offset += n;
            else
                n = n * 10 + (size_t)(size.at[i] - '0');
        }
        for (int i = 1; i < 4; i++) (void)column(&entries);
        any = true;
    }
    return true;
}

static bool put_logprobs(struct span entries, size_t *offset, struct bytes *out,
                         struct err *err) {
    if (!entries.size) return bytes_printf(out, err, ",\"logprobs\":null");
    return bytes_printf(out, err, ",\"logprobs\":{\"tokens\":[") &&
           put_column(entries, 1, out, err) &&
           bytes_printf(out, err, "],\"token_logprobs\":[") &&
           put_column(entries, 2, out, err) &&
           bytes_printf(out, err, "],\"top_logprobs\":[") &&
           put_column(entries, 3, out, err) &&
           bytes_printf(out, err, "],\"text_offset\":[") &&
           put_offsets(entries, offset, out, err) &&
           bytes_printf(out, err, "]}");
}

/* ---- an answer to bytes ---- */

static const char *finish_name(enum reply_finish finish) {
    if (finish == REPLY_LENGTH) return "length";
    return finish == REPLY_FILTERED ? "content_filter" : "stop";
}

static bool put_head(const struct reply *r, struct bytes *out,
                     struct err *err) {
    return bytes_printf(out, err,
                        "{\"id\":\"cmpl-%s\",\"object\":\"text_completion\","
                        "\"created\":%lld,\"model\":",
                        r->id, (long long)r->created) &&
           json_put_string(out, r->model, err) &&
           bytes_printf(out, err, ",\"choices\":[");
}

/* One element of `choices`, up to the logprobs. */
static bool put_text(const struct reply_choice *c, struct span echo,
                     struct span text, struct bytes *out, struct err *err) {
    struct bytes whole = {0};
    bool ok = bytes_append(&whole, echo.at, echo.size, err) &&
              bytes_append(&whole, text.at, text.size, err) &&
              bytes_printf(out, err, "{\"index\":%d,\"text\":", c->index) &&
              json_put_string(out, span_bytes(&whole), err);

    bytes_free(&whole);
    return ok;
}

static bool put_finish(const struct reply_choice *c, struct bytes *out,
                       struct err *err) {
    return bytes_printf(out, err, ",\"finish_reason\":\"%s\"",
                        finish_name(c->finish));
}

static bool whole(const struct reply *reply,
                  const struct reply_choice *const *list, int count,
                  struct bytes *out, struct err *err) {
    if (!put_head(reply, out, err)) return false;
    for (int i = 0; i < count; i++) {
        size_t offset = 0;

        if (!bytes_printf(out, err, i ? "," : "") ||
            !put_text(list[i], list[i]->echo, list[i]->text, out, err) ||
            !put_logprobs(list[i]->logprobs, &offset, out, err) ||
            !put_finish(list[i], out, err) ||
            (count > 1 && !openai_put_corral(list[i], out, err)) ||
            !bytes_printf(out, err, "}"))
            return false;
    }
    return bytes_printf(out, err, "],\"usage\":") &&
           openai_put_usage(&reply->usage, out, err) &&
           (count > 1 || openai_put_corral(list[0], out, err)) &&
           bytes_printf(out, err, "}");
}

/* A chunk's element up to its logprobs; the prompt goes with the first. */
static bool chunk_begin(const struct reply *r, struct reply_choice *c,
                        struct span text, struct bytes *out, struct err *err) {
    struct span echo = c->begun ? (struct span){0} : c->echo;

    c->begun = true;
    return bytes_printf(out, err, "data: ") && put_head(r, out, err) &&
           put_text(c, echo, text, out, err) &&
           put_logprobs(c->logprobs, &c->characters, out, err);
}

/* With include_usage every chunk but the last says that it has none. */
static bool chunk_close(const struct reply *r, struct bytes *out,
                        struct err *err) {
    return bytes_printf(out, err, "]%s}\n\n",
                        r->include_usage ? ",\"usage\":null" : "");
}

static bool stream_text(const struct reply *reply, struct reply_choice *c,
                        struct span text, struct bytes *out, struct err *err) {
    return chunk_begin(reply, c, text, out, err) &&
           bytes_printf(out, err, ",\"finish_reason\":null}") &&
           chunk_close(reply, out, err);
}

/* There are no tools here. */
static bool stream_call(const struct reply *reply, struct reply_choice *c,
                        const struct chat_tool_call *call, struct bytes *out,
                        struct err *err) {
    (void)reply;
    (void)c;
    (void)call;
    (void)out;
    return err_set(err, ERR_INTERNAL, "a call in a completion");
}

static bool stream_end(const struct reply *reply, struct reply_choice *c,
                       struct bytes *out, struct err *err) {
    return chunk_begin(reply, c, (struct span){0}, out, err) &&
           put_finish(c, out, err) && openai_put_corral(c, out, err) &&
           bytes_printf(out, err, "}") && chunk_close(reply, out, err);
}

static bool stream_close(const struct reply *reply,
                         const struct reply_choice *const *list, int count,
                         struct bytes *out, struct err *err) {
    (void)list;
    (void)count;
    if (reply->include_usage &&
        (!bytes_printf(out, err, "data: ") || !put_head(reply, out, err) ||
         !bytes_printf(out, err, "],\"usage\":") ||
         !openai_put_usage(&reply->usage, out, err) ||
         !bytes_printf(out, err, "}\n\n")))
        return false;
    return bytes_printf(out, err, "data: [DONE]\n\n");
}

const struct dialect dialect_completions = {
    .name = "completions",
    .route = ROUTE_COMPLETIONS,
    .errors = HTTP_ERROR_OPENAI,
    .stream_type = "text/event-stream",
    .stream_idle = ": waiting for approval\n\n",
    .parse = parse,
    .logprob = put_logprob,
    .whole = whole,
    .text = stream_text,
    .call = stream_call,
    .end = stream_end,
    .close = stream_close,
    .fail = openai_stream_fail,
};
