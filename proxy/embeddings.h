/* embeddings.h - POST /v1/embeddings: texts to vectors, each judged as an input
 * before a model reads it. Event-loop thread. */
#ifndef CORRAL_PROXY_EMBEDDINGS_H
#define CORRAL_PROXY_EMBEDDINGS_H

#include "proxy/conn.h"
#include "proxy/metrics.h"

struct audit;
struct guard;
struct policy;
struct router;
struct embeddings;

enum { EMBEDDINGS_INPUTS_MAX = 256 };

struct embeddings_context {
    struct guard *guard;
    const struct policy *policy;
    struct router *router;
    struct metrics *metrics;
    struct audit *audit; /* may be NULL */
};

/* Answers on `c` and frees itself. */
void embeddings_start(struct embeddings_context *context, struct conn *c,
                      const struct http_request *request);
void embeddings_gone(struct embeddings *m);

#endif
