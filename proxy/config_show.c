#include "proxy/config_show.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void put_text(cJSON *at, const char *key, const char *text) {
    if (text)
        (void)cJSON_AddStringToObject(at, key, text);
    else
        (void)cJSON_AddNullToObject(at, key);
}

static void put_number(cJSON *at, const char *key, int64_t n) {
    (void)cJSON_AddNumberToObject(at, key, (double)n);
}

static void put_address(cJSON *at, const char *key, const char *host,
                        int port) {
    char text[320];

    if (!strncmp(host, "unix:", 5))
        (void)snprintf(text, sizeof text, "%s", host);
    else if (strchr(host, ':'))
        (void)snprintf(text, sizeof text, "[%s]:%d", host, port);
    else
        (void)snprintf(text, sizeof text, "%s:%d", host, port);
    put_text(at, key, text);
}

static void put_list(cJSON *at, const char *key, char *const *list, int count) {
    cJSON *array = cJSON_AddArrayToObject(at, key);

    for (int i = 0; i < count; i++)
        (void)cJSON_AddItemToArray(array, cJSON_CreateString(list[i]));
}

/* ---- upstreams ---- */

/* A path could be a secret as well as any header. */
static void put_origin(cJSON *at, const struct http_url *url) {
    bool six = strchr(url->host, ':') != NULL;
    char text[300];

    (void)snprintf(text, sizeof text, "http%s://%s%s%s:%d", url->tls ? "s" : "",
                   six ? "[" : "", url->host, six ? "]" : "", url->port);
    put_text(at, "origin", text);
}

static cJSON *member_json(const struct config_member *m) {
    cJSON *json = cJSON_CreateObject();

    put_origin(json, &m->url);
    put_number(json, "weight", m->weight);
    put_text(json, "api_key_env", m->key.env);
    put_text(json, "api_key_file", m->key.file);
    return json;
}

static cJSON *upstream_json(const struct config_upstream *u) {
    cJSON *json = cJSON_CreateObject(), *list;

    put_text(json, "name", u->name);
    list = cJSON_AddArrayToObject(json, "servers");
    for (int i = 0; i < u->member_count; i++)
        (void)cJSON_AddItemToArray(list, member_json(&u->members[i]));
    list = cJSON_AddObjectToObject(json, "models");
    for (int i = 0; i < u->model_count; i++)
        put_text(list, u->models[i].name, u->models[i].model);
    put_list(json, "fallbacks", u->fallbacks, u->fallback_count);
    put_text(json, "ca_file", u->ca_file);
    put_number(json, "connect_ms", u->connect_ms);
    put_number(json, "first_byte_ms", u->first_byte_ms);
    put_number(json, "idle_ms", u->idle_ms);
    put_number(json, "retries", u->retries);
    (void)cJSON_AddBoolToObject(json, "speculative", u->speculative);
    return json;
}

static void put_upstreams(cJSON *at, const struct config *c) {
    static const char *const kinds[] = {[BACKEND_ENGINE] = "engine",
                                        [BACKEND_OPENAI] = "openai",
                                        [BACKEND_NONE] = NULL};
    cJSON *list;

    put_text(at, "backend", kinds[c->backend]);
    list = cJSON_AddArrayToObject(at, "upstreams");
    for (int i = 0; i < c->upstream_count; i++)
        (void)cJSON_AddItemToArray(list, upstream_json(&c->upstreams[i]));
}

/* ---- the rest ---- */

static void put_listeners(cJSON *at, const struct config *c) {
    cJSON *tls, *admin;

    put_address(at, "listen", c->host, c->port);
    (void)cJSON_AddBoolToObject(at, "allow_remote", c->allow_remote);
    tls = cJSON_AddObjectToObject(at, "tls");
    put_text(tls, "cert", c->tls.cert);
    put_text(tls, "key", c->tls.key);
    put_text(tls, "client_ca", c->tls.client_ca);
    put_text(at, "keys", c->keys);
    admin = cJSON_AddObjectToObject(at, "admin");
    if (c->admin.host)
        put_address(admin, "listen", c->admin.host, c->admin.port);
    put_text(admin, "keys", c->admin.keys ? c->admin.keys : c->keys);
    (void)cJSON_AddBoolToObject(at, "console", c->console);
    put_list(at, "hosts", c->hosts, c->host_count);
    put_list(at, "cors_origins", c->origins, c->origin_count);
    put_number(at, "drain_ms", c->drain_ms);
    put_number(at, "loops", c->loops);
}

static void put_guard(cJSON *at, const struct config_guard *g) {
    cJSON *guard = cJSON_AddObjectToObject(at, "guard");

    put_text(guard, "models", g->models);
    put_text(guard, "model", g->model);
    if (g->has_upstream)
        (void)cJSON_AddItemToObject(guard, "upstream",
                                    upstream_json(&g->upstream));
    if (g->model || g->has_upstream)
        put_text(guard, "format", llamaguard_format_name(g->format));
}

static void put_models(cJSON *at, const struct config *c) {
    put_text(at, "model", c->model);
    put_text(at, "model_name", c->model_name);
    put_number(at, "threads", c->threads);
    put_number(at, "context_tokens", c->context_tokens);
    put_number(at, "kv_tokens", c->kv_tokens);
    put_text(at, "kv_type", c->kv_q8 ? "q8_0" : "f16");
    put_text(at, "policy", c->policy);
    put_guard(at, &c->guard);
    put_text(at, "data", c->data);
}

static void put_tools(cJSON *at, const struct config *c) {
    cJSON *list = cJSON_AddArrayToObject(at, "tools");
    const cJSON *server;

    for (int i = 0; i < c->tool_count; i++)
        (void)cJSON_AddItemToArray(list, cJSON_CreateString(c->tools[i].name));
    list = cJSON_AddArrayToObject(at, "mcp");
    cJSON_ArrayForEach(server, c->mcp) {
        const cJSON *name = cJSON_GetObjectItemCaseSensitive(server, "name");

        if (cJSON_IsString(name))
            (void)cJSON_AddItemToArray(list,
                                       cJSON_CreateString(name->valuestring));
    }
}

static void put_agent(cJSON *at, const struct config *c) {
    cJSON *agent = cJSON_AddObjectToObject(at, "agent");

    put_number(agent, "steps", c->agent.steps);
    put_number(agent, "tool_calls", c->agent.tool_calls);
    put_number(agent, "seconds", c->agent.seconds);
    put_number(agent, "tokens", c->agent.tokens);
}

static void put_limits(cJSON *at, const struct limits *l) {
    cJSON *limits = cJSON_AddObjectToObject(at, "limits");
    const struct limit_name *names;
    int count;

    names = limits_names(&count);
    for (int i = 0; i < count; i++)
        put_number(limits, names[i].key, limits_get(l, &names[i]));
}

static void put_audit(cJSON *at, const struct config *c) {
    cJSON *audit;

    if (!c->audit.on) {
        (void)cJSON_AddNullToObject(at, "audit");
        return;
    }
    audit = cJSON_AddObjectToObject(at, "audit");
    put_text(audit, "on_error", c->audit.closed ? "closed" : "count");
    put_number(audit, "days", c->audit.days);
    (void)cJSON_AddBoolToObject(audit, "addresses", c->audit.addresses);
    put_number(audit, "bytes_max", c->audit.bytes_max);
}

/* Of headers the names alone. */
static void put_traces(cJSON *at, const struct config_traces *t) {
    cJSON *traces, *names;

    if (!t->on) {
        (void)cJSON_AddNullToObject(at, "traces");
        return;
    }
    traces = cJSON_AddObjectToObject(at, "traces");
    put_origin(traces, &t->url);
    names = cJSON_AddArrayToObject(traces, "headers");
    for (int i = 0; i < t->header_count; i++)
        (void)cJSON_AddItemToArray(names,
                                   cJSON_CreateString(t->headers[i].name));
    (void)cJSON_AddNumberToObject(traces, "sample", t->sample);
    put_number(traces, "queue", t->queue);
}

cJSON *config_show(const struct config *c) {
    cJSON *json = cJSON_CreateObject(), *log;

    put_listeners(json, c);
    put_models(json, c);
    put_upstreams(json, c);
    put_tools(json, c);
    put_agent(json, c);
    put_limits(json, &c->limits);
    put_audit(json, c);
    put_traces(json, &c->traces);
    log = cJSON_AddObjectToObject(json, "log");
    put_text(log, "level", log_level_name(c->log));
    put_text(log, "format", c->log_format == LOG_JSON ? "json" : "logfmt");
    (void)cJSON_AddBoolToObject(log, "access", c->log_access);
    return json;
}
