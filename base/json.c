#include "base/json.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"

/* How many bytes from `at` on mean nothing in a JSON string but themselves;
 * what is not ASCII is looked at closer. */
static size_t plain_run(struct span s, size_t at) {
    size_t end = at;

    while (end < s.size && s.at[end] >= ' ' && s.at[end] < 0x7F &&
           s.at[end] != '"' && s.at[end] != '\\')
        end++;
    return end - at;
}

cJSON *json_parse(struct span text, struct err *err) {
    const cJSON *read = json_read(text, err);
    cJSON *json = NULL;

    if (!read) return NULL;
    json = cJSON_Duplicate(read, true);
    if (!json) (void)err_set(err, ERR_LIMIT, "JSON too large to keep");
    json_free(read);
    return json;
}

bool json_print(const cJSON *json, struct bytes *out, struct err *err) {
    char *text = cJSON_PrintUnformatted(json);
    bool ok;

    if (!text) return err_set(err, ERR_LIMIT, "JSON too large to print");
    ok = bytes_append(out, text, strlen(text), err);
    free(text);
    return ok;
}

static bool put_escaped(struct bytes *out, uint32_t point, struct err *err) {
    char escape[8];
    size_t size;

    if (point == '"' || point == '\\') {
        escape[0] = '\\';
        escape[1] = (char)point;
        size = 2;
    } else if (point == '\n' || point == '\r' || point == '\t') {
        escape[0] = '\\';
        escape[1] = point == '\n' ? 'n' : point == '\r' ? 'r' : 't';
        size = 2;
    } else if (point < 0x20 || point == 0x7F) {
        size = (size_t)snprintf(escape, sizeof escape, "\\u%04x", point);
    } else {
        size = utf8_encode(point, escape);
    }
    return bytes_append(out, escape, size, err);
}

bool json_put_string(struct bytes *out, struct span s, struct err *err) {
    size_t at = 0;

    if (!bytes_append(out, "\"", 1, err)) return false;
    while (at < s.size) {
        size_t run = plain_run(s, at);
        uint32_t point;

        if (run && !bytes_append(out, s.at + at, run, err)) return false;
        at += run;
        if (at == s.size) break;
        at += utf8_decode(span_slice(s, at, s.size), &point, NULL);
        if (!put_escaped(out, point, err)) return false;
    }
    return bytes_append(out, "\"", 1, err);
}

static void name_field(char out[ERR_FIELD_MAX], const char *path,
                       const char *key) {
    (void)snprintf(out, ERR_FIELD_MAX, "%s%s%s", path, *path ? "." : "", key);
}

const cJSON *json_field(const cJSON *object, const char *key) {
    const cJSON *item = cJSON_IsObject(object) ? object->child : NULL;

    while (item && (*item->string != *key || strcmp(item->string, key) != 0))
        item = item->next;
    return item;
}

/* NULL when the key is absent or null. */
static const cJSON *find(const cJSON *object, const char *key) {
    const cJSON *item = json_field(object, key);

    return cJSON_IsNull(item) ? NULL : item;
}

static bool wrong(struct err *err, const char *path, const char *key,
                  const char *expected) {
    char field[ERR_FIELD_MAX];

    name_field(field, path, key);
    return err_set_field(err, ERR_INPUT, field, "%s: expected %s", field,
                         expected);
}

bool json_get_bool(const cJSON *object, const char *path, const char *key,
                   bool *out, struct err *err) {
    const cJSON *item = find(object, key);

    if (!item) return true;
    if (!cJSON_IsBool(item)) return wrong(err, path, key, "true or false");
    *out = cJSON_IsTrue(item);
    return true;
}

bool json_get_number(const cJSON *object, const char *path, const char *key,
                     double least, double most, double *out, struct err *err) {
    const cJSON *item = find(object, key);
    char expected[80];

    if (!item) return true;
    if (!cJSON_IsNumber(item) || !isfinite(item->valuedouble) ||
        item->valuedouble < least || item->valuedouble > most) {
        (void)snprintf(expected, sizeof expected, "a number from %g to %g",
                       least, most);
        return wrong(err, path, key, expected);
    }
    *out = item->valuedouble;
    return true;
}

/* Doubles hold whole numbers exactly up to 2^53 only. */
static bool is_whole(const cJSON *item, int64_t least, int64_t most) {
    double value = item->valuedouble;

    return cJSON_IsNumber(item) && value >= -9007199254740992.0 &&
           value <= 9007199254740992.0 && value == floor(value) &&
           (int64_t)value >= least && (int64_t)value <= most;
}

bool json_get_int(const cJSON *object, const char *path, const char *key,
                  int64_t least, int64_t most, int64_t *out, struct err *err) {
    const cJSON *item = find(object, key);
    char expected[96];

    if (!item) return true;
    if (!is_whole(item, least, most)) {
        (void)snprintf(expected, sizeof expected,
                       "a whole number from %lld to %lld", (long long)least,
                       (long long)most);
        return wrong(err, path, key, expected);
    }
    *out = (int64_t)item->valuedouble;
    return true;
}

bool json_get_string(const cJSON *object, const char *path, const char *key,
                     const char **out, struct err *err) {
    const cJSON *item = find(object, key);

    if (!item) return true;
    if (!cJSON_IsString(item)) return wrong(err, path, key, "a string");
    *out = item->valuestring;
    return true;
}

bool json_only_keys(const cJSON *object, const char *path,
                    const char *const *keys, struct err *err) {
    const cJSON *child;

    /* The items of a list have no names to look at. */
    if (object && !cJSON_IsObject(object))
        return err_set_field(err, ERR_INPUT, path, "%s%sexpected an object",
                             path, *path ? ": " : "");
    cJSON_ArrayForEach(child, object) {
        char field[ERR_FIELD_MAX];
        size_t i = 0;

        while (keys[i] && strcmp(keys[i], child->string) != 0) i++;
        if (keys[i]) continue;
        name_field(field, path, child->string);
        return err_set_field(err, ERR_INPUT, field, "%s: unknown key", field);
    }
    return true;
}
