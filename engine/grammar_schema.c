/* A JSON Schema to a grammar. Every text of the grammar is valid for the
 * schema; not every valid text is in the grammar (properties have an order,
 * numbers and strings a size). A keyword that is not known is refused, since
 * ignoring it could let an invalid text through. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/grammar_graph.h"
#include "engine/grammar_number.h"

enum {
    STRING_CHARS_MAX = 4096, /* when the schema sets no maxLength */
    STRING_CHARS_LIMIT = 1 << 16,
    KEY_CHARS_MAX = 64, /* of an object without declared properties */
    FREE_MEMBERS_MAX = 32,
    ITEMS_MAX = 1024, /* when the schema sets no maxItems */
    ITEMS_LIMIT = 1 << 16,
    PROPERTIES_MAX = 256,
    ALTERNATIVES_MAX = 256,
    COMPARES_MAX = 1 << 16, /* of values, to show that oneOf is exclusive */
    ENUM_MAX = 1024,
    RULES_MAX = 1024,
    SCHEMA_DEPTH_MAX = 256
};

/* A schema and the body that was made of it. */
struct rule {
    const cJSON *schema;
    int body;
    int open; /* being compiled, and then c->opaque at that time; -1: no */
};

struct compiler {
    struct grammar *graph;
    const cJSON *root;
    struct rule *rules; /* (RULES_MAX) */
    int rule_count;
    int depth;
    int opaque;       /* schemas being compiled that take a byte of their own */
    int any;          /* a body for any value; -1: not made yet */
    int string_chars; /* bodies of one character */
    int key_chars;
    int compares;
    char place[ERR_FIELD_MAX];
    struct err *err;
};

static int value(struct compiler *c, const cJSON *schema, const char *key,
                 int next);

/* ---- errors with their place ---- */

static int fail(struct compiler *c, enum err_code code, const char *key,
                const char *text) {
    char place[ERR_FIELD_MAX + 64];

    (void)snprintf(place, sizeof place, "%s%s%.60s", c->place,
                   *c->place && *key ? "." : "", key);
    err_set_field(c->err, code, place, "schema: %s: %s",
                  *place ? place : "(root)", text);
    return -1;
}

static bool in_list(const char *key, const char *const *list) {
    for (; *list; list++)
        if (!strcmp(key, *list)) return true;
    return false;
}

static const char *const annotations[] = {
    "title",    "description", "default",    "examples", "$schema",
    "format",   "$id",         "$comment",   "$defs",    "definitions",
    "readOnly", "writeOnly",   "deprecated", "$anchor",  NULL};

/* Refuse a keyword that is neither an annotation nor on the list. */
static bool only(struct compiler *c, const cJSON *schema,
                 const char *const *list) {
    for (const cJSON *k = schema->child; k; k = k->next)
        if (!in_list(k->string, annotations) && !in_list(k->string, list)) {
            fail(c, ERR_UNSUPPORTED, k->string, "this cannot be enforced");
            return false;
        }
    return true;
}

static const cJSON *get(const cJSON *schema, const char *key) {
    return cJSON_GetObjectItemCaseSensitive(schema, key);
}

/* A whole number; `otherwise` when the keyword is absent. */
static bool whole(struct compiler *c, const cJSON *schema, const char *key,
                  double least, double most, double otherwise, double *out) {
    const cJSON *item = get(schema, key);

    *out = otherwise;
    if (!item) return true;
    if (!cJSON_IsNumber(item) || !(item->valuedouble >= least) ||
        !(item->valuedouble <= most) ||
        floor(item->valuedouble) != item->valuedouble) {
        fail(c, ERR_UNSUPPORTED, key, "not a whole number within the limits");
        return false;
    }
    *out = item->valuedouble;
    return true;
}

/* ---- scalars ---- */

static int text(struct compiler *c, const char *s, int next) {
    return graph_text(c->graph, span_of(s), next);
}

static int quoted(struct compiler *c, int least, int most, int next) {
    int node;

    if (c->string_chars < 0)
        c->string_chars = graph_string_body(c->graph, false);
    node = text(c, "\"", next);
    if (most > 0)
        node = graph_repeat(c->graph, c->string_chars, least, most, node);
    return text(c, "\"", node);
}

static int string_of(struct compiler *c, const cJSON *schema, int next) {
    double least, most;

    if (!whole(c, schema, "minLength", 0, STRING_CHARS_LIMIT, 0, &least) ||
        !whole(c, schema, "maxLength", 0, 1e15,
               least > STRING_CHARS_MAX ? least : STRING_CHARS_MAX, &most))
        return -1;
    if (most > STRING_CHARS_LIMIT) most = STRING_CHARS_LIMIT;
    if (least > most)
        return fail(c, ERR_INPUT, "minLength", "is above maxLength");
    return quoted(c, (int)least, (int)most, next);
}

static bool limit_of(struct compiler *c, const cJSON *schema, const char *key,
                     double sign, double *bound) {
    const cJSON *item = get(schema, key);
    bool exclusive = key[0] == 'e';
    double limit;

    if (!item) return true;
    if (!cJSON_IsNumber(item) || !isfinite(item->valuedouble)) {
        fail(c, ERR_UNSUPPORTED, key, "not a number");
        return false;
    }
    /* As a lower bound: an upper one is the lower one of the negatives. */
    limit = ceil(sign * item->valuedouble);
    if (exclusive && limit == sign * item->valuedouble) limit += 1;
    /* + 0.0: a negative zero would be printed with its sign. */
    if (limit > sign * *bound) *bound = sign * limit + 0.0;
    return true;
}

static int integer_of(struct compiler *c, const cJSON *schema, int next) {
    double low = -GRAPH_INTEGER_MAX, high = GRAPH_INTEGER_MAX;
    int positive = -1, negative = -1;

    if (!limit_of(c, schema, "minimum", 1, &low) ||
        !limit_of(c, schema, "exclusiveMinimum", 1, &low) ||
        !limit_of(c, schema, "maximum", -1, &high) ||
        !limit_of(c, schema, "exclusiveMaximum", -1, &high))
        return -1;
    if (low > high)
        return fail(c, ERR_INPUT, "minimum", "no integer fits the limits");
    if (high >= 0)
        positive = graph_naturals(c->graph, low > 0 ? low : 0, high, next);
    if (low < 0)
        negative = graph_range(
            c->graph, '-', '-',
            graph_naturals(c->graph, high < 0 ? -high : 1, -low, next));
    if (positive < 0) return negative;
    return negative < 0 ? positive : graph_fork(c->graph, positive, negative);
}

/* ---- arrays and objects ---- */

/* `mark` and an optional blank. */
static int spaced(struct compiler *c, char mark, int next) {
    int blank = graph_range(c->graph, ' ', ' ', next);

    return graph_range(c->graph, mark, mark, graph_fork(c->graph, next, blank));
}

/* least to most of what `body` begins, between commas; then `end`. */
static int listed(struct compiler *c, int body, int least, int most, int end) {
    struct grammar *g = c->graph;
    int again, node = end;

    if (most == 0) return end;
    again = spaced(c, ',', graph_call(g, body, false, graph_return()));
    if (most > 1)
        node = graph_repeat(g, again, least > 0 ? least - 1 : 0, most - 1, end);
    node = graph_call(g, body, false, node);
    return least > 0 ? node : graph_fork(g, end, node);
}

static int array_of(struct compiler *c, const cJSON *schema, int next) {
    const cJSON *items = get(schema, "items");
    struct grammar *g = c->graph;
    double least, most;
    int body, node;

    if (!whole(c, schema, "minItems", 0, ITEMS_LIMIT, 0, &least) ||
        !whole(c, schema, "maxItems", 0, 1e15,
               least > ITEMS_MAX ? least : ITEMS_MAX, &most))
        return -1;
    if (most > ITEMS_LIMIT) most = ITEMS_LIMIT;
    if (least > most)
        return fail(c, ERR_INPUT, "minItems", "is above maxItems");
    body = value(c, items, "items", graph_return());
    if (body < 0) return -1;
    node = listed(c, body, (int)least, (int)most,
                  graph_range(g, ']', ']', graph_return()));
    return graph_call(g, graph_range(g, '[', '[', node), true, next);
}

/* Any keys, each once, with values by `schema` (NULL: any). */
static int free_object(struct compiler *c, const cJSON *schema, int next) {
    struct grammar *g = c->graph;
    int end = graph_range(g, '}', '}', graph_return());
    int member[2], node;

    if (c->key_chars < 0) c->key_chars = graph_string_body(g, true);
    node = value(c, schema, "additionalProperties", graph_return());
    if (node < 0) return -1;
    node = graph_key_end(g, spaced(c, ':', node));
    node = graph_repeat(g, c->key_chars, 1, KEY_CHARS_MAX, node);
    member[0] = graph_range(g, '"', '"', node);
    member[1] = spaced(c, ',', member[0]);
    /* One repeat for all members, since it is what keeps their keys: a comma
     * goes before all but the first, which NODE_REPEAT's `first` begins. */
    node = graph_members(g, member[0], member[1], FREE_MEMBERS_MAX, end);
    return graph_call(g, graph_range(g, '{', '{', node), true, next);
}

static bool is_required(const cJSON *required, const char *name) {
    const cJSON *item;

    cJSON_ArrayForEach(
        item, required) if (!strcmp(item->valuestring, name)) return true;
    return false;
}

static bool check_required(struct compiler *c, const cJSON *required,
                           const cJSON *properties) {
    const cJSON *item;

    if (required && !cJSON_IsArray(required)) {
        fail(c, ERR_INPUT, "required", "not a list");
        return false;
    }
    if (cJSON_GetArraySize(properties) > PROPERTIES_MAX ||
        cJSON_GetArraySize(required) > PROPERTIES_MAX) {
        fail(c, ERR_LIMIT, "properties", "too many");
        return false;
    }
    cJSON_ArrayForEach(item, required) {
        if (!cJSON_IsString(item)) {
            fail(c, ERR_INPUT, "required", "not a list of strings");
            return false;
        }
        if (!get(properties, item->valuestring)) {
            fail(c, ERR_UNSUPPORTED, "required",
                 "names a property that is "
                 "not declared");
            return false;
        }
    }
    return true;
}

/* `"name": value` then `next`. */
static int member_of(struct compiler *c, const cJSON *property, int next) {
    struct bytes key = {0};
    int node = value(c, property, property->string, next);

    if (node < 0) return -1;
    if (!json_put_string(&key, span_of(property->string), c->err)) {
        bytes_free(&key);
        return -1;
    }
    node = graph_text(c->graph, span_bytes(&key), spaced(c, ':', node));
    bytes_free(&key);
    return node;
}

/* From the last property to the first: first[i] when none was written before
 * property i, later[i] when one was. Only the two of i + 1 are needed. */
static int members_of(struct compiler *c, const cJSON *properties,
                      const cJSON *required, int end) {
    const cJSON *list[PROPERTIES_MAX], *item;
    int count = 0, first = end, later = end;

    cJSON_ArrayForEach(item, properties) list[count++] = item;
    while (count-- > 0) {
        int member = member_of(c, list[count], later);
        int comma;

        if (member < 0) return -1;
        comma = spaced(c, ',', member);
        if (is_required(required, list[count]->string)) {
            first = member;
            later = comma;
        } else {
            first = graph_fork(c->graph, member, first);
            later = graph_fork(c->graph, comma, later);
        }
    }
    return first;
}

static int object_of(struct compiler *c, const cJSON *schema, int next) {
    const cJSON *properties = get(schema, "properties");
    const cJSON *required = get(schema, "required");
    const cJSON *more = get(schema, "additionalProperties");
    struct grammar *g = c->graph;
    int node;

    if (properties && !cJSON_IsObject(properties))
        return fail(c, ERR_INPUT, "properties", "not an object");
    if (!check_required(c, required, properties)) return -1;
    if (!(properties && properties->child) && !cJSON_IsFalse(more))
        return free_object(c, more, next);
    if (more && !cJSON_IsBool(more))
        return fail(c, ERR_UNSUPPORTED, "additionalProperties",
                    "a schema beside properties");
    node = members_of(c, properties, required,
                      graph_range(g, '}', '}', graph_return()));
    if (node < 0) return -1;
    return graph_call(g, graph_range(g, '{', '{', node), true, next);
}

/* ---- any value ---- */

static int any_body(struct compiler *c) {
    struct grammar *g = c->graph;
    int node;

    if (c->any >= 0) return c->any;
    c->any = graph_reserve(g);
    node = graph_fork(g, text(c, "null", graph_return()),
                      array_of(c, NULL, graph_return()));
    node = graph_fork(g, free_object(c, NULL, graph_return()), node);
    node = graph_fork(g, text(c, "false", graph_return()), node);
    node = graph_fork(g, text(c, "true", graph_return()), node);
    node = graph_fork(g, graph_number(c->graph, graph_return()), node);
    node = graph_fork(g, quoted(c, 0, STRING_CHARS_MAX, graph_return()), node);
    graph_set(g, c->any, node);
    return c->any;
}

/* ---- enum and const ---- */

static bool is_whole(const cJSON *v) {
    return cJSON_IsNumber(v) && floor(v->valuedouble) == v->valuedouble;
}

static bool has_type(const cJSON *v, const char *type) {
    if (!strcmp(type, "string")) return cJSON_IsString(v);
    if (!strcmp(type, "integer")) return is_whole(v);
    if (!strcmp(type, "number")) return cJSON_IsNumber(v);
    if (!strcmp(type, "boolean")) return cJSON_IsBool(v);
    if (!strcmp(type, "null")) return cJSON_IsNull(v);
    if (!strcmp(type, "array")) return cJSON_IsArray(v);
    return !strcmp(type, "object") && cJSON_IsObject(v);
}

static bool fits_type(const cJSON *v, const cJSON *type) {
    const cJSON *item;

    if (!type) return true;
    if (cJSON_IsString(type)) return has_type(v, type->valuestring);
    cJSON_ArrayForEach(item,
                       type) if (cJSON_IsString(item) &&
                                 has_type(v, item->valuestring)) return true;
    return false;
}

/* The texts of `values` (a list, or one value for const) that fit the type. */
static int values_of(struct compiler *c, const cJSON *values, bool list,
                     const cJSON *type, int next) {
    struct span spans[ENUM_MAX];
    struct bytes texts[ENUM_MAX];
    int count = 0, node = -1;

    for (const cJSON *v = list ? values->child : values; v;
         v = list ? v->next : NULL) {
        if (!fits_type(v, type)) continue;
        if (count == ENUM_MAX) {
            fail(c, ERR_LIMIT, "enum", "too many values");
            goto out;
        }
        texts[count] = (struct bytes){.limit = STRING_CHARS_LIMIT};
        if (!json_print(v, &texts[count++], c->err)) goto out;
    }
    if (count == 0) {
        fail(c, ERR_INPUT, "enum", "no value fits");
        goto out;
    }
    for (int i = 0; i < count; i++) spans[i] = span_bytes(&texts[i]);
    node = graph_choices(c->graph, spans, count, next);

out:
    while (count > 0) bytes_free(&texts[--count]);
    return node;
}

static int fixed_of(struct compiler *c, const cJSON *schema, int next) {
    static const char *const keys[] = {"enum", "type", NULL};
    static const char *const const_keys[] = {"const", "type", NULL};
    const cJSON *list = get(schema, "enum"), *one = get(schema, "const");

    if (!only(c, schema, one ? const_keys : keys)) return -1;
    if (!one && !cJSON_IsArray(list))
        return fail(c, ERR_INPUT, "enum", "not a list");
    return values_of(c, one ? one : list, !one, get(schema, "type"), next);
}

/* ---- alternatives ---- */

static bool is_string_of(const cJSON *item, const char *s) {
    return cJSON_IsString(item) && !strcmp(item->valuestring, s);
}

/* May a value of this type be valid for the schema, by its `type` alone? */
static bool may_be(const cJSON *schema, const char *type) {
    const cJSON *types = get(schema, "type"), *item;

    if (!types) return true;
    if (cJSON_IsString(types)) return is_string_of(types, type);
    cJSON_ArrayForEach(item, types) if (is_string_of(item, type)) return true;
    return false;
}

/* The values that a schema names one by one, or NULL. */
static const cJSON *named_values(const cJSON *schema, bool *list) {
    const cJSON *one = get(schema, "const");

    *list = !one;
    return one ? one : get(schema, "enum");
}

static bool share_value(struct compiler *c, const cJSON *a, const cJSON *b) {
    bool a_list, b_list;
    const cJSON *as = named_values(a, &a_list), *bs = named_values(b, &b_list);

    if (!as || !bs) return true;
    for (const cJSON *x = a_list ? as->child : as; x;
         x = a_list ? x->next : NULL)
        for (const cJSON *y = b_list ? bs->child : bs; y;
             y = b_list ? y->next : NULL)
            if (c->compares++ > COMPARES_MAX || cJSON_Compare(x, y, true))
                return true;
    return false;
}

static bool requires(const cJSON *schema, const char *name) {
    const cJSON *required = get(schema, "required"), *item;

    cJSON_ArrayForEach(item,
                       required) if (is_string_of(item, name)) return true;
    return false;
}

/* Surely no value is valid for both: by type, by the values that they name,
 * or by a property that both require and name the values of. */
static bool disjoint(struct compiler *c, const cJSON *a, const cJSON *b) {
    static const char *const types[] = {"string", "boolean", "null",
                                        "array",  "object",  NULL};
    const cJSON *property;
    bool common = (may_be(a, "integer") || may_be(a, "number")) &&
                  (may_be(b, "integer") || may_be(b, "number"));

    if (get(a, "$ref") || get(b, "$ref")) return false;
    for (const char *const *type = types; *type; type++)
        common |= may_be(a, *type) && may_be(b, *type);
    if (!common || !share_value(c, a, b)) return true;
    if (!is_string_of(get(a, "type"), "object") ||
        !is_string_of(get(b, "type"), "object"))
        return false;
    cJSON_ArrayForEach(property, get(a, "properties")) {
        const char *name = property->string;
        const cJSON *other = get(get(b, "properties"), name);

        if (other && requires(a, name) && requires(b, name) &&
            !share_value(c, property, other))
            return true;
    }
    return false;
}

static bool all_disjoint(struct compiler *c, const cJSON *list) {
    for (const cJSON *a = list->child; a; a = a->next)
        for (const cJSON *b = a->next; b; b = b->next)
            if (!disjoint(c, a, b)) return false;
    return true;
}

static int alternatives_of(struct compiler *c, const cJSON *schema,
                           const char *key, int next) {
    const char *const keys[] = {key, NULL};
    const cJSON *list = get(schema, key), *item;
    int node = -1;

    if (!only(c, schema, keys)) return -1;
    if (!cJSON_IsArray(list) || !list->child)
        return fail(c, ERR_INPUT, key, "not a list of schemas");
    if (cJSON_GetArraySize(list) > ALTERNATIVES_MAX)
        return fail(c, ERR_LIMIT, key, "too many");
    if (!strcmp(key, "oneOf") && !all_disjoint(c, list))
        return fail(c, ERR_UNSUPPORTED, key,
                    "a value could be valid for two of these");
    cJSON_ArrayForEach(item, list) {
        int way = value(c, item, key, next);

        if (way < 0) return -1;
        node = node < 0 ? way : graph_fork(c->graph, way, node);
    }
    return node;
}

/* ---- references ---- */

/* "#" or "#/$defs/name" or "#/definitions/name". */
static const cJSON *resolve(struct compiler *c, const char *ref) {
    static const char *const roots[] = {"$defs", "definitions"};

    if (!strcmp(ref, "#")) return c->root;
    for (size_t i = 0; i < 2; i++) {
        size_t size = strlen(roots[i]);

        if (strncmp(ref, "#/", 2) != 0 ||
            strncmp(ref + 2, roots[i], size) != 0 || ref[2 + size] != '/')
            continue;
        /* Escaped names (~0, ~1, %) are not decoded, so they match nothing
         * unless they are spelled the same. */
        return get(get(c->root, roots[i]), ref + 3 + size);
    }
    return NULL;
}

static int reference_of(struct compiler *c, const cJSON *schema, int next) {
    static const char *const keys[] = {"$ref", NULL};
    const cJSON *ref = get(schema, "$ref"), *target;

    if (!only(c, schema, keys)) return -1;
    if (!cJSON_IsString(ref)) return fail(c, ERR_INPUT, "$ref", "not a string");
    target = resolve(c, ref->valuestring);
    if (!target)
        return fail(c, ERR_UNSUPPORTED, "$ref",
                    "not in #/$defs or #/definitions");
    return value(c, target, "", next);
}

/* ---- one schema ---- */

static int typed(struct compiler *c, const cJSON *schema, const char *type,
                 int next) {
    if (!strcmp(type, "string")) return string_of(c, schema, next);
    if (!strcmp(type, "integer")) return integer_of(c, schema, next);
    if (!strcmp(type, "boolean"))
        return graph_fork(c->graph, text(c, "true", next),
                          text(c, "false", next));
    if (!strcmp(type, "null")) return text(c, "null", next);
    if (!strcmp(type, "array")) return array_of(c, schema, next);
    if (!strcmp(type, "object")) return object_of(c, schema, next);
    if (strcmp(type, "number") != 0)
        return fail(c, ERR_INPUT, "type", "not a type of JSON");
    if (get(schema, "minimum") || get(schema, "maximum") ||
        get(schema, "exclusiveMinimum") || get(schema, "exclusiveMaximum"))
        return fail(c, ERR_UNSUPPORTED, "type",
                    "limits on a number that is not an integer");
    return graph_number(c->graph, next);
}

/* The type that the keywords are about when `type` is absent. */
static const char *implied_type(const cJSON *schema) {
    if (get(schema, "properties") || get(schema, "required") ||
        get(schema, "additionalProperties"))
        return "object";
    if (get(schema, "items") || get(schema, "minItems") ||
        get(schema, "maxItems"))
        return "array";
    if (get(schema, "minLength") || get(schema, "maxLength")) return "string";
    if (get(schema, "minimum") || get(schema, "maximum") ||
        get(schema, "exclusiveMinimum") || get(schema, "exclusiveMaximum"))
        return "integer";
    return NULL;
}

static int plain_of(struct compiler *c, const cJSON *schema, int next) {
    static const char *const keys[] = {"type",
                                       "properties",
                                       "required",
                                       "additionalProperties",
                                       "items",
                                       "minItems",
                                       "maxItems",
                                       "minLength",
                                       "maxLength",
                                       "minimum",
                                       "maximum",
                                       "exclusiveMinimum",
                                       "exclusiveMaximum",
                                       NULL};
    const cJSON *type = get(schema, "type"), *item;
    const char *implied = implied_type(schema);
    int node = -1;

    if (!only(c, schema, keys)) return -1;
    if (!type && implied) return typed(c, schema, implied, next);
    if (!type) return graph_call(c->graph, any_body(c), false, next);
    if (cJSON_IsString(type)) return typed(c, schema, type->valuestring, next);
    if (!cJSON_IsArray(type) || !type->child)
        return fail(c, ERR_INPUT, "type", "not a type");
    cJSON_ArrayForEach(item, type) {
        int way;

        if (!cJSON_IsString(item))
            return fail(c, ERR_INPUT, "type", "not a type");
        way = typed(c, schema, item->valuestring, next);
        if (way < 0) return -1;
        node = node < 0 ? way : graph_fork(c->graph, way, node);
    }
    return node;
}

static int body_of(struct compiler *c, const cJSON *schema) {
    int end = graph_return();

    if (cJSON_IsTrue(schema)) return any_body(c);
    if (!cJSON_IsObject(schema))
        return fail(c, ERR_UNSUPPORTED, "", "not a schema that has a value");
    if (get(schema, "$ref")) return reference_of(c, schema, end);
    if (get(schema, "anyOf")) return alternatives_of(c, schema, "anyOf", end);
    if (get(schema, "oneOf")) return alternatives_of(c, schema, "oneOf", end);
    if (get(schema, "enum") || get(schema, "const"))
        return fixed_of(c, schema, end);
    return plain_of(c, schema, end);
}

static struct rule *rule_of(struct compiler *c, const cJSON *schema) {
    for (int i = 0; i < c->rule_count; i++)
        if (c->rules[i].schema == schema) return &c->rules[i];
    return NULL;
}

/* Whether a schema stands for others without a byte of its own. */
static bool is_transparent(const cJSON *schema) {
    return get(schema, "$ref") || get(schema, "anyOf") || get(schema, "oneOf");
}

/* A call of the schema's body, which is made when it is first needed; within
 * itself it is called by the node that was reserved for it. Going round
 * through transparent schemas alone would never take a byte: refused. */
static int rule_call(struct compiler *c, const cJSON *schema, int next) {
    struct rule *rule = rule_of(c, schema);
    bool opaque = !is_transparent(schema);
    int index, body;

    if (rule && rule->open == c->opaque && !opaque)
        return fail(c, ERR_UNSUPPORTED, "$ref", "refers to itself");
    if (rule) return graph_call(c->graph, rule->body, false, next);
    if (c->rule_count == RULES_MAX)
        return fail(c, ERR_LIMIT, "", "too many schemas");
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

/* `next` after a value of the schema; NULL: any value. */
static int value(struct compiler *c, const cJSON *schema, const char *key,
                 int next) {
    size_t size = strlen(c->place);
    int node;

    if (!schema) return graph_call(c->graph, any_body(c), false, next);
    if (c->depth == SCHEMA_DEPTH_MAX)
        return fail(c, ERR_LIMIT, key, "nested too deeply");
    (void)snprintf(c->place + size, sizeof c->place - size, "%s%.60s",
                   size && *key ? "." : "", key);
    c->depth++;
    node = rule_call(c, schema, next);
    c->depth--;
    c->place[size] = 0;
    return node;
}

struct grammar *grammar_from_schema(const cJSON *schema, struct err *err) {
    struct compiler c = {
        .graph = graph_new(),
        .root = schema,
        .rules = xalloc_array(RULES_MAX, sizeof *c.rules),
        .any = -1,
        .string_chars = -1,
        .key_chars = -1,
        .err = err,
    };
    int start = value(&c, schema, "", graph_return());

    free(c.rules);
    if (start >= 0) return graph_close(c.graph, start, err);
    grammar_free(c.graph);
    return NULL;
}
