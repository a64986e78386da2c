/* pass.h - what is known about whoever sent the request in hand: put on the
 * connection at the door (auth.c), read by everybody further in. */
#ifndef CORRAL_PROXY_PASS_H
#define CORRAL_PROXY_PASS_H

#include "guard/verdict.h"
#include "proxy/http.h"
#include "proxy/trace.h"

struct caller; /* auth.h */
struct conn;
struct tracer;

enum { PASS_ID_SIZE = 65 };

struct pass {
    struct caller *caller; /* NULL: no keys are asked for */
    char request_id[PASS_ID_SIZE];
    char trace[TRACE_SIZE];           /* for what we ask of others */
    char parent[TRACE_SPAN_SIZE + 1]; /* the client's span; "" for none */
    struct tracer *tracer;            /* NULL: the trace is not sampled */
    uint64_t started_ns;
    uint64_t address; /* in whose limits it counts (addresses.h); 0: none */
    /* The verdict that weighs most so far (decision.c). */
    char decision[HASH_ID_SIZE]; /* "": none */
    enum verdict_action action;
    bool refused; /* at the door */
    bool failed;  /* blocked because the guard could not judge */
};

/* A request has come: its id (the client's x-request-id where it is sound, and
 * told in the answer), its trace, its time. `tracer` may be NULL. */
void pass_begin(struct conn *c, const struct http_request *r,
                struct tracer *tracer);

#endif
