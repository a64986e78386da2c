/* http_link.h - a connection to another server, in the clear or by TLS: bytes
 * out and bytes in. It serves one owner after the other. Event-loop thread.
 *
 *   RESOLVING -> CONNECTING -> (TLS) -> READY -> OVER       (any) -> CLOSED
 */
#ifndef CORRAL_PROXY_HTTP_LINK_H
#define CORRAL_PROXY_HTTP_LINK_H

#include <uv.h>

#include "base/bytes.h"
#include "proxy/tls.h"

struct http_link; /* opaque: only http_link.c looks inside */

/* Where it goes, and who that must prove to be. */
struct http_place {
    const char *host;
    int port;
    const struct tls_context *tls; /* NULL: in the clear; else borrowed */
};

/* Borrowed arguments live during the callback. No callback runs inside a
 * http_link_*() call, and each of these is allowed in any. */
struct http_link_events {
    void (*on_ready)(void *user); /* it may be written to */
    void (*on_bytes)(void *user, struct span in);
    /* Once, and nothing after: the owner still closes it. NULL when the peer
     * has closed in good order. ERR_UNAVAILABLE: not reached; ERR_IO: broken
     * later. */
    void (*on_end)(void *user, const struct err *err);
    void (*on_late)(void *user); /* the time of http_link_arm() is over */
    void *user;
};

/* Connect: several addresses are tried one after the other, for `connect_ms`
 * in all. NULL with `err` when it cannot begin. */
MUST_USE struct http_link *
http_link_open(uv_loop_t *loop, const struct http_place *place, int connect_ms,
               const struct http_link_events *events, struct err *err);
/* No callback after this; it goes in the loop. NULL is fine. */
void http_link_close(struct http_link *link);

/* When ready. What the kernel does not take at once is copied. */
void http_link_write(struct http_link *link, struct span out);
/* Stop reading (one more on_bytes may come), and go on. */
void http_link_pause(struct http_link *link);
void http_link_resume(struct http_link *link);
/* When ready: on_late() after `ms`, once, in the place of any time set before;
 * 0 for never. */
void http_link_arm(struct http_link *link, int ms);

/* Ready, nothing unsent, not told to be over: it could serve the next one. */
bool http_link_usable(const struct http_link *link);
bool http_link_is_at(const struct http_link *link,
                     const struct http_place *place);
/* The next owner. With `idle` it does not keep the loop running. */
void http_link_hand(struct http_link *link,
                    const struct http_link_events *events, bool idle);

#endif
