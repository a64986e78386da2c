/* fuzz_dialect_anthropic.c - a client's body, through everything that reads it
 * before the guard does. */
#include <stddef.h>
#include <stdint.h>

#include "proxy/dialect.h"
#include "proxy/fields.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct arena *arena = arena_new(8 << 20);
    struct err err = {0};
    cJSON *body = json_parse((struct span){(const char *)data, size}, &err);
    struct chat_request r;
    struct field *fields;
    int count;

    chat_request_init(&r, arena);
    if (body && dialect_anthropic.parse(body, &r, &err) &&
        fields_collect(&r, &fields, &count, &err))
        for (int i = 0; i < count; i++)
            if (fields[i].text.size == 0) __builtin_trap();
    cJSON_Delete(body);
    arena_free(arena);
    return 0;
}
