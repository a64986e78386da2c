/* tracer.h - spans of sampled traces, sent in batches to a collector as OTLP
 * over HTTP (JSON). Event-loop thread; never waits. What the collector does not
 * take in time is dropped and counted: a trace is worth less than an answer. */
#ifndef CORRAL_PROXY_TRACER_H
#define CORRAL_PROXY_TRACER_H

#include <uv.h>

#include "base/json.h"
#include "proxy/http_client.h"
#include "proxy/trace.h"

enum {
    TRACER_QUEUE = 2048, /* spans that wait to be sent, by default */
    TRACER_QUEUE_MAX = 65536,
    TRACER_BYTES_MAX = 32 << 20, /* of them */
    TRACER_BATCH = 512,          /* are sent at once, others within a second */
    TRACER_HEADERS_MAX = 8
};

struct tracer;

struct tracer_options {
    struct http_url url;               /* the whole of it: .../v1/traces */
    const struct http_header *headers; /* for the collector; borrowed */
    int header_count;
    const char *ca_file; /* NULL: the system's; borrowed */
    double sample;       /* the part of traces that begin here: 0 to 1 */
    int queue;           /* spans that wait */
};

/* NULL with `err`: the authorities cannot be read. */
MUST_USE struct tracer *
tracer_open(uv_loop_t *loop, const struct tracer_options *o, struct err *err);
/* What waits is sent, if the collector takes it in a second or two. Frees
 * itself in the loop. NULL is fine. */
void tracer_close(struct tracer *t);
/* Is a trace that begins here to be kept? Of NULL: no. */
bool tracer_samples(const struct tracer *t);

/* As OpenTelemetry numbers them. */
enum tracer_kind { TRACER_INTERNAL = 1, TRACER_SERVER = 2, TRACER_CLIENT = 3 };

/* Borrowed during the call, but for `attributes`, which is taken. */
struct tracer_span {
    const char *trace;  /* a traceparent: its trace, and the span's own id */
    const char *parent; /* a span's id, 16 digits and whatever; "" for none */
    const char *name;
    enum tracer_kind kind;
    uint64_t start_ns, end_ns; /* monotonic */
    bool failed;
    cJSON *attributes; /* by tracer_attributes(); or NULL */
};

cJSON *tracer_attributes(void);
/* An empty text is left out. */
void tracer_text(cJSON *attributes, const char *key, const char *value);
/* A list of one. */
void tracer_texts(cJSON *attributes, const char *key, const char *value);
void tracer_number(cJSON *attributes, const char *key, int64_t value);

/* Nothing happens when `t` is NULL. */
void tracer_span(struct tracer *t, const struct tracer_span *span);

/* For metrics; of NULL: 0. */
double tracer_sent(const struct tracer *t);
double tracer_dropped(const struct tracer *t);
double tracer_waiting(const struct tracer *t);

#endif
