/* daemon_change.h - files that a running server reads again, checked before
 * anything changes. One change is made on libuv's pool and then used on the
 * loop; for daemon*.c alone. */
#ifndef CORRAL_CLI_DAEMON_CHANGE_H
#define CORRAL_CLI_DAEMON_CHANGE_H

#include "cli/daemon_state.h"
#include "proxy/keys.h"
#include "proxy/tls.h"

enum { CHANGE_PARTS = 4 };

struct auth_change;

struct change {
    enum daemon_files files;
    bool ok[CHANGE_PARTS];
    struct err errs[CHANGE_PARTS]; /* of those that are not */
    struct config fresh;
    bool has_config; /* there is a file, and it was read */
    struct model_set *models;
    struct daemon *sharer; /* of `shared`; NULL: there are none */
    struct model_set *shared[CONFIG_LOOPS_MAX]; /* the other loops' */
    struct policy *policy;
    char *policy_path;
    struct tls_context *tls;
    struct auth_change *keys, *admin_keys;
    struct keys standing[2]; /* of both files, where those could not be read */
    bool has_standing[2];
    struct bytes restart; /* settings that wait for one, with commas */
};

/* On the pool: read and check. It looks at what is in force, which nobody
 * changes while a change is on its way, and touches the change alone. */
void change_read(const struct daemon *d, struct change *c);
/* On the loop: what needs that. True when every part is good; what is wrong is
 * logged and counted. */
MUST_USE bool change_finish(struct daemon *d, struct change *c);
/* Policies that would be in force, borrowed: the server's, then the keys'. */
void change_policies(const struct change *c,
                     void (*on_policy)(void *user, const struct policy *p),
                     void *user);
/* What the guard goes by, in force. Before the tools are heard. */
void change_take_guard(struct daemon *d, const struct change *c);
/* In force, all of it: it cannot fail. */
void change_take(struct daemon *d, struct change *c);
/* A map of what came of each part; the caller's. */
cJSON *change_report(const struct change *c);
/* The first that is wrong; NULL: none. */
const struct err *change_error(const struct change *c);
void change_clear(struct change *c);

#endif
