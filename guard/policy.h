/* policy.h - a policy file, checked and compiled, in memory. Immutable once it
 * is in force and counted by reference, so that requests in flight finish under
 * the revision they began with. */
#ifndef CORRAL_GUARD_POLICY_H
#define CORRAL_GUARD_POLICY_H

#include "guard/entity.h"
#include "guard/rules.h"
#include "guard/verdict.h"

struct policy;
struct head;

enum { POLICY_CUSTOM_MAX = 16 };

enum check_kind {
    CHECK_CLASSIFIER,
    CHECK_RULES,
    CHECK_ENTITIES,
    CHECK_EXAMPLES
};

/* At which of the adapter's thresholds a category counts. */
enum level {
    LEVEL_STRICT,
    LEVEL_BALANCED,
    LEVEL_LOOSE,
    LEVEL_OFF,
    LEVEL_COUNT
};

/* A policy names the first two. Where the operator gave the guard a peer
 * (peer.h), it answers for the full model about everything but INJ. */
enum guard_model {
    GUARD_MODEL_FULL,
    GUARD_MODEL_ACTIVATED,
    GUARD_MODEL_PEER,
    GUARD_MODELS
};

/* A category of the policy's own, which only a Llama Guard understands. */
struct policy_category {
    const char *name, *text; /* text: what models should not do, or NULL */
    enum level level;
};

struct check {
    const char *id;
    enum check_kind kind;
    bool on[CHANNEL_COUNT];
    enum verdict_action action;
    bool shadow;
    /* CHECK_CLASSIFIER; levels[LABEL_UNSAFE] is "all" */
    enum level levels[LABEL_COUNT];
    enum guard_model model;
    const struct policy_category *custom;
    int custom_count; /* POLICY_CUSTOM_MAX in all checks together */
    /* CHECK_ENTITIES: bit set of enum entity_kind */
    uint64_t entities;
    /* CHECK_EXAMPLES: paths, "path:line:column" of the check's examples, and
     * the head fitted to them; NULL after policy_open_untrained() */
    const char *examples, *head_path, *place;
    const struct head *head;
};

struct policy_limits {
    int guard_ms;     /* a verdict that takes longer blocks */
    int input_tokens; /* a longer input blocks */
    int approval_s; /* `ask`: without an answer by then it is no; 0: at once */
};

struct policy_test {
    enum channel on;
    const char *prompt; /* with on == CHANNEL_OUTPUT: the question, or NULL */
    const char *text;
    enum verdict_action expect;
    int line;
};

/* Read, check and compile a policy with everything it extends. Packs are
 * looked up as `<name>.yaml` beside the file. A mistake is ERR_INPUT,
 * "path:line:column: reason". */
MUST_USE struct policy *policy_open(const char *path, struct err *err);
/* The same with heads left out, for those who train them. */
MUST_USE struct policy *policy_open_untrained(const char *path,
                                              struct err *err);
struct policy *policy_ref(const struct policy *p);
void policy_free(struct policy *p); /* drops one reference */

const char *policy_name(const struct policy *p);
const char *policy_path(const struct policy *p);
const char *policy_revision(const struct policy *p); /* 16 hex digits */
/* The files it was made of, as they were then: the first is its own, the others
 * are what it extends. */
int policy_source_count(const struct policy *p);
const char *policy_source_path(const struct policy *p, int index);
const char *policy_source_text(const struct policy *p, int index);
bool policy_shadow(const struct policy *p);         /* mode: shadow */
bool policy_on_block_error(const struct policy *p); /* on_block: error */
bool policy_stream_trail(const struct policy *p);   /* stream: trail */
const struct policy_limits *policy_limits(const struct policy *p);
/* messages.block in `language` ("it"), falling back to English and then to the
 * first there is. */
const char *policy_message(const struct policy *p, const char *language);
int policy_check_count(const struct policy *p);
const struct check *policy_check(const struct policy *p, int index);
/* Does a check of the channel ask the guard model: a classifier or examples. */
bool policy_classifies(const struct policy *p, enum channel channel);
/* On any channel. */
bool policy_needs_model(const struct policy *p);
int policy_test_count(const struct policy *p);
const struct policy_test *policy_test(const struct policy *p, int index);
/* May this tool be called at all (tools.allow; absent: all are). What may be
 * asked of it, and when, tool_rules.h tells. */
bool policy_tool_allowed(const struct policy *p, struct span name);
/* Tools whose descriptions come from strangers, a bit each: those that a model
 * may be told of, as this policy has judged what is said of them. None until
 * then; to be set before the policy is in force, since it is read by all. */
void policy_admit_tools(struct policy *p, uint64_t tools);
bool policy_admits_tool(const struct policy *p, int tool);

/* Rules and entities of a channel over one whole text: the findings are added
 * to `v` with `item` set. `v->stage_us` is filled. False: the scan failed, and
 * the caller must treat the guard as unavailable. */
MUST_USE bool policy_scan(const struct policy *p, enum channel channel,
                          int item, struct span text, struct verdict *v,
                          struct err *err);
/* The same for a stream that keeps some text before what is still undecided:
 * text[0..decided) was decided by policy_scan_hold() before, and is here only
 * for what stands beside a match (64 bytes are enough). No match of an acting
 * check begins there any more; what seems to is the cut's doing, and must not
 * hide a match behind it. `decided` at most text.size. */
MUST_USE bool policy_scan_tail(const struct policy *p, enum channel channel,
                               int item, struct span text, size_t decided,
                               struct verdict *v, struct err *err);
/* The same for a text still arriving, and *hold: the first byte that is, or
 * could still become, part of a match of an acting check (or that could
 * lengthen one already found), text.size when nothing is pending. Everything
 * before it is decided. `text` is complete (utf8_complete()). */
MUST_USE bool policy_scan_hold(const struct policy *p, enum channel channel,
                               int item, struct span text, size_t decided,
                               size_t *hold, struct verdict *v,
                               struct err *err);

#endif
