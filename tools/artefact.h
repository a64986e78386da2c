/* artefact.h - files that tools make for the client to fetch, such as a plot:
 * in memory, under ids that cannot be guessed, the oldest dropped first. Event-
 * loop thread. */
#ifndef CORRAL_TOOLS_ARTEFACT_H
#define CORRAL_TOOLS_ARTEFACT_H

#include "base/hash.h"

enum {
    ARTEFACT_OWNER_MAX = 64,
    ARTEFACTS_MAX = 64,
    ARTEFACT_BYTES_MAX = 1 << 20,
    ARTEFACTS_BYTES_MAX = 16 << 20 /* of all */
};

struct artefacts;

struct artefacts *artefacts_new(void);
void artefacts_free(struct artefacts *a);
/* Keep a copy for `owner`; ERR_LIMIT when it, or that, is too large. `id` is
 * written on success. */
MUST_USE bool artefacts_put(struct artefacts *a, const char *type,
                            struct span content, struct span owner,
                            char id[HASH_ID_SIZE], struct err *err);
/* Borrowed until the next artefacts_put(). False for another's as well. */
MUST_USE bool artefacts_get(const struct artefacts *a, struct span id,
                            struct span owner, const char **type,
                            struct span *content);

#endif
