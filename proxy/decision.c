#include "proxy/decision.h"

#include <string.h>

#include "proxy/conn.h"
#include "proxy/metrics.h"
#include "proxy/tracing.h"

static enum metrics_channel metrics_channel_of(enum channel channel) {
    switch (channel) {
    case CHANNEL_OUTPUT:
        return METRICS_OUTPUT;
    case CHANNEL_TOOL_CALL:
        return METRICS_TOOL_CALL;
    case CHANNEL_TOOL_RESULT:
    case CHANNEL_DOCUMENT:
    case CHANNEL_DEFINITION:
        return METRICS_TOOL_RESULT;
    case CHANNEL_INPUT:
    case CHANNEL_COUNT:
        break;
    }
    return METRICS_INPUT;
}

static enum metrics_result result_of(enum channel channel,
                                     enum verdict_action action) {
    switch (action) {
    case VERDICT_BLOCK:
        return RESULT_BLOCKED;
    case VERDICT_ASK: /* elsewhere nobody is asked */
        return channel == CHANNEL_TOOL_CALL ? RESULT_ASKED : RESULT_BLOCKED;
    case VERDICT_REDACT:
        return RESULT_REDACTED;
    case VERDICT_FLAG:
        return RESULT_FLAGGED;
    case VERDICT_ALLOW:
        break;
    }
    return RESULT_ALLOWED;
}

static bool failed(const struct verdict *v) {
    return v->action == VERDICT_BLOCK && v->cause == VERDICT_CAUSE_UNAVAILABLE;
}

/* Of the whole, or of one check's findings: the most severe that acts; a
 * shadow shows only where it would have blocked. */
static enum metrics_result outcome(enum channel channel,
                                   const struct verdict *v, const char *check) {
    enum verdict_action worst = check ? VERDICT_ALLOW : v->action;
    bool would_block = false;

    if (failed(v)) return RESULT_UNAVAILABLE;
    for (int i = 0; i < v->finding_count; i++) {
        const struct finding *f = &v->findings[i];

        if (check && strcmp(f->check, check) != 0) continue;
        if (f->shadow)
            would_block = would_block || f->action == VERDICT_BLOCK;
        else if (check && f->action < worst)
            worst = f->action;
    }
    return worst == VERDICT_ALLOW && would_block ? RESULT_WOULD_BLOCK
                                                 : result_of(channel, worst);
}

static enum stage stage_of(enum check_kind kind) {
    switch (kind) {
    case CHECK_RULES:
        return STAGE_RULES;
    case CHECK_ENTITIES:
        return STAGE_ENTITIES;
    case CHECK_CLASSIFIER:
    case CHECK_EXAMPLES:
        break;
    }
    return STAGE_CLASSIFY;
}

/* Checks of one kind are made in one go, so each took what its stage took. One
 * whose stage was not asked has no outcome. */
static void count_checks(struct metrics *m, const struct decision *d,
                         const struct verdict *v) {
    for (int i = 0; i < policy_check_count(d->policy); i++) {
        const struct check *check = policy_check(d->policy, i);
        uint32_t us = v->stage_us[stage_of(check->kind)];
        enum metrics_result result;

        if (!check->on[d->channel]) continue;
        result = outcome(d->channel, v, check->id);
        if (!us && result == RESULT_ALLOWED) continue;
        metrics_check(m, check->id, result, us / 1e6);
    }
}

static void remember(struct conn *c, const struct verdict *v) {
    struct pass *pass = conn_pass(c);

    if (*pass->decision && v->action >= pass->action) return;
    memcpy(pass->decision, v->id, sizeof v->id);
    pass->action = v->action;
    pass->failed = failed(v);
}

void decision_note(struct metrics *m, struct audit *a, const struct decision *d,
                   const struct verdict *v) {
    audit_decision(a, &d->subject, d->channel, v, d->ns, d->hash);
    metrics_verdict(m, metrics_channel_of(d->channel),
                    outcome(d->channel, v, NULL), (double)d->ns / 1e9);
    count_checks(m, d, v);
    if (!d->conn) return;
    remember(d->conn, v);
    tracing_verdict(d->conn, d->channel, v, d->ns);
}
