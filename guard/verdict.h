/* verdict.h - what was decided about a text, and why. Safe by default: the
 * zero value blocks, so a verdict that nobody filled in lets nothing out. */
#ifndef CORRAL_GUARD_VERDICT_H
#define CORRAL_GUARD_VERDICT_H

#include "base/bytes.h"
#include "base/hash.h"
#include "base/json.h"

/* From the most to the least severe, so the smaller one wins. */
enum verdict_action {
    VERDICT_BLOCK,
    VERDICT_ASK,
    VERDICT_REDACT,
    VERDICT_FLAG,
    VERDICT_ALLOW
};

enum verdict_cause {
    VERDICT_CAUSE_UNAVAILABLE, /* the guard failed or ran out of time */
    VERDICT_CAUSE_POLICY       /* the policy's checks decided */
};

enum channel {
    CHANNEL_INPUT,
    CHANNEL_OUTPUT,
    CHANNEL_TOOL_CALL,
    CHANNEL_TOOL_RESULT,
    CHANNEL_DOCUMENT,
    CHANNEL_DEFINITION, /* what a server says of a tool */
    CHANNEL_COUNT
};

/* The labels of the classifier, in this order everywhere. */
enum { LABEL_UNSAFE, LABEL_S1, LABEL_S14 = 14, LABEL_INJ, LABEL_COUNT };

enum stage {
    STAGE_TEXT,
    STAGE_RULES,
    STAGE_ENTITIES,
    STAGE_CLASSIFY,
    STAGE_COUNT
};

enum { VERDICT_FINDINGS_MAX = 256, VERDICT_REVISION_SIZE = 17 };

struct finding {
    const char *check;    /* the check's id; lives as long as the policy */
    const char *category; /* "S1".."S14", "INJ", an entity's kind, or "" */
    float score;          /* 1 for rules and entities */
    int item;             /* which text of the request; -1: the whole */
    size_t from, end;     /* raw bytes of that text; from == end: all of it */
    enum verdict_action action; /* what the check asks for */
    bool shadow;                /* recorded, not acted upon */
};

struct verdict {
    enum verdict_action action;
    enum verdict_cause cause;
    struct finding findings[VERDICT_FINDINGS_MAX];
    int finding_count;        /* past the limit the action still counts */
    bool classified;          /* scores below are set */
    float score[LABEL_COUNT]; /* calibrated probabilities */
    uint32_t stage_us[STAGE_COUNT];
    char id[HASH_ID_SIZE];                /* the decision's id */
    char revision[VERDICT_REVISION_SIZE]; /* of the policy */
    struct err err; /* with VERDICT_CAUSE_UNAVAILABLE: what went wrong */
};

const char *verdict_action_name(enum verdict_action action);
bool verdict_action_from_name(const char *name, enum verdict_action *out);
const char *channel_name(enum channel channel);
bool channel_from_name(const char *name, enum channel *out);
const char *label_name(int label); /* "unsafe", "S1".."S14", "INJ" */
const char *stage_name(enum stage stage);

/* An empty verdict that allows, with a fresh id: to add findings to. */
void verdict_begin(struct verdict *v, const char *revision);
/* Add a finding and let it weigh on the action, unless it is a shadow. */
void verdict_add(struct verdict *v, const struct finding *f);
/* Blocked because the guard itself failed; `err` says how. */
void verdict_fail(struct verdict *v, const char *revision,
                  const struct err *err);

/* The text may go on, if need be redacted. */
bool verdict_lets_pass(const struct verdict *v);

/* The ids of the checks that acted (no shadows), each once, comma-separated:
 * for headers and logs. Empty when none. */
void verdict_checks(const struct verdict *v, struct bytes *out);

/* {id, action, score, categories{}, checks[], channel}: never matched text.
 * The caller owns it. */
cJSON *verdict_to_json(const struct verdict *v, enum channel channel);

/* The same as a refusal shows it, its id as `decision_id`. */
cJSON *verdict_to_answer(const struct verdict *v, enum channel channel);

/* `text` (item `item` of the request) with every span that a redacting finding
 * names replaced by its mark, such as "[EMAIL]"; overlapping spans are joined.
 */
MUST_USE bool verdict_redact(const struct verdict *v, int item,
                             struct span text, struct bytes *out,
                             struct err *err);

#endif
