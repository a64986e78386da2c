/* Hyperscan, called safely. */
#include <stdlib.h>
#include <string.h>

#include <hs/hs.h>

#include "guard/plain.h"
#include "guard/rules_types.h"
#include "guard/rules_scratch.h"

/* Hyperscan 5.4.0 reads whole registers where it looks for literals, past the
 * end of a text and before its beginning: a crash where a page ends there. It
 * gets a copy with room on both sides. */
enum {
    BESIDE_TEXT = 64,
    SHORT_TEXT = 2048 /* is copied to the stack */
};

/* With a place to work that nobody else has meanwhile. */
static hs_error_t scan(const struct rules *r, struct hs_database *db,
                       struct span text, rules_match *on_match, void *user) {
    struct hs_scratch *scratch = scratch_take(r->scratch);
    hs_error_t status;

    if (!scratch) return HS_NOMEM;
    status =
        hs_scan(db, text.at, (unsigned)text.size, 0, scratch, on_match, user);
    scratch_put(r->scratch, scratch);
    return status;
}

int rules_run(const struct rules *r, struct hs_database *db, struct span text,
              rules_match *on_match, void *user) {
    char room[SHORT_TEXT + 2 * BESIDE_TEXT], *copy = room;
    hs_error_t status;

    if (text.size > UINT32_MAX) return HS_INVALID;
    if (text.size > SHORT_TEXT)
        copy = xrealloc_array(NULL, text.size + 2 * BESIDE_TEXT, 1);
    memset(copy, 0, BESIDE_TEXT);
    if (text.size) memcpy(copy + BESIDE_TEXT, text.at, text.size);
    memset(copy + BESIDE_TEXT + text.size, 0, BESIDE_TEXT);
    status = scan(r, db, (struct span){copy + BESIDE_TEXT, text.size}, on_match,
                  user);
    if (copy != room) free(copy);
    return status;
}

int rules_run_within(const struct rules *r, struct hs_database *db,
                     struct span text, rules_match *on_match, void *user) {
    _Static_assert((int)PLAIN_MARGIN >= (int)BESIDE_TEXT, "room to read in");
    if (text.size > UINT32_MAX) return HS_INVALID;
    return scan(r, db, text, on_match, user);
}
