/* vectors.h - the wire form of embeddings that another server makes: what it is
 * asked, and what it answers, as hostile as any input. Pure functions over
 * memory. */
#ifndef CORRAL_PROXY_VECTORS_H
#define CORRAL_PROXY_VECTORS_H

#include "agent/llm.h"

enum { VECTORS_SIZE_MAX = 1 << 16 /* numbers in one */ };

/* {"model", "input", ...}; `model` NULL: as the client calls it. */
MUST_USE bool vectors_body(const struct llm_vectors_request *r,
                           const char *model, struct bytes *out,
                           struct err *err);

/* The answer as (count, *size) numbers, each vector at its index; the caller
 * frees *out. ERR_IO, and *out is NULL, when it is not what was asked for: a
 * vector missing or twice, of another size than the rest, or with something
 * else in it. */
MUST_USE bool vectors_read(const cJSON *answer, int count, float **out,
                           int *size, int *prompt_tokens, struct err *err);

#endif
