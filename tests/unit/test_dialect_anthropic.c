/* test_dialect_anthropic.c - bodies that are refused, each naming its field;
 * what a good one becomes; and the bytes of answers. */
#include "tests/unit/dialect_world.h"

#define TURN(role, content) "{\"role\":\"" role "\",\"content\":" content "}"
#define USER TURN("user", "\"hi\"")
#define BODY(rest)                                                             \
    "{\"model\":\"m\",\"max_tokens\":9,\"messages\":[" USER "]" rest "}"
#define SAID(turns)                                                            \
    "{\"model\":\"m\",\"max_tokens\":9,\"messages\":[" turns "]}"
#define TOOL "{\"name\":\"f\",\"input_schema\":{\"type\":\"object\"}}"
#define TEXT(text) "{\"type\":\"text\",\"text\":\"" text "\"}"

static struct fixture parse(const struct dialect *d, const char *text) {
    return parse_by(d->parse, text);
}

static void check_code(const char *text, const char *field,
                       enum err_code code) {
    check_refused(dialect_anthropic.parse, text, code, field, "");
}

static void check_bad(const char *text, const char *field) {
    check_code(text, field, ERR_INPUT);
}

static void test_bad(void **state) {
    (void)state;
    check_bad("{\"max_tokens\":9,\"messages\":[" USER "]}", "model");
    check_bad("{\"model\":\"m\",\"messages\":[" USER "]}", "max_tokens");
    check_bad("{\"model\":\"m\",\"max_tokens\":9}", "messages");
    check_bad(SAID(""), "messages");
    check_bad(SAID("7"), "messages[0]");
    check_bad(SAID("{\"content\":\"a\"}"), "messages[0].role");
    check_bad(SAID(TURN("tool", "\"a\"")), "messages[0].role");
    check_bad(SAID("{\"role\":\"user\"}"), "messages[0].content");
    check_bad(SAID(TURN("user", "[]")), "messages[0].content");
    check_bad(SAID(TURN("user", "[7]")), "messages[0].content[0]");
    check_bad(SAID(TURN("user", "[{\"text\":\"a\"}]")),
              "messages[0].content[0].type");
    check_bad(SAID(TURN("user", "[{\"type\":\"text\"}]")),
              "messages[0].content[0].text");
    check_bad(SAID(TURN("user", "[{\"type\":\"tool_result\"}]")),
              "messages[0].content[0].tool_use_id");
    check_bad(SAID(TURN("user", "[{\"type\":\"tool_result\",\"tool_use_id\":"
                                "\"a\",\"content\":7}]")),
              "messages[0].content[0].content");
    check_bad(SAID(TURN("assistant", "[{\"type\":\"tool_use\",\"id\":\"a\","
                                     "\"name\":\"f\",\"input\":\"{}\"}]")),
              "messages[0].content[0].input");
    check_bad(SAID(TURN("assistant", "[{\"type\":\"thinking\"}]")),
              "messages[0].content[0].thinking");
    check_bad(BODY(",\"system\":7"), "system");
    check_bad(BODY(",\"temperature\":1.5"), "temperature");
    check_bad(BODY(",\"top_p\":-1"), "top_p");
    check_bad(BODY(",\"top_k\":-1"), "top_k");
    check_bad(BODY(",\"stop_sequences\":[\"\"]"), "stop_sequences");
    check_bad(BODY(",\"stream\":1"), "stream");
    check_bad(BODY(",\"tools\":[7]"), "tools[0]");
    check_bad(BODY(",\"tools\":[{\"name\":\"f\"}]"), "tools[0].input_schema");
    check_bad(BODY(",\"tools\":[{\"name\":\"a b\"}]"), "tools[0].name");
    check_bad(BODY(",\"tools\":[" TOOL "," TOOL "]"), "tools[1].name");
    check_bad(BODY(",\"tools\":[" TOOL "],\"tool_choice\":{\"type\":\"tool\","
                   "\"name\":\"g\"}"),
              "tool_choice.name");
    check_bad(BODY(",\"tool_choice\":{\"type\":\"tool\"}"), "tool_choice.name");
    check_bad(BODY(",\"tool_choice\":\"any\""), "tool_choice");
    check_bad(BODY(",\"tool_choice\":{\"type\":\"some\"}"), "tool_choice.type");
    check_bad(BODY(",\"output_config\":{\"format\":{\"type\":\"json\"}}"),
              "output_config.format");
}

static void test_unsupported(void **state) {
    (void)state;
    check_code(SAID(TURN("user", "[{\"type\":\"image\"}]")),
               "messages[0].content[0]", ERR_UNSUPPORTED);
    check_code(SAID(TURN("user", "[{\"type\":\"document\"}]")),
               "messages[0].content[0]", ERR_UNSUPPORTED);
    check_code(SAID(TURN("user", "[{\"type\":\"tool_result\",\"tool_use_id\":"
                                 "\"a\",\"content\":[{\"type\":\"image\"}]}]")),
               "messages[0].content[0].content[0]", ERR_UNSUPPORTED);
    /* Blocks belong to who may write them. */
    check_code(SAID(TURN("user", "[{\"type\":\"thinking\"}]")),
               "messages[0].content[0]", ERR_UNSUPPORTED);
    check_code(SAID(TURN("assistant", "[{\"type\":\"tool_result\"}]")),
               "messages[0].content[0]", ERR_UNSUPPORTED);
    check_code(BODY(",\"tools\":[{\"type\":\"bash_20250124\",\"name\":\"b\"}]"),
               "tools[0].type", ERR_UNSUPPORTED);
    check_code(BODY(",\"mcp_servers\":[{\"url\":\"a\"}]"), "mcp_servers",
               ERR_UNSUPPORTED);
    check_code(BODY(",\"container\":\"a\""), "container", ERR_UNSUPPORTED);
}

static void check_message(const struct fixture *f, int index,
                          enum chat_role role, const char *text) {
    assert_true(index < f->r.message_count);
    assert_int_equal(f->r.messages[index].role, role);
    if (!span_is(f->r.messages[index].text, text))
        fail_msg("%d: %.*s", index, (int)f->r.messages[index].text.size,
                 f->r.messages[index].text.at);
}

/* A turn of several blocks becomes the messages that it stands for. */
static void test_turns(void **state) {
    struct fixture f = parse(
        &dialect_anthropic,
        "{\"model\":\"m\",\"max_tokens\":9,\"system\":[" TEXT("s") "," TEXT(
            "t") "],\"messages\":[" USER
                 "," TURN(
                     "assistant",
                     "[{\"type\":\"thinking\",\"thinking\":"
                     "\"hm\","
                     "\"signature\":\"x\"}," TEXT(
                         "b") ",{\"type\":\"redacted_"
                              "thinking\",\"data\":"
                              "\"x\"},{\"type\":\"tool_"
                              "use\",\"id\":"
                              "\"1\",\"name\":\"f\","
                              "\"input\":{\"a\":1}},"
                              "{\"type\":\"tool_use\","
                              "\"id\":\"2\","
                              "\"name\":\"g\",\"input\":{}}"
                              "]") "," TURN("user",
                                            "[{"
                                            "\"type\":"
                                            "\"tool_"
                                            "result\","
                                            "\"tool_use_"
                                            "id\":\"1\","
                                            "\"content\":"
                                            "[" TEXT("r") "]},{"
                                                          "\"type"
                                                          "\":"
                                                          "\"tool"
                                                          "_resul"
                                                          "t\","
                                                          "\"tool"
                                                          "_use_"
                                                          "id\":"
                                                          "\"2\","
                                                          "\"is_"
                                                          "error"
                                                          "\":"
                                                          "true,"
                                                          "\"cont"
                                                          "ent\":"
                                                          "\"brok"
                                                          "e\"}"
                                                          "," TEXT(
                                                              "go"
                                                              " o"
                                                              "n") "]") "]}");

    (void)state;
    if (!f.ok) fail_msg("%s", f.err.text);
    assert_int_equal(f.r.message_count, 6);
    check_message(&f, 0, CHAT_SYSTEM, "s\n\nt");
    check_message(&f, 1, CHAT_USER, "hi");
    check_message(&f, 2, CHAT_ASSISTANT, "b");
    assert_true(span_is(f.r.messages[2].thoughts, "hm"));
    assert_int_equal(f.r.messages[2].call_count, 2);
    assert_true(span_is(f.r.messages[2].calls[0].id, "1"));
    assert_true(span_is(f.r.messages[2].calls[0].arguments, "{\"a\":1}"));
    assert_true(span_is(f.r.messages[2].calls[1].name, "g"));
    check_message(&f, 3, CHAT_TOOL, "r");
    assert_true(span_is(f.r.messages[3].call_id, "1"));
    check_message(&f, 4, CHAT_TOOL, "error:\n\nbroke");
    assert_true(span_is(f.r.messages[4].call_id, "2"));
    check_message(&f, 5, CHAT_USER, "go on");
    clear(&f);
}

static void test_options(void **state) {
    struct fixture f = parse(
        &dialect_anthropic,
        BODY(",\"temperature\":0.5,\"top_p\":0.25,\"top_k\":7,\"stream\":true,"
             "\"stop_sequences\":[\"x\",\"y\"],\"tools\":[" TOOL
             "],\"tool_choice\":{\"type\":\"tool\",\"name\":\"f\","
             "\"disable_parallel_tool_use\":true},\"metadata\":{\"user_id\":"
             "\"u\"},\"thinking\":{\"type\":\"disabled\"},\"output_config\":{"
             "\"format\":{\"type\":\"json_schema\",\"schema\":{\"type\":"
             "\"object\"}}}"));

    (void)state;
    if (!f.ok) fail_msg("%s", f.err.text);
    assert_true(f.r.temperature == 0.5f && f.r.top_p == 0.25f);
    assert_int_equal(f.r.top_k, 7);
    assert_int_equal(f.r.max_tokens, 9);
    assert_int_equal(f.r.stop_count, 2);
    assert_true(f.r.stream);
    assert_int_equal(f.r.choice, CHOICE_NAMED);
    assert_true(span_is(f.r.choice_name, "f"));
    assert_false(f.r.parallel_calls);
    assert_int_equal(f.r.format, FORMAT_JSON_SCHEMA);
    clear(&f);
    f = parse(&dialect_anthropic,
              BODY(",\"tools\":[" TOOL "],\"tool_choice\":{\"type\":\"any\"}"));
    assert_true(f.ok && f.r.choice == CHOICE_REQUIRED && f.r.parallel_calls);
    clear(&f);
    /* Only an answer has a length. */
    f = parse(&dialect_anthropic_count,
              "{\"model\":\"m\",\"messages\":[" USER "]}");
    assert_true(f.ok);
    clear(&f);
}

static void test_too_many(void **state) {
    struct bytes text = {0};

    (void)state;
    bytes_puts(&text, "{\"model\":\"m\",\"max_tokens\":9,\"messages\":[{"
                      "\"role\":\"user\",\"content\":[");
    for (int i = 0; i < CHAT_MESSAGES_MAX / 2; i++)
        bytes_puts(&text, "{\"type\":\"tool_result\",\"tool_use_id\":\"a\"},");
    bytes_puts(&text, TEXT("a") "]}]}");
    bytes_put(&text, (struct span){"", 1});
    check_code(text.at, "messages", ERR_LIMIT);
    bytes_free(&text);
}

/* ---- answers ---- */

#define USAGE                                                                  \
    ",\"usage\":{\"input_tokens\":3,\"cache_creation_input_tokens\":0,"        \
    "\"cache_read_input_tokens\":4,\"output_tokens\":5}"
#define NO_USAGE                                                               \
    ",\"usage\":{\"input_tokens\":0,\"cache_creation_input_tokens\":0,"        \
    "\"cache_read_input_tokens\":0,\"output_tokens\":0}"
#define HEAD                                                                   \
    "{\"id\":\"msg_i\",\"type\":\"message\",\"role\":\"assistant\","           \
    "\"model\":\"m\",\"content\":["
#define STOP(reason, details)                                                  \
    "\"stop_reason\":\"" reason                                                \
    "\",\"stop_sequence\":null,\"stop_details\":" details
#define REFUSED                                                                \
    STOP("refusal", "{\"type\":\"refusal\",\"category\":null,"                 \
                    "\"explanation\":null}")

static const struct reply reply = {
    .id = "i",
    .model = {"m", 1},
    .usage = {.prompt_tokens = 7, .cached_tokens = 4, .completion_tokens = 5}};

static void check_whole(const struct reply_choice *c, const char *expected) {
    struct bytes out = {0};

    assert_true(dialect_anthropic.whole(&reply, &c, 1, &out, NULL));
    check(&out, expected);
}

static void test_whole(void **state) {
    struct chat_tool_call calls[] = {
        {span_of("c"), span_of("f"), span_of("{\"a\":1}")},
        {span_of("d"), span_of("g"), span_of("{}")}};
    struct reply_choice c = {.text = span_of("a\"b")};

    (void)state;
    check_whole(&c, HEAD "{\"type\":\"text\",\"text\":\"a\\\"b\"}]," STOP(
                        "end_turn", "null") USAGE "}");
    c.calls = calls;
    c.call_count = 2;
    c.text.size = 0;
    c.finish = REPLY_TOOL_CALLS;
    check_whole(&c,
                HEAD "{\"type\":\"tool_use\",\"id\":\"c\",\"name\":\"f\","
                     "\"input\":{\"a\":1}},{\"type\":\"tool_use\",\"id\":\"d\","
                     "\"name\":\"g\",\"input\":{}}]," STOP("tool_use", "null")
                         USAGE "}");
    c = (struct reply_choice){.text = span_of("no"),
                              .finish = REPLY_FILTERED,
                              .corral = cJSON_CreateObject()};
    check_whole(&c, HEAD "{\"type\":\"text\",\"text\":\"no\"}]," REFUSED USAGE
                         ",\"corral\":{}}");
    cJSON_Delete(c.corral);
    c = (struct reply_choice){.finish = REPLY_LENGTH};
    check_whole(&c, HEAD "]," STOP("max_tokens", "null") USAGE "}");
}

#define EVENT(name, rest)                                                      \
    "event: " name "\ndata: {\"type\":\"" name "\"" rest "}\n\n"
#define BEGIN                                                                  \
    EVENT("message_start",                                                     \
          ",\"message\":" HEAD "],\"stop_reason\":null,\"stop_sequence\":"     \
          "null,\"stop_details\":null" NO_USAGE "}")                           \
    EVENT("ping", "")

static void test_stream(void **state) {
    struct chat_tool_call call = {span_of("c"), span_of("f"),
                                  span_of("{\"a\":1}")};
    struct reply_choice c = {.finish = REPLY_TOOL_CALLS};
    const struct reply_choice *one = &c;
    struct bytes out = {0};
    const struct dialect *d = &dialect_anthropic;

    (void)state;
    assert_true(d->text(&reply, &c, span_of("a"), &out, NULL) &&
                d->text(&reply, &c, span_of("b"), &out, NULL) &&
                d->call(&reply, &c, &call, &out, NULL) &&
                d->end(&reply, &c, &out, NULL) &&
                d->close(&reply, &one, 1, &out, NULL));
    check(&out,
          BEGIN EVENT("content_block_start",
                      ",\"index\":0,\"content_block\":{\"type\":\"text\","
                      "\"text\":\"\"}")
              EVENT("content_block_delta",
                    ",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":"
                    "\"a\"}")
                  EVENT("content_block_delta",
                        ",\"index\":0,\"delta\":{\"type\":\"text_delta\","
                        "\"text\":\"b\"}")
                      EVENT("content_block_stop", ",\"index\":0")
                          EVENT("content_block_start",
                                ",\"index\":1,\"content_block\":{\"type\":"
                                "\"tool_use\",\"id\":\"c\",\"name\":\"f\","
                                "\"input\":{}}")
                              EVENT("content_block_delta",
                                    ",\"index\":1,\"delta\":{\"type\":"
                                    "\"input_json_delta\",\"partial_json\":"
                                    "\"{\\\"a\\\":1}\"}")
                                  EVENT("content_block_stop", ",\"index\":1")
                                      EVENT("message_delta",
                                            ",\"delta\":{" STOP(
                                                "tool_use", "null") "}" USAGE)
                                          EVENT("message_stop", ""));
}

/* An answer without a text still begins and ends. */
static void test_stream_refused(void **state) {
    struct reply_choice c = {.finish = REPLY_FILTERED,
                             .corral = cJSON_CreateObject()};
    const struct reply_choice *one = &c;
    struct bytes out = {0};

    (void)state;
    assert_true(dialect_anthropic.end(&reply, &c, &out, NULL) &&
                dialect_anthropic.close(&reply, &one, 1, &out, NULL));
    check(&out, BEGIN EVENT("message_delta",
                            ",\"delta\":{" REFUSED "}" USAGE ",\"corral\":{}")
                    EVENT("message_stop", ""));
    cJSON_Delete(c.corral);
}

static void test_fail(void **state) {
    struct err why = {.code = ERR_UNAVAILABLE};
    struct bytes out = {0};

    (void)state;
    /* In brackets: cmocka has a macro of this name. */
    assert_true((dialect_anthropic.fail)(&why, &out, NULL));
    check(&out, "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":"
                "\"overloaded_error\",\"message\":\"a needed part does not "
                "work at the moment\",\"code\":\"unavailable\"}}\n\n");
    assert_true(dialect_anthropic_count.count(12, &out, NULL));
    check(&out, "{\"input_tokens\":12}");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bad),      cmocka_unit_test(test_unsupported),
        cmocka_unit_test(test_turns),    cmocka_unit_test(test_options),
        cmocka_unit_test(test_too_many), cmocka_unit_test(test_whole),
        cmocka_unit_test(test_stream),   cmocka_unit_test(test_stream_refused),
        cmocka_unit_test(test_fail)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
