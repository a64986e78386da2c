/* admin_policies.c - the policies in force, with the texts that they were made
 * of, which may not be what lies on the disk now. */
#include <string.h>

#include "guard/policy.h"
#include "proxy/admin_state.h"
#include "proxy/auth.h"

static cJSON *policy_json(const struct policy *p) {
    cJSON *json = cJSON_CreateObject();

    (void)cJSON_AddStringToObject(json, "policy", policy_name(p));
    (void)cJSON_AddStringToObject(json, "revision", policy_revision(p));
    (void)cJSON_AddStringToObject(json, "path", policy_path(p));
    (void)cJSON_AddStringToObject(json, "mode",
                                  policy_shadow(p) ? "shadow" : "enforce");
    (void)cJSON_AddNumberToObject(json, "checks", policy_check_count(p));
    return json;
}

struct list {
    cJSON *data;
    struct span revision; /* wanted; empty: all */
    const struct policy *found;
};

static void on_policy(void *user, const struct policy *p, const char *key_id) {
    struct list *list = user;
    cJSON *json;

    if (span_is(list->revision, policy_revision(p))) list->found = p;
    if (!list->data) return;
    json = policy_json(p);
    if (*key_id)
        (void)cJSON_AddStringToObject(json, "key", key_id);
    else
        (void)cJSON_AddTrueToObject(json, "default");
    (void)cJSON_AddItemToArray(list->data, json);
}

void admin_policies(struct admin *a, struct conn *c,
                    const struct http_request *r) {
    cJSON *json = cJSON_CreateObject();
    struct list list = {.revision = {"", 0}};

    (void)r;
    (void)cJSON_AddStringToObject(json, "object", "list");
    list.data = cJSON_AddArrayToObject(json, "data");
    on_policy(&list, a->o.policy(a->o.user), "");
    auth_each_policy(a->o.auth, on_policy, &list);
    admin_answer_json(a, c, 200, json);
}

void admin_policy(struct admin *a, struct conn *c,
                  const struct http_request *r) {
    struct list list = {.revision = span_slice(
                            r->path, strlen("/admin/policies/"), r->path.size)};
    struct err none = {0};
    cJSON *json, *files;

    on_policy(&list, a->o.policy(a->o.user), "");
    auth_each_policy(a->o.auth, on_policy, &list);
    if (!list.found) {
        (void)err_set(&none, ERR_NOT_FOUND,
                      "no policy in force has this revision");
        admin_fail(a, c, &none);
        return;
    }
    json = policy_json(list.found);
    files = cJSON_AddArrayToObject(json, "files");
    for (int i = 0; i < policy_source_count(list.found); i++) {
        cJSON *file = cJSON_CreateObject();

        (void)cJSON_AddStringToObject(file, "path",
                                      policy_source_path(list.found, i));
        (void)cJSON_AddStringToObject(file, "text",
                                      policy_source_text(list.found, i));
        (void)cJSON_AddItemToArray(files, file);
    }
    admin_answer_json(a, c, 200, json);
}
