/* test_peer.c - who counts as one client when nobody has a key. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "proxy/peer.h"

static uint64_t number(const char *address) {
    uint64_t n = 0;

    assert_true(peer_number(address, &n));
    assert_true(n >= UINT64_C(1) << 62 && n < UINT64_C(1) << 63);
    return n;
}

static void test_one_client(void **state) {
    (void)state;
    assert_true(number("192.0.2.7") == number("192.0.2.7"));
    assert_true(number("192.0.2.7") == number("::ffff:192.0.2.7"));
    assert_true(number("2001:db8:1:2::1") == number("2001:db8:1:2:ffff::9"));
}

static void test_others(void **state) {
    (void)state;
    assert_true(number("192.0.2.7") != number("192.0.2.8"));
    assert_true(number("2001:db8:1:2::1") != number("2001:db8:1:3::1"));
    assert_true(number("192.0.2.7") != number("2001:db8::"));
}

static void test_nobody(void **state) {
    static const char *const none[] = {
        "127.0.0.1", "127.8.8.8", "::1", "::ffff:127.0.0.1",
        "unix",      "unknown",   "",    "192.0.2.7:80",
        "192.0.2",   "fe80::zz"};
    uint64_t n = 7;

    (void)state;
    for (size_t i = 0; i < sizeof none / sizeof *none; i++)
        assert_false(peer_number(none[i], &n));
    assert_true(n == 7);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_one_client),
                                       cmocka_unit_test(test_others),
                                       cmocka_unit_test(test_nobody)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
