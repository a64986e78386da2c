/* proxy_header.h - what a load balancer says at the start of a connection about
 * the client behind it: the PROXY protocol, versions 1 and 2. It is believed
 * from whoever may connect, or from the networks named. Any thread. */
#ifndef CORRAL_PROXY_PROXY_HEADER_H
#define CORRAL_PROXY_PROXY_HEADER_H

#include "proxy/network.h"

enum {
    PROXY_HEADER_MAX =
        4096, /* bytes: 16, the addresses, and what else it says */
    PROXY_PEER_MAX = 64,
    PROXY_NETWORKS_MAX = 16
};

struct proxy_trust {
    bool on; /* every connection begins with a header */
    int count;
    struct network from[PROXY_NETWORKS_MAX]; /* none: anybody is believed */
};

/* May this one say who it speaks for? */
bool proxy_trusts(const struct proxy_trust *t, const struct sockaddr *address);

enum proxy_header {
    PROXY_HEADER_WRONG, /* not one: the connection is not to be used */
    PROXY_HEADER_MORE,  /* as far as it goes; not with PROXY_HEADER_MAX bytes */
    PROXY_HEADER_DONE
};

/* Read the header at the start of `in`. DONE: it is *used bytes long, and
 * `peer` is the client's address as text ("192.0.2.1", "unix"), or as before
 * when the balancer speaks for itself (LOCAL) or does not say (UNKNOWN).
 * Otherwise neither is touched. */
enum proxy_header proxy_header_read(struct span in, size_t *used,
                                    char peer[PROXY_PEER_MAX]);

#endif
