/* figures.h - how good a yes-or-no judgement was: counts at a threshold, areas
 * under curves over all thresholds, and how far chance may have moved them. */
#ifndef CORRAL_CLI_FIGURES_H
#define CORRAL_CLI_FIGURES_H

#include <stdbool.h>
#include <stddef.h>

enum figure {
    FIGURE_PRECISION, /* hits / judged positive */
    FIGURE_RECALL,    /* hits / positives */
    FIGURE_F1,
    FIGURE_FPR,      /* false alarms / negatives */
    FIGURE_AUPRC,    /* average precision: the sum over distinct scores, from
                      * the highest, of precision times the step in recall */
    FIGURE_AUROC,    /* a positive scores above a negative; ties count half */
    FIGURE_RECALL_1, /* the best recall of a threshold whose false-positive
                      * rate is at most 1 % */
    FIGURE_CALIBRATION, /* expected calibration error: in ten bins of equal
                         * width, |mean score - share of positives|, weighted
                         * by the bins' rows */
    FIGURES
};

/* "precision" and so on, as JSON names them. */
extern const char *const figure_names[FIGURES];

struct figures_row {
    float score;   /* 0..1 */
    bool positive; /* the truth */
    bool judged;   /* positive, by the judgement */
};

/* All zero is empty. */
struct figures {
    struct figures_row *rows;
    size_t count;
    size_t capacity;
    size_t positives;
};

/* Each is NAN where it is not defined (no positives, nothing judged so). */
struct figures_result {
    double value[FIGURES];
    double low[FIGURES]; /* the 95 % interval; NAN without draws */
    double high[FIGURES];
};

struct figures_point {
    double recall;
    double precision;
};

void figures_add(struct figures *f, float score, bool positive, bool judged);
/* Sorts the rows. The interval is the percentile bootstrap's (Efron 1979): of
 * `draws` samples as large as the rows, taken from them with replacement from
 * a fixed seed; 0: none. */
void figures_compute(struct figures *f, int draws, struct figures_result *out);
/* After figures_compute(): at most `most` (3 or more) points of the
 * precision-recall curve, from the highest score down; how many. */
size_t figures_curve(const struct figures *f, struct figures_point *out,
                     size_t most);
void figures_clear(struct figures *f);

#endif
