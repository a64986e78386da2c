/* tool_rules_types.h - tools.rules in memory: policy_tools.c reads them from
 * the file, tool_rules.c asks them about a call. */
#ifndef CORRAL_GUARD_TOOL_RULES_TYPES_H
#define CORRAL_GUARD_TOOL_RULES_TYPES_H

#include "guard/rules_whole.h"
#include "guard/tool_rules.h"

enum {
    TOOL_RULES_MAX = 256,
    TOOL_CASES_MAX = 16,      /* of one `when` or `unless` */
    TOOL_PREDICATES_MAX = 16, /* of one case */
    TOOL_MATCHES_MAX = 1000,  /* of one predicate */
    TOOL_GLOB_MAX = 512       /* bytes */
};

enum match_kind {
    MATCH_GLOB,   /* "*.example.org" */
    MATCH_REGEX,  /* {pattern: ...}: the whole value */
    MATCH_RANGE,  /* {min: ..., max: ...} */
    MATCH_EQUALS, /* {equals: ...} */
    MATCH_SAID_BY /* {said_by: [user, ...]}: the value stands in their text */
};

struct tool_match {
    enum match_kind kind;
    char *text; /* MATCH_GLOB; MATCH_EQUALS: the value's text */
    struct rules_whole *regex;
    double least, most;
    bool quoted;      /* MATCH_EQUALS a string, not a number or a truth */
    unsigned sources; /* MATCH_SAID_BY: bit set of enum source */
};

enum selector {
    SELECT_VALUE,   /* an argument */
    SELECT_HOST,    /* the host of one that is a URL */
    SELECT_ALL,     /* "$all": every text and number in the arguments */
    SELECT_TARGETS, /* "$targets": those that name something (tool_target.h) */
    SELECT_TAINT    /* "tainted_by": where the conversation's texts came from */
};

/* True of a value for which one of `any` holds. */
struct tool_predicate {
    enum selector selector;
    char *argument; /* "a" or "a.b" */
    struct tool_match *any;
    int count;
};

/* True when all are. */
struct tool_case {
    struct tool_predicate all[TOOL_PREDICATES_MAX];
    int count;
};

/* True when one is. */
struct tool_condition {
    struct tool_case *any; /* NULL: not given */
    int count;
};

struct tool_rule {
    char *id;
    char **tools; /* globs, in any case */
    int tool_count;
    struct tool_condition when, unless;
    enum verdict_action action;
};

void tool_rule_clear(struct tool_rule *r);

#endif
