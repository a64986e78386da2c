/* test_dialect_ollama.c - bodies that are refused, each naming its field; what
 * a good one becomes; and the lines of answers. */
#include "tests/unit/dialect_world.h"

#include "proxy/ollama_models.h"

#define SAY(role, content) "{\"role\":\"" role "\",\"content\":\"" content "\"}"
#define BODY(rest)                                                             \
    "{\"model\":\"m\",\"messages\":[" SAY("user", "hi") "]" rest "}"
#define SAID(turns) "{\"model\":\"m\",\"messages\":[" turns "]}"
#define PROMPT(rest) "{\"model\":\"m\",\"prompt\":\"hi\"" rest "}"
#define OPTION(rest) BODY(",\"options\":{" rest "}")
#define CALL(rest)                                                             \
    "{\"role\":\"assistant\",\"tool_calls\":[{\"function\":{\"name\":\"f\""    \
    "," rest "}}]}"

static struct fixture parse(const struct dialect *d, const char *text) {
    return parse_by(d->parse, text);
}

static void check_code(const struct dialect *d, const char *text,
                       const char *field, enum err_code code) {
    check_refused(d->parse, text, code, field, "");
}

static void check_bad(const char *text, const char *field) {
    check_code(&dialect_ollama_chat, text, field, ERR_INPUT);
}

static void check_not(const char *text, const char *field) {
    check_code(&dialect_ollama_chat, text, field, ERR_UNSUPPORTED);
}

static void test_bad(void **state) {
    (void)state;
    check_bad("{\"messages\":[" SAY("user", "a") "]}", "model");
    check_bad("{\"model\":\"m\"}", "messages");
    check_bad(SAID(""), "messages");
    check_bad(SAID("7"), "messages[0]");
    check_bad(SAID(SAY("developer", "a")), "messages[0].role");
    check_bad(SAID("{\"role\":\"user\",\"content\":[]}"),
              "messages[0].content");
    check_bad(SAID(CALL("\"arguments\":\"{}\"")),
              "messages[0].tool_calls[0].function.arguments");
    check_bad(SAID("{\"role\":\"assistant\",\"tool_calls\":[{}]}"),
              "messages[0].tool_calls[0].function");
    check_bad(SAID("{\"role\":\"assistant\",\"tool_calls\":7}"),
              "messages[0].tool_calls");
    check_bad(SAID(SAY("tool", "a")), "messages[0]");
    /* One call has one result. */
    check_bad(SAID(CALL("\"arguments\":{}") "," SAY("tool", "a") "," SAY("tool",
                                                                         "b")),
              "messages[2]");
    check_bad(BODY(",\"options\":7"), "options");
    check_bad(BODY(",\"format\":\"xml\""), "format");
    check_bad(BODY(",\"stream\":\"yes\""), "stream");
    check_bad(BODY(",\"top_logprobs\":21"), "top_logprobs");
    check_bad(BODY(",\"tools\":[{}]"), "tools[0].type");
    check_bad(OPTION("\"temperature\":9"), "options.temperature");
    check_bad(OPTION("\"top_k\":-1"), "options.top_k");
    check_bad(OPTION("\"num_predict\":-3"), "options.num_predict");
    check_bad(OPTION("\"seed\":\"a\""), "options.seed");
    check_bad(OPTION("\"stop\":[7]"), "options.stop");
    check_bad(OPTION("\"repeat_penalty\":0"), "options.repeat_penalty");
    check_code(&dialect_ollama_generate, "{\"model\":\"m\"}", "prompt",
               ERR_INPUT);
}

static void test_unsupported(void **state) {
    const struct dialect *d = &dialect_ollama_generate;

    (void)state;
    check_not(SAID("{\"role\":\"user\",\"images\":[\"a\"]}"),
              "messages[0].images");
    check_not(BODY(",\"think\":true"), "think");
    check_not(BODY(",\"think\":\"high\""), "think");
    check_not(OPTION("\"mirostat\":1"), "options.mirostat");
    check_not(OPTION("\"typical_p\":0.5"), "options.typical_p");
    check_not(OPTION("\"tfs_z\":0.5"), "options.tfs_z");
    check_code(d, PROMPT(",\"raw\":true"), "raw", ERR_UNSUPPORTED);
    check_code(d, PROMPT(",\"template\":\"a\""), "template", ERR_UNSUPPORTED);
    check_code(d, PROMPT(",\"suffix\":\"a\""), "suffix", ERR_UNSUPPORTED);
    check_code(d, PROMPT(",\"context\":[1]"), "context", ERR_UNSUPPORTED);
    check_code(d, PROMPT(",\"images\":[\"a\"]"), "images", ERR_UNSUPPORTED);
}

/* Results find the call that they answer, by its name or in order. */
static void test_calls(void **state) {
    struct fixture f = parse(
        &dialect_ollama_chat,
        SAID("{\"role\":\"assistant\",\"content\":\"\",\"thinking\":\"hm\","
             "\"tool_calls\":[{\"function\":{\"name\":\"f\",\"arguments\":{"
             "\"a\":1}}},{\"function\":{\"name\":\"g\",\"arguments\":{}}},"
             "{\"id\":\"own\",\"function\":{\"name\":\"f\",\"arguments\":{}}}]"
             "},{\"role\":\"tool\",\"tool_name\":\"g\",\"content\":\"x\"}," SAY(
                 "tool", "y") ",{\"role\":\"tool\",\"tool_call_id\":\"own\","
                              "\"content\":\"z\"}"));
    const struct chat_message *m = f.r.messages;

    (void)state;
    if (!f.ok) fail_msg("%s", f.err.text);
    assert_int_equal(f.r.message_count, 4);
    assert_true(span_is(m[0].thoughts, "hm"));
    assert_int_equal(m[0].call_count, 3);
    assert_true(span_is(m[0].calls[0].arguments, "{\"a\":1}"));
    assert_false(span_equal(m[0].calls[0].id, m[0].calls[1].id));
    assert_true(span_is(m[0].calls[2].id, "own"));
    assert_true(span_equal(m[1].call_id, m[0].calls[1].id));
    assert_true(span_equal(m[2].call_id, m[0].calls[0].id));
    assert_true(span_is(m[3].call_id, "own"));
    clear(&f);
}

static void test_options(void **state) {
    struct fixture f =
        parse(&dialect_ollama_chat,
              OPTION("\"temperature\":0.5,\"top_p\":0.25,\"top_k\":7,"
                     "\"min_p\":0.125,\"seed\":3,\"num_predict\":9,\"stop\":"
                     "[\"x\"],\"repeat_penalty\":1.5,\"repeat_last_n\":8,"
                     "\"num_ctx\":2048,\"mirostat\":0,\"typical_p\":1"));

    (void)state;
    if (!f.ok) fail_msg("%s", f.err.text);
    assert_true(f.r.temperature == 0.5f && f.r.top_p == 0.25f);
    assert_true(f.r.min_p == 0.125f && f.r.repeat_penalty == 1.5f);
    assert_int_equal(f.r.top_k, 7);
    assert_int_equal(f.r.repeat_window, 8);
    assert_true(f.r.seeded && f.r.seed == 3);
    assert_int_equal(f.r.max_tokens, 9);
    assert_int_equal(f.r.stop_count, 1);
    assert_true(f.r.stream); /* unless it says no */
    clear(&f);
    f = parse(&dialect_ollama_generate,
              PROMPT(",\"stream\":false,\"system\":\"s\",\"format\":\"json\","
                     "\"options\":{\"num_predict\":-1},\"suffix\":\"\","
                     "\"template\":\"\",\"context\":[],\"images\":[],"
                     "\"raw\":false,\"think\":false,\"keep_alive\":0"));
    if (!f.ok) fail_msg("%s", f.err.text);
    assert_false(f.r.stream);
    assert_int_equal(f.r.format, FORMAT_JSON_OBJECT);
    assert_int_equal(f.r.max_tokens, CHAT_OUTPUT_TOKENS_MAX);
    assert_int_equal(f.r.message_count, 2);
    assert_int_equal(f.r.messages[0].role, CHAT_SYSTEM);
    assert_true(span_is(f.r.messages[1].text, "hi"));
    clear(&f);
    f = parse(&dialect_ollama_chat, BODY(",\"format\":{\"type\":\"object\"}"));
    assert_true(f.ok && f.r.format == FORMAT_JSON_SCHEMA);
    clear(&f);
}

/* ---- answers ---- */

#define HEAD "{\"model\":\"m\",\"created_at\":\"1970-01-01T00:00:07Z\","
#define CHAT(content)                                                          \
    HEAD "\"message\":{\"role\":\"assistant\",\"content\":\"" content "\""
#define DONE(reason)                                                           \
    ",\"done\":true,\"done_reason\":\"" reason                                 \
    "\",\"total_duration\":9,\"load_duration\":0,\"prompt_eval_count\":7,"     \
    "\"eval_count\":5,\"prompt_eval_duration\":3,\"eval_duration\":4"

static const struct reply reply = {.id = "i",
                                   .created = 7,
                                   .model = {"m", 1},
                                   .total_ns = 9,
                                   .usage = {.prompt_tokens = 7,
                                             .completion_tokens = 5,
                                             .prompt_ns = 3,
                                             .completion_ns = 4}};

#define CALLED                                                                 \
    ",\"tool_calls\":[{\"id\":\"c\",\"function\":{\"index\":0,\"name\":"       \
    "\"f\",\"arguments\":{\"a\":1}}}]}"

static void test_whole(void **state) {
    struct chat_tool_call call = {span_of("c"), span_of("f"),
                                  span_of("{\"a\":1}")};
    struct reply_choice c = {.text = span_of("a\nb")};
    const struct reply_choice *one = &c;
    struct bytes out = {0};

    (void)state;
    assert_true(dialect_ollama_chat.whole(&reply, &one, 1, &out, NULL));
    check(&out, CHAT("a\\nb") "}" DONE("stop") "}");
    assert_true(dialect_ollama_generate.whole(&reply, &one, 1, &out, NULL));
    check(&out, HEAD "\"response\":\"a\\nb\"" DONE("stop") "}");
    c = (struct reply_choice){
        .calls = &call, .call_count = 1, .finish = REPLY_TOOL_CALLS};
    assert_true(dialect_ollama_chat.whole(&reply, &one, 1, &out, NULL));
    check(&out, CHAT("") CALLED DONE("stop") "}");
    c = (struct reply_choice){.text = span_of("no"),
                              .finish = REPLY_FILTERED,
                              .corral = cJSON_CreateObject()};
    assert_true(dialect_ollama_chat.whole(&reply, &one, 1, &out, NULL));
    check(&out, CHAT("no") "}" DONE("content_filter") ",\"corral\":{}}");
    cJSON_Delete(c.corral);
}

#define TOKEN                                                                  \
    ",\"logprobs\":[{\"token\":\"a\",\"logprob\":-0.5,\"bytes\":[97],"         \
    "\"top_logprobs\":[{\"token\":\"<|e|>\",\"logprob\":-1,\"bytes\":[]}]}]"

static void test_stream(void **state) {
    struct llm_logprob rival = {.name = span_of("<|e|>"), .logprob = -1};
    struct llm_logprob entry = {
        .text = span_of("a"), .logprob = -0.5f, .top = &rival, .top_count = 1};
    struct chat_tool_call call = {span_of("c"), span_of("f"),
                                  span_of("{\"a\":1}")};
    struct reply_choice c = {.finish = REPLY_LENGTH};
    const struct reply_choice *one = &c;
    const struct dialect *d = &dialect_ollama_chat;
    struct bytes out = {0}, entries = {0};

    (void)state;
    assert_true(d->logprob(&entry, &entries, NULL));
    c.logprobs = span_bytes(&entries);
    assert_true(d->text(&reply, &c, span_of("a"), &out, NULL));
    c.logprobs.size = 0;
    assert_true(d->call(&reply, &c, &call, &out, NULL) &&
                d->end(&reply, &c, &out, NULL) &&
                d->close(&reply, &one, 1, &out, NULL));
    check(&out, CHAT("a") "}" TOKEN ",\"done\":false}\n" CHAT("") CALLED
          ",\"done\":false}\n" CHAT("") "}" DONE("length") "}\n");
    d = &dialect_ollama_generate;
    c.logprobs = span_bytes(&entries);
    assert_true(d->end(&reply, &c, &out, NULL));
    c.logprobs.size = 0;
    assert_true(d->text(&reply, &c, span_of("b"), &out, NULL) &&
                d->close(&reply, &one, 1, &out, NULL));
    check(&out, HEAD "\"response\":\"\"" TOKEN ",\"done\":false}\n" HEAD
                     "\"response\":\"b\",\"done\":false}\n" HEAD
                     "\"response\":\"\"" DONE("length") "}\n");
    assert_false(d->call(&reply, &c, &call, &out, NULL));
    bytes_free(&out);
    bytes_free(&entries);
}

static void test_fail(void **state) {
    struct err why = {.code = ERR_INPUT, .text = "a: b", .field = "a"};
    struct bytes out = {0};

    (void)state;
    /* In brackets: cmocka has a macro of this name. */
    assert_true((dialect_ollama_chat.fail)(&why, &out, NULL));
    check(&out, "{\"error\":\"a: b\",\"code\":\"invalid_request\",\"param\":"
                "\"a\"}\n");
}

/* ---- models ---- */

static void check_show(const struct router *r, const char *body,
                       enum err_code code, const char *part) {
    struct bytes out = {0};
    struct err err = {0};

    assert_int_equal(ollama_show(r, 7, span_of(body), &out, &err), !code);
    assert_int_equal(err.code, code);
    if (part && span_find(span_bytes(&out), span_of(part)) == SIZE_MAX)
        fail_msg("%.*s", (int)out.size, out.at);
    bytes_free(&out);
}

static void test_models(void **state) {
    struct llm_facts facts = {.parameters = 134515008,
                              .file_bytes = 5,
                              .quantization = "Q4_1",
                              .context_tokens = 2048};
    struct llm here = {.name = "a", .facts = &facts}, there = {.name = "b"};
    struct router *r = router_new();
    struct bytes out = {0};
    struct err err = {0};

    (void)state;
    assert_true(router_add(r, "a", &here, &err) &&
                router_add(r, "b", &there, &err));
    assert_true(ollama_put_models(r, 7, &out, &err));
    check(&out,
          "{\"models\":[{\"name\":\"a\",\"model\":\"a\",\"modified_at\":"
          "\"1970-01-01T00:00:07Z\",\"size\":5,\"digest\":\"\",\"details\":{"
          "\"format\":\"gguf\",\"family\":\"llama\",\"families\":[\"llama\"],"
          "\"parameter_size\":\"134.52M\",\"quantization_level\":\"Q4_1\"}},"
          "{\"name\":\"b\",\"model\":\"b\",\"modified_at\":"
          "\"1970-01-01T00:00:07Z\",\"size\":0,\"digest\":\"\",\"details\":{"
          "\"format\":\"\",\"family\":\"\",\"families\":[],\"parameter_size\":"
          "\"\",\"quantization_level\":\"\"}}]}");
    check_show(r, "{\"model\":\"a:latest\"}", ERR_NONE,
               "\"llama.context_length\":2048");
    check_show(r, "{\"name\":\"b\"}", ERR_NONE, "\"model_info\":{}");
    check_show(r, "{\"model\":\"c\"}", ERR_NOT_FOUND, NULL);
    check_show(r, "{\"model\":\":latest\"}", ERR_NOT_FOUND, NULL);
    check_show(r, "{}", ERR_INPUT, NULL);
    check_show(r, "[]", ERR_INPUT, NULL);
    check_show(r, "{", ERR_INPUT, NULL);
    router_free(r);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bad),   cmocka_unit_test(test_unsupported),
        cmocka_unit_test(test_calls), cmocka_unit_test(test_options),
        cmocka_unit_test(test_whole), cmocka_unit_test(test_stream),
        cmocka_unit_test(test_fail),  cmocka_unit_test(test_models)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
