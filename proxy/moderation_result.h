/* moderation_result.h - what verdicts say in the words of OpenAI's moderation:
 * its thirteen categories, with Corral's own labels beside them. Pure functions
 * over memory. */
#ifndef CORRAL_PROXY_MODERATION_RESULT_H
#define CORRAL_PROXY_MODERATION_RESULT_H

#include "guard/verdict.h"

#define MODERATION_MODEL "corral-guard"

/* All zero is one that no verdict has been added to. */
struct moderation_result {
    bool judged;
    bool flagged; /* a check would block, ask or flag, a shadow's too */
    bool fired[LABEL_COUNT];
    float score[LABEL_COUNT];
};

/* A finding that flags, whether or not its check acts. */
bool moderation_flags(const struct finding *f);
/* The worst of all that are added counts. One of a guard that failed does not:
 * it judged nothing. */
void moderation_result_add(struct moderation_result *r,
                           const struct verdict *v);
/* {flagged, categories, category_scores, category_applied_input_types}; with
 * `typed`, {type, model} as well. The caller owns it. */
cJSON *moderation_result_json(const struct moderation_result *r, bool typed);

#endif
