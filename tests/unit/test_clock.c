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

static void parses(const char *text, int64_t want) {
    int64_t ms = -1;

    if (!clock_parse(span_of(text), &ms)) fail_msg("%s: refused", text);
    assert_true(ms == want);
}

static void test_parse(void **state) {
    static const char *const wrong[] = {
        "",           "2026",       "2026-02-30",           "2026-13-01",
        "2026-00-10", "1969-12-31", "2026-11-28T25:00:00Z", "2026-11-28 10",
        "2026-1-1",   "2026/01/01", "2026-11-28T10:00:00",  "2026-11-28T10:00",
        "+026-01-01", "2026-01-0x", "2026-11-28T10:00:00z", "2026-02-29"};
    int64_t ms = -1;

    (void)state;
    parses("1970-01-01", 0);
    parses("2024-02-29", 1709164800000);
    parses("2026-11-24T23:55:18Z", 1795564518000);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        if (clock_parse(span_of(wrong[i]), &ms)) fail_msg("%s", wrong[i]);
    assert_true(ms == -1);
}

static void lasted(uint64_t ns, const char *want) {
    char text[CLOCK_MS_SIZE];

    clock_put_ms(ns, text);
    assert_string_equal(text, want);
}

static void test_ms(void **state) {
    (void)state;
    lasted(0, "0.0");
    lasted(49999, "0.0");
    lasted(50000, "0.1");
    lasted(999949999, "999.9");
    lasted(999950000, "1000.0");
    lasted(35234567890, "35234.6");
    lasted(UINT64_MAX, "18446744073709.6");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_monotonic),
        cmocka_unit_test(test_stamp),
        cmocka_unit_test(test_parse),
        cmocka_unit_test(test_ms),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
