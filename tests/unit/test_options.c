/* test_options.c - a tool's options: what is read, and that what is wrong is
 * pointed at in the file and leaves the value as it was. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "tools/options.h"

static struct yaml *parse(const char *text, struct tool_options *o) {
    struct yaml *yaml = yaml_parse(span_of(text), "c.yaml", NULL);

    assert_non_null(yaml);
    *o = (struct tool_options){.name = "lamp",
                               .map = yaml_root(yaml),
                               .place = yaml_root(yaml),
                               .yaml = yaml,
                               .folder = "/etc/corral"};
    return yaml;
}

static void test_values(void **state) {
    struct tool_options o;
    struct yaml *yaml = parse("count: 3\non: true\ncolour: red\n"
                              "near: a/b\nfar: /c\nnothing: null\n",
                              &o);
    const char *colour = "none";
    char *near = NULL, *far = NULL;
    int count = 0, nothing = 7;
    bool on = false;
    struct err err;

    (void)state;
    assert_true(option_int(&o, "count", 1, 3, &count, &err));
    assert_int_equal(count, 3);
    assert_true(option_int(&o, "nothing", 1, 3, &nothing, &err));
    assert_true(option_int(&o, "absent", 1, 3, &nothing, &err));
    assert_int_equal(nothing, 7);
    assert_true(option_bool(&o, "on", &on, &err));
    assert_true(on);
    assert_true(option_text(&o, "colour", &colour, &err));
    assert_string_equal(colour, "red");
    assert_true(option_path(&o, "near", &near, &err));
    assert_string_equal(near, "/etc/corral/a/b");
    assert_true(option_path(&o, "far", &far, &err));
    assert_string_equal(far, "/c");
    o.folder = "";
    assert_true(option_path(&o, "near", &near, &err));
    assert_string_equal(near, "a/b");
    free(near);
    free(far);
    yaml_close(yaml);
}

static void test_refused(void **state) {
    static const char *const keys[] = {"count", "on", NULL};
    struct tool_options o;
    struct yaml *yaml = parse("count: 4\non: 1\ncolour: \"\"\n", &o);
    const char *colour = "none";
    int count = 0;
    bool on = false;
    struct err err;

    (void)state;
    assert_false(option_int(&o, "count", 1, 3, &count, &err));
    assert_string_equal(err.text, "c.yaml:1:8: lamp: count must be a whole "
                                  "number from 1 to 3");
    assert_int_equal(count, 0);
    assert_false(option_bool(&o, "on", &on, &err));
    assert_string_equal(err.text, "c.yaml:2:5: lamp: on must be true or false");
    assert_false(option_text(&o, "colour", &colour, &err));
    assert_string_equal(err.text, "c.yaml:3:9: lamp: colour must be a text "
                                  "that is not empty");
    assert_string_equal(colour, "none");
    assert_false(option_only(&o, keys, &err));
    assert_string_equal(err.text, "c.yaml:3:1: unknown key \"colour\"");
    o.yaml = NULL;
    assert_false(option_only(&o, keys, &err));
    assert_string_equal(err.text, "tool \"lamp\": unknown key \"colour\"");
    yaml_close(yaml);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
