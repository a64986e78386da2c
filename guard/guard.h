/* guard.h - whole texts to one verdict: rules, entities, classifier, policy.
 * The thread of its loop. Asynchronous where the model is asked, immediate
 * otherwise. Whatever fails, the verdict blocks; only where every classifier
 * check of the channel is a shadow does a failing classifier not act either.
 *
 * Conversations on CHANNEL_INPUT. The last user turn is judged alone, and once
 * more joined with the turns before it, so that an attack split over turns
 * counts. What only the joined text shows counts unless it is old news: when
 * the turns before the last were unsafe without it and each of them got an
 * answer that is itself harmless (a refusal), the conversation was stopped
 * there, and a new harmless turn is judged on its own. */
#ifndef CORRAL_GUARD_GUARD_H
#define CORRAL_GUARD_GUARD_H

#include "guard/classify.h"
#include "guard/peer.h"

enum {
    GUARD_JOINED_TURNS = 3,         /* user turns that are judged together */
    GUARD_JOINED_USER_BYTES = 1024, /* of each earlier user turn */
    GUARD_JOINED_ANSWER_BYTES = 256 /* of each answer between them */
};

struct guard;
struct guard_check; /* one verdict under way */

struct guard_options {
    struct engine *engine;    /* NULL: no model; classifier checks then block */
    const char *model_folder; /* with guard.gguf and its fellows */
    const struct peer *peer;  /* NULL: none. Outlives the guard */
    /* Another loop's guard, which outlives this one: `engine` is a face of its
     * engine, and the folder is not read again. NULL: there is none. */
    const struct guard *first;
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
    /* The words of whoever runs the application, such as a system turn. They
     * may give orders, so INJ does not count, and are about what they like, so
     * examples do not; hazards do. */
    bool operator_text;
    uint64_t client;
    uint64_t deadline_ms; /* 0: the policy's guard_ms from now */
};

/* Texts of requests, as the rules and entities met them. */
struct guard_stats {
    uint64_t scanned, scanned_bytes;
    uint64_t remembered; /* clean before under the same policy: not scanned */
};

typedef void guard_done(void *user, const struct verdict *verdict);

MUST_USE struct guard *guard_open(const struct guard_options *options,
                                  struct err *err);
/* After every check and stream was freed or told its verdict. */
void guard_close(struct guard *g);
/* NULL when there is no model. */
struct classifier *guard_classifier(const struct guard *g);
/* Are the heads of the policy's examples checks those of this guard's base
 * model? ERR_INPUT says which is not and how to mend it. Ask before a policy is
 * put in force: a head of another model blocks whatever it would have to judge.
 */
MUST_USE bool guard_fits(const struct guard *g, const struct policy *p,
                         struct err *err);

void guard_stats(const struct guard *g, struct guard_stats *out);
const struct peer *guard_peer(const struct guard *g); /* NULL: none */

/* Judge. Everything is copied; the policy is referenced. `done` is called
 * exactly once unless cancelled: either before this returns (then the result
 * is NULL), or later from engine_poll(), and the check is gone then. */
struct guard_check *guard_check_start(struct guard *g,
                                      const struct guard_request *request,
                                      guard_done *done, void *user);
void guard_check_cancel(struct guard_check *check); /* NULL is fine */

#endif
