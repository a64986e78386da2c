#include "proxy/moderation_result.h"

#include <string.h>

/* OpenAI's thirteen keys and the labels whose probability stands for them. */
static const struct {
    const char *key;
    int label;
} categories[] = {
    {"harassment", 10},
    {"harassment/threatening", 1},
    {"hate", 10},
    {"hate/threatening", 10},
    {"illicit", 2},
    {"illicit/violent", 9},
    {"self-harm", 11},
    {"self-harm/intent", 11},
    {"self-harm/instructions", 11},
    {"sexual", 12},
    {"sexual/minors", 4},
    {"violence", 1},
    {"violence/graphic", 1},
};

bool moderation_flags(const struct finding *f) {
    return f->action == VERDICT_BLOCK || f->action == VERDICT_ASK ||
           f->action == VERDICT_FLAG;
}

void moderation_result_add(struct moderation_result *r,
                           const struct verdict *v) {
    if (v->cause == VERDICT_CAUSE_UNAVAILABLE) return;
    r->judged = true;
    if (v->action == VERDICT_BLOCK) r->flagged = true;
    for (int i = 0; i < v->finding_count; i++) {
        const struct finding *f = &v->findings[i];

        if (!moderation_flags(f)) continue;
        r->flagged = true;
        for (int label = LABEL_S1; label < LABEL_COUNT; label++)
            if (!strcmp(f->category, label_name(label))) r->fired[label] = true;
    }
    for (int label = 0; v->classified && label < LABEL_COUNT; label++)
        if (v->score[label] > r->score[label])
            r->score[label] = v->score[label];
}

static void put_label(cJSON *flags, cJSON *scores, cJSON *types,
                      const char *key, int label,
                      const struct moderation_result *r) {
    const char *text = "text";

    (void)cJSON_AddBoolToObject(flags, key, r->fired[label]);
    (void)cJSON_AddNumberToObject(scores, key, (double)r->score[label]);
    (void)cJSON_AddItemToObject(types, key, cJSON_CreateStringArray(&text, 1));
}

cJSON *moderation_result_json(const struct moderation_result *r, bool typed) {
    cJSON *result = cJSON_CreateObject();
    cJSON *flags, *scores, *types;

    if (typed) {
        (void)cJSON_AddStringToObject(result, "type", "moderation_result");
        (void)cJSON_AddStringToObject(result, "model", MODERATION_MODEL);
    }
    (void)cJSON_AddBoolToObject(result, "flagged", r->flagged);
    flags = cJSON_AddObjectToObject(result, "categories");
    scores = cJSON_AddObjectToObject(result, "category_scores");
    types = cJSON_AddObjectToObject(result, "category_applied_input_types");
    for (size_t i = 0; i < sizeof categories / sizeof *categories; i++)
        put_label(flags, scores, types, categories[i].key, categories[i].label,
                  r);
    for (int label = LABEL_S1; label <= LABEL_INJ; label++)
        put_label(flags, scores, types, label_name(label), label, r);
    return result;
}
