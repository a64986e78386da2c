#include "proxy/approvals.h"

#include <assert.h>
#include <limits.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/json.h"
#include "proxy/audit.h"
#include "proxy/mailbox.h"

/* LISTED -> gone, or LISTED -> SENT (its letter is on the way) -> gone */
struct approval {
    struct letter letter; /* first, so that it can be cast back */
    struct approvals *face;
    struct approval *next, *prev; /* while it is listed, by arrival */
    bool sent;
    enum approval_answer answer; /* when sent */
    char id[HASH_ID_SIZE];
    int64_t created, expires; /* seconds since 1970, to be shown */
    uint64_t deadline_ms;
    char *tool, *arguments, *checks, *decision;
    size_t tool_size, argument_size;
    approval_done *done; /* the face's loop's; NULL: nobody is told any more */
    void *user;
};

/* All of it, and `sent` of those in it, under the lock. */
struct table {
    pthread_mutex_t lock;
    struct approval *first, *last;
    int count;
    int faces;
    struct audit *audit;
};

struct approvals {
    struct table *table;
    struct mailbox *box; /* NULL: the first face */
};

struct approvals *approvals_new(struct audit *audit) {
    struct approvals *a = xalloc(sizeof *a);

    a->table = xalloc(sizeof *a->table);
    (void)pthread_mutex_init(&a->table->lock, NULL);
    a->table->audit = audit;
    a->table->faces = 1;
    return a;
}

struct approvals *approvals_share(struct approvals *a, struct mailbox *box) {
    struct approvals *face = xalloc(sizeof *face);

    face->table = a->table;
    face->box = box;
    pthread_mutex_lock(&a->table->lock);
    a->table->faces++;
    pthread_mutex_unlock(&a->table->lock);
    return face;
}

void approvals_free(struct approvals *a) {
    struct table *t;
    bool last;

    if (!a) return;
    t = a->table;
    pthread_mutex_lock(&t->lock);
    for (const struct approval *p = t->first; p; p = p->next)
        assert(p->face != a);
    last = --t->faces == 0;
    pthread_mutex_unlock(&t->lock);
    if (last) {
        pthread_mutex_destroy(&t->lock);
        free(t);
    }
    free(a);
}

/* Under the lock. */
static void link_last(struct table *t, struct approval *p) {
    p->prev = t->last;
    if (t->last)
        t->last->next = p;
    else
        t->first = p;
    t->last = p;
    t->count++;
}

/* Under the lock. */
static void unlink_it(struct table *t, struct approval *p) {
    if (p->prev)
        p->prev->next = p->next;
    else
        t->first = p->next;
    if (p->next)
        p->next->prev = p->prev;
    else
        t->last = p->prev;
    t->count--;
}

static void approval_free(struct approval *p) {
    free(p->tool);
    free(p->arguments);
    free(p->checks);
    free(p->decision);
    free(p);
}

void approval_cancel(struct approval *p) {
    struct table *t;
    bool sent;

    if (!p) return;
    t = p->face->table;
    pthread_mutex_lock(&t->lock);
    sent = p->sent;
    if (!sent) unlink_it(t, p);
    pthread_mutex_unlock(&t->lock);
    if (sent)
        p->done = NULL; /* its letter frees it */
    else
        approval_free(p);
}

static struct approval *make(struct approvals *a,
                             const struct approval_question *q,
                             approval_done *done, void *user) {
    struct approval *p = xalloc(sizeof *p);

    p->face = a;
    hash_random_id(p->id);
    p->created = clock_wall_s();
    p->expires = p->created + q->seconds;
    p->deadline_ms = clock_ms() + (uint64_t)q->seconds * 1000;
    p->tool = span_dup(q->tool);
    p->tool_size = q->tool.size;
    p->arguments = span_dup(q->arguments);
    p->argument_size = q->arguments.size;
    p->checks = span_dup(q->checks);
    p->decision = span_dup(q->decision);
    p->done = done;
    p->user = user;
    return p;
}

/* False: there are `most` already. */
static bool list(struct approval *p, int most) {
    struct table *t = p->face->table;
    bool ok;

    pthread_mutex_lock(&t->lock);
    ok = t->count < most;
    if (ok) link_last(t, p);
    pthread_mutex_unlock(&t->lock);
    return ok;
}

struct approval *approvals_ask(struct approvals *a,
                               const struct approval_question *q,
                               approval_done *done, void *user,
                               struct err *err) {
    struct approval *p;

    if (q->arguments.size > APPROVAL_ARGUMENT_BYTES_MAX - q->tool.size ||
        q->tool.size > APPROVAL_ARGUMENT_BYTES_MAX) {
        (void)err_set(err, ERR_LIMIT, "the call is past %d bytes",
                      APPROVAL_ARGUMENT_BYTES_MAX);
        return NULL;
    }
    p = make(a, q, done, user);
    if (list(p, APPROVALS_MAX)) return p;
    approval_free(p);
    (void)err_set(err, ERR_BUSY, "%d calls wait for a person already",
                  APPROVALS_MAX);
    return NULL;
}

struct approval *approvals_restore(struct approvals *a, struct span id,
                                   int64_t created, int64_t expires,
                                   const struct approval_question *q,
                                   approval_done *done, void *user) {
    struct approval *p = make(a, q, done, user);
    int64_t left = expires - clock_wall_s();

    memset(p->id, 0, sizeof p->id);
    memcpy(p->id, id.at, id.size < sizeof p->id ? id.size : sizeof p->id - 1);
    p->created = created;
    p->expires = expires;
    p->deadline_ms = clock_ms() + (left > 0 ? (uint64_t)left * 1000 : 0);
    (void)list(p, INT_MAX);
    return p;
}

const char *approval_id(const struct approval *p) {
    return p->id;
}

void approval_times(const struct approval *p, int64_t *created,
                    int64_t *expires) {
    *created = p->created;
    *expires = p->expires;
}

static const char *word_of(enum approval_answer answer) {
    switch (answer) {
    case APPROVAL_APPROVED:
        return "approved";
    case APPROVAL_DENIED:
        return "denied";
    case APPROVAL_EXPIRED:
        break;
    }
    return "expired";
}

/* The record of it, before it is told. */
static void note(const struct table *t, const struct approval *p,
                 enum approval_answer how, const char *by) {
    const struct audit_approval row = {.id = p->id,
                                       .decision = p->decision,
                                       .checks = p->checks,
                                       .answer = word_of(how),
                                       .key_id = by,
                                       .waited_s = clock_wall_s() - p->created};

    audit_approval(t->audit, &row);
}

/* Not listed any more, on its own loop. */
static void tell(struct approval *p, enum approval_answer how) {
    approval_done *done = p->done;
    void *user = p->user;

    approval_free(p);
    if (done) done(user, how);
}

static void on_letter(struct letter *letter) {
    struct approval *p = (struct approval *)letter;

    tell(p, p->answer);
}

/* One of this face's past its time, taken from the list; or NULL. */
static struct approval *take_late(struct approvals *a, uint64_t now) {
    struct table *t = a->table;
    struct approval *p;

    pthread_mutex_lock(&t->lock);
    for (p = t->first; p && (p->face != a || now < p->deadline_ms); p = p->next)
        ;
    if (p) unlink_it(t, p);
    pthread_mutex_unlock(&t->lock);
    return p;
}

/* Whoever is told may cancel others, so the search begins anew each time. */
void approvals_tick(struct approvals *a) {
    uint64_t now = clock_ms();
    struct approval *p;

    while ((p = take_late(a, now))) {
        note(a->table, p, APPROVAL_EXPIRED, "");
        tell(p, APPROVAL_EXPIRED);
    }
}

/* ---- what the routes say ---- */

static bool put_checks(const char *checks, struct bytes *out, struct err *err) {
    const char *comma = "";

    while (*checks) {
        size_t size = strcspn(checks, ",");

        if (!bytes_printf(out, err, "%s", comma) ||
            !json_put_string(out, (struct span){checks, size}, err))
            return false;
        comma = ",";
        checks += size + (checks[size] == ',');
    }
    return true;
}

static bool put_approval(const struct approval *p, struct bytes *out,
                         struct err *err) {
    return bytes_printf(out, err,
                        "{\"id\":\"%s\",\"created\":%lld,\"expires\":%lld,"
                        "\"tool\":",
                        p->id, (long long)p->created, (long long)p->expires) &&
           json_put_string(out, (struct span){p->tool, p->tool_size}, err) &&
           bytes_printf(out, err, ",\"arguments\":") &&
           json_put_string(out, (struct span){p->arguments, p->argument_size},
                           err) &&
           bytes_printf(out, err, ",\"checks\":[") &&
           put_checks(p->checks, out, err) && bytes_printf(out, err, "]}");
}

bool approvals_list(const struct approvals *a, struct bytes *out,
                    struct err *err) {
    bool ok = bytes_printf(out, err, "{\"object\":\"list\",\"data\":[");
    struct table *t = a->table;

    pthread_mutex_lock(&t->lock);
    for (const struct approval *p = t->first; ok && p; p = p->next)
        ok = (p == t->first || bytes_append(out, ",", 1, err)) &&
             put_approval(p, out, err);
    pthread_mutex_unlock(&t->lock);
    return ok && bytes_printf(out, err, "]}");
}

static bool read_decision(struct span body, bool *approve, struct err *err) {
    static const char *const keys[] = {"decision", NULL};
    cJSON *json = json_parse(body, err);
    const char *word = NULL;
    bool ok = false;

    if (!json) return false;
    if (!cJSON_IsObject(json))
        (void)err_set(err, ERR_INPUT, "expected {\"decision\": ...}");
    else if (json_only_keys(json, "", keys, err) &&
             json_get_string(json, "", "decision", &word, err))
        ok = word && (!strcmp(word, "approve") || !strcmp(word, "deny"));
    if (ok)
        *approve = !strcmp(word, "approve");
    else if (!err->code)
        (void)err_set_field(err, ERR_INPUT, "decision",
                            "decision: approve or deny");
    cJSON_Delete(json);
    return ok;
}

/* Under the lock; NULL: nobody waits under this id. */
static struct approval *find(const struct table *t, struct span id) {
    struct approval *p = t->first;

    while (p && !span_is(id, p->id)) p = p->next;
    return p;
}

/* Taken from the list. One of another face gets its letter within the lock:
 * its loop may be closing, and cancels all it has before its mailbox goes. */
static struct approval *take_named(struct approvals *a, struct span id,
                                   enum approval_answer how, const char *by,
                                   bool *ours) {
    struct table *t = a->table;
    struct approval *p;

    pthread_mutex_lock(&t->lock);
    p = find(t, id);
    *ours = p && p->face == a;
    if (p) {
        unlink_it(t, p);
        note(t, p, how, by);
    }
    if (p && !*ours) {
        p->sent = true;
        p->answer = how;
        p->letter.open = on_letter;
        mailbox_post(p->face->box, &p->letter);
    }
    pthread_mutex_unlock(&t->lock);
    return p;
}

static bool waits(struct approvals *a, struct span id) {
    struct table *t = a->table;
    bool found;

    pthread_mutex_lock(&t->lock);
    found = find(t, id) != NULL;
    pthread_mutex_unlock(&t->lock);
    return found;
}

bool approvals_decide(struct approvals *a, struct span id, struct span body,
                      const char *by, struct bytes *out, struct err *err) {
    enum approval_answer how;
    struct approval *p;
    bool approve = false, ours = false;

    if (!waits(a, id))
        return err_set(err, ERR_NOT_FOUND,
                       "no call waits under this id: it "
                       "was answered, or its time is over");
    if (!read_decision(body, &approve, err)) return false;
    how = approve ? APPROVAL_APPROVED : APPROVAL_DENIED;
    p = take_named(a, id, how, by, &ours);
    if (!p) /* between the two looks, on another loop */
        return err_set(err, ERR_NOT_FOUND, "the call was answered just now");
    bytes_puts(out, "{\"id\":\"");
    bytes_put(out, id);
    bytes_puts(out, approve ? "\",\"decision\":\"approve\"}"
                            : "\",\"decision\":\"deny\"}");
    if (ours) tell(p, how);
    return true;
}
