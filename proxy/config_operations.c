#include "proxy/config_operations.h"

#include <stdio.h>
#include <string.h>

bool config_read_audit(const struct config_source *s, const cJSON *root,
                       struct config *c) {
    static const char *const keys[] = {"on_error", "days", "bytes_max",
                                       "addresses", NULL};
    const cJSON *map, *node;

    if (!config_read_map(s, root, "audit", keys, &map)) return false;
    if (!map) return true;
    c->audit.on = true;
    node = config_get(map, "on_error");
    if (!config_unset(node)) {
        c->audit.closed =
            cJSON_IsString(node) && !strcmp(node->valuestring, "closed");
        if (!c->audit.closed &&
            !(cJSON_IsString(node) && !strcmp(node->valuestring, "count")))
            return yaml_fail(s->yaml, node, s->err,
                             "on_error must be closed or count");
    }
    return config_read_small(s, map, "days", 0, 36500, &c->audit.days) &&
           config_read_bool(s, map, "addresses", &c->audit.addresses) &&
           config_read_int(s, map, "bytes_max", 1 << 20, (int64_t)1 << 50,
                           &c->audit.bytes_max);
}

/* Each item an address or a block of them. */
static bool read_networks(const struct config_source *s, const cJSON *list,
                          struct proxy_trust *t) {
    const cJSON *item;
    struct err why;

    cJSON_ArrayForEach(item, list) {
        if (t->count == PROXY_NETWORKS_MAX)
            return yaml_fail(s->yaml, item, s->err,
                             "proxy_protocol: more than %d networks",
                             PROXY_NETWORKS_MAX);
        if (!config_check_text(s, item, "proxy_protocol")) return false;
        if (!network_parse(&t->from[t->count++], item->valuestring, &why))
            return yaml_fail(s->yaml, item, s->err, "proxy_protocol: %s",
                             why.text);
    }
    return true;
}

bool config_read_proxy_protocol(const struct config_source *s,
                                const cJSON *root, struct config *c) {
    const cJSON *node = config_get(root, "proxy_protocol");

    if (!cJSON_IsArray(node))
        return config_read_bool(s, root, "proxy_protocol", &c->proxy_trust.on);
    /* An empty list would believe nobody, and so serve nobody. */
    if (!cJSON_GetArraySize(node))
        return yaml_fail(s->yaml, node, s->err,
                         "proxy_protocol: no network is named");
    c->proxy_trust.on = true;
    return read_networks(s, node, &c->proxy_trust);
}

bool config_read_admin(const struct config_source *s, const cJSON *root,
                       struct config *c) {
    static const char *const keys[] = {"listen", "keys", NULL};
    const cJSON *map, *listen;
    char number[24];
    const char *text;
    struct err why;

    if (!config_read_map(s, root, "admin", keys, &map)) return false;
    if (!map) return true;
    listen = config_get(map, "listen");
    if (config_unset(listen))
        return yaml_fail(s->yaml, map, s->err, "admin needs a listen address");
    if (!cJSON_IsNumber(listen) && !config_check_text(s, listen, "listen"))
        return false;
    (void)snprintf(number, sizeof number, "%.0f", listen->valuedouble);
    text = cJSON_IsNumber(listen) ? number : listen->valuestring;
    if (!config_address(text, &c->admin.host, &c->admin.port, &why))
        return yaml_fail(s->yaml, listen, s->err, "listen: %s", why.text);
    return config_read_path(s, map, "keys", &c->admin.keys);
}

bool config_check_admin(const struct config *c, struct err *err) {
    if (!c->admin.host) return true;
    if (!c->admin.keys && !c->keys)
        return err_set_field(
            err, ERR_INPUT, "admin",
            "admin: nobody is let in without a key; name a file of "
            "admin.keys, or of keys");
    if (!c->tls.cert && !c->allow_remote && !config_is_loopback(c->admin.host))
        return err_set_field(
            err, ERR_INPUT, "admin",
            "admin: on %.100s a key could be read on its way; set "
            "tls, or allow_remote: true if that is meant",
            c->admin.host);
    if (c->admin.port && c->admin.port == c->port &&
        !strcmp(c->admin.host, c->host))
        return err_set_field(err, ERR_INPUT, "admin",
                             "admin: needs an address of its own");
    return true;
}

bool config_read_responses(const struct config_source *s, const cJSON *root,
                           struct config *c) {
    static const char *const keys[] = {"memory", "days", NULL};
    const cJSON *map;

    if (!config_read_map(s, root, "responses", keys, &map)) return false;
    return !map ||
           (config_read_bool(s, map, "memory", &c->responses.memory) &&
            config_read_small(s, map, "days", 0, 36500, &c->responses.days));
}

/* A level alone, or a map. */
bool config_read_log(const struct config_source *s, const cJSON *root,
                     struct config *c) {
    static const char *const keys[] = {"level", "format", "access", NULL};
    const cJSON *node = config_get(root, "log"), *map, *level, *format;

    if (config_unset(node)) return true;
    if (cJSON_IsString(node) && log_level_from_name(node->valuestring, &c->log))
        return true;
    if (!cJSON_IsObject(node))
        return yaml_fail(s->yaml, node, s->err,
                         "log must be debug, info, warn, error or off");
    if (!config_read_map(s, root, "log", keys, &map)) return false;
    level = config_get(map, "level");
    if (!config_unset(level) &&
        !(cJSON_IsString(level) &&
          log_level_from_name(level->valuestring, &c->log)))
        return yaml_fail(s->yaml, level, s->err,
                         "level must be debug, info, warn, error or off");
    format = config_get(map, "format");
    if (!config_unset(format) &&
        !(cJSON_IsString(format) &&
          log_format_from_name(format->valuestring, &c->log_format)))
        return yaml_fail(s->yaml, format, s->err,
                         "format must be logfmt or json");
    return config_read_bool(s, map, "access", &c->log_access);
}
