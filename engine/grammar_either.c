/* anyOf and oneOf. The keywords beside them hold for each alternative. A value
 * must be valid for one only of oneOf's, which a grammar cannot see to: the
 * alternatives must be shown to have no value in common. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/grammar_schema.h"

/* ---- have two schemas a value in common? ---- */

/* May a value of this type be valid for the schema, by its `type` alone? */
static bool may_be(const cJSON *schema, const char *type) {
    const cJSON *types = schema_get(schema, "type"), *item;

    if (!types) return true;
    if (cJSON_IsString(types)) return schema_is(types, type);
    cJSON_ArrayForEach(item, types) {
        if (schema_is(item, type)) return true;
    }
    return false;
}

/* The values that a schema names one by one, or NULL. */
static const cJSON *named_values(const cJSON *schema, bool *list) {
    const cJSON *one = schema_get(schema, "const");

    *list = !one;
    return one ? one : schema_get(schema, "enum");
}

static bool share_value(struct compiler *c, const cJSON *a, const cJSON *b) {
    bool a_list, b_list;
    const cJSON *as = named_values(a, &a_list), *bs = named_values(b, &b_list);

    if (!as && !bs) return true;
    for (const cJSON *x = a_list && as ? as->child : as; x || !as;
         x = a_list ? x->next : NULL) {
        if (!as) {
            /* Only b names values: those of a type that a may have. */
            for (const cJSON *y = b_list ? bs->child : bs; y;
                 y = b_list ? y->next : NULL)
                if (schema_has_type(y, schema_get(a, "type"))) return true;
            return false;
        }
        if (!bs) {
            if (schema_has_type(x, schema_get(b, "type"))) return true;
            continue;
        }
        for (const cJSON *y = b_list ? bs->child : bs; y;
             y = b_list ? y->next : NULL)
            if (c->compares++ > SCHEMA_COMPARES_MAX ||
                cJSON_Compare(x, y, true))
                return true;
    }
    return false;
}

static bool requires(const cJSON *schema, const char *name) {
    const cJSON *required = schema_get(schema, "required"), *item;

    cJSON_ArrayForEach(item, required) {
        if (schema_is(item, name)) return true;
    }
    return false;
}

static bool forbids(const cJSON *schema, const char *name) {
    const cJSON *property = schema_get(schema_get(schema, "properties"), name);

    if (property) return cJSON_IsFalse(property);
    return cJSON_IsFalse(schema_get(schema, "additionalProperties"));
}

/* By a property that both require and name the values of, or that one
 * requires and the other cannot have. */
static bool disjoint_objects(struct compiler *c, const cJSON *a,
                             const cJSON *b) {
    const cJSON *property, *item;

    cJSON_ArrayForEach(item, schema_get(a, "required")) {
        if (cJSON_IsString(item) && forbids(b, item->valuestring)) return true;
    }
    cJSON_ArrayForEach(item, schema_get(b, "required")) {
        if (cJSON_IsString(item) && forbids(a, item->valuestring)) return true;
    }
    cJSON_ArrayForEach(property, schema_get(a, "properties")) {
        const char *name = property->string;
        const cJSON *other = schema_get(schema_get(b, "properties"), name);

        if (other && requires(a, name) && requires(b, name) &&
            cJSON_IsObject(property) && cJSON_IsObject(other) &&
            (schema_get(property, "const") || schema_get(property, "enum")) &&
            !share_value(c, property, other))
            return true;
    }
    return false;
}

/* A schema without a reference or an allOf at its head; NULL on an error. */
static const cJSON *flat(struct compiler *c, const cJSON *schema) {
    if (schema_get(schema, "$ref") || schema_get(schema, "allOf"))
        return schema_merged(c, schema);
    return schema;
}

/* Surely no value is valid for both: by type, by the values that they name,
 * or by what they say of objects. */
static bool disjoint(struct compiler *c, const cJSON *a, const cJSON *b) {
    static const char *const types[] = {"string", "boolean", "null", "array",
                                        NULL};
    bool common = (may_be(a, "integer") || may_be(a, "number")) &&
                  (may_be(b, "integer") || may_be(b, "number"));

    for (const char *const *type = types; *type; type++)
        common |= may_be(a, *type) && may_be(b, *type);
    if (!share_value(c, a, b)) return true;
    if (common) return false;
    return !may_be(a, "object") || !may_be(b, "object") ||
           disjoint_objects(c, a, b);
}

/* 1: yes, 0: perhaps not, -1: an error. */
static int all_disjoint(struct compiler *c, const cJSON *list) {
    const cJSON *flats[SCHEMA_ALTERNATIVES_MAX], *item;
    int count = 0;

    cJSON_ArrayForEach(item, list) {
        flats[count] = flat(c, item);
        if (!flats[count++]) return -1;
    }
    for (int i = 0; i < count; i++)
        for (int k = i + 1; k < count; k++)
            if (!disjoint(c, flats[i], flats[k])) return 0;
    return 1;
}

/* ---- the alternatives ---- */

static bool has_siblings(const cJSON *schema, const char *key) {
    for (const cJSON *k = schema->child; k; k = k->next)
        if (strcmp(k->string, key) && schema_asserts(k->string)) return true;
    return false;
}

/* {key: [{allOf: [the keywords beside key, an alternative]}, ...]} */
static const cJSON *distributed(struct compiler *c, const cJSON *schema,
                                const char *key, const cJSON *list) {
    cJSON *made = cJSON_CreateObject();
    cJSON *ways = cJSON_AddArrayToObject(made, key), *base = NULL;
    const cJSON *item;

    base = cJSON_CreateObject();
    for (const cJSON *k = schema->child; k; k = k->next)
        if (strcmp(k->string, key) && schema_asserts(k->string))
            cJSON_AddItemToObject(base, k->string, cJSON_Duplicate(k, true));
    cJSON_ArrayForEach(item, list) {
        cJSON *way = cJSON_CreateObject();
        cJSON *both = cJSON_AddArrayToObject(way, "allOf");

        cJSON_AddItemToArray(both, cJSON_Duplicate(base, true));
        cJSON_AddItemToArray(both, cJSON_Duplicate(item, true));
        cJSON_AddItemToArray(ways, way);
    }
    cJSON_Delete(base);
    return schema_keep(c, made);
}

int schema_either(struct compiler *c, const cJSON *schema, const char *key,
                  int next) {
    const cJSON *list = schema_get(schema, key), *item;
    int node = -1, index = 0;

    if (!cJSON_IsArray(list) || !list->child)
        return schema_fail(c, ERR_INPUT, key, "not a list of schemas");
    if (cJSON_GetArraySize(list) > SCHEMA_ALTERNATIVES_MAX)
        return schema_fail(c, ERR_LIMIT, key, "too many");
    if (has_siblings(schema, key)) {
        const cJSON *made = distributed(c, schema, key, list);

        return made ? schema_value(c, made, "", next) : -1;
    }
    if (!strcmp(key, "oneOf")) {
        int apart = all_disjoint(c, list);

        if (apart < 0) return -1;
        if (!apart)
            return schema_fail(c, ERR_UNSUPPORTED, key,
                               "a value could be valid for two of these");
    }
    cJSON_ArrayForEach(item, list) {
        char name[24];
        int way;

        (void)snprintf(name, sizeof name, "%s[%d]", key, index++);
        way = schema_value(c, item, name, next);
        if (way < 0) return -1;
        node = node < 0 ? way : graph_fork(c->graph, way, node);
    }
    return node;
}
