/* decisions.h - POST /v1/decisions: questions about an input, answered by
 * probabilities instead of prose (OpenAI's shape). The model writes nothing: it
 * is asked how likely it would give each of the answers that the client names.
 * Input and questions are judged as any request. Event-loop thread. */
#ifndef CORRAL_PROXY_DECISIONS_H
#define CORRAL_PROXY_DECISIONS_H

#include "proxy/conn.h"
#include "proxy/metrics.h"

struct audit;
struct guard;
struct policy;
struct router;
struct decisions;

struct decisions_context {
    struct guard *guard;
    const struct policy *policy;
    struct router *router;
    struct metrics *metrics;
    struct audit *audit; /* may be NULL */
};

/* Answers on `c` and frees itself. */
void decisions_start(struct decisions_context *context, struct conn *c,
                     const struct http_request *request);
void decisions_gone(struct decisions *d);

#endif
