/* test_hash.c - against published values. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/hash.h"

static void test_sha256(void **state) {
    char hex[HASH_HEX_SIZE];

    (void)state;
    hash_sha256_hex(span_of(""), hex);
    assert_string_equal(hex, "e3b0c44298fc1c149afbf4c8996fb924"
                             "27ae41e4649b934ca495991b7852b855");
    hash_sha256_hex(span_of("abc"), hex); /* FIPS 180-2, B.1 */
    assert_string_equal(hex, "ba7816bf8f01cfea414140de5dae2223"
                             "b00361a396177a9cb410ff61f20015ad");
}

static void test_fnv1a(void **state) {
    (void)state;
    /* From the FNV authors' test vectors. */
    assert_true(hash_fnv1a(HASH_FNV1A_START, span_of("")) ==
                0xcbf29ce484222325ull);
    assert_true(hash_fnv1a(HASH_FNV1A_START, span_of("a")) ==
                0xaf63dc4c8601ec8cull);
    assert_true(hash_fnv1a(HASH_FNV1A_START, span_of("foobar")) ==
                0x85944171f73967e8ull);
    /* In pieces, it is the same. */
    assert_true(hash_fnv1a(hash_fnv1a(HASH_FNV1A_START, span_of("foo")),
                           span_of("bar")) == 0x85944171f73967e8ull);
}

static void test_keyed(void **state) {
    /* BLAKE2b with a digest of 32 bytes, computed by Python's hashlib. */
    static const char key[] = "0123456789abcdef0123456789abcdef";
    char hex[HASH_HEX_SIZE];
    struct hash_stream *h = hash_stream_new(span_of(key));

    (void)state;
    hash_keyed_hex(span_of(key), span_of("abc"), hex);
    assert_string_equal(hex, "c32808a1717d5b73a5df21870c855ce7"
                             "a149a92d6dab46e1983f26628b4e86ea");
    hash_stream_hex(h, hex);
    assert_string_equal(hex, "b8b9e6dff6f384e24d1632ee274b08bf"
                             "495a162eca725aeb361eac78ed56633a");
    hash_stream_add(h, span_of("a"));
    hash_stream_hex(h, hex);
    hash_stream_add(h, span_of(""));
    hash_stream_add(h, span_of("bc"));
    hash_stream_hex(h, hex);
    assert_string_equal(hex, "c32808a1717d5b73a5df21870c855ce7"
                             "a149a92d6dab46e1983f26628b4e86ea");
    hash_stream_free(h);
    hash_keyed_hex(span_of("0123456789abcdef"), span_of("abc"), hex);
    assert_string_not_equal(hex, "c32808a1717d5b73a5df21870c855ce7"
                                 "a149a92d6dab46e1983f26628b4e86ea");
}

static void short_of(const char *key, const char *tag, const char *text,
                     unsigned char out[HASH_SHORT_SIZE]) {
    hash_keyed_short(span_of(key), span_of(tag), span_of(text), out);
}

/* Each part counts, and where the one ends and the other begins. */
static void test_keyed_short(void **state) {
    static const char key[] = "0123456789abcdef0123456789abcdef";
    static const char *const others[][3] = {
        {"1123456789abcdef0123456789abcdef", "tag", "abc"},
        {"0123456789abcdef1123456789abcdef", "tag", "abc"},
        {key, "tab", "abc"},
        {key, "taga", "bc"},
        {key, "", "tagabc"},
        {key, "tag", "abd"},
        {key, "tag", ""}};
    unsigned char one[HASH_SHORT_SIZE], two[HASH_SHORT_SIZE];

    (void)state;
    short_of(key, "tag", "abc", one);
    short_of(key, "tag", "abc", two);
    assert_memory_equal(one, two, sizeof one);
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        short_of(others[i][0], others[i][1], others[i][2], two);
        assert_memory_not_equal(one, two, sizeof one);
    }
}

static void test_random(void **state) {
    char a[HASH_ID_SIZE], b[HASH_ID_SIZE];

    (void)state;
    hash_random_id(a);
    hash_random_id(b);
    assert_int_equal(strlen(a), HASH_ID_SIZE - 1);
    assert_int_equal(strspn(a, "0123456789abcdef"), HASH_ID_SIZE - 1);
    assert_string_not_equal(a, b);
    assert_true(hash_random_u64() != hash_random_u64());
}

static int by_text(const void *a, const void *b) {
    return strcmp(a, b);
}

/* Ids are cut from a store of random bytes: past its end they go on. */
static void test_random_many(void **state) {
    static char ids[3000][HASH_ID_SIZE];

    (void)state;
    for (int i = 0; i < 3000; i++) hash_random_id(ids[i]);
    qsort(ids, 3000, sizeof *ids, by_text);
    for (int i = 1; i < 3000; i++) assert_string_not_equal(ids[i - 1], ids[i]);
}

/* What is in the store is not given out by parent and child alike. */
static void test_random_forked(void **state) {
    char ours[HASH_ID_SIZE], theirs[HASH_ID_SIZE] = "";
    int ends[2], status;
    pid_t child;

    (void)state;
    hash_random_id(ours); /* now there is one */
    assert_int_equal(pipe(ends), 0);
    child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        hash_random_id(theirs);
        _exit(write(ends[1], theirs, sizeof theirs) != sizeof theirs);
    }
    hash_random_id(ours);
    assert_int_equal(read(ends[0], theirs, sizeof theirs), sizeof theirs);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_int_equal(strlen(theirs), HASH_ID_SIZE - 1);
    assert_string_not_equal(ours, theirs);
    close(ends[0]);
    close(ends[1]);
}

static void test_equal_secret(void **state) {
    (void)state;
    assert_true(hash_equal_secret(span_of("key"), span_of("key")));
    assert_false(hash_equal_secret(span_of("key"), span_of("keY")));
    assert_false(hash_equal_secret(span_of("key"), span_of("ke")));
    assert_true(hash_equal_secret(span_of(""), span_of("")));
}

static int init(void **state) {
    (void)state;
    return hash_init(NULL) ? 0 : -1;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sha256),
        cmocka_unit_test(test_fnv1a),
        cmocka_unit_test(test_keyed),
        cmocka_unit_test(test_keyed_short),
        cmocka_unit_test(test_random),
        cmocka_unit_test(test_random_many),
        cmocka_unit_test(test_random_forked),
        cmocka_unit_test(test_equal_secret),
    };

    return cmocka_run_group_tests(tests, init, NULL);
}
