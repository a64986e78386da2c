#include "proxy/network.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

enum { MAPPED_BITS = 96, ADDRESS_BITS = 128 };

static const unsigned char mapped[16] = {[10] = 0xff, [11] = 0xff};

static void map_ipv4(unsigned char out[16], const struct in_addr *address) {
    memcpy(out, mapped, sizeof mapped);
    memcpy(out + 12, address, 4);
}

/* Are the first `count` bits alike? */
static bool alike(const unsigned char *a, const unsigned char *b, int count) {
    int whole = count / 8, rest = count % 8;

    if (memcmp(a, b, (size_t)whole) != 0) return false;
    return !rest || (a[whole] ^ b[whole]) >> (8 - rest) == 0;
}

static bool read_prefix(const char *text, int most, int *out) {
    char *end;
    long number = strtol(text, &end, 10);

    if (*text < '0' || *text > '9' || *end || number > most) return false;
    *out = (int)number;
    return true;
}

/* No bit is set from `prefix` on. */
static bool is_base(const unsigned char *bits, int prefix) {
    for (int i = prefix; i < ADDRESS_BITS; i++)
        if (bits[i / 8] >> (7 - i % 8) & 1) return false;
    return true;
}

bool network_parse(struct network *out, const char *text, struct err *err) {
    const char *slash = strchr(text, '/');
    struct network n = {.prefix = ADDRESS_BITS};
    char address[INET6_ADDRSTRLEN] = {0};
    struct in_addr four;
    int prefix, base = 0;
    size_t size = slash ? (size_t)(slash - text) : strlen(text);
    bool ok = size < sizeof address;

    if (ok) memcpy(address, text, size);
    if (ok && inet_pton(AF_INET, address, &four) == 1) {
        map_ipv4(n.bits, &four);
        base = MAPPED_BITS;
    } else {
        ok = ok && inet_pton(AF_INET6, address, n.bits) == 1;
    }
    if (ok && slash) {
        ok = read_prefix(slash + 1, ADDRESS_BITS - base, &prefix);
        if (ok) n.prefix = base + prefix;
    }
    if (!ok || !is_base(n.bits, n.prefix))
        return err_set(err, ERR_INPUT,
                       "\"%.80s\" is not a network such as 10.0.0.0/8", text);
    *out = n;
    return true;
}

bool network_holds(const struct network *n, const struct sockaddr *address) {
    unsigned char bits[16];

    if (address->sa_family == AF_INET)
        map_ipv4(bits, &((const struct sockaddr_in *)address)->sin_addr);
    else if (address->sa_family == AF_INET6)
        memcpy(bits, &((const struct sockaddr_in6 *)address)->sin6_addr, 16);
    else
        return false;
    return alike(bits, n->bits, n->prefix);
}
