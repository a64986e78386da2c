/* test_addresses.c - what each address may ask where there are no keys: its
 * own minute, its own requests in hand, and no end of addresses. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "proxy/addresses.h"

enum { SEED = 12345, ONE = 7, OTHER = 8, START_MS = 1000, MINUTE_MS = 60000 };

static enum addresses_answer enter(struct addresses *a, uint64_t address,
                                   uint64_t now_ms) {
    int64_t retry_s = 0;
    enum addresses_answer answer =
        addresses_enter(a, address, now_ms, &retry_s);

    assert_true(answer == ADDRESSES_FINE || retry_s >= 1);
    return answer;
}

static void test_rate(void **state) {
    struct limits l = {.address_requests_per_minute = 2};
    struct addresses *a = addresses_new(&l, SEED);

    (void)state;
    assert_int_equal(enter(a, ONE, START_MS), ADDRESSES_FINE);
    assert_int_equal(enter(a, ONE, START_MS), ADDRESSES_FINE);
    assert_int_equal(enter(a, ONE, START_MS), ADDRESSES_RATE);
    assert_int_equal(enter(a, OTHER, START_MS), ADDRESSES_FINE);
    /* That they have ended gives nothing back of the minute. */
    addresses_leave(a, ONE);
    addresses_leave(a, ONE);
    assert_int_equal(enter(a, ONE, START_MS), ADDRESSES_RATE);
    assert_int_equal(enter(a, ONE, START_MS + MINUTE_MS / 2), ADDRESSES_FINE);
    assert_int_equal(enter(a, ONE, START_MS + MINUTE_MS / 2), ADDRESSES_RATE);
    l.address_requests_per_minute = 0; /* read again */
    assert_int_equal(enter(a, ONE, START_MS + MINUTE_MS / 2), ADDRESSES_FINE);
    addresses_free(a);
}

static void test_at_once(void **state) {
    struct limits l = {.address_requests_max = 2};
    struct addresses *a = addresses_new(&l, SEED);

    (void)state;
    assert_int_equal(enter(a, ONE, START_MS), ADDRESSES_FINE);
    assert_int_equal(enter(a, ONE, START_MS), ADDRESSES_FINE);
    assert_int_equal(enter(a, ONE, START_MS), ADDRESSES_AT_ONCE);
    assert_int_equal(enter(a, OTHER, START_MS), ADDRESSES_FINE);
    addresses_leave(a, ONE);
    assert_int_equal(enter(a, ONE, START_MS), ADDRESSES_FINE);
    assert_int_equal(enter(a, ONE, START_MS), ADDRESSES_AT_ONCE);
    /* One too many, or somebody's who was never in: no room is made of it. */
    for (int i = 0; i < 5; i++) addresses_leave(a, ONE);
    addresses_leave(a, 99);
    assert_int_equal(enter(a, ONE, START_MS), ADDRESSES_FINE);
    assert_int_equal(enter(a, ONE, START_MS), ADDRESSES_FINE);
    assert_int_equal(enter(a, ONE, START_MS), ADDRESSES_AT_ONCE);
    addresses_free(a);
}

/* More than there are places: who has something in hand keeps his, who has
 * nothing gives it up, and who finds none waits. */
static void test_many(void **state) {
    enum { MANY = 200000 };
    struct limits l = {.address_requests_max = 1};
    struct addresses *a = addresses_new(&l, SEED);
    int in = 0;

    (void)state;
    assert_int_equal(enter(a, ONE, START_MS), ADDRESSES_FINE);
    for (uint64_t i = 1000; i < 1000 + MANY; i++) {
        assert_int_equal(enter(a, i, START_MS + i), ADDRESSES_FINE);
        addresses_leave(a, i);
    }
    assert_int_equal(enter(a, ONE, START_MS), ADDRESSES_AT_ONCE);
    for (uint64_t i = 1000; i < 1000 + MANY; i++)
        in += enter(a, i, START_MS + MANY) == ADDRESSES_FINE;
    assert_in_range(in, 1, 65535);
    addresses_free(a);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rate),
        cmocka_unit_test(test_at_once),
        cmocka_unit_test(test_many),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
