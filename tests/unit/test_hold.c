/* test_hold.c - a text leaves whole and without what could be a stop string,
 * however it was cut into tokens. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include "engine/hold.h"

/* Feed `text` in tokens that end at the bits of `cuts`; what left, as text
 * with its tokens counted. */
static void feed(struct span text, unsigned cuts, const char *const *stops,
                 int stop_count, struct bytes *out, size_t *tokens) {
    struct span list[4];
    struct hold h;
    size_t from = 0, count;
    bool stopped = false;

    for (int i = 0; i < stop_count; i++) list[i] = span_of(stops[i]);
    hold_init(&h, list, stop_count);
    *tokens = 0;
    for (size_t at = 1; at <= text.size && !stopped; at++) {
        size_t size;

        if (at < text.size && !(cuts >> (at - 1) & 1)) continue;
        stopped = hold_push(&h, (int)at, span_slice(text, from, at));
        from = at;
        if (stopped) break;
        size = hold_ready(&h, &count);
        bytes_put(out, span_slice(span_bytes(&h.text), 0, size));
        hold_drop(&h, size, count);
        *tokens += count;
    }
    hold_finish(&h);
    bytes_put(out, span_slice(span_bytes(&h.text), 0, hold_ready(&h, &count)));
    *tokens += count;
    hold_clear(&h);
}

static void check(const char *text, const char *const *stops, int stop_count,
                  const char *expected) {
    struct span s = span_of(text);

    for (unsigned cuts = 0; cuts < 1u << (s.size - 1); cuts++) {
        struct bytes out = {0};
        size_t tokens, all = (size_t)__builtin_popcount(cuts) + 1;

        feed(s, cuts, stops, stop_count, &out, &tokens);
        if (!span_equal(span_bytes(&out), span_of(expected)))
            fail_msg("%s, cuts %x: %.*s, not %s", text, cuts, (int)out.size,
                     out.at, expected);
        assert_in_range(tokens, 0, all);
        if (stop_count == 0) assert_int_equal(tokens, all);
        bytes_free(&out);
    }
}

static void test_plain(void **state) {
    (void)state;
    check("hello", NULL, 0, "hello");
    check("a\xC3\xA9\xE4\xB8\xAD\xF0\x9F\x98\x80z", NULL, 0,
          "a\xC3\xA9\xE4\xB8\xAD\xF0\x9F\x98\x80z");
}

static void test_bytes_that_are_no_text(void **state) {
    (void)state;
    check("a\xFF"
          "b",
          NULL, 0,
          "a\xEF\xBF\xBD"
          "b");
    check("a\xE4\xB8", NULL, 0, "a\xEF\xBF\xBD\xEF\xBF\xBD");
    check("\xC3(", NULL, 0, "\xEF\xBF\xBD(");
}

static void test_which_stop(void **state) {
    const struct span stops[] = {{"xy", 2}, {"bc", 2}, {"b", 1}};
    struct hold h;

    (void)state;
    hold_init(&h, stops, 3);
    assert_false(hold_push(&h, 1, span_of("a")));
    assert_int_equal(h.met, 0);
    assert_true(hold_push(&h, 2, span_of("bc")));
    assert_int_equal(h.met, 2); /* the first of those that begin first */
    hold_clear(&h);
}

static void test_stops(void **state) {
    static const char *const one[] = {"END"};
    static const char *const nested[] = {"ab", "bcd", "\n\n"};
    static const char *const accent[] = {"\xC3\xA9!"};

    (void)state;
    check("one END two", one, 1, "one ");
    check("one EN two", one, 1, "one EN two");
    check("EEND", one, 1, "E");
    check("one EN", one, 1, "one EN");
    check("END", one, 1, "");
    check("xbcabcd", nested, 3, "xbc");
    check("xbcd", nested, 3, "x");
    check("a\nb\n\nc", nested, 3, "a\nb");
    check("\xC3\xA8\xC3\xA9!x", accent, 1, "\xC3\xA8");
    check("\xC3\xA9.", accent, 1, "\xC3\xA9.");
}

/* Nothing waits longer than it must. */
static void test_held_back(void **state) {
    struct span stop = span_of("END");
    struct hold h;
    size_t count;

    (void)state;
    hold_init(&h, &stop, 1);
    assert_false(hold_push(&h, 7, span_of("one E")));
    assert_int_equal(hold_ready(&h, &count), 4);
    assert_int_equal(count, 0); /* the token's last byte stays */
    hold_drop(&h, 4, 0);
    assert_false(hold_push(&h, 8, span_of("x")));
    assert_int_equal(hold_ready(&h, &count), 2);
    assert_int_equal(count, 2);
    assert_int_equal(h.tokens[0], 7);
    hold_drop(&h, 2, 2);
    assert_false(hold_push(&h, 9, span_of(""))); /* a control token */
    assert_int_equal(hold_ready(&h, &count), 0);
    assert_int_equal(count, 1);
    assert_true(hold_push(&h, 10, span_of("aEND")));
    assert_int_equal(hold_ready(&h, &count), 1);
    assert_int_equal(count, 1); /* the one that spelled the stop is gone */
    hold_clear(&h);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plain),
        cmocka_unit_test(test_bytes_that_are_no_text),
        cmocka_unit_test(test_which_stop),
        cmocka_unit_test(test_stops),
        cmocka_unit_test(test_held_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
