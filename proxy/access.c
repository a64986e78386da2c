#include "proxy/access.h"

#include "base/clock.h"
#include "base/log.h"
#include "proxy/auth.h"

enum { LINE_ROOM = 512 /* for most */ };

static const char *action_of(const struct pass *p) {
    if (!*p->decision) return "none";
    return p->failed ? "unavailable" : verdict_action_name(p->action);
}

static void put(struct bytes *line, const char *key, const char *value) {
    bytes_puts(line, key);
    bytes_puts(line, value);
}

static void put_int(struct bytes *line, const char *key, int64_t value) {
    bytes_puts(line, key);
    bytes_put_int(line, value);
}

/* Every request has one, and a printf() of a dozen values would be felt. */
void access_log(struct conn *c, const char *route,
                const struct conn_outcome *end) {
    const struct pass *p = conn_pass(c);
    char ms[CLOCK_MS_SIZE];
    struct bytes line = {0};

    if (!log_wants(LOG_INFO)) return;
    clock_put_ms(p->started_ns ? clock_ns() - p->started_ns : 0, ms);
    bytes_expect(&line, LINE_ROOM);
    put(&line, "request=", *p->request_id ? p->request_id : "-");
    bytes_puts(&line, " method=");
    bytes_put(&line, conn_request(c)->method);
    put(&line, " route=", route);
    put_int(&line, " status=", end->status);
    put_int(&line, " bytes=", (int64_t)end->bytes);
    put(&line, " ms=", ms);
    put(&line, " action=", action_of(p));
    put(&line, " decision=", *p->decision ? p->decision : "-");
    put(&line, " key=", p->caller ? caller_id(p->caller) : "-");
    put(&line, " peer=", conn_peer(c));
    bytes_puts(&line, " trace=");
    bytes_put(&line, *p->trace
                         ? (struct span){p->trace + TRACE_ID_AT, TRACE_ID_SIZE}
                         : span_of("-"));
    log_event(LOG_INFO, "request", "%.*s", (int)line.size, line.at);
    bytes_free(&line);
}
