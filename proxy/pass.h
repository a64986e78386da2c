/* pass.h - what is known about whoever sent the request in hand: put on the
 * connection at the door (auth.c), read by everybody further in. */
#ifndef CORRAL_PROXY_PASS_H
#define CORRAL_PROXY_PASS_H

#include <stdint.h>

struct caller; /* auth.h */

enum { PASS_ID_SIZE = 65, PASS_TRACE_SIZE = 56 };

struct pass {
    struct caller *caller; /* NULL: no keys are asked for */
    char request_id[PASS_ID_SIZE];
    /* W3C traceparent with our own span's id, for what we call; or "". */
    char trace[PASS_TRACE_SIZE];
    uint64_t started_ns;
};

#endif
