/* test_breaker.c - a server that fails rests, and one try decides whether it is
 * back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "proxy/breaker.h"

static struct breaker broken(void) {
    struct breaker b = {.failures_max = 3, .rest_ms = 100};

    for (int i = 0; i < 3; i++) {
        assert_true(breaker_allows(&b, 1000));
        breaker_begin(&b);
        breaker_fail(&b, 1000);
    }
    return b;
}

static void test_opens(void **state) {
    struct breaker b = broken();

    (void)state;
    assert_false(breaker_allows(&b, 1000));
    assert_false(breaker_allows(&b, 1099));
    assert_true(breaker_allows(&b, 1100));
}

static void test_in_a_row(void **state) {
    struct breaker b = {.failures_max = 2, .rest_ms = 100};

    (void)state;
    for (int i = 0; i < 10; i++) {
        breaker_fail(&b, 1000);
        assert_true(breaker_allows(&b, 1000));
        breaker_succeed(&b);
    }
}

static void test_one_try(void **state) {
    struct breaker b = broken();

    (void)state;
    breaker_begin(&b);
    assert_false(breaker_allows(&b, 5000)); /* while it is under way */
    breaker_fail(&b, 5000);
    assert_false(breaker_allows(&b, 5099));
    assert_true(breaker_allows(&b, 5100));
    breaker_begin(&b);
    breaker_succeed(&b);
    assert_true(breaker_allows(&b, 5100));
    breaker_begin(&b);
    assert_true(breaker_allows(&b, 5100)); /* closed: any number */
}

/* A try that is given up leaves the way free for the next one. */
static void test_forget(void **state) {
    struct breaker b = broken();

    (void)state;
    breaker_begin(&b);
    breaker_forget(&b);
    assert_true(breaker_allows(&b, 1100));
}

/* Calls from before it opened do not make the rest longer. */
static void test_late_failures(void **state) {
    struct breaker b = broken();

    (void)state;
    breaker_fail(&b, 1090);
    assert_true(breaker_allows(&b, 1100));
}

static void test_rest(void **state) {
    struct breaker b = {.failures_max = 3, .rest_ms = 100};

    (void)state;
    breaker_rest(&b, 1000, 2000);
    breaker_rest(&b, 1000, 5); /* a shorter one does not end it */
    assert_false(breaker_allows(&b, 2999));
    assert_true(breaker_allows(&b, 3000));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_opens),   cmocka_unit_test(test_in_a_row),
        cmocka_unit_test(test_one_try), cmocka_unit_test(test_forget),
        cmocka_unit_test(test_rest),    cmocka_unit_test(test_late_failures),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
