/* seen.h - texts in which a policy's rules and entities found nothing. Every
 * request of a conversation brings all of its turns again, and what was clean
 * stays clean under the same revision of the policy. Kept are digests under a
 * key of this process, in a table of fixed size where newer ones take the place
 * of older ones: to forget one costs a scan, no more. Event-loop thread. */
#ifndef CORRAL_GUARD_SEEN_H
#define CORRAL_GUARD_SEEN_H

#include "base/hash.h"
#include "guard/verdict.h"

struct seen;

/* A text on a channel under a policy. */
struct seen_mark {
    unsigned char at[HASH_SHORT_SIZE];
};

struct seen *seen_new(void);
void seen_free(struct seen *s);

struct seen_mark seen_mark(const struct seen *s, const char *revision,
                           enum channel channel, struct span text);
/* Was it added, and not forgotten since? */
bool seen_has(struct seen *s, const struct seen_mark *mark);
void seen_add(struct seen *s, const struct seen_mark *mark);

#endif
