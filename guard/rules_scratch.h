/* rules_scratch.h - Hyperscan's places to work, of which a scan needs one for
 * itself. Several threads may scan with the same patterns: each takes a place
 * from the shelf and puts it back, and finds the same one again. */
#ifndef CORRAL_GUARD_RULES_SCRATCH_H
#define CORRAL_GUARD_RULES_SCRATCH_H

#include "base/bytes.h"

struct hs_database; /* Hyperscan's */
struct hs_scratch;

struct scratch_shelf; /* opaque */

struct scratch_shelf *scratch_shelf_new(void);
/* Every place is back. NULL is fine. */
void scratch_shelf_free(struct scratch_shelf *s);
/* Places are to serve this database, too. Before the first is taken. */
MUST_USE bool scratch_shelf_fit(struct scratch_shelf *s,
                                const struct hs_database *db);
/* Any thread. NULL: no memory. */
struct hs_scratch *scratch_take(struct scratch_shelf *s);
void scratch_put(struct scratch_shelf *s, struct hs_scratch *scratch);

#endif
