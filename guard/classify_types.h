/* classify_types.h - what classify.c and feature.c share: the classifier's
 * inside. */
#ifndef CORRAL_GUARD_CLASSIFY_TYPES_H
#define CORRAL_GUARD_CLASSIFY_TYPES_H

#include "guard/classify.h"
#include "guard/ngram.h"

enum {
    CLASSIFY_MODELS = GUARD_MODEL_ACTIVATED + 1,
    CLASSIFY_FEATURES = LABEL_COUNT + 11, /* of the combiner */
    CLASSIFY_SUFFIX_MAX = 256,
    CLASSIFY_LEVELS = LEVEL_OFF
};

/* One adapter file: what guard.c and the engine do not read of it. */
struct guard_adapter {
    bool present;
    int id; /* in the engine */
    int suffix[CLASSIFY_SUFFIX_MAX];
    int suffix_count;
    int window, overlap; /* tokens of the judged text */
    float combiner[LABEL_COUNT][CLASSIFY_FEATURES];
    float thresholds[LABEL_COUNT][CLASSIFY_LEVELS];
};

struct classifier {
    struct engine *engine;
    bool borrows; /* all that follows but `model`, of another's */
    struct ngram *ngram;
    struct guard_adapter adapters[CLASSIFY_MODELS];
    struct tokens opening[2]; /* by role */
    struct tokens closing;
    struct tokens system;
    char model[HASH_HEX_SIZE]; /* feature_model()'s result, or empty */
};

#endif
