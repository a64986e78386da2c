#include "cli/judge.h"

#include <stdlib.h>

#include "base/clock.h"
#include "cli/places.h"

/* The server's time limit is for people who wait. A batch of rows may take
 * its time, but not forever. */
enum { DEADLINE_MS = 600 * 1000 };

struct slot {
    struct judge *judge;
    bool taken;
    bool scored; /* wanted */
    enum channel channel;
    char *prompt;
    char *text;
    size_t prompt_size;
    size_t text_size;
    struct judge_result result;
    judge_done *done;
    void *user;
};

struct judge {
    struct policy *policy;
    struct policy *other;
    struct engine *engine;
    struct guard *guard;
    int taken;
    struct slot slots[JUDGE_IN_FLIGHT];
};

static bool needs_model(const struct policy *p, bool scores) {
    for (int c = 0; c < CHANNEL_COUNT; c++)
        if (policy_classifies(p, (enum channel)c)) return true;
    return scores;
}

struct judge *judge_open(const struct judge_options *o, struct err *err) {
    struct judge *j = xalloc(sizeof *j);
    struct engine_options engine = {.threads = o->threads};
    struct guard_options guard = {0};
    char *policy = places_policy(o->policy, err), *model = NULL, *folder = NULL;
    bool ok = false;

    if (!policy) goto out;
    j->policy = o->untrained ? policy_open_untrained(policy, err)
                             : policy_open(policy, err);
    if (!j->policy) goto out;
    if (o->other) {
        j->other = policy_open(o->other, err);
        if (!j->other) goto out;
    }
    if (needs_model(j->policy, o->scores) ||
        (j->other && needs_model(j->other, false))) {
        model = places_model(o->model);
        folder = places_guard(o->guard_models, err);
        if (!folder) goto out;
        engine.model_path = model;
        /* Room for every text in flight at once. */
        engine.kv_tokens = JUDGE_IN_FLIGHT * 1024;
        j->engine = engine_open(&engine, err);
        if (!j->engine) {
            places_blame(err, model);
            goto out;
        }
    }
    guard.engine = j->engine;
    guard.model_folder = folder;
    j->guard = guard_open(&guard, err);
    ok = j->guard && (o->untrained || guard_fits(j->guard, j->policy, err)) &&
         (!j->other || guard_fits(j->guard, j->other, err));

out:
    free(policy);
    free(model);
    free(folder);
    if (ok) return j;
    judge_close(j);
    return NULL;
}

void judge_close(struct judge *j) {
    if (!j) return;
    guard_close(j->guard);
    engine_close(j->engine);
    policy_free(j->policy);
    policy_free(j->other);
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

static void on_scores(void *user, const float *scores, const struct err *err) {
    struct slot *slot = user;

    if (scores) {
        for (int i = 0; i < LABEL_COUNT; i++)
            slot->result.scores[i] = scores[i];
        slot->result.scored = true;
    } else {
        slot->result.err = *err;
    }
    finish(slot);
}

/* The verdict came without the classifier's word (a rule was enough, or the
 * policy does not ask): ask it now. */
static void ask_scores(struct slot *slot) {
    struct classifier *c = guard_classifier(slot->judge->guard);
    struct guard_turn turns[2];
    struct classify_request request = {
        .model = GUARD_MODEL_FULL,
        .turns = turns,
        .turn_count = turns_of(slot, turns),
        .tokens_max = engine_context(slot->judge->engine),
        .deadline_ms = clock_ms() + DEADLINE_MS,
    };

    if (!classify_start(c, &request, on_scores, slot, &slot->result.err))
        finish(slot);
}

static void on_verdict(void *user, const struct verdict *verdict) {
    struct slot *slot = user;

    slot->result.verdict = *verdict;
    if (slot->scored && !verdict->classified) {
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
    if (!engine_poll(j->engine)) (void)engine_wait(j->engine, 1000);
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
