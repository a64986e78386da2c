/* test_clock.c - time goes on, and its stamp has one form. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "base/clock.h"

static void test_monotonic(void **state) {
    uint64_t last = clock_ns();

    (void)state;
    for (int i = 0; i < 1000; i++) {
        uint64_t now = clock_ns();

        assert_true(now >= last);
        last = now;
    }
    assert_true(clock_ms() >= last / 1000000);
}

static void test_stamp(void **state) {
    int64_t before = clock_wall_s(), stamped;
    struct tm t = {0};
    char stamp[25], end[8];
    int ms;

    (void)state;
    clock_stamp(stamp);
    assert_int_equal(strlen(stamp), 24);
    assert_int_equal(sscanf(stamp, "%4d-%2d-%2dT%2d:%2d:%2d.%3d%7s", &t.tm_year,
                            &t.tm_mon, &t.tm_mday, &t.tm_hour, &t.tm_min,
                            &t.tm_sec, &ms, end),
                     8);
    assert_string_equal(end, "Z");
    t.tm_year -= 1900;
    t.tm_mon -= 1;
    stamped = (int64_t)timegm(&t);
    assert_true(stamped >= before && stamped <= clock_wall_s());
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_monotonic),
        cmocka_unit_test(test_stamp),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
