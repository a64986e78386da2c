/* test_proxy_header.c - what a balancer says of the client behind it. Every
 * header also comes byte by byte: a part of one is never wrong and never
 * enough. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "proxy/proxy_header.h"

static const char before[] = "before";

/* A whole header, and then more, which is not touched. */
static void check_good(struct span header, const char *want) {
    struct bytes all = {0};
    char peer[PROXY_PEER_MAX];
    size_t used = 0;

    bytes_put(&all, header);
    bytes_puts(&all, "GET /");
    for (size_t size = 0; size <= all.size; size++) {
        struct span in = span_slice(span_bytes(&all), 0, size);
        enum proxy_header found;

        (void)snprintf(peer, sizeof peer, before);
        used = 0;
        found = proxy_header_read(in, &used, peer);
        if (size < header.size) {
            assert_int_equal(found, PROXY_HEADER_MORE);
            assert_int_equal(used, 0);
            assert_string_equal(peer, before);
        } else {
            assert_int_equal(found, PROXY_HEADER_DONE);
            assert_int_equal(used, header.size);
            assert_string_equal(peer, want);
        }
    }
    bytes_free(&all);
}

static void check_line(const char *line, const char *want) {
    check_good(span_of(line), want);
}

static void check_bad(struct span header) {
    char peer[PROXY_PEER_MAX] = "before";
    size_t used = 0;

    if (proxy_header_read(header, &used, peer) != PROXY_HEADER_WRONG)
        fail_msg("taken: %.*s", (int)header.size, header.at);
    assert_int_equal(used, 0);
    assert_string_equal(peer, before);
}

static void test_lines(void **state) {
    (void)state;
    check_line("PROXY TCP4 192.0.2.7 10.0.0.1 56324 443\r\n", "192.0.2.7");
    check_line("PROXY TCP4 0.0.0.0 255.255.255.255 0 65535\r\n", "0.0.0.0");
    check_line("PROXY TCP6 2001:DB8:0::7 ::1 1 2\r\n", "2001:db8::7");
    check_line("PROXY UNKNOWN\r\n", before);
    check_line("PROXY UNKNOWN ffff::1 ffff::2 65535 65535\r\n", before);
    check_line("PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff "
               "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n",
               "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff");
}

static void test_bad_lines(void **state) {
    static const char *const lines[] = {
        "GET / HTTP/1.1\r\n",
        "proxy TCP4 192.0.2.7 10.0.0.1 1 2\r\n",
        "PROXY  TCP4 192.0.2.7 10.0.0.1 1 2\r\n",
        "PROXY TCP4  192.0.2.7 10.0.0.1 1 2\r\n",
        "PROXY TCP4 192.0.2.7 10.0.0.1 1\r\n",
        "PROXY TCP4 192.0.2.7 10.0.0.1 1 2 3\r\n",
        "PROXY TCP4 192.0.2.7 10.0.0.1 1 2 \r\n",
        "PROXY TCP4 192.0.2.7 10.0.0.1 01 2\r\n",
        "PROXY TCP4 192.0.2.7 10.0.0.1 1 65536\r\n",
        "PROXY TCP4 192.0.2.7 10.0.0.1 1 -2\r\n",
        "PROXY TCP4 192.0.2.7 10.0.0.1  2\r\n",
        "PROXY TCP4 192.0.2.07 10.0.0.1 1 2\r\n",
        "PROXY TCP4 192.0.2 10.0.0.1 1 2\r\n",
        "PROXY TCP4 ::1 ::1 1 2\r\n",
        "PROXY TCP6 192.0.2.7 ::1 1 2\r\n",
        "PROXY TCP6 fe80::1%eth0 ::1 1 2\r\n",
        "PROXY UDP4 192.0.2.7 10.0.0.1 1 2\r\n",
        "PROXY UNKNOWNS\r\n",
        "PROXY \r\n",
        "PROXY TCP4 192.0.2.7 10.0.0.1 1 2\n",
        "PROXY TCP4 192.0.2.7 10.0.0.1 1 2\rX",
        "PROXY TCP4 192.0.2.7\n10.0.0.1 1 2\r\n",
        "\r\n\r\nGET / HTTP/1.1\r\n",
        "\x16\x03\x01\x02"};
    struct bytes longest = {0};

    (void)state;
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
        check_bad(span_of(lines[i]));
    check_bad((struct span){"PROXY TCP4 192.0.2.7\0 10.0.0.1 1 2\r\n", 37});
    bytes_puts(&longest, "PROXY UNKNOWN ");
    while (longest.size < 105) bytes_puts(&longest, "x");
    bytes_puts(&longest, "\r\n");
    check_good(span_bytes(&longest), before);
    longest.size = 105;
    bytes_puts(&longest, "x\r\n"); /* 108 bytes, one past the limit */
    check_bad(span_bytes(&longest));
    longest.size = 0;
    while (longest.size < 107) bytes_puts(&longest, "PROXY UNKNOWN ");
    check_bad(span_bytes(&longest));
    bytes_free(&longest);
}

/* The second version, of `size` bytes after the fixed part. */
static struct span second(char *out, int command, int family, size_t size) {
    static const char signature[] = "\r\n\r\n\0\r\nQUIT\n";

    memcpy(out, signature, 12);
    out[12] = (char)command;
    out[13] = (char)family;
    out[14] = (char)(size >> 8);
    out[15] = (char)size;
    return (struct span){out, 16 + size};
}

static void test_second(void **state) {
    char h[PROXY_HEADER_MAX] = {0};

    (void)state;
    memcpy(h + 16, "\xc0\0\2\7\x0a\0\0\1\xdc\4\1\xbb", 12);
    check_good(second(h, 0x21, 0x11, 12), "192.0.2.7");
    check_good(second(h, 0x21, 0x11, 100), "192.0.2.7"); /* and more */
    check_good(second(h, 0x21, 0x11, PROXY_HEADER_MAX - 16), "192.0.2.7");
    check_good(second(h, 0x20, 0x11, 12), before);
    check_good(second(h, 0x20, 0x00, 0), before);
    check_good(second(h, 0x21, 0x00, 0), before);
    memset(h + 16, 0, 36);
    h[16] = 0x20;
    h[17] = 1;
    h[31] = 7;
    check_good(second(h, 0x21, 0x21, 36), "2001::7");
    check_good(second(h, 0x21, 0x31, 216), "unix");
}

static void test_bad_second(void **state) {
    char h[16 + 0xffff] = {0};

    (void)state;
    check_bad(second(h, 0x21, 0x11, 11)); /* too short for its addresses */
    check_bad(second(h, 0x21, 0x21, 35));
    check_bad(second(h, 0x21, 0x31, 215));
    check_bad(second(h, 0x22, 0x11, 12)); /* no such command */
    check_bad(second(h, 0x11, 0x11, 12)); /* the first version in the second */
    check_bad(second(h, 0x31, 0x11, 12));
    check_bad(second(h, 0x21, 0x12, 12)); /* a datagram */
    check_bad(second(h, 0x21, 0x41, 300));
    check_bad(second(h, 0x21, 0x11, PROXY_HEADER_MAX - 15));
    check_bad(second(h, 0x21, 0x11, 0xffff));
    /* Said before all that is come. */
    check_bad(span_slice(second(h, 0x21, 0x11, 0xffff), 0, 16));
    check_bad(span_slice(second(h, 0x99, 0x11, 12), 0, 13));
}

static void test_trust(void **state) {
    struct sockaddr_storage unknown = {0};
    struct proxy_trust t = {.on = true};

    (void)state;
    assert_true(proxy_trusts(&t, (struct sockaddr *)&unknown));
    t.count = 1;
    assert_true(network_parse(&t.from[0], "::/0", NULL));
    assert_false(proxy_trusts(&t, (struct sockaddr *)&unknown));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines),  cmocka_unit_test(test_bad_lines),
        cmocka_unit_test(test_second), cmocka_unit_test(test_bad_second),
        cmocka_unit_test(test_trust),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
