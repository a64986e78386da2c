/* test_url_host.c - the host that a URL names, or none where two readers might
 * disagree about it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "guard/url_host.h"

static void is_host(const char *url, const char *host) {
    char out[URL_HOST_MAX + 1];

    if (!url_host(span_of(url), out)) fail_msg("%s has no host", url);
    assert_string_equal(out, host);
}

static void no_host(const char *url) {
    char out[URL_HOST_MAX + 1];

    if (url_host(span_of(url), out)) fail_msg("%s has the host %s", url, out);
    assert_string_equal(out, "");
}

static void test_hosts(void **state) {
    (void)state;
    is_host("http://example.org", "example.org");
    is_host("HTTPS://Example.ORG/a?b#c", "example.org");
    is_host("https://example.org:8443/", "example.org");
    is_host("https://example.org./", "example.org");
    is_host("https://example.org?a=http://evil.net/", "example.org");
    is_host("https://example.org#@evil.net/", "example.org");
    is_host("https://example.org/@evil.net", "example.org");
    is_host("http://a_b.xn--nxasmq6b.com", "a_b.xn--nxasmq6b.com");
    is_host("http://192.168.1.255/", "192.168.1.255");
    is_host("http://[::1]/", "[::1]");
    is_host("http://[2001:DB8::1]:80/", "[2001:db8::1]");
    is_host("http://[::ffff:127.0.0.1]", "[::ffff:127.0.0.1]");
    is_host("http://4chan.org", "4chan.org");
}

static void test_none(void **state) {
    static const char *const urls[] = {"",
                                       "http://",
                                       "http:///x",
                                       "https:example.org",
                                       "//example.org",
                                       "example.org",
                                       "ftp://example.org",
                                       "file:///etc/passwd",
                                       "javascript:alert(1)",
                                       "http:/example.org",
                                       "http:\\\\example.org",
                                       "http://user@evil.net/",
                                       "http://example.org:80@evil.net/",
                                       "http://example.org%40evil.net/",
                                       "http://example.org\\.evil.net/",
                                       "http://evil.net\\@example.org/",
                                       " http://example.org",
                                       "http://example.org\t.evil.net",
                                       "http://exa\nmple.org",
                                       "http://example.org\x7f",
                                       "http://ex\xc3\xa4mple.org",
                                       "http://example\xe3\x80\x82org",
                                       "http://example..org",
                                       "http://.example.org",
                                       "http://example.org..",
                                       "http://-a.org",
                                       "http://a-.org",
                                       "http://a.-b",
                                       "http://*.org",
                                       "http://a,b",
                                       "http://example.org:",
                                       "http://example.org:x",
                                       "http://example.org:1:2",
                                       "http://example.org:65536",
                                       "http://example.org:000080",
                                       "http://127.1",
                                       "http://2130706433/",
                                       "http://0x7f.0.0.1",
                                       "http://0x7f000001",
                                       "http://010.0.0.1",
                                       "http://1.2.3.256",
                                       "http://1.2.3.4.5",
                                       "http://1.2.3.",
                                       "http://a.123",
                                       "http://a.0xff",
                                       "http://[::1",
                                       "http://[]",
                                       "http://[1]",
                                       "http://[::1]x",
                                       "http://[::1%25eth0]/",
                                       "http://[fe80::g]",
                                       "http://x[::1]",
                                       "http://[:::::::::]",
                                       "http://[::1]:",
                                       NULL};

    (void)state;
    for (int i = 0; urls[i]; i++) no_host(urls[i]);
}

static void test_long(void **state) {
    char url[400] = "http://";

    (void)state;
    memset(url + 7, 'a', URL_HOST_MAX);
    is_host(url, url + 7);
    url[7 + URL_HOST_MAX] = 'a';
    no_host(url);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_hosts),
                                       cmocka_unit_test(test_none),
                                       cmocka_unit_test(test_long)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
