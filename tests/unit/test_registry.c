/* test_registry.c - which tools get in, and that each is found. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "tools/registry.h"

static struct tool make(const char *name, const char *schema) {
    return (struct tool){.name = name, .description = "", .schema = schema};
}

static void check_refused(const char *name, const char *schema) {
    struct registry *r = registry_new();
    struct tool tool = make(name, schema);
    struct err err = {0};

    assert_false(registry_add(r, &tool, &err));
    assert_int_equal(err.code, ERR_INPUT);
    assert_int_equal(registry_count(r), 0);
    registry_free(r);
}

static void test_refused(void **state) {
    char name[TOOL_NAME_MAX + 2];

    (void)state;
    memset(name, 'a', sizeof name);
    name[sizeof name - 1] = '\0';
    check_refused(name, "{}");
    check_refused("", "{}");
    check_refused("a b", "{}");
    check_refused("a\"b", "{}");
    check_refused("a", "");
    check_refused("a", "{");
    check_refused("a", "[]");
    check_refused("a", "{\"type\":\"text\"}");
    check_refused("a", "{\"pattern\":\"x\"}");
}

static void test_builtins(void **state) {
    struct registry *r = registry_new();
    struct err err = {0};

    (void)state;
    assert_true(registry_add_builtin(r, "calculator", &err));
    assert_true(registry_add_builtin(r, "time", &err));
    assert_false(registry_add_builtin(r, "time", &err));
    assert_int_equal(err.code, ERR_INPUT);
    assert_false(registry_add_builtin(r, "rm", &err));
    assert_int_equal(err.code, ERR_NOT_FOUND);
    assert_int_equal(registry_count(r), 2);
    assert_string_equal(registry_at(r, 1)->name, "time");
    assert_true(cJSON_IsObject(registry_schema(r, 1)));
    assert_ptr_equal(registry_find(r, span_of("time")), registry_at(r, 1));
    assert_null(registry_find(r, span_of("tim")));
    assert_null(registry_find(r, span_of("timer")));
    registry_free(r);
    registry_free(NULL);
}

static void test_full(void **state) {
    struct registry *r = registry_new();
    struct tool tools[REGISTRY_TOOLS_MAX + 1];
    char names[REGISTRY_TOOLS_MAX + 1][16];
    struct err err = {0};

    (void)state;
    for (int i = 0; i <= REGISTRY_TOOLS_MAX; i++) {
        (void)snprintf(names[i], sizeof names[i], "t%d", i);
        tools[i] = make(names[i], "{}");
        assert_int_equal(registry_add(r, &tools[i], &err),
                         i < REGISTRY_TOOLS_MAX);
    }
    assert_int_equal(err.code, ERR_LIMIT);
    registry_free(r);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_builtins),
        cmocka_unit_test(test_full),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
