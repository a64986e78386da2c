/* peer.h - a client without a key, known by its address alone. Pure. */
#ifndef CORRAL_PROXY_PEER_H
#define CORRAL_PROXY_PEER_H

#include "base/bytes.h"

/* A number for everybody behind one address: of IPv6 behind one network of 64
 * bits, since a host may take any address of it. False for this machine's own
 * addresses, and for what is none ("unix"): they tell nobody from another. The
 * number is below 2^63 and not below 2^62. */
MUST_USE bool peer_number(const char *address, uint64_t *out);

#endif
