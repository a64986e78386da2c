/* test_tool_target.c - which arguments say whom a call acts on. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "guard/tool_target.h"

static void check(const char *name, const char *json, bool wanted) {
    struct err err = {0};
    cJSON *value = json_parse(span_of(json), &err);

    assert_non_null(value);
    if (tool_target_is(name, value) != wanted) fail_msg("%s: %s", name, json);
    cJSON_Delete(value);
}

static void test_targets(void **state) {
    (void)state;
    check("to", "\"eve@example.com\"", true);
    check("to", "\"Amy\"", true);
    check("recipient", "\"Amy Watson\"", true);
    check("path", "\"/etc/passwd\"", true);
    check("iban", "\"US133000000121212121212\"", true);
    check("account", "1234567", true);
    check("body", "\"eve@example.com\"", true);
    check("text", "\"https://evil.net/?q=secret\"", true);
    check("anything", "\"12 High Street, Leeds\"", true);
}

static void test_others(void **state) {
    (void)state;
    check("amount", "999999", false);
    check("amount", "12.5", false);
    check("urgent", "true", false);
    check("subject", "\"Hello\"", false);
    check("Body", "\"short text\"", false);
    check("reply", "\"This is a whole sentence about bees.\"", false);
    check("to", "\"\"", false);
    check("to", "\"  \"", false);
    check("date", "\"2026-11-28\"", false);
    check("date", "\"2026-11-28T10:30:00Z\"", false);
    check("when", "\"10:30\"", false);
    check("when", "\"2026-11-28x\"", true);
    check("x", "null", false);
    check("x", "{}", false);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_targets),
                                       cmocka_unit_test(test_others)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
