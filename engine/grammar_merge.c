/* One schema for all that must fit: an allOf, a $ref, the keywords beside
 * them. What cannot be said in one schema is refused. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "engine/grammar_schema.h"

enum {
    PARTS_MAX = 256,
    NESTING_MAX = 32,
    WAYS_MAX = 32 /* of two anyOf together: each is a copy of both */
};

struct merge {
    struct compiler *c;
    cJSON *out;
    int parts;
    int depth;
};

/* ---- schemas of our own ---- */

const cJSON *schema_keep(struct compiler *c, cJSON *made) {
    char *text = cJSON_PrintUnformatted(made);
    size_t size = text ? strlen(text) : 0;

    for (int i = 0; text && i < c->made_count; i++)
        if (!strcmp(c->made[i].text, text)) {
            cJSON_free(text);
            cJSON_Delete(made);
            return c->made[i].schema;
        }
    if (!text || size > SCHEMA_MADE_BYTES_MAX - c->made_bytes) {
        schema_fail(c, ERR_LIMIT, "", "too much to merge");
        cJSON_free(text);
        cJSON_Delete(made);
        return NULL;
    }
    c->made =
        xrealloc_array(c->made, (size_t)c->made_count + 1, sizeof *c->made);
    c->made[c->made_count++] = (struct made_schema){made, text};
    c->made_bytes += size;
    return made;
}

bool schema_asserts(const char *key) {
    static const char *const keys[] = {"type",
                                       "enum",
                                       "const",
                                       "properties",
                                       "required",
                                       "additionalProperties",
                                       "minProperties",
                                       "maxProperties",
                                       "items",
                                       "prefixItems",
                                       "minItems",
                                       "maxItems",
                                       "uniqueItems",
                                       "minLength",
                                       "maxLength",
                                       "pattern",
                                       "format",
                                       "minimum",
                                       "maximum",
                                       "multipleOf",
                                       "exclusiveMinimum",
                                       "anyOf",
                                       "oneOf",
                                       "exclusiveMaximum",
                                       "allOf",
                                       "$ref",
                                       "additionalItems",
                                       "not",
                                       "if",
                                       "then",
                                       "else",
                                       "contains",
                                       "minContains",
                                       "maxContains",
                                       "dependencies",
                                       "patternProperties",
                                       "propertyNames",
                                       "$dynamicRef",
                                       "dependentRequired",
                                       "$recursiveRef",
                                       "dependentSchemas",
                                       "unevaluatedItems",
                                       "unevaluatedProperties"};

    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
        if (!strcmp(keys[i], key)) return true;
    return false;
}

/* ---- one keyword ---- */

static bool differs(struct merge *m, const char *key) {
    schema_fail(m->c, ERR_UNSUPPORTED, key,
                "differs between schemas that must all fit");
    return false;
}

static void set(struct merge *m, const char *key, cJSON *value) {
    cJSON_DeleteItemFromObjectCaseSensitive(m->out, key);
    cJSON_AddItemToObject(m->out, key, value);
}

/* A schema for both; NULL is any value. Owned by the caller. */
static cJSON *both(const cJSON *a, const cJSON *b) {
    cJSON *made, *list;

    if (cJSON_IsFalse(a) || cJSON_IsFalse(b)) return cJSON_CreateFalse();
    if (!a || cJSON_IsTrue(a))
        return b ? cJSON_Duplicate(b, true) : cJSON_CreateTrue();
    if (!b || cJSON_IsTrue(b) || cJSON_Compare(a, b, true))
        return cJSON_Duplicate(a, true);
    made = cJSON_CreateObject();
    list = cJSON_AddArrayToObject(made, "allOf");
    cJSON_AddItemToArray(list, cJSON_Duplicate(a, true));
    cJSON_AddItemToArray(list, cJSON_Duplicate(b, true));
    return made;
}

static bool in_types(const cJSON *types, const char *type) {
    const cJSON *item;

    if (cJSON_IsString(types)) return !strcmp(types->valuestring, type);
    cJSON_ArrayForEach(item, types) {
        if (schema_is(item, type)) return true;
    }
    return false;
}

static bool merge_type(struct merge *m, const cJSON *have, const cJSON *more) {
    static const char *const types[] = {
        "object", "array", "string", "number", "integer", "boolean", "null"};
    cJSON *list = cJSON_CreateArray();

    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        bool whole = !strcmp(types[i], "integer");
        bool a = in_types(have, types[i]), b = in_types(more, types[i]);

        /* An integer is a number: but where both take numbers, that is said. */
        if (whole && in_types(have, "number") && in_types(more, "number"))
            continue;
        a |= whole && in_types(have, "number");
        b |= whole && in_types(more, "number");
        if (a && b) cJSON_AddItemToArray(list, cJSON_CreateString(types[i]));
    }
    if (!list->child) {
        cJSON_Delete(list);
        schema_fail(m->c, ERR_INPUT, "type", "no type fits all");
        return false;
    }
    set(m, "type", list);
    return true;
}

/* The values that are on both lists. */
static bool merge_enum(struct merge *m, const cJSON *have, const cJSON *more) {
    cJSON *list = cJSON_CreateArray();
    const cJSON *a, *b;

    cJSON_ArrayForEach(a, have) {
        cJSON_ArrayForEach(b, more) {
            if (m->c->compares++ > SCHEMA_COMPARES_MAX) break;
            if (!cJSON_Compare(a, b, true)) continue;
            cJSON_AddItemToArray(list, cJSON_Duplicate(a, true));
            break;
        }
    }
    set(m, "enum", list);
    return true;
}

/* The stricter of two limits. */
static bool merge_limit(struct merge *m, const char *key, const cJSON *have,
                        const cJSON *more, bool greater) {
    if (!cJSON_IsNumber(have) || !cJSON_IsNumber(more)) {
        schema_fail(m->c, ERR_INPUT, key, "not a number");
        return false;
    }
    if (greater ? more->valuedouble > have->valuedouble
                : more->valuedouble < have->valuedouble)
        set(m, key, cJSON_Duplicate(more, true));
    return true;
}

static bool merge_step(struct merge *m, const cJSON *have, const cJSON *more) {
    double a = cJSON_GetNumberValue(have), b = cJSON_GetNumberValue(more);
    double x = a, y = b;

    if (!(a >= 1 && a <= 1e6 && floor(a) == a) ||
        !(b >= 1 && b <= 1e6 && floor(b) == b))
        return differs(m, "multipleOf");
    while (y > 0) {
        double rest = fmod(x, y);

        x = y;
        y = rest;
    }
    set(m, "multipleOf", cJSON_CreateNumber(a / x * b));
    return true;
}

/* A list of patterns, which only a merged schema may have. */
static void merge_pattern(struct merge *m, const cJSON *have,
                          const cJSON *more) {
    cJSON *list =
        cJSON_IsArray(have) ? cJSON_Duplicate(have, true) : cJSON_CreateArray();

    if (!cJSON_IsArray(have))
        cJSON_AddItemToArray(list, cJSON_Duplicate(have, true));
    cJSON_AddItemToArray(list, cJSON_Duplicate(more, true));
    set(m, "pattern", list);
}

/* Each alternative of one with each of the other. */
static bool merge_either(struct merge *m, const cJSON *have,
                         const cJSON *more) {
    int count = cJSON_GetArraySize(have) * cJSON_GetArraySize(more);
    cJSON *list;
    const cJSON *a, *b;

    if (count > WAYS_MAX)
        return schema_fail(m->c, ERR_LIMIT, "anyOf", "too many together") > 0;
    list = cJSON_CreateArray();
    cJSON_ArrayForEach(a, have) {
        cJSON_ArrayForEach(b, more) cJSON_AddItemToArray(list, both(a, b));
    }
    set(m, "anyOf", list);
    return true;
}

static bool starts_with(const char *key, const char *start) {
    return !strncmp(key, start, strlen(start));
}

static bool merge_keyword(struct merge *m, const char *key, const cJSON *more) {
    const cJSON *have = schema_get(m->out, key);

    if (!have) {
        cJSON_AddItemToObject(m->out, key, cJSON_Duplicate(more, true));
        return true;
    }
    if (cJSON_Compare(have, more, true)) return true;
    if (!strcmp(key, "type")) return merge_type(m, have, more);
    if (!strcmp(key, "enum")) return merge_enum(m, have, more);
    if (!strcmp(key, "multipleOf")) return merge_step(m, have, more);
    if (!strcmp(key, "anyOf")) return merge_either(m, have, more);
    if (starts_with(key, "min") || !strcmp(key, "exclusiveMinimum"))
        return merge_limit(m, key, have, more, true);
    if (starts_with(key, "max") || !strcmp(key, "exclusiveMaximum"))
        return merge_limit(m, key, have, more, false);
    if (!strcmp(key, "pattern")) {
        merge_pattern(m, have, more);
        return true;
    }
    if (!strcmp(key, "uniqueItems")) {
        set(m, key, cJSON_CreateTrue());
        return true;
    }
    if (!strcmp(key, "items") && !cJSON_IsArray(have) && !cJSON_IsArray(more) &&
        !schema_get(m->out, "prefixItems")) {
        set(m, key, both(have, more));
        return true;
    }
    return differs(m, key);
}

/* ---- objects ---- */

static bool merge_required(struct merge *m, const cJSON *more) {
    cJSON *have = cJSON_GetObjectItemCaseSensitive(m->out, "required");
    const cJSON *item;

    if (!cJSON_IsArray(more)) {
        schema_fail(m->c, ERR_INPUT, "required", "not a list");
        return false;
    }
    if (!have) have = cJSON_AddArrayToObject(m->out, "required");
    cJSON_ArrayForEach(item, more) {
        bool there = false;
        const cJSON *other;

        cJSON_ArrayForEach(other, have) {
            there |=
                cJSON_IsString(item) && schema_is(other, item->valuestring);
        }
        if (!there) cJSON_AddItemToArray(have, cJSON_Duplicate(item, true));
        if (cJSON_GetArraySize(have) > SCHEMA_PROPERTIES_MAX)
            return schema_fail(m->c, ERR_LIMIT, "required", "too many") > 0;
    }
    return true;
}

/* Each schema says of each property what it declares of it, else what it says
 * of properties that it does not declare. */
static bool merge_object(struct merge *m, const cJSON *part) {
    const cJSON *have = schema_get(m->out, "properties"), *item;
    const cJSON *more = schema_get(part, "properties");
    const cJSON *have_rest = schema_get(m->out, "additionalProperties");
    const cJSON *more_rest = schema_get(part, "additionalProperties");
    cJSON *properties;

    if (!more && !more_rest) return true;
    if (more && !cJSON_IsObject(more))
        return schema_fail(m->c, ERR_INPUT, "properties", "not an object") > 0;
    properties = cJSON_CreateObject();
    cJSON_ArrayForEach(item, have) {
        const cJSON *other = schema_get(more, item->string);

        cJSON_AddItemToObject(properties, item->string,
                              both(item, other ? other : more_rest));
    }
    cJSON_ArrayForEach(item, more) {
        if (!schema_get(have, item->string))
            cJSON_AddItemToObject(properties, item->string,
                                  both(have_rest, item));
    }
    if (have_rest || more_rest)
        set(m, "additionalProperties", both(have_rest, more_rest));
    set(m, "properties", properties);
    return true;
}

/* ---- all parts ---- */

static bool add(struct merge *m, const cJSON *schema);

static bool add_const(struct merge *m, const cJSON *value) {
    cJSON *list = cJSON_CreateArray();
    bool ok;

    cJSON_AddItemToArray(list, cJSON_Duplicate(value, true));
    ok = merge_keyword(m, "enum", list);
    cJSON_Delete(list);
    return ok;
}

static bool add_all(struct merge *m, const cJSON *list) {
    const cJSON *item;

    if (!cJSON_IsArray(list) || !list->child)
        return schema_fail(m->c, ERR_INPUT, "allOf", "not a list of schemas") >
               0;
    cJSON_ArrayForEach(item, list) {
        if (!add(m, item)) return false;
    }
    return true;
}

static bool add_keyword(struct merge *m, const cJSON *keyword) {
    const char *key = keyword->string;

    if (!strcmp(key, "$ref")) {
        const cJSON *target = schema_resolve(m->c, keyword);

        return target && add(m, target);
    }
    if (!strcmp(key, "allOf")) return add_all(m, keyword);
    if (!strcmp(key, "const")) return add_const(m, keyword);
    if (!strcmp(key, "required")) return merge_required(m, keyword);
    if (!strcmp(key, "properties") || !strcmp(key, "additionalProperties") ||
        !schema_asserts(key))
        return true;
    return merge_keyword(m, key, keyword);
}

static bool add(struct merge *m, const cJSON *schema) {
    bool ok = true;

    if (cJSON_IsTrue(schema)) return true;
    if (!cJSON_IsObject(schema))
        return schema_fail(m->c, ERR_UNSUPPORTED, "",
                           "not a schema that has a value") > 0;
    if (m->depth == NESTING_MAX || m->parts++ == PARTS_MAX)
        return schema_fail(m->c, ERR_LIMIT, "allOf",
                           "refers to itself, or has too many parts") > 0;
    m->depth++;
    for (const cJSON *k = schema->child; k && ok; k = k->next)
        ok = add_keyword(m, k);
    m->depth--;
    return ok && merge_object(m, schema);
}

const cJSON *schema_merged(struct compiler *c, const cJSON *schema) {
    struct merge m = {.c = c, .out = cJSON_CreateObject()};

    if (add(&m, schema)) return schema_keep(c, m.out);
    cJSON_Delete(m.out);
    return NULL;
}
