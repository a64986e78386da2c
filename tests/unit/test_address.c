/* test_address.c - which addresses a model may reach: both ends of each closed
 * range, and the open addresses on either side of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <netinet/in.h>
#include <sys/un.h>

#include "tools/address.h"

static bool is_public(const char *text) {
    struct sockaddr_storage s = {0};
    struct sockaddr_in four = {.sin_family = AF_INET};
    struct sockaddr_in6 six = {.sin6_family = AF_INET6};
    char back[ADDRESS_TEXT_MAX];

    if (inet_pton(AF_INET, text, &four.sin_addr) == 1) {
        memcpy(&s, &four, sizeof four);
    } else {
        assert_int_equal(inet_pton(AF_INET6, text, &six.sin6_addr), 1);
        memcpy(&s, &six, sizeof six);
    }
    assert_string_equal(address_text((struct sockaddr *)&s, back), text);
    return address_is_public((struct sockaddr *)&s);
}

static void check_all(const char *const *list, bool want) {
    for (; *list; list++)
        if (is_public(*list) != want)
            fail_msg("%s should be %s", *list, want ? "open" : "closed");
}

static void test_closed(void **state) {
    static const char *const list[] = {
        "0.0.0.0", "0.255.255.255", "10.0.0.0", "10.255.255.255", "100.64.0.0",
        "100.127.255.255", "127.0.0.1", "127.255.255.255", "168.63.129.16",
        "169.254.0.0", "169.254.169.254", "169.254.255.255", "172.16.0.0",
        "172.31.255.255", "192.0.0.0", "192.0.0.192", "192.0.2.1",
        "192.88.99.1", "192.168.0.0", "192.168.255.255", "198.18.0.0",
        "198.19.255.255", "198.51.100.7", "203.0.113.7", "224.0.0.1",
        "239.255.255.255", "240.0.0.0", "255.255.255.255",
        /* IPv6: loopback, any, private, link-local, site-local, multicast */
        "::", "::1", "fc00::1", "fd00:ec2::254", "fdff::1", "fe80::1",
        "febf::1", "fec0::1", "ff02::1", "ff0e::1",
        /* reserved, discard, documentation, Teredo, ORCHID, segment routing */
        "100::1", "1fff::1", "4000::1", "2001:db8::1", "3fff::1", "3fff:fff::1",
        "2001::1", "2001:10::1", "2001:1ff::1", "5f00::1",
        /* an IPv4 address in its belly */
        "::ffff:127.0.0.1", "::ffff:10.1.2.3", "::ffff:169.254.169.254",
        "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::1",
        "2002:7f00:1::", "2002:a00:1::1", "2002:c0a8:101::1",
        "2a00::5efe:7f00:1", "2a00::200:5efe:a00:1", "::127.0.0.1", NULL};

    (void)state;
    check_all(list, false);
}

static void test_open(void **state) {
    static const char *const list[] = {"1.1.1.1",
                                       "9.255.255.255",
                                       "11.0.0.0",
                                       "100.63.255.255",
                                       "100.128.0.0",
                                       "126.255.255.255",
                                       "128.0.0.0",
                                       "168.63.129.15",
                                       "168.63.129.17",
                                       "169.253.255.255",
                                       "169.255.0.0",
                                       "172.15.255.255",
                                       "172.32.0.0",
                                       "192.0.1.1",
                                       "192.167.255.255",
                                       "192.169.0.0",
                                       "198.17.255.255",
                                       "198.20.0.0",
                                       "223.255.255.255",
                                       "2000::1",
                                       "2001:200::1",
                                       "2001:4860:4860::8888",
                                       "2606:4700::1111",
                                       "3ffe::1",
                                       "2a00::1",
                                       "::ffff:1.1.1.1",
                                       "64:ff9b::101:101",
                                       "2002:101:101::",
                                       "2a00::5efe:101:101",
                                       NULL};

    (void)state;
    check_all(list, true);
}

static void test_other_families(void **state) {
    struct sockaddr_un local = {.sun_family = AF_UNIX};
    char text[ADDRESS_TEXT_MAX];

    (void)state;
    assert_false(address_is_public((struct sockaddr *)&local));
    assert_string_equal(address_text((struct sockaddr *)&local, text),
                        "no IP address");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_closed),
        cmocka_unit_test(test_open),
        cmocka_unit_test(test_other_families),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
