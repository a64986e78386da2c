/* fuzz_upstream.c - the chunks of a hostile upstream. */
#include <stddef.h>
#include <stdint.h>

#include "proxy/upstream.h"

static void on_text(void *user, struct span text, const int *tokens,
                    int token_count) {
    (void)user;
    (void)tokens;
    (void)token_count;
    if (text.size == 0) __builtin_trap();
}

static void on_logprobs(void *user, const struct llm_logprob *list, int count) {
    size_t sum = 0;

    (void)user;
    for (int i = 0; i < count; i++) {
        if (list[i].top_count > LOGPROBS_TOP_MAX) __builtin_trap();
        for (size_t b = 0; b < list[i].text.size; b++)
            sum += (unsigned char)list[i].text.at[b];
        for (int t = 0; t < list[i].top_count; t++)
            for (size_t b = 0; b < list[i].top[t].text.size; b++)
                sum += (unsigned char)list[i].top[t].text.at[b];
    }
    if (sum == SIZE_MAX) __builtin_trap();
}

static void on_tool_call(void *user, const struct chat_tool_call *call) {
    struct err err;
    cJSON *json = json_parse(call->arguments, &err);

    (void)user;
    if (!cJSON_IsObject(json) || !call->name.size) __builtin_trap();
    cJSON_Delete(json);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct llm_events events = {.on_text = on_text,
                                .on_logprobs = on_logprobs,
                                .on_tool_call = on_tool_call};
    struct upstream_reader *r = upstream_reader_new(&events);
    struct llm_end end = {0};
    struct err err = {0};

    if (upstream_reader_feed(r, (struct span){(const char *)data, size}, &err))
        (void)!upstream_reader_finish(r, &end, &err);
    upstream_reader_free(r);
    return 0;
}
