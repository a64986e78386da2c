#include "proxy/config_guard.h"

#include <stdlib.h>
#include <string.h>

void config_guard_init(struct config_guard *g) {
    *g = (struct config_guard){.format = LLAMAGUARD_3};
    memcpy(g->thresholds, peer_thresholds, sizeof peer_thresholds);
}

void config_guard_clear(struct config_guard *g) {
    free(g->models);
    free(g->model);
    if (g->has_upstream) config_upstream_clear(&g->upstream);
    *g = (struct config_guard){0};
}

static bool read_format(const struct config_source *s, const cJSON *map,
                        struct config_guard *g) {
    const cJSON *node = config_get(map, "format");

    if (config_unset(node)) return true;
    if (cJSON_IsString(node) &&
        llamaguard_format_from_name(node->valuestring, &g->format))
        return true;
    return yaml_fail(s->yaml, node, s->err,
                     "format must be llama-guard-1, llama-guard-2, "
                     "llama-guard-3, llama-guard-3-1b or llama-guard-4");
}

static bool read_thresholds(const struct config_source *s, const cJSON *guard,
                            struct config_guard *g) {
    static const char *const keys[] = {"strict", "balanced", "loose", NULL};
    const cJSON *map;

    if (!config_read_map(s, guard, "thresholds", keys, &map)) return false;
    for (int i = 0; map && i < LEVEL_OFF; i++) {
        const cJSON *node = config_get(map, keys[i]);

        if (config_unset(node)) continue;
        if (!cJSON_IsNumber(node) || !(node->valuedouble > 0) ||
            !(node->valuedouble <= 1))
            return yaml_fail(s->yaml, node, s->err,
                             "a threshold is a number above 0, at most 1");
        g->thresholds[i] = (float)node->valuedouble;
    }
    if (g->thresholds[LEVEL_STRICT] <= g->thresholds[LEVEL_BALANCED] &&
        g->thresholds[LEVEL_BALANCED] <= g->thresholds[LEVEL_LOOSE])
        return true;
    return yaml_fail(s->yaml, map, s->err,
                     "strict <= balanced <= loose must hold");
}

/* One server; how it is asked is as for backend.openai. */
static bool read_upstream(const struct config_source *s, const cJSON *guard,
                          struct config_guard *g) {
    static const char *const keys[] = {
        "base_url",   "api_key_env",   "api_key_file", "model",   "ca_file",
        "connect_ms", "first_byte_ms", "idle_ms",      "retries", NULL};
    const cJSON *map;

    if (!config_read_map(s, guard, "upstream", keys, &map)) return false;
    if (!map) return true;
    if (config_unset(config_get(map, "base_url")) ||
        config_unset(config_get(map, "model")))
        return yaml_fail(s->yaml, map, s->err,
                         "the guard's upstream needs base_url and model");
    config_upstream_init(&g->upstream);
    g->has_upstream = true;
    if (!config_read_openai(s, map, &g->upstream)) return false;
    free(g->upstream.name);
    g->upstream.name = xstrdup("guard.upstream");
    return true;
}

bool config_read_guard(const struct config_source *s, const cJSON *root,
                       struct config_guard *g) {
    static const char *const keys[] = {
        "models",   "model",      "format", "context_tokens",
        "upstream", "thresholds", NULL};
    const cJSON *map;

    if (!config_read_map(s, root, "guard", keys, &map)) return false;
    if (!map) return true;
    if (!config_read_path(s, map, "models", &g->models) ||
        !config_read_path(s, map, "model", &g->model) ||
        !read_format(s, map, g) ||
        !config_read_small(s, map, "context_tokens", 0, 1 << 24,
                           &g->context_tokens) ||
        !read_upstream(s, map, g) || !read_thresholds(s, map, g))
        return false;
    if (!g->model || !g->has_upstream) return true;
    return yaml_fail(s->yaml, map, s->err,
                     "a guard is a model here or an upstream, not both");
}
