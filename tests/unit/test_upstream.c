/* test_upstream.c - what an upstream's stream amounts to, and what an upstream
 * is sent. An upstream is hostile: it cannot send two choices, broken calls or
 * half an answer and have it pass. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "proxy/dialect.h"
#include "proxy/upstream.h"

static void on_text(void *user, struct span text, const int *tokens,
                    int token_count) {
    (void)tokens;
    (void)token_count;
    bytes_put(user, text);
}

/* (token -0.5: rival rival) */
static void on_logprobs(void *user, const struct llm_logprob *list, int count) {
    char figure[32];

    for (int i = 0; i < count; i++) {
        bytes_puts(user, "(");
        bytes_put(user, list[i].text);
        (void)snprintf(figure, sizeof figure, " %g:", (double)list[i].logprob);
        bytes_puts(user, figure);
        for (int t = 0; t < list[i].top_count; t++) {
            bytes_puts(user, " ");
            bytes_put(user, list[i].top[t].text);
        }
        bytes_puts(user, ")");
    }
}

static void on_origin(void *user, const struct llm_origin *origin) {
    char created[32];

    (void)snprintf(created, sizeof created, " %lld]",
                   (long long)origin->created);
    bytes_puts(user, "[");
    bytes_put(user, origin->id);
    bytes_puts(user, " ");
    bytes_put(user, origin->fingerprint);
    bytes_puts(user, created);
}

static void on_tool_call(void *user, const struct chat_tool_call *call) {
    bytes_puts(user, "<");
    bytes_put(user, call->id);
    bytes_puts(user, " ");
    bytes_put(user, call->name);
    bytes_puts(user, " ");
    bytes_put(user, call->arguments);
    bytes_puts(user, ">");
}

/* The events of a stream, cut into pieces of `step` bytes; false on error. */
static bool read_as(const char *in, size_t step, bool named, struct bytes *out,
                    struct llm_end *end, struct err *err) {
    struct llm_events events = {.on_origin = named ? on_origin : NULL,
                                .on_text = on_text,
                                .on_logprobs = on_logprobs,
                                .on_tool_call = on_tool_call,
                                .user = out};
    struct upstream_reader *r = upstream_reader_new(&events);
    struct span all = span_of(in);
    bool ok = true;

    for (size_t at = 0; ok && at < all.size; at += step)
        ok = upstream_reader_feed(r, span_slice(all, at, at + step), err);
    ok = ok && upstream_reader_finish(r, end, err);
    upstream_reader_free(r);
    return ok;
}

static bool read_all(const char *in, size_t step, struct bytes *out,
                     struct llm_end *end, struct err *err) {
    return read_as(in, step, false, out, end, err);
}

static void check(const char *in, const char *expected,
                  enum llm_finish finish) {
    for (size_t step = 1; step <= strlen(in); step += step < 40 ? 1 : 37) {
        struct bytes out = {0};
        struct llm_end end = {0};
        struct err err = {0};

        if (!read_all(in, step, &out, &end, &err)) fail_msg("%s", err.text);
        assert_true(span_is(span_bytes(&out), expected));
        assert_true(end.ok);
        assert_int_equal(end.finish, finish);
        bytes_free(&out);
    }
}

static void check_refused(const char *in, const char *reason) {
    struct bytes out = {0};
    struct llm_end end = {0};
    struct err err = {0};

    assert_false(read_all(in, strlen(in), &out, &end, &err));
    assert_int_equal(err.code, ERR_IO);
    assert_non_null(strstr(err.text, reason));
    bytes_free(&out);
}

#define CHUNK(delta, finish)                                                   \
    "data: {\"choices\":[{\"index\":0,\"delta\":{" delta                       \
    "},\"finish_reason\":" finish "}]}\n\n"

/* What a server calls its answer comes once, before the text. */
static void check_origin(const char *top, const char *expected) {
    struct bytes in = {0}, out = {0};
    struct llm_end end = {0};
    struct err err = {0};

    for (int i = 0; i < 2; i++)
        assert_true(bytes_printf(
            &in, &err,
            "data: {%s,\"choices\":[{\"delta\":{\"content\":\"a\"},"
            "\"finish_reason\":\"stop\"}]}\n\n",
            top));
    assert_true(bytes_append(&in, "", 1, &err));
    assert_true(read_as(in.at, 7, true, &out, &end, &err));
    if (!span_is(span_bytes(&out), expected))
        fail_msg("%s: %.*s", top, (int)out.size, out.at);
    bytes_free(&in);
    bytes_free(&out);
}

static void test_origin(void **state) {
    (void)state;
    check_origin("\"id\":\"a-1\",\"created\":12,\"system_fingerprint\":"
                 "\"fp_:/.\"",
                 "[a-1 fp_:/. 12]aa");
    check_origin("\"x\":1", "[  0]aa");
    check_origin("\"id\":\"a b\",\"created\":-1,\"system_fingerprint\":[]",
                 "[  0]aa");
    check_origin("\"id\":\"\\u00e9\",\"created\":1e300", "[  0]aa");
}

/* The stop string that it names, when it is one that could be asked for. */
static void check_stop(const char *finish, const char *expected) {
    struct llm_events events = {.on_text = NULL};
    struct upstream_reader *r = upstream_reader_new(&events);
    struct bytes in = {0};
    struct err err = {0};

    assert_true(bytes_printf(
        &in, &err, "data: {\"choices\":[{\"delta\":{},%s}]}\n\n", finish));
    assert_true(upstream_reader_feed(r, span_bytes(&in), &err));
    assert_true(span_is(upstream_reader_stop(r), expected));
    upstream_reader_free(r);
    bytes_free(&in);
}

static void test_stop(void **state) {
    char longer[400];

    (void)state;
    check_stop("\"finish_reason\":\"stop\",\"stop_reason\":\"END\"", "END");
    check_stop("\"finish_reason\":\"stop\",\"stop_reason\":128009", "");
    check_stop("\"finish_reason\":\"stop\",\"stop_reason\":null", "");
    check_stop("\"finish_reason\":null,\"stop_reason\":\"END\"", "");
    (void)snprintf(longer, sizeof longer,
                   "\"finish_reason\":\"stop\",\"stop_reason\":\"%0300d\"", 0);
    check_stop(longer, "");
}

static void test_text(void **state) {
    (void)state;
    check(CHUNK("\"role\":\"assistant\",\"content\":\"\"", "null")
              CHUNK("\"content\":\"Hel\"", "null")
                  CHUNK("\"content\":\"lo\"", "null")
                      CHUNK("", "\"stop\"") "data: [DONE]\n\n",
          "Hello", LLM_STOP);
    check(CHUNK("\"content\":\"a\"", "\"length\""), "a", LLM_LENGTH);
    check(CHUNK("\"content\":\"a\"", "\"content_filter\""), "a", LLM_FILTERED);
    /* Nothing after [DONE] counts, and reasoning is not passed on. */
    check(
        CHUNK("\"reasoning_content\":\"x\",\"content\":\"a\"",
              "\"stop\"") "data: [DONE]\n\n" CHUNK("\"content\":\"b\"", "null"),
        "a", LLM_STOP);
    /* A server that does not stream. */
    check("data: {\"choices\":[{\"message\":{\"content\":\"whole\"},"
          "\"finish_reason\":\"stop\"}]}\n\n",
          "whole", LLM_STOP);
}

#define ENTRY(token, more) "{\"token\":\"" token "\",\"logprob\":-0.5" more "}"
#define WITH(content, entries)                                                 \
    "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"" content       \
    "\"},\"logprobs\":{\"content\":[" entries                                  \
    "]},\"finish_reason\":\"stop\"}]}\n\n"

static void test_logprobs(void **state) {
    (void)state;
    check(WITH("ab", ENTRY("a", ",\"top_logprobs\":[" ENTRY("x", "") "," ENTRY(
                                    "y", "") "]") "," ENTRY("b", "")),
          "(a -0.5: x y)(b -0.5:)ab", LLM_STOP);
    /* The bytes say more than a token that is half a character. */
    check(WITH("\xC3\xA4", ENTRY("?", ",\"bytes\":[195]") "," ENTRY(
                               "?", ",\"bytes\":[164]")),
          "(\xC3 -0.5:)(\xA4 -0.5:)\xC3\xA4", LLM_STOP);
    check(WITH("a", ENTRY("a", ",\"bytes\":null")), "(a -0.5:)a", LLM_STOP);
    /* What is none is left out. */
    check(WITH("a", "7,{},[],{\"token\":1,\"logprob\":-1},{\"token\":\"a\"},"
                    "{\"token\":\"a\",\"logprob\":1},{\"token\":\"a\","
                    "\"logprob\":\"x\"},null"),
          "(a -9999:)(a 0:)(a -9999:)a", LLM_STOP);
    check(WITH("a", ENTRY("a", ",\"bytes\":[256]") "," ENTRY(
                        "b", ",\"bytes\":[\"x\"]")),
          "(a -0.5:)(b -0.5:)a", LLM_STOP);
    check(WITH("a", ENTRY("a", ",\"top_logprobs\":{\"a\":[7]}")), "(a -0.5:)a",
          LLM_STOP);
}

static void test_calls(void **state) {
    (void)state;
    check(CHUNK("\"tool_calls\":[{\"index\":0,\"id\":\"c1\",\"function\":{"
                "\"name\":\"f\",\"arguments\":\"\"}}]",
                "null") CHUNK("\"tool_calls\":[{\"index\":0,\"function\":{"
                              "\"arguments\":\"{\\\"a\\\":\"}}]",
                              "null")
              CHUNK("\"tool_calls\":[{\"index\":0,\"function\":{"
                    "\"arguments\":\"1}\"}}]",
                    "null") CHUNK("", "\"tool_calls\""),
          "<c1 f {\"a\":1}>", LLM_TOOL_CALLS);
    /* Some servers end a call with "stop". */
    check(CHUNK("\"tool_calls\":[{\"index\":0,\"id\":\"c\",\"function\":{"
                "\"name\":\"f\"}}]",
                "\"stop\""),
          "<c f {}>", LLM_TOOL_CALLS);
    /* A call that was cut off is no call. */
    check(CHUNK("\"tool_calls\":[{\"index\":0,\"id\":\"c\",\"function\":{"
                "\"name\":\"f\",\"arguments\":\"{\\\"a\"}}]",
                "\"length\""),
          "", LLM_LENGTH);
}

static void test_refused(void **state) {
    (void)state;
    check_refused("data: {]\n\n", "not JSON");
    check_refused("data: {\"error\":{\"message\":\"x\"}}\n\n", "error");
    check_refused(CHUNK("\"content\":\"a\"", "null"), "early");
    check_refused("", "early");
    check_refused("data: {\"choices\":[{},{}]}\n\n", "one choice");
    check_refused(CHUNK("\"tool_calls\":[{\"index\":3}]", "null"), "order");
    check_refused(CHUNK("\"tool_calls\":[{\"index\":0,\"function\":{"
                        "\"name\":\"f\",\"arguments\":\"[1]\"}}]",
                        "\"tool_calls\""),
                  "no JSON object");
    check_refused(CHUNK("\"tool_calls\":[{\"index\":0,\"function\":{"
                        "\"arguments\":\"{}\"}}]",
                        "\"tool_calls\""),
                  "without a name");
}

/* What goes out is what was read and judged: of what Corral does not know, what
 * cannot stand for something that it does. */
static void test_body(void **state) {
    static const char in[] =
        "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"hi\"},"
        "{\"role\":\"assistant\",\"tool_calls\":[{\"id\":\"c\",\"type\":"
        "\"function\",\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}}]},"
        "{\"role\":\"tool\",\"tool_call_id\":\"c\",\"content\":\"r\"}],"
        "\"stop\":\"END\",\"top_p\":0.5,\"seed\":7,\"max_tokens\":5,\"n\":3,"
        "\"logprobs\":true,\"top_logprobs\":2,\"logit_bias\":{\"5\":-100},"
        "\"min_p\":0.5,\"top_k\":40,\"repeat_penalty\":2,"
        "\"MESSAGES\":[{\"role\":\"user\",\"content\":\"raw\"}],"
        "\"me\xc5\xbf\xc5\xbf"
        "ages\":[],\"chat_template\":\"{{x}}\",\"moderation\":{},"
        "\"user\":\"u-1\",\"guided_choice\":[\"a\",{\"b\":1}]}";
    static const char expected[] =
        "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"hi\"},"
        "{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[{\"id\":"
        "\"c\",\"type\":\"function\",\"function\":{\"name\":\"f\","
        "\"arguments\":\"{}\"}}]},{\"role\":\"tool\",\"content\":\"r\","
        "\"tool_call_id\":\"c\"}],\"top_p\":0.5,\"seed\":7,"
        "\"max_tokens\":5,\"logit_bias\":{\"5\":-100},\"logprobs\":true,"
        "\"top_logprobs\":2,\"top_k\":40,\"min_p\":0.5,\"repeat_penalty\":2,"
        "\"repeat_last_n\":64,\"stop\":[\"END\"],"
        "\"user\":\"u-1\",\"guided_choice\":[\"a\",{\"b\":1}],\"stream\":true,"
        "\"stream_options\":{\"include_usage\":true}}";
    struct arena *arena = arena_new(1 << 20);
    struct bytes out = {0};
    struct chat_request r;
    struct err err = {0};
    cJSON *body = json_parse(span_of(in), &err);

    (void)state;
    chat_request_init(&r, arena);
    if (!dialect_openai.parse(body, &r, &err)) fail_msg("%s", err.text);
    assert_true(upstream_body(&r, NULL, &out, &err));
    assert_true(span_is(span_bytes(&out), expected));
    bytes_free(&out);
    cJSON_Delete(body);
    arena_free(arena);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_origin), cmocka_unit_test(test_stop),
        cmocka_unit_test(test_text),   cmocka_unit_test(test_logprobs),
        cmocka_unit_test(test_calls),  cmocka_unit_test(test_refused),
        cmocka_unit_test(test_body)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
