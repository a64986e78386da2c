/* daemon_change.c - everything that can be read again, read again: first all of
 * it, then, if nothing is wrong with any part, all of it in force; otherwise
 * nothing has changed. What stands in the configuration and wants a restart is
 * named, so that nobody believes in a setting that is not in force. */
#include "cli/daemon_change.h"

#include <stdlib.h>
#include <string.h>

#include "cli/places.h"
#include "cli/second_guard.h"
#include "proxy/audit.h"
#include "proxy/auth.h"
#include "proxy/config_loops.h"
#include "proxy/service.h"

struct part {
    const char *name;
    const char *kept; /* the event, when it is kept as it was */
    enum metrics_part metrics;
    enum daemon_files alone; /* when it is read without the others */
    bool (*read)(const struct daemon *d, struct change *c, struct err *err);
    /* What of it wants the loop; may be NULL. */
    bool (*finish)(struct daemon *d, struct change *c, struct err *err);
};

/* ---- the configuration ---- */

/* Settings that are taken over, here. */
static bool is_taken(const char *key) {
    static const char *const taken[] = {
        "log",   "policy",  "tls",       "agent", "limits", "drain_ms",
        "audit", "backend", "upstreams", "keys",  "guard",  "cors_origins"};

    for (size_t i = 0; i < sizeof taken / sizeof *taken; i++)
        if (!strcmp(key, taken[i])) return true;
    return false;
}

static void add_word(struct bytes *list, const char *word) {
    if (list->size) bytes_puts(list, ",");
    bytes_puts(list, word);
}

static void add_inner(struct bytes *list, const char *outer,
                      const char *inner) {
    add_word(list, outer);
    bytes_puts(list, ".");
    bytes_puts(list, inner);
}

/* With `missing`, only that `b` lacks it. */
static bool differs(const cJSON *a, const cJSON *b, bool missing) {
    return !b || (!missing && !cJSON_Compare(a, b, true));
}

/* Of one setting that is a map on both sides: which of its own. */
static void add_inside(struct bytes *list, const char *name, const cJSON *a,
                       const cJSON *b, bool missing) {
    const cJSON *item;

    cJSON_ArrayForEach(item, a) {
        const cJSON *other = cJSON_GetObjectItemCaseSensitive(b, item->string);

        if (differs(item, other, missing)) add_inner(list, name, item->string);
    }
}

/* Keys of `a` that stand otherwise in `b`; with `missing`, only those that `b`
 * lacks, since the others have been seen from its side. */
static void add_differing(struct bytes *list, const cJSON *a, const cJSON *b,
                          bool missing) {
    const cJSON *item;

    if (!cJSON_IsObject(a)) return;
    cJSON_ArrayForEach(item, a) {
        const cJSON *other = cJSON_GetObjectItemCaseSensitive(b, item->string);

        if (is_taken(item->string)) continue;
        if (cJSON_IsObject(item) && cJSON_IsObject(other))
            add_inside(list, item->string, item, other, missing);
        else if (differs(item, other, missing))
            add_word(list, item->string);
    }
}

static bool same_engine(const struct config *a, const struct config *b) {
    return (a->backend == BACKEND_ENGINE) == (b->backend == BACKEND_ENGINE);
}

/* All but the thresholds was opened at the start. */
static void note_guard(const struct config *now, struct change *c) {
    const cJSON *guard[2] = {
        cJSON_GetObjectItemCaseSensitive(yaml_root(now->yaml), "guard"),
        cJSON_GetObjectItemCaseSensitive(yaml_root(c->fresh.yaml), "guard")};
    cJSON *copy[2];

    for (int i = 0; i < 2; i++) {
        copy[i] = cJSON_IsObject(guard[i]) ? cJSON_Duplicate(guard[i], true)
                                           : cJSON_CreateObject();
        cJSON_DeleteItemFromObjectCaseSensitive(copy[i], "thresholds");
    }
    if (!cJSON_Compare(copy[0], copy[1], true)) add_word(&c->restart, "guard");
    for (int i = 0; i < 2; i++) cJSON_Delete(copy[i]);
}

/* The file that the process began with stays: parts of it are in use. */
static void note_restart(const struct config *now, struct change *c) {
    const struct config *fresh = &c->fresh;

    if (now->yaml && fresh->yaml) {
        const cJSON *a = yaml_root(now->yaml), *b = yaml_root(fresh->yaml);

        add_differing(&c->restart, b, a, false);
        add_differing(&c->restart, a, b, true);
        note_guard(now, c);
    }
    if (!now->tls.cert != !fresh->tls.cert) add_word(&c->restart, "tls");
    if (now->audit.on != fresh->audit.on) add_word(&c->restart, "audit");
    if (now->audit.addresses != fresh->audit.addresses)
        add_word(&c->restart, "audit.addresses");
    if (now->audit.bytes_max != fresh->audit.bytes_max)
        add_word(&c->restart, "audit.bytes_max");
    if (!same_engine(now, fresh)) add_word(&c->restart, "backend");
    /* What listens may be open to others, who would then need none. */
    if (now->keys && !fresh->keys) add_word(&c->restart, "keys");
}

static bool read_config(const struct daemon *d, struct change *c,
                        struct err *err) {
    if (!d->again) return true;
    config_init(&c->fresh);
    c->has_config = d->again->read(d->again->user, &c->fresh, err);
    return c->has_config;
}

/* The other loops' own connections to the same upstreams. */
static bool share_models(struct daemon *d, struct change *c, struct err *err) {
    bool ok;

    c->sharer = d;
    daemon_hold_loops(d);
    ok = daemon_share_models(d, c->models, c->shared, err);
    daemon_release_loops(d);
    return ok;
}

static bool finish_config(struct daemon *d, struct change *c, struct err *err) {
    if (!c->has_config) return true;
    note_restart(d->config, c);
    if (!same_engine(d->config, &c->fresh) || models_same(d->models, &c->fresh))
        return true;
    /* The loops there are, whatever the file says of the next start. */
    if (!config_check_shares(&c->fresh, daemon_loop_count(d), err))
        return false;
    c->models = daemon_read_models(d, &c->fresh, err);
    return c->models && share_models(d, c, err);
}

/* What the other parts are read by. */
static const struct config *config_of(const struct daemon *d,
                                      const struct change *c) {
    return c->has_config ? &c->fresh : d->config;
}

/* ---- the other parts ---- */

static bool read_policy(const struct daemon *d, struct change *c,
                        struct err *err) {
    c->policy_path = c->files == DAEMON_POLICY
                         ? xstrdup(d->policy_path)
                         : places_policy(config_of(d, c)->policy, err);
    if (c->policy_path) c->policy = policy_open(c->policy_path, err);
    return c->policy && guard_fits(d->guard, c->policy, err);
}

/* A folder is watched for any file, so that perhaps none of them is the
 * policy's. The one in force stays then, and nothing is heard under another. */
static bool finish_policy(struct daemon *d, struct change *c, struct err *err) {
    (void)err;
    if (c->files != DAEMON_POLICY ||
        strcmp(policy_revision(c->policy), policy_revision(d->policy)) != 0)
        return true;
    policy_free(c->policy);
    c->policy = NULL;
    return true;
}

/* A key must be revoked in spite of a policy of another one that is wrong. */
static void read_standing(const struct auth *a, struct change *c, int which) {
    const char *path = a ? auth_path(a) : NULL;
    struct err err = {0};

    c->has_standing[which] = path && keys_read(&c->standing[which], path, &err);
}

static bool read_keys(const struct daemon *d, struct change *c,
                      struct err *err) {
    const char *path = c->has_config ? c->fresh.keys : NULL;

    if (!path) path = auth_path(d->auth);
    c->keys = auth_read(d->auth, path, err);
    if (c->keys && d->admin_auth)
        c->admin_keys = auth_read(d->admin_auth, auth_path(d->admin_auth), err);
    if (c->keys && (c->admin_keys || !d->admin_auth)) return true;
    read_standing(d->auth, c, 0);
    read_standing(d->admin_auth, c, 1);
    return false;
}

static void withdraw_keys(struct daemon *d, const struct change *c) {
    struct auth *const auths[2] = {d->auth, d->admin_auth};

    if (!c->has_standing[0] && !c->has_standing[1]) return;
    daemon_hold_loops(d);
    for (int i = 0; i < 2; i++)
        if (c->has_standing[i]) auth_withdraw(auths[i], &c->standing[i]);
    daemon_release_loops(d);
    daemon_tell_keys(d);
}

static bool read_tls(const struct daemon *d, struct change *c,
                     struct err *err) {
    const struct config *from = config_of(d, c);

    if (!d->tls || !from->tls.cert) return true;
    c->tls = tls_context_serve(from->tls.cert, from->tls.key,
                               from->tls.client_ca, err);
    return c->tls != NULL;
}

static const struct part parts[CHANGE_PARTS] = {
    {"configuration", "configuration_kept", PART_CONFIG, DAEMON_ALL,
     read_config, finish_config},
    {"policy", "policy_kept", PART_POLICY, DAEMON_POLICY, read_policy,
     finish_policy},
    {"keys", "keys_kept", PART_KEYS, DAEMON_KEYS, read_keys, NULL},
    {"certificate", "certificate_kept", PART_CERTIFICATE, DAEMON_ALL, read_tls,
     NULL},
};

static bool concerns(const struct change *c, int part) {
    return c->files == DAEMON_ALL || c->files == parts[part].alone;
}

/* ---- in force ---- */

static void swap(char **a, char **b) {
    char *was = *a;

    *a = *b;
    *b = was;
}

static void take_origins(struct daemon *d, struct config *fresh) {
    struct config *c = d->config;
    int count;

    for (int i = 0; i < daemon_loop_count(d); i++)
        server_set_origins(daemon_server(d, i),
                           (const char *const *)fresh->origins,
                           fresh->origin_count);
    for (int i = 0; i < CONFIG_ORIGINS_MAX; i++)
        swap(&c->origins[i], &fresh->origins[i]);
    count = c->origin_count;
    c->origin_count = fresh->origin_count;
    fresh->origin_count = count;
}

static void take_config(struct daemon *d, struct change *change) {
    struct config *c = d->config, *fresh = &change->fresh;
    const struct service_turns turns = {
        fresh->agent.compact, fresh->agent.steps, fresh->agent.tool_calls,
        fresh->agent.seconds, fresh->agent.tokens};

    if (change->models) {
        daemon_take_models(d, change->models, fresh);
        daemon_take_shared(d, change->shared);
        change->models = NULL;
        change->sharer = NULL;
    }
    c->log = fresh->log;
    c->log_format = fresh->log_format;
    c->log_access = fresh->log_access;
    c->console = fresh->console;
    log_set_level(c->log);
    log_set_format(c->log_format);
    c->agent = fresh->agent;
    c->limits = fresh->limits;
    for (int i = 0; i < daemon_loop_count(d); i++) {
        service_set_turns(daemon_service(d, i), &turns);
        service_log_requests(daemon_service(d, i), c->log_access);
        service_show_console(daemon_service(d, i), c->console);
        server_set_limits(daemon_server(d, i), &c->limits);
    }
    if (d->admin_server) server_set_limits(d->admin_server, &c->limits);
    c->drain_ms = fresh->drain_ms;
    c->audit.closed = fresh->audit.closed;
    c->audit.days = fresh->audit.days;
    audit_set(d->audit, c->audit.closed, c->audit.days);
    swap(&c->policy, &fresh->policy);
    if (fresh->keys) swap(&c->keys, &fresh->keys);
    take_origins(d, fresh);
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
    const char *now = auth_path(d->auth);
    char *before = now ? xstrdup(now) : NULL;

    auth_take(d->auth, c->keys);
    now = auth_path(d->auth);
    if (now && (!before || strcmp(before, now) != 0)) daemon_watch_keys(d);
    free(before);
    if (c->admin_keys) auth_take(d->admin_auth, c->admin_keys);
    c->keys = c->admin_keys = NULL;
    daemon_tell_keys(d);
}

static void take_tls(struct daemon *d, struct change *c) {
    struct tls_context *before = d->tls;

    if (!c->tls) return;
    d->tls = c->tls;
    c->tls = NULL;
    for (int i = 0; i < daemon_loop_count(d); i++)
        server_set_tls(daemon_server(d, i), d->tls);
    if (d->admin_server) server_set_tls(d->admin_server, d->tls);
    tls_context_close(before);
    log_event(LOG_INFO, "certificate", "file=%s", d->config->tls.cert);
}

void change_take_guard(struct daemon *d, const struct change *c) {
    struct config *now = d->config;

    if (!c->has_config) return;
    memcpy(now->guard.thresholds, c->fresh.guard.thresholds,
           sizeof now->guard.thresholds);
    daemon_hold_loops(d);
    for (int i = 0; i < daemon_loop_count(d); i++)
        second_guard_set(daemon_second_guard(d, i), now->guard.thresholds);
    daemon_release_loops(d);
}

static void take_policy(struct daemon *d, struct change *c) {
    daemon_take_policy(d, c->policy, c->policy_path);
    c->policy = NULL;
    c->policy_path = NULL;
}

static void take(struct daemon *d, struct change *c) {
    if (c->files == DAEMON_POLICY && !c->policy) return; /* see finish_policy */
    if (c->has_config) take_config(d, c);
    if (c->policy) take_policy(d, c);
    if (c->keys) take_keys(d, c);
    take_tls(d, c);
    for (int i = 0; i < CHANGE_PARTS; i++)
        if (concerns(c, i)) metrics_reload(d->metrics, parts[i].metrics, true);
}

/* On all loops at once. */
void change_take(struct daemon *d, struct change *c) {
    daemon_hold_loops(d);
    take(d, c);
    daemon_release_loops(d);
}

/* What is the other loops' own is closed while they are held, as it was made.
 */
static void close_shared(struct change *c) {
    if (!c->sharer) return;
    daemon_hold_loops(c->sharer);
    for (int i = 0; i < CONFIG_LOOPS_MAX; i++) models_close(c->shared[i]);
    daemon_release_loops(c->sharer);
}

void change_clear(struct change *c) {
    close_shared(c);
    models_close(c->models); /* borrows from the configuration */
    config_clear(&c->fresh);
    policy_free(c->policy);
    free(c->policy_path);
    tls_context_close(c->tls);
    auth_change_free(c->keys);
    auth_change_free(c->admin_keys);
    for (int i = 0; i < 2; i++) keys_clear(&c->standing[i]);
    bytes_free(&c->restart);
}

/* ---- from the files ---- */

void change_read(const struct daemon *d, struct change *c) {
    for (int i = 0; i < CHANGE_PARTS; i++)
        c->ok[i] = !concerns(c, i) || parts[i].read(d, c, &c->errs[i]);
}

static void tell_kept(struct daemon *d, const struct change *c, int part) {
    char quoted[ERR_TEXT_MAX];

    metrics_reload(d->metrics, parts[part].metrics, false);
    log_event(LOG_ERROR, parts[part].kept, "reason=%s",
              log_quote(c->errs[part].text, quoted, sizeof quoted));
}

bool change_finish(struct daemon *d, struct change *c) {
    bool all = true;

    for (int i = 0; i < CHANGE_PARTS; i++) {
        if (c->ok[i] && concerns(c, i) && parts[i].finish)
            c->ok[i] = parts[i].finish(d, c, &c->errs[i]);
        if (!c->ok[i]) tell_kept(d, c, i);
        all &= c->ok[i];
    }
    withdraw_keys(d, c);
    return all;
}

void change_policies(const struct change *c,
                     void (*on_policy)(void *user, const struct policy *p),
                     void *user) {
    if (c->policy) on_policy(user, c->policy);
    if (c->keys) auth_change_policies(c->keys, on_policy, user);
}

cJSON *change_report(const struct change *c) {
    cJSON *out = cJSON_CreateObject();

    for (int i = 0; i < CHANGE_PARTS; i++) {
        cJSON *part;

        if (!concerns(c, i)) continue;
        part = cJSON_AddObjectToObject(out, parts[i].name);
        (void)cJSON_AddBoolToObject(part, "ok", c->ok[i]);
        if (!c->ok[i])
            (void)cJSON_AddStringToObject(part, "reason", c->errs[i].text);
    }
    return out;
}

const struct err *change_error(const struct change *c) {
    for (int i = 0; i < CHANGE_PARTS; i++)
        if (!c->ok[i]) return &c->errs[i];
    return NULL;
}
