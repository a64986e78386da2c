#include "proxy/auth.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "guard/guard.h"
#include "guard/policy.h"
#include "proxy/console.h"
#include "proxy/http_error.h"
#include "proxy/peer.h"
#include "proxy/rates.h"

/* Stays for good, even when its line goes: passes point to it. */
struct caller {
    struct key key;
    struct policy *policy; /* NULL: the server's */
    pthread_mutex_t lock;  /* of `rates`, which all loops count in */
    struct rates rates;
    uint64_t number;
    bool listed;     /* in the file as it was last read */
    bool was_listed; /* before it was read again */
};

struct auth {
    char *path; /* NULL: no keys */
    struct guard *guard;
    struct caller **callers; /* by id, ascending */
    int caller_count;
};

enum { HEADERS_MAX = 2 };

/* ---- the keys at work ---- */

static int compare_ids(const void *a, const void *b) {
    const struct caller *const *x = a, *const *y = b;

    return strcmp((*x)->key.id, (*y)->key.id);
}

static struct caller *find(const struct auth *a, struct span id) {
    int from = 0, end = a->caller_count;

    while (from < end) {
        int middle = from + (end - from) / 2;
        struct caller *c = a->callers[middle];
        int order = memcmp(id.at, c->key.id, KEY_ID_SIZE - 1);

        if (order == 0) return c;
        if (order < 0)
            end = middle;
        else
            from = middle + 1;
    }
    return NULL;
}

struct auth_change {
    char *path; /* of the file; NULL: no keys */
    struct keys keys;
    struct policy **policies; /* one a key, or NULL */
};

/* The policy of keys.list[index]; one that an earlier key has, too, is shared.
 * NULL without `err` set: it has none of its own. */
static struct policy *open_policy(const struct auth *a,
                                  const struct auth_change *change, int index,
                                  struct err *err) {
    const struct keys *keys = &change->keys;
    struct policy *const *earlier = change->policies;
    const char *name = keys->list[index].policy;
    struct policy *p;
    char *path;

    if (!name) return NULL;
    for (int i = 0; i < index; i++)
        if (earlier[i] && !strcmp(keys->list[i].policy, name))
            return policy_ref(earlier[i]);
    path = key_policy_path(change->path, name);
    p = policy_open(path, err);
    free(path);
    if (p && a->guard && !guard_fits(a->guard, p, err)) {
        policy_free(p);
        p = NULL;
    }
    return p;
}

static void put_in_force(struct auth *a, struct keys *keys,
                         struct policy **policies) {
    int before = a->caller_count;

    for (int i = 0; i < before; i++) a->callers[i]->listed = false;
    a->callers = xrealloc_array(a->callers, (size_t)(before + keys->count + 1),
                                sizeof(struct caller *));
    for (int i = 0; i < keys->count; i++) {
        struct auth known = {.callers = a->callers, .caller_count = before};
        struct caller *c = find(&known, span_of(keys->list[i].id));

        if (!c) {
            c = xalloc(sizeof *c);
            (void)pthread_mutex_init(&c->lock, NULL);
            /* Above all that conn_id() may ever give. */
            c->number = UINT64_C(1) << 63 | (uint64_t)a->caller_count;
            a->callers[a->caller_count++] = c;
        }
        free(c->key.policy);
        policy_free(c->policy);
        c->key = keys->list[i];
        keys->list[i].policy = NULL;
        c->policy = policies[i];
        policies[i] = NULL;
        c->listed = true;
    }
    qsort(a->callers, (size_t)a->caller_count, sizeof(struct caller *),
          compare_ids);
}

void auth_change_free(struct auth_change *change) {
    if (!change) return;
    for (int i = 0; i < change->keys.count; i++)
        if (change->policies) policy_free(change->policies[i]);
    free(change->policies);
    free(change->path);
    keys_clear(&change->keys);
    free(change);
}

void auth_change_policies(const struct auth_change *change,
                          void (*on_policy)(void *user, const struct policy *p),
                          void *user) {
    for (int i = 0; i < change->keys.count; i++)
        if (change->policies && change->policies[i])
            on_policy(user, change->policies[i]);
}

static bool read_change(const struct auth *a, struct auth_change *change,
                        struct err *err) {
    struct keys *keys = &change->keys;

    if (!change->path) return true;
    if (!keys_read(keys, change->path, err)) return false;
    /* Callers stay, so files that are swapped again and again have an end. */
    if (a->caller_count + keys->count > 2 * KEYS_MAX)
        return err_set(err, ERR_LIMIT, "%s: too many keys since the start",
                       change->path);
    change->policies =
        xalloc_array((size_t)keys->count + 1, sizeof(struct policy *));
    for (int i = 0; i < keys->count; i++) {
        change->policies[i] = open_policy(a, change, i, err);
        if (!change->policies[i] && keys->list[i].policy) return false;
    }
    return true;
}

struct auth_change *auth_read(const struct auth *a, const char *path,
                              struct err *err) {
    struct auth_change *change = xalloc(sizeof *change);

    if (path) change->path = xstrdup(path);
    if (read_change(a, change, err)) return change;
    auth_change_free(change);
    return NULL;
}

void auth_take(struct auth *a, struct auth_change *change) {
    char *before = a->path;

    put_in_force(a, &change->keys, change->policies);
    a->path = change->path;
    change->path = before;
    auth_change_free(change);
}

/* Of two times, of which 0 is never. */
static int64_t sooner(int64_t a, int64_t b) {
    if (!a || !b) return a ? a : b;
    return a < b ? a : b;
}

void auth_withdraw(struct auth *a, const struct keys *now) {
    for (int i = 0; i < a->caller_count; i++) {
        a->callers[i]->was_listed = a->callers[i]->listed;
        a->callers[i]->listed = false;
    }
    for (int i = 0; i < now->count; i++) {
        const struct key *key = &now->list[i];
        struct caller *c = find(a, span_of(key->id));

        /* Another secret under the same id: the old one is out. */
        if (!c || !c->was_listed || strcmp(c->key.hash, key->hash) != 0)
            continue;
        c->listed = true;
        c->key.scopes &= key->scopes;
        c->key.expires_s = sooner(c->key.expires_s, key->expires_s);
        if (key->revoked_s) c->key.revoked_s = key->revoked_s;
    }
}

bool auth_check_policy(const char *keys_path, const char *policy,
                       struct err *err) {
    struct policy *p;
    char *path;

    if (!policy) return true;
    path = key_policy_path(keys_path, policy);
    p = policy_open(path, err);
    policy_free(p);
    free(path);
    return p != NULL;
}

struct auth *auth_open(const char *path, struct err *err) {
    struct auth *a = xalloc(sizeof *a);
    struct auth_change *change = auth_read(a, path, err);

    if (change) {
        auth_take(a, change);
        return a;
    }
    auth_close(a);
    return NULL;
}

void auth_close(struct auth *a) {
    if (!a) return;
    for (int i = 0; i < a->caller_count; i++) {
        policy_free(a->callers[i]->policy);
        free(a->callers[i]->key.policy);
        pthread_mutex_destroy(&a->callers[i]->lock);
        free(a->callers[i]);
    }
    free(a->callers);
    free(a->path);
    free(a);
}

bool auth_needs_model(const struct auth *a) {
    for (int i = 0; i < a->caller_count; i++)
        if (a->callers[i]->policy && policy_needs_model(a->callers[i]->policy))
            return true;
    return false;
}

bool auth_set_guard(struct auth *a, struct guard *g, struct err *err) {
    a->guard = g;
    for (int i = 0; i < a->caller_count; i++)
        if (a->callers[i]->policy && !guard_fits(g, a->callers[i]->policy, err))
            return false;
    return true;
}

static bool is_old(const struct key *k) {
    return k->expires_s && k->expires_s <= clock_wall_s();
}

int auth_key_count(const struct auth *a) {
    int count = 0;

    for (int i = 0; i < a->caller_count; i++) {
        const struct caller *c = a->callers[i];

        if (c->listed && !c->key.revoked_s && !is_old(&c->key)) count++;
    }
    return count;
}

const char *auth_path(const struct auth *a) {
    return a->path;
}

void auth_each_policy(const struct auth *a,
                      void (*on_policy)(void *user, const struct policy *p,
                                        const char *key_id),
                      void *user) {
    for (int i = 0; i < a->caller_count; i++) {
        const struct caller *c = a->callers[i];

        if (c->policy && c->listed && !c->key.revoked_s && !is_old(&c->key))
            on_policy(user, c->policy, c->key.id);
    }
}

/* ---- answers ---- */

struct refusal {
    int status;
    const char *type;
    const char *code;
    const char *message;
};

static bool refuse(struct conn *c, const struct http_request *r,
                   const struct refusal *f, int64_t retry_s, int *status) {
    struct http_header headers[HEADERS_MAX];
    struct bytes body = {0};
    char seconds[24];
    int count = 0;

    (void)snprintf(seconds, sizeof seconds, "%" PRId64, retry_s);
    if (f->status == 401)
        headers[count++] = (struct http_header){span_of("www-authenticate"),
                                                span_of("Bearer")};
    if (retry_s)
        headers[count++] =
            (struct http_header){span_of("retry-after"), span_of(seconds)};
    *status = f->status;
    conn_pass(c)->refused = true;
    if (http_error_shaped(http_error_shape_of(r->path), f->status, f->message,
                          f->type, NULL, f->code, &body, NULL))
        conn_respond(c, f->status, "application/json", headers, count,
                     span_bytes(&body));
    bytes_free(&body);
    return false;
}

/* ---- what a request needs and has ---- */

/* 0: anybody. What nobody thought of is for those who may chat. */
static unsigned scope_of(struct span path) {
    if (span_is(path, "/healthz") || span_is(path, "/readyz")) return 0;
    /* The page that asks for the key. */
    if (console_path(path)) return 0;
    if (span_is(path, "/metrics")) return KEY_METRICS;
    if (span_starts(path, span_of("/admin"))) return KEY_ADMIN;
    /* Whoever asks for a tool must not be the one to approve it. */
    if (span_starts(path, span_of("/v1/approvals"))) return KEY_APPROVE;
    if (span_is(path, "/v1/moderations") ||
        span_starts(path, span_of("/v1/guard/")))
        return KEY_GUARD;
    return KEY_CHAT;
}

/* "Bearer KEY" as OpenAI's clients send it; the scheme in any case. */
static struct span bearer(struct span value) {
    static const char scheme[] = "bearer ";
    size_t i = 0;

    for (; scheme[i]; i++)
        if (i >= value.size || (value.at[i] | 0x20) != (scheme[i] | 0x20))
            return (struct span){NULL, 0};
    return span_slice(value, i, value.size);
}

/* False: there are two that differ, and we shall not choose. */
static bool sent_key(const struct http_request *r, struct span *out) {
    struct span authorization = http_request_header(r, "authorization");
    struct span x = http_request_header(r, "x-api-key");

    *out = authorization.at ? bearer(authorization) : x;
    return !authorization.at || !x.at || span_equal(*out, x);
}

static const struct refusal no_key = {
    401, "authentication_error", "invalid_api_key",
    "An API key is needed: Authorization: Bearer KEY, or x-api-key: KEY."};
static const struct refusal bad_key = {401, "authentication_error",
                                       "invalid_api_key",
                                       "The API key is not valid."};
static const struct refusal no_scope = {
    403, "permission_error", "insufficient_scope",
    "The API key is not for this kind of request."};
static const struct refusal no_admin = {
    403, "permission_error", "insufficient_scope",
    "Administration needs a server with keys."};

static const struct refusal limits[] = {
    [RATES_FINE] = {0},
    [RATES_REQUESTS] = {429, "rate_limit_error", "rate_limit_exceeded",
                        "The API key's requests of this minute are used up."},
    [RATES_TOKENS] = {429, "rate_limit_error", "rate_limit_exceeded",
                      "The API key's tokens of this minute are used up."},
    [RATES_DAY] = {429, "rate_limit_error", "insufficient_quota",
                   "The API key's tokens of this day are used up."},
};

static struct rates_time now(void) {
    return (struct rates_time){clock_ms(), clock_wall_s()};
}

static void add_number(struct conn *c, const char *name, int64_t value,
                       const char *unit) {
    char text[32];

    (void)snprintf(text, sizeof text, "%" PRId64 "%s", value, unit);
    conn_add_header(c, name, text);
}

/* OpenAI's own names, which its clients show. */
static void add_limits(struct conn *c, const struct key_limits *l,
                       const struct rates *rates) {
    struct rates_left left = rates_left(rates, l);

    if (l->requests_per_minute) {
        add_number(c, "x-ratelimit-limit-requests", l->requests_per_minute, "");
        add_number(c, "x-ratelimit-remaining-requests", left.requests, "");
        add_number(c, "x-ratelimit-reset-requests", left.requests_reset_s, "s");
    }
    if (l->tokens_per_minute) {
        add_number(c, "x-ratelimit-limit-tokens", l->tokens_per_minute, "");
        add_number(c, "x-ratelimit-remaining-tokens", left.tokens, "");
        add_number(c, "x-ratelimit-reset-tokens", left.tokens_reset_s, "s");
    }
}

static struct caller *caller_of(const struct auth *a, struct span text) {
    struct span id = key_text_id(text);
    struct caller *caller = id.at ? find(a, id) : NULL;

    if (!caller || !key_fits(&caller->key, text) || !caller->listed ||
        caller->key.revoked_s || is_old(&caller->key))
        return NULL;
    return caller;
}

struct caller *auth_caller(const struct auth *a, struct span key_id) {
    struct caller *c =
        a && key_id.size == KEY_ID_SIZE - 1 ? find(a, key_id) : NULL;

    return c && c->listed && !c->key.revoked_s && !is_old(&c->key) ? c : NULL;
}

/* A good key of one of these scopes. */
static bool known(struct auth *a, struct conn *c, const struct http_request *r,
                  unsigned scopes, int *status) {
    struct pass *pass = conn_pass(c);
    struct span text;

    if (!sent_key(r, &text) || !text.size)
        return refuse(c, r, &no_key, 0, status);
    pass->caller = caller_of(a, text);
    if (!pass->caller) return refuse(c, r, &bad_key, 0, status);
    return (pass->caller->key.scopes & scopes) != 0 ||
           refuse(c, r, &no_scope, 0, status);
}

bool auth_admit(struct auth *a, struct conn *c, const struct http_request *r,
                int *status) {
    unsigned scope = scope_of(r->path);
    enum rates_answer answer;
    struct caller *caller;
    struct rates used;
    int64_t retry_s = 0;

    if (!scope || !a || !a->path)
        return scope != KEY_ADMIN || refuse(c, r, &no_admin, 0, status);
    if (!known(a, c, r, scope, status)) return false;
    if (!(scope & (KEY_CHAT | KEY_GUARD))) return true;
    caller = conn_pass(c)->caller;
    pthread_mutex_lock(&caller->lock);
    answer = rates_take(&caller->rates, &caller->key.limits, now(), &retry_s);
    used = caller->rates;
    pthread_mutex_unlock(&caller->lock);
    add_limits(c, &caller->key.limits, &used);
    return answer == RATES_FINE ||
           refuse(c, r, &limits[answer], retry_s, status);
}

bool auth_admit_admin(struct auth *a, struct conn *c,
                      const struct http_request *r, int *status) {
    unsigned scopes = KEY_ADMIN;

    if (span_is(r->path, "/healthz")) return true;
    if (span_is(r->path, "/metrics")) scopes |= KEY_METRICS;
    if (!a->path) return refuse(c, r, &no_admin, 0, status);
    return known(a, c, r, scopes, status);
}

/* ---- of a pass ---- */

const char *caller_id(const struct caller *c) {
    return c ? c->key.id : "";
}

const struct policy *caller_policy(const struct caller *c,
                                   const struct policy *servers) {
    return c && c->policy ? c->policy : servers;
}

uint64_t caller_number(const struct caller *c, const struct conn *conn) {
    uint64_t number;

    if (c) return c->number;
    return peer_number(conn_peer(conn), &number) ? number : conn_id(conn);
}

void caller_spend(struct caller *c, int64_t tokens) {
    if (!c) return;
    pthread_mutex_lock(&c->lock);
    rates_spend(&c->rates, &c->key.limits, now(), tokens);
    pthread_mutex_unlock(&c->lock);
}

void auth_spent_before(struct auth *a, const char *key_id, int64_t tokens) {
    struct caller *c =
        strlen(key_id) == KEY_ID_SIZE - 1 ? find(a, span_of(key_id)) : NULL;
    struct rates_time t = now();
    static const struct key_limits none = {0};

    if (!c) return;
    /* Counts for the day, not for the minute that runs. */
    pthread_mutex_lock(&c->lock);
    rates_spend(&c->rates, &none, t, tokens);
    pthread_mutex_unlock(&c->lock);
}
