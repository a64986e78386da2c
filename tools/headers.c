#include "tools/headers.h"

#include <stdlib.h>
#include <string.h>

bool option_line(const struct tool_options *o, const cJSON *node,
                 const char **out, struct err *err) {
    if (!cJSON_IsString(node) || strpbrk(node->valuestring, "\r\n"))
        return option_fail(o, node, err, "this must be a text of one line");
    *out = node->valuestring;
    return true;
}

bool headers_by_options(const struct tool_options *o, struct fetch_header *out,
                        int count_max, int *count, struct err *err) {
    const cJSON *map = option_get(o, "headers");
    const cJSON *item;

    if (map && !cJSON_IsObject(map))
        return option_fail(o, map, err, "headers must be a map");
    cJSON_ArrayForEach(item, map) {
        const char *value = NULL;

        if (!*item->string || strpbrk(item->string, " :\r\n"))
            return option_fail(o, item, err, "this is no header");
        if (*count == count_max)
            return option_fail(o, item, err, "more than %d headers", count_max);
        if (!option_line(o, item, &value, err)) return false;
        out[(*count)++] =
            (struct fetch_header){xstrdup(item->string), xstrdup(value)};
    }
    return true;
}

void headers_clear(struct fetch_header *headers, int count) {
    for (int i = 0; i < count; i++) {
        free((void *)(uintptr_t)headers[i].name);
        free((void *)(uintptr_t)headers[i].value);
    }
}
