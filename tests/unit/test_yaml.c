/* test_yaml.c - YAML as a tree, and mistakes with their place. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/yaml.h"

static void check(const char *text, const char *want) {
    struct bytes out = {0};
    struct err err = {0};
    struct yaml *yaml = yaml_parse(span_of(text), "f.yaml", &err);

    if (!yaml) print_error("%s: %s\n", text, err.text);
    assert_non_null(yaml);
    assert_true(json_print(yaml_root(yaml), &out, &err));
    bytes_put(&out, (struct span){"", 1});
    assert_string_equal(out.at, want);
    bytes_free(&out);
    yaml_close(yaml);
}

static void test_values(void **state) {
    (void)state;
    check("a: 1\nb: [x, 'y', true]\n", "{\"a\":1,\"b\":[\"x\",\"y\",true]}");
    check("", "null");
    check("# nothing\n", "null");
    check("a:\n", "{\"a\":null}");
    check("a: ~\nb: 'null'\nc: \"true\"", "{\"a\":null,\"b\":\"null\","
                                          "\"c\":\"true\"}");
    /* YAML 1.1 would have made booleans and octals of these. */
    check("[no, yes, off, 010, 0x10, 1e3, -.5, .inf]",
          "[\"no\",\"yes\",\"off\",10,\"0x10\",1000,-0.5,\".inf\"]");
    check("a: |\n  two\n  lines\n", "{\"a\":\"two\\nlines\\n\"}");
    check("- {on: input, text: \"x: y\"}", "[{\"on\":\"input\",\"text\":"
                                           "\"x: y\"}]");
}

static void check_error(const char *text, const char *begins) {
    struct err err = {0};
    struct yaml *yaml = yaml_parse(span_of(text), "f.yaml", &err);

    if (yaml) print_error("%s: accepted\n", text);
    assert_null(yaml);
    assert_int_equal(err.code, ERR_INPUT);
    if (strncmp(err.text, begins, strlen(begins)) != 0)
        print_error("%s: %s\n", text, err.text);
    assert_memory_equal(err.text, begins, strlen(begins));
}

static void test_errors(void **state) {
    (void)state;
    check_error("a: [1\nb: 2", "f.yaml:2:");
    check_error("a: 1\na: 2", "f.yaml:2:1: ");
    check_error("a: &x 1\nb: *x", "f.yaml:");
    check_error("a: !!str 1", "f.yaml:1:4: ");
    check_error("--- 1\n--- 2", "f.yaml:2:");
    check_error("a: b\n\tc: d", "f.yaml:2:");
    check_error("? [a]\n: b", "f.yaml:1:");
    check_error("a: \"\\0\"", "f.yaml:1:4: ");
    check_error("a: \xFF", "f.yaml:");
}

static void test_depth(void **state) {
    char text[4 * JSON_DEPTH_MAX + 1];

    (void)state;
    memset(text, '[', 2 * JSON_DEPTH_MAX);
    memset(text + 2 * JSON_DEPTH_MAX, ']', 2 * JSON_DEPTH_MAX);
    text[4 * JSON_DEPTH_MAX] = '\0';
    check_error(text, "f.yaml:1:");
}

static void test_place(void **state) {
    const char *text = "a: 1\nb:\n  - x\n  - key: y\n";
    const char *const keys[] = {"a", NULL};
    struct err err = {0};
    struct yaml *yaml = yaml_parse(span_of(text), "f.yaml", &err);
    const cJSON *root = yaml_root(yaml), *b, *item;
    int line, column;

    (void)state;
    b = cJSON_GetObjectItemCaseSensitive(root, "b");
    item = cJSON_GetArrayItem(b, 1);
    yaml_place(yaml, item, &line, &column);
    assert_int_equal(line, 4);
    assert_int_equal(column, 5);
    assert_false(yaml_fail(yaml, item, &err, "no %s", "good"));
    assert_string_equal(err.text, "f.yaml:4:5: no good");
    assert_false(yaml_only_keys(yaml, root, keys, &err));
    assert_memory_equal(err.text, "f.yaml:2:1: unknown", 19);
    assert_false(yaml_only_keys(yaml, item, keys, &err));
    yaml_close(yaml);
    yaml_close(NULL);
}

static void test_missing_file(void **state) {
    struct err err = {0};

    (void)state;
    assert_null(yaml_open("/nonexistent.yaml", &err));
    assert_int_equal(err.code, ERR_NOT_FOUND);
    assert_non_null(strstr(err.text, "/nonexistent.yaml"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values),       cmocka_unit_test(test_errors),
        cmocka_unit_test(test_depth),        cmocka_unit_test(test_place),
        cmocka_unit_test(test_missing_file),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
