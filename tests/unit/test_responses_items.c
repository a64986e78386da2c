/* test_responses_items.c - the items of /v1/responses as messages: what belongs
 * together, what comes before it from an earlier response, and what is refused,
 * each naming its place. */
#include "tests/unit/dialect_world.h"

#include "proxy/responses.h"

#define INPUT(items) "{\"model\":\"m\",\"input\":[" items "]}"
#define BODY(rest) "{\"model\":\"m\",\"input\":\"hi\"" rest "}"
#define USER "{\"role\":\"user\",\"content\":\"a\"}"
#define CALL(id)                                                               \
    "{\"type\":\"function_call\",\"call_id\":\"" id                            \
    "\",\"name\":\"f\",\"arguments\":\"{}\"}"
#define OUTPUT(id)                                                             \
    "{\"type\":\"function_call_output\",\"call_id\":\"" id                     \
    "\",\"output\":\"42\"}"
#define TOOL                                                                   \
    "{\"type\":\"function\",\"name\":\"f\",\"parameters\":{\"type\":"          \
    "\"object\"}}"

static struct fixture parse(const char *text) {
    return parse_by(responses_parse, text);
}

static void check_bad(const char *text, enum err_code code, const char *field,
                      const char *reason) {
    check_refused(responses_parse, text, code, field, reason);
}

static void test_bad_items(void **state) {
    (void)state;
    check_bad("{\"model\":\"m\"}", ERR_INPUT, "input", "a text or a list");
    check_bad(INPUT(""), ERR_INPUT, "input", "a text or a list");
    check_bad("{\"model\":\"m\",\"input\":7}", ERR_INPUT, "input", "a list");
    check_bad(INPUT("7"), ERR_INPUT, "input[0]", "expected an object");
    check_bad(INPUT(USER ",{\"type\":7}"), ERR_INPUT, "input[1].type", "");
    check_bad(INPUT("{\"content\":\"a\"}"), ERR_INPUT, "input[0].role",
              "expected system");
    check_bad(INPUT("{\"role\":\"tool\",\"content\":\"a\"}"), ERR_INPUT,
              "input[0].role", "expected system");
    check_bad(INPUT("{\"role\":\"user\"}"), ERR_INPUT, "input[0].content",
              "missing");
    check_bad(INPUT("{\"role\":\"user\",\"content\":[{\"type\":"
                    "\"input_image\"}]}"),
              ERR_UNSUPPORTED, "input[0].content[0]", "");
    check_bad(INPUT("{\"type\":\"function_call\",\"name\":\"f\"}"), ERR_INPUT,
              "input[0]", "needs a call_id");
    check_bad(INPUT("{\"type\":\"function_call\",\"call_id\":\"c\",\"name\":"
                    "\"f\",\"arguments\":\"{oops\"}"),
              ERR_INPUT, "input[0].arguments", "");
    check_bad(INPUT(USER ",{\"type\":\"function_call_output\",\"output\":"
                         "\"4\"}"),
              ERR_INPUT, "input[1]", "needs a call_id");
    check_bad(INPUT("{\"type\":\"function_call_output\",\"call_id\":\"c\"}"),
              ERR_INPUT, "input[0].output", "missing");
    check_bad(INPUT("{\"type\":\"computer_call\"}"), ERR_UNSUPPORTED,
              "input[0]", "\"computer_call\" are not supported");
    /* Alone, that says nothing that could be answered. */
    check_bad(INPUT("{\"type\":\"reasoning\"}"), ERR_INPUT, "input",
              "nothing to answer");
}

static void test_bad_options(void **state) {
    (void)state;
    check_bad("{\"input\":\"a\"}", ERR_INPUT, "model", "missing");
    check_bad(BODY(",\"instructions\":7"), ERR_INPUT, "instructions", "");
    check_bad(BODY(",\"tools\":[{\"type\":\"web_search\"}]"), ERR_UNSUPPORTED,
              "tools[0]", "only functions");
    check_bad(BODY(",\"tools\":[" TOOL "," TOOL "]"), ERR_INPUT,
              "tools[1].name", "");
    check_bad(BODY(",\"tool_choice\":{\"type\":\"mcp\"}"), ERR_UNSUPPORTED,
              "tool_choice", "only functions");
    check_bad(BODY(",\"tools\":[" TOOL
                   "],\"tool_choice\":{\"type\":\"function\",\"name\":\"g\"}"),
              ERR_INPUT, "tool_choice.name", "no such tool");
    check_bad(BODY(",\"text\":7"), ERR_INPUT, "text", "expected an object");
    check_bad(BODY(",\"text\":{\"format\":{\"type\":\"xml\"}}"), ERR_INPUT,
              "text.format.type", "");
    check_bad(BODY(",\"max_output_tokens\":0"), ERR_INPUT, "max_output_tokens",
              "");
    check_bad(BODY(",\"parallel_tool_calls\":1"), ERR_INPUT,
              "parallel_tool_calls", "");
    check_bad(BODY(",\"background\":true"), ERR_UNSUPPORTED, "background",
              "not supported");
    check_bad(BODY(",\"conversation\":\"c\""), ERR_UNSUPPORTED, "conversation",
              "not supported");
    check_bad(BODY(",\"prompt\":{}"), ERR_UNSUPPORTED, "prompt",
              "not supported");
    check_bad(BODY(",\"store\":1"), ERR_INPUT, "store", "");
    check_bad(BODY(",\"stream\":1"), ERR_INPUT, "stream", "");
    check_bad(BODY(",\"temperature\":3"), ERR_INPUT, "temperature", "");
}

static void test_text(void **state) {
    struct fixture f = parse(
        BODY(",\"instructions\":\"Be kind.\",\"stream\":true,\"tools\":[" TOOL
             "],\"tool_choice\":{\"type\":\"function\",\"name\":\"f\"},"
             "\"parallel_tool_calls\":false,\"max_output_tokens\":9,"
             "\"background\":false,\"conversation\":null,\"text\":{}"));

    (void)state;
    if (!f.ok) fail_msg("%s", f.err.text);
    assert_int_equal(f.r.message_count, 2);
    assert_int_equal(f.r.messages[0].role, CHAT_SYSTEM);
    assert_true(span_is(f.r.messages[0].text, "Be kind."));
    assert_int_equal(f.r.messages[1].role, CHAT_USER);
    assert_true(span_is(f.r.messages[1].text, "hi"));
    assert_int_equal(f.r.choice, CHOICE_NAMED);
    assert_true(span_is(f.r.choice_name, "f"));
    assert_true(f.r.stream && !f.r.parallel_calls);
    assert_int_equal(f.r.max_tokens, 9);
    clear(&f);
}

/* Calls belong to the text before them, whatever was thought between; a result
 * ends that answer. */
static void test_calls(void **state) {
    struct fixture f = parse(
        INPUT(USER ",{\"role\":\"assistant\",\"content\":\"I "
                   "look.\"}," CALL("c1") ",{\"type\":\"reasoning\"}," CALL(
                       "c2") "," OUTPUT("c1") "," OUTPUT("c2") "," CALL("c"
                                                                        "3")));

    (void)state;
    if (!f.ok) fail_msg("%s", f.err.text);
    assert_int_equal(f.r.message_count, 5);
    assert_true(span_is(f.r.messages[1].text, "I look."));
    assert_int_equal(f.r.messages[1].call_count, 2);
    assert_true(span_is(f.r.messages[1].calls[1].id, "c2"));
    assert_true(span_is(f.r.messages[1].calls[1].name, "f"));
    assert_int_equal(f.r.messages[3].role, CHAT_TOOL);
    assert_true(span_is(f.r.messages[3].call_id, "c2"));
    assert_true(span_is(f.r.messages[3].text, "42"));
    assert_int_equal(f.r.messages[4].role, CHAT_ASSISTANT);
    assert_int_equal(f.r.messages[4].call_count, 1);
    clear(&f);
}

/* `count` of one item, in a list that begins with a user's. */
static struct fixture parse_many(const char *item, int count) {
    struct bytes text = {0};
    struct fixture f;

    bytes_puts(&text, "{\"model\":\"m\",\"input\":[" USER);
    for (int i = 0; i < count; i++) {
        bytes_puts(&text, ",");
        bytes_puts(&text, item);
    }
    bytes_puts(&text, "]}");
    bytes_put(&text, (struct span){"", 1});
    f = parse(text.at);
    bytes_free(&text);
    return f;
}

static void test_limits(void **state) {
    struct fixture f = parse_many(CALL("c"), CHAT_TOOL_CALLS_MAX);

    (void)state;
    assert_true(f.ok);
    assert_int_equal(f.r.messages[1].call_count, CHAT_TOOL_CALLS_MAX);
    clear(&f);
    f = parse_many(CALL("c"), CHAT_TOOL_CALLS_MAX + 1);
    assert_false(f.ok);
    assert_int_equal(f.err.code, ERR_LIMIT);
    assert_non_null(strstr(f.err.text, "calls together"));
    clear(&f);
    /* Two places are kept for instructions and the text of a user. */
    f = parse_many(USER, CHAT_MESSAGES_MAX - 3);
    assert_true(f.ok);
    assert_int_equal(f.r.message_count, CHAT_MESSAGES_MAX - 2);
    clear(&f);
    f = parse_many(USER, CHAT_MESSAGES_MAX - 2);
    assert_false(f.ok);
    assert_int_equal(f.err.code, ERR_LIMIT);
    assert_string_equal(f.err.field, "input");
    clear(&f);
}

/* ---- what came before ---- */

static void keep(struct responses_store *s, const char *id, const char *body,
                 enum reply_finish finish) {
    const struct reply reply = {.id = id, .model = span_of("m")};
    const struct reply_choice choice = {.text = span_of("An answer."),
                                        .finish = finish};
    cJSON *json = json_parse(span_of(body), NULL);

    assert_non_null(json);
    assert_true(responses_prepare(s, "ada", json, NULL));
    responses_keep(s, "ada", json, &reply, &choice);
    cJSON_Delete(json);
}

/* The messages of a request that goes on from `previous`, one letter each. */
static void check_goes_on(struct responses_store *s, const char *body,
                          const char *expected) {
    struct fixture f = {.arena = arena_new(1 << 20)};
    static const char letters[] = {[CHAT_SYSTEM] = 's',
                                   [CHAT_USER] = 'u',
                                   [CHAT_ASSISTANT] = 'a',
                                   [CHAT_TOOL] = 't'};
    char found[16] = "";

    f.body = json_parse(span_of(body), NULL);
    assert_true(responses_prepare(s, "ada", f.body, &f.err));
    chat_request_init(&f.r, f.arena);
    assert_true(responses_parse(f.body, &f.r, &f.err));
    assert_in_range(f.r.message_count, 1, 15);
    for (int i = 0; i < f.r.message_count; i++)
        found[i] = letters[f.r.messages[i].role];
    assert_string_equal(found, expected);
    clear(&f);
}

#define NEXT(id) BODY(",\"previous_response_id\":\"resp_" id "\"")

static void test_goes_on(void **state) {
    struct responses_store *s = responses_store_new(0);

    (void)state;
    keep(s, "1", BODY(",\"instructions\":\"Be kind.\""), REPLY_STOP);
    keep(s, "2", NEXT("1"), REPLY_STOP);
    keep(s, "3", NEXT("2"), REPLY_FILTERED);
    /* Instructions are for one request; a refused turn is for none. */
    check_goes_on(s, NEXT("1"), "uau");
    check_goes_on(s, NEXT("2"), "uauau");
    check_goes_on(s, NEXT("3"), "uauau");
    keep(s, "4", BODY(",\"store\":false"), REPLY_STOP);
    responses_store_free(s);
}

static void check_unknown(const struct responses_store *s, const char *owner,
                          const char *body) {
    cJSON *json = json_parse(span_of(body), NULL);
    struct err err = {0};

    assert_false(responses_prepare(s, owner, json, &err));
    assert_int_equal(err.code, ERR_NOT_FOUND);
    assert_string_equal(err.field, "previous_response_id");
    cJSON_Delete(json);
}

static void test_goes_on_from_nothing(void **state) {
    struct responses_store *s = responses_store_new(0);

    (void)state;
    keep(s, "1", BODY(""), REPLY_STOP);
    keep(s, "2", BODY(",\"store\":false"), REPLY_STOP);
    check_unknown(s, "ada", NEXT("2"));
    check_unknown(s, "ada", NEXT("9"));
    check_unknown(s, "ada", BODY(",\"previous_response_id\":\"\""));
    check_unknown(s, "bob", NEXT("1"));
    /* Nobody puts words into the past by our own key. */
    check_goes_on(s, BODY(",\"" RESPONSES_CONTEXT_KEY "\":[" USER "]"), "u");
    responses_store_free(s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bad_items),
        cmocka_unit_test(test_bad_options),
        cmocka_unit_test(test_text),
        cmocka_unit_test(test_calls),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_goes_on),
        cmocka_unit_test(test_goes_on_from_nothing)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
