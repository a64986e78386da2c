#include "proxy/proxy_header.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

enum {
    V1_MAX = 107, /* with its CRLF, by the specification */
    V1_FIELDS = 6,
    V2_FIXED = 16,
    V2_SIGNATURE = 12
};

/* The second header's families; the lower half says STREAM. */
enum { V2_UNSPEC = 0x00, V2_TCP4 = 0x11, V2_TCP6 = 0x21, V2_UNIX = 0x31 };

static const char v1_start[] = "PROXY ";
static const char v2_start[] = "\r\n\r\n\0\r\nQUIT\n";

bool proxy_trusts(const struct proxy_trust *t, const struct sockaddr *address) {
    for (int i = 0; i < t->count; i++)
        if (network_holds(&t->from[i], address)) return true;
    return t->count == 0;
}

/* Could `in` still become something that starts like this? */
static bool may_start(struct span in, const char *with, size_t size) {
    return !memcmp(in.at, with, in.size < size ? in.size : size);
}

static bool is_port(struct span s) {
    unsigned value = 0;

    if (!s.size || s.size > 5 || (s.size > 1 && s.at[0] == '0')) return false;
    for (size_t i = 0; i < s.size; i++) {
        if (s.at[i] < '0' || s.at[i] > '9') return false;
        value = value * 10 + (unsigned)(s.at[i] - '0');
    }
    return value <= 65535;
}

/* The address in one way of writing it. */
static bool read_address(int family, struct span text,
                         char out[PROXY_PEER_MAX]) {
    char copy[INET6_ADDRSTRLEN] = {0};
    unsigned char bits[16];

    if (!text.size || text.size >= sizeof copy ||
        memchr(text.at, '\0', text.size))
        return false;
    memcpy(copy, text.at, text.size);
    return inet_pton(family, copy, bits) == 1 &&
           inet_ntop(family, bits, out, PROXY_PEER_MAX);
}

/* Cut at single blanks; how many fields, or 0 when there are too many. */
static int split(struct span line, struct span fields[V1_FIELDS]) {
    int count = 0;

    for (;;) {
        size_t blank = span_find(line, span_of(" "));

        if (count == V1_FIELDS) return 0;
        fields[count++] = span_slice(line, 0, blank);
        if (blank == SIZE_MAX) return count;
        line = span_slice(line, blank + 1, line.size);
    }
}

static bool read_line(struct span line, char peer[PROXY_PEER_MAX]) {
    struct span f[V1_FIELDS] = {0};
    char from[PROXY_PEER_MAX], to[PROXY_PEER_MAX];
    int count, family;

    if (span_starts(line, span_of("PROXY UNKNOWN")) &&
        (line.size == 13 || line.at[13] == ' '))
        return true;
    count = split(line, f);
    if (count != V1_FIELDS) return false;
    if (!span_is(f[1], "TCP4") && !span_is(f[1], "TCP6")) return false;
    family = span_is(f[1], "TCP4") ? AF_INET : AF_INET6;
    if (!read_address(family, f[2], from) || !read_address(family, f[3], to) ||
        !is_port(f[4]) || !is_port(f[5]))
        return false;
    memcpy(peer, from, sizeof from);
    return true;
}

static enum proxy_header read_v1(struct span in, size_t *used,
                                 char peer[PROXY_PEER_MAX]) {
    size_t end = span_find(span_slice(in, 0, V1_MAX), span_of("\r"));

    if (span_find(span_slice(in, 0, end), span_of("\n")) != SIZE_MAX)
        return PROXY_HEADER_WRONG;
    if (end == SIZE_MAX)
        return in.size < V1_MAX ? PROXY_HEADER_MORE : PROXY_HEADER_WRONG;
    if (end + 2 > V1_MAX) return PROXY_HEADER_WRONG;
    if (end + 2 > in.size) return PROXY_HEADER_MORE;
    if (in.at[end + 1] != '\n' || !read_line(span_slice(in, 0, end), peer))
        return PROXY_HEADER_WRONG;
    *used = end + 2;
    return PROXY_HEADER_DONE;
}

/* Who is it, in the bytes after the fixed part? */
static bool read_block(int family, struct span block,
                       char peer[PROXY_PEER_MAX]) {
    /* Both addresses and, but for unix sockets, both ports. */
    size_t least = family == V2_TCP4   ? 12
                   : family == V2_TCP6 ? 36
                   : family == V2_UNIX ? 216
                                       : 0;

    if (block.size < least) return false;
    switch (family) {
    case V2_UNSPEC:
        return true;
    case V2_TCP4:
        return inet_ntop(AF_INET, block.at, peer, PROXY_PEER_MAX);
    case V2_TCP6:
        return inet_ntop(AF_INET6, block.at, peer, PROXY_PEER_MAX);
    case V2_UNIX:
        (void)snprintf(peer, PROXY_PEER_MAX, "unix");
        return true;
    default:
        return false; /* datagrams do not come by a connection */
    }
}

static enum proxy_header read_v2(struct span in, size_t *used,
                                 char peer[PROXY_PEER_MAX]) {
    const unsigned char *at = (const unsigned char *)in.at;
    enum { LOCAL = 0x20, PROXY = 0x21 };
    size_t size;

    if (in.size > V2_SIGNATURE && at[12] != LOCAL && at[12] != PROXY)
        return PROXY_HEADER_WRONG;
    if (in.size < V2_FIXED) return PROXY_HEADER_MORE;
    size = V2_FIXED + ((size_t)at[14] << 8 | at[15]);
    if (size > PROXY_HEADER_MAX) return PROXY_HEADER_WRONG;
    if (in.size < size) return PROXY_HEADER_MORE;
    if (at[12] == PROXY &&
        !read_block(at[13], span_slice(in, V2_FIXED, size), peer))
        return PROXY_HEADER_WRONG;
    *used = size;
    return PROXY_HEADER_DONE;
}

enum proxy_header proxy_header_read(struct span in, size_t *used,
                                    char peer[PROXY_PEER_MAX]) {
    if (!in.size) return PROXY_HEADER_MORE;
    if (may_start(in, v1_start, sizeof v1_start - 1))
        return in.size < sizeof v1_start - 1 ? PROXY_HEADER_MORE
                                             : read_v1(in, used, peer);
    if (may_start(in, v2_start, V2_SIGNATURE))
        return in.size < V2_SIGNATURE ? PROXY_HEADER_MORE
                                      : read_v2(in, used, peer);
    return PROXY_HEADER_WRONG;
}
