/* fuzz_dialect_openai.c - a client's body, through everything that reads it
 * before the guard does. */
#include <stddef.h>
#include <stdint.h>

#include "proxy/dialect.h"
#include "proxy/fields.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void parse(const struct dialect *dialect, const cJSON *body) {
    struct arena *arena = arena_new(8 << 20);
    struct err err = {0};
    struct chat_request r;
    struct field *fields;
    int count;

    chat_request_init(&r, arena);
    if (dialect->parse(body, &r, &err) &&
        fields_collect(&r, &fields, &count, &err))
        for (int i = 0; i < count; i++)
            if (fields[i].text.size == 0) __builtin_trap();
    arena_free(arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct err err = {0};
    cJSON *body = json_parse((struct span){(const char *)data, size}, &err);

    if (body) {
        parse(&dialect_openai, body);
        parse(&dialect_completions, body);
        parse(&dialect_responses, body);
    }
    cJSON_Delete(body);
    return 0;
}
