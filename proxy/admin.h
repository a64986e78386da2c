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
    /* All that SIGHUP reads again; a map of what came of each part, the
     * caller's. *ok: nothing had to be kept as it was. */
    cJSON *(*reload)(void *user, bool *ok);
    /* The file of keys was changed. */
    bool (*reload_keys)(void *user, struct err *err);
    void *user;
};

struct admin *admin_new(const struct admin_options *o);
/* Every connection must be closed before. Frees itself in the loop, which must
 * run until it is empty. NULL is fine. */
void admin_close(struct admin *a);
/* What its server calls; borrowed until admin_close(). */
struct conn_handler admin_handler(struct admin *a);

#endif
