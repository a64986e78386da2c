#include "proxy/peer.h"

#include <string.h>
#include <uv.h>

#include "base/hash.h"

enum { V4_SIZE = 4, V6_SIZE = 16, V6_NETWORK = 8, LOOPBACK = 127 };

static bool number_of(const unsigned char *at, size_t size, uint64_t *out) {
    const struct span bits = {(const char *)at, size};

    *out = (hash_fnv1a(HASH_FNV1A_START, bits) >> 2) | UINT64_C(1) << 62;
    return true;
}

static bool v4_number(const unsigned char *at, uint64_t *out) {
    return at[0] != LOOPBACK && number_of(at, V4_SIZE, out);
}

bool peer_number(const char *address, uint64_t *out) {
    static const unsigned char here[V6_SIZE] = {[V6_SIZE - 1] = 1};
    static const unsigned char mapped[] = {0, 0, 0, 0, 0,    0,
                                           0, 0, 0, 0, 0xff, 0xff};
    unsigned char at[V6_SIZE];

    if (!uv_inet_pton(AF_INET, address, at)) return v4_number(at, out);
    if (uv_inet_pton(AF_INET6, address, at)) return false;
    if (!memcmp(at, mapped, sizeof mapped))
        return v4_number(at + sizeof mapped, out);
    return memcmp(at, here, sizeof here) != 0 && number_of(at, V6_NETWORK, out);
}
