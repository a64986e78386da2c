/* address.h - is a network address one that anybody may know, or does it lead
 * into this machine or a network around it? What a model asks for goes to the
 * former only. Any thread. */
#ifndef CORRAL_TOOLS_ADDRESS_H
#define CORRAL_TOOLS_ADDRESS_H

#include <stdbool.h>
#include <sys/socket.h>

enum { ADDRESS_TEXT_MAX = 64 };

/* False for loopback, private, shared (CGNAT), link-local (cloud metadata
 * too), multicast, reserved and documentation addresses, for IPv6 addresses
 * that carry such an IPv4 one (mapped, NAT64, 6to4, ISATAP), and for every
 * family but the two of IP. */
bool address_is_public(const struct sockaddr *address);
/* "192.0.2.1" or "2001:db8::1", for messages; returns `out`. */
const char *address_text(const struct sockaddr *address,
                         char out[ADDRESS_TEXT_MAX]);

#endif
