/* test_figures.c - against values worked out by hand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <math.h>

#include <cmocka.h>

#include "cli/figures.h"

static void near(double got, double want) {
    if (isnan(want))
        assert_true(isnan(got));
    else
        assert_float_equal(got, want, 1e-9);
}

/* The six that hand-made rows are checked for. */
struct want {
    double precision, recall, f1, fpr, auprc, auroc;
};

static void check(const char *truth, const float *scores, size_t count,
                  float threshold, struct want want) {
    struct figures f = {0};
    struct figures_result got;

    for (size_t i = 0; i < count; i++)
        figures_add(&f, scores[i], truth[i] == '+', scores[i] >= threshold);
    figures_compute(&f, 0, &got);
    near(got.value[FIGURE_PRECISION], want.precision);
    near(got.value[FIGURE_RECALL], want.recall);
    near(got.value[FIGURE_F1], want.f1);
    near(got.value[FIGURE_FPR], want.fpr);
    near(got.value[FIGURE_AUPRC], want.auprc);
    near(got.value[FIGURE_AUROC], want.auroc);
    assert_true(isnan(got.low[FIGURE_AUPRC]));
    figures_clear(&f);
}

/* + - + - at .9 .8 .7 .1, cut at .75: one hit, one alarm, one miss.
 * AUPRC = 1/2*1 + 1/2*2/3; AUROC: 3 of 4 pairs in order. */
static void test_plain(void **state) {
    const float scores[] = {.9f, .8f, .7f, .1f};

    (void)state;
    check("+-+-", scores, 4, .75f,
          (struct want){.5, .5, .5, .5, .5 + .5 * 2 / 3, .75});
    check("+-+-", scores, 4, .05f,
          (struct want){.5, 1, 2. / 3, 1, .5 + .5 * 2 / 3, .75});
}

/* The order of rows that tie must not matter: one step of precision 1/2. */
static void test_ties(void **state) {
    const float scores[] = {.5f, .5f, .5f, .5f};
    const struct want want = {.5, 1, 2. / 3, 1, .5, .5};

    (void)state;
    check("++--", scores, 4, .5f, want);
    check("--++", scores, 4, .5f, want);
    check("+-+-", scores, 4, .5f, want);
}

static void test_perfect_and_reversed(void **state) {
    const float scores[] = {.9f, .8f, .2f, .1f};

    (void)state;
    check("++--", scores, 4, .5f, (struct want){1, 1, 1, 0, 1, 1});
    check("--++", scores, 4, .5f,
          (struct want){0, 0, 0, 1, .5 * 1 / 3 + .5 * 2 / 4, 0});
}

/* What cannot be said is not a number, and not zero. */
static void test_undefined(void **state) {
    const float scores[] = {.9f, .1f};

    (void)state;
    check("--", scores, 2, .5f, (struct want){0, NAN, 0, .5, NAN, NAN});
    check("++", scores, 2, .95f, (struct want){NAN, 0, 0, NAN, 1, NAN});
    check("", scores, 0, .5f, (struct want){NAN, NAN, NAN, NAN, NAN, NAN});
}

static int next(uint32_t *state) {
    *state = (*state * 1103515245u + 12345u) & 0x7fffffffu;
    return (int)(*state >> 16);
}

/* 400 rows with many ties, 121 of them positive; judged from .5 on. */
static struct figures random_rows(void) {
    struct figures f = {0};
    uint32_t state = 1;

    for (int i = 0; i < 400; i++) {
        bool positive = next(&state) % 3 == 0;
        double v = next(&state) % 100 / 100.0;
        float score = (float)(rint((v * 0.6 + (positive ? 0.4 : 0)) * 50) / 50);

        figures_add(&f, score, positive, score >= 0.5f);
    }
    return f;
}

/* What scikit-learn 1.5 says of the same rows (precision_recall_fscore_support,
 * average_precision_score, roc_auc_score, roc_curve), and NumPy of their bins.
 */
static void test_reference(void **state) {
    static const double want[FIGURES] = {
        0.66,           0.818181818182, 0.730627306273, 0.182795698925,
        0.885493577377, 0.93650582067,  0.652892561983, 0.183899998646};
    struct figures f = random_rows();
    struct figures_result got;

    (void)state;
    assert_int_equal(f.positives, 121);
    figures_compute(&f, 0, &got);
    for (int i = 0; i < FIGURES; i++)
        assert_float_equal(got.value[i], want[i], 1e-9);
    figures_clear(&f);
}

/* An interval holds the figure, is repeated by the same rows in another order
 * of coming, and narrows when there are four times the rows. */
static void test_intervals(void **state) {
    struct figures f = random_rows(), more = {0}, again = {0};
    struct figures_result few, many, same;

    (void)state;
    for (size_t i = 0; i < f.count; i++) {
        const struct figures_row *row = &f.rows[i];

        for (int j = 0; j < 4; j++)
            figures_add(&more, row->score, row->positive, row->judged);
    }
    for (size_t i = 0; i < f.count; i++)
        figures_add(&again, f.rows[i].score, f.rows[i].positive,
                    f.rows[i].judged);
    figures_compute(&f, 500, &few);
    figures_compute(&more, 500, &many);
    figures_compute(&again, 500, &same);
    for (int i = 0; i < FIGURES - 1; i++) {
        assert_true(few.low[i] < few.value[i] && few.value[i] < few.high[i]);
        assert_true(few.high[i] - few.low[i] < 0.25);
        assert_true(many.high[i] - many.low[i] <
                    0.8 * (few.high[i] - few.low[i]));
        assert_float_equal(same.low[i], few.low[i], 0);
    }
    figures_clear(&f);
    figures_clear(&more);
    figures_clear(&again);
}

/* Recall never falls along the curve, and its last point is all rows. */
static void test_curve(void **state) {
    struct figures f = random_rows();
    struct figures_result r;
    struct figures_point p[20];
    size_t count;

    (void)state;
    figures_compute(&f, 0, &r);
    count = figures_curve(&f, p, 20);
    assert_in_range(count, 8, 20);
    for (size_t i = 1; i < count; i++)
        assert_true(p[i].recall >= p[i - 1].recall);
    near(p[count - 1].recall, 1);
    near(p[count - 1].precision, 121. / 400);
    figures_clear(&f);
    assert_int_equal(figures_curve(&f, p, 20), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plain),
        cmocka_unit_test(test_ties),
        cmocka_unit_test(test_perfect_and_reversed),
        cmocka_unit_test(test_undefined),
        cmocka_unit_test(test_reference),
        cmocka_unit_test(test_intervals),
        cmocka_unit_test(test_curve),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
