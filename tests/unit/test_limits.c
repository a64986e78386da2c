/* test_limits.c - the defaults lie within what a configuration may set, and a
 * row of the table sets its own limit and no other. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "proxy/limits.h"

static int64_t value_of(const struct limits *l, const struct limit_name *name) {
    const char *at = (const char *)l + name->offset;
    size_t size;
    int number;

    memcpy(&size, at, sizeof size);
    memcpy(&number, at, sizeof number);
    return name->is_int ? number : (int64_t)size;
}

static void test_defaults(void **state) {
    const struct limit_name *names;
    struct limits l;
    int count;

    (void)state;
    limits_init(&l);
    names = limits_names(&count);
    assert_int_equal(count, 15);
    for (int i = 0; i < count; i++) {
        assert_true(value_of(&l, &names[i]) >= names[i].least);
        assert_true(value_of(&l, &names[i]) <= names[i].most);
    }
    assert_int_equal(l.body_bytes_max, 4 << 20);
    assert_int_equal(l.header_bytes_max, 32 << 10);
    assert_int_equal(l.connections_max, 1024);
}

static void test_set(void **state) {
    const struct limit_name *names;
    struct limits l, before;
    int count;

    (void)state;
    names = limits_names(&count);
    for (int i = 0; i < count; i++) {
        limits_init(&l);
        before = l;
        limits_set(&l, &names[i], names[i].most);
        for (int k = 0; k < count; k++)
            assert_int_equal(value_of(&l, &names[k]),
                             k == i ? names[i].most
                                    : value_of(&before, &names[k]));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_set),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
