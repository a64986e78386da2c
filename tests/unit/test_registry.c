/* test_registry.c - which tools get in, and that each is found. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tools/options.h"
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

static void test_open(void **state) {
    struct yaml *yaml =
        yaml_parse(span_of("- {time: {zone: x}}\n- {calculator: {}}\n- rm\n"),
                   "c.yaml", NULL);
    const cJSON *item = yaml_root(yaml)->child;
    struct registry *r = registry_new();
    struct tool_options o = {
        .name = "time", .yaml = yaml, .place = item, .map = item->child};
    struct err err = {0};

    (void)state;
    assert_false(registry_open(r, &o, &err));
    assert_string_equal(err.text, "c.yaml:1:11: unknown key \"zone\"");
    o = (struct tool_options){.name = "calculator",
                              .yaml = yaml,
                              .place = item->next,
                              .map = item->next->child};
    assert_true(registry_open(r, &o, &err));
    assert_false(registry_open(r, &o, &err));
    assert_string_equal(err.text, "c.yaml:2:3: calculator: there are two tools "
                                  "named \"calculator\"");
    o = (struct tool_options){
        .name = "rm", .yaml = yaml, .place = item->next->next};
    assert_false(registry_open(r, &o, &err));
    assert_string_equal(err.text, "c.yaml:3:3: rm: there is no tool \"rm\"");
    o = (struct tool_options){.name = "rm"};
    assert_false(registry_open(r, &o, &err));
    assert_string_equal(err.text, "tool \"rm\": there is no tool \"rm\"");
    registry_free(r);
    yaml_close(yaml);
}

static int closed;

static void on_close(struct tool *tool) {
    closed++;
    free(tool);
}

/* An owned tool is closed once: with the registry, or at once if refused. */
static void test_take(void **state) {
    struct registry *r = registry_new();
    struct err err = {0};

    (void)state;
    closed = 0;
    for (int i = 0; i < 2; i++) {
        struct tool *tool = xalloc(sizeof *tool);

        *tool = make("mine", "{}");
        tool->close = on_close;
        assert_int_equal(registry_take(r, tool, &err), i == 0);
        assert_int_equal(closed, i);
    }
    registry_free(r);
    assert_int_equal(closed, 2);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refused), cmocka_unit_test(test_builtins),
        cmocka_unit_test(test_full),    cmocka_unit_test(test_open),
        cmocka_unit_test(test_take),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
