/* Hyperscan, called safely. */
#include <stdlib.h>
#include <string.h>

#include <hs/hs.h>

#include "guard/rules_types.h"

/* Hyperscan 5.4.0 reads whole registers where it looks for literals, past the
 * end of a text and before its beginning: a crash where a page ends there. It
 * gets a copy with room on both sides. */
enum { BESIDE_TEXT = 64 };

int rules_run(const struct rules *r, struct hs_database *db, struct span text,
              rules_match *on_match, void *user) {
    char *copy;
    hs_error_t status;

    if (text.size > UINT32_MAX) return HS_INVALID;
    copy = xalloc_array(text.size + 2 * BESIDE_TEXT, 1);
    if (text.size) memcpy(copy + BESIDE_TEXT, text.at, text.size);
    status = hs_scan(db, copy + BESIDE_TEXT, (unsigned)text.size, 0, r->scratch,
                     on_match, user);
    free(copy);
    return status;
}
