/* suspended.h - turns of sessions that outlived the process which began them:
 * those in which a person is asked go on when the person has answered, those of
 * whose tools all may run again go on at once. Nobody waits for their answers;
 * they are in the session's record. Event-loop thread. */
#ifndef CORRAL_PROXY_SUSPENDED_H
#define CORRAL_PROXY_SUSPENDED_H

#include "agent/session.h"
#include "proxy/db_queue.h"
#include "proxy/exchange.h"

struct auth;
struct suspended;

/* Borrowed until suspended_close(). */
struct suspended_options {
    struct db_queue *queue;
    struct exchange_context *context;
    const struct auth *auth; /* may be NULL: no keys */
    /* The turn of this session is over, or cannot go on. */
    void (*on_over)(void *data, struct span session);
    void *data;
};

/* `list` is what session_each_open() told, copied: (count). */
struct suspended_turn {
    char *session, *question, *tool, *arguments, *checks;
    int64_t created, expires;
};
void suspended_turn_take(struct suspended_turn *out,
                         const struct session_question *q);
void suspended_turn_clear(struct suspended_turn *t);

struct suspended *suspended_open(const struct suspended_options *o,
                                 const struct suspended_turn *list, int count);
/* What still waits for a person is left to the next process. Frees itself when
 * the queue has done its jobs. NULL is fine. */
void suspended_close(struct suspended *s);

#endif
