/* Strings and numbers: their keywords become one automaton. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/grammar_format.h"
#include "engine/grammar_number.h"
#include "engine/grammar_regex.h"
#include "engine/grammar_schema.h"

/* ---- automata, each made once ---- */

static struct dfa *dfa_named(struct compiler *c, const char *name) {
    for (int i = 0; i < c->dfa_count; i++)
        if (!strcmp(c->dfas[i].name, name)) return c->dfas[i].dfa;
    return NULL;
}

/* Takes `dfa`, or says at `key` why there is none. */
static struct dfa *dfa_keep(struct compiler *c, const char *name,
                            struct dfa *dfa, const char *key,
                            const struct err *why) {
    if (!dfa) {
        schema_fail(c, why->code, key, why->text);
        return NULL;
    }
    c->states += dfa->count;
    if (c->states > SCHEMA_STATES_MAX) {
        schema_fail(c, ERR_LIMIT, key, "too many automata, or too large ones");
        dfa_free(dfa);
        return NULL;
    }
    c->dfas =
        xrealloc_array(c->dfas, (size_t)c->dfa_count + 1, sizeof *c->dfas);
    c->dfas[c->dfa_count++] = (struct made_dfa){xstrdup(name), dfa};
    return dfa;
}

static struct dfa *pattern_dfa(struct compiler *c, const char *pattern,
                               const char *key) {
    struct err why = {0};
    struct bytes name = {0};
    struct dfa *dfa;

    bytes_puts(&name, "/");
    bytes_puts(&name, pattern);
    bytes_put(&name, (struct span){"", 1});
    dfa = dfa_named(c, name.at);
    if (!dfa)
        dfa =
            dfa_keep(c, name.at, regex_string(span_of(pattern), &c->work, &why),
                     key, &why);
    bytes_free(&name);
    return dfa;
}

/* ---- strings ---- */

/* The work of a product, in the unit of nfa_dfa(). */
static bool spend(struct compiler *c, const struct dfa *d, const char *key) {
    if (c->work < 0) {
        schema_fail(c, ERR_LIMIT, key, "too much work");
        return false;
    }
    if (d) c->work -= 64 * (long)d->count;
    return true;
}

/* Both, named by their numbers in the list. Either may be NULL. */
static struct dfa *both(struct compiler *c, struct dfa *a, struct dfa *b,
                        const char *key) {
    struct err why = {0};
    char name[64];
    struct dfa *made;

    if (!a || !b) return a ? a : b;
    (void)snprintf(name, sizeof name, "&%p %p", (void *)a, (void *)b);
    made = dfa_named(c, name);
    if (made) return made;
    made = dfa_keep(c, name, dfa_both(a, b, &why), key, &why);
    return spend(c, made, key) ? made : NULL;
}

static bool is_made(const struct compiler *c, const cJSON *schema) {
    for (int i = 0; i < c->made_count; i++)
        if (c->made[i].schema == schema) return true;
    return false;
}

/* Of `pattern`, which is a list in a schema that was merged. */
static bool add_patterns(struct compiler *c, const cJSON *schema,
                         struct dfa **out) {
    const cJSON *pattern = schema_get(schema, "pattern"), *item = pattern;

    if (cJSON_IsArray(pattern) && is_made(c, schema)) item = pattern->child;
    for (; item; item = item == pattern ? NULL : item->next) {
        struct dfa *dfa;

        if (!cJSON_IsString(item)) {
            schema_fail(c, ERR_INPUT, "pattern", "not a string");
            return false;
        }
        dfa = pattern_dfa(c, item->valuestring, "pattern");
        if (dfa) *out = both(c, *out, dfa, "pattern");
        if (!dfa || !*out) return false;
    }
    return true;
}

static bool add_format(struct compiler *c, const cJSON *schema,
                       struct dfa **out) {
    const cJSON *format = schema_get(schema, "format");
    const char *pattern =
        cJSON_IsString(format) ? format_pattern(format->valuestring) : NULL;
    struct dfa *dfa;

    if (!pattern) return true;
    dfa = pattern_dfa(c, pattern, "format");
    if (dfa) *out = both(c, *out, dfa, "format");
    return dfa && *out;
}

static struct dfa *sized(struct compiler *c, struct dfa *d, int least,
                         int most) {
    struct err why = {0};
    char name[64];
    struct dfa *made;

    (void)snprintf(name, sizeof name, "#%p %d %d", (void *)d, least, most);
    made = dfa_named(c, name);
    if (made) return made;
    made = dfa_keep(c, name, dfa_sized(d, least, most, &why),
                    most < 0 ? "minLength" : "maxLength", &why);
    return spend(c, made, "maxLength") ? made : NULL;
}

struct dfa *schema_string_dfa(struct compiler *c, const cJSON *schema,
                              bool *free_text, int *least, int *most) {
    struct dfa *d = NULL;
    double low, high;

    *free_text = false;
    if (!schema_whole(c, schema, "minLength", 0, SCHEMA_STRING_CHARS_MAX, 0,
                      &low) ||
        !schema_whole(c, schema, "maxLength", 0, 1e15, -1, &high))
        return NULL;
    if (high > SCHEMA_STRING_CHARS_MAX) high = SCHEMA_STRING_CHARS_MAX;
    *least = (int)low;
    *most = (int)high;
    if (high >= 0 && low > high) {
        schema_fail(c, ERR_INPUT, "minLength", "is above maxLength");
        return NULL;
    }
    if (!add_patterns(c, schema, &d) || !add_format(c, schema, &d)) return NULL;
    if (d) return low > 0 || high >= 0 ? sized(c, d, *least, *most) : d;
    *free_text = true;
    if (*most < 0)
        *most = *least > SCHEMA_STRING_CHARS ? *least : SCHEMA_STRING_CHARS;
    return NULL;
}

int schema_string(struct compiler *c, const cJSON *schema, int next) {
    bool free_text;
    int least, most;
    struct dfa *d = schema_string_dfa(c, schema, &free_text, &least, &most);
    int node;

    if (!d && !free_text) return -1;
    if (d) return schema_text(c, "\"", graph_dfa(c->graph, d, next));
    node = schema_text(c, "\"", next);
    if (most > 0) node = graph_string(c->graph, least, most, false, node);
    return schema_text(c, "\"", node);
}

/* ---- numbers ---- */

static bool limit_of(struct compiler *c, const cJSON *schema, const char *key,
                     bool upper, bool open, struct number_range *r) {
    const cJSON *item = schema_get(schema, key);
    double limit;

    if (!item) return true;
    limit = item->valuedouble;
    if (!cJSON_IsNumber(item) || !isfinite(limit)) {
        schema_fail(c, ERR_UNSUPPORTED, key, "not a number");
        return false;
    }
    if (upper ? limit < r->high || (limit == r->high && open)
              : limit > r->low || (limit == r->low && open)) {
        *(upper ? &r->high : &r->low) = limit;
        *(upper ? &r->high_open : &r->low_open) = open;
    }
    return true;
}

static bool range_of(struct compiler *c, const cJSON *schema, bool whole,
                     struct number_range *r) {
    const cJSON *step = schema_get(schema, "multipleOf");

    *r = (struct number_range){
        .low = -INFINITY, .high = INFINITY, .whole = whole};
    if (!limit_of(c, schema, "minimum", false, false, r) ||
        !limit_of(c, schema, "exclusiveMinimum", false, true, r) ||
        !limit_of(c, schema, "maximum", true, false, r) ||
        !limit_of(c, schema, "exclusiveMaximum", true, true, r))
        return false;
    if (!step) return true;
    if (!cJSON_IsNumber(step) || !(step->valuedouble > 0) ||
        !isfinite(step->valuedouble)) {
        schema_fail(c, ERR_INPUT, "multipleOf", "not a number above zero");
        return false;
    }
    r->step = step->valuedouble;
    return true;
}

/* Where the trouble with a range is best looked for. */
static const char *range_key(const cJSON *schema, const struct err *why) {
    static const char *const keys[] = {"minimum", "exclusiveMinimum", "maximum",
                                       "exclusiveMaximum"};

    if (why->code != ERR_INPUT && schema_get(schema, "multipleOf"))
        return "multipleOf";
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
        if (schema_get(schema, keys[i])) return keys[i];
    return "type";
}

struct dfa *schema_number_dfa(struct compiler *c, const cJSON *schema,
                              bool whole) {
    /* Finite, and as many digits as a double holds exactly. */
    static const char any[] =
        "-?(0|[1-9]\\d{0,14})(\\.\\d{1,15})?([eE][+-]?\\d{1,2})?";
    struct number_range r;
    struct err why = {0};
    char name[160];
    struct dfa *d;

    if (!range_of(c, schema, whole, &r)) return NULL;
    (void)snprintf(name, sizeof name, "%d %a%d %a%d %a", whole, r.low,
                   r.low_open, r.high, r.high_open, r.step);
    d = dfa_named(c, name);
    if (d) return d;
    if (!whole && !isfinite(r.low) && !isfinite(r.high) && r.step <= 0)
        d = regex_text(span_of(any), &c->work, &why);
    else
        d = number_dfa(&r, &why);
    d = dfa_keep(c, name, d, d ? "" : range_key(schema, &why), &why);
    return spend(c, d, "multipleOf") ? d : NULL;
}

int schema_number(struct compiler *c, const cJSON *schema, bool whole,
                  int next) {
    struct dfa *d = schema_number_dfa(c, schema, whole);

    return d ? graph_dfa(c->graph, d, next) : -1;
}
