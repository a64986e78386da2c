/* upstream_reader.c - the chunks of a streamed chat completion, put together.
 * Text goes on at once; a tool call when all its pieces are there. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/sse.h"
#include "proxy/upstream.h"

struct partial_call {
    struct bytes id, name, arguments;
};

struct upstream_reader {
    struct llm_events events;
    struct sse sse;
    struct partial_call *calls; /* grown one by one; few streams have any */
    int call_count;
    bool done; /* [DONE] was read */
    bool finished;
    enum llm_finish finish;
    struct llm_usage usage;
    bool named;        /* its origin was told */
    struct bytes stop; /* the stop string that it names */
};

enum {
    CALL_ID_BYTES_MAX = 256,
    CALL_NAME_BYTES_MAX = 128,
    CALL_ARGUMENT_BYTES_MAX = 1 << 20,
    CREATED_MAX = 1 << 30 /* times 8: far enough */
};

struct upstream_reader *upstream_reader_new(const struct llm_events *events) {
    struct upstream_reader *r = xalloc(sizeof *r);

    r->events = *events;
    return r;
}

void upstream_reader_free(struct upstream_reader *r) {
    if (!r) return;
    for (int i = 0; i < r->call_count; i++) {
        bytes_free(&r->calls[i].id);
        bytes_free(&r->calls[i].name);
        bytes_free(&r->calls[i].arguments);
    }
    bytes_free(&r->stop);
    free(r->calls);
    sse_clear(&r->sse);
    free(r);
}

void upstream_reader_mute(struct upstream_reader *r) {
    r->events.on_origin = NULL;
    r->events.on_text = NULL;
    r->events.on_logprobs = NULL;
    r->events.on_tool_call = NULL;
}

static bool append(struct bytes *b, const cJSON *json, struct err *err) {
    if (!cJSON_IsString(json)) return true;
    return bytes_append(b, json->valuestring, strlen(json->valuestring), err);
}

static bool call_delta(struct upstream_reader *r, const cJSON *json,
                       struct err *err) {
    const cJSON *function = json_field(json, "function");
    int64_t index = r->call_count ? r->call_count - 1 : 0;
    struct partial_call *call;

    if (!json_get_int(json, "tool_calls", "index", 0, CHAT_TOOL_CALLS_MAX - 1,
                      &index, err))
        return false;
    if (index > r->call_count)
        return err_set(err, ERR_IO, "upstream: tool call %d out of order",
                       (int)index);
    if (index == r->call_count)
        r->calls = xrealloc_array(r->calls, (size_t)index + 1, sizeof *call);
    call = &r->calls[index];
    if (index == r->call_count) {
        *call = (struct partial_call){0};
        call->id.limit = CALL_ID_BYTES_MAX;
        call->name.limit = CALL_NAME_BYTES_MAX;
        call->arguments.limit = CALL_ARGUMENT_BYTES_MAX;
        r->call_count++;
    }
    return append(&call->id, json_field(json, "id"), err) &&
           append(&call->name, json_field(function, "name"), err) &&
           append(&call->arguments, json_field(function, "arguments"), err);
}

static void take_usage(struct upstream_reader *r, const cJSON *usage) {
    const cJSON *details = json_field(usage, "prompt_tokens_details");
    const cJSON *written = json_field(usage, "completion_tokens_details");
    int64_t prompt = 0, completion = 0, cached = 0, reasoning = 0;

    /* Figures for people: nonsense in them is left out, not an error. */
    if (!json_get_int(usage, "", "prompt_tokens", 0, INT32_MAX, &prompt,
                      NULL) ||
        !json_get_int(usage, "", "completion_tokens", 0, INT32_MAX, &completion,
                      NULL) ||
        !json_get_int(details, "", "cached_tokens", 0, INT32_MAX, &cached,
                      NULL) ||
        !json_get_int(written, "", "reasoning_tokens", 0, INT32_MAX, &reasoning,
                      NULL))
        return;
    r->usage = (struct llm_usage){.prompt_tokens = (int)prompt,
                                  .cached_tokens = (int)cached,
                                  .completion_tokens = (int)completion,
                                  .reasoning_tokens = (int)reasoning};
}

/* ---- what it calls its answer ---- */

static bool is_plain(char c) {
    char small = ascii_lower(c);

    return (small >= 'a' && small <= 'z') || (c >= '-' && c <= ':') || c == '_';
}

/* A text that can say nothing: no blank, and not long. */
static struct span plain_text(const cJSON *json) {
    struct span s = span_of(cJSON_IsString(json) ? json->valuestring : NULL);

    if (s.size > LLM_ORIGIN_BYTES_MAX) s.size = 0;
    for (size_t i = 0; i < s.size; i++)
        if (!is_plain(s.at[i])) s.size = 0;
    return s;
}

static void take_origin(struct upstream_reader *r, const cJSON *json) {
    int64_t created = 0;
    struct llm_origin origin = {0};

    if (r->named || !r->events.on_origin) return;
    r->named = true;
    origin.id = plain_text(json_field(json, "id"));
    origin.fingerprint = plain_text(json_field(json, "system_fingerprint"));
    if (json_get_int(json, "", "created", 0, 8 * (int64_t)CREATED_MAX, &created,
                     NULL))
        origin.created = created;
    r->events.on_origin(r->events.user, &origin);
}

/* vLLM tells which stop string it met. */
static void take_stop(struct upstream_reader *r, const cJSON *choice) {
    r->stop.size = 0;
    r->stop.limit = CHAT_STOP_BYTES_MAX; /* a longer one was not asked for */
    (void)append(&r->stop, json_field(choice, "stop_reason"), NULL);
}

struct span upstream_reader_stop(const struct upstream_reader *r) {
    return span_bytes(&r->stop);
}

static void take_finish(struct upstream_reader *r, const char *reason) {
    r->finished = true;
    if (!strcmp(reason, "length"))
        r->finish = LLM_LENGTH;
    else if (!strcmp(reason, "content_filter"))
        r->finish = LLM_FILTERED;
    else if (!strcmp(reason, "tool_calls"))
        r->finish = LLM_TOOL_CALLS;
    else
        r->finish = LLM_STOP;
}

/* ---- log probabilities. What is no entry is passed over: they are figures,
 * and whether they belong to the text is looked at later ---- */

/* The token's bytes from a list of numbers; false when that is none. */
static bool bytes_of(const cJSON *list, struct bytes *out) {
    const cJSON *item;
    char byte;

    if (!cJSON_IsArray(list)) return false;
    cJSON_ArrayForEach(item, list) {
        if (!cJSON_IsNumber(item) || item->valueint < 0 || item->valueint > 255)
            return false;
        byte = (char)(unsigned char)item->valueint;
        bytes_put(out, (struct span){&byte, 1});
    }
    return true;
}

/* A figure for people: nonsense, or none, is as unlikely as can be. */
static float logprob_of(const cJSON *json) {
    double value =
        cJSON_IsNumber(json) ? json->valuedouble : (double)LOGPROB_LEAST;

    if (!(value > (double)LOGPROB_LEAST)) return LOGPROB_LEAST;
    return value < 0 ? (float)value : 0;
}

/* Its text goes behind those in `room`, where it is pointed to later. */
static bool take_entry(const cJSON *json, struct bytes *room,
                       struct llm_logprob *out) {
    const cJSON *token = json_field(json, "token");
    size_t before = room->size;

    if (!cJSON_IsString(token)) return false;
    if (!bytes_of(json_field(json, "bytes"), room)) {
        room->size = before;
        bytes_put(room, span_of(token->valuestring));
    }
    *out = (struct llm_logprob){.text = {NULL, room->size - before},
                                .logprob =
                                    logprob_of(json_field(json, "logprob"))};
    return true;
}

static void take_logprob(const struct upstream_reader *r, const cJSON *json) {
    struct llm_logprob list[1 + LOGPROBS_TOP_MAX]; /* the rivals follow */
    struct bytes room = {0};
    const cJSON *rival;
    size_t at = 0;
    int count = 1;

    if (take_entry(json, &room, &list[0])) {
        cJSON_ArrayForEach(rival, json_field(json, "top_logprobs")) {
            if (count <= LOGPROBS_TOP_MAX &&
                take_entry(rival, &room, &list[count]))
                count++;
        }
        for (int i = 0; i < count; i++) {
            list[i].text.at = room.at + at;
            at += list[i].text.size;
        }
        list[0].top = list + 1;
        list[0].top_count = count - 1;
        r->events.on_logprobs(r->events.user, list, 1);
    }
    bytes_free(&room);
}

static void take_logprobs(const struct upstream_reader *r, const cJSON *json) {
    const cJSON *entry;

    cJSON_ArrayForEach(entry, json_field(json, "content")) {
        /* The event may cancel the call, which mutes it. */
        if (r->events.on_logprobs) take_logprob(r, entry);
    }
}

/* A choice of a chunk, or (a server that does not stream) of a whole answer.
 * Reasoning and refusal texts have no place in the conversation and are
 * dropped here, so they cannot pass unjudged. */
static bool take_choice(struct upstream_reader *r, const cJSON *choice,
                        struct err *err) {
    const cJSON *delta = json_field(choice, "delta");
    const cJSON *content, *calls, *call, *reason;

    if (!delta) delta = json_field(choice, "message");
    take_logprobs(r, json_field(choice, "logprobs"));
    content = json_field(delta, "content");
    if (cJSON_IsString(content) && *content->valuestring && r->events.on_text)
        r->events.on_text(r->events.user, span_of(content->valuestring), NULL,
                          0);
    calls = json_field(delta, "tool_calls");
    cJSON_ArrayForEach(call, calls) {
        if (!call_delta(r, call, err)) return false;
    }
    reason = json_field(choice, "finish_reason");
    if (!cJSON_IsString(reason)) return true;
    take_finish(r, reason->valuestring);
    take_stop(r, choice);
    return true;
}

bool upstream_reader_take(struct upstream_reader *r, const cJSON *json,
                          struct err *err) {
    const cJSON *choices, *error, *usage;

    error = json_field(json, "error");
    usage = json_field(json, "usage");
    if (cJSON_IsObject(usage)) take_usage(r, usage);
    choices = json_field(json, "choices");
    if (cJSON_GetArraySize(choices) > 0) take_origin(r, json);
    if (error && !cJSON_IsNull(error))
        return err_set(err, ERR_IO, "the upstream reported an error");
    if (cJSON_GetArraySize(choices) > 1)
        return err_set(err, ERR_IO, "upstream: more than one choice");
    return cJSON_GetArraySize(choices) == 0 ||
           take_choice(r, choices->child, err);
}

static bool take_data(void *user, struct span data, struct err *err) {
    struct upstream_reader *r = user;
    const cJSON *json;
    bool ok;

    if (r->done) return true;
    if (span_is(data, "[DONE]")) {
        r->done = true;
        return true;
    }
    json = json_read(data, err);
    if (!json) {
        err->code = ERR_IO;
        return false;
    }
    ok = upstream_reader_take(r, json, err);
    json_free(json);
    return ok;
}

bool upstream_reader_feed(struct upstream_reader *r, struct span in,
                          struct err *err) {
    return sse_feed(&r->sse, in, take_data, r, err);
}

/* A call as the turn may have it: named, with arguments that are an object. */
static bool emit_call(struct upstream_reader *r, struct partial_call *call,
                      struct err *err) {
    struct chat_tool_call out;
    struct err inner = {0};
    char id[HASH_ID_SIZE + 8];
    const cJSON *json;
    bool object;

    if (call->name.size == 0)
        return err_set(err, ERR_IO, "upstream: a tool call without a name");
    if (call->arguments.size == 0) bytes_puts(&call->arguments, "{}");
    json = json_read(span_bytes(&call->arguments), &inner);
    object = cJSON_IsObject(json);
    json_free(json);
    if (!object)
        return err_set(err, ERR_IO,
                       "upstream: tool call arguments are no JSON object");
    if (call->id.size == 0) {
        char fresh[HASH_ID_SIZE];

        hash_random_id(fresh);
        (void)snprintf(id, sizeof id, "call_%s", fresh);
        bytes_puts(&call->id, id);
    }
    out =
        (struct chat_tool_call){span_bytes(&call->id), span_bytes(&call->name),
                                span_bytes(&call->arguments)};
    if (r->events.on_tool_call) r->events.on_tool_call(r->events.user, &out);
    return true;
}

bool upstream_reader_finish(struct upstream_reader *r, struct llm_end *end,
                            struct err *err) {
    if (!r->finished)
        return err_set(err, ERR_IO, "the upstream's answer ended early");
    for (int i = 0; i < r->call_count && r->finish != LLM_LENGTH; i++)
        if (!emit_call(r, &r->calls[i], err)) return false;
    *end = (struct llm_end){.ok = true, .finish = r->finish, .usage = r->usage};
    if (r->call_count && r->finish == LLM_STOP) end->finish = LLM_TOOL_CALLS;
    if (!r->call_count && r->finish == LLM_TOOL_CALLS) end->finish = LLM_STOP;
    return true;
}
