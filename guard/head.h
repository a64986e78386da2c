/* head.h - a logistic head on the guard's frozen features: how it is fitted to
 * labelled texts, kept in a file and asked. Immutable once made. */
#ifndef CORRAL_GUARD_HEAD_H
#define CORRAL_GUARD_HEAD_H

#include "base/hash.h"
#include "guard/feature.h"

enum {
    HEAD_WIDTH_MAX = 65536,  /* of a hidden state */
    HEAD_BYTES_MAX = 1 << 20 /* of a file */
};

struct head;

/* One labelled text. */
struct head_row {
    const float *hidden; /* (width) */
    int ngram_count;
    const struct feature_ngram *ngrams;
    bool positive;
};

/* How the rows fared when each was judged by a head fitted without it. */
struct head_figures {
    int folds;
    int true_positive, false_positive, false_negative, true_negative;
    double precision, recall, f1; /* of the positives; 0 when not defined */
};

/* Fit to all rows, of which each label has at least one; the same rows give
 * the same head. `examples` and `model` are digests that are kept with it. */
MUST_USE struct head *head_fit(const struct head_row *rows, int count,
                               int width, const char *examples,
                               const char *model);
/* `held_out` (count) gets each row's probability. */
void head_cross_validate(const struct head_row *rows, int count, int width,
                         float *held_out, struct head_figures *out);

/* ERR_INPUT when the bytes are no head; `name` is for the error. */
MUST_USE struct head *head_parse(struct span file, const char *name,
                                 struct err *err);
void head_print(const struct head *h, struct bytes *out);
void head_free(struct head *h); /* NULL is fine */

int head_width(const struct head *h);
const char *head_examples(const struct head *h);
const char *head_model(const struct head *h);
/* The probability that the text is one to act on: that of its likeliest
 * window. f->width must be head_width(). */
float head_score(const struct head *h, const struct features *f);

#endif
