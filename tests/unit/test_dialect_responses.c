/* test_dialect_responses.c - the answers of /v1/responses: a list of items, or
 * the events that build one, numbered without a gap. Nothing of a request that
 * was refused is repeated. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/json.h"
#include "proxy/dialect.h"

static const struct chat_tool_call call = {
    {"c1", 2}, {"f", 1}, {"{\"a\":\"b\"}", 9}};

static cJSON *request(void) {
    cJSON *body = json_parse(
        span_of("{\"temperature\":0.5,\"metadata\":{\"k\":\"secret\"},"
                "\"tools\":[{\"type\":\"function\",\"name\":\"f\"}]}"),
        NULL);

    assert_non_null(body);
    return body;
}

static struct reply reply_of(const cJSON *body) {
    return (struct reply){.body = body,
                          .id = "1",
                          .created = 5,
                          .model = span_of("m\""),
                          .usage = {.prompt_tokens = 3,
                                    .cached_tokens = 1,
                                    .completion_tokens = 2}};
}

/* `path`: keys and indices with dots between; what is there, as JSON text. */
static void expect(const cJSON *json, const char *path, const char *expected) {
    struct bytes out = {0};
    char part[64];

    for (const char *at = path; *at;) {
        size_t size = strcspn(at, ".");

        assert_true(size < sizeof part);
        memcpy(part, at, size);
        part[size] = '\0';
        json = cJSON_IsArray(json)
                   ? cJSON_GetArrayItem(json, (int)strtol(part, NULL, 10))
                   : cJSON_GetObjectItemCaseSensitive(json, part);
        if (!json) fail_msg("no %s", path);
        at += size + (at[size] == '.');
    }
    assert_true(json_print(json, &out, NULL));
    if (!span_is(span_bytes(&out), expected))
        fail_msg("%s: %.*s, not %s", path, (int)out.size, out.at, expected);
    bytes_free(&out);
}

static cJSON *whole(const struct reply *reply, const struct reply_choice *c) {
    struct bytes out = {0};
    struct err err = {0};
    cJSON *json;

    assert_true(dialect_responses.whole(reply, &c, 1, &out, &err));
    json = json_parse(span_bytes(&out), &err);
    if (!json) fail_msg("%.*s: %s", (int)out.size, out.at, err.text);
    bytes_free(&out);
    return json;
}

static void test_whole(void **state) {
    cJSON *body = request(), *json;
    struct reply reply = reply_of(body);
    struct reply_choice c = {.text = span_of("a\"b"),
                             .calls = &call,
                             .call_count = 1,
                             .finish = REPLY_TOOL_CALLS};

    (void)state;
    json = whole(&reply, &c);
    expect(json, "id", "\"resp_1\"");
    expect(json, "model", "\"m\\\"\"");
    expect(json, "status", "\"completed\"");
    expect(json, "incomplete_details", "null");
    expect(json, "temperature", "0.5");
    expect(json, "top_p", "null");
    expect(json, "tool_choice", "\"auto\"");
    expect(json, "metadata", "{\"k\":\"secret\"}");
    expect(json, "tools.0.name", "\"f\"");
    expect(json, "usage.input_tokens_details", "{\"cached_tokens\":1}");
    expect(json, "usage.total_tokens", "5");
    expect(json, "output.0.content",
           "[{\"type\":\"output_text\",\"annotations\":[],\"logprobs\":[],"
           "\"text\":\"a\\\"b\"}]");
    expect(json, "output.1",
           "{\"id\":\"fc_1_0\",\"type\":\"function_call\",\"status\":"
           "\"completed\",\"call_id\":\"c1\",\"name\":\"f\",\"arguments\":"
           "\"{\\\"a\\\":\\\"b\\\"}\"}");
    cJSON_Delete(json);
    /* Calls without a word are no message; no word at all is one. */
    c.text = (struct span){0};
    json = whole(&reply, &c);
    expect(json, "output.0.type", "\"function_call\"");
    cJSON_Delete(json);
    c = (struct reply_choice){.finish = REPLY_LENGTH};
    json = whole(&reply, &c);
    expect(json, "output.0.content.0.text", "\"\"");
    expect(json, "output.0.status", "\"incomplete\"");
    expect(json, "status", "\"incomplete\"");
    expect(json, "incomplete_details", "{\"reason\":\"max_output_tokens\"}");
    cJSON_Delete(json);
    cJSON_Delete(body);
}

static void test_refused(void **state) {
    cJSON *body = request(), *json;
    struct reply reply = reply_of(body);
    struct reply_choice c = {.text = span_of("no"),
                             .finish = REPLY_FILTERED,
                             .corral = cJSON_CreateObject()};

    (void)state;
    json = whole(&reply, &c);
    expect(json, "output.0.content",
           "[{\"type\":\"refusal\",\"refusal\":"
           "\"no\"}]");
    expect(json, "incomplete_details", "{\"reason\":\"content_filter\"}");
    expect(json, "corral", "{}");
    expect(json, "metadata", "{}");
    expect(json, "tools", "[]");
    expect(json, "temperature", "null");
    cJSON_Delete(json);
    cJSON_Delete(c.corral);
    cJSON_Delete(body);
}

/* ---- events ---- */

struct events {
    struct bytes out;
    cJSON *list;
    struct bytes types; /* one a line */
};

/* Each event's name and number are right; what the stream has is taken. */
static void take(struct events *e) {
    struct span rest = span_bytes(&e->out);

    if (!e->list) e->list = cJSON_CreateArray();
    while (rest.size) {
        size_t line = span_find(rest, span_of("\n"));
        size_t end = span_find(rest, span_of("\n\n"));
        struct span name, data;
        cJSON *json;

        assert_true(end != SIZE_MAX);
        name = span_slice(rest, strlen("event: "), line);
        data = span_slice(rest, line + 1 + strlen("data: "), end);
        json = json_parse(data, NULL);
        if (!json) fail_msg("%.*s", (int)data.size, data.at);
        assert_true(span_is(
            name, cJSON_GetStringValue(cJSON_GetObjectItem(json, "type"))));
        assert_int_equal(
            cJSON_GetNumberValue(cJSON_GetObjectItem(json, "sequence_number")),
            cJSON_GetArraySize(e->list));
        (void)cJSON_AddItemToArray(e->list, json);
        bytes_put(&e->types, span_slice(name, strlen("response."), SIZE_MAX));
        bytes_puts(&e->types, "\n");
        rest = span_slice(rest, end + 2, rest.size);
    }
    e->out.size = 0;
}

static void expect_types(const struct events *e, const char *types) {
    if (!span_is(span_bytes(&e->types), types))
        fail_msg("%.*s", (int)e->types.size, e->types.at);
}

static void clear(struct events *e) {
    bytes_free(&e->out);
    bytes_free(&e->types);
    cJSON_Delete(e->list);
    *e = (struct events){0};
}

#define BEGUN "created\nin_progress\n"
#define OPENED "output_item.added\ncontent_part.added\n"
#define CLOSED "output_text.done\ncontent_part.done\noutput_item.done\n"
#define CALLED                                                                 \
    "output_item.added\nfunction_call_arguments.delta\n"                       \
    "function_call_arguments.done\noutput_item.done\n"

/* Text, two calls, and the end. */
static void test_stream(void **state) {
    const struct dialect *d = &dialect_responses;
    cJSON *body = request();
    struct reply reply = reply_of(body);
    struct reply_choice c = {.finish = REPLY_TOOL_CALLS};
    const struct reply_choice *one = &c;
    struct events e = {0};
    struct err err = {0};

    (void)state;
    assert_true(d->text(&reply, &c, span_of("He"), &e.out, &err));
    assert_true(d->text(&reply, &c, span_of("llo"), &e.out, &err));
    c.text = span_of("Hello");
    assert_true(d->call(&reply, &c, &call, &e.out, &err));
    assert_true(d->call(&reply, &c, &call, &e.out, &err));
    assert_true(d->end(&reply, &c, &e.out, &err));
    assert_true(d->close(&reply, &one, 1, &e.out, &err));
    take(&e);
    expect_types(&e, BEGUN OPENED
                 "output_text.delta\noutput_text.delta\n" CLOSED CALLED CALLED
                 "completed\n");
    expect(e.list, "0.response.status", "\"in_progress\"");
    expect(e.list, "0.response.output", "[]");
    expect(e.list, "0.response.usage", "null");
    expect(e.list, "0.response.metadata", "{\"k\":\"secret\"}");
    expect(e.list, "2.item.content", "[]");
    expect(e.list, "5.delta", "\"llo\"");
    expect(e.list, "6.text", "\"Hello\"");
    expect(e.list, "8.item.content.0.text", "\"Hello\"");
    expect(e.list, "9.item.arguments", "\"\"");
    expect(e.list, "10.delta", "\"{\\\"a\\\":\\\"b\\\"}\"");
    expect(e.list, "12.output_index", "1");
    expect(e.list, "12.item.id", "\"fc_1_0\"");
    expect(e.list, "16.output_index", "2");
    expect(e.list, "16.item.id", "\"fc_1_1\"");
    expect(e.list, "17.response.status", "\"completed\"");
    expect(e.list, "17.response.usage.output_tokens", "2");
    clear(&e);
    cJSON_Delete(body);
}

static void test_stream_silent(void **state) {
    const struct dialect *d = &dialect_responses;
    struct reply reply = reply_of(NULL);
    struct reply_choice c = {.finish = REPLY_LENGTH}, calls = {0};
    const struct reply_choice *one = &c;
    struct events e = {0};
    struct err err = {0};

    (void)state;
    assert_true(d->end(&reply, &c, &e.out, &err));
    assert_true(d->close(&reply, &one, 1, &e.out, &err));
    take(&e);
    expect_types(&e, BEGUN OPENED CLOSED "incomplete\n");
    expect(e.list, "6.item.status", "\"incomplete\"");
    clear(&e);
    /* A call alone is an item, and no message beside it. */
    assert_true(d->call(&reply, &calls, &call, &e.out, &err));
    assert_true(d->end(&reply, &calls, &e.out, &err));
    take(&e);
    expect_types(&e, BEGUN CALLED);
    expect(e.list, "2.output_index", "0");
    clear(&e);
}

/* Refused at once: its own kind of part, and nothing of the request. After a
 * text has gone out the part stays what it was. */
static void test_stream_refused(void **state) {
    const struct dialect *d = &dialect_responses;
    cJSON *body = request();
    struct reply reply = reply_of(body);
    struct reply_choice c = {.finish = REPLY_FILTERED,
                             .corral = cJSON_CreateObject()};
    struct reply_choice late = {.finish = REPLY_FILTERED};
    const struct reply_choice *one = &c;
    struct events e = {0};
    struct err err = {0};

    (void)state;
    assert_true(d->text(&reply, &c, span_of("no"), &e.out, &err));
    c.text = span_of("no");
    assert_true(d->end(&reply, &c, &e.out, &err));
    assert_true(d->close(&reply, &one, 1, &e.out, &err));
    assert_int_equal(span_find(span_bytes(&e.out), span_of("secret")),
                     SIZE_MAX);
    take(&e);
    expect_types(&e,
                 BEGUN OPENED "refusal.delta\nrefusal.done\ncontent_part.done\n"
                              "output_item.done\nincomplete\n");
    expect(e.list, "5.refusal", "\"no\"");
    expect(e.list, "8.response.output.0.content.0",
           "{\"type\":\"refusal\",\"refusal\":\"no\"}");
    expect(e.list, "8.response.corral", "{}");
    clear(&e);
    one = &late;
    assert_true(d->text(&reply, &late, span_of("a"), &e.out, &err));
    late.text = span_of("a");
    late.corral = c.corral;
    assert_true(d->end(&reply, &late, &e.out, &err));
    assert_true(d->close(&reply, &one, 1, &e.out, &err));
    take(&e);
    expect_types(&e, BEGUN OPENED "output_text.delta\n" CLOSED "incomplete\n");
    expect(e.list, "8.response.output.0.content.0.type", "\"output_text\"");
    expect(e.list, "8.response.metadata", "{}");
    clear(&e);
    cJSON_Delete(c.corral);
    cJSON_Delete(body);
}

static void check_fail(enum err_code code, const char *told,
                       const char *message) {
    struct err why = {0}, err = {0};
    struct bytes out = {0};
    struct span data;
    cJSON *json;

    (void)err_set(&why, code, "what \"exactly\"");
    /* In brackets, since cmocka has a macro of this name. */
    assert_true((dialect_responses.fail)(&why, &out, &err));
    data =
        span_slice(span_bytes(&out), strlen("event: error\ndata: "), SIZE_MAX);
    json = json_parse(data, &err);
    if (!json) fail_msg("%.*s", (int)out.size, out.at);
    expect(json, "type", "\"error\"");
    expect(json, "code", told);
    expect(json, "message", message);
    cJSON_Delete(json);
    bytes_free(&out);
}

/* A client reads what is its own doing, and nothing of what is inside. */
static void test_fail(void **state) {
    (void)state;
    check_fail(ERR_INPUT, "\"invalid_request\"", "\"what \\\"exactly\\\"\"");
    check_fail(ERR_INTERNAL, "\"internal_error\"", "\"internal error\"");
}

/* Every writer stops at the limit of what it writes to. */
static void test_full(void **state) {
    const struct dialect *d = &dialect_responses;
    struct reply reply = reply_of(NULL);
    const struct reply_choice c = {.text = span_of("a")}, *one = &c;

    (void)state;
    for (size_t limit = 1; limit < 400; limit += 13) {
        struct bytes out = {.limit = limit};
        struct reply_choice fresh = {0};
        struct err err = {0};

        assert_false(d->whole(&reply, &one, 1, &out, &err));
        assert_int_equal(err.code, ERR_LIMIT);
        assert_true(out.size <= limit);
        out.size = 0;
        assert_false(d->text(&reply, &fresh, span_of("a"), &out, &err));
        assert_true(out.size <= limit);
        bytes_free(&out);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_whole),
                                       cmocka_unit_test(test_refused),
                                       cmocka_unit_test(test_stream),
                                       cmocka_unit_test(test_stream_silent),
                                       cmocka_unit_test(test_stream_refused),
                                       cmocka_unit_test(test_fail),
                                       cmocka_unit_test(test_full)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
