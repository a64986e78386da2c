/* enum and const: the texts of the values that the keywords beside them let
 * stand. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "engine/grammar_schema.h"

/* ---- does a value fit the other keywords? ---- */

static bool has_type(const cJSON *v, const char *type) {
    if (!strcmp(type, "string")) return cJSON_IsString(v);
    if (!strcmp(type, "integer"))
        return cJSON_IsNumber(v) && floor(v->valuedouble) == v->valuedouble;
    if (!strcmp(type, "number")) return cJSON_IsNumber(v);
    if (!strcmp(type, "boolean")) return cJSON_IsBool(v);
    if (!strcmp(type, "null")) return cJSON_IsNull(v);
    if (!strcmp(type, "array")) return cJSON_IsArray(v);
    return !strcmp(type, "object") && cJSON_IsObject(v);
}

bool schema_has_type(const cJSON *v, const cJSON *type) {
    const cJSON *item;

    if (!type) return true;
    if (cJSON_IsString(type)) return has_type(v, type->valuestring);
    cJSON_ArrayForEach(item, type) {
        if (cJSON_IsString(item) && has_type(v, item->valuestring)) return true;
    }
    return false;
}

static int characters(struct span s) {
    int count = 0;

    while (s.size > 0) {
        uint32_t point;

        s = span_slice(s, utf8_decode(s, &point, NULL), s.size);
        count++;
    }
    return count;
}

/* -1 with an error, 0 for no, 1 for yes. */
static int string_fits(struct compiler *c, const cJSON *schema, const cJSON *v,
                       struct span text) {
    bool free_text;
    int least, most, count;
    struct dfa *d = schema_string_dfa(c, schema, &free_text, &least, &most);

    if (!d && !free_text) return -1;
    if (d) return dfa_matches(d, span_slice(text, 1, text.size));
    count = characters(span_of(v->valuestring));
    return count >= least &&
           (count <= most || !schema_get(schema, "maxLength"));
}

static bool has_any(const cJSON *schema, const char *const *keys) {
    for (; *keys; keys++)
        if (schema_get(schema, *keys)) return true;
    return false;
}

static int number_fits(struct compiler *c, const cJSON *schema,
                       struct span text) {
    static const char *const keys[] = {"minimum",          "maximum",
                                       "exclusiveMinimum", "exclusiveMaximum",
                                       "multipleOf",       NULL};
    struct dfa *d;

    if (!has_any(schema, keys)) return 1;
    d = schema_number_dfa(c, schema, false);
    return d ? dfa_matches(d, text) : -1;
}

/* Of arrays and objects only the type is looked at. */
static int fits(struct compiler *c, const cJSON *schema, const cJSON *v,
                struct span text) {
    static const char *const keys[] = {"properties",
                                       "required",
                                       "additionalProperties",
                                       "minProperties",
                                       "maxProperties",
                                       "items",
                                       "prefixItems",
                                       "minItems",
                                       "maxItems",
                                       "uniqueItems",
                                       NULL};

    if (!schema_has_type(v, schema_get(schema, "type"))) return 0;
    if (cJSON_IsString(v)) return string_fits(c, schema, v, text);
    if (cJSON_IsNumber(v)) return number_fits(c, schema, text);
    if ((cJSON_IsArray(v) || cJSON_IsObject(v)) && has_any(schema, keys))
        return schema_fail(c, ERR_UNSUPPORTED, "enum",
                           "arrays or objects beside keywords about them");
    return 1;
}

/* ---- their texts ---- */

struct texts {
    struct bytes list[SCHEMA_ENUM_MAX];
    int count;
};

static bool is_finite(const cJSON *v) {
    const cJSON *item;

    if (cJSON_IsNumber(v)) return isfinite(v->valuedouble);
    cJSON_ArrayForEach(item, v) {
        if (!is_finite(item)) return false;
    }
    return true;
}

/* Of lists and objects in Python's notation, only those that JSON has too. */
static bool put_value(struct compiler *c, const cJSON *v, struct bytes *text) {
    if (!c->python || cJSON_IsString(v) || cJSON_IsNumber(v))
        return json_print(v, text, c->err);
    if (cJSON_IsArray(v) || cJSON_IsObject(v)) {
        schema_fail(c, ERR_UNSUPPORTED, "enum",
                    "arrays or objects in a call's arguments");
        return false;
    }
    return bytes_printf(text, c->err, "%s",
                        cJSON_IsTrue(v)    ? "True"
                        : cJSON_IsFalse(v) ? "False"
                                           : "None");
}

static bool add_text(struct compiler *c, const cJSON *schema, const cJSON *v,
                     struct texts *texts) {
    struct bytes *text = &texts->list[texts->count];
    int fit;

    if (texts->count == SCHEMA_ENUM_MAX) {
        schema_fail(c, ERR_LIMIT, "enum", "too many values");
        return false;
    }
    if (!is_finite(v)) {
        schema_fail(c, ERR_INPUT, "enum", "a number past all doubles");
        return false;
    }
    *text = (struct bytes){.limit = SCHEMA_STRING_CHARS_MAX};
    texts->count++;
    if (!put_value(c, v, text)) return false;
    fit = fits(c, schema, v, span_bytes(text));
    if (fit == 0) bytes_free(&texts->list[--texts->count]);
    return fit >= 0;
}

static bool add_texts(struct compiler *c, const cJSON *schema,
                      struct texts *texts) {
    const cJSON *one = schema_get(schema, "const"), *item;
    const cJSON *list = schema_get(schema, "enum");
    bool among = !list;

    if (list && !cJSON_IsArray(list)) {
        schema_fail(c, ERR_INPUT, "enum", "not a list");
        return false;
    }
    cJSON_ArrayForEach(item, list) {
        if (one) among |= cJSON_Compare(item, one, true) != 0;
        if (!one && !add_text(c, schema, item, texts)) return false;
    }
    return !one || !among || add_text(c, schema, one, texts);
}

int schema_values(struct compiler *c, const cJSON *schema, int next) {
    struct texts *texts = xalloc(sizeof *texts);
    struct span *spans = NULL;
    int node = -1;

    if (!add_texts(c, schema, texts)) goto out;
    if (texts->count == 0) {
        schema_fail(c, ERR_INPUT, "enum", "no value fits");
        goto out;
    }
    spans = xalloc_array((size_t)texts->count, sizeof *spans);
    for (int i = 0; i < texts->count; i++)
        spans[i] = span_bytes(&texts->list[i]);
    node = graph_choices(c->graph, spans, texts->count, next);

out:
    while (texts->count > 0) bytes_free(&texts->list[--texts->count]);
    free(texts);
    free(spans);
    return node;
}
