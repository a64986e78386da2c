/* sse.h - server-sent events out of a byte stream (WHATWG HTML, 9.2.6), cut
 * anywhere. Kept are the data of an event, and what is needed to ask for the
 * rest of a stream that broke off. */
#ifndef CORRAL_BASE_SSE_H
#define CORRAL_BASE_SSE_H

#include "base/bytes.h"

enum { SSE_EVENT_BYTES_MAX = 4 << 20, SSE_ID_MAX = 256 };

/* All zero is a reader at the start of a stream. */
struct sse {
    struct bytes line;
    struct bytes data;
    bool has_data;
    bool after_return;       /* the last byte was '\r': a '\n' belongs to it */
    bool begun;              /* past a byte order mark */
    char id[SSE_ID_MAX + 1]; /* of the last event that had one; printable */
    int retry_ms; /* before the stream is asked for again; 0: unsaid */
};

/* Take bytes; `on_data` gets each whole event's data, its lines joined by
 * '\n', borrowed; it returns false to stop (then this does too, with err as it
 * left it). ERR_LIMIT for an event past SSE_EVENT_BYTES_MAX. */
MUST_USE bool sse_feed(struct sse *sse, struct span in,
                       bool (*on_data)(void *user, struct span data,
                                       struct err *err),
                       void *user, struct err *err);
void sse_clear(struct sse *sse);

#endif
