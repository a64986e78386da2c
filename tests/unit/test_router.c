/* test_router.c - which model answers to which name. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "proxy/router.h"

static struct llm a = {.name = "a"}, b = {.name = "b"}, any = {.name = NULL};

static void test_find(void **state) {
    struct router *r = router_new();
    struct err err = {0};

    (void)state;
    assert_null(router_find(r, span_of("a")));
    assert_int_equal(router_count(r), 0);
    assert_true(router_add(r, "a", &a, &err));
    assert_true(router_add(r, "alias", &a, &err));
    assert_true(router_add(r, "b", &b, &err));
    assert_ptr_equal(router_find(r, span_of("a")), &a);
    assert_ptr_equal(router_find(r, span_of("alias")), &a);
    assert_ptr_equal(router_find(r, span_of("b")), &b);
    assert_null(router_find(r, span_of("A")));
    assert_null(router_find(r, span_of("")));
    assert_null(router_find(r, span_of("*")));
    assert_true(router_add(r, "*", &any, &err));
    assert_ptr_equal(router_find(r, span_of("anything")), &any);
    assert_ptr_equal(router_find(r, span_of("b")), &b);
    assert_int_equal(router_count(r), 3); /* "*" is no name to show */
    assert_string_equal(router_name(r, 1), "alias");
    router_free(r);
}

static void test_taken(void **state) {
    struct router *r = router_new();
    struct err err = {0};

    (void)state;
    assert_true(router_add(r, "a", &a, &err));
    assert_false(router_add(r, "a", &b, &err));
    assert_int_equal(err.code, ERR_INPUT);
    assert_true(router_add(r, "*", &a, &err));
    assert_false(router_add(r, "*", &b, &err));
    assert_ptr_equal(router_find(r, span_of("x")), &a);
    router_free(r);
}

static void test_any_alone(void **state) {
    struct router *r = router_new();
    struct err err = {0};

    (void)state;
    assert_true(router_add(r, "*", &any, &err));
    assert_int_equal(router_count(r), 1);
    assert_string_equal(router_name(r, 0), "default");
    router_free(r);
    router_free(NULL);
}

static void test_many(void **state) {
    struct router *r = router_new();
    struct err err = {0};
    char name[16];

    (void)state;
    for (int i = 0; i < 8192; i++) {
        (void)snprintf(name, sizeof name, "m%d", i);
        assert_true(router_add(r, name, i % 2 ? &a : &b, &err));
    }
    assert_ptr_equal(router_find(r, span_of("m8191")), &a);
    assert_false(router_add(r, "more", &a, &err));
    assert_int_equal(err.code, ERR_LIMIT);
    router_free(r);
}

static void test_users(void **state) {
    struct router *r = router_new();

    (void)state;
    assert_int_equal(router_users(r), 0);
    assert_ptr_equal(router_use(r), r);
    (void)router_use(r);
    router_leave(r);
    router_leave(NULL);
    assert_int_equal(router_users(r), 1);
    router_leave(r);
    assert_int_equal(router_users(r), 0);
    router_free(r);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_find), cmocka_unit_test(test_taken),
        cmocka_unit_test(test_any_alone), cmocka_unit_test(test_many),
        cmocka_unit_test(test_users)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
