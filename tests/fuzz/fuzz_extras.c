/* fuzz_extras.c - what goes to an upstream although Corral does not know it:
 * nothing that could become the prompt, and no text that is not judged. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "proxy/extras.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const known[] = {"model", "messages", NULL};
/* Texts of these are names of OpenAI's, which no model reads. */
static const char *const labels[] = {"user",
                                     "service_tier",
                                     "reasoning_effort",
                                     "verbosity",
                                     "safety_identifier",
                                     "prompt_cache_key",
                                     "store",
                                     "prompt_cache_retention",
                                     "chat_template",
                                     "messages",
                                     NULL};

static bool is_label(const char *name) {
    for (size_t i = 0; labels[i]; i++)
        if (!strcasecmp(name, labels[i])) return true;
    return false;
}

static void check_judged(const cJSON *json, struct span judged) {
    const cJSON *child;

    if (cJSON_IsString(json) &&
        span_find(judged, span_of(json->valuestring)) == SIZE_MAX)
        abort();
    cJSON_ArrayForEach(child, json) {
        if (span_find(judged, span_of(child->string)) == SIZE_MAX) abort();
        check_judged(child, judged);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    cJSON *body = json_parse((struct span){(const char *)data, size}, NULL);
    struct arena *arena;
    struct chat_request r;

    if (!body) return 0;
    arena = arena_new(1 << 20);
    chat_request_init(&r, arena);
    if (cJSON_IsObject(body) && extras_collect(body, known, &r, NULL)) {
        if (r.extra_count > EXTRAS_MAX) abort();
        for (int i = 0; i < r.extra_count; i++) {
            const char *name = r.extras[i]->string;

            if (!strcasecmp(name, "chat_template") ||
                !strcasecmp(name, "prompt") || !strcasecmp(name, "messages"))
                abort();
            if (!is_label(name)) check_judged(r.extras[i], r.extra_text);
        }
    }
    arena_free(arena);
    cJSON_Delete(body);
    return 0;
}
