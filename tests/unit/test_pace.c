/* test_pace.c - how many prompt rows a step gets, from times that are made
 * up. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include "engine/pace.h"

/* Prompts beside `decodes` texts, for as long as it takes to settle. The rows
 * of the last step. */
static int settle(struct pace *p, int decodes, uint64_t decode_us,
                  uint64_t row_us) {
    int rows = 0;

    for (int i = 0; i < 40; i++) {
        rows = pace_rows(p, decodes, 512);
        pace_learn(p, rows, decodes,
                   (uint64_t)rows * row_us + (decodes ? decode_us : 0));
        if (decodes) pace_learn(p, 0, decodes, decode_us);
    }
    return rows;
}

static void test_unknown(void **state) {
    struct pace p = {0};

    (void)state;
    assert_int_equal(pace_rows(&p, 0, 512), 512);
    assert_int_equal(pace_rows(&p, 1, 512), 128);
    assert_int_equal(pace_rows(&p, 1, 8), 8);
    assert_int_equal(pace_rows(&p, 1, 1), 1);
}

/* A quick model, one in the middle, a slow one. */
static void test_busy(void **state) {
    struct pace p = {0};

    (void)state;
    assert_int_equal(settle(&p, 8, 10000, 50), 512);
    assert_in_range(settle(&p, 8, 10000, 500), 95, 100);
    assert_int_equal(settle(&p, 8, 40000, 5000), PACE_ROWS_LEAST);
    /* Where a step is slow anyhow, a prompt may take as long again. */
    assert_in_range(settle(&p, 8, 300000, 5000), 58, 60);
}

static void test_idle(void **state) {
    struct pace p = {0};

    (void)state;
    assert_int_equal(settle(&p, 0, 0, 100), 512);
    assert_in_range(settle(&p, 0, 0, 10000), 38, 40);
}

/* One step that the machine held up does not starve prompts for long, and
 * steps with few rows say nothing. */
static void test_outliers(void **state) {
    struct pace p = {0};
    int rows;

    (void)state;
    rows = settle(&p, 4, 10000, 500);
    pace_learn(&p, rows, 4, 3000000);
    assert_true(pace_rows(&p, 4, 512) < rows);
    assert_in_range(settle(&p, 4, 10000, 500), 95, 100);
    for (int i = 0; i < 50; i++) pace_learn(&p, 3, 4, 100000);
    assert_in_range(pace_rows(&p, 4, 512), 95, 100);
    for (int i = 0; i < 50; i++) pace_learn(&p, 100, 4, 0);
    assert_int_equal(pace_rows(&p, 4, 512), 512);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_unknown),
        cmocka_unit_test(test_busy),
        cmocka_unit_test(test_idle),
        cmocka_unit_test(test_outliers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
