#include "base/json.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"

enum { KEYS_FEW = 16 };

/* Whether a byte means nothing in a JSON string but itself: of those that are
 * read, and of those that we write, where DEL and what is not ASCII is looked
 * at closer. */
enum plain { PLAIN_READ = 1, PLAIN_WRITTEN = 2 };

#define TIMES_8(x) x, x, x, x, x, x, x, x
static const unsigned char plain[256] = {
    TIMES_8(0), TIMES_8(0), TIMES_8(0), TIMES_8(0), 3,          3,
    0,          3,          3,          3,          3,          3,
    TIMES_8(3), TIMES_8(3), TIMES_8(3), TIMES_8(3), TIMES_8(3), TIMES_8(3),
    3,          3,          3,          3,          0,          3,
    3,          3,          TIMES_8(3), TIMES_8(3), TIMES_8(3), 3,
    3,          3,          3,          3,          3,          3,
    1,          TIMES_8(1), TIMES_8(1), TIMES_8(1), TIMES_8(1), TIMES_8(1),
    TIMES_8(1), TIMES_8(1), TIMES_8(1), TIMES_8(1), TIMES_8(1), TIMES_8(1),
    TIMES_8(1), TIMES_8(1), TIMES_8(1), TIMES_8(1), TIMES_8(1)};

static size_t plain_run(struct span s, size_t at, enum plain which) {
    size_t end = at;

    while (end < s.size && (plain[(unsigned char)s.at[end]] & which)) end++;
    return end - at;
}

/* cJSON recurses, keeps the first of two equal keys, ends a string at \u0000
 * and takes any control character for a blank, or for text in a string. So
 * the text is looked through before it sees it. */
static bool scan(struct span text, struct err *err) {
    bool in_string = false;
    int depth = 0;

    for (size_t i = 0; i < text.size; i++) {
        char c = text.at[i];

        if (in_string) {
            i += plain_run(text, i, PLAIN_READ);
            if (i == text.size) break;
            c = text.at[i];
        }
        if (c == '\0') return err_set(err, ERR_INPUT, "NUL byte in JSON");
        if ((unsigned char)c < ' ' && (in_string || !strchr("\t\r\n", c)))
            return err_set(err, ERR_INPUT, "control character in JSON");
        if (in_string) {
            if (c == '"') in_string = false;
            if (c != '\\') continue;
            if (text.size - i >= 6 && !memcmp(text.at + i, "\\u0000", 6))
                return err_set(err, ERR_INPUT, "\\u0000 in a JSON string");
            i++;
        } else if (c == '"') {
            in_string = true;
        } else if (c == '{' || c == '[') {
            if (++depth > JSON_DEPTH_MAX)
                return err_set(err, ERR_LIMIT, "JSON deeper than %d",
                               JSON_DEPTH_MAX);
        } else if (c == '}' || c == ']') {
            depth--;
        }
    }
    return true;
}

static int compare_names(const void *a, const void *b) {
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Two parsers may take different ones of two equal keys; what was judged must
 * be what is used, so neither is taken. Sorting keeps this from being
 * quadratic in a hostile object's size. */
static bool many_differ(const cJSON *object, size_t count, struct err *err) {
    size_t i = 0;
    const char **names;
    const cJSON *child;
    bool ok = true;

    names = xalloc_array(count, sizeof *names);
    cJSON_ArrayForEach(child, object) names[i++] = child->string;
    qsort(names, count, sizeof *names, compare_names);
    for (i = 1; i < count && ok; i++)
        if (!strcmp(names[i - 1], names[i]))
            ok = err_set(err, ERR_INPUT, "duplicate key \"%.64s\"", names[i]);
    free(names);
    return ok;
}

/* For a few keys sorting costs more than it saves. */
static bool keys_differ(const cJSON *object, struct err *err) {
    size_t count = 0;
    const cJSON *child, *before;

    cJSON_ArrayForEach(child, object) {
        if (++count > KEYS_FEW)
            return many_differ(object, (size_t)cJSON_GetArraySize(object), err);
        for (before = object->child; before != child; before = before->next)
            if (!strcmp(before->string, child->string))
                return err_set(err, ERR_INPUT, "duplicate key \"%.64s\"",
                               child->string);
    }
    return true;
}

static bool tree_check(const cJSON *json, struct err *err) {
    const cJSON *child;

    if (cJSON_IsObject(json) && !keys_differ(json, err)) return false;
    cJSON_ArrayForEach(child, json) if (!tree_check(child, err)) return false;
    return true;
}

cJSON *json_parse(struct span text, struct err *err) {
    const char *end = NULL;
    cJSON *json = NULL;

    if (text.size == 0) {
        (void)err_set(err, ERR_INPUT, "empty, expected JSON");
        return NULL;
    }
    if (!utf8_valid(text)) {
        (void)err_set(err, ERR_INPUT, "JSON is not valid UTF-8");
        return NULL;
    }
    if (!scan(text, err)) return NULL;
    json = cJSON_ParseWithLengthOpts(text.at, text.size, &end, 0);
    if (!json) {
        (void)err_set(err, ERR_INPUT, "not JSON, at byte %zu",
                      end ? (size_t)(end - text.at) : 0);
        return NULL;
    }
    while (end < text.at + text.size && strchr(" \t\r\n", *end)) end++;
    if (end != text.at + text.size)
        (void)err_set(err, ERR_INPUT, "text after the JSON, at byte %zu",
                      (size_t)(end - text.at));
    else if (tree_check(json, err))
        return json;
    cJSON_Delete(json);
    return NULL;
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
        size_t run = plain_run(s, at, PLAIN_WRITTEN);
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

/* NULL when the key is absent or null. */
static const cJSON *find(const cJSON *object, const char *key) {
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, key);

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
