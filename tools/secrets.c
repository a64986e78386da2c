#include "tools/secrets.h"

#include <stdlib.h>
#include <string.h>

static bool put_variable(const struct tool_options *o, const cJSON *node,
                         struct span name, struct bytes *out, struct err *err) {
    char *text = span_dup(name);
    const char *value = getenv(text);

    free(text);
    if (!value || !*value)
        return option_fail(o, node, err, "the variable %.*s is not set",
                           name.size > 64 ? 64 : (int)name.size, name.at);
    if (strpbrk(value, "\r\n"))
        return option_fail(o, node, err, "the variable %.*s has a line break",
                           name.size > 64 ? 64 : (int)name.size, name.at);
    bytes_puts(out, value);
    return true;
}

bool secret_text(const struct tool_options *o, const cJSON *node,
                 struct bytes *out, struct err *err) {
    const char *at, *open;

    if (!cJSON_IsString(node) || strpbrk(node->valuestring, "\r\n"))
        return option_fail(o, node, err, "this must be a text of one line");
    at = node->valuestring;
    while ((open = strstr(at, "${"))) {
        size_t size = strcspn(open + 2, "}");

        if (!open[2 + size])
            return option_fail(o, node, err, "a ${ without its }");
        bytes_put(out, (struct span){at, (size_t)(open - at)});
        if (!put_variable(o, node, (struct span){open + 2, size}, out, err))
            return false;
        at = open + 3 + size;
    }
    bytes_puts(out, at);
    return true;
}

bool headers_by_options(const struct tool_options *o, struct fetch_header *out,
                        int count_max, int *count, struct err *err) {
    const cJSON *map = option_get(o, "headers");
    const cJSON *item;

    if (map && !cJSON_IsObject(map))
        return option_fail(o, map, err, "headers must be a map");
    cJSON_ArrayForEach(item, map) {
        struct bytes value = {0};
        bool ok;

        if (!*item->string || strpbrk(item->string, " :\r\n"))
            return option_fail(o, item, err, "this is no header");
        if (*count == count_max)
            return option_fail(o, item, err, "more than %d headers", count_max);
        ok = secret_text(o, item, &value, err);
        if (ok)
            out[(*count)++] = (struct fetch_header){
                xstrdup(item->string), span_dup(span_bytes(&value))};
        bytes_free(&value);
        if (!ok) return false;
    }
    return true;
}

void headers_clear(struct fetch_header *headers, int count) {
    for (int i = 0; i < count; i++) {
        free((void *)(uintptr_t)headers[i].name);
        free((void *)(uintptr_t)headers[i].value);
    }
}
