/* test_rules_scratch.c - threads that scan with the same rules at once find
 * what one finds alone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <pthread.h>
#include <string.h>

#include <cmocka.h>
#include <hs/hs.h>

#include "guard/rules.h"
#include "guard/rules_scratch.h"
#include "guard/rules_whole.h"

/* More threads than have places of their own. */
enum { THREADS = 40, SCANS = 300, HITS = 16 };

static const char text[] = "a zebra crossing, then zebra99 and zebra crossing";

struct scanner {
    pthread_t thread;
    const struct rules *rules;
    const struct rules_whole *whole;
    int wrong;
};

/* cmocka's asserts are the main thread's. */
static void *scan(void *user) {
    struct scanner *s = user;
    struct rule_hit hits[HITS];
    struct err err = {0};

    for (int i = 0; i < SCANS; i++) {
        bool matches = false;
        int count = 0;

        if (!rules_scan(s->rules, span_of(text), hits, HITS, &count, &err) ||
            count != 3 || hits[0].from != 2 || hits[1].from != 23)
            s->wrong++;
        if (!rules_whole_match(s->whole, span_of("api.example.org"), &matches,
                               &err) ||
            !matches)
            s->wrong++;
    }
    return NULL;
}

static void test_threads(void **state) {
    struct rules_builder *b = rules_builder_new();
    struct scanner scanners[THREADS];
    struct rules_whole *whole;
    struct rules *rules;
    struct err err = {0};

    (void)state;
    assert_true(
        rules_add_literal(b, 0, span_of("zebra crossing"), false, &err));
    assert_true(rules_add_pattern(b, 1, span_of("zebra[0-9]{2}"), &err));
    rules = rules_build(b, &err);
    rules_builder_free(b);
    whole = rules_whole_new("[a-z.]+\\.example\\.org", &err);
    assert_non_null(rules);
    assert_non_null(whole);
    for (int i = 0; i < THREADS; i++) {
        scanners[i] = (struct scanner){.rules = rules, .whole = whole};
        assert_int_equal(
            pthread_create(&scanners[i].thread, NULL, scan, &scanners[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        (void)pthread_join(scanners[i].thread, NULL);
        assert_int_equal(scanners[i].wrong, 0);
    }
    rules_whole_free(whole);
    rules_free(rules);
}

static struct hs_scratch *taken(struct scratch_shelf *s) {
    struct hs_scratch *scratch = scratch_take(s);

    assert_non_null(scratch);
    return scratch;
}

/* A scan within a scan has a place of its own, and what was put back is found
 * again; more than that goes, and is not lost (the sanitizer's to see). */
static void test_shelf(void **state) {
    struct scratch_shelf *s = scratch_shelf_new();
    struct hs_scratch *a, *b, *c, *again;
    hs_compile_error_t *error = NULL;
    hs_database_t *db = NULL;

    (void)state;
    assert_int_equal(hs_compile("a", 0, HS_MODE_BLOCK, NULL, &db, &error),
                     HS_SUCCESS);
    assert_true(scratch_shelf_fit(s, db));
    a = taken(s);
    b = taken(s);
    c = taken(s);
    assert_ptr_not_equal(a, b);
    assert_ptr_not_equal(a, c);
    assert_ptr_not_equal(b, c);
    scratch_put(s, b);
    assert_ptr_equal(taken(s), b);
    scratch_put(s, a);
    scratch_put(s, b);
    scratch_put(s, c);
    again = taken(s);
    assert_true(again == a || again == b);
    scratch_put(s, again);
    scratch_shelf_free(s);
    (void)hs_free_database(db);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_threads),
                                       cmocka_unit_test(test_shelf)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
