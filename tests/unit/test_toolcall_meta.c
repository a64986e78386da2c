/* test_toolcall_meta.c - the calls of Llama 3 in Meta's forms: what Meta's own
 * parser reads in them is read here, nothing is evaluated, and the grammar lets
 * exactly such texts through. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "agent/python_text.h"
#include "tests/unit/call_world.h"

static void declare(struct world *w, const cJSON *calls,
                    struct chat_tool *tools) {
    const cJSON *call;

    w->request.tool_count = 0;
    w->request.tools = tools;
    cJSON_ArrayForEach(call, calls) {
        tools[w->request.tool_count++] = (struct chat_tool){
            .name = span_of(call->child->valuestring), .schema = w->schemas[0]};
    }
}

/* An answer as tests/reference/llama_dialogs.py wrote it, with the calls that
 * Meta's parser reads in it. */
static void check_answer(struct world *w, const cJSON *json) {
    const cJSON *expected = cJSON_GetObjectItem(json, "calls"), *call;
    struct span text =
        span_of(cJSON_GetStringValue(cJSON_GetObjectItem(json, "text")));
    struct chat_tool_call calls[4];
    struct chat_tool tools[4];
    struct err err = {0};
    int count = 0, i = 0;
    bool ok;

    if (cJSON_IsArray(expected)) declare(w, expected, tools);
    ok = toolcall_parse(TEMPLATE_LLAMA3_JSON, &w->request, text, w->arena,
                        calls, 4, &count, &err);
    if (!ok && cJSON_IsTrue(cJSON_GetObjectItem(json, "python_tag")))
        ok = toolcall_code(&w->request, text, w->arena, calls, &err) && ++count;
    if (ok != (bool)cJSON_IsArray(expected))
        fail_msg("%.*s: %s", (int)text.size, text.at, err.text);
    if (!ok) return;
    assert_int_equal(count, cJSON_GetArraySize(expected));
    cJSON_ArrayForEach(call, expected) {
        cJSON *arguments = json_parse(calls[i].arguments, &err);

        assert_true(span_is(calls[i++].name, call->child->valuestring));
        if (!cJSON_Compare(arguments, call->child->next, true))
            fail_msg("%.*s", (int)text.size, text.at);
        cJSON_Delete(arguments);
    }
}

static void test_reference(void **state) {
    struct bytes file = {0};
    struct span rest;
    int count = 0;

    assert_true(
        bytes_read_file(&file, "tests/unit/data/llama_calls.jsonl", NULL));
    for (rest = span_bytes(&file); rest.size; count++) {
        size_t end = span_find(rest, span_of("\n"));
        cJSON *json = json_parse(span_slice(rest, 0, end), NULL);

        check_answer(*state, json);
        cJSON_Delete(json);
        rest = span_slice(rest, end + 1, rest.size);
    }
    assert_true(count >= 35);
    bytes_free(&file);
}

/* What the reference's parser lets through, or Python would compute. */
static void test_refused(void **state) {
    static const char *const texts[] = {
        "I call <function=time>{}</function>",
        "<function=time>{}</function> and more",
        "<function=time>{'a': 1}</function>",
        "<function=rm>{}</function>",
        "<function=time>[]</function>",
        "<function=time>",
        "{\"type\": \"tool\", \"name\": \"time\", \"parameters\": {}}",
        "{\"name\": \"time\", \"parameters\": {}, \"x\": 1}",
        "[time()] and more",
        "[time(timezone=1, timezone=2)]",
        "[time(timezone=1+1)]",
        "[time(timezone=open('/etc/passwd'))]",
        "[time(timezone=__import__)]",
        "[time(timezone=f'{x}')]",
        "[time(timezone=r'x')]",
        "[time(timezone='a' 'b')]",
        "[time(timezone='''a''')]",
        "[time(timezone='a\nb')]",
        "[time(timezone='\\0')]",
        "[time(timezone='\\ud800')]",
        "[time(timezone=(1, 2))]",
        "[time(timezone=0x1F)]",
        "[time(timezone=1_000)]",
        "[time(timezone=01)]",
        "[time(timezone=1j)]",
        "[time(timezone=-)]",
        "[time(timezone={1: 2})]",
        "[time(timezone={'a': 1, 'a': 2})]",
        "[time(**{'timezone': 1})]",
        "[time(timezone=[1,,2])]",
        "[time.x()]",
        "time.call(query=\"x\") or so",
        "time.call(query=\"x)",
        "[time(), time(), time()]"};
    struct world *w = *state;
    struct bytes deep = {0};

    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        refuses(w, TEMPLATE_LLAMA3_PYTHON, texts[i]);
    bytes_puts(&deep, "[time(timezone=");
    for (int i = 0; i < 100000; i++) bytes_puts(&deep, "[");
    bytes_put(&deep, (struct span){"", 1});
    refuses(w, TEMPLATE_LLAMA3_PYTHON, deep.at);
    bytes_free(&deep);
    assert_false(
        toolcall_code(&w->request, span_of("1"), w->arena, NULL, NULL));
}

static void test_python_values(void **state) {
    static const char *const cases[][3] = {
        /* JSON, json.dumps(), arguments */
        {"{\"a\":1e2,\"b\":[1.50,-0,0.0001,1e-5,1e16,123456789012345678901]}",
         "{\"a\": 100.0, \"b\": [1.5, 0, 0.0001, 1e-05, 1e+16, "
         "123456789012345678901]}",
         "a=100.0, b=[1.5, 0, 0.0001, 1e-05, 1e+16, 123456789012345678901]"},
        {" { \"a\" : { \"b\" : null , \"c\":true } , \"d\":-0.0, "
         "\"e\":9007199254740993.0} ",
         "{\"a\": {\"b\": null, \"c\": true}, \"d\": -0.0, \"e\": "
         "9007199254740992.0}",
         "a={b=None, c=True}, d=-0.0, e=9007199254740992.0"},
        {"{\"a\":\"\\u00e9\\n\\ud83d\\ude00\\u007f\"}",
         "{\"a\": \"\\u00e9\\n\\ud83d\\ude00\\u007f\"}",
         "a=\"\303\251\n\360\237\230\200\177\""},
        {"{}", "{}", ""}};

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct bytes dumps = {0}, arguments = {0};

        assert_true(python_put_json(&dumps, span_of(cases[i][0]), NULL));
        assert_true(
            python_put_arguments(&arguments, span_of(cases[i][0]), NULL));
        bytes_put(&dumps, (struct span){"", 1});
        bytes_put(&arguments, (struct span){"", 1});
        assert_string_equal(dumps.at, cases[i][1]);
        assert_string_equal(arguments.at, cases[i][2]);
        bytes_free(&dumps);
        bytes_free(&arguments);
    }
}

static void test_grammar(void **state) {
    struct world *w = *state;
    struct grammar *g = grammar(w, TEMPLATE_LLAMA3_JSON);

    assert_true(allows(g, "{\"type\": \"function\", \"name\": "
                          "\"calculator\", \"parameters\": "
                          "{\"expression\": \"1\"}}"));
    assert_false(allows(g, "{\"name\": \"time\", \"parameters\": {}}"));
    grammar_free(g);
    g = grammar(w, TEMPLATE_LLAMA3_TAG);
    assert_true(
        allows(g, "<function=calculator>{\"expression\": \"1\"}</function>"));
    assert_false(allows(g, "<function=calculator>{}</function>"));
    assert_false(allows(g, "<function=rm>{}</function>"));
    grammar_free(g);
    g = grammar(w, TEMPLATE_LLAMA3_PYTHON);
    assert_true(allows(g, "[calculator(expression=\"1 + 1\")]"));
    assert_true(allows(g, "[time(), calculator(expression=\"1\")]"));
    assert_false(allows(g, "[calculator()]"));
    assert_false(allows(g, "[calculator(expression=1)]"));
    assert_false(allows(g, "[]"));
    assert_false(allows(g, "time()"));
    grammar_free(g);
}

static void test_python_grammar(void **state) {
    static const char schema[] =
        "{\"type\":\"object\",\"properties\":{\"on\":{\"type\":\"boolean\"},"
        "\"how\":{\"enum\":[null,\"a\",true]},\"deep\":{\"type\":\"object\","
        "\"properties\":{\"x\":{\"type\":[\"null\",\"number\"]}}}},"
        "\"required\":[\"on\"]}";
    struct world *w = *state;
    cJSON *json = json_parse(span_of(schema), NULL);
    struct grammar *g;
    struct err err = {0};

    w->tools[1].schema = json;
    g = grammar(w, TEMPLATE_LLAMA3_PYTHON);
    assert_true(allows(g, "[time(on=True)]"));
    assert_true(allows(g, "[time(on=False, how=None)]"));
    assert_true(allows(g, "[time(on=True, how=\"a\", deep={\"x\": None})]"));
    assert_true(allows(g, "[time(on=True, deep={\"x\": 2.5})]"));
    assert_false(allows(g, "[time(on=true)]"));
    assert_false(allows(g, "[time(how=None)]"));
    assert_false(allows(g, "[time(\"on\"=True)]"));
    grammar_free(g);
    cJSON_Delete(json);

    json = json_parse(span_of("{\"type\":\"object\",\"properties\":{\"a-b\":"
                              "{\"type\":\"string\"}}}"),
                      NULL);
    w->tools[1].schema = json;
    assert_null(toolcall_grammar(TEMPLATE_LLAMA3_PYTHON, &w->request, &err));
    assert_int_equal(err.code, ERR_UNSUPPORTED);
    cJSON_Delete(json);
}

/* Cut anywhere, it may still become the call that it is; and what is none is
 * known for it. */
static void test_look(void **state) {
    static const char *const calls[] = {
        "{ \"type\" :\n\"function\", \"name\":", "{\"name\":", "<function=",
        "[ calculator("};
    static const char *const others[] = {"Hello", "{\"answer\":", "[1", "<b>",
                                         "calculator("};
    struct world *w = *state;

    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
        struct span text = span_of(calls[i]);

        for (size_t size = 0; size < text.size; size++)
            assert_int_equal(toolcall_look(TEMPLATE_LLAMA3_TAG, &w->request,
                                           span_slice(text, 0, size)),
                             TOOLCALL_MAYBE);
        assert_int_equal(toolcall_look(TEMPLATE_LLAMA3_TAG, &w->request, text),
                         TOOLCALL_YES);
    }
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        assert_int_equal(
            toolcall_look(TEMPLATE_LLAMA3_TAG, &w->request, span_of(others[i])),
            TOOLCALL_NO);
    w->tools[0].name = span_of("web_search");
    assert_int_equal(
        toolcall_look(TEMPLATE_LLAMA3_TAG, &w->request,
                      span_of("brave_search.call(query=\"all of it\")")),
        TOOLCALL_MAYBE);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_reference, setup, teardown),
        cmocka_unit_test_setup_teardown(test_refused, setup, teardown),
        cmocka_unit_test(test_python_values),
        cmocka_unit_test_setup_teardown(test_grammar, setup, teardown),
        cmocka_unit_test_setup_teardown(test_python_grammar, setup, teardown),
        cmocka_unit_test_setup_teardown(test_look, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
