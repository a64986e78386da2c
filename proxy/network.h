/* network.h - a block of addresses, such as 10.0.0.0/8: who may do what only
 * some machines may. Any thread. */
#ifndef CORRAL_PROXY_NETWORK_H
#define CORRAL_PROXY_NETWORK_H

#include <sys/socket.h>

#include "base/bytes.h"

struct network {
    unsigned char bits[16]; /* IPv4 as ::ffff:a.b.c.d */
    int prefix;             /* of `bits`, 0 to 128 */
};

/* "192.0.2.1", "10.0.0.0/8", "2001:db8::/32". ERR_INPUT for anything else, and
 * for bits beyond the prefix, which show that something else was meant. `out`
 * is written only on success. */
MUST_USE bool network_parse(struct network *out, const char *text,
                            struct err *err);
/* False for every family but the two of IP. An IPv4 address is the same
 * written as an IPv6 one. */
bool network_holds(const struct network *n, const struct sockaddr *address);

#endif
