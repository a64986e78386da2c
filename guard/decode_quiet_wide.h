/* decode_quiet_wide.h - the sums of decode_quiet.c for a row of blocks at once.
 * What a sum becomes hangs on what it was before only by so much: at a block's
 * end it is `left`, or what it was and `total`, whichever is greater; within it
 * at most `most`, or what it was and `highest`. */
#ifndef CORRAL_GUARD_DECODE_QUIET_WIDE_H
#define CORRAL_GUARD_DECODE_QUIET_WIDE_H

#include "guard/decode_types.h"

enum { DECODE_ROW = 16 /* blocks */ };

/* Of each block: rot13, and backwards. */
struct decode_row {
    int16_t total[DECODE_ROW][2], left[DECODE_ROW][2];
    int16_t highest[DECODE_ROW][2], most[DECODE_ROW][2];
};

/* Of the DECODE_ROW blocks from `at` on, behind letter `last`; how many of them
 * come before one with bytes beyond ASCII. Only where look_is_wide(). */
int decode_quiet_row(const struct decode_quiet *q, const char *at,
                     unsigned last, struct decode_row *row);

#endif
