#include "proxy/config_upstream.h"

#include <stdlib.h>
#include <string.h>

enum {
    HOUR_MS = 3600 * 1000,
    WEIGHT_MAX = 1000,
    HEALTH_MS = 10 * 1000,
    KEEP_MAX = 10000,
    CONCURRENCY_MAX = 100000,
    KEEP_MS = 4 * 1000 /* uvicorn and Node close after 5 s */
};

void config_upstream_init(struct config_upstream *u) {
    *u = (struct config_upstream){
        .connect_ms = 5 * 1000,
        .first_byte_ms = 60 * 1000,
        .idle_ms = 60 * 1000,
        .keep_alive = {.connections = 64, .idle_ms = KEEP_MS},
        .queue = {.calls = -1, .wait_ms = 10 * 1000},
        .retries = 2,
        .health = {.failures = 5, .rest_ms = 5 * 1000}};
}

void config_upstream_clear(struct config_upstream *u) {
    for (int i = 0; i < u->member_count; i++) {
        free(u->members[i].key.env);
        free(u->members[i].key.file);
    }
    for (int i = 0; i < u->model_count; i++) {
        free(u->models[i].name);
        free(u->models[i].model);
    }
    free(u->members);
    free(u->models);
    free(u->name);
    free(u->ca_file);
    free(u->health.path);
    config_clear_list(u->fallbacks, &u->fallback_count);
    *u = (struct config_upstream){0};
}

void config_upstreams_free(struct config_upstream *list, int count) {
    for (int i = 0; i < count; i++) config_upstream_clear(&list[i]);
    free(list);
}

static struct config_member *add_member(struct config_upstream *u) {
    if (!u->members)
        u->members = xalloc_array(UPSTREAM_MEMBERS_MAX, sizeof *u->members);
    u->members[u->member_count].weight = 1;
    return &u->members[u->member_count++];
}

static void add_model(struct config_upstream *u, const char *name,
                      const char *model) {
    struct config_model *m;

    if (!u->models)
        u->models = xalloc_array(UPSTREAM_MODELS_MAX, sizeof *u->models);
    m = &u->models[u->model_count++];
    m->name = xstrdup(name);
    m->model = model ? xstrdup(model) : NULL;
}

void config_upstream_any(struct config_upstream *u,
                         const struct http_url *url) {
    config_upstream_init(u);
    u->name = xstrdup("backend.openai");
    u->health.path = xstrdup("/models");
    add_member(u)->url = *url;
    add_model(u, "*", NULL);
}

/* ---- members ---- */

static bool is_variable_name(const char *name) {
    if (*name >= '0' && *name <= '9') return false;
    for (; *name; name++)
        if (!(*name == '_' || (*name >= 'A' && *name <= 'Z') ||
              (*name >= 'a' && *name <= 'z') || (*name >= '0' && *name <= '9')))
            return false;
    return true;
}

static bool read_key(const struct config_source *s, const cJSON *node,
                     struct config_key *out) {
    if (!config_read_text(s, node, "api_key_env", &out->env)) return false;
    /* A key pasted here would end in backups and logs. */
    if (out->env && !is_variable_name(out->env))
        return yaml_fail(s->yaml, config_get(node, "api_key_env"), s->err,
                         "api_key_env must name an environment variable, not "
                         "hold the key");
    if (!config_read_path(s, node, "api_key_file", &out->file)) return false;
    if (out->env && out->file)
        return yaml_fail(s->yaml, node, s->err,
                         "api_key_env or api_key_file, not both");
    return true;
}

static bool read_url(const struct config_source *s, const cJSON *node,
                     const char *key, struct http_url *out) {
    struct err why;

    if (!config_check_text(s, node, key)) return false;
    if (http_url_parse(span_of(node->valuestring), out, &why)) return true;
    return yaml_fail(s->yaml, node, s->err, "%s: %s", key, why.text);
}

/* Its own key, or else the one of the whole upstream. */
static bool read_member(const struct config_source *s, const cJSON *node,
                        const struct config_key *shared,
                        struct config_member *m) {
    static const char *const keys[] = {"url", "weight", "api_key_env",
                                       "api_key_file", NULL};

    if (cJSON_IsObject(node)) {
        const cJSON *url = config_get(node, "url");

        if (!yaml_only_keys(s->yaml, node, keys, s->err)) return false;
        if (config_unset(url))
            return yaml_fail(s->yaml, node, s->err, "a server needs a url");
        if (!read_url(s, url, "url", &m->url) ||
            !config_read_small(s, node, "weight", 1, WEIGHT_MAX, &m->weight) ||
            !read_key(s, node, &m->key))
            return false;
    } else if (!read_url(s, node, "base_urls", &m->url)) {
        return false;
    }
    if (m->key.env || m->key.file) return true;
    m->key.env = shared->env ? xstrdup(shared->env) : NULL;
    m->key.file = shared->file ? xstrdup(shared->file) : NULL;
    return true;
}

static bool read_members(const struct config_source *s, const cJSON *node,
                         const struct config_key *shared,
                         struct config_upstream *u) {
    const cJSON *one = config_get(node, "base_url");
    const cJSON *list = config_get(node, "base_urls"), *item;

    if (config_unset(one) == config_unset(list))
        return yaml_fail(s->yaml, node, s->err,
                         "an upstream needs a base_url, or base_urls");
    if (!config_unset(one)) {
        struct config_member *m = add_member(u);

        return read_url(s, one, "base_url", &m->url) &&
               config_read_small(s, node, "weight", 1, WEIGHT_MAX,
                                 &m->weight) &&
               read_key(s, node, &m->key);
    }
    if (!cJSON_IsArray(list) || cJSON_GetArraySize(list) == 0 ||
        cJSON_GetArraySize(list) > UPSTREAM_MEMBERS_MAX)
        return yaml_fail(s->yaml, list, s->err,
                         "base_urls must be a list, 1 to %d long",
                         UPSTREAM_MEMBERS_MAX);
    if (!config_unset(config_get(node, "weight")))
        return yaml_fail(s->yaml, config_get(node, "weight"), s->err,
                         "with base_urls, a weight stands beside its url");
    cJSON_ArrayForEach(item, list) {
        if (!read_member(s, item, shared, add_member(u))) return false;
    }
    return true;
}

/* ---- what all members share ---- */

static bool read_health(const struct config_source *s, const cJSON *node,
                        struct config_upstream *u) {
    static const char *const keys[] = {"path", "interval_ms", "failures",
                                       "rest_ms", NULL};
    const cJSON *map;

    if (!config_read_map(s, node, "health", keys, &map)) return false;
    if (map &&
        (!config_read_text(s, map, "path", &u->health.path) ||
         !config_read_small(s, map, "interval_ms", 0, HOUR_MS,
                            &u->health.interval_ms) ||
         !config_read_small(s, map, "failures", 1, 1000, &u->health.failures) ||
         !config_read_small(s, map, "rest_ms", 1, HOUR_MS, &u->health.rest_ms)))
        return false;
    if (!u->health.path) u->health.path = xstrdup("/models");
    if (u->health.path[0] == '/' && !strpbrk(u->health.path, " \t\r\n?#"))
        return true;
    return yaml_fail(s->yaml, config_get(map, "path"), s->err,
                     "path must begin with a slash, and hold no blanks");
}

static bool read_keep_alive(const struct config_source *s, const cJSON *node,
                            struct config_upstream *u) {
    static const char *const keys[] = {"connections", "idle_ms", NULL};
    const cJSON *map;

    if (!config_read_map(s, node, "keep_alive", keys, &map)) return false;
    return !map || (config_read_small(s, map, "connections", 0, KEEP_MAX,
                                      &u->keep_alive.connections) &&
                    config_read_small(s, map, "idle_ms", 1, HOUR_MS,
                                      &u->keep_alive.idle_ms));
}

static bool read_queue(const struct config_source *s, const cJSON *node,
                       struct config_upstream *u) {
    static const char *const keys[] = {"calls", "wait_ms", NULL};
    const cJSON *map;

    if (!config_read_small(s, node, "concurrency", 0, CONCURRENCY_MAX,
                           &u->concurrency) ||
        !config_read_map(s, node, "queue", keys, &map))
        return false;
    if (map && !u->concurrency)
        return yaml_fail(s->yaml, map, s->err,
                         "nobody queues without a limit of concurrency");
    return !map || (config_read_small(s, map, "calls", 0, CONCURRENCY_MAX,
                                      &u->queue.calls) &&
                    config_read_small(s, map, "wait_ms", 1, HOUR_MS,
                                      &u->queue.wait_ms));
}

static bool read_times(const struct config_source *s, const cJSON *node,
                       struct config_upstream *u) {
    return config_read_path(s, node, "ca_file", &u->ca_file) &&
           config_read_small(s, node, "connect_ms", 1, HOUR_MS,
                             &u->connect_ms) &&
           config_read_small(s, node, "first_byte_ms", 1, HOUR_MS,
                             &u->first_byte_ms) &&
           config_read_small(s, node, "idle_ms", 1, HOUR_MS, &u->idle_ms) &&
           read_keep_alive(s, node, u) && read_queue(s, node, u) &&
           config_read_small(s, node, "retries", 0, UPSTREAM_RETRIES_MAX,
                             &u->retries) &&
           read_health(s, node, u);
}

bool config_read_openai(const struct config_source *s, const cJSON *node,
                        struct config_upstream *u) {
    const cJSON *url = config_get(node, "base_url");
    struct config_member *m;
    char *model = NULL;

    u->name = xstrdup("backend.openai");
    if (config_unset(url))
        return yaml_fail(s->yaml, node, s->err, "openai needs a base_url");
    m = add_member(u);
    if (!read_url(s, url, "base_url", &m->url) || !read_key(s, node, &m->key) ||
        !config_read_text(s, node, "model", &model))
        return false;
    if (model) add_model(u, model, model);
    add_model(u, "*", model);
    free(model);
    return read_times(s, node, u);
}

/* ---- models ---- */

static bool model_taken(const struct config_upstream *list, int count,
                        const char *name) {
    for (int u = 0; u < count; u++)
        for (int i = 0; i < list[u].model_count; i++)
            if (!strcmp(list[u].models[i].name, name)) return true;
    return false;
}

/* "name", or {name: what the upstream calls it}. */
static bool read_model(const struct config_source *s, const cJSON *node,
                       struct config_upstream *list, int count) {
    struct config_upstream *u = &list[count - 1];
    const cJSON *alias = cJSON_IsObject(node) ? node->child : NULL;
    const char *name, *model;

    if (alias) {
        if (alias->next || !*alias->string ||
            !config_check_text(s, alias, alias->string))
            return yaml_fail(s->yaml, node, s->err,
                             "a model is a name, or {name: upstream's name}");
        name = alias->string;
        model = alias->valuestring;
    } else {
        if (!config_check_text(s, node, "models")) return false;
        name = node->valuestring;
        model = strcmp(name, "*") ? name : NULL;
    }
    if (model_taken(list, count, name))
        return yaml_fail(s->yaml, node, s->err,
                         "the model \"%.64s\" is there twice", name);
    add_model(u, name, model);
    return true;
}

static bool read_models(const struct config_source *s, const cJSON *node,
                        struct config_upstream *list, int count) {
    const cJSON *models = config_get(node, "models"), *item;

    if (!cJSON_IsArray(models) || cJSON_GetArraySize(models) == 0 ||
        cJSON_GetArraySize(models) > UPSTREAM_MODELS_MAX)
        return yaml_fail(s->yaml, models ? models : node, s->err,
                         "models must be a list, 1 to %d long",
                         UPSTREAM_MODELS_MAX);
    cJSON_ArrayForEach(item, models) {
        if (!read_model(s, item, list, count)) return false;
    }
    return true;
}

static bool read_upstream(const struct config_source *s, const cJSON *node,
                          struct config_upstream *list, int count) {
    static const char *const keys[] = {
        "name",          "base_url",  "base_urls",  "weight",
        "models",        "fallbacks", "retries",    "api_key_env",
        "api_key_file",  "ca_file",   "health",     "connect_ms",
        "first_byte_ms", "idle_ms",   "keep_alive", "speculative",
        "concurrency",   "queue",     NULL};
    struct config_upstream *u = &list[count - 1];
    struct config_key shared = {0};
    bool ok;

    if (!cJSON_IsObject(node))
        return yaml_fail(s->yaml, node, s->err, "an upstream must be a map");
    if (!yaml_only_keys(s->yaml, node, keys, s->err) ||
        !config_read_text(s, node, "name", &u->name))
        return false;
    if (!u->name)
        return yaml_fail(s->yaml, node, s->err, "an upstream needs a name");
    for (int i = 0; i < count - 1; i++)
        if (!strcmp(list[i].name, u->name))
            return yaml_fail(s->yaml, node, s->err,
                             "two upstreams are called \"%.64s\"", u->name);
    ok = read_key(s, node, &shared) && read_members(s, node, &shared, u);
    free(shared.env);
    free(shared.file);
    return ok && read_models(s, node, list, count) && read_times(s, node, u) &&
           config_read_list(s, node, "fallbacks", u->fallbacks,
                            UPSTREAM_FALLBACKS_MAX, &u->fallback_count);
}

bool config_read_upstreams(const struct config_source *s, const cJSON *root,
                           struct config_upstream *list, int *count) {
    const cJSON *node = config_get(root, "upstreams"), *item;

    if (config_unset(node)) return true;
    if (!cJSON_IsArray(node) ||
        cJSON_GetArraySize(node) > UPSTREAMS_MAX - *count)
        return yaml_fail(s->yaml, node, s->err,
                         "upstreams must be a list, at most %d long",
                         UPSTREAMS_MAX - *count);
    cJSON_ArrayForEach(item, node) {
        config_upstream_init(&list[*count]);
        list[*count].health.interval_ms = HEALTH_MS;
        ++*count;
        if (!read_upstream(s, item, list, *count)) return false;
    }
    return true;
}
