/* daemon_change.c - everything that can be read again, read again: first all of
 * it, then, if nothing is wrong with any part, all of it in force; otherwise
 * nothing has changed. What stands in the configuration and wants a restart is
 * named, so that nobody believes in a setting that is not in force. */
#include <stdlib.h>
#include <string.h>

#include "cli/daemon_state.h"
#include "cli/places.h"
#include "proxy/audit.h"
#include "proxy/auth.h"
#include "proxy/service.h"

struct change {
    struct config fresh;
    bool has_config; /* there is a file, and it was read */
    struct model_set *models;
    struct policy *policy;
    char *policy_path;
    struct tls_context *tls;
    struct auth_change *keys, *admin_keys;
    struct bytes restart; /* settings that wait for one, with commas */
};

enum { PARTS = 4 };

struct part {
    const char *name;
    const char *kept; /* the event, when it is kept as it was */
    enum metrics_part metrics;
    bool (*read)(struct daemon *d, struct change *c, struct err *err);
};

/* ---- the configuration ---- */

/* Settings that are taken over, here. */
static bool is_taken(const char *key) {
    static const char *const taken[] = {"log",   "policy",  "tls",
                                        "agent", "limits",  "drain_ms",
                                        "audit", "backend", "upstreams"};

    for (size_t i = 0; i < sizeof taken / sizeof *taken; i++)
        if (!strcmp(key, taken[i])) return true;
    return false;
}

static void add_word(struct bytes *list, const char *word) {
    if (list->size) bytes_puts(list, ",");
    bytes_puts(list, word);
}

/* Keys of `a` that stand otherwise in `b`; with `missing`, only those that `b`
 * lacks, since the others have been seen from its side. */
static void add_differing(struct bytes *list, const cJSON *a, const cJSON *b,
                          bool missing) {
    const cJSON *item;

    if (!cJSON_IsObject(a)) return;
    cJSON_ArrayForEach(item, a) {
        const cJSON *other = cJSON_GetObjectItemCaseSensitive(b, item->string);

        if (is_taken(item->string) || (missing && other)) continue;
        if (!other || !cJSON_Compare(item, other, true))
            add_word(list, item->string);
    }
}

static bool same_engine(const struct config *a, const struct config *b) {
    return (a->backend == BACKEND_ENGINE) == (b->backend == BACKEND_ENGINE);
}

/* The file that the process began with stays: parts of it are in use. */
static void note_restart(const struct config *now, struct change *c) {
    const struct config *fresh = &c->fresh;

    if (now->yaml && fresh->yaml) {
        const cJSON *a = yaml_root(now->yaml), *b = yaml_root(fresh->yaml);

        add_differing(&c->restart, b, a, false);
        add_differing(&c->restart, a, b, true);
    }
    if (!now->tls.cert != !fresh->tls.cert) add_word(&c->restart, "tls");
    if (now->audit.on != fresh->audit.on) add_word(&c->restart, "audit");
    if (now->audit.addresses != fresh->audit.addresses)
        add_word(&c->restart, "audit.addresses");
    if (now->audit.bytes_max != fresh->audit.bytes_max)
        add_word(&c->restart, "audit.bytes_max");
    if (!same_engine(now, fresh)) add_word(&c->restart, "backend");
}

static bool read_config(struct daemon *d, struct change *c, struct err *err) {
    if (!d->again) return true;
    config_init(&c->fresh);
    c->has_config = d->again->read(d->again->user, &c->fresh, err);
    if (!c->has_config) return false;
    note_restart(d->config, c);
    if (!same_engine(d->config, &c->fresh) || models_same(d->models, &c->fresh))
        return true;
    c->models = daemon_read_models(d, &c->fresh, err);
    return c->models != NULL;
}

/* What the other parts are read by. */
static const struct config *config_of(const struct daemon *d,
                                      const struct change *c) {
    return c->has_config ? &c->fresh : d->config;
}

/* ---- the other parts ---- */

static bool read_policy(struct daemon *d, struct change *c, struct err *err) {
    c->policy_path = places_policy(config_of(d, c)->policy, err);
    if (c->policy_path) c->policy = policy_open(c->policy_path, err);
    return c->policy && guard_fits(d->guard, c->policy, err);
}

static bool read_keys(struct daemon *d, struct change *c, struct err *err) {
    c->keys = auth_read(d->auth, err);
    if (c->keys && d->admin_auth) c->admin_keys = auth_read(d->admin_auth, err);
    return c->keys && (c->admin_keys || !d->admin_auth);
}

static bool read_tls(struct daemon *d, struct change *c, struct err *err) {
    const struct config *from = config_of(d, c);

    if (!d->tls || !from->tls.cert) return true;
    c->tls = tls_context_serve(from->tls.cert, from->tls.key,
                               from->tls.client_ca, err);
    return c->tls != NULL;
}

static const struct part parts[PARTS] = {
    {"configuration", "configuration_kept", PART_CONFIG, read_config},
    {"policy", "policy_kept", PART_POLICY, read_policy},
    {"keys", "keys_kept", PART_KEYS, read_keys},
    {"certificate", "certificate_kept", PART_CERTIFICATE, read_tls},
};

/* ---- in force ---- */

static void swap(char **a, char **b) {
    char *was = *a;

    *a = *b;
    *b = was;
}

static void take_config(struct daemon *d, struct change *change) {
    struct config *c = d->config, *fresh = &change->fresh;
    const struct service_turns turns = {
        fresh->agent.compact, fresh->agent.steps, fresh->agent.tool_calls,
        fresh->agent.seconds, fresh->agent.tokens};

    if (change->models) daemon_take_models(d, change->models, fresh);
    change->models = NULL;
    c->log = fresh->log;
    c->log_format = fresh->log_format;
    c->log_access = fresh->log_access;
    log_set_level(c->log);
    log_set_format(c->log_format);
    c->agent = fresh->agent;
    service_set_turns(d->service, &turns);
    service_log_requests(d->service, c->log_access);
    c->limits = fresh->limits;
    server_set_limits(d->server, &c->limits);
    if (d->admin_server) server_set_limits(d->admin_server, &c->limits);
    c->drain_ms = fresh->drain_ms;
    c->audit.closed = fresh->audit.closed;
    c->audit.days = fresh->audit.days;
    audit_set(d->audit, c->audit.closed, c->audit.days);
    swap(&c->policy, &fresh->policy);
    if (change->tls) {
        swap(&c->tls.cert, &fresh->tls.cert);
        swap(&c->tls.key, &fresh->tls.key);
        swap(&c->tls.client_ca, &fresh->tls.client_ca);
    }
    audit_event(d->audit, "configuration", "");
    log_event(LOG_INFO, "configuration", "ok=true");
    if (change->restart.size) {
        bytes_put(&change->restart, (struct span){"", 1});
        log_event(LOG_WARN, "restart_needed", "settings=%s",
                  change->restart.at);
    }
}

static void take_keys(struct daemon *d, struct change *c) {
    auth_take(d->auth, c->keys);
    if (c->admin_keys) auth_take(d->admin_auth, c->admin_keys);
    c->keys = c->admin_keys = NULL;
    daemon_tell_keys(d);
}

static void take_tls(struct daemon *d, struct change *c) {
    struct tls_context *before = d->tls;

    if (!c->tls) return;
    d->tls = c->tls;
    c->tls = NULL;
    server_set_tls(d->server, d->tls);
    if (d->admin_server) server_set_tls(d->admin_server, d->tls);
    tls_context_close(before);
    log_event(LOG_INFO, "certificate", "file=%s", d->config->tls.cert);
}

static void take(struct daemon *d, struct change *c) {
    if (c->has_config) take_config(d, c);
    daemon_take_policy(d, c->policy, c->policy_path);
    c->policy = NULL;
    c->policy_path = NULL;
    take_keys(d, c);
    take_tls(d, c);
    for (int i = 0; i < PARTS; i++)
        metrics_reload(d->metrics, parts[i].metrics, true);
}

static void clear(struct change *c) {
    models_close(c->models); /* borrows from the configuration */
    config_clear(&c->fresh);
    policy_free(c->policy);
    free(c->policy_path);
    tls_context_close(c->tls);
    auth_change_free(c->keys);
    auth_change_free(c->admin_keys);
    bytes_free(&c->restart);
}

/* ---- both ---- */

static cJSON *part_json(bool ok, const struct err *err) {
    cJSON *json = cJSON_CreateObject();

    (void)cJSON_AddBoolToObject(json, "ok", ok);
    if (!ok) (void)cJSON_AddStringToObject(json, "reason", err->text);
    return json;
}

static bool read_part(struct daemon *d, struct change *c,
                      const struct part *part, cJSON *out) {
    char quoted[ERR_TEXT_MAX];
    struct err err = {0};
    bool ok = part->read(d, c, &err);

    if (out) (void)cJSON_AddItemToObject(out, part->name, part_json(ok, &err));
    if (ok) return true;
    metrics_reload(d->metrics, part->metrics, false);
    log_event(LOG_ERROR, part->kept, "reason=%s",
              log_quote(err.text, quoted, sizeof quoted));
    return false;
}

bool daemon_reload(struct daemon *d, cJSON *out) {
    struct change c = {0};
    bool ok = true;

    for (int i = 0; i < PARTS; i++) ok &= read_part(d, &c, &parts[i], out);
    if (ok) take(d, &c);
    clear(&c);
    return ok;
}
