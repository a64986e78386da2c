/* env.h - variables of the environment in a text from a file of our operator's:
 *
 *   ${NAME}           its value; one that is not set, or empty, is an error
 *   ${NAME:-default}  its value, or `default` for such a one
 *   $$                a $
 *
 * What was put in is not looked at again. At start and at a reload; reads the
 * environment, which nobody changes meanwhile. */
#ifndef CORRAL_BASE_ENV_H
#define CORRAL_BASE_ENV_H

#include "base/bytes.h"

enum { ENV_NAME_MAX = 128, ENV_VALUE_BYTES_MAX = 64 << 10 };

/* Append `text` with its variables put in; *filled: there were some. Errors
 * name the variable, never a value. */
MUST_USE bool env_fill(struct span text, struct bytes *out, bool *filled,
                       struct err *err);

#endif
