/* policy_custom.c - a policy's own categories for a Llama Guard. */
#include <stdlib.h>
#include <string.h>

#include "guard/policy_reader.h"
#include "guard/policy_types.h"

enum { NAME_MAX_BYTES = 64, TEXT_MAX_BYTES = 2048 };

void policy_custom_clear(struct policy_check *c) {
    for (int i = 0; i < c->check.custom_count; i++) {
        free((void *)(uintptr_t)c->custom[i].name); /* ours */
        free((void *)(uintptr_t)c->custom[i].text);
    }
    free(c->custom);
    c->custom = NULL;
    c->check.custom = NULL;
    c->check.custom_count = 0;
}

/* One line, or several: it goes into a prompt, whose fences it must not have.
 */
static bool read_words(struct reader *r, const cJSON *node, const char *what,
                       size_t most, bool lines, const char **out) {
    const char *text = cJSON_IsString(node) ? node->valuestring : "";

    if (!*text || strlen(text) > most)
        return FAIL(r, node, "%s must be a text of 1 to %zu bytes", what, most);
    if (strchr(text, '<') || (!lines && strpbrk(text, "\r\n")))
        return FAIL(r, node, "%s must not have a < %s", what,
                    lines ? "in it" : "or a line break in it");
    *out = xstrdup(text);
    return true;
}

static bool read_one(struct reader *r, const cJSON *node,
                     struct policy_category *out) {
    static const char *const keys[] = {"name", "text", "level", NULL};
    const cJSON *name, *text, *level;

    if (!cJSON_IsObject(node))
        return FAIL(r, node, "a category of its own must be a mapping");
    if (!yaml_only_keys(r->yaml, node, keys, r->err)) return false;
    name = cJSON_GetObjectItemCaseSensitive(node, "name");
    text = cJSON_GetObjectItemCaseSensitive(node, "text");
    level = cJSON_GetObjectItemCaseSensitive(node, "level");
    out->level = LEVEL_BALANCED;
    return read_words(r, name ? name : node, "name", NAME_MAX_BYTES, false,
                      &out->name) &&
           (!text ||
            read_words(r, text, "text", TEXT_MAX_BYTES, true, &out->text)) &&
           (!level || reader_level(r, level, &out->level));
}

bool policy_read_custom(struct reader *r, const cJSON *node,
                        struct policy_check *c) {
    const cJSON *item;
    int taken = 0;

    if (!node) return true;
    if (!cJSON_IsArray(node) || !node->child)
        return FAIL(r, node, "custom must be a list of {name, text, level}");
    if (c->check.model != GUARD_MODEL_FULL)
        return FAIL(r, node, "custom categories need model: full");
    for (int i = 0; i < r->policy->check_count; i++)
        taken += r->policy->checks[i].check.custom_count;
    c->custom = xalloc_array(POLICY_CUSTOM_MAX, sizeof *c->custom);
    c->check.custom = c->custom;
    cJSON_ArrayForEach(item, node) {
        if (taken++ == POLICY_CUSTOM_MAX)
            return FAIL(r, item, "more than %d custom categories",
                        POLICY_CUSTOM_MAX);
        c->check.custom_count++; /* cleared even when it is half read */
        if (!read_one(r, item, &c->custom[c->check.custom_count - 1]))
            return false;
    }
    return true;
}
