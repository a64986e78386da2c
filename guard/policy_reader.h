/* policy_reader.h - one policy file being read, for the files that read parts
 * of it. Every complaint has its place. */
#ifndef CORRAL_GUARD_POLICY_READER_H
#define CORRAL_GUARD_POLICY_READER_H

#include "guard/policy_types.h"

struct reader {
    struct policy *policy;
    struct yaml *yaml;
    struct err *err;
    const char *path;
    uint64_t own; /* which checks this file has set, a bit each */
};

#define FAIL(r, node, ...) yaml_fail((r)->yaml, (node), (r)->err, __VA_ARGS__)

/* A name that goes into headers and file names: letters, digits, - and _.
 * `what` it is, for the complaint. Borrowed. */
MUST_USE bool reader_name(struct reader *r, const cJSON *node, const char *what,
                          const char **out);

/* "strict", "balanced", "loose" or "off". */
MUST_USE bool reader_level(struct reader *r, const cJSON *node,
                           enum level *out);

/* The list `custom` of a classifier check; NULL is fine. */
MUST_USE bool policy_read_custom(struct reader *r, const cJSON *node,
                                 struct policy_check *c);
void policy_custom_clear(struct policy_check *c);

/* The part `tools:`; NULL is fine. */
MUST_USE bool policy_read_tools(struct reader *r, const cJSON *node);

#endif
