#include "proxy/extras.h"

#include <string.h>
#include <strings.h>

#include "proxy/fields.h"

static bool in_list(const char *const *list, const char *name) {
    /* Some servers read names in any case. */
    for (; *list; list++)
        if (!strcasecmp(*list, name)) return true;
    return false;
}

/* What makes the prompt, or another request, out of its value: no text that
 * could be judged, and no business of a client's. */
static bool is_barred(const char *name) {
    static const char *const barred[] = {"chat_template",
                                         "chat_template_kwargs",
                                         "prompt",
                                         "prompt_embeds",
                                         "prompt_token_ids",
                                         "input_ids",
                                         "extra_body",
                                         "extra_headers",
                                         "extra_query",
                                         "api_key",
                                         "api_base",
                                         "base_url",
                                         "custom_llm_provider",
                                         NULL};

    return in_list(barred, name);
}

/* A name that all servers read alike: no letter that some take for another. */
static bool is_plain(const char *name) {
    static const char plain[] = "abcdefghijklmnopqrstuvwxyz"
                                "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.";

    return *name && strspn(name, plain) == strlen(name);
}

/* OpenAI's own that no model reads; the classifier need not either. */
static bool is_label(const char *name) {
    static const char *const labels[] = {
        "user",      "service_tier",           "reasoning_effort",
        "verbosity", "safety_identifier",      "prompt_cache_key",
        "store",     "prompt_cache_retention", NULL};

    return in_list(labels, name);
}

/* Long lists of them could be a prompt's tokens. */
static int count_numbers(const cJSON *json) {
    const cJSON *child;
    int count = cJSON_IsNumber(json) ? 1 : 0;

    cJSON_ArrayForEach(child, json) {
        count += count_numbers(child);
    }
    return count;
}

static bool keep(const cJSON *json, struct chat_request *out,
                 struct bytes *text, struct err *err) {
    if (out->extra_count == EXTRAS_MAX)
        return err_set(err, ERR_LIMIT, "more than %d unknown members",
                       EXTRAS_MAX);
    out->extras[out->extra_count++] = json;
    return is_label(json->string) || fields_json_text(json, text, err);
}

bool extras_collect(const cJSON *body, const char *const *known,
                    struct chat_request *out, struct err *err) {
    struct bytes text = {0};
    const cJSON *json;
    bool ok;

    out->extras = arena_alloc(out->arena, EXTRAS_MAX, sizeof *out->extras, err);
    ok = out->extras != NULL;
    cJSON_ArrayForEach(json, body) {
        if (!ok || in_list(known, json->string) || !is_plain(json->string) ||
            is_barred(json->string) || count_numbers(json) > EXTRA_NUMBERS_MAX)
            continue;
        ok = keep(json, out, &text, err);
    }
    ok = ok && arena_copy(out->arena, span_bytes(&text), &out->extra_text, err);
    bytes_free(&text);
    return ok;
}
