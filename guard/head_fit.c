/* Logistic regression, L2-regularised, by L-BFGS. The labels weigh alike
 * however many rows each has. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "guard/head_types.h"

enum { STEPS_MAX = 200, MEMORY = 8, HALVINGS_MAX = 30, FOLDS = 5 };

/* How much a row's error weighs against the weights' size. On questions about
 * banking against others, 50 a side, anything from 1 to 100 does as well. */
static const double row_weight = 10;
static const double gradient_least = 1e-4;

/* The weights are those of the standardised hidden state, divided by the root
 * of its width so that it counts as much as the n-grams; then the n-grams';
 * the last is the bias. */
struct fit {
    const struct head_row *rows;
    const int *chosen; /* numbers of the rows that take part */
    int count;
    int width;
    size_t dims;
    float *mean, *scale; /* (width) */
    double cost[2];      /* by label */
};

static const struct head_row *row_of(const struct fit *f, int i) {
    return &f->rows[f->chosen[i]];
}

static void standardise(struct fit *f) {
    for (int k = 0; k < f->width; k++) {
        double sum = 0, square = 0;

        for (int i = 0; i < f->count; i++)
            sum += (double)row_of(f, i)->hidden[k];
        sum /= f->count;
        for (int i = 0; i < f->count; i++) {
            double off = (double)row_of(f, i)->hidden[k] - sum;

            square += off * off;
        }
        square = sqrt(square / f->count);
        f->mean[k] = (float)sum;
        f->scale[k] =
            square > 1e-6 ? (float)(1 / square / sqrt((double)f->width)) : 0;
    }
}

static double logit(const struct fit *f, const struct head_row *row,
                    const double *w) {
    double z = w[f->dims - 1];

    for (int k = 0; k < f->width; k++)
        z += w[k] * (double)((row->hidden[k] - f->mean[k]) * f->scale[k]);
    for (int i = 0; i < row->ngram_count; i++)
        z += w[f->width + (int)row->ngrams[i].bucket] *
             (double)row->ngrams[i].value;
    return z;
}

static void add_row(const struct fit *f, const struct head_row *row,
                    double slope, double *gradient) {
    for (int k = 0; k < f->width; k++)
        gradient[k] +=
            slope * (double)((row->hidden[k] - f->mean[k]) * f->scale[k]);
    for (int i = 0; i < row->ngram_count; i++)
        gradient[f->width + (int)row->ngrams[i].bucket] +=
            slope * (double)row->ngrams[i].value;
    gradient[f->dims - 1] += slope;
}

/* log(1 + exp(x)) without overflow. */
static double softplus(double x) {
    return x > 0 ? x + log1p(exp(-x)) : log1p(exp(x));
}

static double objective(const struct fit *f, const double *w,
                        double *gradient) {
    double sum = 0;

    memset(gradient, 0, f->dims * sizeof *gradient);
    for (int i = 0; i < f->count; i++) {
        const struct head_row *row = row_of(f, i);
        double sign = row->positive ? 1 : -1, cost = f->cost[row->positive];
        double z = sign * logit(f, row, w);

        sum += cost * softplus(-z);
        add_row(f, row, -sign * cost / (1 + exp(z)), gradient);
    }
    for (size_t k = 0; k + 1 < f->dims; k++) { /* the bias is free */
        sum += w[k] * w[k] / 2;
        gradient[k] += w[k];
    }
    return sum;
}

static double dot(const double *a, const double *b, size_t count) {
    double sum = 0;

    for (size_t k = 0; k < count; k++) sum += a[k] * b[k];
    return sum;
}

/* The last few steps and what they did to the gradient, the newest last. */
struct memory {
    double *step[MEMORY], *change[MEMORY];
    double rho[MEMORY];
    int count;
};

/* direction = -H gradient, by the two loops of L-BFGS. */
static void direct(const struct memory *m, const double *gradient,
                   double *direction, size_t dims) {
    double alpha[MEMORY], scale = 1;

    for (size_t k = 0; k < dims; k++) direction[k] = -gradient[k];
    for (int i = m->count - 1; i >= 0; i--) {
        alpha[i] = m->rho[i] * dot(m->step[i], direction, dims);
        for (size_t k = 0; k < dims; k++)
            direction[k] -= alpha[i] * m->change[i][k];
    }
    if (m->count) {
        const double *change = m->change[m->count - 1];

        scale = 1 / (m->rho[m->count - 1] * dot(change, change, dims));
    } else {
        scale = 1 / sqrt(dot(gradient, gradient, dims));
    }
    for (size_t k = 0; k < dims; k++) direction[k] *= scale;
    for (int i = 0; i < m->count; i++) {
        double beta = m->rho[i] * dot(m->change[i], direction, dims);

        for (size_t k = 0; k < dims; k++)
            direction[k] += (alpha[i] - beta) * m->step[i][k];
    }
}

static void remember(struct memory *m, const double *step, const double *change,
                     size_t dims) {
    double product = dot(step, change, dims);

    if (product < 1e-12) return;
    if (m->count == MEMORY) {
        double *first_step = m->step[0], *first_change = m->change[0];

        memmove(m->step, m->step + 1, (MEMORY - 1) * sizeof *m->step);
        memmove(m->change, m->change + 1, (MEMORY - 1) * sizeof *m->change);
        memmove(m->rho, m->rho + 1, (MEMORY - 1) * sizeof *m->rho);
        m->step[MEMORY - 1] = first_step;
        m->change[MEMORY - 1] = first_change;
        m->count--;
    }
    memcpy(m->step[m->count], step, dims * sizeof *step);
    memcpy(m->change[m->count], change, dims * sizeof *change);
    m->rho[m->count++] = 1 / product;
}

/* What one descent needs, in one piece of memory. */
struct descent {
    double *w, *gradient, *next_w, *next_gradient, *direction;
    struct memory memory;
    double *all;
};

static void descent_init(struct descent *d, size_t dims) {
    double **parts[] = {&d->w, &d->gradient, &d->next_w, &d->next_gradient,
                        &d->direction};
    double *at;

    *d = (struct descent){
        .all = xalloc_array((5 + 2 * MEMORY) * dims, sizeof *d->all)};
    at = d->all;
    for (size_t i = 0; i < 5; i++, at += dims) *parts[i] = at;
    for (int i = 0; i < MEMORY; i++, at += 2 * dims) {
        d->memory.step[i] = at;
        d->memory.change[i] = at + dims;
    }
}

/* A step along the direction that lowers the objective enough; false when
 * there is none, which is where the arithmetic ends. */
static bool descend(const struct fit *f, struct descent *d, double *value) {
    double slope = dot(d->direction, d->gradient, f->dims), length = 1;

    for (int i = 0; i < HALVINGS_MAX; i++, length /= 2) {
        double next;

        for (size_t k = 0; k < f->dims; k++)
            d->next_w[k] = d->w[k] + length * d->direction[k];
        next = objective(f, d->next_w, d->next_gradient);
        if (next > *value + 1e-4 * length * slope) continue;
        *value = next;
        for (size_t k = 0; k < f->dims; k++) {
            d->w[k] = d->next_w[k] - d->w[k];
            d->gradient[k] = d->next_gradient[k] - d->gradient[k];
        }
        remember(&d->memory, d->w, d->gradient, f->dims);
        memcpy(d->w, d->next_w, f->dims * sizeof *d->w);
        memcpy(d->gradient, d->next_gradient, f->dims * sizeof *d->gradient);
        return true;
    }
    return false;
}

static void solve(const struct fit *f, struct descent *d) {
    double value = objective(f, d->w, d->gradient);

    for (int i = 0; i < STEPS_MAX; i++) {
        if (sqrt(dot(d->gradient, d->gradient, f->dims)) < gradient_least)
            return;
        direct(&d->memory, d->gradient, d->direction, f->dims);
        if (!descend(f, d, &value)) return;
    }
}

/* The weights of the hidden state as it is. */
static struct head *finish(const struct fit *f, const double *w) {
    struct head *h = head_new(f->width);
    double bias = w[f->dims - 1];

    for (int k = 0; k < f->width; k++) {
        double weight = w[k] * (double)f->scale[k];

        h->weights[k] = (float)weight;
        bias -= weight * (double)f->mean[k];
    }
    for (size_t k = (size_t)f->width; k + 1 < f->dims; k++)
        h->weights[k] = (float)w[k];
    h->bias = (float)bias;
    return h;
}

static struct head *fit(const struct head_row *rows, const int *chosen,
                        int count, int width) {
    struct fit f = {.rows = rows,
                    .chosen = chosen,
                    .count = count,
                    .width = width,
                    .dims = head_weight_count(width) + 1};
    struct descent d;
    struct head *h;
    int positives = 0;

    for (int i = 0; i < count; i++) positives += rows[chosen[i]].positive;
    if (positives) f.cost[1] = row_weight * count / (2.0 * positives);
    if (positives < count)
        f.cost[0] = row_weight * count / (2.0 * (count - positives));
    f.mean = xalloc_array((size_t)width, sizeof *f.mean);
    f.scale = xalloc_array((size_t)width, sizeof *f.scale);
    standardise(&f);
    descent_init(&d, f.dims);
    solve(&f, &d);
    h = finish(&f, d.w);
    free(d.all);
    free(f.mean);
    free(f.scale);
    return h;
}

struct head *head_fit(const struct head_row *rows, int count, int width,
                      const char *examples, const char *model) {
    int *chosen = xalloc_array((size_t)count, sizeof *chosen);
    struct head *h;

    for (int i = 0; i < count; i++) chosen[i] = i;
    h = fit(rows, chosen, count, width);
    memcpy(h->examples, examples, HASH_HEX_SIZE - 1);
    memcpy(h->model, model, HASH_HEX_SIZE - 1);
    free(chosen);
    return h;
}

/* ---- cross-validation ---- */

static void judge_fold(const struct head_row *rows, const int *folds, int count,
                       int width, int fold, float *held_out) {
    int *chosen = xalloc_array((size_t)count, sizeof *chosen);
    struct head *h;
    int kept = 0;

    for (int i = 0; i < count; i++)
        if (folds[i] != fold) chosen[kept++] = i;
    h = fit(rows, chosen, kept, width);
    for (int i = 0; i < count; i++)
        if (folds[i] == fold)
            held_out[i] = head_row_score(h, rows[i].hidden, rows[i].ngrams,
                                         rows[i].ngram_count);
    head_free(h);
    free(chosen);
}

static void figures(const struct head_row *rows, const float *held_out,
                    int count, struct head_figures *out) {
    double tp, fp, fn;

    for (int i = 0; i < count; i++) {
        bool said = held_out[i] >= 0.5f;

        out->true_positive += rows[i].positive && said;
        out->false_positive += !rows[i].positive && said;
        out->false_negative += rows[i].positive && !said;
        out->true_negative += !rows[i].positive && !said;
    }
    tp = out->true_positive;
    fp = out->false_positive;
    fn = out->false_negative;
    if (tp + fp > 0) out->precision = tp / (tp + fp);
    if (tp + fn > 0) out->recall = tp / (tp + fn);
    if (tp > 0) out->f1 = 2 * tp / (2 * tp + fp + fn);
}

void head_cross_validate(const struct head_row *rows, int count, int width,
                         float *held_out, struct head_figures *out) {
    int *folds = xalloc_array((size_t)count, sizeof *folds);
    int of[2] = {0, 0}, least;

    *out = (struct head_figures){.folds = FOLDS};
    for (int i = 0; i < count; i++) of[rows[i].positive]++;
    least = of[0] < of[1] ? of[0] : of[1];
    if (least < FOLDS) out->folds = least;
    of[0] = of[1] = 0;
    for (int i = 0; i < count; i++)
        folds[i] = of[rows[i].positive]++ % out->folds;
    for (int k = 0; k < out->folds; k++)
        judge_fold(rows, folds, count, width, k, held_out);
    figures(rows, held_out, count, out);
    free(folds);
}
