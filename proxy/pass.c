#include "proxy/pass.h"

#include <string.h>

#include "base/clock.h"
#include "base/hash.h"
#include "proxy/conn.h"
#include "proxy/tracer.h"

/* Goes into headers, logs and the audit: nothing that could break a line. */
static bool is_sound_id(struct span s) {
    if (s.size == 0 || s.size >= PASS_ID_SIZE) return false;
    for (size_t i = 0; i < s.size; i++) {
        char c = s.at[i];

        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
              (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.'))
            return false;
    }
    return true;
}

void pass_begin(struct conn *c, const struct http_request *r,
                struct tracer *tracer) {
    struct pass *p = conn_pass(c);
    struct span given = http_request_header(r, "x-request-id");
    char id[HASH_ID_SIZE];

    *p = (struct pass){.started_ns = clock_ns()};
    hash_random_id(id);
    if (!is_sound_id(given)) given = span_of(id);
    memcpy(p->request_id, given.at, given.size);
    trace_continue(http_request_header(r, "traceparent"),
                   tracer_samples(tracer), p->trace, p->parent);
    if (trace_sampled(p->trace)) p->tracer = tracer;
    conn_add_header(c, "x-request-id", p->request_id);
}
