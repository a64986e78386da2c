/* daemon_reload.c - what a running server reads again because a file has
 * changed: the policy, or the keys. Each is checked as a whole and then
 * swapped, or kept as it was. What a SIGHUP reads is daemon_change.c's. */
#include <stdlib.h>
#include <string.h>

#include "cli/daemon_state.h"
#include "cli/policy_watch.h"
#include "proxy/audit.h"
#include "proxy/auth.h"
#include "proxy/service.h"

static void kept(const char *event, const struct err *err) {
    char quoted[ERR_TEXT_MAX];

    log_event(LOG_ERROR, event, "reason=%s",
              log_quote(err->text, quoted, sizeof quoted));
}

void daemon_take_policy(struct daemon *d, struct policy *policy, char *path) {
    service_set_policy(d->service, policy);
    policy_free(d->policy);
    d->policy = policy;
    if (path && strcmp(path, d->policy_path) != 0) {
        char *before = d->policy_path;

        d->policy_path = path;
        path = before;
        policy_watch_close(d->watch);
        daemon_watch_policy(d);
    }
    free(path);
    audit_event(d->audit, "policy", policy_revision(policy));
    log_event(LOG_INFO, "policy", "revision=%s", policy_revision(policy));
}

/* Perhaps no file that is the policy's. */
void daemon_reload_policy(struct daemon *d) {
    struct err err = {0};
    struct policy *policy = policy_open(d->policy_path, &err);

    if (!policy || !guard_fits(d->guard, policy, &err)) {
        policy_free(policy);
        metrics_reload(d->metrics, PART_POLICY, false);
        kept("policy_kept", &err);
    } else if (!strcmp(policy_revision(policy), policy_revision(d->policy))) {
        policy_free(policy);
    } else {
        metrics_reload(d->metrics, PART_POLICY, true);
        daemon_take_policy(d, policy, NULL);
    }
}

void daemon_tell_keys(struct daemon *d) {
    audit_event(d->audit, "keys", "");
    log_event(LOG_INFO, "keys", "count=%d", auth_key_count(d->auth));
}

bool daemon_reload_keys(struct daemon *d, struct err *err) {
    bool ok = auth_reload(d->auth, err) &&
              (!d->admin_auth || auth_reload(d->admin_auth, err));

    metrics_reload(d->metrics, PART_KEYS, ok);
    if (ok)
        daemon_tell_keys(d);
    else
        kept("keys_kept", err);
    return ok;
}
