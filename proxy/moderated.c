#include "proxy/moderated.h"

#include <stdio.h>
#include <string.h>

static const cJSON *get(const cJSON *json, const char *key) {
    return json_field(json, key);
}

static bool bad(struct err *err, const char *field, const char *reason) {
    return err_set_field(err, ERR_INPUT, field, "%s: %s", field, reason);
}

static bool read_mode(const cJSON *policy, const char *side, bool *blocks,
                      struct err *err) {
    const cJSON *json = get(policy, side);
    const char *mode = NULL;
    char field[ERR_FIELD_MAX];

    (void)snprintf(field, sizeof field, "moderation.policy.%s", side);
    if (!json || cJSON_IsNull(json)) return true;
    if (!cJSON_IsObject(json)) return bad(err, field, "expected an object");
    if (!json_get_string(json, field, "mode", &mode, err)) return false;
    (void)snprintf(field, sizeof field, "moderation.policy.%s.mode", side);
    if (!mode || (strcmp(mode, "score") != 0 && strcmp(mode, "block") != 0))
        return bad(err, field, "expected score or block");
    *blocks = !strcmp(mode, "block");
    return true;
}

bool moderated_parse(const cJSON *body, struct moderated *out,
                     struct err *err) {
    const cJSON *json = get(body, "moderation"), *policy;
    const char *model = NULL;

    if (!json || cJSON_IsNull(json)) return true;
    if (!cJSON_IsObject(json))
        return bad(err, "moderation", "expected an object");
    policy = get(json, "policy");
    if (!json_get_string(json, "moderation", "model", &model, err))
        return false;
    if (!model || !*model) return bad(err, "moderation.model", "missing");
    if (policy && !cJSON_IsNull(policy) && !cJSON_IsObject(policy))
        return bad(err, "moderation.policy", "expected an object");
    out->wanted = true;
    return read_mode(policy, "input", &out->blocks_input, err) &&
           read_mode(policy, "output", &out->blocks_output, err);
}

void moderated_note(struct moderated *m, enum channel channel, int choice,
                    const struct verdict *v) {
    if (!m->wanted) return;
    if (channel == CHANNEL_INPUT) moderation_result_add(&m->input, v);
    if (channel == CHANNEL_OUTPUT)
        moderation_result_add(&m->outputs[choice], v);
}

bool moderated_harden(const struct moderated *m, enum channel channel,
                      struct verdict *v) {
    bool wanted = channel == CHANNEL_INPUT    ? m->blocks_input
                  : channel == CHANNEL_OUTPUT ? m->blocks_output
                                              : false;
    bool changed = false;

    if (!wanted || v->cause == VERDICT_CAUSE_UNAVAILABLE) return false;
    for (int i = 0; i < v->finding_count; i++) {
        struct finding *f = &v->findings[i];

        if (!moderation_flags(f)) continue;
        changed = changed || f->shadow || f->action != VERDICT_BLOCK;
        f->shadow = false;
        f->action = VERDICT_BLOCK;
    }
    if (changed) v->action = VERDICT_BLOCK;
    return changed;
}

bool moderated_holds(const struct moderated *m, const struct policy *p) {
    if (!m->blocks_output) return false;
    if (policy_shadow(p) || policy_stream_trail(p)) return true;
    for (int i = 0; i < policy_check_count(p); i++) {
        const struct check *c = policy_check(p, i);

        if (c->on[CHANNEL_OUTPUT] && (c->shadow || c->action == VERDICT_FLAG))
            return true;
    }
    return false;
}

/* ---- the answer ---- */

static cJSON *not_judged(void) {
    cJSON *json = cJSON_CreateObject();

    (void)cJSON_AddStringToObject(json, "type", "error");
    (void)cJSON_AddStringToObject(json, "code", "not_judged");
    (void)cJSON_AddStringToObject(json, "message",
                                  "There was nothing to judge, or the guard "
                                  "could not.");
    return json;
}

static cJSON *side_json(const struct moderation_result *results, int count,
                        bool bare) {
    cJSON *json, *list;
    int judged = 0;

    for (int i = 0; i < count; i++) judged += results[i].judged;
    if (!judged) return not_judged();
    if (bare) return moderation_result_json(&results[0], true);
    json = cJSON_CreateObject();
    (void)cJSON_AddStringToObject(json, "type", "moderation_results");
    (void)cJSON_AddStringToObject(json, "model", MODERATION_MODEL);
    list = cJSON_AddArrayToObject(json, "results");
    for (int i = 0; i < count; i++)
        if (results[i].judged)
            (void)cJSON_AddItemToArray(
                list, moderation_result_json(&results[i], true));
    return json;
}

bool moderated_put(const struct moderated *m, int choices, bool bare,
                   struct bytes *out, struct err *err) {
    cJSON *json;
    bool ok;

    if (!m || !m->wanted) return true;
    json = cJSON_CreateObject();
    (void)cJSON_AddItemToObject(json, "input", side_json(&m->input, 1, bare));
    (void)cJSON_AddItemToObject(json, "output",
                                side_json(m->outputs, choices, bare));
    ok = bytes_add(out, ",\"moderation\":", err) && json_print(json, out, err);
    cJSON_Delete(json);
    return ok;
}
