/* tool_target.h - which of a call's arguments say whom or what it acts on: an
 * address, an account, a path, an id, a name. Whoever can choose those can turn
 * a call against its user; the prose beside them (a subject, a body) cannot. */
#ifndef CORRAL_GUARD_TOOL_TARGET_H
#define CORRAL_GUARD_TOOL_TARGET_H

#include "base/json.h"

enum {
    TOOL_TARGET_WORDS = 4,  /* "12 High Street, Leeds" */
    TOOL_TARGET_BYTES = 64, /* of several words; one word may be longer */
    TOOL_TARGET_DIGITS = 7  /* of a JSON number: an account, not an amount */
};

/* `name` is the argument's, or that of the list it is in. */
bool tool_target_is(const char *name, const cJSON *value);

#endif
