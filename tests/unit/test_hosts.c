/* test_hosts.c - which names are this machine's, whoever has them lead here. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "proxy/hosts.h"

static void check(const struct hosts *h, const char *host, bool known) {
    if (hosts_know(h, span_of(host)) != known)
        fail_msg("%s: expected %d", host, known);
}

static void test_here(void **state) {
    static const struct hosts h = {0};
    static const char *const ours[] = {"",
                                       "localhost",
                                       "localhost:8080",
                                       "LOCALHOST.",
                                       "a.localhost:1",
                                       "corral",
                                       "127.0.0.1",
                                       "10.0.0.7:80",
                                       "[::1]:8080",
                                       "host.docker.internal"};
    static const char *const theirs[] = {"evil.example",
                                         "evil.example:8080",
                                         "evil.example.",
                                         "localhost.evil.example",
                                         "127.0.0.1.evil.example",
                                         "evillocalhost.example",
                                         "0x7f.1",
                                         "127.1",
                                         ".internal.evil.example"};

    (void)state;
    for (size_t i = 0; i < sizeof ours / sizeof *ours; i++)
        check(&h, ours[i], true);
    for (size_t i = 0; i < sizeof theirs / sizeof *theirs; i++)
        check(&h, theirs[i], false);
    assert_false(hosts_know(&h, (struct span){"localhost\0.evil", 15}));
}

static void test_named(void **state) {
    static const char *const list[] = {"chat.example.org"};
    static const char *const all[] = {"*"};
    const struct hosts h = {.list = list, .count = 1};
    const struct hosts any[] = {{.any = true}, {.list = all, .count = 1}};

    (void)state;
    check(&h, "chat.example.org", true);
    check(&h, "Chat.Example.Org.:443", true);
    check(&h, "x.chat.example.org", false);
    check(&h, "chat.example.org.evil.example", false);
    check(&any[0], "evil.example", true);
    check(&any[1], "evil.example", true);
}

static void test_long(void **state) {
    static const struct hosts h = {0};
    char name[300];

    (void)state;
    memset(name, 'a', sizeof name);
    assert_false(hosts_know(&h, (struct span){name, sizeof name}));
    assert_true(hosts_know(&h, (struct span){name, 253}));
    assert_false(hosts_know(&h, (struct span){name, 254}));
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_here),
                                       cmocka_unit_test(test_named),
                                       cmocka_unit_test(test_long)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
