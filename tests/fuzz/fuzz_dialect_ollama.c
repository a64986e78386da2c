/* fuzz_dialect_ollama.c - a client's body, read as /api/chat and as
 * /api/generate, through everything that reads it before the guard does; and
 * as a question about a model. */
#include <stddef.h>
#include <stdint.h>

#include "proxy/dialect.h"
#include "proxy/fields.h"
#include "proxy/ollama_models.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_as(const struct dialect *d, const cJSON *body) {
    struct arena *arena = arena_new(8 << 20);
    struct err err = {0};
    struct chat_request r;
    struct field *fields;
    int count;

    chat_request_init(&r, arena);
    if (d->parse(body, &r, &err) && fields_collect(&r, &fields, &count, &err)) {
        for (int i = 0; i < count; i++)
            if (fields[i].text.size == 0) __builtin_trap();
        /* Every result answers something. */
        for (int i = 0; i < r.message_count; i++)
            if (r.messages[i].role == CHAT_TOOL && !r.messages[i].call_id.size)
                __builtin_trap();
    }
    arena_free(arena);
}

static void show(struct span body) {
    struct llm llm = {.name = "m"};
    struct router *router = router_new();
    struct bytes out = {0};
    struct err err = {0};

    if (router_add(router, "m", &llm, &err))
        (void)!ollama_show(router, 7, body, &out, &err);
    bytes_free(&out);
    router_free(router);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct span text = {(const char *)data, size};
    struct err err = {0};
    cJSON *body = json_parse(text, &err);

    if (body) {
        read_as(&dialect_ollama_chat, body);
        read_as(&dialect_ollama_generate, body);
    }
    cJSON_Delete(body);
    show(text);
    return 0;
}
