/* sampler.h - logits to a token, in this order:
 *
 *   logit bias, repeat penalty, frequency and presence penalty, the grammar's
 *   mask, temperature, top-k, top-p, min-p, and a draw among what is left.
 *
 * Each of top-k, top-p and min-p cuts what the one before it left. What is
 * drawn depends on the seed, the step and the logits alone, never on what else
 * is in the batch. */
#ifndef CORRAL_ENGINE_SAMPLER_H
#define CORRAL_ENGINE_SAMPLER_H

#include "base/err.h"

#include <stdint.h>

enum { SAMPLING_BIASES_MAX = 1024, LOGPROBS_TOP_MAX = 20 };

struct token_bias {
    int token;
    float bias; /* -100 to 100, added to the logit */
};

struct sampling {
    float temperature;       /* 0: greedy */
    int top_k;               /* 0: off */
    float top_p;             /* 1: off */
    float min_p;             /* relative to the likeliest; 0: off */
    float repeat_penalty;    /* 0 or 1: off. Logits of what stands in the window
                              * are divided by it, negative ones multiplied */
    int repeat_window;       /* the last tokens, prompt included; -1: all */
    float presence_penalty;  /* -2 to 2, 0: off; of the text written so far, */
    float frequency_penalty; /* -2 to 2, 0: off; without the prompt */
    const struct token_bias *biases; /* borrowed; a token may come twice */
    int bias_count;
    uint64_t seed; /* same seed, same prompt: same text */
};

#define SAMPLING_GREEDY ((struct sampling){.top_p = 1.0f})

/* ERR_INPUT, or ERR_LIMIT for too many biases, with the field. */
MUST_USE bool sampling_check(const struct sampling *p, int vocab,
                             struct err *err);

/* The text so far: a prompt and what was written after it. */
struct sampler_past {
    const int *tokens; /* not read unless a penalty is on */
    int count;
    int prompt_count; /* of them; the rest numbers the step */
};

struct token_logprob {
    int token;
    float logprob; /* natural; at least LOGPROB_LEAST */
};

/* In the place of minus infinity, which JSON does not have. */
#define LOGPROB_LEAST (-9999.0f)

/* How likely the model itself found the token and its rivals: the softmax of
 * the raw logits, before any bias, penalty, mask or temperature. */
struct sampler_report {
    int top_count; /* in: how many rivals, at most LOGPROBS_TOP_MAX; out: how
                    * many there are */
    struct token_logprob picked;
    struct token_logprob top[LOGPROBS_TOP_MAX]; /* the likeliest first */
};

struct sampler; /* scratch for one vocabulary; one thread at a time */

struct sampler *sampler_new(int vocab);
void sampler_free(struct sampler *s);

/* The next token, and `logits` is overwritten. `mask` has bit t set for each
 * token that may come (NULL: all). `report` may be NULL, which saves time.
 * Ties go to the lowest id. -1 when nothing may come (or all is NaN). */
int sampler_pick(struct sampler *s, const struct sampling *p, float *logits,
                 const uint64_t *mask, const struct sampler_past *past,
                 struct sampler_report *report);

#endif
