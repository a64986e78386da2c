#include "tools/schema.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/utf8.h"

enum { SCHEMA_DEPTH_MAX = JSON_DEPTH_MAX };

static const char *const annotations[] = {
    "title",  "description", "default", "examples",   "$schema", "$id",
    "format", "$comment",    "strict",  "deprecated", "readOnly"};

static const cJSON *get(const cJSON *object, const char *key) {
    return cJSON_GetObjectItemCaseSensitive(object, key);
}

/* ---- is it a schema ---- */

static bool bad(struct err *err, enum err_code code, const char *path,
                const char *reason) {
    return err_set_field(err, code, path, "%s: %s", *path ? path : "schema",
                         reason);
}

static bool type_known(const cJSON *name) {
    static const char *const names[] = {
        "object", "array", "string", "number", "integer", "boolean", "null"};

    for (size_t i = 0; cJSON_IsString(name) && i < sizeof names / sizeof *names;
         i++)
        if (!strcmp(name->valuestring, names[i])) return true;
    return false;
}

static bool check(const cJSON *schema, const char *path, int depth,
                  struct err *err);

static bool check_list(const cJSON *list, const char *path, int depth,
                       struct err *err) {
    const cJSON *child;
    int index = 0;

    if (!cJSON_IsArray(list) && !cJSON_IsObject(list))
        return bad(err, ERR_INPUT, path, "expected schemas");
    cJSON_ArrayForEach(child, list) {
        char name[ERR_FIELD_MAX];

        if (child->string)
            (void)snprintf(name, sizeof name, "%.40s.%.40s", path,
                           child->string);
        else
            (void)snprintf(name, sizeof name, "%.80s[%d]", path, index++);
        if (!check(child, name, depth, err)) return false;
    }
    return true;
}

static bool check_type(const cJSON *type, const char *path, struct err *err) {
    const cJSON *child;

    if (type_known(type)) return true;
    if (!cJSON_IsArray(type) || !type->child)
        return bad(err, ERR_INPUT, path, "unknown type");
    cJSON_ArrayForEach(child, type) if (!type_known(child)) return bad(
        err, ERR_INPUT, path, "unknown type");
    return true;
}

static bool is_annotation(const char *key) {
    for (size_t i = 0; i < sizeof annotations / sizeof *annotations; i++)
        if (!strcmp(key, annotations[i])) return true;
    return false;
}

static bool check_keyword(const cJSON *item, const char *path, int depth,
                          struct err *err) {
    static const char *const counts[] = {"minItems", "maxItems", "minLength",
                                         "maxLength"};
    const char *key = item->string;
    const cJSON *child;

    if (!strcmp(key, "type")) return check_type(item, path, err);
    if (!strcmp(key, "properties"))
        return cJSON_IsObject(item) ? check_list(item, path, depth, err)
                                    : bad(err, ERR_INPUT, path, "no object");
    if (!strcmp(key, "anyOf") || !strcmp(key, "oneOf"))
        return cJSON_IsArray(item) && item->child
                   ? check_list(item, path, depth, err)
                   : bad(err, ERR_INPUT, path, "expected a list of schemas");
    if (!strcmp(key, "items") || !strcmp(key, "additionalProperties"))
        return check(item, path, depth, err);
    if (!strcmp(key, "required")) {
        cJSON_ArrayForEach(child, item) if (!cJSON_IsString(child)) return bad(
            err, ERR_INPUT, path, "expected names");
        return cJSON_IsArray(item) ||
               bad(err, ERR_INPUT, path, "expected a list of names");
    }
    if (!strcmp(key, "enum"))
        return (cJSON_IsArray(item) && item->child) ||
               bad(err, ERR_INPUT, path, "expected a list");
    if (!strcmp(key, "const") || is_annotation(key)) return true;
    if (!strcmp(key, "minimum") || !strcmp(key, "maximum"))
        return cJSON_IsNumber(item) ||
               bad(err, ERR_INPUT, path, "expected a number");
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
        if (!strcmp(key, counts[i]))
            return (cJSON_IsNumber(item) && item->valuedouble >= 0) ||
                   bad(err, ERR_INPUT, path, "expected a count");
    return bad(err, ERR_UNSUPPORTED, path, "this keyword is not supported");
}

static bool check(const cJSON *schema, const char *path, int depth,
                  struct err *err) {
    const cJSON *item;

    if (cJSON_IsBool(schema)) return true;
    if (!cJSON_IsObject(schema))
        return bad(err, ERR_INPUT, path, "a schema is an object");
    if (depth >= SCHEMA_DEPTH_MAX) return bad(err, ERR_LIMIT, path, "too deep");
    cJSON_ArrayForEach(item, schema) {
        char name[ERR_FIELD_MAX];

        (void)snprintf(name, sizeof name, "%.50s%s%.40s", path,
                       *path ? "." : "", item->string);
        if (!check_keyword(item, name, depth + 1, err)) return false;
    }
    return true;
}

bool schema_check(const cJSON *schema, struct err *err) {
    return check(schema, "", 0, err);
}

/* ---- is a value valid ---- */

static bool is_type(const char *name, const cJSON *value) {
    if (!strcmp(name, "object")) return cJSON_IsObject(value);
    if (!strcmp(name, "array")) return cJSON_IsArray(value);
    if (!strcmp(name, "string")) return cJSON_IsString(value);
    if (!strcmp(name, "number")) return cJSON_IsNumber(value);
    if (!strcmp(name, "boolean")) return cJSON_IsBool(value);
    if (!strcmp(name, "null")) return cJSON_IsNull(value);
    return cJSON_IsNumber(value) &&
           fabs(value->valuedouble - floor(value->valuedouble)) <= 0;
}

static bool type_matches(const cJSON *type, const cJSON *value) {
    const cJSON *child;

    if (!type) return true;
    if (cJSON_IsString(type)) return is_type(type->valuestring, value);
    cJSON_ArrayForEach(
        child, type) if (is_type(child->valuestring, value)) return true;
    return false;
}

static bool wrong(struct err *err, const char *path, const char *reason) {
    return err_set_field(err, ERR_INPUT, path, "%s: %s",
                         *path ? path : "arguments", reason);
}

static bool validate(const cJSON *schema, const cJSON *value, const char *path,
                     struct err *err);

static bool number_fits(const cJSON *schema, const cJSON *value,
                        const char *path, struct err *err) {
    const cJSON *least = get(schema, "minimum"), *most = get(schema, "maximum");

    if (least && value->valuedouble < least->valuedouble)
        return wrong(err, path, "too small");
    if (most && value->valuedouble > most->valuedouble)
        return wrong(err, path, "too large");
    return true;
}

static bool count_fits(const cJSON *schema, const char *least_key,
                       const char *most_key, size_t count, const char *path,
                       struct err *err) {
    const cJSON *least = get(schema, least_key), *most = get(schema, most_key);

    if (least && (double)count < least->valuedouble)
        return wrong(err, path, "too short");
    if (most && (double)count > most->valuedouble)
        return wrong(err, path, "too long");
    return true;
}

static size_t points(struct span s) {
    size_t count = 0;
    uint32_t point;

    for (; s.size; count++)
        s = span_slice(s, utf8_decode(s, &point, NULL), s.size);
    return count;
}

static bool items_fit(const cJSON *schema, const cJSON *value, const char *path,
                      struct err *err) {
    const cJSON *items = get(schema, "items"), *child;
    int index = 0;

    if (!count_fits(schema, "minItems", "maxItems",
                    (size_t)cJSON_GetArraySize(value), path, err))
        return false;
    if (!items) return true;
    cJSON_ArrayForEach(child, value) {
        char name[ERR_FIELD_MAX];

        (void)snprintf(name, sizeof name, "%.80s[%d]", path, index++);
        if (!validate(items, child, name, err)) return false;
    }
    return true;
}

/* A schema that says nothing about properties, as of a function without
 * parameters, takes any; one that lists some takes only those. */
static bool extra_fits(const cJSON *schema, const cJSON *value,
                       const char *path, struct err *err) {
    const cJSON *extra = get(schema, "additionalProperties");

    if (!extra && !get(schema, "properties")) return true;
    if (!extra || cJSON_IsFalse(extra))
        return wrong(err, path, "there is no such argument");
    return validate(extra, value, path, err);
}

static bool properties_fit(const cJSON *schema, const cJSON *value,
                           const char *path, struct err *err) {
    const cJSON *properties = get(schema, "properties"), *child;
    char name[ERR_FIELD_MAX];

    cJSON_ArrayForEach(child, get(schema, "required")) {
        if (get(value, child->valuestring)) continue;
        (void)snprintf(name, sizeof name, "%.50s%s%.40s", path,
                       *path ? "." : "", child->valuestring);
        return wrong(err, name, "missing");
    }
    cJSON_ArrayForEach(child, value) {
        const cJSON *declared = get(properties, child->string);

        (void)snprintf(name, sizeof name, "%.50s%s%.40s", path,
                       *path ? "." : "", child->string);
        if (declared ? !validate(declared, child, name, err)
                     : !extra_fits(schema, child, name, err))
            return false;
    }
    return true;
}

static bool choices_fit(const cJSON *schema, const cJSON *value,
                        const char *path, struct err *err) {
    static const char *const keys[] = {"anyOf", "oneOf"};
    const cJSON *list = get(schema, "enum"), *fixed = get(schema, "const");
    const cJSON *child;
    bool found = !list;

    cJSON_ArrayForEach(child, list) found |= cJSON_Compare(child, value, true);
    if (!found) return wrong(err, path, "not one of the values allowed");
    if (fixed && !cJSON_Compare(fixed, value, true))
        return wrong(err, path, "not the value expected");
    for (int i = 0; i < 2; i++) {
        const cJSON *any = get(schema, keys[i]);
        int matches = 0;

        if (!any) continue;
        cJSON_ArrayForEach(child, any) matches +=
            validate(child, value, path, NULL);
        if (matches == 0 || (i == 1 && matches > 1))
            return wrong(err, path, "not one of the forms allowed");
    }
    return true;
}

static bool validate(const cJSON *schema, const cJSON *value, const char *path,
                     struct err *err) {
    if (cJSON_IsTrue(schema)) return true;
    if (cJSON_IsFalse(schema)) return wrong(err, path, "not allowed");
    if (!type_matches(get(schema, "type"), value))
        return wrong(err, path, "of the wrong type");
    if (!choices_fit(schema, value, path, err)) return false;
    if (cJSON_IsNumber(value)) return number_fits(schema, value, path, err);
    if (cJSON_IsString(value))
        return count_fits(schema, "minLength", "maxLength",
                          points(span_of(value->valuestring)), path, err);
    if (cJSON_IsArray(value)) return items_fit(schema, value, path, err);
    if (cJSON_IsObject(value)) return properties_fit(schema, value, path, err);
    return true;
}

bool schema_validate(const cJSON *schema, const cJSON *value, struct err *err) {
    return schema_check(schema, err) && validate(schema, value, "", err);
}
