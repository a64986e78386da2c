/* test_trace.c - a trace goes on only when it came to the letter. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/hash.h"
#include "proxy/trace.h"

/* The example of the standard, section 3.2.2. */
#define ID "4bf92f3577b34da6a3ce929d0e0e4736"
#define SPAN "00f067aa0ba902b7"

static char parent[TRACE_SPAN_SIZE + 1];

static bool goes_on(const char *came, char out[TRACE_SIZE]) {
    trace_continue(came ? span_of(came) : (struct span){NULL, 0}, false, out,
                   parent);
    assert_int_equal(strlen(out), TRACE_SIZE - 1);
    assert_memory_equal(out, "00-", 3);
    assert_memory_not_equal(out + 36, SPAN, 16);
    return memcmp(out + 3, ID, 32) == 0;
}

static void test_continued(void **state) {
    char out[TRACE_SIZE];

    (void)state;
    assert_true(goes_on("00-" ID "-" SPAN "-01", out));
    assert_string_equal(out + 53, "01");
    assert_true(trace_sampled(out));
    assert_string_equal(parent, SPAN);
    assert_true(goes_on("00-" ID "-" SPAN "-00", out));
    assert_string_equal(out + 53, "00");
    assert_true(goes_on("cc-" ID "-" SPAN "-01-what-will-be", out));
}

static void test_begun_anew(void **state) {
    static const char *const wrong[] = {
        NULL,
        "",
        "00",
        "00-" ID "-" SPAN "-0",
        "00-" ID "-" SPAN "-01-",
        "00-" ID "-" SPAN "-01x",
        "cc-" ID "-" SPAN "-01x",
        "ff-" ID "-" SPAN "-01",
        "00-4BF92F3577B34DA6A3CE929D0E0E4736-" SPAN "-01",
        "00_" ID "-" SPAN "-01",
        "00-" ID "-0000000000000000-01",
        "00-" ID "-" SPAN "-0g"};
    char out[TRACE_SIZE];

    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_false(goes_on(wrong[i], out));
    assert_string_equal(parent, "");
    assert_false(trace_sampled(out));
    trace_continue(span_of("00-00000000000000000000000000000000-" SPAN "-01"),
                   true, out, parent);
    assert_true(trace_sampled(out));
    assert_memory_not_equal(out + 3, "00000000000000000000000000000000", 32);
}

static void test_child(void **state) {
    char out[TRACE_SIZE], child[TRACE_SIZE], again[TRACE_SIZE];

    (void)state;
    assert_true(goes_on("00-" ID "-" SPAN "-01", out));
    trace_child(out, child);
    trace_child(out, again);
    assert_memory_equal(child, out, TRACE_SPAN_AT);
    assert_memory_not_equal(child, out, TRACE_SIZE);
    assert_memory_not_equal(child, again, TRACE_SIZE);
    assert_string_equal(child + 52, "-01");
    assert_int_equal(strlen(child), TRACE_SIZE - 1);
}

/* Every prefix, and every byte turned into another: only the whole goes on. */
static void test_damaged(void **state) {
    static const char whole[] = "00-" ID "-" SPAN "-01";
    char came[sizeof whole], out[TRACE_SIZE];

    (void)state;
    for (size_t size = 0; size < sizeof whole - 1; size++) {
        memcpy(came, whole, size);
        came[size] = '\0';
        assert_false(goes_on(came, out));
    }
    for (size_t i = 0; i < sizeof whole - 1; i++) {
        memcpy(came, whole, sizeof whole);
        came[i] = 'G';
        assert_false(goes_on(came, out));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_continued),
        cmocka_unit_test(test_begun_anew),
        cmocka_unit_test(test_child),
        cmocka_unit_test(test_damaged),
    };
    struct err err;

    if (!hash_init(&err)) return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
