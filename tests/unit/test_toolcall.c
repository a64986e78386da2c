/* test_toolcall.c - what counts as a tool call, and that the grammar lets
 * exactly such texts through. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/call_world.h"

/* ---- the parser ---- */

/* `expected` is "name arguments" of every call, each on a line. */
static void reads(struct world *w, enum template_kind kind, const char *text,
                  const char *expected) {
    struct chat_tool_call calls[4];
    struct bytes seen = {0};
    struct err err = {0};
    int count = 0;

    if (!toolcall_parse(kind, &w->request, span_of(text), w->arena, calls, 4,
                        &count, &err))
        fail_msg("%s: %s", text, err.text);
    for (int i = 0; i < count; i++) {
        assert_true(span_starts(calls[i].id, span_of("call_")));
        for (int j = 0; j < i; j++)
            assert_false(span_equal(calls[i].id, calls[j].id));
        bytes_put(&seen, calls[i].name);
        bytes_puts(&seen, " ");
        bytes_put(&seen, calls[i].arguments);
        bytes_puts(&seen, "\n");
    }
    bytes_put(&seen, (struct span){"", 1});
    assert_string_equal(seen.at, expected);
    bytes_free(&seen);
}

#define CALL(body) "<tool_call>\n" body "\n</tool_call>"
#define TIME "{\"name\": \"time\", \"arguments\": {}}"

static void test_chatml(void **state) {
    reads(*state, TEMPLATE_CHATML, CALL(TIME), "time {}\n");
    reads(*state, TEMPLATE_CHATML, "<tool_call>" TIME "</tool_call>\n",
          "time {}\n");
    reads(*state, TEMPLATE_CHATML,
          CALL("{\"arguments\":{\"expression\": \"1 + 1\"},"
               "\"name\":\"calculator\"}"),
          "calculator {\"expression\": \"1 + 1\"}\n");
    reads(*state, TEMPLATE_CHATML_BARE,
          CALL(TIME) "\n" CALL("{\"name\": \"time\", \"arguments\": "
                               "{\"timezone\":\"</tool_call>\\\"}\"}}"),
          "time {}\ntime {\"timezone\":\"</tool_call>\\\"}\"}\n");
}

static void test_llama3(void **state) {
    reads(*state, TEMPLATE_LLAMA3, "{\"name\": \"time\", \"parameters\": {}}",
          "time {}\n");
    reads(*state, TEMPLATE_LLAMA3,
          "{\"name\": \"time\", \"parameters\": {}}; {\"name\": "
          "\"calculator\", \"parameters\": {\"expression\": \"2\"}}",
          "time {}\ncalculator {\"expression\": \"2\"}\n");
}

static void test_refused(void **state) {
    static const char *const chatml[] = {
        "",
        "hello",
        TIME,
        "I will call <tool_call>" TIME "</tool_call>",
        "<tool_call>" TIME,
        CALL(TIME) " and more",
        CALL(TIME) "{}",
        CALL("{\"name\": \"rm\", \"arguments\": {}}"),
        CALL("{\"name\": \"time\"}"),
        CALL("{\"name\": \"time\", \"arguments\": \"{}\"}"),
        CALL("{\"name\": \"time\", \"arguments\": [1]}"),
        CALL("{\"name\": 1, \"arguments\": {}}"),
        CALL("{\"name\": \"time\", \"arguments\": {}, \"x\": 1}"),
        CALL("{\"name\": \"time\", \"arguments\": {}, \"name\": \"x\"}"),
        CALL("{\"name\": \"time\", \"\\u0061rguments\": {}}"),
        CALL("{\"name\": \"time\", \"arguments\": {\"a\": \x01 1}}"),
        CALL("[" TIME "]"),
        CALL(TIME) "\n" CALL(TIME) "\n" CALL(TIME)}; /* one past `max` */

    for (size_t i = 0; i < sizeof chatml / sizeof *chatml; i++)
        refuses(*state, TEMPLATE_CHATML, chatml[i]);
    refuses(*state, TEMPLATE_LLAMA3, TIME);
    refuses(*state, TEMPLATE_LLAMA3, CALL(TIME));
    refuses(*state, TEMPLATE_LLAMA3,
            "{\"name\": \"time\", \"parameters\": {}} ok");
}

/* A call that is cut anywhere is none. */
static void test_cut(void **state) {
    static const char text[] = CALL(
        "{\"name\": \"calculator\", \"arguments\": {\"expression\": \"1\"}}");
    struct world *w = *state;
    struct chat_tool_call calls[2];
    int count = 0;

    for (size_t size = 0; size < sizeof text - 1; size++)
        assert_false(toolcall_parse(TEMPLATE_CHATML, &w->request,
                                    (struct span){text, size}, w->arena, calls,
                                    2, &count, NULL));
    assert_true(toolcall_parse(TEMPLATE_CHATML, &w->request, span_of(text),
                               w->arena, calls, 2, &count, NULL));
}

/* ---- the grammar ---- */

static void test_grammar(void **state) {
    static const char sum[] = CALL("{\"name\": \"calculator\", \"arguments\": "
                                   "{\"expression\": \"1+1\"}}");
    struct world *w = *state;
    struct grammar *g = grammar(w, TEMPLATE_CHATML);

    assert_true(allows(g, sum));
    assert_true(allows(g, CALL(TIME)));
    assert_true(allows(g, CALL(TIME) "\n" CALL(TIME)));
    assert_false(allows(g, "hello"));
    assert_false(allows(g, CALL("{\"name\": \"rm\", \"arguments\": {}}")));
    assert_false(
        allows(g, CALL("{\"name\": \"calculator\", \"arguments\": {}}")));
    assert_false(allows(g, CALL("{\"name\": \"time\", \"arguments\": []}")));
    grammar_free(g);

    w->request.choice = CHOICE_NAMED;
    w->request.choice_name = span_of("calculator");
    g = grammar(w, TEMPLATE_CHATML);
    assert_true(allows(g, sum));
    assert_false(allows(g, CALL(TIME)));
    grammar_free(g);

    w->request.choice = CHOICE_REQUIRED;
    w->request.parallel_calls = false;
    g = grammar(w, TEMPLATE_CHATML);
    assert_true(allows(g, CALL(TIME)));
    assert_false(allows(g, CALL(TIME) "\n" CALL(TIME)));
    grammar_free(g);

    g = grammar(w, TEMPLATE_LLAMA3);
    assert_true(allows(g, "{\"name\": \"time\", \"parameters\": {}}"));
    assert_true(span_starts(span_of("{\"name\": \"time\", \"parameters\": {}}"),
                            toolcall_start(TEMPLATE_LLAMA3)));
    grammar_free(g);
}

static void test_grammar_refused(void **state) {
    struct world *w = *state;
    cJSON *schema = json_parse(
        span_of("{\"type\":\"object\",\"properties\":{\"a\":{\"type\":"
                "\"string\",\"pattern\":\"(?=a)\"}}}"),
        NULL);
    struct err err = {0};

    w->tools[1].schema = schema;
    assert_null(toolcall_grammar(TEMPLATE_CHATML, &w->request, &err));
    assert_int_equal(err.code, ERR_UNSUPPORTED);
    if (strncmp(err.field, "tools[1].function.parameters", 28) != 0)
        fail_msg("%s", err.field);
    cJSON_Delete(schema);

    w->request.choice = CHOICE_NAMED;
    w->request.choice_name = span_of("rm");
    assert_null(toolcall_grammar(TEMPLATE_CHATML, &w->request, &err));
    assert_int_equal(err.code, ERR_INPUT);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_chatml, setup, teardown),
        cmocka_unit_test_setup_teardown(test_llama3, setup, teardown),
        cmocka_unit_test_setup_teardown(test_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_cut, setup, teardown),
        cmocka_unit_test_setup_teardown(test_grammar, setup, teardown),
        cmocka_unit_test_setup_teardown(test_grammar_refused, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
