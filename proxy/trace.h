/* trace.h - W3C Trace Context: the traceparent of a request and the one that
 * goes with what it makes us ask of others. */
#ifndef CORRAL_PROXY_TRACE_H
#define CORRAL_PROXY_TRACE_H

#include "base/bytes.h"

enum { TRACE_SIZE = 56 }; /* with its NUL */

/* `came` as a client sent it: its trace goes on, under a span of our own. One
 * that is absent or not to the letter begins a new trace, not sampled. */
void trace_continue(struct span came, char out[TRACE_SIZE]);

#endif
