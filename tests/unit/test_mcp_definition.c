/* test_mcp_definition.c - all that a model is told of a tool is in the text
 * that is judged, wherever in the definition it hides. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "tools/mcp_definition.h"

static void check(const char *json, const char *want) {
    cJSON *definition = json_parse(span_of(json), NULL);
    struct bytes out = {0};
    struct err err = {0};

    assert_non_null(definition);
    if (!mcp_definition_text(definition, &out, &err)) fail_msg("%s", err.text);
    if (!span_is(span_bytes(&out), want))
        fail_msg("%s: got\n%.*s", json, (int)out.size, out.at ? out.at : "");
    bytes_free(&out);
    cJSON_Delete(definition);
}

static void test_text(void **state) {
    (void)state;
    check("{}", "");
    check("{\"name\":\"add\",\"description\":\"Add two.\",\"title\":\"Sum\"}",
          "add\nSum\nAdd two.\n");
    check("{\"name\":7,\"description\":null,\"inputSchema\":3}", "");
    check("{\"name\":\"a\",\"inputSchema\":{\"type\":\"object\",\"properties\":"
          "{\"x\":{\"type\":\"string\",\"description\":\"how\"},"
          "\"type\":{\"type\":\"string\"}}}}",
          "a\nx\nhow\ntype\n");
    /* Words of its own that look like the schema's. */
    check("{\"inputSchema\":{\"properties\":{\"properties\":{\"properties\":"
          "{\"format\":{\"format\":\"date\",\"default\":\"now\"}}}}}}",
          "properties\nformat\nnow\n");
    check("{\"inputSchema\":{\"anyOf\":[{\"const\":\"one\"},{\"items\":{"
          "\"enum\":[\"two\",3,[\"deep\"]]}}],\"$defs\":{\"mine\":{}},"
          "\"examples\":[\"four\"],\"x-note\":\"five\"}}",
          "one\ntwo\ndeep\nmine\nfour\nfive\n");
    check("{\"annotations\":{\"title\":\"not shown to a model\"}}", "");
}

static void test_limit(void **state) {
    cJSON *definition = json_parse(span_of("{\"name\":\"0123456789\"}"), NULL);
    struct bytes out = {.limit = 10};
    struct err err = {0};

    (void)state;
    assert_false(mcp_definition_text(definition, &out, &err));
    assert_int_equal(err.code, ERR_LIMIT);
    bytes_free(&out);
    cJSON_Delete(definition);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text),
        cmocka_unit_test(test_limit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
