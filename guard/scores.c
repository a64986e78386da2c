#include "guard/scores.h"

static bool classifies(const struct check *check, enum channel channel) {
    return check->kind == CHECK_CLASSIFIER && check->on[channel];
}

/* Who answers for a label: where there is a peer it takes the hazards over
 * from the full model, which keeps INJ. */
static bool answers(const struct guard *g, const struct check *check,
                    enum guard_model model, int label) {
    enum guard_model who = check->model;

    if (who == GUARD_MODEL_FULL && guard_peer(g) && label != LABEL_INJ)
        who = GUARD_MODEL_PEER;
    return who == model;
}

unsigned scores_models(const struct guard *g, const struct policy *p,
                       enum channel channel, bool *acts) {
    unsigned models = 0;

    *acts = false;
    for (int i = 0; i < policy_check_count(p); i++) {
        const struct check *check = policy_check(p, i);

        if (!classifies(check, channel)) continue;
        for (int m = 0; m < GUARD_MODELS; m++)
            for (int l = LABEL_S1; l < LABEL_COUNT; l++)
                if (check->levels[l] < LEVEL_OFF &&
                    answers(g, check, (enum guard_model)m, l))
                    models |= 1u << m;
        if (check->custom_count && guard_peer(g))
            models |= 1u << GUARD_MODEL_PEER;
        if (!check->shadow && !policy_shadow(p)) *acts = true;
    }
    return models;
}

static float threshold(const struct guard *g, enum guard_model model,
                       enum level level, int label) {
    if (model == GUARD_MODEL_PEER) return guard_peer(g)->thresholds[level];
    return classifier_threshold(guard_classifier(g), model, level, label);
}

static int likeliest_category(const float *scores) {
    int best = LABEL_S1;

    for (int l = LABEL_S1; l <= LABEL_S14; l++)
        if (scores[l] > scores[best]) best = l;
    return best;
}

/* Does `label` count at this check's level, and with which probability? The
 * overall one speaks for the likeliest category, at that category's level. */
static bool label_fires(const struct guard *g, const struct check *check,
                        enum guard_model model, const float *scores, int label,
                        float *score) {
    enum level level = check->levels[label];
    float unsafe = scores[LABEL_UNSAFE];
    float own = scores[label];

    if (level >= LEVEL_OFF) return false;
    if (label != LABEL_INJ && label == likeliest_category(scores) &&
        (own > 0 || model != GUARD_MODEL_PEER) &&
        unsafe >= threshold(g, model, level, LABEL_UNSAFE)) {
        *score = unsafe > own ? unsafe : own;
        return true;
    }
    *score = own;
    return own >= threshold(g, model, level, label);
}

/* A peer may find a text unsafe and name none of the categories: then it counts
 * at the strictest level of them. */
static bool unnamed_fires(const struct guard *g, const struct check *check,
                          enum guard_model model, const float *scores) {
    enum level level = LEVEL_OFF;

    if (model != GUARD_MODEL_PEER) return false;
    for (int i = LABEL_S1; i < PEER_SCORES; i++)
        if (scores[i] > 0) return false;
    for (int l = LABEL_S1; l <= LABEL_S14; l++)
        if (check->levels[l] < level) level = check->levels[l];
    return level < LEVEL_OFF && answers(g, check, model, LABEL_S1) &&
           scores[LABEL_UNSAFE] >= threshold(g, model, level, LABEL_UNSAFE);
}

/* Where the scores of a check's own categories begin. */
static const float *custom_scores(const struct policy *p,
                                  const struct check *check,
                                  const float *scores) {
    const float *at = scores + LABEL_COUNT;

    for (int i = 0; policy_check(p, i) != check; i++)
        at += policy_check(p, i)->custom_count;
    return at;
}

static bool custom_fires(const struct guard *g, const struct check *check,
                         enum guard_model model, int index, float score) {
    enum level level = check->custom[index].level;

    return model == GUARD_MODEL_PEER && level < LEVEL_OFF &&
           score >= threshold(g, model, level, LABEL_UNSAFE);
}

static void check_apply(const struct guard *g, const struct policy *p,
                        const struct check *check, enum guard_model model,
                        const float *scores, struct verdict *v) {
    struct finding f = {.check = check->id,
                        .item = -1,
                        .action = check->action,
                        .shadow = check->shadow || policy_shadow(p)};

    for (int l = LABEL_S1; l < LABEL_COUNT; l++) {
        f.category = label_name(l);
        if (answers(g, check, model, l) &&
            label_fires(g, check, model, scores, l, &f.score))
            verdict_add(v, &f);
    }
    for (int i = 0; i < check->custom_count && model == GUARD_MODEL_PEER; i++) {
        f.category = check->custom[i].name;
        f.score = custom_scores(p, check, scores)[i];
        if (custom_fires(g, check, model, i, f.score)) verdict_add(v, &f);
    }
    if (!unnamed_fires(g, check, model, scores)) return;
    f.category = label_name(LABEL_UNSAFE);
    f.score = scores[LABEL_UNSAFE];
    verdict_add(v, &f);
}

/* Beside a peer the full model was asked for INJ alone. */
static void show_scores(const struct guard *g, enum guard_model model,
                        const float *scores, struct verdict *v) {
    bool only_inj = guard_peer(g) && model == GUARD_MODEL_FULL;

    for (int l = only_inj ? LABEL_INJ : 0; l < LABEL_COUNT; l++)
        if (!v->classified || scores[l] > v->score[l]) v->score[l] = scores[l];
    v->classified = true;
}

void scores_apply(const struct guard *g, const struct policy *p,
                  enum channel channel, enum guard_model model,
                  const float *scores, struct verdict *v) {
    for (int i = 0; i < policy_check_count(p); i++)
        if (classifies(policy_check(p, i), channel))
            check_apply(g, p, policy_check(p, i), model, scores, v);
    show_scores(g, model, scores, v);
}

enum verdict_action scores_action(const struct guard *g, const struct policy *p,
                                  enum channel channel, enum guard_model model,
                                  const float *scores) {
    enum verdict_action worst = VERDICT_ALLOW;

    for (int i = 0; i < policy_check_count(p); i++) {
        const struct check *one = policy_check(p, i);
        float score;

        if (!classifies(one, channel) || one->action >= worst) continue;
        if (unnamed_fires(g, one, model, scores)) worst = one->action;
        for (int l = LABEL_S1; l < LABEL_COUNT; l++)
            if (answers(g, one, model, l) &&
                label_fires(g, one, model, scores, l, &score))
                worst = one->action;
        for (int k = 0; k < one->custom_count && model == GUARD_MODEL_PEER; k++)
            if (custom_fires(g, one, model, k,
                             custom_scores(p, one, scores)[k]))
                worst = one->action;
    }
    return worst;
}
