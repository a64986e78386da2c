/* test_dialect_completions.c - bodies of /v1/completions that are refused, each
 * naming its field, and the bytes of answers: the prompt that is echoed, four
 * lists of log probabilities, characters counted over all chunks. */
#include "tests/unit/dialect_world.h"

#define BODY(rest) "{\"model\":\"m\",\"prompt\":\"hi\"" rest "}"

static struct fixture parse(const char *text) {
    return parse_by(dialect_completions.parse, text);
}

static void check_bad(const char *text, enum err_code code, const char *field,
                      const char *reason) {
    check_refused(dialect_completions.parse, text, code, field, reason);
}

static void test_bad_prompts(void **state) {
    (void)state;
    check_bad("{\"prompt\":\"a\"}", ERR_INPUT, "model", "missing");
    check_bad("{\"model\":\"\",\"prompt\":\"a\"}", ERR_INPUT, "model",
              "missing");
    check_bad("{\"model\":\"m\"}", ERR_INPUT, "prompt", "missing");
    check_bad("{\"model\":\"m\",\"prompt\":[]}", ERR_INPUT, "prompt",
              "missing");
    check_bad("{\"model\":\"m\",\"prompt\":\"\"}", ERR_INPUT, "prompt",
              "expected a text");
    check_bad("{\"model\":\"m\",\"prompt\":[\"a\",\"\"]}", ERR_INPUT, "prompt",
              "expected a text");
    check_bad("{\"model\":\"m\",\"prompt\":{}}", ERR_INPUT, "prompt",
              "expected a text");
    /* What the guard cannot read no model gets. */
    check_bad("{\"model\":\"m\",\"prompt\":[1,2]}", ERR_UNSUPPORTED, "prompt",
              "not token ids");
    check_bad("{\"model\":\"m\",\"prompt\":[[1],[2]]}", ERR_UNSUPPORTED,
              "prompt", "not token ids");
    check_bad("{\"model\":\"m\",\"prompt\":[\"a\",\"b\",\"c\",\"d\",\"e\","
              "\"f\",\"g\",\"h\",\"i\"]}",
              ERR_LIMIT, "prompt", "more than 8");
}

static void test_bad_options(void **state) {
    (void)state;
    check_bad(BODY(",\"suffix\":\"b\""), ERR_UNSUPPORTED, "suffix",
              "not supported");
    check_bad(BODY(",\"suffix\":1"), ERR_INPUT, "suffix", "string");
    check_bad(BODY(",\"n\":9"), ERR_INPUT, "n", "8");
    check_bad(BODY(",\"n\":2,\"best_of\":3"), ERR_UNSUPPORTED, "best_of",
              "no more than n");
    check_bad("{\"model\":\"m\",\"prompt\":[\"a\",\"b\",\"c\"],\"n\":3}",
              ERR_LIMIT, "n", "more than 8 answers");
    check_bad(BODY(",\"logprobs\":6"), ERR_INPUT, "logprobs", "5");
    check_bad(BODY(",\"logprobs\":true"), ERR_INPUT, "logprobs", "");
    check_bad(BODY(",\"logprobs\":1,\"echo\":true"), ERR_UNSUPPORTED,
              "logprobs", "not together with echo");
    check_bad(BODY(",\"echo\":1"), ERR_INPUT, "echo", "");
    check_bad(BODY(",\"stream\":\"yes\""), ERR_INPUT, "stream", "");
    check_bad(BODY(",\"stream_options\":[]"), ERR_INPUT, "stream_options",
              "expected an object");
    check_bad(BODY(",\"stop\":[\"\"]"), ERR_INPUT, "stop", "");
    check_bad(BODY(",\"max_tokens\":0"), ERR_INPUT, "max_tokens", "");
    check_bad(BODY(",\"temperature\":3"), ERR_INPUT, "temperature", "");
    check_bad(BODY(",\"logit_bias\":[]"), ERR_INPUT, "logit_bias", "");
}

static void test_good(void **state) {
    struct fixture f = parse(
        "{\"model\":\"m\",\"prompt\":[\"a\",\"b\"],\"n\":4,\"best_of\":4,"
        "\"logprobs\":0,\"stop\":\"x\",\"stream\":true,\"stream_options\":{"
        "\"include_usage\":true},\"seed\":3,\"suffix\":\"\",\"user\":\"u\"}");

    (void)state;
    assert_true(f.ok);
    assert_true(f.r.raw && f.r.stream && f.r.include_usage);
    assert_int_equal(f.r.message_count, 2);
    assert_true(span_is(f.r.messages[0].text, "a"));
    assert_true(span_is(f.r.messages[1].text, "b"));
    assert_int_equal(f.r.choices, 8); /* to each prompt four */
    /* None beside the token's own is not the same as none at all. */
    assert_true(f.r.logprobs);
    assert_int_equal(f.r.top_logprobs, 0);
    assert_int_equal(f.r.stop_count, 1);
    assert_int_equal(f.r.max_tokens, 16);
    clear(&f);
    f = parse(BODY(",\"echo\":true,\"logprobs\":null,\"max_tokens\":7"));
    assert_true(f.ok && f.r.echo && !f.r.logprobs);
    assert_int_equal(f.r.choices, 1);
    assert_int_equal(f.r.max_tokens, 7);
    clear(&f);
}

/* ---- answers ---- */

static struct reply reply_of(bool usage) {
    return (struct reply){.id = "1",
                          .created = 5,
                          .model = span_of("m"),
                          .include_usage = usage,
                          .usage = {.prompt_tokens = 3,
                                    .cached_tokens = 1,
                                    .completion_tokens = 2}};
}

static void expect_within(const struct bytes *out, const char *part) {
    if (span_find(span_bytes(out), span_of(part)) == SIZE_MAX)
        fail_msg("%.*s\nwithout\n%s", (int)out->size, out->at, part);
}

#define HEAD                                                                   \
    "{\"id\":\"cmpl-1\",\"object\":\"text_completion\",\"created\":5,"         \
    "\"model\":\"m\",\"choices\":["
#define USAGE                                                                  \
    "\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":2,"                  \
    "\"total_tokens\":5,\"prompt_tokens_details\":{\"cached_tokens\":1},"      \
    "\"completion_tokens_details\":{\"reasoning_tokens\":0}}"
#define TEXT(index, text, logprobs, finish)                                    \
    "{\"index\":" index ",\"text\":\"" text "\",\"logprobs\":" logprobs        \
    ",\"finish_reason\":" finish

static void test_whole(void **state) {
    struct reply reply = reply_of(false);
    struct reply_choice cut = {.echo = span_of("Say \""),
                               .text = span_of("a\n"),
                               .finish = REPLY_LENGTH};
    struct reply_choice refused = {.index = 1,
                                   .text = span_of("no"),
                                   .finish = REPLY_FILTERED,
                                   .corral = cJSON_CreateObject()};
    const struct reply_choice *list[] = {&cut, &refused};
    struct bytes out = {0};
    struct err err = {0};

    (void)state;
    assert_true(dialect_completions.whole(&reply, list, 2, &out, &err));
    check(&out, HEAD TEXT("0", "Say \\\"a\\n", "null", "\"length\"") "}," TEXT(
                    "1", "no", "null",
                    "\"content_filter\"") ",\"corral\":{}}]," USAGE "}");
    /* Of the only choice it stands beside the list. */
    assert_true(dialect_completions.whole(&reply, list + 1, 1, &out, &err));
    check(&out, HEAD TEXT("1", "no", "null",
                          "\"content_filter\"") "}]," USAGE ",\"corral\":{}}");
    cJSON_Delete(refused.corral);
}

/* The prompt comes once, before the first text or in the end's chunk. */
static void test_stream(void **state) {
    struct reply reply = reply_of(true);
    struct reply_choice c = {.echo = span_of("P:")}, silent = c;
    struct bytes out = {0};
    struct err err = {0};

    (void)state;
    silent.index = 1;
    assert_true(dialect_completions.text(&reply, &c, span_of("a"), &out, &err));
    assert_true(dialect_completions.text(&reply, &c, span_of("b"), &out, &err));
    assert_true(dialect_completions.end(&reply, &c, &out, &err));
    assert_true(dialect_completions.end(&reply, &silent, &out, &err));
    assert_true(dialect_completions.close(&reply, NULL, 0, &out, &err));
#define CHUNK(rest) "data: " HEAD rest "}],\"usage\":null}\n\n"
    check(&out, CHUNK(TEXT("0", "P:a", "null", "null"))
                    CHUNK(TEXT("0", "b", "null", "null"))
                        CHUNK(TEXT("0", "", "null", "\"stop\""))
                            CHUNK(TEXT("1", "P:", "null",
                                       "\"stop\"")) "data: " HEAD "]," USAGE
                                                    "}\n\ndata: [DONE]\n\n");
    /* Nobody asked for the usage: no chunk speaks of it. */
    reply.include_usage = false;
    assert_true(dialect_completions.text(&reply, &c, span_of("a"), &out, &err));
    assert_true(dialect_completions.close(&reply, NULL, 0, &out, &err));
    check(&out, "data: " HEAD TEXT("0", "a", "null",
                                   "null") "}]}\n\ndata: [DONE]\n\n");
}

static void test_stream_failures(void **state) {
    struct chat_tool_call call = {span_of("c"), span_of("f"), span_of("{}")};
    struct reply reply = reply_of(false);
    struct reply_choice refused = {.finish = REPLY_FILTERED,
                                   .corral = cJSON_CreateObject()};
    struct bytes out = {0}, narrow = {.limit = 40};
    struct err err = {0}, why = {0};

    (void)state;
    assert_true(dialect_completions.end(&reply, &refused, &out, &err));
    check(&out,
          "data: " HEAD TEXT("0", "", "null",
                             "\"content_filter\"") ",\"corral\":{}}]}\n\n");
    assert_false(dialect_completions.call(&reply, &refused, &call, &out, &err));
    assert_int_equal(err.code, ERR_INTERNAL);
    assert_false(dialect_completions.end(&reply, &refused, &narrow, &err));
    assert_true(narrow.size <= 40);
    bytes_free(&narrow);
    (void)err_set(&why, ERR_BUSY, "too much to do");
    /* In brackets, since cmocka has a macro of this name. */
    assert_true((dialect_completions.fail)(&why, &out, &err));
    expect_within(&out, "data: {\"error\":");
    expect_within(&out, "too much to do");
    bytes_free(&out);
    cJSON_Delete(refused.corral);
}

/* ---- log probabilities ---- */

static void put(struct bytes *entries, struct llm_logprob entry) {
    struct err err = {0};

    assert_true(dialect_completions.logprob(&entry, entries, &err));
}

/* A key of top_logprobs comes once, a part of a character as its bytes, a token
 * without any under its name; an offset counts characters, not bytes. */
static void test_logprobs(void **state) {
    struct llm_logprob top[] = {
        {.text = span_of("\xC3\xA4\t"), .logprob = -0.5f},
        {.text = span_of("b"), .logprob = -2},
        {.text = span_of("b"), .logprob = -3},
        {.name = span_of("<|end|>"), .logprob = LOGPROB_LEAST}};
    struct reply reply = reply_of(false);
    struct reply_choice c = {0};
    const struct reply_choice *one = &c;
    struct bytes entries = {0}, out = {0};
    struct err err = {0};
    static const char first[] =
        "{\"tokens\":[\"\xC3\xA4\\t\",\"bytes:\\\\xe2\\\\x82\",\"c\"],"
        "\"token_logprobs\":[-0.5,-1,-0.25],\"top_logprobs\":[{\"\xC3\xA4\\t\":"
        "-0.5,\"b\":-2,\"<|end|>\":-9999},{},{}],\"text_offset\":[0,2,3]}";
    static const char next[] =
        "{\"tokens\":[\"c\"],\"token_logprobs\":[-0.25],\"top_logprobs\":[{}],"
        "\"text_offset\":[4]}";

    (void)state;
    put(&entries,
        (struct llm_logprob){
            .text = top[0].text, .logprob = -0.5f, .top = top, .top_count = 4});
    put(&entries,
        (struct llm_logprob){.text = span_of("\xE2\x82"), .logprob = -1});
    put(&entries,
        (struct llm_logprob){.text = span_of("c"), .logprob = -0.25f});
    c.logprobs = span_bytes(&entries);
    assert_true(dialect_completions.text(&reply, &c, span_of("t"), &out, &err));
    expect_within(&out, first);
    /* The next chunk goes on where that one ended. */
    entries.size = out.size = 0;
    put(&entries,
        (struct llm_logprob){.text = span_of("c"), .logprob = -0.25f});
    c.logprobs = span_bytes(&entries);
    assert_true(dialect_completions.end(&reply, &c, &out, &err));
    expect_within(&out, next);
    /* A whole answer counts from its beginning. */
    out.size = 0;
    assert_true(dialect_completions.whole(&reply, &one, 1, &out, &err));
    expect_within(&out, "\"text_offset\":[0]");
    bytes_free(&entries);
    bytes_free(&out);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_bad_prompts),
                                       cmocka_unit_test(test_bad_options),
                                       cmocka_unit_test(test_good),
                                       cmocka_unit_test(test_whole),
                                       cmocka_unit_test(test_stream),
                                       cmocka_unit_test(test_stream_failures),
                                       cmocka_unit_test(test_logprobs)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
