/* front.h - who is at the other end of a socket: its own address, or the one
 * that a balancer in front names before all else. Event-loop thread. */
#ifndef CORRAL_PROXY_FRONT_H
#define CORRAL_PROXY_FRONT_H

#include <uv.h>

#include "proxy/proxy_header.h"

struct front {
    bool waiting;      /* a PROXY header is to come, or the rest of one */
    struct bytes held; /* what of it came */
    char peer[PROXY_PEER_MAX];
};

/* Look at a socket that was accepted; NULL: a unix socket, whose permissions
 * say who may connect. False, and logged, when nothing that it says about
 * others is believed. */
MUST_USE bool front_begin(struct front *f, const struct proxy_trust *trust,
                          const uv_tcp_t *socket);
/* While `waiting`: take bytes. False, and logged, when they are no header.
 * Once it is whole, `held` is what came after it, to be used and freed. */
MUST_USE bool front_take(struct front *f, struct span in);
void front_clear(struct front *f);

#endif
