/* fuzz_toolcall.c - model text is never taken for a call that it is not: what
 * is read names a declared tool and has a JSON object as its arguments. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "agent/toolcall.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static cJSON any = {.type = cJSON_Object};
    struct chat_tool tools[] = {
        {.name = {"calculator", 10}, .schema = &any},
        {.name = {"time", 4}, .schema = &any},
    };
    struct chat_tool_call calls[4];
    struct chat_request r;
    struct arena *arena = arena_new(1 << 20);
    enum template_kind kind = TEMPLATE_CHATML;
    int count = 0;

    chat_request_init(&r, arena);
    r.tools = tools;
    r.tool_count = 2;
    if (size && data[0] & 1) kind = TEMPLATE_LLAMA3;
    if (size && data[0] & 2) kind = TEMPLATE_LLAMA3_PYTHON;
    if (size && toolcall_parse(kind, &r,
                               (struct span){(const char *)data + 1, size - 1},
                               arena, calls, 4, &count, NULL)) {
        if (count < 1 || count > 4) abort();
        for (int i = 0; i < count; i++) {
            cJSON *json = json_parse(calls[i].arguments, NULL);

            if (!cJSON_IsObject(json)) abort();
            if (!span_is(calls[i].name, "calculator") &&
                !span_is(calls[i].name, "time"))
                abort();
            cJSON_Delete(json);
        }
    }
    arena_free(arena);
    return 0;
}
