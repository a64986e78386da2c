/* sampler.h - logits to a token. */
#ifndef CORRAL_ENGINE_SAMPLER_H
#define CORRAL_ENGINE_SAMPLER_H

#include "base/err.h"

#include <stdint.h>

struct grammar;

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

#endif
