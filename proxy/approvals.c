#include "proxy/approvals.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/json.h"
#include "proxy/audit.h"

struct approval {
    struct approvals *table;
    struct approval *next, *prev; /* in the order they came */
    char id[HASH_ID_SIZE];
    int64_t created, expires; /* seconds since 1970, to be shown */
    uint64_t deadline_ms;
    char *tool, *arguments, *checks, *decision;
    size_t tool_size, argument_size;
    approval_done *done;
    void *user;
};

struct approvals {
    struct approval *first, *last;
    int count;
    struct audit *audit;
};

struct approvals *approvals_new(struct audit *audit) {
    struct approvals *a = xalloc(sizeof *a);

    a->audit = audit;
    return a;
}

void approvals_free(struct approvals *a) {
    if (!a) return;
    assert(!a->first);
    free(a);
}

static void link_last(struct approvals *a, struct approval *p) {
    p->table = a;
    p->prev = a->last;
    if (a->last)
        a->last->next = p;
    else
        a->first = p;
    a->last = p;
    a->count++;
}

void approval_cancel(struct approval *p) {
    struct approvals *a;

    if (!p) return;
    a = p->table;
    if (p->prev)
        p->prev->next = p->next;
    else
        a->first = p->next;
    if (p->next)
        p->next->prev = p->prev;
    else
        a->last = p->prev;
    a->count--;
    free(p->tool);
    free(p->arguments);
    free(p->checks);
    free(p->decision);
    free(p);
}

static struct approval *add(struct approvals *a,
                            const struct approval_question *q,
                            approval_done *done, void *user) {
    struct approval *p = xalloc(sizeof *p);

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
    link_last(a, p);
    return p;
}

struct approval *approvals_ask(struct approvals *a,
                               const struct approval_question *q,
                               approval_done *done, void *user,
                               struct err *err) {
    if (a->count == APPROVALS_MAX) {
        (void)err_set(err, ERR_BUSY, "%d calls wait for a person already",
                      APPROVALS_MAX);
        return NULL;
    }
    if (q->arguments.size > APPROVAL_ARGUMENT_BYTES_MAX - q->tool.size ||
        q->tool.size > APPROVAL_ARGUMENT_BYTES_MAX) {
        (void)err_set(err, ERR_LIMIT, "the call is past %d bytes",
                      APPROVAL_ARGUMENT_BYTES_MAX);
        return NULL;
    }
    return add(a, q, done, user);
}

struct approval *approvals_restore(struct approvals *a, struct span id,
                                   int64_t created, int64_t expires,
                                   const struct approval_question *q,
                                   approval_done *done, void *user) {
    struct approval *p = add(a, q, done, user);
    int64_t left = expires - clock_wall_s();

    memset(p->id, 0, sizeof p->id);
    memcpy(p->id, id.at, id.size < sizeof p->id ? id.size : sizeof p->id - 1);
    p->created = created;
    p->expires = expires;
    p->deadline_ms = clock_ms() + (left > 0 ? (uint64_t)left * 1000 : 0);
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

static void answer(struct approval *p, enum approval_answer how,
                   const char *by) {
    const struct audit_approval row = {.id = p->id,
                                       .decision = p->decision,
                                       .checks = p->checks,
                                       .answer = word_of(how),
                                       .key_id = by,
                                       .waited_s = clock_wall_s() - p->created};
    approval_done *done = p->done;
    void *user = p->user;

    audit_approval(p->table->audit, &row);
    approval_cancel(p);
    done(user, how);
}

/* Whoever is told may cancel others, so the search begins anew each time. */
void approvals_tick(struct approvals *a) {
    uint64_t now = clock_ms();
    struct approval *p;

    do {
        for (p = a->first; p && now < p->deadline_ms; p = p->next) {
        }
        if (p) answer(p, APPROVAL_EXPIRED, "");
    } while (p);
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

    for (const struct approval *p = a->first; ok && p; p = p->next)
        ok = (p == a->first || bytes_append(out, ",", 1, err)) &&
             put_approval(p, out, err);
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

bool approvals_decide(struct approvals *a, struct span id, struct span body,
                      const char *by, struct bytes *out, struct err *err) {
    struct approval *p = a->first;
    bool approve = false;

    while (p && !span_is(id, p->id)) p = p->next;
    if (!p)
        return err_set(err, ERR_NOT_FOUND,
                       "no call waits under this id: it "
                       "was answered, or its time is over");
    if (!read_decision(body, &approve, err)) return false;
    bytes_puts(out, "{\"id\":\"");
    bytes_puts(out, p->id);
    bytes_puts(out, approve ? "\",\"decision\":\"approve\"}"
                            : "\",\"decision\":\"deny\"}");
    answer(p, approve ? APPROVAL_APPROVED : APPROVAL_DENIED, by);
    return true;
}
