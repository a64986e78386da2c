/* models.h - what a configuration says about models: its upstreams, and a
 * router over them and the engine's own. The thread of its loop. */
#ifndef CORRAL_CLI_MODELS_H
#define CORRAL_CLI_MODELS_H

#include <uv.h>

#include "agent/llm.h"
#include "proxy/config.h"

struct fleet;
struct router;
struct model_set;

/* Borrows all of these. `own` is the model that runs here, under the name that
 * clients have for it; NULL: there is none. */
MUST_USE struct model_set *models_open(uv_loop_t *loop, const struct config *c,
                                       struct llm *own, const char *own_name,
                                       struct err *err);
/* The same upstreams for another loop, part `index` of `count` (fleet.h). They
 * are borrowed from `s`, which outlives it; models_divide() makes that one part
 * 0. */
MUST_USE struct model_set *models_share(uv_loop_t *loop, struct model_set *s,
                                        int index, int count, struct err *err);
void models_divide(struct model_set *s, int count);
/* Are there others that borrow from it? */
bool models_lent(const struct model_set *s);
/* No request may use it any more. NULL is fine. */
void models_close(struct model_set *s);
/* The upstreams that it was opened from are its own from here on. */
void models_own(struct model_set *s);
struct router *models_router(const struct model_set *s);
/* Would a set of this configuration be the same, keys of upstreams and all? */
bool models_same(const struct model_set *s, const struct config *c);
/* The sum over its upstreams; and how many there are. */
int models_sum(const struct model_set *s, int (*of)(const struct fleet *f));
int models_count(const struct model_set *s);

/* What clients call the model of a file: its name without the ending; the
 * caller frees. */
char *models_name(const char *path);

#endif
