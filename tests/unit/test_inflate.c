/* test_inflate.c - bodies that come as gzip, cut at every position, and those
 * that are made to hurt: bombs, floods that unpack to nothing, broken ones. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "proxy/inflate.h"
#include "tests/unit/gzip.h"

enum { ROOM = 64, PACKED_MAX = 4096 };

/* Unpack text[0..cut) and then the rest (or byte by byte, at SIZE_MAX). */
static bool unpack(struct span packed, size_t cut, struct bytes *out,
                   struct err *err) {
    struct inflate *i = inflate_new(PACKED_MAX);
    size_t at = 0;
    bool ok = true;

    while (ok && at < packed.size) {
        size_t end = cut == SIZE_MAX ? at + 1 : at < cut ? cut : packed.size;

        ok = inflate_push(i, span_slice(packed, at, end), out, err);
        at = end;
    }
    ok = ok && inflate_end(i, err);
    inflate_free(i);
    return ok;
}

/* `want` NULL: it fails with `code`, wherever it is cut. */
static void check(const char *name, struct span packed, const char *want,
                  enum err_code code) {
    for (size_t n = 0; n <= packed.size + 1; n++) {
        size_t cut = n > packed.size ? SIZE_MAX : n;
        struct bytes out = {.limit = ROOM};
        struct err err = {0};
        bool ok = unpack(packed, cut, &out, &err);

        if (ok != (want != NULL) || err.code != code ||
            (ok && !span_is(span_bytes(&out), want)))
            fail_msg("%s, cut at %zd: %d %s \"%.*s\"", name, (ssize_t)cut, ok,
                     err.text, (int)out.size, out.at ? out.at : "");
        bytes_free(&out);
    }
}

static void test_whole(void **state) {
    struct bytes one = gzip_of(span_of("hello"), 6);
    struct bytes none = gzip_of(span_of(""), 6);
    struct bytes stored = gzip_of(span_of("stored as it is"), 0);
    struct bytes two = gzip_of(span_of("hello"), 9);

    (void)state;
    check("one", span_bytes(&one), "hello", ERR_NONE);
    check("nothing", span_bytes(&none), "", ERR_NONE);
    check("stored", span_bytes(&stored), "stored as it is", ERR_NONE);
    bytes_put(&two, span_bytes(&stored));
    check("two members", span_bytes(&two), "hellostored as it is", ERR_NONE);
    bytes_free(&one);
    bytes_free(&none);
    bytes_free(&stored);
    bytes_free(&two);
}

static void test_broken(void **state) {
    struct bytes good = gzip_of(span_of("hello"), 6);
    struct span all = span_bytes(&good);

    (void)state;
    check("no gzip", span_of("{\"model\": \"m\"}"), NULL, ERR_INPUT);
    check("zlib's wrapping", (struct span){"\x78\x9c\x03\0\0\0\0\1", 8}, NULL,
          ERR_INPUT);
    check("nothing at all", span_of(""), NULL, ERR_INPUT);
    for (size_t size = 1; size < all.size; size++)
        check("not whole", span_slice(all, 0, size), NULL, ERR_INPUT);
    good.at[good.size - 8] ^= 1;
    check("wrong checksum", all, NULL, ERR_INPUT);
    good.at[good.size - 8] ^= 1;
    good.at[good.size - 1] ^= 1;
    check("wrong length", all, NULL, ERR_INPUT);
    good.at[good.size - 1] ^= 1;
    bytes_put(&good, span_of("more"));
    check("bytes after it", span_bytes(&good), NULL, ERR_INPUT);
    bytes_free(&good);
}

static void test_limits(void **state) {
    static char much[1 << 20]; /* all zero: a thousandth of it packed */
    struct bytes bomb = gzip_of((struct span){much, sizeof much}, 9);
    struct bytes just = gzip_of((struct span){much, ROOM}, 9);
    struct bytes past = gzip_of((struct span){much, ROOM + 1}, 9);
    struct bytes flood = {0}, out = {.limit = ROOM};
    struct bytes none = gzip_of(span_of(""), 6);
    struct err err = {0};

    (void)state;
    assert_true(bomb.size < PACKED_MAX);
    check("a bomb", span_bytes(&bomb), NULL, ERR_LIMIT);
    check("one past", span_bytes(&past), NULL, ERR_LIMIT);
    assert_true(unpack(span_bytes(&just), SIZE_MAX, &out, &err));
    assert_int_equal(out.size, ROOM);
    out.size = 0;
    /* Members without content would never fill a buffer. */
    while (flood.size <= PACKED_MAX) bytes_put(&flood, span_bytes(&none));
    assert_false(unpack(span_bytes(&flood), 1000, &out, &err));
    assert_int_equal(err.code, ERR_LIMIT);
    assert_int_equal(out.size, 0);
    bytes_free(&bomb);
    bytes_free(&just);
    bytes_free(&past);
    bytes_free(&flood);
    bytes_free(&none);
    bytes_free(&out);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_whole),
        cmocka_unit_test(test_broken),
        cmocka_unit_test(test_limits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
