/* extras.h - members of a request's body that Corral does not know, for an
 * upstream that may. Their texts are judged like all others; what could carry a
 * text past the guard in another form is left out. */
#ifndef CORRAL_PROXY_EXTRAS_H
#define CORRAL_PROXY_EXTRAS_H

#include "agent/chat.h"

enum { EXTRAS_MAX = 64, EXTRA_NUMBERS_MAX = 64 };

/* Those of `body` that are not in the NULL-terminated list `known`, into
 * `out`. ERR_LIMIT when there are more than EXTRAS_MAX. */
MUST_USE bool extras_collect(const cJSON *body, const char *const *known,
                             struct chat_request *out, struct err *err);

#endif
