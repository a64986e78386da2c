#include "proxy/config.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/config_loops.h"
#include "proxy/config_operations.h"
#include "proxy/config_read.h"
#include "proxy/config_tools.h"

enum { HOUR_MS = 3600 * 1000, LIMIT_KEYS_MAX = 64 };

void config_set_string(char **at, const char *text) {
    char *copy = text ? xstrdup(text) : NULL;

    free(*at);
    *at = copy;
}

void config_init(struct config *c) {
    *c = (struct config){.host = xstrdup("127.0.0.1"),
                         .port = 8080,
                         .model = xstrdup("default"),
                         .backend = BACKEND_ENGINE,
                         .agent = {8, 16, 300, 1000000},
                         .audit = {.addresses = true},
                         .responses = {.days = 30},
                         .loops = 1,
                         .drain_ms = 30 * 1000,
                         .log = LOG_INFO,
                         .log_access = true,
                         .console = true};
    limits_init(&c->limits);
    c->upstreams = xalloc_array(UPSTREAMS_MAX, sizeof *c->upstreams);
    config_guard_init(&c->guard);
    config_traces_init(&c->traces);
}

static void clear_upstreams(struct config *c) {
    while (c->upstream_count)
        config_upstream_clear(&c->upstreams[--c->upstream_count]);
}

void config_clear(struct config *c) {
    free(c->host);
    free(c->admin.host);
    free(c->admin.keys);
    free(c->tls.cert);
    free(c->tls.key);
    free(c->tls.client_ca);
    free(c->model);
    free(c->model_name);
    free(c->tool_prompt);
    free(c->keys);
    free(c->policy);
    config_guard_clear(&c->guard);
    config_traces_clear(&c->traces);
    free(c->data);
    config_upstreams_free(c->upstreams, c->upstream_count);
    config_clear_tools(c);
    yaml_close(c->yaml);
    free(c->folder);
    config_clear_list(c->hosts, &c->host_count);
    config_clear_list(c->origins, &c->origin_count);
    *c = (struct config){0};
}

bool config_is_loopback(const char *host) {
    return !strncmp(host, "unix:", 5) || !strncmp(host, "127.", 4) ||
           !strcmp(host, "::1") || !strcmp(host, "localhost");
}

bool config_address(const char *text, char **out_host, int *out_port,
                    struct err *err) {
    const char *colon = strrchr(text, ':'), *port = colon ? colon + 1 : text;
    struct span host = {text, colon ? (size_t)(colon - text) : 0};
    long number;
    char *end;
    char *copy;

    if (!strncmp(text, "unix:", 5)) {
        if (text[5] != '/')
            return err_set(err, ERR_INPUT, "a unix socket is unix:/path");
        config_set_string(out_host, text);
        *out_port = 0;
        return true;
    }
    number = strtol(port, &end, 10);
    if (*port < '0' || *port > '9' || *end || number > 65535)
        return err_set(err, ERR_INPUT,
                       "\"%.100s\" is not HOST:PORT with a port from 0 to "
                       "65535",
                       text);
    if (host.size && host.at[0] == '[') {
        if (host.at[host.size - 1] != ']')
            return err_set(err, ERR_INPUT, "\"%.100s\": no closing bracket",
                           text);
        host = span_slice(host, 1, host.size - 1);
    } else if (span_find(host, span_of(":")) != SIZE_MAX) {
        return err_set(err, ERR_INPUT,
                       "\"%.100s\": an IPv6 address needs brackets", text);
    }
    copy = host.size ? span_dup(host) : xstrdup("127.0.0.1");
    free(*out_host);
    *out_host = copy;
    *out_port = (int)number;
    return true;
}

bool config_listen(struct config *c, const char *text, struct err *err) {
    return config_address(text, &c->host, &c->port, err);
}

/* Sections */

static bool read_listen(const struct config_source *s, const cJSON *root,
                        struct config *c) {
    const cJSON *node = config_get(root, "listen");
    struct err why;

    if (config_unset(node)) return true;
    if (cJSON_IsNumber(node) && node->valuedouble >= 0 &&
        node->valuedouble <= 65535 &&
        node->valuedouble == (double)(int)node->valuedouble) {
        c->port = (int)node->valuedouble;
        return true;
    }
    if (!config_check_text(s, node, "listen")) return false;
    if (config_listen(c, node->valuestring, &why)) return true;
    return yaml_fail(s->yaml, node, s->err, "listen: %s", why.text);
}

static bool read_tls(const struct config_source *s, const cJSON *root,
                     struct config *c) {
    static const char *const keys[] = {"cert", "key", "client_ca", NULL};
    const cJSON *map;

    if (!config_read_map(s, root, "tls", keys, &map)) return false;
    if (!map) return true;
    if (!config_read_path(s, map, "cert", &c->tls.cert) ||
        !config_read_path(s, map, "key", &c->tls.key) ||
        !config_read_path(s, map, "client_ca", &c->tls.client_ca))
        return false;
    if (c->tls.cert && c->tls.key) return true;
    return yaml_fail(s->yaml, map, s->err, "tls needs cert and key");
}

static bool read_backend(const struct config_source *s, const cJSON *root,
                         struct config *c) {
    static const char *const kinds[] = {"engine", "openai", NULL};
    static const char *const none[] = {NULL};
    static const char *const keys[] = {
        "base_url",    "api_key_env",   "api_key_file", "model",   "ca_file",
        "connect_ms",  "first_byte_ms", "idle_ms",      "retries", "health",
        "speculative", "keep_alive",    "concurrency",  "queue",   NULL};
    const cJSON *map, *engine, *openai;

    if (!config_read_map(s, root, "backend", kinds, &map)) return false;
    if (!map) return true;
    if (cJSON_GetArraySize(map) != 1)
        return yaml_fail(s->yaml, map, s->err,
                         "backend must be one of engine and openai");
    if (!config_read_map(s, map, "engine", none, &engine) ||
        !config_read_map(s, map, "openai", keys, &openai))
        return false;
    if (!openai && config_get(map, "openai"))
        return yaml_fail(s->yaml, map, s->err, "openai needs a base_url");
    c->backend = openai ? BACKEND_OPENAI : BACKEND_ENGINE;
    if (!openai) return true;
    config_upstream_init(&c->upstreams[c->upstream_count++]);
    return config_read_openai(s, openai, &c->upstreams[0]);
}

/* With upstreams the engine has to be asked for. */
static bool read_upstreams(const struct config_source *s, const cJSON *root,
                           struct config *c) {
    if (!config_unset(config_get(root, "upstreams")) &&
        config_unset(config_get(root, "backend")))
        c->backend = BACKEND_NONE;
    return config_read_upstreams(s, root, c->upstreams, &c->upstream_count);
}

static bool read_context(const struct config_source *s, const cJSON *agent,
                         struct config *c) {
    static const char *const keys[] = {"compact", "tokens", NULL};
    struct compact_options *o = &c->agent.compact;
    const cJSON *map, *how;

    if (!config_read_map(s, agent, "context", keys, &map)) return false;
    if (!map) return true;
    how = config_get(map, "compact");
    if (cJSON_IsString(how) && !strcmp(how->valuestring, "refuse"))
        o->how = COMPACT_REFUSE;
    else if (cJSON_IsString(how) && !strcmp(how->valuestring, "summarise"))
        o->how = COMPACT_SUMMARISE;
    else if (cJSON_IsString(how) && !strcmp(how->valuestring, "drop"))
        o->how = COMPACT_DROP;
    else if (how && !cJSON_IsNull(how))
        return yaml_fail(s->yaml, how, s->err,
                         "compact must be summarise, drop or refuse");
    return config_read_small(s, map, "tokens", 0, 1 << 24, &o->tokens);
}

static bool read_agent(const struct config_source *s, const cJSON *root,
                       struct config *c) {
    static const char *const keys[] = {"steps",  "tool_calls", "seconds",
                                       "tokens", "context",    NULL};
    const cJSON *map;

    if (!config_read_map(s, root, "agent", keys, &map)) return false;
    return !map ||
           (config_read_small(s, map, "steps", 1, 1000, &c->agent.steps) &&
            config_read_small(s, map, "tool_calls", 0, 10000,
                              &c->agent.tool_calls) &&
            config_read_small(s, map, "seconds", 1, 86400, &c->agent.seconds) &&
            config_read_small(s, map, "tokens", 1, 1000000000,
                              &c->agent.tokens) &&
            read_context(s, map, c));
}

static bool read_limits(const struct config_source *s, const cJSON *root,
                        struct config *c) {
    const char *keys[LIMIT_KEYS_MAX + 1] = {0};
    const struct limit_name *names;
    const cJSON *map;
    int count;

    names = limits_names(&count);
    assert(count <= LIMIT_KEYS_MAX);
    for (int i = 0; i < count; i++) keys[i] = names[i].key;
    if (!config_read_map(s, root, "limits", keys, &map)) return false;
    for (int i = 0; map && i < count; i++) {
        int64_t value = INT64_MIN;

        if (!config_read_int(s, map, names[i].key, names[i].least,
                             names[i].most, &value))
            return false;
        if (value != INT64_MIN) limits_set(&c->limits, &names[i], value);
    }
    return true;
}

static bool read_kv_type(const struct config_source *s, const cJSON *root,
                         struct config *c) {
    const cJSON *node = config_get(root, "kv_type");

    if (config_unset(node)) return true;
    c->kv_q8 = cJSON_IsString(node) && !strcmp(node->valuestring, "q8_0");
    if (c->kv_q8 || (cJSON_IsString(node) && !strcmp(node->valuestring, "f16")))
        return true;
    return yaml_fail(s->yaml, node, s->err, "kv_type must be f16 or q8_0");
}

static bool read_model(const struct config_source *s, const cJSON *root,
                       struct config *c) {
    const cJSON *node = config_get(root, "model");

    if (cJSON_IsString(node) && !strcmp(node->valuestring, "default")) {
        config_set_string(&c->model, "default");
        return true;
    }
    return config_read_path(s, root, "model", &c->model);
}

/* What a server's map holds is tools/mcp_options.c's business. */
static bool read_mcp(const struct config_source *s, const cJSON *root,
                     struct config *c) {
    c->mcp = config_get(root, "mcp");
    return !c->mcp || cJSON_IsArray(c->mcp) ||
           yaml_fail(s->yaml, c->mcp, s->err, "mcp must be a list of servers");
}

static bool read_tool_prompt(const struct config_source *s, const cJSON *root,
                             struct config *c) {
    static const char *const names[] = {"file", "json", "function_tag",
                                        "python_list"};
    const cJSON *node = config_get(root, "tool_prompt");

    if (config_unset(node)) return true;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (!cJSON_IsString(node) || strcmp(node->valuestring, names[i]) != 0)
            continue;
        config_set_string(&c->tool_prompt, i ? names[i] : NULL);
        return true;
    }
    return yaml_fail(s->yaml, node, s->err,
                     "tool_prompt must be file, json, function_tag or "
                     "python_list");
}

/* As browsers send it: no path, not even a slash at the end, or it would never
 * fit. */
static bool is_origin(const char *text) {
    const char *host = strstr(text, "://");

    return !strcmp(text, "*") ||
           (host && host != text && host[3] && !strchr(host + 3, '/'));
}

/* A host that no request can name would shut everybody out, unseen. */
static bool is_host(const char *text) {
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz"
                                  "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.";

    return !strcmp(text, "*") || !text[strspn(text, letters)];
}

/* A list of texts, each of which fits; `needed` is said of one that does not.
 */
static bool read_fitting(const struct config_source *s, const cJSON *root,
                         const char *key, bool (*fits)(const char *),
                         const char *needed, char **out, int max, int *count) {
    const cJSON *list = config_get(root, key), *item;

    if (!config_read_list(s, root, key, out, max, count)) return false;
    if (!cJSON_IsArray(list)) return true;
    cJSON_ArrayForEach(item, list) {
        if (!fits(item->valuestring))
            return yaml_fail(s->yaml, item, s->err, "%s: %s", key, needed);
    }
    return true;
}

static bool read_names(const struct config_source *s, const cJSON *root,
                       struct config *c) {
    return read_fitting(s, root, "hosts", is_host,
                        "a name such as chat.example.org, without a port, or "
                        "\"*\"",
                        c->hosts, CONFIG_HOSTS_MAX, &c->host_count) &&
           read_fitting(s, root, "cors_origins", is_origin,
                        "an origin is SCHEME://HOST, without a path: "
                        "http://localhost:3000",
                        c->origins, CONFIG_ORIGINS_MAX, &c->origin_count);
}

static bool read_root(const struct config_source *s, const cJSON *root,
                      struct config *c) {
    static const char *const keys[] = {
        "listen",      "tls",          "allow_remote", "keys",
        "model",       "model_name",   "threads",      "context_tokens",
        "kv_tokens",   "kv_type",      "policy",       "guard",
        "backend",     "upstreams",    "tools",        "agent",
        "limits",      "cors_origins", "drain_ms",     "log",
        "data",        "audit",        "mcp",          "proxy_protocol",
        "tool_prompt", "admin",        "responses",    "traces",
        "loops",       "console",      "hosts",        NULL};

    if (cJSON_IsNull(root)) return true; /* an empty file: the defaults */
    if (!cJSON_IsObject(root))
        return yaml_fail(s->yaml, root, s->err, "a map of settings is needed");
    return yaml_only_keys(s->yaml, root, keys, s->err) &&
           read_listen(s, root, c) && read_tls(s, root, c) &&
           config_read_proxy_protocol(s, root, c) &&
           config_read_bool(s, root, "allow_remote", &c->allow_remote) &&
           config_read_path(s, root, "keys", &c->keys) &&
           config_read_audit(s, root, c) && config_read_responses(s, root, c) &&
           config_read_traces(s, root, &c->traces) &&
           config_read_admin(s, root, c) && read_model(s, root, c) &&
           config_read_text(s, root, "model_name", &c->model_name) &&
           read_tool_prompt(s, root, c) &&
           config_read_small(s, root, "loops", 1, CONFIG_LOOPS_MAX,
                             &c->loops) &&
           config_read_small(s, root, "threads", 0, 1024, &c->threads) &&
           config_read_small(s, root, "context_tokens", 0, 1 << 24,
                             &c->context_tokens) &&
           config_read_small(s, root, "kv_tokens", 0, 1 << 28, &c->kv_tokens) &&
           read_kv_type(s, root, c) &&
           config_read_path(s, root, "policy", &c->policy) &&
           config_read_path(s, root, "data", &c->data) &&
           config_read_guard(s, root, &c->guard) && read_backend(s, root, c) &&
           read_upstreams(s, root, c) && config_read_tools(s, root, c) &&
           read_mcp(s, root, c) && read_agent(s, root, c) &&
           read_limits(s, root, c) && read_names(s, root, c) &&
           config_read_small(s, root, "drain_ms", 0, HOUR_MS, &c->drain_ms) &&
           config_read_bool(s, root, "console", &c->console) &&
           config_read_log(s, root, c);
}

/* Takes `yaml`. */
static bool from_yaml(struct config *out, struct yaml *yaml, const char *name,
                      struct err *err) {
    const char *slash = strrchr(name, '/');
    const struct config_source s = {yaml, name, err};
    struct config fresh;
    bool ok;

    config_init(&fresh);
    fresh.yaml = yaml;
    fresh.folder = span_dup((struct span){name, slash == name ? 1
                                                : slash ? (size_t)(slash - name)
                                                        : 0});
    ok = read_root(&s, yaml_root(yaml), &fresh);
    if (!ok) {
        config_clear(&fresh);
        return false;
    }
    config_clear(out);
    *out = fresh;
    return true;
}

bool config_load(struct config *out, const char *path, struct err *err) {
    struct yaml *yaml = yaml_open_env(path, err);

    return yaml && from_yaml(out, yaml, path, err);
}

bool config_parse(struct config *out, struct span text, const char *name,
                  struct err *err) {
    struct yaml *yaml = yaml_parse_env(text, name, err);

    return yaml && from_yaml(out, yaml, name, err);
}

bool config_upstream_url(struct config *c, const char *text, struct err *err) {
    struct http_url url;
    struct config_upstream *u = &c->upstreams[0];

    if (!http_url_parse(span_of(text), &url, err)) return false;
    if (c->backend == BACKEND_OPENAI) {
        u->members[0].url = url;
        return true;
    }
    clear_upstreams(c);
    c->backend = BACKEND_OPENAI;
    c->upstream_count = 1;
    config_upstream_any(u, &url);
    return true;
}

bool config_check(const struct config *c, struct err *err) {
    const struct limits *l = &c->limits;
    bool remote = !config_is_loopback(c->host);

    if (remote && !c->allow_remote && !c->keys)
        return err_set_field(
            err, ERR_INPUT, "listen",
            "listening on %.100s lets other machines in without a "
            "key; name a file of `keys`, or set allow_remote: true if "
            "that is meant",
            c->host);
    if (l->write_low_bytes >= l->write_high_bytes ||
        l->write_high_bytes >= l->write_bytes_max)
        return err_set_field(err, ERR_INPUT, "limits",
                             "limits: write_low_bytes < write_high_bytes < "
                             "write_bytes_max must hold");
    if (l->target_bytes_max >= l->header_bytes_max)
        return err_set_field(err, ERR_INPUT, "limits",
                             "limits: target_bytes_max must be below "
                             "header_bytes_max");
    if (!config_check_admin(c, err) || !config_check_loops(c, err))
        return false;
    if (remote && !c->keys)
        log_event(LOG_WARN, "open_to_all",
                  "reason=\"other machines may ask without a key\"");
    return true;
}
