/* Arrays: a prefix with a schema for each item, then items of one schema. */
#include <stdio.h>

#include "engine/grammar_schema.h"

struct items {
    const cJSON *prefix[SCHEMA_ALTERNATIVES_MAX];
    int prefix_count;
    const char *prefix_key; /* prefixItems, or items in older schemas */
    const cJSON *rest;      /* NULL: any value */
    const char *rest_key;
    int least;
    int most;
};

static bool read_prefix(struct compiler *c, const cJSON *list,
                        struct items *out) {
    const cJSON *item;

    cJSON_ArrayForEach(item, list) {
        if (out->prefix_count == SCHEMA_ALTERNATIVES_MAX) {
            schema_fail(c, ERR_LIMIT, out->prefix_key, "too many");
            return false;
        }
        /* Nothing can stand here, so the array ends before. */
        if (cJSON_IsFalse(item)) {
            if (out->most > out->prefix_count) out->most = out->prefix_count;
            return true;
        }
        out->prefix[out->prefix_count++] = item;
    }
    return true;
}

static bool read_counts(struct compiler *c, const cJSON *schema,
                        struct items *out) {
    double least, most;

    if (!schema_whole(c, schema, "minItems", 0, SCHEMA_ITEMS_MAX, 0, &least) ||
        !schema_whole(c, schema, "maxItems", 0, 1e15,
                      least > SCHEMA_ITEMS ? least : SCHEMA_ITEMS, &most))
        return false;
    if (most > SCHEMA_ITEMS_MAX) most = SCHEMA_ITEMS_MAX;
    if (least > most) {
        schema_fail(c, ERR_INPUT, "minItems", "is above maxItems");
        return false;
    }
    out->least = (int)least;
    out->most = (int)most;
    return true;
}

static bool read_items(struct compiler *c, const cJSON *schema,
                       struct items *out) {
    const cJSON *items = schema_get(schema, "items");
    const cJSON *prefix = schema_get(schema, "prefixItems");

    *out = (struct items){
        .prefix_key = "prefixItems", .rest = items, .rest_key = "items"};
    if (!read_counts(c, schema, out)) return false;
    if (cJSON_IsArray(items)) { /* before draft 2020-12 */
        prefix = items;
        out->prefix_key = "items";
        out->rest = schema_get(schema, "additionalItems");
        out->rest_key = "additionalItems";
    }
    if (prefix && !cJSON_IsArray(prefix)) {
        schema_fail(c, ERR_INPUT, "prefixItems", "not a list");
        return false;
    }
    if (!read_prefix(c, prefix, out)) return false;
    /* A tuple without a word on more items is hardly meant to have any. */
    if (cJSON_IsFalse(out->rest) || (out->prefix_count > 0 && !out->rest &&
                                     out->least <= out->prefix_count))
        if (out->most > out->prefix_count) out->most = out->prefix_count;
    if (cJSON_IsTrue(schema_get(schema, "uniqueItems")) && out->most > 1) {
        schema_fail(c, ERR_UNSUPPORTED, "uniqueItems", "this is not enforced");
        return false;
    }
    if (out->least > out->most) {
        schema_fail(c, ERR_INPUT, "minItems", "is above what may be there");
        return false;
    }
    return true;
}

/* Items after the prefix: the first of the array when there is none. */
static int rest_of(struct compiler *c, const struct items *items, int end) {
    struct grammar *g = c->graph;
    int first = items->prefix_count > 0 ? 0 : 1;
    int least = items->least - items->prefix_count - first;
    int most = items->most - items->prefix_count - first;
    int body, node = end;

    if (most + first <= 0) return end;
    body = schema_value(c, items->rest, items->rest_key, graph_return());
    if (body < 0) return -1;
    if (most > 0) {
        int again =
            schema_spaced(c, ',', graph_call(g, body, false, graph_return()));

        node = graph_repeat(g, again, least > 0 ? least : 0, most, end);
    }
    if (!first) return node;
    node = graph_call(g, body, false, node);
    return items->least > 0 ? node : graph_fork(g, end, node);
}

int schema_array(struct compiler *c, const cJSON *schema, int next) {
    struct grammar *g = c->graph;
    int end = graph_range(g, ']', ']', graph_return()), node;
    struct items items;

    if (!read_items(c, schema, &items)) return -1;
    node = rest_of(c, &items, end);
    for (int i = items.prefix_count - 1; i >= 0 && node >= 0; i--) {
        char key[40];

        if (i >= items.most) {
            node = end;
            continue;
        }
        (void)snprintf(key, sizeof key, "%s[%d]", items.prefix_key, i);
        node = schema_value(c, items.prefix[i], key, node);
        if (node >= 0 && i > 0) node = schema_spaced(c, ',', node);
        if (node >= 0 && items.least <= i) node = graph_fork(g, end, node);
    }
    if (node < 0) return -1;
    return graph_call(g, graph_range(g, '[', '[', node), true, next);
}
