/* look.h - what one look at 64 bytes tells, in the instruction set of the
 * processor it runs on. Long texts are passed over by such looks; what they
 * cannot tell is looked at byte by byte. */
#ifndef CORRAL_GUARD_LOOK_H
#define CORRAL_GUARD_LOOK_H

#include <stdbool.h>
#include <stddef.h>

enum { LOOK_SIZE = 64 };

struct look_code {
    bool found; /* a code may begin at byte `at` of the block */
    size_t at;  /* else: where to look on, 0 when that cannot be told */
};

struct look {
    /* odd.c, from a fresh place on: the last fresh place of the block, if
     * nothing before it can be odd; else 0, and *end is where to ask again. */
    size_t (*odd)(const char *at, size_t *end);
    /* plain.c: how many bytes go over as they are but for capitals; unless
     * that is 0 the block is written in lower case, all of it. */
    size_t (*copy)(const char *at, char *out);
    /* decode_plain.c, from where one looks for codes. */
    struct look_code (*code)(const char *at);
};

/* The one to use here, and the one that runs anywhere. */
const struct look *look_best(void);
extern const struct look look_narrow;
extern const struct look look_wide; /* AVX-512; else as look_narrow */

/* Has the processor what look_wide needs. */
bool look_is_wide(void);

#endif
