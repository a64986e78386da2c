/* test_keys.c - the file of keys: what goes in comes out, the key itself is
 * nowhere in it, and whatever is wrong is pointed at and changes nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "proxy/keys.h"

#define HEX64 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define GOOD "{\"id\":\"00c0ffee\",\"hash\":\"" HEX64 "\",\"scopes\":\"chat\""

static void test_round_trip(void **state) {
    char path[] = "/tmp/corral-keys-XXXXXX", text[2][KEY_TEXT_SIZE];
    struct key key = {.name = "app \"one\"",
                      .scopes = KEY_CHAT | KEY_ADMIN,
                      .limits = {1, 2, 3},
                      .created_s = 4,
                      .expires_s = 5};
    struct keys keys = {0}, again = {0};
    struct bytes raw = {0};
    struct stat about;
    struct err err;
    int fd = mkstemp(path);

    (void)state;
    assert_true(fd >= 0);
    (void)close(fd);
    key.policy = xstrdup("p.yaml");
    assert_true(keys_add(&keys, &key, text[0], &err));
    free(key.policy);
    key.policy = NULL;
    assert_true(keys_add(&keys, &key, text[1], &err));
    assert_true(keys_write(&keys, path, &err));
    assert_int_equal(stat(path, &about), 0);
    assert_int_equal(about.st_mode & 0777, 0600);
    assert_true(keys_read(&again, path, &err));
    assert_int_equal(again.count, 2);
    assert_string_equal(again.list[0].name, "app \"one\"");
    assert_string_equal(again.list[0].policy, "p.yaml");
    assert_null(again.list[1].policy);
    assert_int_equal(again.list[0].scopes, KEY_CHAT | KEY_ADMIN);
    assert_int_equal(again.list[0].limits.tokens_per_day, 3);
    assert_int_equal(again.list[0].expires_s, 5);
    assert_true(key_fits(&again.list[0], span_of(text[0])));
    assert_false(key_fits(&again.list[0], span_of(text[1])));
    assert_false(key_fits(&again.list[1], span_of(text[0])));
    assert_true(span_is(key_text_id(span_of(text[1])), again.list[1].id));
    /* The secret part is not in the file. */
    assert_true(bytes_read_file(&raw, path, &err));
    assert_true(span_find(span_bytes(&raw), span_of(text[0] + 13)) == SIZE_MAX);
    bytes_free(&raw);
    keys_clear(&keys);
    keys_clear(&again);
    (void)unlink(path);
}

static void bad(const char *text, const char *expected) {
    struct keys keys = {NULL, 7};
    struct err err = {0};

    assert_false(keys_parse(&keys, span_of(text), "k", &err));
    assert_int_equal(keys.count, 7);
    if (!strstr(err.text, expected))
        fail_msg("%s\nnot: %s", err.text, expected);
}

static void test_bad(void **state) {
    (void)state;
    bad("{", "k:1: ");
    bad(GOOD "}\n\n" GOOD "}\n", "k:3: the id 00c0ffee is there twice");
    bad(GOOD ",\"x\":1}", "k:1: ");
    bad("[2]", "k:1: expected an object");
    bad("2", "k:1: expected an object");
    bad("{}", "k:1: id: expected 8 hex digits");
    bad("{\"id\":\"00C0FFEE\"}", "id: expected 8 hex digits");
    bad("{\"id\":\"00c0ffee\",\"hash\":\"00\",\"scopes\":\"chat\"}",
        "hash: expected 64 hex digits");
    bad("{\"id\":\"00c0ffee\",\"hash\":\"" HEX64 "\"}",
        "scopes: there is none");
    bad("{\"id\":\"00c0ffee\",\"hash\":\"" HEX64 "\",\"scopes\":\"chat,all\"}",
        "scopes: expected");
    bad(GOOD ",\"tokens_per_day\":-1}", "tokens_per_day");
    bad(GOOD ",\"expires\":\"never\"}", "expires");
}

static void test_missing(void **state) {
    struct keys keys = {NULL, 7};
    struct err err;

    (void)state;
    assert_true(keys_read(&keys, "/nowhere/keys", &err));
    assert_int_equal(keys.count, 0);
    assert_false(keys_read(&keys, "/", &err));
}

static void test_text_id(void **state) {
    static const char *const wrong[] = {
        "",
        "crl_",
        "crl_00c0ffee",
        "crl_00c0ffee_0123456789abcdef0123456789abcdef0123456789abcde",
        "crl_00c0ffee_0123456789abcdef0123456789abcdef0123456789abcdef0",
        "crx_00c0ffee_0123456789abcdef0123456789abcdef0123456789abcdef",
        "crl_00c0ffeex0123456789abcdef0123456789abcdef0123456789abcdef",
        "crl_00c0ffxe_0123456789abcdef0123456789abcdef0123456789abcdef"};

    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_null(key_text_id(span_of(wrong[i])).at);
    assert_true(span_is(
        key_text_id(span_of("crl_00c0ffee_0123456789abcdef0123456789abcdef"
                            "0123456789abcdef")),
        "00c0ffee"));
}

static void test_named(void **state) {
    struct key list[] = {{.id = "00000001", .name = "a"},
                         {.id = "00000002", .name = "b"},
                         {.id = "00000003", .name = "b"}};
    struct keys keys = {list, 3};

    (void)state;
    assert_ptr_equal(keys_named(&keys, "a"), &list[0]);
    assert_ptr_equal(keys_named(&keys, "00000003"), &list[2]);
    assert_null(keys_named(&keys, "b"));
    assert_null(keys_named(&keys, "c"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip), cmocka_unit_test(test_bad),
        cmocka_unit_test(test_missing),    cmocka_unit_test(test_text_id),
        cmocka_unit_test(test_named),
    };
    struct err err;

    if (!hash_init(&err)) return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
