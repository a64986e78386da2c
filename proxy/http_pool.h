/* http_pool.h - connections that wait for their next request. One that its peer
 * closes, or that says anything unasked, is dropped at once. Event-loop thread.
 */
#ifndef CORRAL_PROXY_HTTP_POOL_H
#define CORRAL_PROXY_HTTP_POOL_H

#include "proxy/http_link.h"

struct http_pool; /* opaque */

/* At most `count_max` wait, each for at most `idle_ms`. */
struct http_pool *http_pool_new(int count_max, int idle_ms);
/* Closes those that wait; no call may still point to it. NULL is fine. */
void http_pool_free(struct http_pool *pool);

/* The one that was last used for this very place, the same authorities
 * included; the caller owns it from http_link_hand() on. NULL: there is none.
 */
struct http_link *http_pool_take(struct http_pool *pool,
                                 const struct http_place *place);
/* Takes `link`, which may be closed on the spot. */
void http_pool_give(struct http_pool *pool, struct http_link *link);

int http_pool_count(const struct http_pool *pool); /* that wait */

#endif
