/* addresses.h - what each address may ask where nobody needs a key: requests a
 * minute, and requests in hand. A network of IPv6 that is one household's is
 * one address (peer.h); this machine's own is none. Any loop, at any time. */
#ifndef CORRAL_PROXY_ADDRESSES_H
#define CORRAL_PROXY_ADDRESSES_H

#include "proxy/conn.h"
#include "proxy/limits.h"

struct addresses;

/* Borrows the limits, which may change while no loop runs: 0 is no limit. A
 * seed that nobody can know keeps others' addresses out of one's place. */
struct addresses *addresses_new(const struct limits *limits, uint64_t seed);
void addresses_free(struct addresses *a); /* NULL is fine */

enum addresses_answer {
    ADDRESSES_FINE, /* counted: addresses_leave() when it has ended */
    ADDRESSES_RATE, /* *retry_s says when there is room again */
    ADDRESSES_AT_ONCE
};
enum addresses_answer addresses_enter(struct addresses *a, uint64_t address,
                                      uint64_t now_ms, int64_t *retry_s);
void addresses_leave(struct addresses *a, uint64_t address);

/* Let the request in, noted in its pass; or answer it with 429 and be false.
 * Of NULL, or without limits: in. */
MUST_USE bool addresses_admit(struct addresses *a, struct conn *c,
                              const struct http_request *r, int *status);
/* It has ended. */
void addresses_done(struct addresses *a, struct conn *c);

#endif
