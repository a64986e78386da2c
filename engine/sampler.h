/* sampler.h - logits to a token: penalties, temperature, top-k, top-p, min-p,
 * in this order, after the grammar's mask. What is drawn depends on the seed,
 * the step and the logits alone, never on what else is in the batch. */
#ifndef CORRAL_ENGINE_SAMPLER_H
#define CORRAL_ENGINE_SAMPLER_H

#include "base/err.h"

#include <stdint.h>

struct sampling {
    float temperature;       /* 0: greedy */
    int top_k;               /* 0: off */
    float top_p;             /* 1: off */
    float min_p;             /* 0: off */
    float presence_penalty;  /* -2 to 2, 0: off */
    float frequency_penalty; /* -2 to 2, 0: off */
    uint64_t seed;           /* same seed, same prompt: same text */
};

#define SAMPLING_GREEDY ((struct sampling){.top_p = 1.0f})

struct sampler; /* scratch for one vocabulary; one thread at a time */

struct sampler *sampler_new(int vocab);
void sampler_free(struct sampler *s);

/* ERR_INPUT when a value is out of its range or not finite. */
MUST_USE bool sampling_check(const struct sampling *p, struct err *err);

/* The next token, and `logits` is overwritten. `mask` has bit t set for each
 * token that may come (NULL: all). `history` is what was generated so far,
 * for the penalties; `step` its index in the text, for the random number.
 * Ties go to the lowest id. -1 when nothing may come (or all is NaN). */
int sampler_pick(struct sampler *s, const struct sampling *p, float *logits,
                 const uint64_t *mask, const int *history, int history_count,
                 uint64_t step);

#endif
