/* figures.h - how good a yes-or-no judgement was: counts at a threshold, and
 * areas under curves over all thresholds. */
#ifndef CORRAL_CLI_FIGURES_H
#define CORRAL_CLI_FIGURES_H

#include <stdbool.h>
#include <stddef.h>

struct figures_row {
    float score;
    bool positive; /* the truth */
};

/* All zero is empty. */
struct figures {
    struct figures_row *rows;
    size_t count;
    size_t capacity;
    size_t positives;
    size_t hits;         /* positive, and judged so */
    size_t false_alarms; /* not positive, but judged so */
};

/* Each is NAN where it is not defined (no positives, nothing judged so). */
struct figures_result {
    double precision; /* hits / judged positive */
    double recall;    /* hits / positives */
    double f1;
    double fpr;   /* false alarms / negatives */
    double auprc; /* average precision: the sum over distinct scores, from the
                   * highest, of precision times the step in recall */
    double auroc; /* a positive scores above a negative; ties count half */
};

void figures_add(struct figures *f, float score, bool positive, bool judged);
/* Sorts the rows. */
struct figures_result figures_compute(struct figures *f);
void figures_clear(struct figures *f);

#endif
