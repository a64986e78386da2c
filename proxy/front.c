#include "proxy/front.h"

#include <stdio.h>

#include "base/log.h"

enum { HELD_MAX = 1 << 20 }; /* a header and one read, amply */

static void name_peer(struct front *f, const struct sockaddr_storage *at) {
    if (at->ss_family == AF_INET)
        (void)uv_ip4_name((const struct sockaddr_in *)at, f->peer,
                          sizeof f->peer);
    else if (at->ss_family == AF_INET6)
        (void)uv_ip6_name((const struct sockaddr_in6 *)at, f->peer,
                          sizeof f->peer);
}

static bool refuse(const struct front *f, const char *reason) {
    log_event(LOG_WARN, "proxy_header", "peer=%s reason=\"%s\"", f->peer,
              reason);
    return false;
}

bool front_begin(struct front *f, const struct proxy_trust *trust,
                 const uv_tcp_t *socket) {
    struct sockaddr_storage at = {0};
    int size = (int)sizeof at;

    f->waiting = trust->on;
    f->held.limit = HELD_MAX;
    (void)snprintf(f->peer, sizeof f->peer, socket ? "unknown" : "unix");
    if (!socket) return true;
    if (uv_tcp_getpeername(socket, (struct sockaddr *)&at, &size) == 0)
        name_peer(f, &at);
    return !f->waiting || proxy_trusts(trust, (const struct sockaddr *)&at) ||
           refuse(f, "not of a trusted address");
}

bool front_take(struct front *f, struct span in) {
    enum proxy_header found = PROXY_HEADER_WRONG;
    size_t used = 0;

    if (bytes_append(&f->held, in.at, in.size, NULL))
        found = proxy_header_read(span_bytes(&f->held), &used, f->peer);
    if (found == PROXY_HEADER_WRONG) return refuse(f, "malformed");
    if (found == PROXY_HEADER_DONE) {
        f->waiting = false;
        bytes_drop(&f->held, used);
    }
    return true;
}

void front_clear(struct front *f) {
    bytes_free(&f->held);
}
