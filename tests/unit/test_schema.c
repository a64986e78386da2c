/* test_schema.c - schemas that are understood, and values that fit them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tools/schema.h"

static bool valid(const char *schema, const char *value, struct err *err) {
    cJSON *s = json_parse(span_of(schema), NULL);
    cJSON *v = json_parse(span_of(value), NULL);
    bool ok;

    assert_non_null(s);
    assert_non_null(v);
    ok = schema_validate(s, v, err);
    cJSON_Delete(s);
    cJSON_Delete(v);
    return ok;
}

static void fits(const char *schema, const char *value) {
    struct err err = {0};

    if (!valid(schema, value, &err))
        fail_msg("%s for %s: %s", value, schema, err.text);
}

static void misfits(const char *schema, const char *value, const char *why) {
    struct err err = {0};

    if (valid(schema, value, &err)) fail_msg("%s fits %s", value, schema);
    if (!strstr(err.text, why)) fail_msg("%s: %s", value, err.text);
}

static void refused(const char *schema, const char *field) {
    cJSON *s = json_parse(span_of(schema), NULL);
    struct err err = {0};

    assert_non_null(s);
    assert_false(schema_check(s, &err));
    assert_string_equal(err.field, field);
    cJSON_Delete(s);
    /* Closed: nothing is valid for a schema that is not understood. */
    misfits(schema, "{}", "");
}

static void test_types(void **state) {
    (void)state;
    fits("{}", "[1,{\"a\":null}]");
    fits("{\"type\":\"integer\"}", "3");
    fits("{\"type\":\"integer\"}", "3.0");
    misfits("{\"type\":\"integer\"}", "3.5", "wrong type");
    fits("{\"type\":[\"string\",\"null\"]}", "null");
    misfits("{\"type\":[\"string\",\"null\"]}", "false", "wrong type");
    misfits("{\"type\":\"object\"}", "[]", "wrong type");
}

static void test_objects(void **state) {
    const char *s = "{\"type\":\"object\",\"properties\":{\"a\":{\"type\":"
                    "\"string\"},\"b\":{}},\"required\":[\"a\"]}";

    (void)state;
    fits(s, "{\"a\":\"x\"}");
    fits(s, "{\"b\":1,\"a\":\"x\"}");
    misfits(s, "{\"b\":1}", "a: missing");
    misfits(s, "{\"a\":1}", "a: of the wrong type");
    misfits(s, "{\"a\":\"x\",\"c\":1}", "c: there is no such argument");
    fits("{\"additionalProperties\":{\"type\":\"number\"}}", "{\"z\":1}");
    misfits("{\"additionalProperties\":{\"type\":\"number\"}}", "{\"z\":\"1\"}",
            "z");
    misfits("{\"additionalProperties\":false}", "{\"z\":1}", "z");
}

static void test_bounds(void **state) {
    (void)state;
    fits("{\"minimum\":1,\"maximum\":2}", "2");
    misfits("{\"minimum\":1}", "0", "too small");
    misfits("{\"maximum\":1}", "2", "too large");
    fits("{\"minLength\":2,\"maxLength\":2}", "\"\xC3\xA9\xC3\xA9\"");
    misfits("{\"minLength\":3}", "\"\xC3\xA9\xC3\xA9\"", "too short");
    misfits("{\"items\":{\"type\":\"string\"}}", "[\"a\",1]", "[1]");
    misfits("{\"maxItems\":1}", "[1,2]", "too long");
}

static void test_choices(void **state) {
    (void)state;
    fits("{\"enum\":[1,\"a\"]}", "\"a\"");
    misfits("{\"enum\":[1,\"a\"]}", "\"b\"", "not one of");
    misfits("{\"const\":1}", "2", "not the value");
    fits("{\"anyOf\":[{\"type\":\"string\"},{\"type\":\"null\"}]}", "null");
    misfits("{\"anyOf\":[{\"type\":\"string\"},{\"type\":\"null\"}]}", "1",
            "forms");
    misfits("{\"oneOf\":[{\"type\":\"number\"},{\"type\":\"integer\"}]}", "1",
            "forms");
}

static void test_refused(void **state) {
    (void)state;
    refused("{\"pattern\":\"a*\"}", "pattern");
    refused("{\"properties\":{\"a\":{\"not\":{}}}}", "properties.a.not");
    refused("{\"type\":\"text\"}", "type");
    refused("{\"required\":\"a\"}", "required");
    refused("{\"required\":[1]}", "required");
    refused("{\"anyOf\":[]}", "anyOf");
    refused("{\"anyOf\":[{\"type\":3}]}", "anyOf[0].type");
    refused("{\"items\":7}", "items");
    refused("{\"minimum\":\"1\"}", "minimum");
    refused("{\"maxLength\":-1}", "maxLength");
    refused("[]", "");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_types),   cmocka_unit_test(test_objects),
        cmocka_unit_test(test_bounds),  cmocka_unit_test(test_choices),
        cmocka_unit_test(test_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
