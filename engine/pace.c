#include "engine/pace.h"

/* Of the way to what the last step has shown. Prompts get dearer the longer
 * they are, so it follows within a few steps. */
#define PACE_RATE 0.25

/* Until a row's time is known, a prompt gets this part of the rows. */
enum { SHARE_UNKNOWN = 4 };

static void approach(double *value, double seen) {
    *value += (seen - *value) * (*value > 0 ? PACE_RATE : 1);
}

void pace_learn(struct pace *p, int prompt_rows, int decode_rows, uint64_t us) {
    double rest = (double)us;

    if (prompt_rows == 0) {
        approach(&p->decode_us, rest);
        return;
    }
    /* A step with few rows is all overhead: it says nothing about a row. */
    if (prompt_rows < PACE_ROWS_LEAST) return;
    if (decode_rows > 0) rest -= p->decode_us;
    if (rest < 1) rest = 1;
    approach(&p->row_us, rest / prompt_rows);
}

int pace_rows(const struct pace *p, int decode_rows, int rows_max) {
    double budget = PACE_IDLE_US, rows;

    if (decode_rows > 0)
        budget = p->decode_us > PACE_BUSY_US ? p->decode_us : PACE_BUSY_US;
    if (p->row_us > 0)
        rows = budget / p->row_us;
    else
        rows = decode_rows > 0 ? rows_max / SHARE_UNKNOWN : rows_max;
    if (rows < PACE_ROWS_LEAST) rows = PACE_ROWS_LEAST;
    return rows < rows_max ? (int)rows : rows_max;
}
