/* test_seen.c - what was clean once: known again under the same policy and on
 * the same channel only, and forgotten rather than kept without end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/hash.h"
#include "guard/seen.h"

static struct seen_mark mark(struct seen *s, const char *revision,
                             enum channel channel, const char *text) {
    return seen_mark(s, revision, channel, span_of(text));
}

static void test_known(void **state) {
    struct seen *s = seen_new();
    struct seen_mark m = mark(s, "0123456789abcdef", CHANNEL_INPUT, "hello");
    struct seen_mark other;

    (void)state;
    assert_false(seen_has(s, &m));
    seen_add(s, &m);
    assert_true(seen_has(s, &m));
    assert_true(seen_has(s, &m));
    m = mark(s, "0123456789abcdef", CHANNEL_INPUT, "hello");
    assert_true(seen_has(s, &m));
    other = mark(s, "0123456789abcdee", CHANNEL_INPUT, "hello");
    assert_false(seen_has(s, &other));
    other = mark(s, "0123456789abcdef", CHANNEL_OUTPUT, "hello");
    assert_false(seen_has(s, &other));
    other = mark(s, "0123456789abcdef", CHANNEL_INPUT, "hello!");
    assert_false(seen_has(s, &other));
    other = mark(s, "", CHANNEL_INPUT, "0123456789abcdefhello");
    assert_false(seen_has(s, &other));
    seen_free(s);
}

/* What one process remembers says nothing about another's. */
static void test_key(void **state) {
    struct seen *a = seen_new(), *b = seen_new();
    struct seen_mark one = mark(a, "r", CHANNEL_INPUT, "hello");
    struct seen_mark two = mark(b, "r", CHANNEL_INPUT, "hello");

    (void)state;
    assert_memory_not_equal(&one, &two, sizeof one);
    seen_free(a);
    seen_free(b);
}

/* Marks of one set, made by hand: what was used last stays. */
static void test_forgets(void **state) {
    enum { MANY = 64 };
    struct seen *s = seen_new();
    struct seen_mark first = {{1}}, m = {{0}};
    int kept = 0;

    (void)state;
    first.at[15] = 255;
    seen_add(s, &first);
    for (int i = 1; i <= MANY; i++) {
        m = (struct seen_mark){{1}};
        m.at[14] = (unsigned char)i;
        assert_false(seen_has(s, &m));
        seen_add(s, &m);
        assert_true(seen_has(s, &first));
    }
    assert_true(seen_has(s, &m));
    for (int i = 1; i <= MANY; i++) {
        m.at[14] = (unsigned char)i;
        kept += seen_has(s, &m);
    }
    assert_in_range(kept, 1, MANY - 1);
    for (int i = 1; i <= MANY; i++) {
        m.at[14] = (unsigned char)i;
        seen_add(s, &m);
    }
    assert_false(seen_has(s, &first));
    seen_free(s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known),
        cmocka_unit_test(test_key),
        cmocka_unit_test(test_forgets),
    };

    if (!hash_init(NULL)) return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
