/* admin_keys.c - the clients' keys over HTTP: what `corral key` does, with the
 * same lock on the same file. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "proxy/admin_state.h"
#include "proxy/auth.h"
#include "proxy/keys.h"

struct key_job {
    struct admin_job job; /* first, so that the callbacks can cast back */
    char *path;           /* of the file of keys */
    struct key key;       /* to add */
    char *name;           /* to revoke: an id or a name */
    char text[KEY_TEXT_SIZE];
    char id[KEY_ID_SIZE]; /* of the key that was added or revoked */
    char by[KEY_ID_SIZE]; /* of the key that did it */
};

static struct key_job *of(struct admin_job *job) {
    return (struct key_job *)job;
}

static void clear(struct admin_job *job) {
    struct key_job *j = of(job);

    free(j->path);
    free(j->key.policy);
    free(j->name);
}

static cJSON *key_json(const struct key *k) {
    bool old = k->expires_s && k->expires_s <= clock_wall_s();
    cJSON *json = cJSON_CreateObject();
    struct bytes scopes = {0};

    key_scopes_put(k->scopes, &scopes);
    bytes_put(&scopes, (struct span){"", 1});
    (void)cJSON_AddStringToObject(json, "id", k->id);
    (void)cJSON_AddStringToObject(json, "name", k->name);
    (void)cJSON_AddStringToObject(json, "state",
                                  k->revoked_s ? "revoked"
                                  : old        ? "expired"
                                               : "good");
    (void)cJSON_AddStringToObject(json, "scopes", scopes.at);
    if (k->policy) (void)cJSON_AddStringToObject(json, "policy", k->policy);
    (void)cJSON_AddNumberToObject(json, "requests_per_minute",
                                  (double)k->limits.requests_per_minute);
    (void)cJSON_AddNumberToObject(json, "tokens_per_minute",
                                  (double)k->limits.tokens_per_minute);
    (void)cJSON_AddNumberToObject(json, "tokens_per_day",
                                  (double)k->limits.tokens_per_day);
    (void)cJSON_AddNumberToObject(json, "created", (double)k->created_s);
    (void)cJSON_AddNumberToObject(json, "expires", (double)k->expires_s);
    (void)cJSON_AddNumberToObject(json, "revoked", (double)k->revoked_s);
    bytes_free(&scopes);
    return json;
}

/* Takes `json`. */
static bool print(struct admin_job *job, cJSON *json, struct err *err) {
    bool ok = json_print(json, &job->out, err);

    cJSON_Delete(json);
    return ok;
}

/* ---- on the pool ---- */

static bool run_list(struct admin_job *job, struct err *err) {
    struct keys keys = {0};
    cJSON *json, *data;

    if (!keys_read(&keys, of(job)->path, err)) return false;
    json = cJSON_CreateObject();
    (void)cJSON_AddStringToObject(json, "object", "list");
    data = cJSON_AddArrayToObject(json, "data");
    for (int i = 0; i < keys.count; i++)
        (void)cJSON_AddItemToArray(data, key_json(&keys.list[i]));
    keys_clear(&keys);
    return print(job, json, err);
}

/* A key whose policy cannot be read would keep all keys from being read. */
static bool check_policy(const struct key_job *j, struct err *err) {
    if (auth_check_policy(j->path, j->key.policy, err)) return true;
    err->code = ERR_INPUT;
    return false;
}

static bool add_key(struct key_job *j, struct keys *keys, struct err *err) {
    cJSON *json;

    if (!keys_read(keys, j->path, err) ||
        !keys_add(keys, &j->key, j->text, err) ||
        !keys_write(keys, j->path, err))
        return false;
    json = key_json(&keys->list[keys->count - 1]);
    (void)snprintf(j->id, sizeof j->id, "%s", keys->list[keys->count - 1].id);
    (void)cJSON_AddStringToObject(json, "key", j->text);
    return print(&j->job, json, err);
}

static bool revoke_key(struct key_job *j, struct keys *keys, struct err *err) {
    struct key *key;

    if (!keys_read(keys, j->path, err)) return false;
    key = keys_named(keys, j->name);
    if (!key) return err_set(err, ERR_NOT_FOUND, "there is no such key");
    if (!key->revoked_s) key->revoked_s = clock_wall_s();
    (void)snprintf(j->id, sizeof j->id, "%s", key->id);
    return keys_write(keys, j->path, err) && print(&j->job, key_json(key), err);
}

static bool run_change(struct admin_job *job, struct err *err) {
    struct key_job *j = of(job);
    struct keys keys = {0};
    int lock;
    bool ok;

    if (!check_policy(j, err)) return false;
    lock = keys_lock(j->path, err);
    if (lock < 0) return false;
    ok = j->name ? revoke_key(j, &keys, err) : add_key(j, &keys, err);
    keys_clear(&keys);
    (void)close(lock);
    return ok;
}

/* ---- on the loop ---- */

/* Written is not in force: another line of the file may be wrong. The answer
 * says so, and has the key all the same. */
static void on_reloaded(void *user, bool in_force, const cJSON *parts,
                        const struct err *err) {
    struct admin_job *job = user;
    const char *reason = err ? err->text : "";
    const struct key_job *j = of(job);

    (void)parts;
    /* What is revoked is out, whatever the rest of the file is like. */
    if (j->name && !auth_caller(job->admin->o.auth, span_of(j->id)))
        in_force = true;
    job->out.size--; /* the closing brace */
    job->ok = bytes_printf(&job->out, &job->err, ",\"in_force\":%s",
                           in_force ? "true" : "false") &&
              (in_force ||
               (bytes_printf(&job->out, &job->err, ",\"reason\":") &&
                json_put_string(&job->out, span_of(reason), &job->err))) &&
              bytes_append(&job->out, "}", 1, &job->err);
    admin_job_end(job, 200);
}

static void on_changed(struct admin_job *job) {
    struct admin *a = job->admin;
    const struct key_job *j = of(job);

    admin_note(a, j->by, j->name ? "key revoked" : "key added", j->id);
    a->o.reload_keys(a->o.user, on_reloaded, job);
}

static struct key_job *job_new(struct admin *a, struct conn *c,
                               bool (*run)(struct admin_job *job,
                                           struct err *err)) {
    const char *path = auth_path(a->o.auth);
    struct err none = {0};
    struct key_job *j;

    if (!path) {
        (void)err_set(&none, ERR_NOT_FOUND, "this server has no file of keys");
        admin_fail(a, c, &none);
        return NULL;
    }
    j = xalloc(sizeof *j);
    j->path = xstrdup(path);
    (void)snprintf(j->by, sizeof j->by, "%s", caller_id(conn_pass(c)->caller));
    j->job.run = run;
    j->job.clear = clear;
    return j;
}

void admin_keys_list(struct admin *a, struct conn *c,
                     const struct http_request *r) {
    struct key_job *j = job_new(a, c, run_list);

    (void)r;
    if (j) admin_job_start(a, c, &j->job);
}

static bool read_limits(const cJSON *body, struct key_limits *l,
                        struct err *err) {
    const int64_t most = (int64_t)1 << 50;

    return json_get_int(body, "", "requests_per_minute", 0, most,
                        &l->requests_per_minute, err) &&
           json_get_int(body, "", "tokens_per_minute", 0, most,
                        &l->tokens_per_minute, err) &&
           json_get_int(body, "", "tokens_per_day", 0, most, &l->tokens_per_day,
                        err);
}

static bool read_key(const cJSON *body, struct key *key, struct err *err) {
    static const char *const members[] = {"name",
                                          "scopes",
                                          "policy",
                                          "requests_per_minute",
                                          "tokens_per_minute",
                                          "tokens_per_day",
                                          "expires_days",
                                          NULL};
    const char *name = "", *scopes = "chat,guard", *policy = NULL;
    int64_t days = 0;

    if (!json_only_keys(body, "", members, err) ||
        !json_get_string(body, "", "name", &name, err) ||
        !json_get_string(body, "", "scopes", &scopes, err) ||
        !json_get_string(body, "", "policy", &policy, err) ||
        !json_get_int(body, "", "expires_days", 0, 36500, &days, err) ||
        !key_scopes_from_text(scopes, &key->scopes, err) ||
        !read_limits(body, &key->limits, err))
        return false;
    if (!key_name_fits(name, err)) return false;
    (void)snprintf(key->name, sizeof key->name, "%s", name);
    if (policy && *policy) key->policy = xstrdup(policy);
    key->created_s = clock_wall_s();
    if (days) key->expires_s = key->created_s + days * 86400;
    return true;
}

void admin_keys_add(struct admin *a, struct conn *c,
                    const struct http_request *r) {
    struct key_job *j = job_new(a, c, run_change);
    struct err err = {0};
    cJSON *body;

    if (!j) return;
    body = json_parse(r->body, &err);
    if (body && read_key(body, &j->key, &err)) {
        j->job.done = on_changed;
        admin_job_start(a, c, &j->job);
    } else {
        clear(&j->job);
        free(j);
        admin_fail(a, c, &err);
    }
    cJSON_Delete(body);
}

void admin_keys_revoke(struct admin *a, struct conn *c,
                       const struct http_request *r) {
    struct key_job *j = job_new(a, c, run_change);

    if (!j) return;
    j->name =
        span_dup(span_slice(r->path, strlen("/admin/keys/"), r->path.size));
    j->job.done = on_changed;
    admin_job_start(a, c, &j->job);
}
