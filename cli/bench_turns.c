/* bench_turns.c - what the guard costs at the 200th turn of a conversation, to
 * what it costs at the second: the request brings a hundred times the text. */
#include <stdlib.h>

#include "base/clock.h"
#include "cli/bench.h"
#include "cli/places.h"

enum {
    EARLY = 2,
    LATE = 200,
    TURNS_MAX = 2 * LATE - 1, /* with the answers between them */
    TURN_TOKENS = 40,
    DEADLINE_MS = 60 * 1000
};

struct talk {
    struct bytes texts[TURNS_MAX];
    struct guard_turn turns[TURNS_MAX];
    struct guard_item items[TURNS_MAX];
};

static void talk_make(struct bench *b, struct talk *t) {
    for (int i = 0; i < TURNS_MAX; i++) {
        bench_text(b, TURN_TOKENS, &t->texts[i]);
        t->turns[i] = (struct guard_turn){i % 2 ? GUARD_ASSISTANT : GUARD_USER,
                                          span_bytes(&t->texts[i])};
        t->items[i] = (struct guard_item){CHANNEL_INPUT, t->turns[i].text};
    }
}

static void talk_clear(struct talk *t) {
    for (int i = 0; i < TURNS_MAX; i++) bytes_free(&t->texts[i]);
}

struct judged {
    bool done;
    uint64_t end_ns;
    struct verdict v;
};

static void on_verdict(void *user, const struct verdict *v) {
    struct judged *j = user;

    j->done = true;
    j->end_ns = clock_ns();
    j->v = *v;
}

/* The request of one turn, from 1: milliseconds, and tokens that were read. */
static bool turn_cost(struct bench *b, const struct policy *policy,
                      const struct talk *t, int turn, double *ms,
                      double *tokens, struct err *err) {
    struct guard_request r = {.policy = policy,
                              .items = t->items,
                              .item_count = 2 * turn - 1,
                              .turns = t->turns,
                              .turn_count = 2 * turn - 1,
                              .channel = CHANNEL_INPUT,
                              .deadline_ms = clock_ms() + DEADLINE_MS};
    struct engine_stats before, after;
    struct judged j = {0};
    uint64_t start_ns = clock_ns();

    engine_stats(b->engine, &before);
    (void)guard_check_start(b->guard, &r, on_verdict, &j);
    while (!j.done) bench_wait(b);
    engine_stats(b->engine, &after);
    if (j.v.err.code) {
        if (err) *err = j.v.err;
        return false;
    }
    if (!verdict_lets_pass(&j.v))
        return err_set(err, ERR_INPUT,
                       "the policy stops the harmless text of this bench");
    *ms = (double)(j.end_ns - start_ns) / 1e6;
    *tokens = (double)(after.prompt_tokens - before.prompt_tokens -
                       (after.cached_tokens - before.cached_tokens));
    return true;
}

/* The turns before have been requests, too: their rules have run. */
static bool warm(struct bench *b, const struct policy *policy,
                 const struct talk *t, int turn, struct err *err) {
    double ms, tokens;
    struct guard_request r = {.policy = policy,
                              .items = t->items,
                              .item_count = 2 * turn - 1,
                              .channel = CHANNEL_INPUT};
    struct judged j = {0};

    (void)guard_check_start(b->guard, &r, on_verdict, &j);
    return turn_cost(b, policy, t, turn, &ms, &tokens, err);
}

struct turn_samples {
    struct bench_samples ms, tokens;
};

static bool sample(struct bench *b, const struct policy *policy,
                   const struct talk *t, int turn, struct turn_samples *s,
                   struct err *err) {
    double ms, tokens;

    if (!warm(b, policy, t, turn - 1, err) ||
        !turn_cost(b, policy, t, turn, &ms, &tokens, err))
        return false;
    bench_sample(&s->ms, ms);
    bench_sample(&s->tokens, tokens);
    return true;
}

static bool compare(struct bench *b, const struct policy *policy,
                    struct err *err) {
    struct turn_samples early = {0}, late = {0};
    struct talk *t = xalloc(sizeof *t);
    bool ok = true;
    double ms;

    while (ok && bench_more(b, &late.ms)) {
        talk_make(b, t);
        ok = sample(b, policy, t, EARLY, &early, err) &&
             sample(b, policy, t, LATE, &late, err);
    }
    talk_clear(t);
    free(t);
    if (!ok) return false;
    ms = bench_median(&late.ms);
    bench_put(b, "turn_200_ms", "ms", "verdict on the 200th turn", ms);
    bench_put(b, "turn_200_ratio", "", "to that on the second turn",
              ms / bench_median(&early.ms));
    bench_put(b, "turn_200_tokens", "", "tokens read, to the second turn",
              bench_median(&late.tokens) / bench_median(&early.tokens));
    return true;
}

bool bench_turns(struct bench *b, struct err *err) {
    struct policy *policy = NULL;
    char *path = NULL;
    bool ok;

    if (!b->guard) return true;
    path = places_policy(NULL, err);
    policy = path ? policy_open(path, err) : NULL;
    ok = policy && compare(b, policy, err);
    policy_free(policy);
    free(path);
    return ok;
}
