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

static void check(const char *truth, const float *scores, size_t count,
                  float threshold, struct figures_result want) {
    struct figures f = {0};
    struct figures_result got;

    for (size_t i = 0; i < count; i++)
        figures_add(&f, scores[i], truth[i] == '+', scores[i] >= threshold);
    got = figures_compute(&f);
    near(got.precision, want.precision);
    near(got.recall, want.recall);
    near(got.f1, want.f1);
    near(got.fpr, want.fpr);
    near(got.auprc, want.auprc);
    near(got.auroc, want.auroc);
    figures_clear(&f);
}

/* + - + - at .9 .8 .7 .1, cut at .75: one hit, one alarm, one miss.
 * AUPRC = 1/2*1 + 1/2*2/3; AUROC: 3 of 4 pairs in order. */
static void test_plain(void **state) {
    const float scores[] = {.9f, .8f, .7f, .1f};

    (void)state;
    check("+-+-", scores, 4, .75f,
          (struct figures_result){.5, .5, .5, .5, .5 + .5 * 2 / 3, .75});
    check("+-+-", scores, 4, .05f,
          (struct figures_result){.5, 1, 2. / 3, 1, .5 + .5 * 2 / 3, .75});
}

/* The order of rows that tie must not matter: one step of precision 1/2. */
static void test_ties(void **state) {
    const float scores[] = {.5f, .5f, .5f, .5f};
    const struct figures_result want = {.5, 1, 2. / 3, 1, .5, .5};

    (void)state;
    check("++--", scores, 4, .5f, want);
    check("--++", scores, 4, .5f, want);
    check("+-+-", scores, 4, .5f, want);
}

static void test_perfect_and_reversed(void **state) {
    const float scores[] = {.9f, .8f, .2f, .1f};

    (void)state;
    check("++--", scores, 4, .5f, (struct figures_result){1, 1, 1, 0, 1, 1});
    check("--++", scores, 4, .5f,
          (struct figures_result){0, 0, 0, 1, .5 * 1 / 3 + .5 * 2 / 4, 0});
}

/* What cannot be said is not a number, and not zero. */
static void test_undefined(void **state) {
    const float scores[] = {.9f, .1f};

    (void)state;
    check("--", scores, 2, .5f,
          (struct figures_result){0, NAN, 0, .5, NAN, NAN});
    check("++", scores, 2, .95f,
          (struct figures_result){NAN, 0, 0, NAN, 1, NAN});
    check("", scores, 0, .5f,
          (struct figures_result){NAN, NAN, NAN, NAN, NAN, NAN});
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plain),
        cmocka_unit_test(test_ties),
        cmocka_unit_test(test_perfect_and_reversed),
        cmocka_unit_test(test_undefined),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
