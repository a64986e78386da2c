#include "guard/verdict.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const action_names[] = {"block", "ask", "redact", "flag",
                                           "allow"};
static const char *const channel_names[CHANNEL_COUNT] = {
    "input",       "output",   "tool_call",
    "tool_result", "document", "tool_definition"};
static const char *const label_names[LABEL_COUNT] = {
    "unsafe", "S1", "S2",  "S3",  "S4",  "S5",  "S6",  "S7",
    "S8",     "S9", "S10", "S11", "S12", "S13", "S14", "INJ"};
static const char *const stage_names[STAGE_COUNT] = {"text", "rules",
                                                     "entities", "classify"};

const char *verdict_action_name(enum verdict_action action) {
    return action <= VERDICT_ALLOW ? action_names[action] : "block";
}

bool verdict_action_from_name(const char *name, enum verdict_action *out) {
    for (int i = VERDICT_BLOCK; i <= VERDICT_ALLOW; i++) {
        if (strcmp(name, action_names[i]) != 0) continue;
        *out = (enum verdict_action)i;
        return true;
    }
    return false;
}

const char *channel_name(enum channel channel) {
    return channel < CHANNEL_COUNT ? channel_names[channel] : "";
}

bool channel_from_name(const char *name, enum channel *out) {
    for (int i = 0; i < CHANNEL_COUNT; i++) {
        if (strcmp(name, channel_names[i]) != 0) continue;
        *out = (enum channel)i;
        return true;
    }
    return false;
}

const char *label_name(int label) {
    return label >= 0 && label < LABEL_COUNT ? label_names[label] : "";
}

const char *stage_name(enum stage stage) {
    return stage < STAGE_COUNT ? stage_names[stage] : "";
}

static void start(struct verdict *v, const char *revision) {
    /* Findings past finding_count are nobody's: they are most of it. */
    memset(v, 0, offsetof(struct verdict, findings));
    memset(&v->finding_count, 0,
           sizeof *v - offsetof(struct verdict, finding_count));
    hash_random_id(v->id);
    if (revision) /* the rest is zero */
        memcpy(v->revision, revision,
               strnlen(revision, sizeof v->revision - 1));
}

void verdict_begin(struct verdict *v, const char *revision) {
    start(v, revision);
    v->action = VERDICT_ALLOW;
    v->cause = VERDICT_CAUSE_POLICY;
}

void verdict_fail(struct verdict *v, const char *revision,
                  const struct err *err) {
    struct err copy = *err; /* `err` may be a part of `v` */

    start(v, revision);
    v->action = VERDICT_BLOCK;
    v->cause = VERDICT_CAUSE_UNAVAILABLE;
    v->err = copy;
}

/* A full list gives up a finding that only informs, so that a flood of them
 * cannot push out a span that must be redacted. */
static struct finding *place(struct verdict *v, const struct finding *f) {
    if (v->finding_count < VERDICT_FINDINGS_MAX)
        return &v->findings[v->finding_count++];
    if (f->shadow || f->action >= VERDICT_FLAG) return NULL;
    for (int i = v->finding_count - 1; i >= 0; i--) {
        struct finding *old = &v->findings[i];

        if (old->shadow || old->action >= VERDICT_FLAG) return old;
    }
    return NULL;
}

void verdict_add(struct verdict *v, const struct finding *f) {
    struct finding *at = place(v, f);
    enum verdict_action action = f->action;

    if (at) *at = *f;
    if (f->shadow) return;
    /* A span that is not remembered cannot be redacted: nothing may pass. */
    if (!at && action == VERDICT_REDACT) action = VERDICT_BLOCK;
    if (action < v->action) v->action = action;
}

static bool is_new_check(const struct verdict *v, int index) {
    for (int i = 0; i < index; i++)
        if (!v->findings[i].shadow &&
            !strcmp(v->findings[i].check, v->findings[index].check))
            return false;
    return true;
}

bool verdict_lets_pass(const struct verdict *v) {
    return v->action == VERDICT_ALLOW || v->action == VERDICT_FLAG ||
           v->action == VERDICT_REDACT;
}

void verdict_checks(const struct verdict *v, struct bytes *out) {
    const char *comma = "";

    for (int i = 0; i < v->finding_count; i++) {
        if (v->findings[i].shadow || !is_new_check(v, i)) continue;
        bytes_puts(out, comma);
        bytes_puts(out, v->findings[i].check);
        comma = ",";
    }
}

/* Four decimals: what is more would only be noise in logs. */
static double rounded(float score) {
    return (double)(long)((double)score * 10000 + 0.5) / 10000;
}

static bool known_categories(const struct verdict *v, cJSON *object) {
    if (v->classified) {
        for (int l = LABEL_S1; l < LABEL_COUNT; l++)
            if (!cJSON_AddNumberToObject(object, label_name(l),
                                         rounded(v->score[l])))
                return false;
    }
    for (int i = 0; i < v->finding_count; i++) {
        const struct finding *f = &v->findings[i];

        if (!*f->category || f->shadow ||
            cJSON_GetObjectItemCaseSensitive(object, f->category))
            continue;
        if (!cJSON_AddNumberToObject(object, f->category, rounded(f->score)))
            return false;
    }
    return true;
}

/* What the classifier thinks; without it, how sure the findings that acted
 * are. */
static double overall(const struct verdict *v) {
    float most = 0;

    if (v->classified) return rounded(v->score[LABEL_UNSAFE]);
    for (int i = 0; i < v->finding_count; i++)
        if (!v->findings[i].shadow && v->findings[i].score > most)
            most = v->findings[i].score;
    return rounded(most);
}

static bool check_names(const struct verdict *v, cJSON *array) {
    for (int i = 0; i < v->finding_count; i++) {
        cJSON *name;

        if (v->findings[i].shadow || !is_new_check(v, i)) continue;
        name = cJSON_CreateString(v->findings[i].check);
        if (!name || !cJSON_AddItemToArray(array, name)) return false;
    }
    return true;
}

cJSON *verdict_to_json(const struct verdict *v, enum channel channel) {
    cJSON *json = cJSON_CreateObject(), *categories, *checks;

    if (!json || !cJSON_AddStringToObject(json, "id", v->id) ||
        !cJSON_AddStringToObject(json, "action",
                                 verdict_action_name(v->action)) ||
        !cJSON_AddNumberToObject(json, "score", overall(v)))
        abort();
    categories = cJSON_AddObjectToObject(json, "categories");
    if (!categories || !known_categories(v, categories)) abort();
    checks = cJSON_AddArrayToObject(json, "checks");
    if (!checks || !check_names(v, checks) ||
        !cJSON_AddStringToObject(json, "channel", channel_name(channel)))
        abort();
    if (v->cause == VERDICT_CAUSE_UNAVAILABLE &&
        !cJSON_AddStringToObject(json, "cause", "guard_unavailable"))
        abort();
    return json;
}

cJSON *verdict_to_answer(const struct verdict *v, enum channel channel) {
    cJSON *json = verdict_to_json(v, channel);
    cJSON *id = cJSON_DetachItemFromObjectCaseSensitive(json, "id");

    if (id) (void)cJSON_AddItemToObject(json, "decision_id", id);
    return json;
}

struct cut {
    size_t from, end;
    size_t widest; /* of the finding that names the mark */
    const char *category;
};

static int by_place(const void *left, const void *right) {
    const struct cut *a = left, *b = right;

    if (a->from != b->from) return a->from < b->from ? -1 : 1;
    return a->end > b->end ? -1 : a->end < b->end;
}

/* The spans to cut, in order and apart. */
static int collect(const struct verdict *v, int item, size_t size,
                   struct cut *cuts) {
    int count = 0, kept = 0;

    for (int i = 0; i < v->finding_count; i++) {
        const struct finding *f = &v->findings[i];
        struct cut c = {f->from, f->end, 0, f->category};

        if (f->shadow || f->action != VERDICT_REDACT) continue;
        if (f->item != item && f->item != -1) continue;
        if (f->item == -1 || c.from >= c.end) c.from = 0, c.end = size;
        if (c.end > size) c.end = size;
        c.widest = c.end - c.from;
        if (c.from < c.end) cuts[count++] = c;
    }
    qsort(cuts, (size_t)count, sizeof *cuts, by_place);
    for (int i = 0; i < count; i++) {
        struct cut *last = kept ? &cuts[kept - 1] : NULL;

        if (!last || cuts[i].from >= last->end) {
            cuts[kept++] = cuts[i];
            continue;
        }
        if (cuts[i].end > last->end) last->end = cuts[i].end;
        if (cuts[i].widest <= last->widest) continue;
        last->widest = cuts[i].widest;
        last->category = cuts[i].category;
    }
    return kept;
}

static bool append_mark(struct bytes *out, const char *category,
                        struct err *err) {
    char name[32] = "REDACTED";
    size_t i;

    for (i = 0; category[i] && i + 1 < sizeof name; i++)
        name[i] = (char)toupper((unsigned char)category[i]);
    if (i) name[i] = '\0';
    return bytes_printf(out, err, "[%s]", name);
}

bool verdict_redact(const struct verdict *v, int item, struct span text,
                    struct bytes *out, struct err *err) {
    struct cut cuts[VERDICT_FINDINGS_MAX];
    int count = collect(v, item, text.size, cuts);
    struct span kept;
    size_t at = 0;

    for (int i = 0; i < count; i++) {
        kept = span_slice(text, at, cuts[i].from);

        if (!bytes_append(out, kept.at, kept.size, err) ||
            !append_mark(out, cuts[i].category, err))
            return false;
        at = cuts[i].end;
    }
    kept = span_slice(text, at, text.size);
    return bytes_append(out, kept.at, kept.size, err);
}
