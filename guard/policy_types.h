/* policy_types.h - what the parts of policy share: policy_parse.c reads files
 * into it, policy.c compiles it, policy_scan.c runs it. */
#ifndef CORRAL_GUARD_POLICY_TYPES_H
#define CORRAL_GUARD_POLICY_TYPES_H

#include <stdatomic.h>

#include "base/yaml.h"
#include "guard/head.h"
#include "guard/policy.h"

enum {
    POLICY_CHECKS_MAX = 64,
    POLICY_FILES_MAX = 16, /* with what they extend */
    POLICY_MESSAGES_MAX = 64,
    POLICY_TESTS_MAX = 10000,
    POLICY_TOOLS_MAX = 1000,
    POLICY_NAME_MAX = 64,
    POLICY_PATH_MAX = 512,
    POLICY_TEXT_MAX = 64 << 10 /* a message, or the text of a test */
};

struct tool_rule;

/* One literal or pattern as it stands in the file. */
struct policy_rule {
    char *text;
    bool pattern, anywhere;
    char *start; /* of a pattern with a cap, else NULL */
    size_t cap;
    char *place; /* "path:line:column" */
    int check;   /* set when compiled */
};

struct policy_check {
    struct check check; /* first: policy_check() hands out its address */
    struct policy_rule *rules;
    int rule_count;
    char *examples, *head_path, *place; /* as in check, ours */
    struct head *head;
    struct policy_category *custom; /* the same as check.custom, ours */
};

struct policy_message {
    char *language, *text;
};

/* Rules of one channel, apart by whether they act: a shadow must not hold a
 * stream back. */
struct policy_ruleset {
    struct rules *rules;            /* NULL when there are none */
    const struct policy_rule **map; /* a rule's number to the rule */
    int count;
};

/* As it was read. */
struct policy_source {
    char *path, *text;
};

struct policy {
    atomic_int references;
    struct policy_source sources[POLICY_FILES_MAX];
    int source_count;
    char *name, *path;
    char revision[VERDICT_REVISION_SIZE];
    bool shadow, on_block_error, trail;
    struct policy_limits limits;
    struct policy_check *checks; /* POLICY_CHECKS_MAX of them */
    int check_count;
    struct policy_message messages[POLICY_MESSAGES_MAX];
    int message_count;
    struct policy_test *tests;
    int test_count;
    bool tools_listed;
    char **tools;
    int tool_count;
    struct tool_rule *tool_rules; /* TOOL_RULES_MAX, or NULL without any */
    int tool_rule_count;
    struct policy_ruleset rulesets[CHANNEL_COUNT][2]; /* [1]: shadows */
    uint64_t admitted; /* tools of strangers, a bit each */
};

/* Read `path` and what it extends into an empty policy; `seen` gets the bytes
 * of every file. On failure policy_free() cleans up. */
MUST_USE bool policy_read(struct policy *p, const char *path,
                          struct bytes *seen, struct err *err);
/* Load the head of every examples check; `seen` gets their bytes. */
MUST_USE bool policy_read_heads(struct policy *p, struct bytes *seen,
                                struct err *err);
/* Refuse rules that can never act. */
MUST_USE bool policy_reachable(const struct policy *p, struct err *err);
void policy_check_clear(struct policy_check *c);
bool policy_is_shadow(const struct policy *p, const struct check *c);

#endif
