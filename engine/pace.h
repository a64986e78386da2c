/* pace.h - how many prompt rows fit a step, from what steps have taken so
 * far. While others decode, a step with a piece of a prompt takes at most
 * about PACE_BUSY_US longer than it would without, or as long again where
 * decoding alone is slower than that; so nobody's text stutters for a long
 * prompt, on a small model or a large one. Only the time depends on this: what
 * a row gives does not depend on the step that it is in. */
#ifndef CORRAL_ENGINE_PACE_H
#define CORRAL_ENGINE_PACE_H

#include <stdint.h>

enum {
    PACE_BUSY_US = 50000,
    PACE_IDLE_US = 400000, /* nobody decodes: new jobs and cancels wait */
    PACE_ROWS_LEAST = 16   /* a prompt always gets on */
};

struct pace {
    double row_us;    /* of one prompt row; 0: not yet known */
    double decode_us; /* of a step without prompt rows; 0: not yet known */
};

/* A step took `us` with so many rows of prompts and of decoding texts. */
void pace_learn(struct pace *p, int prompt_rows, int decode_rows, uint64_t us);
/* Prompt rows for a step beside `decode_rows`, from 1 to rows_max. */
int pace_rows(const struct pace *p, int decode_rows, int rows_max);

#endif
