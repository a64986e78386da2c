#include "guard/guard.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/utf8.h"
#include "guard/feature.h"
#include "guard/head.h"
#include "guard/reading.h"
#include "guard/scores.h"
#include "guard/seen.h"

enum {
    MODELS = GUARD_MODELS,
    ANSWER_BYTES = 2048 /* of an earlier answer, to see whether it complied */
};

/* A passage counts when it is this sure: out of its text it has lost what made
 * it harmless. */
static const float passage_sure = 0.9f;

/* What the classifier is asked about one conversation. The last two only when
 * PROBE_JOINED shows what PROBE_ALONE does not. */
enum probe_kind {
    PROBE_ALONE,   /* the last turn */
    PROBE_DECODED, /* the same, read out, when it is disguised (reading.h) */
    PROBE_PASSAGE, /* the worst passage of a long one (passage.h) */
    PROBE_JOINED,  /* the last few user turns, with the answers between them */
    PROBE_BEFORE,  /* the same without the last turn */
    PROBE_ANSWER,  /* the first of the answers between those turns */
    PROBE_COUNT = PROBE_ANSWER + GUARD_JOINED_TURNS - 1
};

struct probe {
    struct guard_check *check;
    struct classify_job *job; /* while it runs */
    void *asked;              /* the same of a peer */
    bool scored;
    float scores[PEER_SCORES];
};

struct guard {
    struct engine *engine;
    struct classifier *classifier;
    const struct peer *peer;
    struct seen *seen;
    struct guard_stats stats;
};

/*   PROBING -> (PROBING again for BEFORE and ANSWER) -> FEATURES -> done, freed
 *
 * The features come last: they are not asked of what is blocked already. */
struct guard_check {
    struct guard *g;
    struct policy *policy;
    enum channel channel;
    bool operator_text;
    uint64_t client;
    uint64_t deadline_ms;
    uint64_t started_ns;
    unsigned models; /* bit set */
    bool acts;
    bool ended; /* `done` is being told: a cancel from there does nothing */
    bool noise; /* PROBE_DECODED counts instead of PROBE_ALONE */
    struct bytes before; /* for the second round, as is what follows */
    struct exchange {
        struct bytes question, answer;
    } answered[GUARD_JOINED_TURNS - 1];
    int answered_count;
    bool unanswered; /* one of the turns before the last was not */
    struct probe probes[MODELS][PROBE_COUNT];
    int waiting;
    struct bytes examined; /* the text that the examples checks judge */
    bool examines;         /* and it still has to be asked about */
    struct feature_job *features;
    guard_done *done;
    void *user;
    struct verdict v; /* last: large, and filled by verdict_begin() */
};

struct guard *guard_open(const struct guard_options *options, struct err *err) {
    struct guard *g = xalloc(sizeof *g);

    g->engine = options->engine;
    g->peer = options->peer;
    g->seen = seen_new();
    if (!g->engine) return g;
    if (options->first) {
        g->classifier = classifier_share(options->first->classifier, g->engine);
        return g;
    }
    g->classifier = classifier_open(g->engine, options->model_folder, err);
    if (g->classifier) return g;
    guard_close(g);
    return NULL;
}

void guard_close(struct guard *g) {
    if (!g) return;
    classifier_close(g->classifier);
    seen_free(g->seen);
    free(g);
}

struct classifier *guard_classifier(const struct guard *g) {
    return g->classifier;
}

void guard_stats(const struct guard *g, struct guard_stats *out) {
    *out = g->stats;
}

const struct peer *guard_peer(const struct guard *g) {
    return g->peer;
}

/* ---- the texts of a conversation ---- */

static bool append_head(struct bytes *out, struct span text, size_t most,
                        struct err *err) {
    struct span head = utf8_head(text, most);

    return bytes_append(out, head.at, head.size, err);
}

static int user_turn_before(const struct guard_turn *turns, int index) {
    while (--index >= 0)
        if (turns[index].role == GUARD_USER) return index;
    return -1;
}

/* Turns [from, end) as the multi-turn rows of the training write them; a turn
 * alone has no frame. The last turn stays whole when it is what is judged. */
static bool join_turns(const struct guard_turn *turns, int from, int end,
                       bool whole, struct bytes *out, struct err *err) {
    for (int i = from; i < end; i++) {
        bool user = turns[i].role == GUARD_USER;
        size_t most = user ? (size_t)GUARD_JOINED_USER_BYTES
                           : (size_t)GUARD_JOINED_ANSWER_BYTES;

        if (whole && i == end - 1) most = turns[i].text.size;
        if (i > from) bytes_puts(out, "\n\n");
        if (end - from > 1) bytes_puts(out, user ? "User: " : "Agent: ");
        if (!append_head(out, turns[i].text, most, err)) return false;
    }
    return true;
}

/* ---- a check ---- */

static void probes_stop(struct guard_check *check) {
    for (int m = 0; m < MODELS; m++)
        for (int k = 0; k < PROBE_COUNT; k++) {
            struct probe *probe = &check->probes[m][k];

            classify_cancel(probe->job);
            if (probe->asked) check->g->peer->cancel(probe->asked);
            probe->job = NULL;
            probe->asked = NULL;
        }
}

static void check_free(struct guard_check *check) {
    probes_stop(check);
    bytes_free(&check->before);
    for (int i = 0; i < check->answered_count; i++) {
        bytes_free(&check->answered[i].question);
        bytes_free(&check->answered[i].answer);
    }
    bytes_free(&check->examined);
    feature_cancel(check->features);
    policy_free(check->policy);
    free(check);
}

/* The policy stays alive until `done` has read the verdict. */
static void check_end(struct guard_check *check) {
    if (check->started_ns)
        check->v.stage_us[STAGE_CLASSIFY] =
            (uint32_t)((clock_ns() - check->started_ns) / 1000);
    probes_stop(check);
    feature_cancel(check->features);
    check->features = NULL;
    check->ended = true;
    check->done(check->user, &check->v);
    check_free(check);
}

static void check_fail(struct guard_check *check, const struct err *err) {
    if (check->acts)
        verdict_fail(&check->v, policy_revision(check->policy), err);
    check_end(check);
}

static void check_advance(struct guard_check *check);

static void probe_take(struct probe *probe, const float *scores, size_t count,
                       const struct err *err) {
    struct guard_check *check = probe->check;

    probe->job = NULL;
    probe->asked = NULL;
    check->waiting--;
    if (!scores) {
        check_fail(check, err);
        return;
    }
    memcpy(probe->scores, scores, count * sizeof *scores);
    if (check->operator_text) probe->scores[LABEL_INJ] = 0;
    probe->scored = true;
    if (check->waiting == 0) check_advance(check);
}

static void on_scores(void *user, const float *scores, const struct err *err) {
    probe_take(user, scores, LABEL_COUNT, err);
}

static void on_peer_scores(void *user, const float *scores,
                           const struct err *err) {
    probe_take(user, scores, PEER_SCORES, err);
}

static bool probe_start(struct guard_check *check, enum guard_model model,
                        enum probe_kind kind, const struct guard_turn *turns,
                        int count, int tokens_max, struct err *err) {
    struct probe *probe = &check->probes[model][kind];
    struct classify_request r = {.model = model,
                                 .turns = turns,
                                 .turn_count = count,
                                 .tokens_max = tokens_max,
                                 .client = check->client,
                                 .deadline_ms = check->deadline_ms};

    probe->check = check;
    if (!check->g->classifier)
        return err_set(err, ERR_UNAVAILABLE,
                       "the policy asks a guard model and none is loaded");
    probe->job =
        classify_start(check->g->classifier, &r, on_scores, probe, err);
    if (!probe->job) return false;
    check->waiting++;
    return true;
}

static bool peer_start(struct guard_check *check, enum probe_kind kind,
                       const struct guard_turn *turns, int count,
                       struct err *err) {
    const struct peer *peer = check->g->peer;
    struct probe *probe = &check->probes[GUARD_MODEL_PEER][kind];
    struct guard_turn read[PEER_TURNS_MAX];
    struct llamaguard_category custom[LLAMAGUARD_CUSTOM_MAX];
    struct peer_request r = {.custom = custom,
                             .custom_count = peer_custom(check->policy, custom),
                             .turns = read,
                             .turn_count = peer_turns(turns, count, read),
                             .tokens_max =
                                 policy_limits(check->policy)->input_tokens,
                             .client = check->client,
                             .deadline_ms = check->deadline_ms};

    probe->check = check;
    probe->asked = peer->ask(peer->self, &r, on_peer_scores, probe, err);
    if (!probe->asked) return false;
    check->waiting++;
    return true;
}

static bool second_round(struct guard_check *check, enum guard_model model,
                         struct err *err) {
    struct guard_turn before = {GUARD_USER, span_bytes(&check->before)};
    bool ok = probe_start(check, model, PROBE_BEFORE, &before, 1, 0, err);

    for (int i = 0; ok && i < check->answered_count; i++) {
        struct guard_turn pair[2] = {
            {GUARD_USER, span_bytes(&check->answered[i].question)},
            {GUARD_ASSISTANT, span_bytes(&check->answered[i].answer)}};

        ok = probe_start(check, model, (enum probe_kind)(PROBE_ANSWER + i),
                         pair, 2, 0, err);
    }
    return ok;
}

static enum verdict_action probe_action(const struct guard_check *check,
                                        enum guard_model model,
                                        const struct probe *probe) {
    return scores_action(check->g, check->policy, check->channel, model,
                         probe->scores);
}

/* Every turn before the last had an answer, and none was as bad. */
static bool all_refused(const struct guard_check *check, enum guard_model model,
                        enum verdict_action bad) {
    for (int i = 0; i < check->answered_count; i++)
        if (probe_action(check, model,
                         &check->probes[model][PROBE_ANSWER + i]) <= bad)
            return false;
    return !check->unanswered;
}

/* The probe whose scores count, or NULL when the second round must tell. */
static const struct probe *probe_choose(const struct guard_check *check,
                                        enum guard_model model) {
    const struct probe *probes = check->probes[model];
    const struct probe *alone = &probes[PROBE_ALONE];
    const struct probe *joined = &probes[PROBE_JOINED];
    enum verdict_action found;

    if (!joined->scored) return alone;
    found = probe_action(check, model, joined);
    if (found >= probe_action(check, model, alone)) return alone;
    if (!probes[PROBE_BEFORE].scored) return NULL;
    /* Old news: it was as bad without the last turn, and was not answered. */
    if (probe_action(check, model, &probes[PROBE_BEFORE]) <= found &&
        all_refused(check, model, found))
        return alone;
    return joined;
}

/* ---- examples ---- */

static bool examines(const struct check *check, enum channel channel) {
    return check->kind == CHECK_EXAMPLES && check->on[channel];
}

bool guard_fits(const struct guard *g, const struct policy *p,
                struct err *err) {
    struct llamaguard_category custom[LLAMAGUARD_CUSTOM_MAX];
    const char *model;

    if (peer_custom(p, custom) > (g->peer ? g->peer->custom_max : 0))
        return err_set(err, ERR_INPUT,
                       "%s: custom categories need a Llama Guard in this "
                       "process (guard.model)",
                       policy_path(p));
    for (int i = 0; i < policy_check_count(p); i++) {
        const struct check *check = policy_check(p, i);

        if (check->kind != CHECK_EXAMPLES) continue;
        if (!g->classifier)
            return err_set(err, ERR_UNAVAILABLE,
                           "%s: examples ask a guard model and none is loaded",
                           check->place);
        model = feature_model(g->classifier);
        if (!check->head ||
            head_width(check->head) != feature_width(g->classifier) ||
            strcmp(head_model(check->head), model) != 0)
            return err_set(err, ERR_INPUT,
                           "%s: the head is of another base model: corral "
                           "policy train %s",
                           check->place, policy_path(p));
    }
    return true;
}

/* False when a head cannot read these features. */
static bool examples_apply(const struct policy *p, enum channel channel,
                           const struct features *features, struct verdict *v) {
    for (int i = 0; i < policy_check_count(p); i++) {
        const struct check *check = policy_check(p, i);
        struct finding f = {.check = check->id,
                            .category = "",
                            .item = -1,
                            .action = check->action,
                            .shadow = check->shadow || policy_shadow(p)};

        if (!examines(check, channel)) continue;
        if (!check->head || head_width(check->head) != features->width)
            return false;
        f.score = head_score(check->head, features);
        if (f.score >= 0.5f) verdict_add(v, &f);
    }
    return true;
}

static void on_features(void *user, const struct features *features,
                        const struct err *err) {
    struct guard_check *check = user;
    struct err own = {0};

    check->features = NULL;
    if (features &&
        !examples_apply(check->policy, check->channel, features, &check->v)) {
        (void)err_set(&own, ERR_UNAVAILABLE,
                      "a head of the policy is of another base model");
        err = &own;
    }
    if (err)
        check_fail(check, err);
    else
        check_end(check);
}

/* The last part of a check: the examples, unless what was found blocks. False
 * when the check is over. */
static bool check_examine(struct guard_check *check) {
    struct err err = {0};

    if (!check->examines || check->v.action == VERDICT_BLOCK) {
        check_end(check);
        return false;
    }
    check->examines = false;
    if (!check->started_ns) check->started_ns = clock_ns();
    check->features =
        feature_start(check->g->classifier, span_bytes(&check->examined),
                      policy_limits(check->policy)->input_tokens, check->client,
                      check->deadline_ms, on_features, check, &err);
    if (check->features) return true;
    check_fail(check, &err);
    return false;
}

static bool plan_examples(struct guard_check *check,
                          const struct guard_request *r, struct err *err) {
    const struct policy *p = check->policy;
    struct span text;

    if (r->operator_text) return true;
    for (int i = 0; i < policy_check_count(p); i++) {
        const struct check *one = policy_check(p, i);

        if (!examines(one, r->channel)) continue;
        check->examines = true;
        if (!one->shadow && !policy_shadow(p)) check->acts = true;
    }
    text = r->turns[r->turn_count - 1].text;
    if (!check->examines || !text.size) {
        check->examines = false;
        return true;
    }
    if (!check->g->classifier)
        return err_set(err, ERR_UNAVAILABLE,
                       "the policy asks a guard model and none is loaded");
    return bytes_append(&check->examined, text.at, text.size, err);
}

/* A disguised turn is as bad as the worse of its two readings, unless it is
 * disguised so much that as it stands it is noise: noise looks like an attack,
 * and much that is harmless is sent escaped. */
static void merge_decoded(struct guard_check *check, int model) {
    struct probe *alone = &check->probes[model][PROBE_ALONE];
    struct probe *decoded = &check->probes[model][PROBE_DECODED];

    for (int l = 0; decoded->scored && l < PEER_SCORES; l++)
        if (check->noise || decoded->scores[l] > alone->scores[l])
            alone->scores[l] = decoded->scores[l];
    decoded->scored = false;
}

static void merge_passage(struct guard_check *check, int model) {
    struct probe *alone = &check->probes[model][PROBE_ALONE];
    struct probe *passage = &check->probes[model][PROBE_PASSAGE];

    if (!passage->scored || passage->scores[LABEL_UNSAFE] < passage_sure)
        return;
    for (int l = 0; l <= LABEL_S14; l++)
        if (passage->scores[l] > alone->scores[l])
            alone->scores[l] = passage->scores[l];
    passage->scored = false;
}

static void check_advance(struct guard_check *check) {
    const struct probe *chosen[MODELS] = {NULL};
    struct err err = {0};

    for (int m = 0; m < MODELS; m++) {
        if (!(check->models & 1u << m)) continue;
        merge_decoded(check, m);
        merge_passage(check, m);
        chosen[m] = probe_choose(check, (enum guard_model)m);
        if (chosen[m]) continue;
        if (!second_round(check, (enum guard_model)m, &err)) {
            check_fail(check, &err);
            return;
        }
    }
    if (check->waiting) return;
    for (int m = 0; m < MODELS; m++)
        if (chosen[m])
            scores_apply(check->g, check->policy, check->channel,
                         (enum guard_model)m, chosen[m]->scores, &check->v);
    (void)check_examine(check);
}

/* Where the joined turns begin: a user turn, or `last` when there is nothing
 * to join. */
static int joined_from(const struct guard_turn *turns, int last) {
    int from = last;

    for (int i = 1; i < GUARD_JOINED_TURNS; i++) {
        int earlier = user_turn_before(turns, from);

        if (earlier < 0) break;
        from = earlier;
    }
    return from;
}

/* The turn at `asked` and what answered it, right before the user turn `next`.
 */
static bool keep_answer(struct guard_check *check,
                        const struct guard_turn *turns, int asked, int next,
                        struct err *err) {
    struct exchange *x;

    if (turns[next - 1].role != GUARD_ASSISTANT) {
        check->unanswered = true;
        return true;
    }
    x = &check->answered[check->answered_count++];
    return append_head(&x->question, turns[asked].text, GUARD_JOINED_USER_BYTES,
                       err) &&
           append_head(&x->answer, turns[next - 1].text, ANSWER_BYTES, err);
}

static bool probe_joined(struct guard_check *check,
                         const struct guard_turn *turns, int last,
                         struct err *err) {
    struct bytes text = {0};
    struct guard_turn joined = {GUARD_USER, {NULL, 0}};
    int from = joined_from(turns, last);
    int asked = user_turn_before(turns, last);
    bool ok = true;

    if (from == last) return true;
    ok = join_turns(turns, from, last + 1, true, &text, err) &&
         join_turns(turns, from, asked + 1, false, &check->before, err);
    for (int next = last; ok && next > from; next = asked) {
        asked = user_turn_before(turns, next);
        ok = keep_answer(check, turns, asked, next, err);
    }
    joined.text = span_bytes(&text);
    for (int m = 0; ok && m < GUARD_MODEL_PEER; m++)
        if (check->models & 1u << m)
            ok = probe_start(check, (enum guard_model)m, PROBE_JOINED, &joined,
                             1, 0, err);
    bytes_free(&text);
    return ok;
}

/* Of `turns` only the last one is disguised, or none. */
static bool probe_decoded(struct guard_check *check,
                          const struct guard_turn *turns, int count,
                          int tokens_max, struct err *err) {
    struct bytes read_out = {0};
    struct guard_turn pair[2];
    int from = count > 1 ? count - 2 : 0, last = count - 1 - from;
    bool ok = true;

    memcpy(pair, turns + from, (size_t)(last + 1) * sizeof *pair);
    if (reading_of(pair[last].text, &read_out, &check->noise)) {
        pair[last].text = span_bytes(&read_out);
        for (int m = 0; ok && m < GUARD_MODEL_PEER; m++)
            if (check->models & 1u << m)
                ok = probe_start(check, (enum guard_model)m, PROBE_DECODED,
                                 pair, last + 1, tokens_max, err);
        if (ok && check->models & 1u << GUARD_MODEL_PEER)
            ok = peer_start(check, PROBE_DECODED, pair, last + 1, err);
    }
    bytes_free(&read_out);
    return ok;
}

/* An answer is judged with its question, whole; a peer reads all of a text. */
static bool probe_passage(struct guard_check *check,
                          const struct guard_turn *judged, struct err *err) {
    const unsigned own_models = (1u << GUARD_MODEL_PEER) - 1;
    struct guard_turn passage = {GUARD_USER, {NULL, 0}};
    bool ok = true;

    if (judged->role != GUARD_USER || !(check->models & own_models) ||
        !classify_passage(check->g->classifier, judged->text, &passage.text))
        return true;
    for (int m = 0; ok && m < GUARD_MODEL_PEER; m++)
        if (check->models & 1u << m)
            ok = probe_start(check, (enum guard_model)m, PROBE_PASSAGE,
                             &passage, 1, 0, err);
    return ok;
}

static bool check_probe(struct guard_check *check,
                        const struct guard_request *r, struct err *err) {
    int last = r->turn_count - 1;
    bool conversation =
        r->channel == CHANNEL_INPUT && r->turns[last].role == GUARD_USER;
    /* Here a turn is judged alone; an answer needs its question. */
    const struct guard_turn *turns = conversation ? r->turns + last : r->turns;
    int count = conversation ? 1 : r->turn_count;

    check->started_ns = clock_ns();
    for (int m = 0; m < GUARD_MODEL_PEER; m++)
        if (check->models & 1u << m &&
            !probe_start(check, (enum guard_model)m, PROBE_ALONE, turns, count,
                         policy_limits(r->policy)->input_tokens, err))
            return false;
    /* A peer was made to judge a conversation's last turn by all of it. */
    if (check->models & 1u << GUARD_MODEL_PEER &&
        !peer_start(check, PROBE_ALONE, r->turns, r->turn_count, err))
        return false;
    if (!probe_decoded(check, turns, count,
                       policy_limits(r->policy)->input_tokens, err) ||
        !probe_passage(check, &turns[count - 1], err))
        return false;
    return !conversation || probe_joined(check, r->turns, last, err);
}

/* A text in which nothing was found, not even by a shadow, is not read again
 * when the next request of its conversation brings it. */
static bool scan_item(struct guard_check *check, int index,
                      const struct guard_item *item, struct err *err) {
    struct guard *g = check->g;
    int before = check->v.finding_count;
    struct seen_mark mark = seen_mark(g->seen, policy_revision(check->policy),
                                      item->channel, item->text);

    if (seen_has(g->seen, &mark)) {
        g->stats.remembered++;
        return true;
    }
    g->stats.scanned++;
    g->stats.scanned_bytes += item->text.size;
    if (!policy_scan(check->policy, item->channel, index, item->text, &check->v,
                     err))
        return false;
    /* Past the limit a finding is no longer counted. */
    if (check->v.finding_count == before && before < VERDICT_FINDINGS_MAX)
        seen_add(g->seen, &mark);
    return true;
}

static bool scan_items(struct guard_check *check, const struct guard_request *r,
                       struct err *err) {
    for (int i = 0; i < r->item_count; i++)
        if (!scan_item(check, i, &r->items[i], err)) return false;
    return true;
}

/* An answer without a byte, such as a bare tool call, has nothing to judge. An
 * empty user turn still stands behind its history. */
static bool has_text(const struct guard_request *r) {
    const struct guard_turn *last;

    if (r->turn_count < 1) return false;
    last = &r->turns[r->turn_count - 1];
    return last->role == GUARD_USER || last->text.size > 0;
}

struct guard_check *guard_check_start(struct guard *g,
                                      const struct guard_request *request,
                                      guard_done *done, void *user) {
    struct guard_check *check = xrealloc_array(NULL, 1, sizeof *check);
    const struct policy *p = request->policy;
    struct err err = {0};

    memset(check, 0, offsetof(struct guard_check, v));
    check->g = g;
    check->policy = policy_ref(p);
    check->channel = request->channel;
    check->operator_text = request->operator_text;
    check->client = request->client;
    check->deadline_ms = request->deadline_ms;
    if (!check->deadline_ms)
        check->deadline_ms = clock_ms() + (uint64_t)policy_limits(p)->guard_ms;
    check->models = scores_models(check->g, p, request->channel, &check->acts);
    check->done = done;
    check->user = user;
    verdict_begin(&check->v, policy_revision(p));
    if (!scan_items(check, request, &err)) {
        check->acts = true; /* rules are never let go */
        check_fail(check, &err);
        return NULL;
    }
    /* Cheap first: what the rules block needs no model. */
    if (check->v.action == VERDICT_BLOCK || !has_text(request)) {
        check_end(check);
        return NULL;
    }
    if (!plan_examples(check, request, &err) ||
        (check->models && !check_probe(check, request, &err))) {
        check_fail(check, &err);
        return NULL;
    }
    if (check->models) return check;
    return check_examine(check) ? check : NULL;
}

void guard_check_cancel(struct guard_check *check) {
    if (check && !check->ended) check_free(check);
}
