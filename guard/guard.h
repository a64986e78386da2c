/* guard.h - whole texts to one verdict: rules, entities, classifier, policy.
 * Event-loop thread. Asynchronous where the model is asked, immediate
 * otherwise. Whatever fails, the verdict blocks. */
#ifndef CORRAL_GUARD_GUARD_H
#define CORRAL_GUARD_GUARD_H

#include "guard/classify.h"

struct guard;
struct guard_check; /* one verdict under way */

struct guard_options {
    struct engine *engine;    /* NULL: no model; classifier checks then block */
    const char *model_folder; /* with guard.gguf and its fellows */
};

struct guard_item {
    enum channel channel;
    struct span text;
};

struct guard_request {
    const struct policy *policy;
    /* Every text of the request: rules and entities see each of them. */
    const struct guard_item *items;
    int item_count;
    /* The conversation whose last turn the classifier judges as `channel`.
     * Empty: the classifier is not asked. */
    const struct guard_turn *turns;
    int turn_count;
    enum channel channel;
    uint64_t client;
    uint64_t deadline_ms; /* 0: the policy's guard_ms from now */
};

typedef void guard_done(void *user, const struct verdict *verdict);

MUST_USE struct guard *guard_open(const struct guard_options *options,
                                  struct err *err);
void guard_close(struct guard *g);
/* NULL when there is no model. */
struct classifier *guard_classifier(const struct guard *g);

/* Judge. Everything is copied; the policy is referenced. `done` is called
 * exactly once unless cancelled: either before this returns (then the result
 * is NULL), or later from engine_poll(). */
struct guard_check *guard_check_start(struct guard *g,
                                      const struct guard_request *request,
                                      guard_done *done, void *user);
void guard_check_cancel(struct guard_check *check); /* NULL is fine */

/* The categories at whose level the scores count, added to `v` as findings of
 * every classifier check of the channel. Used by guard.c and stream.c. */
void guard_apply_scores(const struct guard *g, const struct policy *p,
                        enum channel channel, const float *scores,
                        struct verdict *v);

#endif
