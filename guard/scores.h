/* scores.h - from what the guard models say to findings of the policy's
 * classifier checks. Event-loop thread. */
#ifndef CORRAL_GUARD_SCORES_H
#define CORRAL_GUARD_SCORES_H

#include "guard/guard.h"

/* Which guard models (bit set of enum guard_model) the classifier checks of
 * the channel ask; *acts: whether one of those checks is not a shadow. */
unsigned scores_models(const struct guard *g, const struct policy *p,
                       enum channel channel, bool *acts);

/* The categories at whose level one model's scores count, LABEL_COUNT of them
 * or a peer's PEER_SCORES, added to `v` as findings of the checks that ask this
 * model. `v` shows the greatest score of each label. */
void scores_apply(const struct guard *g, const struct policy *p,
                  enum channel channel, enum guard_model model,
                  const float *scores, struct verdict *v);

/* What these scores would lead to, shadows counted as if they acted. */
enum verdict_action scores_action(const struct guard *g, const struct policy *p,
                                  enum channel channel, enum guard_model model,
                                  const float *scores);

#endif
