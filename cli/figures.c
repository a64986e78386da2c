#include "cli/figures.h"

#include <math.h>
#include <stdlib.h>

#include "base/bytes.h"

void figures_add(struct figures *f, float score, bool positive, bool judged) {
    if (f->count == f->capacity) {
        f->capacity = f->capacity ? 2 * f->capacity : 64;
        f->rows = xrealloc_array(f->rows, f->capacity, sizeof *f->rows);
    }
    f->rows[f->count++] = (struct figures_row){score, positive};
    f->positives += positive;
    f->hits += positive && judged;
    f->false_alarms += !positive && judged;
}

static int higher_first(const void *a, const void *b) {
    const struct figures_row *x = a, *y = b;

    return (x->score < y->score) - (x->score > y->score);
}

static double ratio(double part, double whole) {
    return whole > 0 ? part / whole : (double)NAN;
}

/* One walk from the highest score down; rows of equal score come together, so
 * that their order cannot matter. */
static void areas(const struct figures *f, struct figures_result *out) {
    double positives = (double)f->positives;
    double negatives = (double)(f->count - f->positives);
    double hits = 0, alarms = 0, auprc = 0, auroc = 0;

    for (size_t i = 0; i < f->count;) {
        float score = f->rows[i].score;
        double more_hits = 0, more_alarms = 0;

        for (; i < f->count && !(f->rows[i].score < score); i++) {
            if (f->rows[i].positive)
                more_hits++;
            else
                more_alarms++;
        }
        auroc += more_alarms * (hits + more_hits / 2);
        hits += more_hits;
        alarms += more_alarms;
        if (positives > 0)
            auprc += more_hits / positives * hits / (hits + alarms);
    }
    out->auprc = positives > 0 ? auprc : (double)NAN;
    out->auroc = ratio(auroc, positives * negatives);
}

struct figures_result figures_compute(struct figures *f) {
    struct figures_result r;
    double hits = (double)f->hits, alarms = (double)f->false_alarms;
    double positives = (double)f->positives;

    if (f->count) qsort(f->rows, f->count, sizeof *f->rows, higher_first);
    r.precision = ratio(hits, hits + alarms);
    r.recall = ratio(hits, positives);
    r.f1 = ratio(2 * hits, hits + alarms + positives);
    r.fpr = ratio(alarms, (double)f->count - positives);
    areas(f, &r);
    return r;
}

void figures_clear(struct figures *f) {
    free(f->rows);
    *f = (struct figures){0};
}
