/* approvals.h - tool calls that wait for a person: a bounded table of them, and
 * the texts of the routes that show and answer it. Several event loops may
 * share the table, each by a face of its own: who asks is told on his loop,
 * whichever answers. */
#ifndef CORRAL_PROXY_APPROVALS_H
#define CORRAL_PROXY_APPROVALS_H

#include "base/bytes.h"

enum {
    APPROVALS_MAX = 256, /* waiting at the same time */
    APPROVAL_ARGUMENT_BYTES_MAX = 64 << 10
};

struct approvals;
struct approval; /* one call that waits */

struct audit;
struct mailbox;

enum approval_answer { APPROVAL_DENIED, APPROVAL_EXPIRED, APPROVAL_APPROVED };

/* What a person is shown; copied. */
struct approval_question {
    struct span tool;
    struct span arguments; /* JSON, as the tool will get it */
    struct span checks;    /* that ask, comma-separated */
    struct span decision;  /* the verdict's id, for the audit; or empty */
    int seconds;           /* to answer in */
};

/* Once, unless cancelled; the approval is gone then. */
typedef void approval_done(void *user, enum approval_answer answer);

/* Every answer gets a row of the audit, which outlives the table; may be NULL.
 */
struct approvals *approvals_new(struct audit *audit);
/* Another face of the same table. Answers come by `box`, the mailbox of the
 * face's loop, which closes after all its approvals were cancelled. */
struct approvals *approvals_share(struct approvals *a, struct mailbox *box);
/* Every approval of this face was answered or cancelled before; the last face
 * takes the table along. NULL is fine. */
void approvals_free(struct approvals *a);

/* Never answered inside. NULL: ERR_BUSY when too many wait, ERR_LIMIT for
 * arguments that nobody would read to their end. */
MUST_USE struct approval *approvals_ask(struct approvals *a,
                                        const struct approval_question *q,
                                        approval_done *done, void *user,
                                        struct err *err);
/* One that an earlier process asked, under its id and with the time it has
 * left; `q->seconds` does not count. Never NULL: it was within the limits. */
struct approval *approvals_restore(struct approvals *a, struct span id,
                                   int64_t created, int64_t expires,
                                   const struct approval_question *q,
                                   approval_done *done, void *user);
/* Borrowed while it waits; times in seconds since 1970. */
const char *approval_id(const struct approval *p);
void approval_times(const struct approval *p, int64_t *created,
                    int64_t *expires);
void approval_cancel(struct approval *p); /* NULL is fine */
/* Now and then: those of this face past their time expire. */
void approvals_tick(struct approvals *a);

/* {"object":"list","data":[{id, created, expires, tool, arguments, checks}]},
 * the oldest first; times in seconds since 1970, arguments as the text that
 * they are. False only when `out` is full. */
MUST_USE bool approvals_list(const struct approvals *a, struct bytes *out,
                             struct err *err);
/* `body` is {"decision":"approve"|"deny"}. Appends {id, decision} and tells the
 * one who waits. `by` is the id of the key that decides, "" without
 * keys. ERR_NOT_FOUND when nobody waits under `id`. */
MUST_USE bool approvals_decide(struct approvals *a, struct span id,
                               struct span body, const char *by,
                               struct bytes *out, struct err *err);

#endif
