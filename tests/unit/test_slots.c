/* test_slots.c - the line before an upstream: bounded, and nobody can push
 * others out of it by coming often. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "proxy/slots.h"

enum { MANY = 64 };

static void test_bounds(void **state) {
    struct slots *s = slots_new(2, 2);
    struct slot slot[MANY] = {0};

    (void)state;
    assert_int_equal(slots_enter(s, &slot[0], 1, 0), SLOT_HELD);
    assert_int_equal(slots_enter(s, &slot[1], 2, 0), SLOT_HELD);
    assert_int_equal(slots_enter(s, &slot[2], 3, 5), SLOT_WAITING);
    assert_int_equal(slots_enter(s, &slot[3], 4, 6), SLOT_WAITING);
    assert_int_equal(slots_enter(s, &slot[4], 5, 7), SLOT_NONE);
    assert_int_equal(slots_running(s), 2);
    assert_int_equal(slots_waiting(s), 2);
    assert_ptr_equal(slots_oldest(s), &slot[2]);
    assert_int_equal(slots_oldest(s)->since_ms, 5);
    assert_null(slots_next(s));
    slots_leave(s, &slot[4]); /* never was in */
    slots_leave(s, &slot[2]); /* gave up waiting */
    assert_null(slots_next(s));
    slots_leave(s, &slot[0]);
    assert_ptr_equal(slots_next(s), &slot[3]);
    assert_int_equal(slot[3].state, SLOT_HELD);
    assert_null(slots_next(s));
    slots_leave(s, &slot[1]);
    slots_leave(s, &slot[3]);
    assert_int_equal(slots_running(s), 0);
    slots_free(s);
    slots_free(NULL);
}

/* With no line at all, and with a place free that is somebody's already. */
static void test_no_line(void **state) {
    struct slots *s = slots_new(1, 0);
    struct slot a = {0}, b = {0}, c = {0};

    (void)state;
    assert_int_equal(slots_enter(s, &a, 1, 0), SLOT_HELD);
    assert_int_equal(slots_enter(s, &b, 2, 0), SLOT_NONE);
    slots_leave(s, &a);
    assert_int_equal(slots_enter(s, &b, 2, 0), SLOT_HELD);
    slots_leave(s, &b);
    slots_free(s);

    s = slots_new(1, 4);
    assert_int_equal(slots_enter(s, &a, 1, 0), SLOT_HELD);
    assert_int_equal(slots_enter(s, &b, 2, 0), SLOT_WAITING);
    slots_leave(s, &a);
    assert_int_equal(slots_enter(s, &c, 3, 0), SLOT_WAITING);
    assert_ptr_equal(slots_next(s), &b);
    slots_leave(s, &b);
    assert_ptr_equal(slots_next(s), &c);
    slots_leave(s, &c);
    slots_free(s);
}

/* One client fills its half; the other half is for others, who take turns with
 * it whatever the order in which they came. */
static void test_turns(void **state) {
    struct slots *s = slots_new(1, 8);
    struct slot flood[MANY] = {0}, other[4] = {{0}};
    const struct slot *order[] = {&other[0], &other[2], &flood[1], &other[1],
                                  &flood[2], &flood[3], &flood[4]};
    struct slot *now = &flood[0];

    (void)state;
    assert_int_equal(slots_enter(s, &flood[0], 1, 0), SLOT_HELD);
    for (int i = 1; i <= 4; i++)
        assert_int_equal(slots_enter(s, &flood[i], 1, 0), SLOT_WAITING);
    assert_int_equal(slots_enter(s, &flood[5], 1, 0), SLOT_NONE);
    for (int i = 0; i < 3; i++)
        assert_int_equal(slots_enter(s, &other[i], i < 2 ? 2 : 3, 0),
                         SLOT_WAITING);
    for (size_t i = 0; i < sizeof order / sizeof *order; i++) {
        slots_leave(s, now);
        now = slots_next(s);
        assert_ptr_equal(now, order[i]);
        assert_null(slots_next(s));
    }
    slots_leave(s, now);
    assert_null(slots_next(s));
    slots_free(s);
}

/* What is under way counts before who went last. */
static void test_least_running(void **state) {
    struct slots *s = slots_new(3, 8);
    struct slot a[4] = {{0}}, b[3] = {{0}};

    (void)state;
    for (int i = 0; i < 2; i++)
        assert_int_equal(slots_enter(s, &a[i], 1, 0), SLOT_HELD);
    assert_int_equal(slots_enter(s, &b[0], 2, 0), SLOT_HELD); /* went last */
    for (int i = 2; i < 4; i++)
        assert_int_equal(slots_enter(s, &a[i], 1, 0), SLOT_WAITING);
    assert_int_equal(slots_enter(s, &b[1], 2, 0), SLOT_WAITING);
    slots_leave(s, &b[0]);
    assert_ptr_equal(slots_next(s), &b[1]);
    slots_leave(s, &a[0]);
    assert_ptr_equal(slots_next(s), &a[2]);
    slots_leave(s, &a[1]);
    slots_leave(s, &a[2]);
    slots_leave(s, &a[3]);
    slots_leave(s, &b[1]);
    slots_free(s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bounds), cmocka_unit_test(test_no_line),
        cmocka_unit_test(test_turns), cmocka_unit_test(test_least_running)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
