/* upstream_reader.c - the chunks of a streamed chat completion, put together.
 * Text goes on at once; a tool call when all its pieces are there. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "proxy/sse.h"
#include "proxy/upstream.h"

struct partial_call {
    struct bytes id, name, arguments;
};

struct upstream_reader {
    struct llm_events events;
    struct sse sse;
    struct partial_call calls[CHAT_TOOL_CALLS_MAX];
    int call_count;
    bool done; /* [DONE] was read */
    bool finished;
    enum llm_finish finish;
    struct llm_usage usage;
};

enum {
    CALL_ID_BYTES_MAX = 256,
    CALL_NAME_BYTES_MAX = 128,
    CALL_ARGUMENT_BYTES_MAX = 1 << 20
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
    sse_clear(&r->sse);
    free(r);
}

void upstream_reader_mute(struct upstream_reader *r) {
    r->events.on_text = NULL;
    r->events.on_tool_call = NULL;
}

static bool append(struct bytes *b, const cJSON *json, struct err *err) {
    if (!cJSON_IsString(json)) return true;
    return bytes_append(b, json->valuestring, strlen(json->valuestring), err);
}

static bool call_delta(struct upstream_reader *r, const cJSON *json,
                       struct err *err) {
    const cJSON *function = cJSON_GetObjectItemCaseSensitive(json, "function");
    int64_t index = r->call_count ? r->call_count - 1 : 0;
    struct partial_call *call;

    if (!json_get_int(json, "tool_calls", "index", 0, CHAT_TOOL_CALLS_MAX - 1,
                      &index, err))
        return false;
    if (index > r->call_count)
        return err_set(err, ERR_IO, "upstream: tool call %d out of order",
                       (int)index);
    call = &r->calls[index];
    if (index == r->call_count) {
        call->id.limit = CALL_ID_BYTES_MAX;
        call->name.limit = CALL_NAME_BYTES_MAX;
        call->arguments.limit = CALL_ARGUMENT_BYTES_MAX;
        r->call_count++;
    }
    return append(&call->id, cJSON_GetObjectItemCaseSensitive(json, "id"),
                  err) &&
           append(&call->name,
                  cJSON_GetObjectItemCaseSensitive(function, "name"), err) &&
           append(&call->arguments,
                  cJSON_GetObjectItemCaseSensitive(function, "arguments"), err);
}

static void take_usage(struct upstream_reader *r, const cJSON *usage) {
    const cJSON *details =
        cJSON_GetObjectItemCaseSensitive(usage, "prompt_tokens_details");
    int64_t prompt = 0, completion = 0, cached = 0;

    /* Figures for people: nonsense in them is left out, not an error. */
    if (!json_get_int(usage, "", "prompt_tokens", 0, INT32_MAX, &prompt,
                      NULL) ||
        !json_get_int(usage, "", "completion_tokens", 0, INT32_MAX, &completion,
                      NULL) ||
        !json_get_int(details, "", "cached_tokens", 0, INT32_MAX, &cached,
                      NULL))
        return;
    r->usage = (struct llm_usage){(int)prompt, (int)cached, (int)completion};
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

/* A choice of a chunk, or (a server that does not stream) of a whole answer.
 * Reasoning and refusal texts have no place in the conversation and are
 * dropped here, so they cannot pass unjudged. */
static bool take_choice(struct upstream_reader *r, const cJSON *choice,
                        struct err *err) {
    const cJSON *delta = cJSON_GetObjectItemCaseSensitive(choice, "delta");
    const cJSON *content, *calls, *call, *reason;

    if (!delta) delta = cJSON_GetObjectItemCaseSensitive(choice, "message");
    content = cJSON_GetObjectItemCaseSensitive(delta, "content");
    if (cJSON_IsString(content) && *content->valuestring && r->events.on_text)
        r->events.on_text(r->events.user, span_of(content->valuestring), NULL,
                          0);
    calls = cJSON_GetObjectItemCaseSensitive(delta, "tool_calls");
    cJSON_ArrayForEach(call, calls) {
        if (!call_delta(r, call, err)) return false;
    }
    reason = cJSON_GetObjectItemCaseSensitive(choice, "finish_reason");
    if (cJSON_IsString(reason)) take_finish(r, reason->valuestring);
    return true;
}

static bool take_data(void *user, struct span data, struct err *err) {
    struct upstream_reader *r = user;
    const cJSON *choices, *error, *usage;
    cJSON *json;
    bool ok = true;

    if (r->done) return true;
    if (span_is(data, "[DONE]")) {
        r->done = true;
        return true;
    }
    json = json_parse(data, err);
    if (!json) {
        err->code = ERR_IO;
        return false;
    }
    error = cJSON_GetObjectItemCaseSensitive(json, "error");
    usage = cJSON_GetObjectItemCaseSensitive(json, "usage");
    if (cJSON_IsObject(usage)) take_usage(r, usage);
    choices = cJSON_GetObjectItemCaseSensitive(json, "choices");
    if (error && !cJSON_IsNull(error))
        ok = err_set(err, ERR_IO, "the upstream reported an error");
    else if (cJSON_GetArraySize(choices) > 1)
        ok = err_set(err, ERR_IO, "upstream: more than one choice");
    else if (cJSON_GetArraySize(choices) == 1)
        ok = take_choice(r, choices->child, err);
    cJSON_Delete(json);
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
    cJSON *json;
    bool object;

    if (call->name.size == 0)
        return err_set(err, ERR_IO, "upstream: a tool call without a name");
    if (call->arguments.size == 0) bytes_puts(&call->arguments, "{}");
    json = json_parse(span_bytes(&call->arguments), &inner);
    object = cJSON_IsObject(json);
    cJSON_Delete(json);
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
