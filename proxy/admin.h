/* admin.h - what an operator may ask a running server, on a listener of its
 * own: stats, the configuration and the policies in force, a reload, the audit,
 * the clients' keys. docs/operations.md has the routes. Event-loop thread; what
 * waits for a disk is done on libuv's pool. */
#ifndef CORRAL_PROXY_ADMIN_H
#define CORRAL_PROXY_ADMIN_H

#include <uv.h>

#include "base/json.h"
#include "proxy/conn.h"

struct admin;
struct audit;
struct auth;
struct config;
struct metrics;
struct policy;

/* What came of a reload, told once: `ok`, nothing had to be kept as it was;
 * `parts`, a map, has what came of each part, and `err` the first that is
 * wrong. Both are borrowed and may be NULL. */
typedef void admin_reloaded(void *user, bool ok, const cJSON *parts,
                            const struct err *err);

/* Everything is borrowed and outlives the admin. */
struct admin_options {
    uv_loop_t *loop;
    struct auth *door; /* who may come in here */
    struct auth *auth; /* the clients' keys */
    struct metrics *metrics;
    struct audit *audit;    /* NULL: none is kept */
    const char *audit_path; /* its database; NULL as well */
    /* What is in force now; borrowed until the loop goes on. */
    const struct config *(*config)(void *user);
    const struct policy *(*policy)(void *user);
    /* All that SIGHUP reads again. */
    void (*reload)(void *user, admin_reloaded *done, void *done_user);
    /* The file of keys was changed. */
    void (*reload_keys)(void *user, admin_reloaded *done, void *done_user);
    void *user;
};

struct admin *admin_new(const struct admin_options *o);
/* Every connection must be closed before. Frees itself in the loop, which must
 * run until it is empty. NULL is fine. */
void admin_close(struct admin *a);
/* What its server calls; borrowed until admin_close(). */
struct conn_handler admin_handler(struct admin *a);

#endif
