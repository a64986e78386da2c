/* test_unicode_class.c - looking up by pages finds what the ranges say, for
 * every point and some that are none. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include "engine/unicode_class.h"

static void test_every_point(void **state) {
    size_t range = 0;

    (void)state;
    for (uint32_t point = 0; point < 0x120000; point++) {
        enum unicode_class expected = UNICODE_OTHER;

        while (range < unicode_range_count &&
               unicode_ranges[range].last < point)
            range++;
        if (range < unicode_range_count && unicode_ranges[range].first <= point)
            expected = unicode_ranges[range].class;
        if (unicode_class_of(point) != expected) fail_msg("U+%04X", point);
    }
    assert_int_equal(unicode_class_of(UINT32_MAX), UNICODE_OTHER);
}

static void test_some(void **state) {
    (void)state;
    assert_int_equal(unicode_class_of('a'), UNICODE_LETTER);
    assert_int_equal(unicode_class_of(0x0E01), UNICODE_LETTER);
    assert_int_equal(unicode_class_of(0x0E31), UNICODE_OTHER);
    assert_int_equal(unicode_class_of(0x0966), UNICODE_NUMBER);
    assert_int_equal(unicode_class_of(0x3000), UNICODE_SPACE);
    assert_int_equal(unicode_class_of(0x1C), UNICODE_OTHER);
    assert_int_equal(unicode_class_of(0x1F600), UNICODE_OTHER);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_point),
        cmocka_unit_test(test_some),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
