/* peer.h - a guard model beside the built-in one: Llama Guard in an engine of
 * its own (llamaguard.h) or behind a server (proxy/guard_upstream.h). It is
 * asked about hazards in place of the built-in model, which keeps prompt
 * injection. Event-loop thread. */
#ifndef CORRAL_GUARD_PEER_H
#define CORRAL_GUARD_PEER_H

#include "guard/llamaguard_prompt.h"

enum {
    PEER_TURNS_MAX = 5,     /* of a conversation, that it reads */
    PEER_TURN_BYTES = 1024, /* of each but the last one */
    PEER_TEXT_BYTES = 8192, /* at once, of a text still arriving */
    PEER_SCORES = LABEL_COUNT + LLAMAGUARD_CUSTOM_MAX
};

struct peer_request {
    /* 1 to PEER_TURNS_MAX + 1; the last one is judged. */
    const struct guard_turn *turns;
    int turn_count;
    const struct llamaguard_category *custom;
    int custom_count;
    int tokens_max; /* a longer last turn is ERR_LIMIT; 0: no limit */
    uint64_t client;
    uint64_t deadline_ms;
};

/* scores[PEER_SCORES]: by label (INJ is 0), then the custom categories. NULL
 * with `err`. */
typedef void peer_done(void *user, const float *scores, const struct err *err);

/* Who is asked. `ask` copies its request and returns a job, or NULL with `err`
 * when it cannot begin; then `done` is called once, never from inside `ask`,
 * and not after `cancel`. The job is gone when `done` is called. */
struct peer {
    void *(*ask)(void *self, const struct peer_request *r, peer_done *done,
                 void *user, struct err *err);
    void (*cancel)(void *job);
    void *self;
    int custom_max; /* categories of a policy's own that it takes */
    float thresholds[LEVEL_OFF]; /* of P(unsafe), strict, balanced, loose */
};

/* Sensible thresholds of models that say what they think in one word. */
extern const float peer_thresholds[LEVEL_OFF];

/* The end of a conversation that a peer reads, into out[PEER_TURNS_MAX]: it
 * begins with a user's turn where there is one. Borrows the texts. */
int peer_turns(const struct guard_turn *turns, int count,
               struct guard_turn *out);

/* The policy's own categories, those of all its checks in order. Borrows. */
int peer_custom(const struct policy *p,
                struct llamaguard_category out[LLAMAGUARD_CUSTOM_MAX]);

/* A text still arriving, judged again and again as it grows. */
struct peer_text;
struct peer_text *peer_text_new(const struct peer *p, enum guard_role role,
                                const struct guard_turn *before, int count);
void peer_text_free(struct peer_text *t);
void peer_text_add(struct peer_text *t, struct span piece);
/* As `ask`. The rest of the request is the caller's. */
MUST_USE void *peer_text_judge(const struct peer_text *t,
                               struct peer_request *r, peer_done *done,
                               void *user, struct err *err);

#endif
