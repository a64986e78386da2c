/* test_env.c - variables in a configuration's texts: what is put in, once, and
 * what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/env.h"
#include "base/yaml.h"

static void fills(const char *text, const char *want, bool want_filled) {
    struct bytes out = {0};
    struct err err = {0};
    bool filled;

    if (!env_fill(span_of(text), &out, &filled, &err))
        fail_msg("%s: %s", text, err.text);
    if (!span_is(span_bytes(&out), want))
        fail_msg("%s: %.*s", text, (int)out.size, out.at);
    assert_int_equal(filled, want_filled);
    bytes_free(&out);
}

static void refuses(const char *text, const char *why) {
    struct bytes out = {0};
    struct err err = {0};
    bool filled;

    if (env_fill(span_of(text), &out, &filled, &err))
        fail_msg("%s: accepted", text);
    if (!strstr(err.text, why)) fail_msg("%s: %s", text, err.text);
    bytes_free(&out);
}

static int set_up(void **state) {
    (void)state;
    return setenv("TEST_A", "one", 1) || setenv("TEST_EMPTY", "", 1) ||
           setenv("TEST_AGAIN", "${TEST_A}$$", 1) || unsetenv("TEST_NONE") ||
           setenv("TEST_YAML", "x: [1, 2]\ny: &a", 1) ||
           setenv("TEST_NUMBER", "8080", 1) || setenv("TEST_NULL", "null", 1);
}

static void test_fill(void **state) {
    (void)state;
    fills("", "", false);
    fills("plain", "plain", false);
    fills("${TEST_A}", "one", true);
    fills("<${TEST_A}${TEST_A}>", "<oneone>", true);
    fills("${TEST_NONE:-two}", "two", true);
    fills("${TEST_EMPTY:-two}", "two", true);
    fills("${TEST_A:-two}", "one", true);
    fills("${TEST_NONE:-}", "", true);
    fills("${TEST_NONE:-a:-b$c}", "a:-b$c", true);
    fills("$${TEST_A}", "${TEST_A}", false);
    fills("$$$$", "$$", false);
    fills("$", "$", false);
    fills("US$5 {x}", "US$5 {x}", false);
    /* What came from outside is not looked at again. */
    fills("${TEST_AGAIN}", "${TEST_A}$$", true);
}

static void test_refused(void **state) {
    (void)state;
    refuses("${TEST_NONE}", "variable TEST_NONE is not set");
    refuses("${TEST_EMPTY}", "variable TEST_EMPTY is not set");
    refuses("a ${TEST_A", "without its }");
    refuses("${}", "is not ${NAME}");
    refuses("${1A}", "is not ${NAME}");
    refuses("${TEST-A}", "is not ${NAME}");
    refuses("${TEST_A:+x}", "is not ${NAME}");
    refuses("${ TEST_A}", "is not ${NAME}");
    refuses("${TEST_${TEST_A}}", "is not ${NAME}");
}

static void check_yaml(const char *text, const char *want) {
    struct bytes out = {0};
    struct err err = {0};
    struct yaml *yaml = yaml_parse_env(span_of(text), "f.yaml", &err);

    if (!yaml) {
        assert_string_equal(err.text, want);
        return;
    }
    assert_true(json_print(yaml_root(yaml), &out, &err));
    bytes_put(&out, (struct span){"", 1});
    assert_string_equal(out.at, want);
    bytes_free(&out);
    yaml_close(yaml);
}

static void test_yaml(void **state) {
    (void)state;
    check_yaml("a: ${TEST_NUMBER}\nb: \"${TEST_NUMBER}\"",
               "{\"a\":8080,\"b\":\"8080\"}");
    check_yaml("- ${TEST_NONE:-true}\n- '${TEST_A}'\n- $${TEST_A}",
               "[true,\"one\",\"${TEST_A}\"]");
    /* Never structure, never nothing, never a key. */
    check_yaml("a: ${TEST_YAML}", "{\"a\":\"x: [1, 2]\\ny: &a\"}");
    check_yaml("- ${TEST_NULL}\n- ${TEST_NONE:-}\n- ${TEST_NONE:-~}",
               "[\"null\",\"\",\"~\"]");
    check_yaml("${TEST_A}: 1", "{\"${TEST_A}\":1}");
    check_yaml("a: 1\nbcd: \"x ${TEST_NONE}\"",
               "f.yaml:2:6: the variable TEST_NONE is not set");
    check_yaml("a:\n  - ${TEST_A!}",
               "f.yaml:2:5: \"${TEST_A!}\" is not ${NAME} or ${NAME:-default};"
               " a plain $ is written $$");
}

/* Only who asks for it gets it: policies have no variables. */
static void test_plain_yaml(void **state) {
    struct yaml *yaml = yaml_parse(span_of("a: ${TEST_A} $$"), "f.yaml", NULL);

    (void)state;
    assert_non_null(yaml);
    assert_string_equal(cJSON_GetObjectItem(yaml_root(yaml), "a")->valuestring,
                        "${TEST_A} $$");
    yaml_close(yaml);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fill),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_yaml),
        cmocka_unit_test(test_plain_yaml),
    };

    return cmocka_run_group_tests(tests, set_up, NULL);
}
