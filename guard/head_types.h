/* head_types.h - a head's inside: head_fit.c makes it, head.c keeps it. */
#ifndef CORRAL_GUARD_HEAD_TYPES_H
#define CORRAL_GUARD_HEAD_TYPES_H

#include "guard/head.h"

struct head {
    int width;
    char examples[HASH_HEX_SIZE];
    char model[HASH_HEX_SIZE];
    float bias;
    float *weights; /* of the hidden state, then of the n-gram buckets */
};

/* Weights of zero. */
struct head *head_new(int width);
size_t head_weight_count(int width);
float head_row_score(const struct head *h, const float *hidden,
                     const struct feature_ngram *ngrams, int ngram_count);

#endif
