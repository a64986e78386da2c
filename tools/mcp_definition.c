#include "tools/mcp_definition.h"

#include <string.h>

static bool put_line(const char *text, struct bytes *out, struct err *err) {
    return !text || !*text ||
           (bytes_append(out, text, strlen(text), err) &&
            bytes_append(out, "\n", 1, err));
}

/* Keys whose values come from a fixed list, or lead elsewhere in the schema. */
static bool is_keyword(const char *key) {
    static const char *const keys[] = {"type", "format", "$schema", "$ref"};

    for (size_t i = 0; key && i < sizeof keys / sizeof *keys; i++)
        if (!strcmp(key, keys[i])) return true;
    return false;
}

/* `names`: the keys here are the tool's own words. JSON is nested to a limit,
 * so this ends. */
static bool put_schema(const cJSON *node, bool names, struct bytes *out,
                       struct err *err) {
    const cJSON *child;

    cJSON_ArrayForEach(child, node) {
        const char *key = child->string;
        bool own =
            !names && key &&
            (!strcmp(key, "properties") || !strcmp(key, "$defs") ||
             !strcmp(key, "definitions") || !strcmp(key, "patternProperties"));

        if (names && !put_line(key, out, err)) return false;
        if (cJSON_IsString(child)) {
            if ((names || !is_keyword(key)) &&
                !put_line(child->valuestring, out, err))
                return false;
        } else if (!put_schema(child, own, out, err)) {
            return false;
        }
    }
    return true;
}

bool mcp_definition_text(const cJSON *definition, struct bytes *out,
                         struct err *err) {
    static const char *const keys[] = {"name", "title", "description"};

    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        const cJSON *text =
            cJSON_GetObjectItemCaseSensitive(definition, keys[i]);

        if (cJSON_IsString(text) && !put_line(text->valuestring, out, err))
            return false;
    }
    return put_schema(
        cJSON_GetObjectItemCaseSensitive(definition, "inputSchema"), false, out,
        err);
}
