/* exchange.h - one request's road: judged, run, judged, sent. To know what can
 * reach a model, read exchange.c; what can reach a client, choice.c.
 * Event-loop thread. */
#ifndef CORRAL_PROXY_EXCHANGE_H
#define CORRAL_PROXY_EXCHANGE_H

#include "agent/compact.h"
#include "proxy/conn.h"
#include "proxy/dialect.h"
#include "proxy/metrics.h"

struct approvals;
struct audit;
struct guard;
struct journal;
struct policy;
struct registry;
struct responses_store;
struct router;
struct exchange;

enum { EXCHANGE_ARENA_BYTES_MAX = 64 << 20 };

/* What all exchanges share; the owner outlives them. */
struct exchange_context {
    struct guard *guard;
    const struct policy *policy;  /* the one in force; exchanges take a ref */
    struct router *router;        /* which models there are */
    const struct registry *tools; /* Corral's own; may be NULL */
    struct approvals *approvals;
    struct metrics *metrics;
    uv_loop_t *loop;
    struct responses_store *responses;
    struct audit *audit;            /* may be NULL */
    struct compact_options compact; /* of sessions */
    int turn_steps;
    int turn_tool_calls;
    int turn_seconds;
    int turn_tokens;
    bool closing;          /* what waits for a person is left to the next */
    uint64_t fence_key;    /* see fence.h */
    struct exchange *list; /* those under way, linked through themselves */
};

/* Take a request of `dialect` on its road. The exchange answers on `c` and
 * frees itself after the last byte. */
void exchange_start(struct exchange_context *context,
                    const struct dialect *dialect, struct conn *c,
                    const struct http_request *request);
/* The same for a turn of a session: `body` is an OpenAI chat completion's,
 * borrowed during the call, and `journal` (taken) keeps the record. */
void exchange_start_turn(struct exchange_context *context, struct conn *c,
                         struct span body, struct journal *journal);
/* A turn of a session that an earlier process began goes on, for nobody but its
 * record. */
struct exchange_resume {
    struct span body;   /* as above, borrowed during the call */
    struct span calls;  /* messages with the calls without a result, likewise */
    struct span asked;  /* see choice.h, likewise */
    const char *denied; /* static */
    struct caller *caller; /* whose session it is; NULL: without keys */
};
void exchange_resume_turn(struct exchange_context *context,
                          const struct exchange_resume *r,
                          struct journal *journal);
/* No more of them: the server closes. */
void exchange_end_resumed(struct exchange_context *context);
/* The client left: cancel everything; conn_user(c) is the exchange. */
void exchange_gone(struct exchange *x);
/* It has taken what was queued for it: go on. */
void exchange_drained(struct exchange *x);
/* Bytes of answers that wait for a verdict, of all exchanges. */
size_t exchange_held(const struct exchange_context *context);
/* Once a second, from a timer: ends what is past its time. */
void exchange_tick(struct exchange_context *context);

#endif
