#include "cli/figures.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"

enum { BINS = 10 };

static const double RATE_1 = 0.01;

const char *const figure_names[FIGURES] = {
    [FIGURE_PRECISION] = "precision",
    [FIGURE_RECALL] = "recall",
    [FIGURE_F1] = "f1",
    [FIGURE_FPR] = "fpr",
    [FIGURE_AUPRC] = "auprc",
    [FIGURE_AUROC] = "auroc",
    [FIGURE_RECALL_1] = "recall_1",
    [FIGURE_CALIBRATION] = "ece",
};

void figures_add(struct figures *f, float score, bool positive, bool judged) {
    if (f->count == f->capacity) {
        f->capacity = f->capacity ? 2 * f->capacity : 64;
        f->rows = xrealloc_array(f->rows, f->capacity, sizeof *f->rows);
    }
    f->rows[f->count++] = (struct figures_row){score, positive, judged};
    f->positives += positive;
}

static int higher_first(const void *a, const void *b) {
    const struct figures_row *x = a, *y = b;

    return (x->score < y->score) - (x->score > y->score);
}

static double ratio(double part, double whole) {
    return whole > 0 ? part / whole : (double)NAN;
}

/* Rows of equal score, which come together, so that their order cannot
 * matter. */
struct step {
    double positives;
    double negatives;
};

/* The step that begins at *i, which moves behind it. `weight` says how often
 * each row is there; NULL: once. */
static struct step next_step(const struct figures *f, const uint32_t *weight,
                             size_t *i) {
    float score = f->rows[*i].score;
    struct step s = {0, 0};

    for (; *i < f->count && !(f->rows[*i].score < score); ++*i) {
        double times = weight ? weight[*i] : 1;

        if (f->rows[*i].positive)
            s.positives += times;
        else
            s.negatives += times;
    }
    return s;
}

/* What the threshold of the judgement makes of the rows. */
static void at_threshold(const struct figures *f, const uint32_t *weight,
                         struct step *all, double *out) {
    double hits = 0, alarms = 0;

    *all = (struct step){0, 0};
    for (size_t i = 0; i < f->count; i++) {
        const struct figures_row *row = &f->rows[i];
        double times = weight ? weight[i] : 1;

        if (row->positive)
            all->positives += times;
        else
            all->negatives += times;
        if (row->judged && row->positive) hits += times;
        if (row->judged && !row->positive) alarms += times;
    }
    out[FIGURE_PRECISION] = ratio(hits, hits + alarms);
    out[FIGURE_RECALL] = ratio(hits, all->positives);
    out[FIGURE_F1] = ratio(2 * hits, hits + alarms + all->positives);
    out[FIGURE_FPR] = ratio(alarms, all->negatives);
}

/* One walk from the highest score down. */
static void over_thresholds(const struct figures *f, const uint32_t *weight,
                            const struct step *all, double *out) {
    double hits = 0, alarms = 0, auprc = 0, auroc = 0, recall = 0;

    for (size_t i = 0; i < f->count;) {
        struct step s = next_step(f, weight, &i);

        auroc += s.negatives * (hits + s.positives / 2);
        hits += s.positives;
        alarms += s.negatives;
        if (s.positives > 0)
            auprc += s.positives / all->positives * hits / (hits + alarms);
        if (alarms <= RATE_1 * all->negatives) recall = hits;
    }
    out[FIGURE_AUPRC] = all->positives > 0 ? auprc : (double)NAN;
    out[FIGURE_AUROC] = ratio(auroc, all->positives * all->negatives);
    out[FIGURE_RECALL_1] =
        all->negatives > 0 ? ratio(recall, all->positives) : (double)NAN;
}

static double calibration(const struct figures *f, const uint32_t *weight) {
    double rows[BINS] = {0}, scores[BINS] = {0}, positives[BINS] = {0};
    double total = 0, error = 0;

    for (size_t i = 0; i < f->count; i++) {
        double score = f->rows[i].score;
        double times = weight ? weight[i] : 1;
        int bin = (int)(score * BINS);

        bin = bin < 0 ? 0 : bin >= BINS ? BINS - 1 : bin;
        rows[bin] += times;
        scores[bin] += times * score;
        positives[bin] += f->rows[i].positive ? times : 0;
        total += times;
    }
    for (int i = 0; i < BINS; i++) error += fabs(scores[i] - positives[i]);
    return ratio(error, total);
}

static void compute(const struct figures *f, const uint32_t *weight,
                    double *out) {
    struct step all;

    at_threshold(f, weight, &all, out);
    over_thresholds(f, weight, &all, out);
    out[FIGURE_CALIBRATION] = calibration(f, weight);
}

/* ---- intervals ---- */

/* SplitMix64 (Steele, Lea and Flood 2014). */
static uint64_t next_random(uint64_t *state) {
    uint64_t z = *state += 0x9e3779b97f4a7c15u;

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static void draw_rows(uint32_t *weight, size_t count, uint64_t *state) {
    memset(weight, 0, count * sizeof *weight);
    for (size_t i = 0; i < count; i++)
        weight[(next_random(state) >> 32) * count >> 32]++;
}

static int smaller_first(const void *a, const void *b) {
    const double *x = a, *y = b;

    return (*x > *y) - (*x < *y);
}

/* The middle 95 % of `draws` values, those left out that are not defined;
 * when they are most, there is no interval. */
static void interval(double *values, int draws, double *low, double *high) {
    int defined = 0;

    for (int i = 0; i < draws; i++)
        if (!isnan(values[i])) values[defined++] = values[i];
    if (2 * defined <= draws) return;
    qsort(values, (size_t)defined, sizeof *values, smaller_first);
    *low = values[(int)(0.025 * (defined - 1) + 0.5)];
    *high = values[(int)(0.975 * (defined - 1) + 0.5)];
}

static void intervals(const struct figures *f, int draws,
                      struct figures_result *out) {
    uint32_t *weight = xalloc_array(f->count, sizeof *weight);
    double *values = xalloc_array((size_t)draws * FIGURES, sizeof *values);
    uint64_t state = 1;

    for (int i = 0; i < draws; i++) {
        double one[FIGURES];

        draw_rows(weight, f->count, &state);
        compute(f, weight, one);
        for (int j = 0; j < FIGURES; j++) values[j * draws + i] = one[j];
    }
    for (int j = 0; j < FIGURES; j++)
        interval(values + (size_t)j * (size_t)draws, draws, &out->low[j],
                 &out->high[j]);
    free(values);
    free(weight);
}

void figures_compute(struct figures *f, int draws, struct figures_result *out) {
    for (int i = 0; i < FIGURES; i++) out->low[i] = out->high[i] = (double)NAN;
    if (f->count) qsort(f->rows, f->count, sizeof *f->rows, higher_first);
    compute(f, NULL, out->value);
    if (f->count && draws) intervals(f, draws, out);
}

size_t figures_curve(const struct figures *f, struct figures_point *out,
                     size_t most) {
    double hits = 0, alarms = 0, shown = -1;
    size_t count = 0;

    for (size_t i = 0; i < f->count && count < most && f->positives;) {
        struct step s = next_step(f, NULL, &i);
        double recall;

        hits += s.positives;
        alarms += s.negatives;
        recall = hits / (double)f->positives;
        /* Steps too small to be seen would only use the points up. */
        if (i < f->count && (recall - shown) * (double)(most - 2) < 1) continue;
        out[count++] = (struct figures_point){recall, hits / (hits + alarms)};
        shown = recall;
    }
    return count;
}

void figures_clear(struct figures *f) {
    free(f->rows);
    *f = (struct figures){0};
}
