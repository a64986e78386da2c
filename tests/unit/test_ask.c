/* test_ask.c - a call that a person decides about: the request waits, and goes
 * on as the person said. */
#include "tests/unit/exchange_world.h"

#define ASKS                                                                   \
    "  - {id: leave, use: rules, on: [tool_call], any: [oracle], "             \
    "action: ask}\n"
#define POLICY_ASKS(rest) "policy: test\n" rest "checks:\n" RULE ASKS
#define CLIENT_TOOL                                                            \
    ",\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"oracle\","    \
    "\"parameters\":{\"type\":\"object\"}}}]"

static void begin(struct world *w, const char *policy) {
    world_open(w, policy);
    model.script = (struct script){.texts = {"", "The answer."},
                                   .text = "more",
                                   .piece = 3,
                                   .tool = "oracle",
                                   .arguments = "{\"q\":\"why\"}"};
    tool_says = "forty-two";
}

/* A request of its own, beside the one that waits. */
struct side {
    struct bytes body;
    int status;
    bool over;
};

static void on_side_head(void *user, int status,
                         const struct http_header *headers, int header_count) {
    (void)headers;
    (void)header_count;
    ((struct side *)user)->status = status;
}

static void on_side_body(void *user, struct span part) {
    bytes_put(&((struct side *)user)->body, part);
}

static void on_side_end(void *user, const struct err *err) {
    assert_null(err);
    ((struct side *)user)->over = true;
}

static void aside(struct world *w, struct side *s, const char *method,
                  const char *path, const char *body) {
    struct http_header type = {span_of("content-type"),
                               span_of("application/json")};
    struct http_call_options o = {.host = "127.0.0.1",
                                  .port = server_port(w->server),
                                  .method = method,
                                  .path = path,
                                  .headers = &type,
                                  .header_count = 1,
                                  .body = span_of(body)};
    struct http_call_events events = {on_side_head, on_side_body, on_side_end,
                                      s};
    struct err err = {0};

    s->body.size = 0;
    s->over = false;
    assert_non_null(http_call_start(&w->loop, &o, &events, &err));
    while (!s->over) (void)uv_run(&w->loop, UV_RUN_ONCE);
}

/* The id of the one call that waits, once it does; "" when none does. */
static void waiting_id(struct world *w, char out[HASH_ID_SIZE], bool wait) {
    struct side s = {0};
    struct err err = {0};

    *out = '\0';
    do {
        cJSON *json, *item;

        aside(w, &s, "GET", "/v1/approvals", "");
        assert_int_equal(s.status, 200);
        json = json_parse(span_bytes(&s.body), &err);
        assert_non_null(json);
        item = cJSON_GetArrayItem(cJSON_GetObjectItem(json, "data"), 0);
        if (item)
            memcpy(out, cJSON_GetObjectItem(item, "id")->valuestring,
                   HASH_ID_SIZE);
        cJSON_Delete(json);
    } while (wait && !*out);
    bytes_free(&s.body);
}

static int decide(struct world *w, const char *decision) {
    char id[HASH_ID_SIZE], path[64], body[64];
    struct side s = {0};

    waiting_id(w, id, true);
    assert_int_equal(tool_runs, 0);
    assert_false(w->over);
    (void)snprintf(path, sizeof path, "/v1/approvals/%s", id);
    (void)snprintf(body, sizeof body, "{\"decision\":\"%s\"}", decision);
    aside(w, &s, "POST", path, body);
    bytes_free(&s.body);
    return s.status;
}

static void wait_answer(struct world *w) {
    while (!w->over) (void)uv_run(&w->loop, UV_RUN_ONCE);
}

static bool model_saw(const char *text) {
    return span_find(span_bytes(&model.seen), span_of(text)) != SIZE_MAX;
}

static void test_approve(void **state) {
    (void)state;
    for (int stream = 0; stream < 2; stream++) {
        struct world w;

        begin(&w, POLICY_ASKS(""));
        (void)ask(&w, "/v1/chat/completions",
                  stream ? ASK(",\"stream\":true") : ASK(""));
        assert_int_equal(decide(&w, "approve"), 200);
        wait_answer(&w);
        assert_int_equal(w.status, 200);
        assert_int_equal(tool_runs, 1);
        assert_true(model_saw("forty-two"));
        assert_true(answered(&w, "\"stop\""));
        assert_int_equal(answered(&w, ": waiting for approval\n\n"), stream);
        world_close(&w);
    }
}

static void test_deny(void **state) {
    (void)state;
    for (int stream = 0; stream < 2; stream++) {
        struct world w;

        begin(&w, POLICY_ASKS(""));
        (void)ask(&w, "/v1/chat/completions",
                  stream ? ASK(",\"stream\":true") : ASK(""));
        assert_int_equal(decide(&w, "deny"), 200);
        wait_answer(&w);
        assert_int_equal(tool_runs, 0);
        assert_true(model_saw("error: denied by a person"));
        assert_true(answered(&w, "\"stop\""));
        world_close(&w);
    }
}

/* A client's call is handed over after a yes, and never after a no. */
static void test_client_call(void **state) {
    (void)state;
    for (int yes = 0; yes < 2; yes++) {
        struct world w;

        begin(&w, POLICY_ASKS(""));
        (void)ask(&w, "/v1/chat/completions", ASK(CLIENT_TOOL));
        assert_int_equal(decide(&w, yes ? "approve" : "deny"), 200);
        wait_answer(&w);
        assert_int_equal(answered(&w, "\"tool_calls\""), yes);
        assert_int_equal(answered(&w, "why"), yes);
        assert_int_equal(model_saw("error: denied by a person"), !yes);
        world_close(&w);
    }
}

/* Without an answer it is no; with no time for one, at once. */
static void test_expired(void **state) {
    (void)state;
    for (int seconds = 0; seconds < 2; seconds++) {
        struct world w;

        begin(&w, seconds ? POLICY_ASKS("limits: {approval_s: 1}\n")
                          : POLICY_ASKS("limits: {approval_s: 0}\n"));
        post(&w, ASK(""));
        assert_int_equal(tool_runs, 0);
        assert_true(model_saw("error: denied: "));
        assert_true(answered(&w, "\"stop\""));
        world_close(&w);
    }
}

static void test_client_gone(void **state) {
    struct http_call *call;
    char id[HASH_ID_SIZE];
    struct world w;

    (void)state;
    begin(&w, POLICY_ASKS(""));
    call = ask(&w, "/v1/chat/completions", ASK(""));
    waiting_id(&w, id, true);
    http_call_cancel(call);
    do waiting_id(&w, id, false);
    while (*id);
    assert_int_equal(tool_runs, 0);
    world_close(&w);
}

/* A server that closes does not wait for a person. */
static void test_server_closes(void **state) {
    char id[HASH_ID_SIZE];
    struct world w;

    (void)state;
    begin(&w, POLICY_ASKS(""));
    (void)ask(&w, "/v1/chat/completions", ASK(""));
    waiting_id(&w, id, true);
    world_close(&w);
    assert_int_equal(tool_runs, 0);
}

/* What blocks weighs more than what asks; elsewhere `ask` is a block. */
static void test_block_wins(void **state) {
    struct world w;

    (void)state;
    begin(&w, POLICY_ASKS(""));
    model.script.arguments = "{\"q\":\"swordfish\"}";
    post(&w, ASK(""));
    assert_true(answered(&w, "content_filter"));
    assert_int_equal(tool_runs, 0);
    world_close(&w);
    begin(&w, "policy: test\nchecks:\n  - {id: a, use: rules, on: [input, "
              "output, tool_result], any: [hello], action: ask}\n");
    post(&w, ASK(""));
    assert_true(answered(&w, "content_filter"));
    assert_int_equal(model.started, 0);
    world_close(&w);
}

static void test_routes(void **state) {
    struct side s = {0};
    struct world w;

    (void)state;
    begin(&w, POLICY_ASKS(""));
    aside(&w, &s, "POST", "/v1/approvals/none", "{\"decision\":\"deny\"}");
    assert_int_equal(s.status, 404);
    aside(&w, &s, "GET", "/v1/approvals/none", "");
    assert_int_equal(s.status, 405);
    bytes_free(&s.body);
    world_close(&w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_approve),
        cmocka_unit_test(test_deny),
        cmocka_unit_test(test_client_call),
        cmocka_unit_test(test_expired),
        cmocka_unit_test(test_client_gone),
        cmocka_unit_test(test_server_closes),
        cmocka_unit_test(test_block_wins),
        cmocka_unit_test(test_routes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
