/* test_mcp_wire.c - JSON-RPC messages told apart, wherever they are cut. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/utf8.h"
#include "tools/mcp_wire.h"

static void check_kind(const char *text, enum mcp_kind kind, int64_t id) {
    cJSON *json = mcp_parse(span_of(text), NULL);
    struct mcp_incoming in;

    assert_non_null(json);
    in = mcp_incoming_read(json);
    if (in.kind != kind || in.id != id)
        fail_msg("%s: %d %ld", text, (int)in.kind, (long)in.id);
    cJSON_Delete(json);
}

static void test_kinds(void **state) {
    (void)state;
    check_kind("{\"id\":7,\"result\":{}}", MCP_ANSWER, 7);
    check_kind("{\"id\":7,\"error\":{\"code\":1}}", MCP_ERROR, 7);
    check_kind("{\"id\":null,\"error\":{}}", MCP_ERROR, -1);
    check_kind("{\"id\":\"7\",\"result\":{}}", MCP_ANSWER, -1);
    check_kind("{\"id\":7.5,\"result\":{}}", MCP_ANSWER, -1);
    check_kind("{\"id\":-7,\"result\":{}}", MCP_ANSWER, -1);
    check_kind("{\"id\":1e300,\"result\":{}}", MCP_ANSWER, -1);
    check_kind("{\"id\":7,\"result\":7}", MCP_NOISE, -1);
    check_kind("{\"id\":7,\"method\":\"ping\"}", MCP_REQUEST, -1);
    check_kind("{\"id\":\"a\",\"method\":\"ping\"}", MCP_REQUEST, -1);
    check_kind("{\"id\":{},\"method\":\"ping\"}", MCP_NOISE, -1);
    check_kind("{\"method\":\"notifications/x\"}", MCP_NOTICE, -1);
    check_kind("{\"method\":7}", MCP_NOISE, -1);
    check_kind("{}", MCP_NOISE, -1);
    assert_null(mcp_parse(span_of("[]"), NULL));
    assert_null(mcp_parse(span_of("{"), NULL));
}

struct heard {
    int count;
    int stop_at;
    char methods[200];
};

static bool on_message(void *user, const cJSON *message) {
    struct heard *h = user;

    strcat(h->methods, mcp_incoming_read(message).method);
    strcat(h->methods, ";");
    return ++h->count != h->stop_at;
}

static void test_lines(void **state) {
    static const char text[] = "starting up\n\n{\"method\":\"a\"}\r\n"
                               "[noise]\n{\"method\":\"b\"}\n{\"method\":\"c";

    (void)state;
    for (size_t cut = 0; cut < sizeof text; cut++) {
        struct mcp_lines lines = {0};
        struct heard h = {0};
        struct span all = span_of(text);

        assert_true(mcp_lines_feed(&lines, span_slice(all, 0, cut), on_message,
                                   &h, NULL));
        assert_true(mcp_lines_feed(&lines, span_slice(all, cut, all.size),
                                   on_message, &h, NULL));
        assert_string_equal(h.methods, "a;b;");
        assert_int_equal(lines.noise, 2);
        mcp_lines_clear(&lines);
    }
}

static void test_stop(void **state) {
    struct mcp_lines lines = {0};
    struct heard h = {.stop_at = 1};

    (void)state;
    assert_true(mcp_lines_feed(
        &lines, span_of("{\"method\":\"a\"}\n{\"method\":\"b\"}\n"), on_message,
        &h, NULL));
    assert_string_equal(h.methods, "a;");
    mcp_lines_clear(&lines);
}

static void check_broken(const char *text, enum err_code code) {
    struct mcp_lines lines = {0};
    struct heard h = {0};
    struct err err = {0};

    assert_false(mcp_lines_feed(&lines, span_of(text), on_message, &h, &err));
    assert_int_equal(err.code, code);
    mcp_lines_clear(&lines);
}

static void test_broken_lines(void **state) {
    struct bytes deep = {0}, noise = {0}, endless = {0};

    (void)state;
    check_broken("{\"method\": }\n", ERR_INPUT);
    check_broken("{\"a\":1,\"a\":2}\n", ERR_INPUT);
    for (int i = 0; i < 100000; i++) bytes_puts(&deep, "{\"a\":");
    bytes_puts(&deep, "\n");
    bytes_put(&deep, (struct span){"", 1});
    check_broken(deep.at, ERR_LIMIT);
    for (int i = 0; i <= MCP_NOISE_LINES_MAX; i++) bytes_puts(&noise, "x\n");
    bytes_put(&noise, (struct span){"", 1});
    check_broken(noise.at, ERR_LIMIT);
    for (int i = 0; i <= MCP_MESSAGE_BYTES_MAX; i += 8)
        bytes_puts(&endless, "12345678");
    bytes_put(&endless, (struct span){"", 1});
    check_broken(endless.at, ERR_LIMIT);
    bytes_free(&deep);
    bytes_free(&noise);
    bytes_free(&endless);
}

static void test_out(void **state) {
    struct bytes out = {0};
    cJSON *request = json_parse(
        span_of("{\"id\":\"x\\ny\",\"method\":\"sampling/createMessage\"}"),
        NULL);
    struct mcp_incoming in = mcp_incoming_read(request);

    (void)state;
    mcp_put_request(&out, 3, "tools/list", NULL, false, -1);
    assert_true(span_is(span_bytes(&out),
                        "{\"jsonrpc\":\"2.0\",\"method\":\"tools/list\","
                        "\"params\":{},\"id\":3}"));
    out.size = 0;
    mcp_put_request(&out, 3, "tools/call", NULL, true, 3);
    assert_true(span_find(span_bytes(&out), span_of("\"progressToken\":3")) !=
                SIZE_MAX);
    assert_true(span_find(span_bytes(&out),
                          span_of("protocolVersion\":\"2026-07-28\"")) !=
                SIZE_MAX);
    out.size = 0;
    mcp_put_reply(&out, &in);
    assert_true(span_is(span_bytes(&out),
                        "{\"jsonrpc\":\"2.0\",\"id\":\"x\\ny\",\"error\":"
                        "{\"code\":-32601,\"message\":\"Method not found\"}}"));
    out.size = 0;
    in.method = "ping";
    mcp_put_reply(&out, &in);
    assert_true(span_is(span_bytes(&out), "{\"jsonrpc\":\"2.0\",\"id\":"
                                          "\"x\\ny\",\"result\":{}}"));
    bytes_free(&out);
    cJSON_Delete(request);
}

static void check_result(const char *json, bool ok, const char *want) {
    struct bytes out = {.limit = 200};
    cJSON *result = json_parse(span_of(json), NULL);

    assert_non_null(result);
    if (mcp_result_text(result, &out) != ok || !span_is(span_bytes(&out), want))
        fail_msg("%s: %.*s", json, (int)out.size, out.at ? out.at : "");
    bytes_free(&out);
    cJSON_Delete(result);
}

static void test_results(void **state) {
    (void)state;
    check_result("{\"content\":[{\"type\":\"text\",\"text\":\"a\"},"
                 "{\"type\":\"text\",\"text\":\"b\"}]}",
                 true, "a\nb");
    check_result("{\"content\":[{\"type\":\"text\",\"text\":\"no\"}],"
                 "\"isError\":true}",
                 false, "no");
    check_result("{\"content\":[{\"type\":\"image\",\"data\":\"AAAA\","
                 "\"mimeType\":\"image/png\"},{\"type\":\"resource_link\","
                 "\"name\":\"n\",\"uri\":\"file:///n\"},{\"type\":\"resource\","
                 "\"resource\":{\"uri\":\"u\",\"text\":\"t\"}},"
                 "{\"type\":\"resource\",\"resource\":{\"uri\":\"u\","
                 "\"blob\":\"AA\"}},{\"type\":\"dance\"},7]}",
                 true,
                 "[image image/png]\n[resource_link n file:///n]\nt\n"
                 "[resource u]\n[content of an unknown kind]\n"
                 "[content of an unknown kind]");
    check_result("{\"content\":[],\"structuredContent\":{\"a\":1}}", true,
                 "{\"a\":1}");
    check_result("{}", true, "");
    check_result("{\"content\":{\"type\":\"text\"}}", true, "");
    check_result("{\"resultType\":\"input_required\"}", false,
                 "the tool asks for more input, which cannot be given");
}

static void test_huge_result(void **state) {
    struct bytes json = {0}, out = {.limit = 200};
    cJSON *result;

    (void)state;
    bytes_puts(&json, "{\"content\":[");
    for (int i = 0; i < 1000; i++)
        bytes_puts(&json, "{\"type\":\"text\",\"text\":\"\xc3\xa9\xc3\xa9\"},");
    bytes_puts(&json, "{}]}");
    result = json_parse(span_bytes(&json), NULL);
    assert_true(mcp_result_text(result, &out));
    assert_true(out.size <= 200 && out.size > 190);
    assert_true(utf8_valid(span_bytes(&out)));
    bytes_free(&out);
    bytes_free(&json);
    cJSON_Delete(result);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kinds),       cmocka_unit_test(test_lines),
        cmocka_unit_test(test_stop),        cmocka_unit_test(test_broken_lines),
        cmocka_unit_test(test_out),         cmocka_unit_test(test_results),
        cmocka_unit_test(test_huge_result),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
