/* auth.h - who may come in: a key looked up, its scope, its limits, its
 * policy. Any loop may let in and spend at the same time; whoever opens, takes
 * a change or closes is the only one meanwhile.
 *
 * Without a file of keys everybody is let in to everything but /admin; with
 * one, even an empty one or one that has gone, nobody without a key. Reading
 * the file again changes it as a whole or not at all. */
#ifndef CORRAL_PROXY_AUTH_H
#define CORRAL_PROXY_AUTH_H

#include "base/json.h"
#include "proxy/conn.h"
#include "proxy/keys.h"

struct auth;
struct caller; /* a key at work; lives as long as the auth */
struct guard;
struct policy;

/* `path` NULL: no keys. Opens the policies that keys name. */
MUST_USE struct auth *auth_open(const char *path, struct err *err);
void auth_close(struct auth *a); /* no pass may be in use; NULL is fine */
/* Does a key's policy ask for a guard model? */
bool auth_needs_model(const struct auth *a);
/* The policies must fit this guard, now (false with `err`) and whenever they
 * are read again. */
MUST_USE bool auth_set_guard(struct auth *a, struct guard *g, struct err *err);
/* Keys and their policies again, in two steps: read, of another file perhaps,
 * with nothing changed, on any thread while nobody takes a change, NULL when
 * something is wrong; and put in force, which takes the change and cannot fail.
 * `path` NULL: from then on no keys. */
struct auth_change;
MUST_USE struct auth_change *auth_read(const struct auth *a, const char *path,
                                       struct err *err);
void auth_take(struct auth *a, struct auth_change *change);
void auth_change_free(struct auth_change *change); /* NULL is fine */
/* Of a change that could not be read as a whole, say for a policy of another
 * key, at least what takes away: keys that `now` has as revoked, has with
 * another secret or has no more are out, scopes that it leaves out are gone and
 * what ends sooner ends then. */
void auth_withdraw(struct auth *a, const struct keys *now);
/* Can the policy of a key of this file be opened? NULL: it has none. */
MUST_USE bool auth_check_policy(const char *keys_path, const char *policy,
                                struct err *err);
/* Its keys' policies, one call a key that has one. Borrowed. */
void auth_change_policies(const struct auth_change *change,
                          void (*on_policy)(void *user, const struct policy *p),
                          void *user);
int auth_key_count(const struct auth *a);    /* those that are good */
const char *auth_path(const struct auth *a); /* of the file; NULL: no keys */
/* Policies of keys that are good, one call a key. Borrowed until a reload. */
void auth_each_policy(const struct auth *a,
                      void (*on_policy)(void *user, const struct policy *p,
                                        const char *key_id),
                      void *user);

/* Let the request in, with conn_pass(c) filled in; or answer it with 401, 403
 * or 429, in the shape its path's API has, and be false. *status is then what
 * was answered. */
/* `a` may be NULL: no keys. */
MUST_USE bool auth_admit(struct auth *a, struct conn *c,
                         const struct http_request *r, int *status);

/* The same at the door of administration: only keys of the scope admin, for
 * /metrics those of its own as well. */
MUST_USE bool auth_admit_admin(struct auth *a, struct conn *c,
                               const struct http_request *r, int *status);

/* The caller of a key that is still good; NULL when there is none. */
struct caller *auth_caller(const struct auth *a, struct span key_id);
/* Of a pass: `caller` may be NULL. */
const char *caller_id(const struct caller *c); /* "" without a key */
/* Its own, else the server's. Borrowed until the next reload. */
const struct policy *caller_policy(const struct caller *c,
                                   const struct policy *servers);
/* Whose turn it is is decided between these: keys, or without any addresses
 * (peer.h), on this machine connections. */
uint64_t caller_number(const struct caller *c, const struct conn *conn);
void caller_spend(struct caller *c, int64_t tokens);
/* What was spent today before this process began. */
void auth_spent_before(struct auth *a, const char *key_id, int64_t tokens);

#endif
