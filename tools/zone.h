/* zone.h - the local time of a place at a moment, from the system's tz
 * database (TZif files, RFC 9636). The C library's own way works on the
 * environment of the whole process; this one has no state. Any thread. */
#ifndef CORRAL_TOOLS_ZONE_H
#define CORRAL_TOOLS_ZONE_H

#include "base/bytes.h"

enum {
    ZONE_NAME_MAX = 64,
    ZONE_LABEL_MAX = 15,
    ZONE_FILE_BYTES_MAX = 64 << 10
};

struct zone_offset {
    int seconds;                    /* east of UTC */
    char label[ZONE_LABEL_MAX + 1]; /* "CET", "+03" */
};

/* The offset in force in the named zone ("Europe/Rome") at `wall_s`.
 * ERR_INPUT when there is no such zone; names cannot leave the database. */
MUST_USE bool zone_at(struct span name, int64_t wall_s, struct zone_offset *out,
                      struct err *err);
/* The same from the bytes of a TZif file. */
MUST_USE bool zone_from_file(struct span file, int64_t wall_s,
                             struct zone_offset *out, struct err *err);

#endif
