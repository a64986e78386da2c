/* tool_rules.h - the `tools` part of a policy: which tools may be called, and
 * with what. A rule looks at a call's arguments and at where the texts came
 * from that the model read before it. What cannot be told (an argument that is
 * missing, of another type, or no URL where a host is asked for) counts against
 * the call: `when` is taken as met, `unless` as not met. */
#ifndef CORRAL_GUARD_TOOL_RULES_H
#define CORRAL_GUARD_TOOL_RULES_H

#include "guard/policy.h"

/* Where a text of the conversation came from. What the model itself wrote has
 * no source of its own: it is made of the others. */
enum source {
    SOURCE_SYSTEM,
    SOURCE_USER,
    SOURCE_TOOL,
    SOURCE_DOCUMENT,
    SOURCE_DECLARATION, /* what the tools say about themselves */
    SOURCE_COUNT
};

struct source_text {
    enum source source;
    struct span tool; /* SOURCE_TOOL: whose result it is */
    struct span text;
};

/* A call that asks leave; all borrowed. */
struct tool_facts {
    struct span tool;
    const cJSON *arguments; /* NULL: they are not JSON */
    const struct source_text *sources;
    int source_count;
    bool untold; /* what the model read before the call is not known */
};

/* Add what tools.allow and tools.rules find to a verdict that was begun. */
void policy_judge_tool(const struct policy *p, const struct tool_facts *f,
                       struct verdict *v);

#endif
