/* test_dialect_openai.c - bodies that are refused, each naming its field, and
 * the bytes of answers. */
#include "tests/unit/dialect_world.h"

#define USER "{\"role\":\"user\",\"content\":\"hi\"}"
#define BODY(rest) "{\"model\":\"m\",\"messages\":[" USER "]" rest "}"
#define TOOL                                                                   \
    "{\"type\":\"function\",\"function\":{\"name\":\"f\",\"parameters\":{"     \
    "\"type\":\"object\"}}}"

static struct fixture parse(const char *text) {
    return parse_by(dialect_openai.parse, text);
}

static void check_bad(const char *text, const char *field) {
    struct fixture f = parse(text);

    assert_false(f.ok);
    assert_string_equal(f.err.field, field);
    assert_true(strlen(f.err.text) > strlen(field));
    clear(&f);
}

static void test_bad(void **state) {
    (void)state;
    check_bad("{\"messages\":[" USER "]}", "model");
    check_bad("{\"model\":7,\"messages\":[" USER "]}", "model");
    check_bad("{\"model\":\"m\"}", "messages");
    check_bad("{\"model\":\"m\",\"messages\":[]}", "messages");
    check_bad("{\"model\":\"m\",\"messages\":[7]}", "messages[0]");
    check_bad("{\"model\":\"m\",\"messages\":[{\"content\":\"a\"}]}",
              "messages[0].role");
    check_bad("{\"model\":\"m\",\"messages\":[{\"role\":\"root\"}]}",
              "messages[0].role");
    check_bad("{\"model\":\"m\",\"messages\":[{\"role\":\"user\"}]}",
              "messages[0].content");
    check_bad("{\"model\":\"m\",\"messages\":[{\"role\":\"user\","
              "\"content\":[{\"type\":\"image_url\"}]}]}",
              "messages[0].content[0]");
    check_bad("{\"model\":\"m\",\"messages\":[{\"role\":\"tool\","
              "\"content\":\"a\"}]}",
              "messages[0].tool_call_id");
    check_bad("{\"model\":\"m\",\"messages\":[{\"role\":\"assistant\","
              "\"tool_calls\":[{\"id\":\"c\",\"function\":{\"name\":\"f\","
              "\"arguments\":\"{oops\"}}]}]}",
              "messages[0].tool_calls[0].function.arguments");
    check_bad(BODY(",\"temperature\":3"), "temperature");
    check_bad(BODY(",\"temperature\":\"hot\""), "temperature");
    check_bad(BODY(",\"max_tokens\":0"), "max_tokens");
    check_bad(BODY(",\"max_tokens\":1.5"), "max_tokens");
    check_bad(BODY(",\"n\":9"), "n");
    check_bad(BODY(",\"n\":0"), "n");
    check_bad(BODY(",\"logprobs\":3"), "logprobs");
    check_bad(BODY(",\"logprobs\":true,\"top_logprobs\":21"), "top_logprobs");
    check_bad(BODY(",\"logprobs\":true,\"top_logprobs\":-1"), "top_logprobs");
    check_bad(BODY(",\"top_logprobs\":2"), "top_logprobs");
    check_bad(BODY(",\"logit_bias\":[1]"), "logit_bias");
    check_bad(BODY(",\"logit_bias\":{\"a\":1}"), "logit_bias");
    check_bad(BODY(",\"logit_bias\":{\"\":1}"), "logit_bias");
    check_bad(BODY(",\"logit_bias\":{\"-1\":1}"), "logit_bias");
    check_bad(BODY(",\"logit_bias\":{\"99999999999\":1}"), "logit_bias");
    check_bad(BODY(",\"logit_bias\":{\"1\":100.5}"), "logit_bias.1");
    check_bad(BODY(",\"logit_bias\":{\"1\":\"a\"}"), "logit_bias.1");
    check_bad(BODY(",\"presence_penalty\":2.1"), "presence_penalty");
    check_bad(BODY(",\"frequency_penalty\":-2.1"), "frequency_penalty");
    check_bad(BODY(",\"top_k\":-1"), "top_k");
    check_bad(BODY(",\"min_p\":1.1"), "min_p");
    check_bad(BODY(",\"repeat_penalty\":0"), "repeat_penalty");
    check_bad(BODY(",\"repeat_last_n\":-2"), "repeat_last_n");
    check_bad(BODY(",\"audio\":{\"voice\":\"a\"}"), "audio");
    check_bad(BODY(",\"stop\":[\"\"]"), "stop");
    check_bad(BODY(",\"stream\":1"), "stream");
    check_bad(BODY(",\"stream_options\":true"), "stream_options");
    check_bad(BODY(",\"tools\":[{}]"), "tools[0].type");
    check_bad(BODY(",\"tools\":[" TOOL "," TOOL "]"), "tools[1].function.name");
    check_bad(BODY(",\"tools\":[" TOOL "],\"tool_choice\":{\"function\":{"
                   "\"name\":\"g\"}}"),
              "tool_choice.function.name");
    check_bad(BODY(",\"response_format\":{\"type\":\"xml\"}"),
              "response_format.type");
    check_bad(BODY(",\"response_format\":{\"type\":\"json_schema\"}"),
              "response_format.json_schema.schema");
    check_bad(BODY(",\"functions\":{}"), "functions");
    check_bad(BODY(",\"functions\":[{\"name\":\"a b\"}]"), "functions[0].name");
    check_bad(BODY(",\"functions\":[{\"name\":\"f\"}],\"tools\":[" TOOL "]"),
              "functions");
    check_bad(BODY(",\"functions\":[{\"name\":\"f\"}],\"function_call\":{"
                   "\"name\":\"g\"}"),
              "function_call.name");
}

static void test_good(void **state) {
    struct fixture f = parse(
        "{\"model\":\"m\",\"messages\":[{\"role\":\"developer\",\"content\":"
        "\"s\"},{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":"
        "\"a\"},{\"type\":\"text\",\"text\":\"b\"}]}],\"tools\":[" TOOL
        "],\"tool_choice\":{\"type\":\"function\",\"function\":{\"name\":"
        "\"f\"}},\"stop\":[\"x\",\"y\"],\"max_completion_tokens\":9,"
        "\"seed\":3,\"temperature\":0,\"stream\":true,\"stream_options\":{"
        "\"include_usage\":true,\"include_events\":true},\"user\":\"u\","
        "\"unknown_field\":1}");

    (void)state;
    assert_true(f.ok);
    assert_int_equal(f.r.message_count, 2);
    assert_int_equal(f.r.messages[0].role, CHAT_SYSTEM);
    assert_true(span_is(f.r.messages[1].text, "a\n\nb"));
    assert_int_equal(f.r.choice, CHOICE_NAMED);
    assert_int_equal(f.r.stop_count, 2);
    assert_int_equal(f.r.max_tokens, 9);
    assert_true(f.r.seeded && f.r.seed == 3 && f.r.stream);
    assert_true(f.r.include_usage && f.r.include_events);
    assert_true(f.r.temperature == 0.0f);
    clear(&f);
}

static void check_biases(const struct chat_request *r) {
    assert_int_equal(r->bias_count, 2);
    assert_int_equal(r->biases[0].token, 50256);
    assert_true(r->biases[0].bias == -100);
    assert_int_equal(r->biases[1].token, 7);
    assert_true(r->biases[1].bias == 1.5f);
}

static void test_sampling(void **state) {
    struct fixture f = parse(BODY(
        ",\"logit_bias\":{\"50256\":-100,\"8\":null,\"7\":1.5},\"n\":3,"
        "\"logprobs\":true,\"top_logprobs\":20,\"top_k\":40,\"min_p\":0.5,"
        "\"repeat_penalty\":2,\"repeat_last_n\":-1,\"presence_penalty\":-2"));

    (void)state;
    assert_true(f.ok);
    check_biases(&f.r);
    assert_int_equal(f.r.choices, 3);
    assert_true(f.r.logprobs);
    assert_int_equal(f.r.top_logprobs, 20);
    assert_int_equal(f.r.top_k, 40);
    assert_true(f.r.min_p == 0.5f && f.r.repeat_penalty == 2);
    assert_int_equal(f.r.repeat_window, -1);
    assert_true(f.r.presence_penalty == -2);
    clear(&f);
    /* What says nothing changes nothing. */
    f = parse(BODY(",\"logit_bias\":{},\"n\":null,\"logprobs\":false,"
                   "\"top_logprobs\":0"));
    assert_true(f.ok && !f.r.logprobs);
    assert_int_equal(f.r.bias_count, 0);
    assert_int_equal(f.r.choices, 1);
    clear(&f);
    f = parse(BODY(""));
    assert_int_equal(f.r.choices, 1);
    assert_int_equal(f.r.repeat_window, CHAT_REPEAT_WINDOW);
    clear(&f);
}

static struct reply reply_of(void) {
    return (struct reply){.id = "1",
                          .created = 5,
                          .model = span_of("m"),
                          .include_usage = true,
                          .usage = {.prompt_tokens = 3,
                                    .cached_tokens = 1,
                                    .completion_tokens = 2}};
}

#define HEAD(object)                                                           \
    "{\"id\":\"chatcmpl-1\",\"object\":\"" object                              \
    "\",\"created\":5,\"model\":\"m\",\"choices\":["
#define USAGE                                                                  \
    "\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":2,"                  \
    "\"total_tokens\":5,\"prompt_tokens_details\":{\"cached_tokens\":1},"      \
    "\"completion_tokens_details\":{\"reasoning_tokens\":0}}"

#define PLAIN(text, finish)                                                    \
    "\"message\":{\"role\":\"assistant\",\"content\":\"" text                  \
    "\",\"refusal\":null},\"logprobs\":null,\"finish_reason\":\"" finish "\""

static void check_whole(const struct reply_choice *const *choices, int count,
                        const char *expected) {
    struct reply reply = reply_of();
    struct bytes out = {0};
    struct err err = {0};

    assert_true(dialect_openai.whole(&reply, choices, count, &out, &err));
    check(&out, expected);
}

static void test_whole(void **state) {
    struct chat_tool_call call = {span_of("c"), span_of("f"), span_of("{}")};
    struct reply_choice text = {.text = span_of("a\"b\n")};
    struct reply_choice calls = {
        .calls = &call, .call_count = 1, .finish = REPLY_TOOL_CALLS};
    const struct reply_choice *one = &text;

    (void)state;
    check_whole(&one, 1,
                HEAD("chat.completion") "{\"index\":0," PLAIN(
                    "a\\\"b\\n", "stop") "}]," USAGE "}");
    one = &calls;
    check_whole(&one, 1,
                HEAD("chat.completion") "{\"index\":0,\"message\":{\"role\":"
                                        "\"assistant\",\"content\":null,"
                                        "\"tool_calls\":[{\"id\":\"c\","
                                        "\"type\":\"function\",\"function\":{"
                                        "\"name\":\"f\",\"arguments\":\"{}\"}"
                                        "}],\"refusal\":null},\"logprobs\":"
                                        "null,\"finish_reason\":"
                                        "\"tool_calls\"}]," USAGE "}");
}

/* A refusal's object: beside the only choice, or in the one of several. */
static void test_refused(void **state) {
    struct reply_choice fine = {.text = span_of("a")};
    struct reply_choice refused = {.index = 1,
                                   .text = span_of("no"),
                                   .finish = REPLY_FILTERED,
                                   .corral = cJSON_CreateObject()};
    const struct reply_choice *list[] = {&refused, NULL};

    (void)state;
    check_whole(list, 1,
                HEAD("chat.completion") "{\"index\":1," PLAIN(
                    "no", "content_filter") "}]," USAGE ",\"corral\":{}}");
    list[0] = &fine;
    list[1] = &refused;
    check_whole(
        list, 2,
        HEAD("chat.completion") "{\"index\":0," PLAIN(
            "a", "stop") "},{\"index\":1," PLAIN("no",
                                                 "content_filter") ","
                                                                   "\"corra"
                                                                   "l\":{}}"
                                                                   "]," USAGE
                                                                   "}");
    cJSON_Delete(refused.corral);
}

#define CHUNK(choice)                                                          \
    "data: " HEAD("chat.completion.chunk") "{\"index\":" choice                \
                                           "}],\"usage\":null}\n\n"

/* Two choices side by side: each with its own role, calls and end. */
static void test_stream(void **state) {
    static const char expected[] = CHUNK(
        "0,\"delta\":{\"role\":\"assistant\",\"content\":\"a\"},"
        "\"logprobs\":null,\"finish_reason\":null")
        CHUNK("1,\"delta\":{\"role\":\"assistant\",\"content\":\"b\"},"
              "\"logprobs\":null,\"finish_reason\":null")
            CHUNK("0,\"delta\":{\"tool_calls\":[{\"index\":0,\"id\":\"c\","
                  "\"type\":\"function\",\"function\":{\"name\":\"f\","
                  "\"arguments\":\"{}\"}}]},\"logprobs\":null,"
                  "\"finish_reason\":null")
                CHUNK("0,\"delta\":{},\"logprobs\":null,"
                      "\"finish_reason\":\"content_filter\"")
                    CHUNK("1,\"delta\":{},\"logprobs\":null,\"finish_"
                          "reason\":\"stop\"") "data: " HEAD("chat.completion."
                                                             "chunk") "]," USAGE
                                                                      "}\n\n"
                                                                      "data: "
                                                                      "[DONE]"
                                                                      "\n\n";
    struct chat_tool_call call = {span_of("c"), span_of("f"), span_of("{}")};
    struct reply reply = reply_of();
    struct reply_choice first = {.finish = REPLY_FILTERED};
    struct reply_choice second = {.index = 1};
    struct bytes out = {0};
    struct err err = {0};

    (void)state;
    assert_true(dialect_openai.text(&reply, &first, span_of("a"), &out, &err));
    assert_true(dialect_openai.text(&reply, &second, span_of("b"), &out, &err));
    assert_true(dialect_openai.call(&reply, &first, &call, &out, &err));
    assert_true(dialect_openai.end(&reply, &first, &out, &err));
    assert_true(dialect_openai.end(&reply, &second, &out, &err));
    assert_true(dialect_openai.close(&reply, NULL, 0, &out, &err));
    check(&out, expected);
}

/* A chunk that clients of the API skip, as they do the one with the usage. */
static void test_event(void **state) {
    struct reply reply = reply_of();
    struct bytes out = {0};
    struct err err = {0};

    (void)state;
    assert_true(dialect_openai.event(&reply, span_of("{\"a\":1}"), &out, &err));
    check(&out, "data: " HEAD("chat.completion.chunk") "],\"corral\":{"
                                                       "\"event\":{\"a\":1}},"
                                                       "\"usage\":null}\n\n");
}

#define ENTRIES                                                                \
    "{\"content\":[{\"token\":\"a\",\"logprob\":-0.5,\"bytes\":[97],"          \
    "\"top_logprobs\":[{\"token\":\"<|end|>\",\"logprob\":-9999,\"bytes\":"    \
    "null}]},{\"token\":\"\xEF\xBF\xBD\xEF\xBF\xBD\",\"logprob\":-1,"          \
    "\"bytes\":[226,130],"                                                     \
    "\"top_logprobs\":[]}],\"refusal\":null}"

/* A token without bytes has a name; a part of a character has only bytes. */
static void test_logprobs(void **state) {
    struct llm_logprob end = {.name = span_of("<|end|>"),
                              .logprob = LOGPROB_LEAST};
    struct llm_logprob list[] = {
        {.text = span_of("a"), .logprob = -0.5f, .top = &end, .top_count = 1},
        {.text = span_of("\xE2\x82"), .logprob = -1}};
    struct reply reply = reply_of();
    struct reply_choice choice = {0};
    const struct reply_choice *one = &choice;
    struct bytes entries = {0}, out = {0};
    struct err err = {0};

    (void)state;
    for (int i = 0; i < 2; i++)
        assert_true(dialect_openai.logprob(&list[i], &entries, &err));
    choice.logprobs = span_bytes(&entries);
    assert_true(dialect_openai.text(&reply, &choice, span_of("a"), &out, &err));
    assert_true(span_find(span_bytes(&out),
                          span_of("},\"logprobs\":" ENTRIES
                                  ",\"finish_reason\":null}")) != SIZE_MAX);
    out.size = 0;
    assert_true(dialect_openai.end(&reply, &choice, &out, &err));
    assert_true(span_find(span_bytes(&out),
                          span_of("},\"logprobs\":" ENTRIES
                                  ",\"finish_reason\":\"stop\"}")) != SIZE_MAX);
    out.size = 0;
    assert_true(dialect_openai.whole(&reply, &one, 1, &out, &err));
    assert_true(span_find(span_bytes(&out),
                          span_of("},\"logprobs\":" ENTRIES
                                  ",\"finish_reason\":\"stop\"}")) != SIZE_MAX);
    bytes_free(&out);
    bytes_free(&entries);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bad),      cmocka_unit_test(test_good),
        cmocka_unit_test(test_sampling), cmocka_unit_test(test_whole),
        cmocka_unit_test(test_refused),  cmocka_unit_test(test_stream),
        cmocka_unit_test(test_event),    cmocka_unit_test(test_logprobs)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
