#include "proxy/access.h"

#include "base/clock.h"
#include "base/log.h"
#include "proxy/auth.h"

static const char *action_of(const struct pass *p) {
    if (!*p->decision) return "none";
    return p->failed ? "unavailable" : verdict_action_name(p->action);
}

void access_log(struct conn *c, const char *route,
                const struct conn_outcome *end) {
    const struct pass *p = conn_pass(c);
    const struct http_request *r = conn_request(c);
    uint64_t ns = p->started_ns ? clock_ns() - p->started_ns : 0;

    if (!log_wants(LOG_INFO)) return;
    log_event(LOG_INFO, "request",
              "request=%s method=%.*s route=%s status=%d bytes=%zu ms=%.1f "
              "action=%s decision=%s key=%s peer=%s trace=%.32s",
              *p->request_id ? p->request_id : "-", (int)r->method.size,
              r->method.at, route, end->status, end->bytes, (double)ns / 1e6,
              action_of(p), *p->decision ? p->decision : "-",
              p->caller ? caller_id(p->caller) : "-", conn_peer(c),
              *p->trace ? p->trace + TRACE_ID_AT : "-");
}
