/* test_sse.c - events out of a byte stream, wherever it was cut. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/sse.h"

static bool collect(void *user, struct span data, struct err *err) {
    struct bytes *out = user;

    return bytes_append(out, "[", 1, err) &&
           bytes_append(out, data.at, data.size, err) &&
           bytes_append(out, "]", 1, err);
}

/* Fed in two pieces, cut at every position, and byte by byte. */
static void check(const char *in, const char *expected) {
    size_t size = strlen(in);

    for (size_t cut = 0; cut <= size + 1; cut++) {
        struct sse sse = {0};
        struct bytes out = {0};
        struct err err = {0};
        size_t step = cut > size ? 1 : cut;

        for (size_t at = 0; at < size; at += step ? step : size) {
            struct span part = {in + at, size - at};

            if (step && part.size > step && (cut > size || at == 0))
                part.size = step;
            assert_true(sse_feed(&sse, part, collect, &out, &err));
            if (cut <= size && at) break;
        }
        assert_int_equal(out.size, strlen(expected));
        assert_memory_equal(out.at, expected, out.size);
        sse_clear(&sse);
        bytes_free(&out);
    }
}

static void test_events(void **state) {
    (void)state;
    check("data: a\n\n", "[a]");
    check("data:a\r\n\r\ndata: b\r\n\r\n", "[a][b]");
    check("data: a\r\rdata: b\r\r", "[a][b]");
    check("data: a\ndata: b\n\n", "[a\nb]");
    check("event: x\nid: 1\n: comment\ndata: a\n\n", "[a]");
    check("\xEF\xBB\xBF"
          "data: a\n\n",
          "[a]");
    check("data\n\n", "[]");
    check("data:  a\n\n", "[ a]");
    check("data: not ended\n", "");
    check("\n\n\nretry: 3\n\n", "");
}

static void check_place(const char *text, const char *id, int retry_ms) {
    struct sse sse = {0};
    struct bytes out = {0};
    struct err err = {0};

    assert_true(sse_feed(&sse, span_of(text), collect, &out, &err));
    assert_string_equal(sse.id, id);
    assert_int_equal(sse.retry_ms, retry_ms);
    sse_clear(&sse);
    bytes_free(&out);
}

/* Where a stream goes on, and when. */
static void test_place(void **state) {
    struct bytes much = {0};

    (void)state;
    check_place("data: a\n\n", "", 0);
    check_place("id: e-1\nretry: 500\ndata:\n\n", "e-1", 500);
    check_place("id: 1\ndata: a\n\ndata: b\n\nid: 2\n\n", "2", 0);
    check_place("id: 1\n\nid\n\n", "", 0);
    check_place("id: 1\n\nid: a\x01\n\n", "", 0);
    check_place("id: 1\n\nid: \xc3\xa9\n\n", "", 0);
    check_place("retry: 5\nretry: -1\nretry: 1e3\nretry:\n", "", 5);
    check_place("retry: 99999999\nretry: 100000000\n", "", 99999999);
    bytes_puts(&much, "id: 1\n\nid: ");
    for (int i = 0; i <= SSE_ID_MAX; i++) bytes_puts(&much, "x");
    bytes_put(&much, (struct span){"\n", 2});
    check_place(much.at, "", 0);
    bytes_free(&much);
}

static void test_limit(void **state) {
    struct sse sse = {0};
    struct bytes out = {0};
    struct err err = {0};
    char part[4096];
    bool ok = true;
    size_t fed = 0;

    (void)state;
    memset(part, 'x', sizeof part);
    while (ok && fed < 2 * (size_t)SSE_EVENT_BYTES_MAX) {
        ok = sse_feed(&sse, (struct span){part, sizeof part}, collect, &out,
                      &err);
        fed += sizeof part;
    }
    assert_false(ok);
    assert_int_equal(err.code, ERR_LIMIT);
    assert_true(fed > SSE_EVENT_BYTES_MAX);
    sse_clear(&sse);
    bytes_free(&out);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_events),
                                       cmocka_unit_test(test_place),
                                       cmocka_unit_test(test_limit)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
