/* A JSON Schema to a grammar. Every text of the grammar is valid for the
 * schema; not every valid text is in the grammar (properties have an order,
 * numbers and strings a size). A keyword of JSON Schema that is not enforced
 * here is refused, since ignoring it could let an invalid text through; a
 * keyword that JSON Schema does not know says nothing, and is ignored. */
#include "engine/grammar_schema.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- what all parts share ---- */

int schema_fail(struct compiler *c, enum err_code code, const char *key,
                const char *text) {
    char place[ERR_FIELD_MAX + 64];

    (void)snprintf(place, sizeof place, "%s%s%.60s", c->place,
                   *c->place && *key ? "." : "", key);
    err_set_field(c->err, code, place, "schema: %s: %s",
                  *place ? place : "(root)", text);
    return -1;
}

const cJSON *schema_get(const cJSON *schema, const char *key) {
    return cJSON_GetObjectItemCaseSensitive(schema, key);
}

bool schema_is(const cJSON *item, const char *text) {
    return cJSON_IsString(item) && !strcmp(item->valuestring, text);
}

bool schema_whole(struct compiler *c, const cJSON *schema, const char *key,
                  double least, double most, double otherwise, double *out) {
    const cJSON *item = schema_get(schema, key);

    *out = otherwise;
    if (!item) return true;
    if (!cJSON_IsNumber(item) || !(item->valuedouble >= least) ||
        !(item->valuedouble <= most) ||
        floor(item->valuedouble) != item->valuedouble) {
        schema_fail(c, ERR_UNSUPPORTED, key,
                    "not a whole number within the limits");
        return false;
    }
    *out = item->valuedouble;
    return true;
}

int schema_text(struct compiler *c, const char *text, int next) {
    return graph_text(c->graph, span_of(text), next);
}

int schema_word(struct compiler *c, const char *word, int next) {
    if (!c->python) return schema_text(c, word, next);
    return schema_text(c,
                       *word == 't'   ? "True"
                       : *word == 'f' ? "False"
                                      : "None",
                       next);
}

int schema_spaced(struct compiler *c, char mark, int next) {
    int blank = graph_range(c->graph, ' ', ' ', next);

    return graph_range(c->graph, mark, mark, graph_fork(c->graph, next, blank));
}

/* ---- any value ---- */

/* Of every type, as a schema without keywords is for that type. */
static int any_body(struct compiler *c) {
    struct grammar *g = c->graph;
    int end = graph_return(), node, way;

    if (c->any >= 0) return c->any;
    c->any = graph_reserve(g);
    node = graph_fork(g, schema_word(c, "false", end),
                      schema_word(c, "null", end));
    node = graph_fork(g, schema_word(c, "true", end), node);
    if ((way = schema_array(c, NULL, end)) < 0) return -1;
    node = graph_fork(g, way, node);
    if ((way = schema_object(c, NULL, end)) < 0) return -1;
    node = graph_fork(g, way, node);
    if ((way = schema_number(c, NULL, false, end)) < 0) return -1;
    node = graph_fork(g, way, node);
    if ((way = schema_string(c, NULL, end)) < 0) return -1;
    graph_set(g, c->any, graph_fork(g, way, node));
    return c->any;
}

static int any_call(struct compiler *c, int next) {
    int body = any_body(c);

    return body < 0 ? -1 : graph_call(c->graph, body, false, next);
}

/* ---- references ---- */

/* "#" or "#/$defs/name" or "#/definitions/name". */
static const cJSON *target_of(struct compiler *c, const char *ref) {
    static const char *const roots[] = {"$defs", "definitions"};

    if (!strcmp(ref, "#")) return c->root;
    for (size_t i = 0; i < 2; i++) {
        size_t size = strlen(roots[i]);

        if (strncmp(ref, "#/", 2) != 0 ||
            strncmp(ref + 2, roots[i], size) != 0 || ref[2 + size] != '/')
            continue;
        /* Escaped names (~0, ~1, %) are not decoded, so they match nothing
         * unless they are spelled the same. */
        return schema_get(schema_get(c->root, roots[i]), ref + 3 + size);
    }
    return NULL;
}

const cJSON *schema_resolve(struct compiler *c, const cJSON *ref) {
    const cJSON *target = NULL;

    if (!cJSON_IsString(ref)) {
        schema_fail(c, ERR_INPUT, "$ref", "not a string");
        return NULL;
    }
    target = target_of(c, ref->valuestring);
    if (!target)
        schema_fail(c, ERR_UNSUPPORTED, "$ref",
                    "not in #/$defs or #/definitions");
    return target;
}

/* ---- one type ---- */

static int typed(struct compiler *c, const cJSON *schema, const char *type,
                 int next) {
    if (!strcmp(type, "string")) return schema_string(c, schema, next);
    if (!strcmp(type, "integer")) return schema_number(c, schema, true, next);
    if (!strcmp(type, "number")) return schema_number(c, schema, false, next);
    if (!strcmp(type, "boolean"))
        return graph_fork(c->graph, schema_word(c, "true", next),
                          schema_word(c, "false", next));
    if (!strcmp(type, "null")) return schema_word(c, "null", next);
    if (!strcmp(type, "array")) return schema_array(c, schema, next);
    if (!strcmp(type, "object")) return schema_object(c, schema, next);
    return schema_fail(c, ERR_INPUT, "type", "not a type of JSON");
}

/* The type that the keywords are about when `type` is absent. Values of other
 * types would be valid, but are hardly meant. */
static const char *implied_type(const cJSON *schema) {
    static const char *const types[][2] = {
        {"properties", "object"},      {"required", "object"},
        {"minProperties", "object"},   {"additionalProperties", "object"},
        {"maxProperties", "object"},   {"items", "array"},
        {"prefixItems", "array"},      {"minItems", "array"},
        {"maxItems", "array"},         {"uniqueItems", "array"},
        {"minLength", "string"},       {"maxLength", "string"},
        {"pattern", "string"},         {"format", "string"},
        {"minimum", "number"},         {"maximum", "number"},
        {"multipleOf", "number"},      {"exclusiveMinimum", "number"},
        {"exclusiveMaximum", "number"}};

    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
        if (schema_get(schema, types[i][0])) return types[i][1];
    return NULL;
}

static int plain_of(struct compiler *c, const cJSON *schema, int next) {
    const cJSON *type = schema_get(schema, "type"), *item;
    const char *implied = implied_type(schema);
    int node = -1;

    if (!type && implied) return typed(c, schema, implied, next);
    if (!type) return any_call(c, next);
    if (cJSON_IsString(type)) return typed(c, schema, type->valuestring, next);
    if (!cJSON_IsArray(type) || !type->child)
        return schema_fail(c, ERR_INPUT, "type", "not a type");
    cJSON_ArrayForEach(item, type) {
        int way;

        if (!cJSON_IsString(item))
            return schema_fail(c, ERR_INPUT, "type", "not a type");
        way = typed(c, schema, item->valuestring, next);
        if (way < 0) return -1;
        node = node < 0 ? way : graph_fork(c->graph, way, node);
    }
    return node;
}

/* ---- one schema ---- */

static bool refused(struct compiler *c, const cJSON *schema) {
    static const char *const keys[] = {
        "not",           "if",
        "then",          "else",
        "contains",      "minContains",
        "maxContains",   "patternProperties",
        "propertyNames", "dependentRequired",
        "dependencies",  "dependentSchemas",
        "$dynamicRef",   "unevaluatedItems",
        "$recursiveRef", "unevaluatedProperties"};

    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
        if (schema_get(schema, keys[i])) {
            schema_fail(c, ERR_UNSUPPORTED, keys[i], "this is not enforced");
            return true;
        }
    return false;
}

static int assertions_of(const cJSON *schema) {
    int count = 0;

    for (const cJSON *k = schema->child; k; k = k->next)
        count += schema_asserts(k->string);
    return count;
}

static int body_of(struct compiler *c, const cJSON *schema) {
    int end = graph_return();
    const cJSON *ref;

    if (cJSON_IsTrue(schema)) return any_body(c);
    if (!cJSON_IsObject(schema))
        return schema_fail(c, ERR_UNSUPPORTED, "",
                           "not a schema that has a value");
    if (refused(c, schema)) return -1;
    ref = schema_get(schema, "$ref");
    if (ref && assertions_of(schema) == 1) {
        const cJSON *target = schema_resolve(c, ref);

        return target ? schema_value(c, target, "", end) : -1;
    }
    if (ref || schema_get(schema, "allOf")) {
        const cJSON *merged = schema_merged(c, schema);

        return merged ? schema_value(c, merged, "", end) : -1;
    }
    if (schema_get(schema, "anyOf"))
        return schema_either(c, schema, "anyOf", end);
    if (schema_get(schema, "oneOf"))
        return schema_either(c, schema, "oneOf", end);
    if (schema_get(schema, "enum") || schema_get(schema, "const"))
        return schema_values(c, schema, end);
    return plain_of(c, schema, end);
}

static struct rule *rule_of(struct compiler *c, const cJSON *schema) {
    for (int i = 0; i < c->rule_count; i++)
        if (c->rules[i].schema == schema) return &c->rules[i];
    return NULL;
}

/* Whether a schema stands for others without a byte of its own. */
static bool is_transparent(const cJSON *schema) {
    return schema_get(schema, "$ref") || schema_get(schema, "allOf") ||
           schema_get(schema, "anyOf") || schema_get(schema, "oneOf");
}

/* A call of the schema's body, which is made when it is first needed; within
 * itself it is called by the node that was reserved for it. Going round
 * through transparent schemas alone would never take a byte: refused. */
static int rule_call(struct compiler *c, const cJSON *schema, int next) {
    struct rule *rule = rule_of(c, schema);
    bool opaque = !is_transparent(schema);
    int index, body;

    if (rule && rule->open == c->opaque && !opaque)
        return schema_fail(c, ERR_UNSUPPORTED, "$ref", "refers to itself");
    if (rule) return graph_call(c->graph, rule->body, false, next);
    if (c->rule_count == SCHEMA_RULES_MAX)
        return schema_fail(c, ERR_LIMIT, "", "too many schemas");
    if (c->graph->full) return schema_fail(c, ERR_LIMIT, "", "too large");
    index = c->rule_count++;
    c->rules[index] = (struct rule){schema, graph_reserve(c->graph), c->opaque};
    c->opaque += opaque;
    body = body_of(c, schema);
    c->opaque -= opaque;
    c->rules[index].open = -1;
    if (body < 0) return -1;
    graph_set(c->graph, c->rules[index].body, body);
    return graph_call(c->graph, c->rules[index].body, false, next);
}

int schema_value(struct compiler *c, const cJSON *schema, const char *key,
                 int next) {
    size_t size = strlen(c->place);
    int node;

    if (!schema) return any_call(c, next);
    if (c->depth == SCHEMA_DEPTH_MAX)
        return schema_fail(c, ERR_LIMIT, key, "nested too deeply");
    (void)snprintf(c->place + size, sizeof c->place - size, "%s%.60s",
                   size && *key ? "." : "", key);
    c->depth++;
    node = rule_call(c, schema, next);
    c->depth--;
    c->place[size] = 0;
    return node;
}

static void compiler_clear(struct compiler *c) {
    for (int i = 0; i < c->made_count; i++) {
        cJSON_Delete(c->made[i].schema);
        cJSON_free(c->made[i].text);
    }
    for (int i = 0; i < c->dfa_count; i++) {
        dfa_free(c->dfas[i].dfa);
        free(c->dfas[i].name);
    }
    free(c->made);
    free(c->dfas);
    free(c->rules);
}

static struct grammar *compile(const cJSON *schema, bool keywords,
                               struct err *err) {
    struct compiler c = {
        .python = keywords,
        .keywords = keywords,
        .graph = graph_new(),
        .root = schema,
        .rules = xalloc_array(SCHEMA_RULES_MAX, sizeof *c.rules),
        .work = SCHEMA_WORK_MAX,
        .any = -1,
        .err = err,
    };
    int start = schema_value(&c, schema, "", graph_return());

    compiler_clear(&c);
    if (start >= 0) return graph_close(c.graph, start, err);
    grammar_free(c.graph);
    return NULL;
}

struct grammar *grammar_from_schema(const cJSON *schema, struct err *err) {
    return compile(schema, false, err);
}

struct grammar *grammar_from_keywords(const cJSON *schema, struct err *err) {
    if (schema_is(schema_get(schema, "type"), "object") &&
        !is_transparent(schema))
        return compile(schema, true, err);
    (void)err_set_field(err, ERR_UNSUPPORTED, "",
                        "schema: (root): not a plain object, as the arguments "
                        "of a call are");
    return NULL;
}
