#include "proxy/admin.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "guard/policy.h"
#include "proxy/admin_state.h"
#include "proxy/audit.h"
#include "proxy/auth.h"
#include "proxy/config_show.h"
#include "proxy/http_error.h"
#include "proxy/metrics.h"

/* ---- answers ---- */

void admin_answer(struct admin *a, struct conn *c, int status,
                  const struct bytes *body) {
    static const struct http_header fresh = {{"cache-control", 13},
                                             {"no-store", 8}};

    metrics_request(a->o.metrics, ROUTE_ADMIN, status);
    conn_respond(c, status, "application/json", &fresh, 1, span_bytes(body));
}

static void fail_status(struct admin *a, struct conn *c, int status,
                        const char *message) {
    metrics_request(a->o.metrics, ROUTE_ADMIN, status);
    conn_fail_status(c, status, message);
}

void admin_fail(struct admin *a, struct conn *c, const struct err *err) {
    const struct http_error *row = http_error_of(err->code);

    if (row->message && *err->text) {
        /* Clients are not told which file is amiss; an operator is. */
        fail_status(a, c, 503, err->text);
        return;
    }
    metrics_request(a->o.metrics, ROUTE_ADMIN, row->status);
    conn_fail(c, err);
}

void admin_answer_json(struct admin *a, struct conn *c, int status,
                       cJSON *json) {
    struct bytes out = {0};
    struct err err = {0};

    if (json_print(json, &out, &err))
        admin_answer(a, c, status, &out);
    else
        admin_fail(a, c, &err);
    bytes_free(&out);
    cJSON_Delete(json);
}

void admin_note(struct admin *a, const char *by, const char *what,
                const char *target) {
    char detail[160];

    (void)snprintf(detail, sizeof detail, "%s%s%s by %s", what,
                   *target ? " " : "", target, by);
    audit_event(a->o.audit, "admin", detail);
}

/* ---- jobs on the pool ---- */

static void free_when_idle(struct admin *a) {
    if (a->closing && !a->jobs) free(a);
}

static void on_work(uv_work_t *work) {
    struct admin_job *job = (struct admin_job *)work;

    job->ok = job->run(job, &job->err);
}

static void job_free(struct admin_job *job) {
    if (job->clear) job->clear(job);
    bytes_free(&job->out);
    free(job);
}

void admin_job_end(struct admin_job *job, int status) {
    struct admin *a = job->admin;

    a->jobs--;
    if (job->conn && job->ok)
        admin_answer(a, job->conn, status, &job->out);
    else if (job->conn)
        admin_fail(a, job->conn, &job->err);
    job_free(job);
    free_when_idle(a);
}

static void on_worked(uv_work_t *work, int status) {
    struct admin_job *job = (struct admin_job *)work;

    assert(!status); /* nobody cancels it */
    if (job->ok && job->done)
        job->done(job);
    else
        admin_job_end(job, 200);
}

bool admin_job_wait(struct admin *a, struct conn *c, struct admin_job *job) {
    struct err busy = {.code = ERR_BUSY};

    job->admin = a;
    job->conn = c;
    if (a->jobs < ADMIN_JOBS_MAX) {
        a->jobs++;
        conn_set_user(c, job);
        return true;
    }
    job_free(job);
    admin_fail(a, c, &busy);
    return false;
}

void admin_job_start(struct admin *a, struct conn *c, struct admin_job *job) {
    if (admin_job_wait(a, c, job))
        (void)uv_queue_work(a->o.loop, &job->work, on_work, on_worked);
}

/* ---- what needs no disk ---- */

static void stats(struct admin *a, struct conn *c,
                  const struct http_request *r) {
    const struct policy *policy = a->o.policy(a->o.user);
    cJSON *json = cJSON_CreateObject();
    cJSON *now;

    (void)r;
    (void)cJSON_AddStringToObject(json, "version", CORRAL_VERSION);
    (void)cJSON_AddNumberToObject(json, "started", (double)a->started_s);
    (void)cJSON_AddNumberToObject(json, "uptime_s",
                                  (double)(clock_wall_s() - a->started_s));
    now = cJSON_AddObjectToObject(json, "policy");
    (void)cJSON_AddStringToObject(now, "name", policy_name(policy));
    (void)cJSON_AddStringToObject(now, "revision", policy_revision(policy));
    (void)cJSON_AddNumberToObject(json, "keys", auth_key_count(a->o.auth));
    metrics_gauges(a->o.metrics, cJSON_AddObjectToObject(json, "now"));
    admin_answer_json(a, c, 200, json);
}

static void config(struct admin *a, struct conn *c,
                   const struct http_request *r) {
    (void)r;
    admin_answer_json(a, c, 200, config_show(a->o.config(a->o.user)));
}

/* 409: something was kept as it was, since what should replace it is wrong. */
static void on_reloaded(void *user, bool ok, const cJSON *parts,
                        const struct err *err) {
    struct admin_job *job = user;

    if (parts)
        job->ok = json_print(parts, &job->out, &job->err);
    else if (err)
        job->err = *err;
    admin_job_end(job, ok ? 200 : 409);
}

static void reload(struct admin *a, struct conn *c,
                   const struct http_request *r) {
    struct admin_job *job = xalloc(sizeof *job);

    (void)r;
    if (!admin_job_wait(a, c, job)) return;
    admin_note(a, caller_id(conn_pass(c)->caller), "reload", "");
    a->o.reload(a->o.user, on_reloaded, job);
}

static void health(struct admin *a, struct conn *c,
                   const struct http_request *r) {
    (void)r;
    metrics_request(a->o.metrics, ROUTE_HEALTH, 200);
    conn_respond(c, 200, "text/plain", NULL, 0, span_of("ok\n"));
}

static void metrics(struct admin *a, struct conn *c,
                    const struct http_request *r) {
    struct bytes out = {0};

    (void)r;
    metrics_print(a->o.metrics, &out);
    metrics_request(a->o.metrics, ROUTE_METRICS, 200);
    conn_respond(c, 200, metrics_content_type, NULL, 0, span_bytes(&out));
    bytes_free(&out);
}

/* ---- which request goes where ---- */

struct route {
    const char *method;
    const char *path;
    bool below; /* everything under it */
    void (*handle)(struct admin *a, struct conn *c,
                   const struct http_request *r);
};

static const struct route routes[] = {
    {"GET", "/admin/stats", false, stats},
    {"GET", "/admin/config", false, config},
    {"POST", "/admin/reload", false, reload},
    {"GET", "/admin/policies", false, admin_policies},
    {"GET", "/admin/policies/", true, admin_policy},
    {"GET", "/admin/audit", false, admin_audit},
    {"GET", "/admin/keys", false, admin_keys_list},
    {"POST", "/admin/keys", false, admin_keys_add},
    {"DELETE", "/admin/keys/", true, admin_keys_revoke},
    {"GET", "/metrics", false, metrics},
    {"GET", "/healthz", false, health},
};

/* The first of the path, unless a later one knows the method. */
static const struct route *route_find(const struct http_request *r,
                                      bool *fits) {
    const struct route *found = NULL;

    *fits = false;
    for (size_t i = 0; i < sizeof routes / sizeof *routes; i++) {
        if (!http_path_fits(r->path, routes[i].path, routes[i].below)) continue;
        *fits = span_is(r->method, routes[i].method);
        if (*fits) return &routes[i];
        if (!found) found = &routes[i];
    }
    return found;
}

static void refuse_method(struct admin *a, struct conn *c,
                          const struct http_request *r) {
    struct bytes allow = {0};

    for (size_t i = 0; i < sizeof routes / sizeof *routes; i++) {
        if (!http_path_fits(r->path, routes[i].path, routes[i].below)) continue;
        if (allow.size) bytes_puts(&allow, ", ");
        bytes_puts(&allow, routes[i].method);
    }
    metrics_request(a->o.metrics, ROUTE_ADMIN, 405);
    bytes_put(&allow, (struct span){"", 1});
    conn_fail_method(c, allow.at);
    bytes_free(&allow);
}

static void on_request(void *user, struct conn *c,
                       const struct http_request *r) {
    struct admin *a = user;
    const struct route *route;
    bool fits;
    int status;

    pass_begin(c, r, NULL);
    if (!auth_admit_admin(a->o.door, c, r, &status)) {
        metrics_request(a->o.metrics, ROUTE_ADMIN, status);
        return;
    }
    route = route_find(r, &fits);
    if (!route)
        fail_status(a, c, 404, "there is no such route");
    else if (!fits)
        refuse_method(a, c, r);
    else
        route->handle(a, c, r);
}

static void on_gone(void *user, struct conn *c) {
    struct admin_job *job = conn_user(c);

    (void)user;
    if (job) job->conn = NULL;
}

static void on_drain(void *user, struct conn *c) {
    (void)user;
    (void)c;
}

static void on_refused(void *user, int status) {
    struct admin *a = user;

    metrics_request(a->o.metrics, ROUTE_ADMIN, status);
}

struct conn_handler admin_handler(struct admin *a) {
    return (struct conn_handler){.on_request = on_request,
                                 .on_gone = on_gone,
                                 .on_drain = on_drain,
                                 .on_refused = on_refused,
                                 .user = a};
}

struct admin *admin_new(const struct admin_options *o) {
    struct admin *a = xalloc(sizeof *a);

    a->o = *o;
    a->started_s = clock_wall_s();
    return a;
}

void admin_close(struct admin *a) {
    if (!a) return;
    a->closing = true;
    free_when_idle(a);
}
