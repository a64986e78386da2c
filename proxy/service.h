/* service.h - which request goes where: the routes, and what they share.
 * The thread of its loop. */
#ifndef CORRAL_PROXY_SERVICE_H
#define CORRAL_PROXY_SERVICE_H

#include <uv.h>

#include "agent/compact.h"
#include "proxy/conn.h"
#include "proxy/hosts.h"
#include "proxy/metrics.h"

struct guard;
struct mailbox;
struct policy;
struct registry;
struct router;
struct sessions;
struct responses_store;
struct service;
struct addresses;
struct audit;
struct auth;
struct tracer;

struct service_options {
    uv_loop_t *loop;
    struct guard *guard;          /* everything here outlives the service */
    struct router *router;        /* which models there are */
    const struct registry *tools; /* Corral's own; may be NULL */
    struct policy *policy;        /* the service takes a reference */
    struct metrics *metrics;
    struct sessions *sessions;         /* NULL: there are none */
    struct responses_store *responses; /* taken; NULL with `first` */
    struct auth *auth;                 /* who may come in */
    struct addresses *addresses; /* where that asks for no keys; may be NULL */
    struct hosts hosts; /* what it is called, where no keys are asked for */
    struct audit *audit;
    struct tracer *tracer; /* NULL: no spans are sent */
    /* Whose table of approvals it shares; NULL: none, and it has its own. With
     * one it is not the first loop's: what only that one keeps (sessions,
     * stored responses, files that tools made) and shows is answered there, and
     * connections leave for it. */
    struct service *first;
    struct mailbox *box; /* of its loop, with `first` */
    bool log_requests;
    bool console;                   /* is the web console served? */
    struct compact_options compact; /* of sessions */
    int turn_steps;
    int turn_tool_calls;
    int turn_seconds;
    int turn_tokens;
};

struct service *service_new(const struct service_options *options);
/* Every connection must be closed before. Frees itself in the loop. */
void service_close(struct service *s);

/* What a server calls; borrowed until service_close(). */
struct conn_handler service_handler(struct service *s);

/* Judge what comes from now on by another policy; requests in flight finish
 * under the one they began with. Takes a reference. */
void service_set_policy(struct service *s, struct policy *policy);
/* The same for the models: what began keeps those of its router. */
void service_set_router(struct service *s, struct router *router);
/* How far turns may go that begin from now on. */
struct service_turns {
    struct compact_options compact;
    int steps;
    int tool_calls;
    int seconds;
    int tokens;
};
void service_set_turns(struct service *s, const struct service_turns *turns);
void service_log_requests(struct service *s, bool on);
void service_show_console(struct service *s, bool on);
/* Bytes of answers that wait for a verdict. */
size_t service_held(const struct service *s);
/* What its turns run in; borrowed until service_close(). */
struct exchange_context *service_exchanges(struct service *s);
/* /readyz says no from here on, and calls that wait for a person are left to
 * the next process. */
void service_drain(struct service *s);

#endif
