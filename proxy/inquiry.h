/* inquiry.h - POST /v1/guard/check: a verdict and nothing else. The body has
 * one of `text`, `messages` (with `tools`), `tool_call` and `tool_result`; what
 * it says is judged as the chat API would judge it, and never echoed.
 * Event-loop thread. */
#ifndef CORRAL_PROXY_INQUIRY_H
#define CORRAL_PROXY_INQUIRY_H

#include "proxy/conn.h"
#include "proxy/metrics.h"

struct audit;
struct guard;
struct policy;
struct inquiry;

struct inquiry_context {
    struct guard *guard;
    const struct policy *policy;
    struct metrics *metrics;
    struct audit *audit; /* may be NULL */
};

/* Answers on `c` and frees itself. */
void inquiry_start(struct inquiry_context *context, struct conn *c,
                   const struct http_request *request);
void inquiry_gone(struct inquiry *q);

#endif
