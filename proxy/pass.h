/* pass.h - what is known about whoever sent the request in hand: put on the
 * connection at the door (auth.c), read by everybody further in. */
#ifndef CORRAL_PROXY_PASS_H
#define CORRAL_PROXY_PASS_H

#include "proxy/http.h"
#include "proxy/trace.h"

struct caller; /* auth.h */
struct conn;

enum { PASS_ID_SIZE = 65 };

struct pass {
    struct caller *caller; /* NULL: no keys are asked for */
    char request_id[PASS_ID_SIZE];
    char trace[TRACE_SIZE]; /* for what we ask of others */
    uint64_t started_ns;
};

/* A request has come: its id (the client's x-request-id where it is sound, and
 * told in the answer), its trace, its time. */
void pass_begin(struct conn *c, const struct http_request *r);

#endif
