/* feature.h - what a head of one's own (`use: examples`) reads of a text: the
 * base model's hidden state where the text ends, once for each window of a
 * long one, and the text's hashed n-grams. Event-loop thread.
 *
 * The base model without the guard's adapter: that was taught to see hazards
 * and to take all else for the same. So another guard model does not make a
 * head stale, and as the text stands where a user's turn stands in the main
 * model's prompt, what is read here need not be read again to answer it. */
#ifndef CORRAL_GUARD_FEATURE_H
#define CORRAL_GUARD_FEATURE_H

#include "guard/classify.h"

enum {
    FEATURE_NGRAM_BITS = 14,
    FEATURE_WINDOW = 512, /* tokens */
    FEATURE_OVERLAP = 128
};

struct feature_ngram {
    uint32_t bucket; /* below 1 << FEATURE_NGRAM_BITS */
    float value;
};

struct features {
    int width;            /* of a hidden state */
    int window_count;     /* 1 or more */
    const float *windows; /* (window, width) */
    int ngram_count;
    const struct feature_ngram *ngrams; /* by bucket; their norm is 1 */
};

struct feature_job;

/* Borrowed until it returns; NULL with `err`. */
typedef void feature_done(void *user, const struct features *f,
                          const struct err *err);

/* As classify_start(): everything is copied, `done` is called once from
 * engine_poll(), not after feature_cancel(). More than `tokens_max` tokens
 * (0: CLASSIFY_TOKENS_MAX) are ERR_LIMIT. */
MUST_USE struct feature_job *
feature_start(struct classifier *c, struct span text, int tokens_max,
              uint64_t client, uint64_t deadline_ms, feature_done *done,
              void *user, struct err *err);
/* Not after `done` was called. NULL is fine. */
void feature_cancel(struct feature_job *job);

int feature_width(const struct classifier *c);
/* A digest of what features depend on: the base model. */
const char *feature_model(struct classifier *c);

#endif
