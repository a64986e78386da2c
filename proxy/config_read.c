#include "proxy/config_read.h"

#include <stdlib.h>
#include <string.h>

#include "proxy/config.h"

enum { TEXT_MAX = 4096 };

void config_clear_list(char **list, int *count) {
    for (int i = 0; i < *count; i++) free(list[i]);
    *count = 0;
}

/* One value each. Null stands for "as by default". */

bool config_unset(const cJSON *node) {
    return !node || cJSON_IsNull(node);
}

const cJSON *config_get(const cJSON *object, const char *key) {
    return cJSON_GetObjectItemCaseSensitive(object, key);
}

bool config_read_int(const struct config_source *s, const cJSON *object,
                     const char *key, int64_t least, int64_t most,
                     int64_t *out) {
    const cJSON *node = config_get(object, key);

    if (config_unset(node)) return true;
    if (!cJSON_IsNumber(node) || node->valuedouble < (double)least ||
        node->valuedouble > (double)most ||
        node->valuedouble != (double)(int64_t)node->valuedouble)
        return yaml_fail(s->yaml, node, s->err,
                         "%s must be a whole number from %lld to %lld", key,
                         (long long)least, (long long)most);
    *out = (int64_t)node->valuedouble;
    return true;
}

bool config_read_small(const struct config_source *s, const cJSON *object,
                       const char *key, int least, int most, int *out) {
    int64_t value = *out;

    if (!config_read_int(s, object, key, least, most, &value)) return false;
    *out = (int)value;
    return true;
}

bool config_read_bool(const struct config_source *s, const cJSON *object,
                      const char *key, bool *out) {
    const cJSON *node = config_get(object, key);

    if (config_unset(node)) return true;
    if (!cJSON_IsBool(node))
        return yaml_fail(s->yaml, node, s->err, "%s must be true or false",
                         key);
    *out = cJSON_IsTrue(node) != 0;
    return true;
}

bool config_check_text(const struct config_source *s, const cJSON *node,
                       const char *key) {
    if (cJSON_IsString(node) && node->valuestring[0] &&
        strlen(node->valuestring) <= TEXT_MAX)
        return true;
    return yaml_fail(s->yaml, node, s->err,
                     "%s must be a text that is not empty", key);
}

bool config_read_text(const struct config_source *s, const cJSON *object,
                      const char *key, char **out) {
    const cJSON *node = config_get(object, key);

    if (config_unset(node)) return true;
    if (!config_check_text(s, node, key)) return false;
    config_set_string(out, node->valuestring);
    return true;
}

bool config_read_path(const struct config_source *s, const cJSON *object,
                      const char *key, char **out) {
    const char *slash = strrchr(s->name, '/');
    struct bytes path = {0};
    char *text = NULL;

    if (!config_read_text(s, object, key, &text)) return false;
    if (!text) return true;
    if (text[0] != '/' && slash)
        bytes_put(&path, (struct span){s->name, (size_t)(slash - s->name) + 1});
    bytes_puts(&path, text);
    free(text);
    free(*out);
    *out = span_dup(span_bytes(&path));
    bytes_free(&path);
    return true;
}

bool config_read_list(const struct config_source *s, const cJSON *object,
                      const char *key, char **out, int max, int *count) {
    const cJSON *list = config_get(object, key), *node;

    if (config_unset(list)) return true;
    if (!cJSON_IsArray(list))
        return yaml_fail(s->yaml, list, s->err, "%s must be a list", key);
    config_clear_list(out, count);
    cJSON_ArrayForEach(node, list) {
        if (!config_check_text(s, node, key)) return false;
        for (int i = 0; i < *count; i++)
            if (!strcmp(out[i], node->valuestring))
                return yaml_fail(s->yaml, node, s->err,
                                 "\"%.64s\" is there twice", node->valuestring);
        if (*count == max)
            return yaml_fail(s->yaml, node, s->err, "more than %d %s", max,
                             key);
        out[(*count)++] = xstrdup(node->valuestring);
    }
    return true;
}

bool config_read_map(const struct config_source *s, const cJSON *object,
                     const char *key, const char *const *keys,
                     const cJSON **out) {
    const cJSON *node = config_get(object, key);

    *out = NULL;
    if (config_unset(node)) return true;
    if (!cJSON_IsObject(node))
        return yaml_fail(s->yaml, node, s->err, "%s must be a map", key);
    *out = node;
    return yaml_only_keys(s->yaml, node, keys, s->err);
}
