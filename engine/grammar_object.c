/* Objects: declared properties come in the order of their declaration, those
 * that are not required may be left out, and no others are written. Where none
 * is declared, keys are free, and no two are the same. */
#include <string.h>

#include "engine/grammar_schema.h"

struct member {
    const cJSON *schema; /* NULL: any value */
    const char *name;
    bool required;
};

struct members {
    struct member list[SCHEMA_PROPERTIES_MAX];
    int count;
    int required;
    int least;
    int most; /* -1: no limit */
};

static struct member *member_named(struct members *m, const char *name) {
    for (int i = 0; i < m->count; i++)
        if (!strcmp(m->list[i].name, name)) return &m->list[i];
    return NULL;
}

static bool add_member(struct compiler *c, struct members *m,
                       const cJSON *schema, const char *name) {
    if (m->count == SCHEMA_PROPERTIES_MAX) {
        schema_fail(c, ERR_LIMIT, "properties", "too many");
        return false;
    }
    m->list[m->count++] = (struct member){schema, name, false};
    return true;
}

/* Those that are required but not declared are as additionalProperties says. */
static bool read_required(struct compiler *c, const cJSON *schema,
                          struct members *m) {
    const cJSON *required = schema_get(schema, "required"), *item;
    const cJSON *more = schema_get(schema, "additionalProperties");

    if (required && !cJSON_IsArray(required)) {
        schema_fail(c, ERR_INPUT, "required", "not a list");
        return false;
    }
    cJSON_ArrayForEach(item, required) {
        struct member *member;

        if (!cJSON_IsString(item)) {
            schema_fail(c, ERR_INPUT, "required", "not a list of strings");
            return false;
        }
        member = member_named(m, item->valuestring);
        if (!member) {
            if (!add_member(c, m, more, item->valuestring)) return false;
            member = &m->list[m->count - 1];
        }
        if (cJSON_IsFalse(member->schema)) {
            schema_fail(c, ERR_INPUT, "required",
                        "names a property that "
                        "cannot be there");
            return false;
        }
        m->required += !member->required;
        member->required = true;
    }
    return true;
}

static void drop_impossible(struct members *m) {
    int kept = 0;

    for (int i = 0; i < m->count; i++)
        if (!cJSON_IsFalse(m->list[i].schema)) m->list[kept++] = m->list[i];
    m->count = kept;
}

/* minProperties: the first of the optional ones are required, too.
 * maxProperties: the last of them are never written. */
static bool fit_counts(struct compiler *c, struct members *m) {
    if (m->most >= 0 && m->required > m->most) {
        schema_fail(c, ERR_INPUT, "maxProperties", "is below what is required");
        return false;
    }
    if (m->count < m->least) {
        schema_fail(c, ERR_UNSUPPORTED, "minProperties",
                    "is above what is declared");
        return false;
    }
    for (int i = 0; i < m->count && m->required < m->least; i++) {
        m->required += !m->list[i].required;
        m->list[i].required = true;
    }
    for (int i = m->count - 1; i >= 0 && m->most >= 0 && m->count > m->most;
         i--) {
        if (m->list[i].required) continue;
        memmove(&m->list[i], &m->list[i + 1],
                (size_t)(m->count - i - 1) * sizeof m->list[0]);
        m->count--;
    }
    return true;
}

static bool read_members(struct compiler *c, const cJSON *schema,
                         struct members *m) {
    const cJSON *properties = schema_get(schema, "properties"), *item;
    double least, most;

    *m = (struct members){0};
    if (properties && !cJSON_IsObject(properties)) {
        schema_fail(c, ERR_INPUT, "properties", "not an object");
        return false;
    }
    if (!schema_whole(c, schema, "minProperties", 0, SCHEMA_PROPERTIES_MAX, 0,
                      &least) ||
        !schema_whole(c, schema, "maxProperties", 0, 1e15, -1, &most))
        return false;
    m->least = (int)least;
    m->most = most > SCHEMA_PROPERTIES_MAX ? -1 : (int)most;
    cJSON_ArrayForEach(item, properties) {
        if (!add_member(c, m, item, item->string)) return false;
    }
    return read_required(c, schema, m);
}

/* name=value */
static int keyword_of(struct compiler *c, const struct member *m, int value) {
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqr"
                                  "stuvwxyz_0123456789";
    size_t size = strlen(m->name);

    if (!size || size != strspn(m->name, letters) ||
        (*m->name >= '0' && *m->name <= '9'))
        return schema_fail(c, ERR_UNSUPPORTED, "properties",
                           "a name that Python has none like");
    return schema_text(c, m->name, schema_text(c, "=", value));
}

/* `"name": value` then `next`. */
static int member_of(struct compiler *c, const struct member *m, bool keyword,
                     int next) {
    struct bytes key = {0};
    int node = schema_value(c, m->schema, m->name, next);

    if (node < 0) return -1;
    if (keyword) return keyword_of(c, m, node);
    if (!json_put_string(&key, span_of(m->name), c->err)) {
        bytes_free(&key);
        return -1;
    }
    node = graph_text(c->graph, span_bytes(&key), schema_spaced(c, ':', node));
    bytes_free(&key);
    return node;
}

/* From the last property to the first: first[i] when none was written before
 * property i, later[i] when one was. Only the two of i + 1 are needed. */
static int members_of(struct compiler *c, const struct members *m,
                      bool keywords, int end) {
    int first = end, later = end;

    for (int i = m->count - 1; i >= 0; i--) {
        int member = member_of(c, &m->list[i], keywords, later), comma;

        if (member < 0) return -1;
        comma = schema_spaced(c, ',', member);
        if (m->list[i].required) {
            first = member;
            later = comma;
        } else {
            first = graph_fork(c->graph, member, first);
            later = graph_fork(c->graph, comma, later);
        }
    }
    return first;
}

/* Any keys, each once, with values by `schema` (NULL: any). */
static int free_members(struct compiler *c, const cJSON *schema, int least,
                        int most, int end) {
    struct grammar *g = c->graph;
    int member[2], node;

    node = schema_value(c, schema, "additionalProperties", graph_return());
    if (node < 0) return -1;
    node = graph_key_end(g, schema_spaced(c, ':', node));
    node = graph_string(g, 1, SCHEMA_KEY_CHARS, true, node);
    member[0] = graph_range(g, '"', '"', node);
    member[1] = schema_spaced(c, ',', member[0]);
    /* One repeat for all members, since it is what keeps their keys: a comma
     * goes before all but the first, which NODE_REPEAT's `first` begins. */
    return graph_members(g, member[0], member[1], least, most, end);
}

static int free_object(struct compiler *c, const cJSON *schema,
                       const struct members *m, int end) {
    const cJSON *more = schema_get(schema, "additionalProperties");
    int most = m->most >= 0                ? m->most
               : m->least > SCHEMA_MEMBERS ? m->least
                                           : SCHEMA_MEMBERS;

    if (cJSON_IsFalse(more)) most = 0;
    if (m->least > most)
        return schema_fail(c, ERR_INPUT, "minProperties",
                           "is above what may be there");
    return most > 0 ? free_members(c, more, m->least, most, end) : end;
}

int schema_object(struct compiler *c, const cJSON *schema, int next) {
    struct grammar *g = c->graph;
    bool keywords = c->keywords;
    int end = graph_return(), node;
    struct members m;

    c->keywords = false;
    if (!keywords) end = graph_range(g, '}', '}', end);
    if (!read_members(c, schema, &m)) return -1;
    if (m.count == 0) {
        node = keywords ? end : free_object(c, schema, &m, end);
    } else {
        drop_impossible(&m);
        node = fit_counts(c, &m) ? members_of(c, &m, keywords, end) : -1;
    }
    if (node < 0) return -1;
    if (keywords) return graph_call(g, node, true, next);
    return graph_call(g, graph_range(g, '{', '{', node), true, next);
}
