/* artefacts.h - the files that the agent's tools made, for GET
 * /v1/artefacts/ID. Event-loop thread. */
#ifndef CORRAL_PROXY_ARTEFACTS_H
#define CORRAL_PROXY_ARTEFACTS_H

#include "base/bytes.h"

struct registry;

/* For the key `owner`, "" without keys; another's is not there. Borrowed until
 * a tool makes another. `tools` may be NULL: there are none. */
MUST_USE bool artefact_find(const struct registry *tools, struct span id,
                            struct span owner, const char **type,
                            struct span *content);

#endif
