/* test_rates.c - limits are kept at every moment, and run back with time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "proxy/rates.h"

enum { DAY = 86400 };

static struct rates_time at(double seconds) {
    return (struct rates_time){(uint64_t)(seconds * 1000),
                               10 * DAY + (int64_t)seconds};
}

static void test_requests(void **state) {
    const struct key_limits l = {.requests_per_minute = 3};
    struct rates r = {0};
    int64_t retry = 0;

    (void)state;
    for (int i = 0; i < 3; i++)
        assert_int_equal(rates_take(&r, &l, at(0), &retry), RATES_FINE);
    assert_int_equal(rates_left(&r, &l).requests, 0);
    assert_int_equal(rates_left(&r, &l).tokens, -1);
    assert_int_equal(rates_take(&r, &l, at(0), &retry), RATES_REQUESTS);
    assert_int_equal(retry, 20);
    assert_int_equal(rates_take(&r, &l, at(19.9), &retry), RATES_REQUESTS);
    assert_int_equal(retry, 1);
    assert_int_equal(rates_take(&r, &l, at(20), &retry), RATES_FINE);
    assert_int_equal(rates_take(&r, &l, at(20), &retry), RATES_REQUESTS);
    /* Never more than the limit, however long nobody asked. */
    for (int i = 0; i < 3; i++)
        assert_int_equal(rates_take(&r, &l, at(9000), &retry), RATES_FINE);
    assert_int_equal(rates_take(&r, &l, at(9000), &retry), RATES_REQUESTS);
}

static void test_tokens(void **state) {
    const struct key_limits l = {.tokens_per_minute = 60};
    struct rates r = {0};
    int64_t retry = 0;

    (void)state;
    assert_int_equal(rates_take(&r, &l, at(0), &retry), RATES_FINE);
    rates_spend(&r, &l, at(0), 59);
    assert_int_equal(rates_left(&r, &l).tokens, 1);
    assert_int_equal(rates_take(&r, &l, at(0), &retry), RATES_FINE);
    rates_spend(&r, &l, at(0), 101); /* 160 of 60 */
    assert_int_equal(rates_take(&r, &l, at(0), &retry), RATES_TOKENS);
    assert_int_equal(retry, 101);
    assert_int_equal(rates_take(&r, &l, at(100), &retry), RATES_TOKENS);
    assert_int_equal(rates_take(&r, &l, at(101), &retry), RATES_FINE);
}

static void test_day(void **state) {
    const struct key_limits l = {.tokens_per_day = 10};
    struct rates r = {0};
    int64_t retry = 0;

    (void)state;
    rates_spend(&r, &l, at(5), 10);
    assert_int_equal(rates_take(&r, &l, at(5), &retry), RATES_DAY);
    assert_int_equal(retry, DAY - 5);
    assert_int_equal(rates_take(&r, &l, at(DAY - 1), &retry), RATES_DAY);
    assert_int_equal(rates_take(&r, &l, at(DAY), &retry), RATES_FINE);
    /* A clock that is set back gives nothing away. */
    rates_spend(&r, &l, at(DAY), 10);
    assert_int_equal(rates_take(&r, &l, at(DAY - 9), &retry), RATES_DAY);
}

static void test_none(void **state) {
    const struct key_limits l = {0};
    struct rates r = {0};
    int64_t retry = 0;

    (void)state;
    for (int i = 0; i < 1000; i++) {
        assert_int_equal(rates_take(&r, &l, at(0), &retry), RATES_FINE);
        rates_spend(&r, &l, at(0), 1000000);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_requests),
        cmocka_unit_test(test_tokens),
        cmocka_unit_test(test_day),
        cmocka_unit_test(test_none),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
