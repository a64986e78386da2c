/* trace.h - W3C Trace Context: the traceparent of a request and the one that
 * goes with what it makes us ask of others. */
#ifndef CORRAL_PROXY_TRACE_H
#define CORRAL_PROXY_TRACE_H

#include "base/bytes.h"

enum {
    TRACE_SIZE = 56, /* with its NUL */
    TRACE_ID_AT = 3, /* 32 hex digits of it */
    TRACE_ID_SIZE = 32,
    TRACE_SPAN_AT = 36, /* 16 hex digits of it */
    TRACE_SPAN_SIZE = 16
};

/* `came` as a client sent it: its trace goes on, under a span of our own, and
 * `parent` is the client's span. One that is absent or not to the letter begins
 * a new trace, sampled when `sampled` says so, and `parent` is "". */
void trace_continue(struct span came, bool sampled, char out[TRACE_SIZE],
                    char parent[TRACE_SPAN_SIZE + 1]);
/* The same trace under a fresh span. */
void trace_child(const char *trace, char out[TRACE_SIZE]);
bool trace_sampled(const char *trace);

#endif
