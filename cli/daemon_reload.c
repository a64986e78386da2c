/* daemon_reload.c - what a running server reads again: by SIGHUP, by a change
 * of a file, by administration. Each part is checked as a whole and then
 * swapped, or kept as it was. */
#include <string.h>

#include "cli/daemon_state.h"
#include "proxy/audit.h"
#include "proxy/auth.h"
#include "proxy/service.h"

/* Log that a part was kept; returns false. */
static bool kept(const char *event, const struct err *err) {
    char quoted[ERR_TEXT_MAX];

    log_event(LOG_ERROR, event, "reason=%s",
              log_quote(err->text, quoted, sizeof quoted));
    return false;
}

bool daemon_reload_policy(struct daemon *d, bool changed, struct err *err) {
    struct policy *policy = policy_open(d->policy_path, err);

    if (!policy || !guard_fits(d->guard, policy, err)) {
        policy_free(policy);
        metrics_reload(d->metrics, PART_POLICY, false);
        return kept("policy_kept", err);
    }
    if (changed &&
        !strcmp(policy_revision(policy), policy_revision(d->policy))) {
        policy_free(policy);
        return true;
    }
    metrics_reload(d->metrics, PART_POLICY, true);
    service_set_policy(d->service, policy);
    policy_free(d->policy);
    d->policy = policy;
    audit_event(d->audit, "policy", policy_revision(policy));
    log_event(LOG_INFO, "policy", "revision=%s", policy_revision(policy));
    return true;
}

bool daemon_reload_keys(struct daemon *d, struct err *err) {
    bool ok = auth_reload(d->auth, err) &&
              (!d->admin_auth || auth_reload(d->admin_auth, err));

    metrics_reload(d->metrics, PART_KEYS, ok);
    if (!ok) return kept("keys_kept", err);
    audit_event(d->audit, "keys", "");
    log_event(LOG_INFO, "keys", "count=%d", auth_key_count(d->auth));
    return true;
}

bool daemon_open_tls(struct daemon *d, struct err *err) {
    const struct config *c = d->config;

    if (!c->tls.cert) return true;
    d->tls = tls_context_serve(c->tls.cert, c->tls.key, c->tls.client_ca, err);
    return d->tls != NULL;
}

/* A certificate was renewed: connections from now on get the new one. */
static bool reload_tls(struct daemon *d, struct err *err) {
    struct tls_context *before = d->tls;

    if (!before) return true;
    if (!daemon_open_tls(d, err)) {
        d->tls = before;
        metrics_reload(d->metrics, PART_CERTIFICATE, false);
        return kept("certificate_kept", err);
    }
    metrics_reload(d->metrics, PART_CERTIFICATE, true);
    server_set_tls(d->server, d->tls);
    if (d->admin_server) server_set_tls(d->admin_server, d->tls);
    tls_context_close(before);
    log_event(LOG_INFO, "certificate", "file=%s", d->config->tls.cert);
    return true;
}

static bool tell(cJSON *parts, const char *name, bool ok,
                 const struct err *err) {
    cJSON *part;

    if (!parts) return ok;
    part = cJSON_AddObjectToObject(parts, name);
    (void)cJSON_AddBoolToObject(part, "ok", ok);
    if (!ok) (void)cJSON_AddStringToObject(part, "reason", err->text);
    return ok;
}

bool daemon_reload(struct daemon *d, cJSON *parts) {
    struct err policy = {0}, keys = {0}, tls = {0};
    bool ok = true;

    ok &=
        tell(parts, "policy", daemon_reload_policy(d, false, &policy), &policy);
    ok &= tell(parts, "keys", daemon_reload_keys(d, &keys), &keys);
    ok &= tell(parts, "certificate", reload_tls(d, &tls), &tls);
    return ok;
}
