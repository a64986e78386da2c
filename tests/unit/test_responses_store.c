/* test_responses_store.c - what is kept, for whom, and for how long. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "proxy/responses_store.h"

static void put(struct responses_store *s, const char *id, const char *owner,
                const char *response) {
    struct response_stored r = {span_of(response), span_of("[1]"),
                                span_of("[1,2]")};

    responses_store_put(s, id, owner, &r);
}

static bool has(const struct responses_store *s, const char *id,
                const char *owner) {
    struct response_stored found;

    return responses_store_find(s, span_of(id), owner, &found);
}

static void test_kept(void **state) {
    struct responses_store *s = responses_store_new();
    struct response_stored found;

    (void)state;
    put(s, "a", "", "{}");
    assert_true(responses_store_find(s, span_of("a"), "", &found));
    assert_true(span_is(found.response, "{}"));
    assert_true(span_is(found.input, "[1]"));
    assert_true(span_is(found.context, "[1,2]"));
    assert_false(has(s, "b", ""));
    responses_store_free(s);
}

/* Another's response is as if it had never been, to read and to remove. */
static void test_owner(void **state) {
    struct responses_store *s = responses_store_new();

    (void)state;
    put(s, "a", "ada", "{}");
    assert_false(has(s, "a", "bob"));
    assert_false(has(s, "a", ""));
    assert_false(responses_store_remove(s, span_of("a"), "bob"));
    assert_true(has(s, "a", "ada"));
    responses_store_free(s);
}

static void test_removed(void **state) {
    const char *const ids[] = {"a", "b", "c"};

    (void)state;
    for (int gone = 0; gone < 3; gone++) {
        struct responses_store *s = responses_store_new();

        for (int i = 0; i < 3; i++) put(s, ids[i], "", "{}");
        assert_true(responses_store_remove(s, span_of(ids[gone]), ""));
        assert_false(responses_store_remove(s, span_of(ids[gone]), ""));
        /* The list still takes more at its end. */
        put(s, "d", "", "{}");
        for (int i = 0; i < 3; i++)
            assert_int_equal(has(s, ids[i], ""), i != gone);
        assert_true(has(s, "d", ""));
        responses_store_free(s);
    }
}

static void test_count(void **state) {
    struct responses_store *s = responses_store_new();
    char id[32];

    (void)state;
    for (int i = 0; i <= RESPONSES_STORED_MAX; i++) {
        (void)snprintf(id, sizeof id, "r%d", i);
        put(s, id, "", "{}");
    }
    assert_false(has(s, "r0", ""));
    assert_true(has(s, "r1", ""));
    assert_true(has(s, id, ""));
    responses_store_free(s);
}

static void test_size(void **state) {
    struct responses_store *s = responses_store_new();
    size_t half = RESPONSES_BYTES_MAX / 2;
    char *large = xalloc(RESPONSES_BYTES_MAX + 2);
    struct response_stored r = {{large, half}, {large, 0}, {large, 1}};

    (void)state;
    put(s, "small", "", "{}");
    responses_store_put(s, "first", "", &r);
    assert_true(has(s, "small", ""));
    responses_store_put(s, "second", "", &r);
    assert_false(has(s, "small", ""));
    assert_false(has(s, "first", ""));
    assert_true(has(s, "second", ""));
    r.response.size = RESPONSES_BYTES_MAX;
    responses_store_put(s, "huge", "", &r);
    assert_false(has(s, "huge", ""));
    assert_true(has(s, "second", ""));
    free(large);
    responses_store_free(s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kept),    cmocka_unit_test(test_owner),
        cmocka_unit_test(test_removed), cmocka_unit_test(test_count),
        cmocka_unit_test(test_size),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
