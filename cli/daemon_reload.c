/* daemon_reload.c - files read again while serving, so that nobody waits:
 *
 *   IDLE -> READING (libuv's pool) -> HEARING (the guard) -> IDLE
 *
 * with what was read in force, or all as it was. One at a time: what is asked
 * for meanwhile is read afterwards, once, however often it was asked for, so
 * that the newest files win. daemon_change.c has what is read. */
#include <stdlib.h>
#include <string.h>

#include "cli/daemon_change.h"
#include "cli/policy_watch.h"
#include "cli/tool_hearing.h"
#include "proxy/audit.h"
#include "proxy/auth.h"
#include "proxy/service.h"

struct waiter {
    struct waiter *next;
    daemon_reloaded *done; /* or NULL */
    void *user;
};

struct reading {
    uv_work_t work;
    struct daemon *daemon;
    struct change change;
    struct waiter *waiters;
    struct tool_hearing *hearing; /* HEARING */
};

struct reload {
    struct reading *now;                 /* NULL: IDLE */
    struct waiter *wanted[DAEMON_FILES]; /* what is to be read after that */
};

/* ---- what has changed ---- */

void daemon_take_policy(struct daemon *d, struct policy *policy, char *path) {
    daemon_hold_loops(d);
    for (int i = 0; i < daemon_loop_count(d); i++)
        service_set_policy(daemon_service(d, i), policy);
    daemon_release_loops(d);
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

void daemon_tell_keys(struct daemon *d) {
    audit_event(d->audit, "keys", "");
    log_event(LOG_INFO, "keys", "count=%d", auth_key_count(d->auth));
}

/* ---- the tools of others ---- */

struct policy_list {
    const struct policy **list;
    int count;
};

static void add_policy(void *user, const struct policy *p) {
    struct policy_list *l = user;

    l->list = xrealloc_array(l->list, (size_t)l->count + 1, sizeof *l->list);
    l->list[l->count++] = p;
}

static void add_key_policy(void *user, const struct policy *p,
                           const char *key_id) {
    (void)key_id;
    add_policy(user, p);
}

void daemon_hear_tools(struct daemon *d) {
    struct policy_list l = {0};

    add_policy(&l, d->policy);
    auth_each_policy(d->auth, add_key_policy, &l);
    tool_hearing_run(&d->loop, d->guard, d->tools, l.list, l.count);
    free(l.list);
}

/* ---- one reading ---- */

static void start_next(struct daemon *d);

static void tell(struct waiter *waiters, bool ok, const cJSON *parts,
                 const struct err *err) {
    struct waiter *next;

    for (; waiters; waiters = next) {
        next = waiters->next;
        if (waiters->done) waiters->done(waiters->user, ok, parts, err);
        free(waiters);
    }
}

static void end(struct reading *r) {
    struct daemon *d = r->daemon;
    struct err closing = {.code = ERR_BUSY, .text = "the server ends"};
    const struct err *err = change_error(&r->change);
    cJSON *parts = change_report(&r->change);

    if (d->state == CLOSING) err = &closing;
    d->reload->now = NULL;
    tell(r->waiters, !err, parts, err);
    cJSON_Delete(parts);
    change_clear(&r->change);
    free(r);
    if (d->state != CLOSING) start_next(d);
}

static void on_heard(void *user) {
    struct reading *r = user;

    r->hearing = NULL;
    change_take(r->daemon, &r->change);
    end(r);
}

/* A policy in force has judged what is said of tools, so that no turn goes
 * without them meanwhile. */
static void hear(struct reading *r) {
    struct daemon *d = r->daemon;
    struct policy_list l = {0};

    change_take_guard(d, &r->change);
    if (d->mcp) change_policies(&r->change, add_policy, &l);
    if (l.count)
        r->hearing = tool_hearing_new(&d->loop, d->guard, d->tools, l.list,
                                      l.count, on_heard, r);
    free(l.list);
    if (!l.count) on_heard(r);
}

static void on_work(uv_work_t *work) {
    struct reading *r = work->data;

    change_read(r->daemon, &r->change);
}

static void on_worked(uv_work_t *work, int status) {
    struct reading *r = work->data;

    (void)status; /* nobody cancels it */
    if (r->daemon->state == CLOSING || !change_finish(r->daemon, &r->change))
        end(r);
    else
        hear(r);
}

static void start_next(struct daemon *d) {
    struct reading *r;
    int files = 0;

    while (files < DAEMON_FILES && !d->reload->wanted[files]) files++;
    if (files == DAEMON_FILES || d->reload->now) return;
    r = xalloc(sizeof *r);
    r->daemon = d;
    r->work.data = r;
    r->change.files = (enum daemon_files)files;
    r->waiters = d->reload->wanted[files];
    d->reload->wanted[files] = NULL;
    d->reload->now = r;
    (void)uv_queue_work(&d->loop, &r->work, on_work, on_worked);
}

/* ---- the face ---- */

void daemon_reload(struct daemon *d, enum daemon_files files,
                   daemon_reloaded *done, void *user) {
    struct waiter *w = xalloc(sizeof *w);

    if (!d->reload) d->reload = xalloc(sizeof *d->reload);
    *w = (struct waiter){d->reload->wanted[files], done, user};
    d->reload->wanted[files] = w;
    start_next(d);
}

/* What is on the pool ends by itself, and finds that we are closing. */
void daemon_reload_end(struct daemon *d) {
    struct err closing = {.code = ERR_BUSY, .text = "the server ends"};
    struct reading *now;

    if (!d->reload) return;
    for (int i = 0; i < DAEMON_FILES; i++) {
        tell(d->reload->wanted[i], false, NULL, &closing);
        d->reload->wanted[i] = NULL;
    }
    now = d->reload->now;
    if (!now || !now->hearing) return;
    tool_hearing_cancel(now->hearing);
    end(now);
}
