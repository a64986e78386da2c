#include "cli/judge.h"

#include <stdlib.h>

#include "base/clock.h"
#include "cli/places.h"
#include "cli/second_guard.h"
#include "guard/scores.h"

/* The server's time limit is for people who wait. A batch of rows may take
 * its time, but not forever. */
enum { DEADLINE_MS = 600 * 1000 };

struct slot {
    struct judge *judge;
    bool taken;
    bool scored; /* wanted */
    enum channel channel;
    const struct policy *policy;
    char *prompt;
    char *text;
    size_t prompt_size;
    size_t text_size;
    struct judge_result result;
    int asked; /* models that owe scores beside the verdict */
    judge_done *done;
    void *user;
};

struct judge {
    uv_loop_t loop;
    uv_async_t wakeup; /* the engine has something to say */
    struct config config;
    struct policy *policy;
    struct policy *other;
    struct engine *engine;
    struct second_guard *second;
    struct guard *guard;
    int taken;
    struct slot slots[JUDGE_IN_FLIGHT];
};

static bool needs_model(const struct policy *p) {
    return p && policy_needs_model(p);
}

/* Called by the scheduler thread. */
static void wake(void *user) {
    (void)uv_async_send(&((struct judge *)user)->wakeup);
}

static void on_wakeup(uv_async_t *async) {
    struct judge *j = async->data;

    if (j->engine) (void)engine_poll(j->engine);
}

/* The configuration, and what the command line has to say over it. */
static bool configure(struct judge *j, const struct judge_options *o,
                      struct err *err) {
    struct config *c = &j->config;

    config_init(c);
    if (o->config && !config_load(c, o->config, err)) return false;
    if (o->policy) config_set_string(&c->policy, o->policy);
    if (o->model) config_set_string(&c->model, o->model);
    if (o->guard_models) config_set_string(&c->guard.models, o->guard_models);
    if (o->threads) c->threads = o->threads;
    return true;
}

static bool open_policies(struct judge *j, const struct judge_options *o,
                          struct err *err) {
    char *path = places_policy(j->config.policy, err);

    if (path)
        j->policy = o->untrained ? policy_open_untrained(path, err)
                                 : policy_open(path, err);
    free(path);
    if (!j->policy) return false;
    if (!o->other) return true;
    j->other = policy_open(o->other, err);
    return j->other != NULL;
}

static bool open_engine(struct judge *j, struct err *err) {
    char *model = places_model(j->config.model);
    struct engine_options engine = {
        .model_path = model,
        .threads = j->config.threads,
        /* Room for every text in flight at once. */
        .kv_tokens = JUDGE_IN_FLIGHT * 1024,
        .on_wakeup = wake,
        .user = j,
    };

    j->engine = engine_open(&engine, err);
    if (!j->engine) places_blame(err, model);
    free(model);
    return j->engine != NULL;
}

static bool open_guard(struct judge *j, bool model, struct err *err) {
    struct guard_options guard = {0};
    char *folder = NULL;

    if (model) {
        folder = places_guard(j->config.guard.models, err);
        if (!folder || !open_engine(j, err)) goto out;
        j->second = second_guard_open(&j->loop, &j->config, err);
        if (!j->second) goto out;
        guard.peer = second_guard_peer(j->second);
    }
    guard.engine = j->engine;
    guard.model_folder = folder;
    j->guard = guard_open(&guard, err);

out:
    free(folder);
    return j->guard != NULL;
}

struct judge *judge_open(const struct judge_options *o, struct err *err) {
    struct judge *j = xalloc(sizeof *j);
    bool model;

    if (uv_loop_init(&j->loop)) {
        (void)err_set(err, ERR_IO, "the event loop could not be set up");
        free(j);
        return NULL;
    }
    (void)uv_async_init(&j->loop, &j->wakeup, on_wakeup);
    j->wakeup.data = j;
    if (!configure(j, o, err) || !open_policies(j, o, err)) goto failed;
    model = o->scores || needs_model(j->policy) || needs_model(j->other);
    if (!open_guard(j, model, err)) goto failed;
    if (!o->untrained && !guard_fits(j->guard, j->policy, err)) goto failed;
    if (j->other && !guard_fits(j->guard, j->other, err)) goto failed;
    return j;

failed:
    judge_close(j);
    return NULL;
}

void judge_close(struct judge *j) {
    if (!j) return;
    guard_close(j->guard);
    second_guard_close(j->second);
    engine_close(j->engine);
    policy_free(j->policy);
    policy_free(j->other);
    uv_close((uv_handle_t *)&j->wakeup, NULL);
    (void)uv_run(&j->loop, UV_RUN_DEFAULT);
    (void)uv_loop_close(&j->loop);
    config_clear(&j->config);
    free(j);
}

const struct policy *judge_policy(const struct judge *j) {
    return j->policy;
}

const struct policy *judge_other(const struct judge *j) {
    return j->other;
}

struct classifier *judge_classifier(const struct judge *j) {
    return guard_classifier(j->guard);
}

float judge_threshold(const struct judge *j, enum level level, int label) {
    const struct peer *peer = guard_peer(j->guard);

    if (peer && label != LABEL_INJ && level < LEVEL_OFF)
        return peer->thresholds[level];
    return classifier_threshold(guard_classifier(j->guard), GUARD_MODEL_FULL,
                                level, label);
}

static void finish(struct slot *slot) {
    slot->done(slot->user, &slot->result);
    free(slot->prompt);
    free(slot->text);
    slot->prompt = slot->text = NULL;
    slot->taken = false;
    slot->judge->taken--;
}

/* The conversation whose last turn is judged; how many turns it has. */
static int turns_of(const struct slot *s, struct guard_turn turns[2]) {
    int count = 0;

    if (s->prompt)
        turns[count++] =
            (struct guard_turn){GUARD_USER, {s->prompt, s->prompt_size}};
    turns[count++] = (struct guard_turn){
        s->channel == CHANNEL_OUTPUT ? GUARD_ASSISTANT : GUARD_USER,
        {s->text, s->text_size}};
    return count;
}

/* ---- scores without a verdict ---- */

/* The last of those that were asked ends the text. */
static void scores_taken(struct slot *slot, const struct err *err) {
    if (err && !slot->result.err.code) slot->result.err = *err;
    if (--slot->asked) return;
    slot->result.scored = !slot->result.err.code;
    finish(slot);
}

static void on_scores(void *user, const float *scores, const struct err *err) {
    struct slot *slot = user;
    int from = guard_peer(slot->judge->guard) ? LABEL_INJ : 0;

    for (int i = from; scores && i < LABEL_COUNT; i++)
        slot->result.scores[i] = scores[i];
    scores_taken(slot, err);
}

static void on_peer_scores(void *user, const float *scores,
                           const struct err *err) {
    struct slot *slot = user;

    for (int i = 0; scores && i < LABEL_INJ; i++)
        slot->result.scores[i] = scores[i];
    scores_taken(slot, err);
}

static bool ask_peer(struct slot *slot, const struct peer *peer,
                     struct err *err) {
    struct guard_turn turns[2];
    struct peer_request request = {
        .turns = turns,
        .turn_count = turns_of(slot, turns),
        .tokens_max = engine_context(slot->judge->engine),
        .deadline_ms = clock_ms() + DEADLINE_MS,
    };

    return peer->ask(peer->self, &request, on_peer_scores, slot, err);
}

static bool ask_classifier(struct slot *slot, struct err *err) {
    struct classifier *c = guard_classifier(slot->judge->guard);
    struct guard_turn turns[2];
    struct classify_request request = {
        .model = GUARD_MODEL_FULL,
        .turns = turns,
        .turn_count = turns_of(slot, turns),
        .tokens_max = engine_context(slot->judge->engine),
        .deadline_ms = clock_ms() + DEADLINE_MS,
    };

    return classify_start(c, &request, on_scores, slot, err) != NULL;
}

/* The verdict came without the models' word (a rule was enough, or the policy
 * does not ask): ask them now. */
static void ask_scores(struct slot *slot) {
    const struct peer *peer = guard_peer(slot->judge->guard);
    struct err err = {0};

    slot->asked = peer ? 2 : 1;
    if (peer && !ask_peer(slot, peer, &err)) {
        scores_taken(slot, &err);
        err = (struct err){0};
    }
    if (!ask_classifier(slot, &err)) scores_taken(slot, &err);
}

/* Does the verdict have every score? With a peer two models share them. */
static bool is_scored(const struct slot *slot) {
    const struct judge *j = slot->judge;
    unsigned both = 1u << GUARD_MODEL_FULL | 1u << GUARD_MODEL_PEER;
    bool acts;

    if (!slot->result.verdict.classified) return false;
    return !guard_peer(j->guard) ||
           (scores_models(j->guard, slot->policy, slot->channel, &acts) &
            both) == both;
}

static void on_verdict(void *user, const struct verdict *verdict) {
    struct slot *slot = user;

    slot->result.verdict = *verdict;
    if (slot->scored && !is_scored(slot)) {
        ask_scores(slot);
        return;
    }
    if (verdict->classified) {
        for (int i = 0; i < LABEL_COUNT; i++)
            slot->result.scores[i] = verdict->score[i];
        slot->result.scored = true;
    }
    finish(slot);
}

void judge_wait(struct judge *j) {
    (void)uv_run(&j->loop, UV_RUN_ONCE);
}

static struct slot *slot_take(struct judge *j) {
    for (;;) {
        for (int i = 0; i < JUDGE_IN_FLIGHT; i++)
            if (!j->slots[i].taken) return &j->slots[i];
        judge_wait(j);
    }
}

struct judge_text judge_row(const struct row_text *row) {
    if (!row->response.at)
        return (struct judge_text){.channel = CHANNEL_INPUT,
                                   .text = row->prompt};
    return (struct judge_text){.channel = CHANNEL_OUTPUT,
                               .prompt = row->prompt,
                               .text = row->response};
}

void judge_submit(struct judge *j, const struct judge_text *text,
                  judge_done *done, void *user) {
    struct slot *slot = slot_take(j);
    const struct policy *policy = text->other ? j->other : j->policy;
    struct guard_turn turns[2];
    struct guard_item items[1];
    struct guard_request request = {
        .policy = policy,
        .items = items,
        .channel = text->channel,
        .deadline_ms = clock_ms() + DEADLINE_MS,
    };

    *slot =
        (struct slot){.judge = j,
                      .taken = true,
                      .scored = text->scored,
                      .channel = text->channel,
                      .policy = policy,
                      .prompt = text->prompt.at ? span_dup(text->prompt) : NULL,
                      .prompt_size = text->prompt.size,
                      .text = span_dup(text->text),
                      .text_size = text->text.size,
                      .done = done,
                      .user = user};
    j->taken++;
    items[request.item_count++] =
        (struct guard_item){text->channel, {slot->text, slot->text_size}};
    request.turns = turns;
    /* The classifier reads what people and models say; a policy that has it
     * judge other channels gets those too. */
    if (policy_classifies(policy, text->channel))
        request.turn_count = turns_of(slot, turns);
    (void)guard_check_start(j->guard, &request, on_verdict, slot);
}

void judge_drain(struct judge *j) {
    while (j->taken) judge_wait(j);
}
