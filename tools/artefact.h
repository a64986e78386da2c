/* artefact.h - files that tools make for the client to fetch, such as a plot:
 * in memory, under ids that cannot be guessed, the oldest dropped first. Event-
 * loop thread. */
#ifndef CORRAL_TOOLS_ARTEFACT_H
#define CORRAL_TOOLS_ARTEFACT_H

#include "base/hash.h"

enum {
    ARTEFACTS_MAX = 64,
    ARTEFACT_BYTES_MAX = 1 << 20,
    ARTEFACTS_BYTES_MAX = 16 << 20 /* of all */
};

struct artefacts;

struct artefacts *artefacts_new(void);
void artefacts_free(struct artefacts *a);
/* Keep a copy; ERR_LIMIT when it is too large. `id` is written on success. */
MUST_USE bool artefacts_put(struct artefacts *a, const char *type,
                            struct span content, char id[HASH_ID_SIZE],
                            struct err *err);
/* Borrowed until the next artefacts_put(). */
MUST_USE bool artefacts_get(const struct artefacts *a, struct span id,
                            const char **type, struct span *content);

#endif
