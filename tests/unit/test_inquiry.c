/* test_inquiry.c - POST /v1/guard/check: what is judged as what, what the
 * answer says of it and where, and that it never repeats the text; a guard that
 * cannot judge is its own answer. */
#include "fake_classifier.h"

#include "exchange_world.h"

#define JUDGED                                                                 \
    "policy: test\ntools: {allow: [oracle]}\nlimits: {input_tokens: 100}\n"    \
    "checks:\n" RULE ENTITY LEARNED
#define MESSAGE(role, text) "{\"role\":\"" role "\",\"content\":\"" text "\"}"

static struct world w;

/* Every question is answered, so that this comes to an end. */
static void answer_all(void) {
    while (!w.over) {
        (void)uv_run(&w.loop, UV_RUN_NOWAIT);
        (void)fake_poll();
    }
}

static void check(const char *body) {
    (void)ask(&w, "/v1/guard/check", body);
    answer_all();
}

static void expect_bad(const char *body, const char *message,
                       const char *param) {
    char text[256];

    check(body);
    if (w.status != 400) fail_msg("%s: %d", body, w.status);
    if (!answered(&w, message))
        fail_msg("%s: %.*s", body, (int)w.body.size, w.body.at);
    (void)snprintf(text, sizeof text, *param ? "\"param\":\"%s\"" : "%s",
                   *param ? param : "\"param\":null");
    if (!answered(&w, text))
        fail_msg("%s: %.*s", body, (int)w.body.size, w.body.at);
}

static void test_bad(void **state) {
    (void)state;
    world_open(&w, JUDGED);
    expect_bad("[]", "expected a JSON object", "");
    expect_bad("{\"text\":", "JSON", "");
    expect_bad("{}", "expected one of text, messages", "");
    expect_bad("{\"text\":\"a\",\"tool_result\":\"b\"}", "expected one of", "");
    expect_bad("{\"text\":\"a\",\"txet\":\"b\"}", "txet", "txet");
    expect_bad("{\"text\":\"\"}", "text: expected a text", "text");
    expect_bad("{\"text\":[\"a\"]}", "text: expected a text", "text");
    expect_bad("{\"text\":\"a\",\"channel\":\"tool_call\"}",
               "channel: expected input, output", "channel");
    expect_bad("{\"text\":\"a\",\"channel\":7}", "channel", "channel");
    expect_bad("{\"text\":\"a\",\"prompt\":\"b\"}", "prompt: goes with",
               "prompt");
    expect_bad("{\"messages\":[]}", "messages", "messages");
    expect_bad("{\"messages\":[" MESSAGE("root", "a") "]}", "messages[0].role",
               "messages[0].role");
    expect_bad("{\"tool_call\":\"f\"}", "tool_call: expected an object",
               "tool_call");
    expect_bad("{\"tool_call\":{\"arguments\":{}}}", "tool_call.name: missing",
               "tool_call.name");
    expect_bad("{\"tool_call\":{\"name\":\"f\"}}", "expected an object",
               "tool_call.arguments");
    expect_bad("{\"tool_result\":{\"content\":7}}", "tool_result: expected",
               "tool_result");
    expect_bad("{\"tool_result\":\"\"}", "tool_result: expected",
               "tool_result");
    assert_int_equal(fake.asked, 0); /* of none of them */
    world_close(&w);
}

/* A part of the answer. */
static const cJSON *part(const cJSON *json, const char *key) {
    const cJSON *found = cJSON_GetObjectItemCaseSensitive(json, key);

    if (!found) fail_msg("no %s in %.*s", key, (int)w.body.size, w.body.at);
    return found;
}

static void expect_text(const cJSON *json, const char *key,
                        const char *expected) {
    assert_string_equal(cJSON_GetStringValue(part(json, key)), expected);
}

/* The verdict on a body: its action, its channel and so many findings. */
static cJSON *judge(const char *body, const char *action, const char *channel,
                    int findings) {
    cJSON *json;

    check(body);
    if (w.status != 200)
        fail_msg("%s: %d %.*s", body, w.status, (int)w.body.size, w.body.at);
    json = json_parse(span_bytes(&w.body), NULL);
    assert_non_null(json);
    expect_text(json, "object", "guard.check");
    expect_text(json, "policy", "test");
    expect_text(json, "action", action);
    expect_text(json, "channel", channel);
    if (cJSON_GetArraySize(part(json, "findings")) != findings)
        fail_msg("%s: %.*s", body, (int)w.body.size, w.body.at);
    assert_false(answered(&w, "swordfish"));
    assert_false(answered(&w, "jane@"));
    return json;
}

static const cJSON *finding(const cJSON *json, int index) {
    const cJSON *f = cJSON_GetArrayItem(part(json, "findings"), index);

    assert_non_null(f);
    return f;
}

static void expect_span(const cJSON *f, const char *field, int from, int end) {
    expect_text(f, "field", field);
    assert_int_equal(cJSON_GetNumberValue(part(f, "start")), from);
    assert_int_equal(cJSON_GetNumberValue(part(f, "end")), end);
}

static void test_texts(void **state) {
    cJSON *json;

    (void)state;
    world_open(&w, JUDGED);
    json = judge("{\"text\":\"hello\",\"model\":\"m\"}", "allow", "input", 0);
    cJSON_Delete(json);
    json = judge("{\"text\":\"a swordfish\"}", "block", "input", 1);
    expect_text(finding(json, 0), "check", "word");
    expect_text(finding(json, 0), "action", "block");
    expect_span(finding(json, 0), "text", 2, 11);
    cJSON_Delete(json);
    /* The same words elsewhere are another matter. */
    json = judge("{\"text\":\"jane@example.org\"}", "allow", "input", 0);
    cJSON_Delete(json);
    json = judge("{\"text\":\"to jane@example.org\",\"channel\":\"output\"}",
                 "redact", "output", 1);
    expect_span(finding(json, 0), "text", 3, 19);
    cJSON_Delete(json);
    json = judge("{\"text\":\"a swordfish\",\"channel\":\"document\"}", "allow",
                 "document", 0);
    cJSON_Delete(json);
    world_close(&w);
}

static void test_classified(void **state) {
    cJSON *json;

    (void)state;
    world_open(&w, JUDGED);
    json = judge("{\"text\":\"BAD\"}", "block", "input", 1);
    expect_text(finding(json, 0), "check", "learned");
    assert_true(cJSON_GetNumberValue(part(json, "score")) > 0.8);
    cJSON_Delete(json);
    /* The words of a prompt do not condemn the answer to it. */
    json =
        judge("{\"text\":\"fine\",\"channel\":\"output\",\"prompt\":\"BAD\"}",
              "allow", "output", 0);
    cJSON_Delete(json);
    world_close(&w);
}

#define TOOL(name, text)                                                       \
    "{\"type\":\"function\",\"function\":{\"name\":\"" name                    \
    "\",\"description\":\"" text "\"}}"
#define CHAT                                                                   \
    "[" MESSAGE("system", "be kind") "," MESSAGE("user", "a swordfish") "]"
#define LATER "[" MESSAGE("user", "BAD") "," MESSAGE("assistant", "no") "]"

static void test_messages(void **state) {
    cJSON *json;

    (void)state;
    world_open(&w, JUDGED);
    json =
        judge("{\"messages\":" CHAT
              ",\"tools\":[" TOOL("f", "fine") "," TOOL("g", "swordfish") "]}",
              "block", "input", 2);
    expect_span(finding(json, 0), "messages[1].content", 2, 11);
    expect_span(finding(json, 1), "tools[1].description", 0, 9);
    cJSON_Delete(json);
    /* What was said earlier is judged, too. */
    json = judge("{\"messages\":" LATER "}", "block", "input", 1);
    cJSON_Delete(json);
    world_close(&w);
}

static void test_tool_calls(void **state) {
    cJSON *json;

    (void)state;
    world_open(&w, JUDGED);
    json =
        judge("{\"tool_call\":{\"name\":\"oracle\",\"arguments\":{\"q\":1}}}",
              "allow", "tool_call", 0);
    cJSON_Delete(json);
    json = judge("{\"tool_call\":{\"name\":\"oracle\",\"arguments\":{\"q\":"
                 "\"swordfish\"}}}",
                 "block", "tool_call", 1);
    expect_text(finding(json, 0), "field", "tool_call");
    /* Its text is put together of the name and the arguments: no place. */
    assert_null(cJSON_GetObjectItem(finding(json, 0), "start"));
    cJSON_Delete(json);
    json = judge("{\"tool_call\":{\"name\":\"oracle\",\"arguments\":"
                 "\"{\\\"q\\\":\\\"swordfish\\\"}\"}}",
                 "block", "tool_call", 1);
    cJSON_Delete(json);
    json = judge("{\"tool_call\":{\"name\":\"rm\",\"arguments\":{}}}", "block",
                 "tool_call", 1);
    expect_text(finding(json, 0), "check", "tools.allow");
    cJSON_Delete(json);
    world_close(&w);
}

static void test_tool_results(void **state) {
    cJSON *json;

    (void)state;
    world_open(&w, JUDGED);
    json = judge("{\"tool_result\":\"by jane@example.org\"}", "redact",
                 "tool_result", 1);
    expect_span(finding(json, 0), "tool_result", 3, 19);
    cJSON_Delete(json);
    json = judge("{\"tool_result\":{\"content\":\"a swordfish\"}}", "block",
                 "tool_result", 1);
    cJSON_Delete(json);
    world_close(&w);
}

/* What would have happened is told, and does not. */
static void test_shadow(void **state) {
    cJSON *json;

    (void)state;
    world_open(&w, POLICY("mode: shadow\ntools: {allow: [oracle]}\n"));
    json = judge("{\"text\":\"a swordfish\"}", "allow", "input", 1);
    assert_true(cJSON_IsTrue(part(finding(json, 0), "shadow")));
    cJSON_Delete(json);
    json = judge("{\"tool_call\":{\"name\":\"rm\",\"arguments\":{}}}", "allow",
                 "tool_call", 1);
    assert_true(cJSON_IsTrue(part(finding(json, 0), "shadow")));
    cJSON_Delete(json);
    world_close(&w);
}

static void test_unavailable(void **state) {
    (void)state;
    world_open(&w, JUDGED);
    fake.fail_at = fake.answered + 1;
    check("{\"text\":\"hello\"}");
    assert_int_equal(w.status, 503);
    assert_true(answered(&w, "guard_unavailable"));
    assert_false(answered(&w, "too late")); /* the reason is for the log */
    fake.fail_at = 0;
    world_close(&w);
}

static void test_too_long(void **state) {
    struct bytes body = {0};

    (void)state;
    world_open(&w, JUDGED);
    bytes_puts(&body, "{\"text\":\"");
    for (int i = 0; i < 401; i++) bytes_puts(&body, "a");
    bytes_puts(&body, "\"}");
    bytes_put(&body, (struct span){"", 1});
    check(body.at);
    assert_int_equal(w.status, 400);
    assert_true(answered(&w, "limits.input_tokens"));
    bytes_free(&body);
    world_close(&w);
}

/* Whose words the classifier takes a text for. */
static void expect_role(const char *body, enum guard_role role) {
    (void)ask(&w, "/v1/guard/check", body);
    while (!fake.count) (void)uv_run(&w.loop, UV_RUN_ONCE);
    assert_int_equal(fake.jobs[0]->role, role);
    answer_all();
}

static void test_roles(void **state) {
    (void)state;
    world_open(&w, JUDGED);
    expect_role("{\"text\":\"hello\"}", GUARD_USER);
    expect_role("{\"text\":\"hello\",\"channel\":\"output\"}", GUARD_ASSISTANT);
    world_close(&w);
}

/* The client leaves while the classifier thinks: nothing is left behind. */
static void test_gone(void **state) {
    struct http_call *call;

    (void)state;
    world_open(&w, JUDGED);
    call = ask(&w, "/v1/guard/check", "{\"text\":\"hello\"}");
    while (!fake.count) (void)uv_run(&w.loop, UV_RUN_ONCE);
    http_call_cancel(call);
    while (fake.count) (void)uv_run(&w.loop, UV_RUN_ONCE);
    assert_int_equal(fake.alive, 0);
    assert_int_equal(server_inflight(w.server), 0);
    world_close(&w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bad),        cmocka_unit_test(test_texts),
        cmocka_unit_test(test_classified), cmocka_unit_test(test_messages),
        cmocka_unit_test(test_tool_calls), cmocka_unit_test(test_tool_results),
        cmocka_unit_test(test_shadow),     cmocka_unit_test(test_unavailable),
        cmocka_unit_test(test_too_long),   cmocka_unit_test(test_roles),
        cmocka_unit_test(test_gone)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
