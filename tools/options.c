#include "tools/options.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool option_fail(const struct tool_options *o, const cJSON *node,
                 struct err *err, const char *format, ...) {
    char reason[ERR_TEXT_MAX];
    va_list args;

    va_start(args, format);
    (void)vsnprintf(reason, sizeof reason, format, args);
    va_end(args);
    if (!o->yaml)
        return err_set(err, ERR_INPUT, "tool \"%.64s\": %s", o->name, reason);
    return yaml_fail(o->yaml, node ? node : o->place, err, "%.64s: %s", o->name,
                     reason);
}

const cJSON *option_get(const struct tool_options *o, const char *key) {
    const cJSON *node = cJSON_GetObjectItemCaseSensitive(o->map, key);

    return cJSON_IsNull(node) ? NULL : node;
}

bool option_only(const struct tool_options *o, const char *const *keys,
                 struct err *err) {
    const cJSON *child;

    if (o->yaml) return yaml_only_keys(o->yaml, o->map, keys, err);
    cJSON_ArrayForEach(child, o->map) {
        size_t i = 0;

        while (keys[i] && strcmp(keys[i], child->string) != 0) i++;
        if (!keys[i])
            return option_fail(o, child, err, "unknown key \"%.64s\"",
                               child->string);
    }
    return true;
}

bool option_int(const struct tool_options *o, const char *key, int least,
                int most, int *out, struct err *err) {
    const cJSON *node = option_get(o, key);

    if (!node) return true;
    if (!cJSON_IsNumber(node) || node->valuedouble < (double)least ||
        node->valuedouble > (double)most ||
        node->valuedouble != (double)(int)node->valuedouble)
        return option_fail(o, node, err,
                           "%s must be a whole number from %d to %d", key,
                           least, most);
    *out = (int)node->valuedouble;
    return true;
}

bool option_bool(const struct tool_options *o, const char *key, bool *out,
                 struct err *err) {
    const cJSON *node = option_get(o, key);

    if (!node) return true;
    if (!cJSON_IsBool(node))
        return option_fail(o, node, err, "%s must be true or false", key);
    *out = cJSON_IsTrue(node) != 0;
    return true;
}

bool option_text(const struct tool_options *o, const char *key,
                 const char **out, struct err *err) {
    const cJSON *node = option_get(o, key);

    if (!node) return true;
    if (!cJSON_IsString(node) || !node->valuestring[0])
        return option_fail(o, node, err, "%s must be a text that is not empty",
                           key);
    *out = node->valuestring;
    return true;
}

bool option_path(const struct tool_options *o, const char *key, char **out,
                 struct err *err) {
    struct bytes path = {0};
    const char *text = NULL;

    if (!option_text(o, key, &text, err)) return false;
    if (!text) return true;
    if (text[0] != '/' && o->folder && o->folder[0]) {
        bytes_puts(&path, o->folder);
        bytes_puts(&path, "/");
    }
    bytes_puts(&path, text);
    free(*out);
    *out = span_dup(span_bytes(&path));
    bytes_free(&path);
    return true;
}
