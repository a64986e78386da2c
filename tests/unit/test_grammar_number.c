/* test_grammar_number.c - the automaton of a range takes what lies in it, and
 * nothing else: every short decimal against plain arithmetic. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/grammar_number.h"

static struct dfa *make(struct number_range r) {
    struct err err = {0};
    struct dfa *d = number_dfa(&r, &err);

    if (!d) fail_msg("%g to %g: %s", r.low, r.high, err.text);
    return d;
}

static bool in_range(const struct number_range *r, double x) {
    if (x < r->low || (r->low_open && x == r->low)) return false;
    if (x > r->high || (r->high_open && x == r->high)) return false;
    if (r->whole && floor(x) != x) return false;
    return !(r->step > 0) || fabs(remainder(x, r->step)) < 1e-9;
}

/* Every number of at most three digits before and two after the point. */
static void check_all(struct number_range r) {
    struct dfa *d = make(r);

    for (int x = -99999; x <= 99999; x++) {
        char text[32];
        double number;

        (void)snprintf(text, sizeof text, "%s%d.%02d", x < 0 ? "-" : "",
                       abs(x) / 100, abs(x) % 100);
        /* A whole one is written without decimals. */
        if (x % 100 == 0 && (r.whole || x % 200 == 0))
            *strchr(text, '.') = '\0';
        else if (x % 10 == 0)
            text[strlen(text) - 1] = '\0';
        number = strtod(text, NULL);
        if (r.whole && strchr(text, '.')) continue;
        if (dfa_matches(d, span_of(text)) != in_range(&r, number))
            fail_msg("%g to %g, step %g: %s", r.low, r.high, r.step, text);
    }
    dfa_free(d);
}

static void test_all(void **state) {
    (void)state;
    check_all((struct number_range){.low = -12, .high = 105, .whole = true});
    check_all((struct number_range){.low = 99, .high = 101, .whole = true});
    check_all((struct number_range){.low = 0, .high = 0, .whole = true});
    check_all((struct number_range){.low = -INFINITY, .high = -7.5});
    check_all((struct number_range){.low = 2.5, .high = INFINITY});
    check_all((struct number_range){
        .low = 2.5, .high = 2.75, .low_open = true, .high_open = true});
    check_all((struct number_range){.low = -0.01, .high = 0.01});
    check_all((struct number_range){.low = -1, .high = 1, .high_open = true});
    check_all((struct number_range){
        .low = -INFINITY, .high = INFINITY, .step = 7, .whole = true});
    check_all((struct number_range){.low = 10, .high = 500, .step = 0.25});
    check_all((struct number_range){
        .low = -300, .high = 300, .step = 13, .whole = true});
    check_all((struct number_range){
        .low = -INFINITY, .high = INFINITY, .step = 0.5, .whole = true});
}

static void check(struct number_range r, const char *text, bool expected) {
    struct dfa *d = make(r);

    if (dfa_matches(d, span_of(text)) != expected)
        fail_msg("%g to %g: %s", r.low, r.high, text);
    dfa_free(d);
}

static void test_spelling(void **state) {
    const struct number_range any = {.low = -INFINITY, .high = 1e9};
    const struct number_range whole = {
        .low = -INFINITY, .high = INFINITY, .whole = true};

    (void)state;
    check(any, "0", true);
    check(any, "0.50", true);
    check(any, "-0", false);
    check(any, "-0.5", true);
    check(any, "01", false);
    check(any, "1.", false);
    check(any, ".5", false);
    check(any, "-", false);
    check(any, "", false);
    check(whole, "999999999999999", true);
    check(whole, "1000000000000000", false);
    check(whole, "-999999999999999", true);
    check(whole, "1.0", false);
    check((struct number_range){.low = 0.1, .high = 0.3}, "0.3", true);
    check((struct number_range){.low = 0.1, .high = 0.3}, "0.300000001", false);
    check((struct number_range){.low = 1e-20, .high = 1}, "0", false);
    check((struct number_range){.low = 1e-20, .high = 1}, "0.000000001", true);
    check((struct number_range){.low = 1e14, .high = 1e15}, "200000000000000",
          true);
    check(
        (struct number_range){.low = -INFINITY, .high = INFINITY, .step = 0.01},
        "19.99", true);
    check((struct number_range){.low = 0, .high = 1e9, .step = 2e6}, "4000000",
          true);
}

static void refused(struct number_range r, enum err_code code) {
    struct err err = {0};

    assert_null(number_dfa(&r, &err));
    assert_int_equal(err.code, code);
}

static void test_refused(void **state) {
    (void)state;
    refused((struct number_range){.low = 2, .high = 1}, ERR_INPUT);
    refused((struct number_range){.low = 1, .high = 1, .low_open = true},
            ERR_INPUT);
    refused((struct number_range){.low = 1.2, .high = 1.8, .whole = true},
            ERR_INPUT);
    refused(
        (struct number_range){.low = 1, .high = 6, .step = 7, .whole = true},
        ERR_INPUT);
    refused((struct number_range){.low = 1e16, .high = INFINITY},
            ERR_UNSUPPORTED);
    refused((struct number_range){.low = 0, .high = 1, .step = 1e-12},
            ERR_UNSUPPORTED);
    refused((struct number_range){.low = 0, .high = 1e14, .step = 99991},
            ERR_LIMIT);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all),
        cmocka_unit_test(test_spelling),
        cmocka_unit_test(test_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
