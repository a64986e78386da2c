/* address.c - the registries of special-purpose addresses (RFC 6890 and what
 * came after it), as prefixes. */
#include "tools/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

struct prefix {
    unsigned char at[16];
    int bits;
};

static const struct prefix closed4[] = {
    {{0}, 8},                 /* "this network" */
    {{10}, 8},                /* private */
    {{100, 64}, 10},          /* shared: carrier NAT */
    {{127}, 8},               /* loopback */
    {{168, 63, 129, 16}, 32}, /* Azure's wire server */
    {{169, 254}, 16},         /* link-local, metadata of most clouds */
    {{172, 16}, 12},          /* private */
    {{192, 0, 0}, 24},        /* protocol assignments, metadata of one cloud */
    {{192, 0, 2}, 24},        /* documentation */
    {{192, 88, 99}, 24},      /* 6to4 relays */
    {{192, 168}, 16},         /* private */
    {{198, 18}, 15},          /* benchmarks */
    {{198, 51, 100}, 24},     /* documentation */
    {{203, 0, 113}, 24},      /* documentation */
    {{224}, 4},               /* multicast */
    {{240}, 4},               /* reserved, broadcast */
};

/* Beyond these, only 2000::/3 is given out at all. */
static const struct prefix closed6[] = {
    {{0x20, 0x01, 0x00}, 23},       /* protocols: Teredo, ORCHID, ... */
    {{0x20, 0x01, 0x0d, 0xb8}, 32}, /* documentation */
    {{0x3f, 0xff, 0x00}, 20},       /* documentation */
};

static const struct prefix given_out = {{0x20}, 3};
static const struct prefix mapped = {{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff},
                                     96};
static const struct prefix nat64 = {{0x00, 0x64, 0xff, 0x9b}, 96};
static const struct prefix six_to_four = {{0x20, 0x02}, 16};

static bool within(const unsigned char *at, const struct prefix *p) {
    int whole = p->bits / 8;
    int rest = p->bits % 8;
    int mask = 0xff00 >> rest & 0xff;

    if (memcmp(at, p->at, (size_t)whole)) return false;
    return !rest || ((at[whole] ^ p->at[whole]) & mask) == 0;
}

static bool public4(const unsigned char *at) {
    for (size_t i = 0; i < sizeof closed4 / sizeof *closed4; i++)
        if (within(at, &closed4[i])) return false;
    return true;
}

/* An interface identifier of ISATAP: 0000:5efe or 0200:5efe and an IPv4
 * address. */
static bool is_isatap(const unsigned char *at) {
    return (at[8] & ~2) == 0 && at[9] == 0 && at[10] == 0x5e && at[11] == 0xfe;
}

static bool public6(const unsigned char *at) {
    if (within(at, &mapped) || within(at, &nat64)) return public4(at + 12);
    if (!within(at, &given_out)) return false;
    for (size_t i = 0; i < sizeof closed6 / sizeof *closed6; i++)
        if (within(at, &closed6[i])) return false;
    if (within(at, &six_to_four)) return public4(at + 2);
    return !is_isatap(at) || public4(at + 12);
}

bool address_is_public(const struct sockaddr *address) {
    struct sockaddr_in four;
    struct sockaddr_in6 six;

    if (address->sa_family == AF_INET) {
        memcpy(&four, address, sizeof four);
        return public4((const unsigned char *)&four.sin_addr);
    }
    if (address->sa_family == AF_INET6) {
        memcpy(&six, address, sizeof six);
        return public6((const unsigned char *)&six.sin6_addr);
    }
    return false;
}

const char *address_text(const struct sockaddr *address,
                         char out[ADDRESS_TEXT_MAX]) {
    struct sockaddr_in four;
    struct sockaddr_in6 six;
    const void *at = NULL;

    if (address->sa_family == AF_INET) {
        memcpy(&four, address, sizeof four);
        at = &four.sin_addr;
    } else if (address->sa_family == AF_INET6) {
        memcpy(&six, address, sizeof six);
        at = &six.sin6_addr;
    }
    if (!at || !inet_ntop(address->sa_family, at, out, ADDRESS_TEXT_MAX))
        (void)snprintf(out, ADDRESS_TEXT_MAX, "no IP address");
    return out;
}
