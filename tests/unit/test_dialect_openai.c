/* test_dialect_openai.c - bodies that are refused, each naming its field, and
 * the bytes of answers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "proxy/dialect.h"

#define USER "{\"role\":\"user\",\"content\":\"hi\"}"
#define BODY(rest) "{\"model\":\"m\",\"messages\":[" USER "]" rest "}"
#define TOOL                                                                   \
    "{\"type\":\"function\",\"function\":{\"name\":\"f\",\"parameters\":{"     \
    "\"type\":\"object\"}}}"

struct fixture {
    struct arena *arena;
    cJSON *body;
    struct chat_request r;
    struct err err;
    bool ok;
};

static struct fixture parse(const char *text) {
    struct fixture f = {.arena = arena_new(1 << 20)};

    f.body = json_parse(span_of(text), &f.err);
    assert_non_null(f.body);
    chat_request_init(&f.r, f.arena);
    f.ok = dialect_openai.parse(f.body, &f.r, &f.err);
    return f;
}

static void clear(struct fixture *f) {
    cJSON_Delete(f->body);
    arena_free(f->arena);
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
    check_bad(BODY(",\"n\":2"), "n");
    check_bad(BODY(",\"logprobs\":true"), "logprobs");
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
    check_bad(BODY(",\"functions\":[]"), "functions");
}

static void test_good(void **state) {
    struct fixture f = parse(
        "{\"model\":\"m\",\"messages\":[{\"role\":\"developer\",\"content\":"
        "\"s\"},{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":"
        "\"a\"},{\"type\":\"text\",\"text\":\"b\"}]}],\"tools\":[" TOOL
        "],\"tool_choice\":{\"type\":\"function\",\"function\":{\"name\":"
        "\"f\"}},\"stop\":[\"x\",\"y\"],\"max_completion_tokens\":9,"
        "\"seed\":3,\"temperature\":0,\"stream\":true,\"stream_options\":{"
        "\"include_usage\":true},\"user\":\"u\",\"unknown_field\":1}");

    (void)state;
    assert_true(f.ok);
    assert_int_equal(f.r.message_count, 2);
    assert_int_equal(f.r.messages[0].role, CHAT_SYSTEM);
    assert_true(span_is(f.r.messages[1].text, "a\n\nb"));
    assert_int_equal(f.r.choice, CHOICE_NAMED);
    assert_int_equal(f.r.stop_count, 2);
    assert_int_equal(f.r.max_tokens, 9);
    assert_true(f.r.seeded && f.r.seed == 3 && f.r.stream);
    assert_true(f.r.include_usage && f.r.temperature == 0.0f);
    clear(&f);
}

static struct reply reply_of(void) {
    return (struct reply){.id = "1",
                          .created = 5,
                          .model = span_of("m"),
                          .include_usage = true,
                          .usage = {3, 1, 2}};
}

#define HEAD(object)                                                           \
    "{\"id\":\"chatcmpl-1\",\"object\":\"" object                              \
    "\",\"created\":5,\"model\":\"m\",\"choices\":["
#define USAGE                                                                  \
    "\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":2,"                  \
    "\"total_tokens\":5,\"prompt_tokens_details\":{\"cached_tokens\":1}}"

static void test_whole(void **state) {
    struct chat_tool_call call = {span_of("c"), span_of("f"), span_of("{}")};
    struct reply reply = reply_of();
    struct bytes out = {0};
    struct err err = {0};

    (void)state;
    assert_true(dialect_openai.whole(&reply, span_of("a\"b\n"), NULL, 0,
                                     REPLY_STOP, &out, &err));
    assert_true(span_is(
        span_bytes(&out),
        HEAD("chat.completion") "{\"index\":0,\"message\":{\"role\":"
                                "\"assistant\",\"content\":\"a\\\"b\\n\","
                                "\"refusal\":null},\"logprobs\":null,"
                                "\"finish_reason\":\"stop\"}]," USAGE "}"));
    out.size = 0;
    assert_true(dialect_openai.whole(&reply, span_of(""), &call, 1,
                                     REPLY_TOOL_CALLS, &out, &err));
    assert_true(span_is(
        span_bytes(&out),
        HEAD("chat.completion") "{\"index\":0,\"message\":{\"role\":"
                                "\"assistant\",\"content\":null,\"tool_calls\":"
                                "[{\"id\":\"c\",\"type\":\"function\","
                                "\"function\":{\"name\":\"f\",\"arguments\":"
                                "\"{}\"}}],\"refusal\":null},\"logprobs\":null,"
                                "\"finish_reason\":\"tool_calls\"}]," USAGE
                                "}"));
    bytes_free(&out);
}

static void test_stream(void **state) {
    struct chat_tool_call call = {span_of("c"), span_of("f"), span_of("{}")};
    struct reply reply = reply_of();
    struct bytes out = {0};
    struct err err = {0};

    (void)state;
    assert_true(dialect_openai.text(&reply, span_of("a"), &out, &err));
    assert_true(dialect_openai.call(&reply, &call, &out, &err));
    assert_true(dialect_openai.end(&reply, REPLY_FILTERED, &out, &err));
    assert_true(span_is(
        span_bytes(&out),
        "data: " HEAD(
            "chat.completion.chunk") "{\"index\":0,\"delta\":{"
                                     "\"role\":\"assistant\",\"content\":\"a\"}"
                                     ",\"logprobs\":null,"
                                     "\"finish_reason\":null}],\"usage\":null}"
                                     "\n\n"
                                     "data: " HEAD(
                                         "chat.completion.chunk") "{\"index\":"
                                                                  "0,\"delta\":"
                                                                  "{"
                                                                  "\"tool_"
                                                                  "calls\":[{"
                                                                  "\"index\":0,"
                                                                  "\"id\":"
                                                                  "\"c\","
                                                                  "\"type\":"
                                                                  "\"function\""
                                                                  ","
                                                                  "\"function\""
                                                                  ":{\"name\":"
                                                                  "\"f\","
                                                                  "\"arguments"
                                                                  "\":\"{}\"}}]"
                                                                  "},"
                                                                  "\"logprobs\""
                                                                  ":"
                                                                  "null,"
                                                                  "\"finish_"
                                                                  "reason\":"
                                                                  "null}],"
                                                                  "\"usage\":"
                                                                  "null}\n\n"
                                                                  "data: " HEAD(
                                                                      "chat."
                                                                      "completi"
                                                                      "on."
                                                                      "chunk") "{\"index\":0,\"delta\":{},"
                                                                               "\"logprobs\":null,\"finish_reason\":\"content_filter\"}],\"usage\":"
                                                                               "null}\n\n"
                                                                               "data: " HEAD(
                                                                                   "chat.completion.chunk") "]," USAGE
                                                                                                            "}\n\n"
                                                                                                            "data: [DONE]\n\n"));
    bytes_free(&out);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bad), cmocka_unit_test(test_good),
        cmocka_unit_test(test_whole), cmocka_unit_test(test_stream)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
