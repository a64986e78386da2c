/* test_network.c - blocks of addresses: which are in, and which texts name
 * none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <netinet/in.h>

#include "proxy/network.h"

static bool holds(const char *network, const char *address) {
    struct sockaddr_in four = {.sin_family = AF_INET};
    struct sockaddr_in6 six = {.sin6_family = AF_INET6};
    struct network n;
    struct err err;

    if (!network_parse(&n, network, &err)) fail_msg("%s", err.text);
    if (inet_pton(AF_INET, address, &four.sin_addr) == 1)
        return network_holds(&n, (struct sockaddr *)&four);
    assert_int_equal(inet_pton(AF_INET6, address, &six.sin6_addr), 1);
    return network_holds(&n, (struct sockaddr *)&six);
}

static void test_holds(void **state) {
    (void)state;
    assert_true(holds("10.0.0.0/8", "10.255.0.1"));
    assert_false(holds("10.0.0.0/8", "11.0.0.0"));
    assert_true(holds("192.0.2.128/25", "192.0.2.128"));
    assert_false(holds("192.0.2.128/25", "192.0.2.127"));
    assert_true(holds("192.0.2.7", "192.0.2.7"));
    assert_false(holds("192.0.2.7", "192.0.2.6"));
    assert_true(holds("0.0.0.0/0", "192.0.2.6"));
    assert_false(holds("0.0.0.0/0", "2001:db8::1"));
    assert_true(holds("::/0", "192.0.2.6"));
    assert_true(holds("2001:db8::/33", "2001:db8:7fff::1"));
    assert_false(holds("2001:db8::/33", "2001:db8:8000::1"));
    assert_true(holds("10.0.0.0/8", "::ffff:10.1.2.3"));
    assert_true(holds("::ffff:10.0.0.0/104", "10.1.2.3"));
    assert_false(holds("127.0.0.1", "::1"));
}

static void test_other_families(void **state) {
    struct sockaddr local = {.sa_family = AF_UNIX};
    struct network all;

    (void)state;
    assert_true(network_parse(&all, "::/0", NULL));
    assert_false(network_holds(&all, &local));
}

static void test_bad(void **state) {
    static const char *const texts[] = {
        "",
        "/8",
        "10.0.0.0/",
        "10.0.0.0/33",
        "10.0.0/8",
        "10.0.0.1/8",
        "10.0.0.0/8/8",
        "10.0.0.0/-1",
        "10.0.0.0/+8",
        "10.0.0.0/ 8",
        "localhost",
        "10.0.0.0/8x",
        "::/129",
        "2001:db8::1/64",
        "[::1]",
        "010.0.0.0/8",
        "10.0.0.0/99999999999999999999",
        "1111:2222:3333:4444:5555:6666:7777:8888:9999:aaaa:bbbb:cccc:dddd"};
    struct network n = {.prefix = 7};
    struct err err;

    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        if (network_parse(&n, texts[i], &err)) fail_msg("%s", texts[i]);
        assert_int_equal(err.code, ERR_INPUT);
        assert_int_equal(n.prefix, 7);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_holds),
        cmocka_unit_test(test_other_families),
        cmocka_unit_test(test_bad),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
