/* test_tool_calculator.c - sums that are right, and errors that a model can
 * read. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tools/tool_builtin.h"

static void is(const char *expression, const char *expected) {
    char out[64];
    struct err err = {0};

    if (!calculator_evaluate(span_of(expression), out, sizeof out, &err))
        fail_msg("%s: %s", expression, err.text);
    if (strcmp(out, expected) != 0)
        fail_msg("%s = %s, expected %s", expression, out, expected);
}

static void fails(const char *expression, const char *reason) {
    char out[64] = "untouched";
    struct err err = {0};

    if (calculator_evaluate(span_of(expression), out, sizeof out, &err))
        fail_msg("%s = %s, expected an error", expression, out);
    if (!strstr(err.text, reason)) fail_msg("%s: %s", expression, err.text);
    assert_string_equal(out, "untouched");
}

static void test_sums(void **state) {
    (void)state;
    is("2+3", "5");
    is(" 2 + 3*4 ", "14");
    is("(2+3)*4", "20");
    is("10-4-3", "3");
    is("100/10/2", "5");
    is("17 % 5", "2");
    is("7/2", "3.5");
    is("0.1+0.2", "0.3");
    is("1e3", "1000");
    is("2.5e-1*4", "1");
    is("9007199254740991", "9007199254740991");
    is("12345678*7654321", "94497782374638");
    is("2^53", "9007199254740992");
    is("1/3", "0.333333333333333");
    is("0*-1", "0");
    is("12 \xC3\x97 3 \xC3\xB7 4", "9");
    is("5 \xE2\x88\x92 2", "3");
    is("2+2=", "4");
}

static void test_signs_and_powers(void **state) {
    (void)state;
    is("-3+5", "2");
    is("--3", "3");
    is("2*-3", "-6");
    is("-2^2", "-4");
    is("(-2)^2", "4");
    is("2^3^2", "512");
    is("2**10", "1024");
    is("2^-1", "0.5");
}

static void test_functions(void **state) {
    (void)state;
    is("sqrt(144)", "12");
    is("abs(-7.5)", "7.5");
    is("round(2.5)", "3");
    is("floor(-1.5)", "-2");
    is("ceil(1.2)", "2");
    is("min(3, 1, 2)", "1");
    is("max(3, 1, 2)", "3");
    is("ln(e)", "1");
    is("log10(1000)", "3");
    is("exp(0)", "1");
    is("sin(0)", "0");
    is("cos(pi)", "-1");
    is("round(tan(pi/4))", "1");
    is("2*pi", "6.28318530717959");
}

static void test_errors(void **state) {
    (void)state;
    fails("", "no expression");
    fails("  ", "no expression");
    fails("1/0", "division by zero");
    fails("1 % 0", "division by zero");
    fails("0^-1", "too large");
    fails("10^400", "too large");
    fails("1e999", "too large");
    fails("9^9^9", "too large");
    fails("sqrt(-1)", "not defined");
    fails("ln(0)", "not defined");
    fails("(-8)^0.5", "not defined");
    fails("2+", "ends too early");
    fails("2 3", "expected an operator");
    fails("(2", "expected \")\"");
    fails("2)", "expected an operator");
    fails("1.2.3", "malformed");
    fails("sqrt 2", "expected \"(\"");
    fails("sqrt(1,2)", "one argument");
    fails("system(1)", "not this");
    fails("__import__", "expected a number");
    fails("x", "not this");
    fails("\xff", "UTF-8");
}

static void test_limits(void **state) {
    char deep[400], lengthy[CALCULATOR_BYTES_MAX + 2];

    (void)state;
    memset(deep, '(', sizeof deep);
    deep[sizeof deep - 1] = '\0';
    fails(deep, "nested too deeply");
    memset(deep, '-', sizeof deep - 1);
    fails(deep, "nested too deeply");
    memset(lengthy, '1', sizeof lengthy);
    lengthy[sizeof lengthy - 1] = '\0';
    fails(lengthy, "at most");
    lengthy[80] = '\0';
    fails(lengthy, "too long");
}

/* ---- as a tool ---- */

static const struct tool_context nobody = {0};

static void on_done(void *user, bool ok, struct span text) {
    (void)snprintf(user, 100, "%d %.*s", ok, (int)text.size, text.at);
}

static void test_tool(void **state) {
    char said[100] = "";
    cJSON *arguments = json_parse(span_of("{\"expression\":\"6*7\"}"), NULL);

    (void)state;
    assert_null(
        tool_calculator.run(&tool_calculator, arguments, &nobody, on_done, said));
    assert_string_equal(said, "1 42");
    cJSON_Delete(arguments);
    arguments = json_parse(span_of("{\"expression\":\"1/0\"}"), NULL);
    assert_null(
        tool_calculator.run(&tool_calculator, arguments, &nobody, on_done, said));
    assert_memory_equal(said, "0 division by zero", 18);
    cJSON_Delete(arguments);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sums),
        cmocka_unit_test(test_signs_and_powers),
        cmocka_unit_test(test_functions),
        cmocka_unit_test(test_errors),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_tool),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
