/* moderation.h - POST /v1/moderations: texts to scores, nothing generated. In
 * OpenAI's shape, with Corral's own labels beside OpenAI's categories. */
#ifndef CORRAL_PROXY_MODERATION_H
#define CORRAL_PROXY_MODERATION_H

#include "proxy/conn.h"
#include "proxy/metrics.h"

struct audit;
struct guard;
struct policy;
struct moderation;

enum { MODERATION_INPUTS_MAX = 64 };

struct moderation_context {
    struct guard *guard;
    const struct policy *policy;
    struct metrics *metrics;
    struct audit *audit; /* may be NULL */
};

/* Answers on `c` and frees itself. */
void moderation_start(struct moderation_context *context, struct conn *c,
                      const struct http_request *request);
void moderation_gone(struct moderation *m);

#endif
