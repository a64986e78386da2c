/* tracing.h - what the spans of a request say: of the request itself, of each
 * verdict, of each tool that ran, of each generation. No text of a prompt, an
 * answer or a tool is among it, and no header, path or address. All of these do
 * nothing where the trace is not sampled. Event-loop thread. */
#ifndef CORRAL_PROXY_TRACING_H
#define CORRAL_PROXY_TRACING_H

#include "agent/llm.h"
#include "guard/verdict.h"
#include "proxy/conn.h"
#include "proxy/tracer.h"

/* The span of a sampled trace that others hang below. Zeroed: none. */
struct trace_point {
    struct tracer *tracer; /* NULL: the trace is not sampled */
    char trace[TRACE_SIZE];
};

/* Of the request in hand of a connection. */
struct trace_point tracing_of(struct conn *c);

/* The request in hand has ended; `route` is static, the path of its API, or
 * NULL: no such. */
void tracing_request(struct conn *c, const char *route,
                     const struct conn_outcome *end);
/* `ns` until the verdict; 0: not known, as of a stream. */
void tracing_verdict(struct conn *c, enum channel channel,
                     const struct verdict *v, uint64_t ns);
/* A tool of ours ran, until now. */
void tracing_tool(const struct trace_point *at, struct span name,
                  uint64_t start_ns);

/* Texts that a model was asked to make vectors of, until now. */
struct tracing_vectors {
    const char *trace; /* a traceparent: the span itself */
    struct span model; /* what it is called */
    bool here;         /* not behind another server */
    int texts;
    int prompt_tokens;
    uint64_t start_ns;
    const char *error; /* a word; "": none */
};
void tracing_embeddings(const struct trace_point *at,
                        const struct tracing_vectors *v);

/* A model each of whose generations is a span below `at`; `model` is what it is
 * called there, and `purpose`, which is static, what they are for other than an
 * answer ("": nothing). All are borrowed, as `inner` is. The face is lent until
 * traced_free(), by when each of its calls has ended or was cancelled. */
struct traced;
struct traced *traced_new(const struct trace_point *at, struct llm *inner,
                          struct span model, const char *purpose);
struct llm *traced_llm(struct traced *t);
void traced_free(struct traced *t); /* NULL is fine */

#endif
