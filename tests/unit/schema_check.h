/* schema_check.h - a small JSON Schema validator of the tests' own, on cJSON
 * trees and POSIX regular expressions, that shares nothing with the grammar's
 * compiler. For the keywords that schema_make.h and test_grammar.c use. */
#ifndef CORRAL_TESTS_SCHEMA_CHECK_H
#define CORRAL_TESTS_SCHEMA_CHECK_H

#include <math.h>
#include <regex.h>
#include <string.h>

#include "base/json.h"

static const cJSON *check_get(const cJSON *object, const char *key) {
    return cJSON_GetObjectItemCaseSensitive(object, key);
}

static double check_number(const cJSON *schema, const char *key,
                           double otherwise) {
    const cJSON *item = check_get(schema, key);

    return item ? item->valuedouble : otherwise;
}

static bool schema_valid(const cJSON *root, const cJSON *schema,
                         const cJSON *v);

static bool check_one_type(const char *type, const cJSON *v) {
    if (!strcmp(type, "string")) return cJSON_IsString(v);
    if (!strcmp(type, "number")) return cJSON_IsNumber(v);
    if (!strcmp(type, "integer"))
        return cJSON_IsNumber(v) && floor(v->valuedouble) == v->valuedouble;
    if (!strcmp(type, "boolean")) return cJSON_IsBool(v);
    if (!strcmp(type, "null")) return cJSON_IsNull(v);
    if (!strcmp(type, "array")) return cJSON_IsArray(v);
    return cJSON_IsObject(v);
}

static bool check_type(const cJSON *type, const cJSON *v) {
    bool found = !type;
    const cJSON *item;

    if (cJSON_IsString(type)) return check_one_type(type->valuestring, v);
    cJSON_ArrayForEach(item, type) {
        found |= check_one_type(item->valuestring, v);
    }
    return found;
}

static bool check_object(const cJSON *root, const cJSON *schema,
                         const cJSON *v) {
    const cJSON *item, *more = check_get(schema, "additionalProperties");
    int size = cJSON_GetArraySize(v);

    if (size < check_number(schema, "minProperties", 0) ||
        size > check_number(schema, "maxProperties", 1e9))
        return false;
    cJSON_ArrayForEach(item, check_get(schema, "required")) {
        if (!check_get(v, item->valuestring)) return false;
    }
    cJSON_ArrayForEach(item, v) {
        const cJSON *property =
            check_get(check_get(schema, "properties"), item->string);

        if (!property) property = more;
        if (property && !schema_valid(root, property, item)) return false;
    }
    return true;
}

static bool check_array(const cJSON *root, const cJSON *schema,
                        const cJSON *v) {
    const cJSON *prefix = check_get(schema, "prefixItems"), *item;
    const cJSON *items = check_get(schema, "items");
    int size = cJSON_GetArraySize(v), index = 0;

    if (size < check_number(schema, "minItems", 0) ||
        size > check_number(schema, "maxItems", 1e9))
        return false;
    cJSON_ArrayForEach(item, v) {
        const cJSON *own = cJSON_GetArrayItem(prefix, index++);

        if (!own) own = items;
        if (own && !schema_valid(root, own, item)) return false;
    }
    return true;
}

static bool check_pattern(const char *pattern, const char *text) {
    regex_t compiled;
    bool found;

    if (regcomp(&compiled, pattern, REG_EXTENDED | REG_NOSUB)) return false;
    found = regexec(&compiled, text, 0, NULL, 0) == 0;
    regfree(&compiled);
    return found;
}

static bool check_format(const char *format, const char *text) {
    static const char *const formats[][2] = {
        {"date", "^[0-9]{4}-[0-9]{2}-[0-9]{2}$"},
        {"time", "^[0-9]{2}:[0-9]{2}:[0-9]{2}(\\.[0-9]+)?(Z|[+-][0-9:]{5})$"},
        {"date-time", "^[0-9-]{10}T[0-9:.]{8,15}(Z|[+-][0-9:]{5})$"},
        {"uuid", "^[0-9A-Fa-f-]{36}$"},
        {"email", "^[^@]+@[^@]+\\.[^@]+$"},
        {"ipv4", "^([0-9]{1,3}\\.){3}[0-9]{1,3}$"}};

    for (size_t i = 0; i < sizeof formats / sizeof formats[0]; i++)
        if (!strcmp(formats[i][0], format))
            return check_pattern(formats[i][1], text);
    return true;
}

static bool check_string(const cJSON *schema, const cJSON *v) {
    const cJSON *pattern = check_get(schema, "pattern");
    const cJSON *format = check_get(schema, "format");
    int size = 0;

    for (const char *c = v->valuestring; *c; c++)
        size += ((unsigned char)*c & 0xC0) != 0x80;
    if (size < check_number(schema, "minLength", 0) ||
        size > check_number(schema, "maxLength", 1e9))
        return false;
    if (pattern && !check_pattern(pattern->valuestring, v->valuestring))
        return false;
    return !format || check_format(format->valuestring, v->valuestring);
}

static bool check_limits(const cJSON *schema, const cJSON *v) {
    double x = v->valuedouble, step = check_number(schema, "multipleOf", 0);

    return x >= check_number(schema, "minimum", -1e300) &&
           x <= check_number(schema, "maximum", 1e300) &&
           x > check_number(schema, "exclusiveMinimum", -1e300) &&
           x < check_number(schema, "exclusiveMaximum", 1e300) &&
           (!(step > 0) || fmod(x, step) == 0);
}

static int check_matches(const cJSON *root, const cJSON *list, const cJSON *v) {
    const cJSON *item;
    int count = 0;

    cJSON_ArrayForEach(item, list) count += schema_valid(root, item, v);
    return count;
}

static bool check_named(const cJSON *schema, const cJSON *v) {
    const cJSON *one = check_get(schema, "const"), *item;
    const cJSON *list = check_get(schema, "enum");
    bool named = !list;

    cJSON_ArrayForEach(item, list) {
        named |= cJSON_Compare(item, v, true) != 0;
    }
    return named && (!one || cJSON_Compare(one, v, true));
}

static bool schema_valid(const cJSON *root, const cJSON *schema,
                         const cJSON *v) {
    const cJSON *ref = check_get(schema, "$ref");
    const cJSON *all = check_get(schema, "allOf");

    if (cJSON_IsBool(schema)) return cJSON_IsTrue(schema);
    if (ref) {
        const char *name = strrchr(ref->valuestring, '/');

        if (!schema_valid(
                root,
                name ? check_get(check_get(root, "$defs"), name + 1) : root, v))
            return false;
    }
    if (all && check_matches(root, all, v) != cJSON_GetArraySize(all))
        return false;
    if (check_get(schema, "anyOf") &&
        !check_matches(root, check_get(schema, "anyOf"), v))
        return false;
    if (check_get(schema, "oneOf") &&
        check_matches(root, check_get(schema, "oneOf"), v) != 1)
        return false;
    if (!check_named(schema, v) || !check_type(check_get(schema, "type"), v))
        return false;
    if (cJSON_IsString(v)) return check_string(schema, v);
    if (cJSON_IsNumber(v)) return check_limits(schema, v);
    if (cJSON_IsObject(v)) return check_object(root, schema, v);
    return !cJSON_IsArray(v) || check_array(root, schema, v);
}

#endif
