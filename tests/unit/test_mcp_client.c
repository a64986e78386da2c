/* test_mcp_client.c - a server in the hands of the test: both eras, and what a
 * server does that means us no good. */
#include "tests/unit/peer.h"

#include "tools/mcp_client.h"
#include "tools/mcp_wire.h"

enum { SENT_MAX = 64 };

struct world {
    uv_loop_t loop;
    struct mcp_client *client;
    /* the link */
    struct mcp_link link;
    struct mcp_link_events events;
    bool refuse; /* to open, or to send */
    int opened, closed;
    int64_t forgotten;
    cJSON *sent[SENT_MAX];
    int sent_count;
    /* what the client tells */
    int listed, tools, failed;
    struct err failure;
    int ends;
    bool ok;
    char text[512];
};

static struct world *world_of(struct mcp_link *link) {
    return (struct world *)((char *)link - offsetof(struct world, link));
}

static bool link_send(struct mcp_link *link, const struct mcp_message *m,
                      struct err *err) {
    struct world *w = world_of(link);

    if (w->refuse) return err_set(err, ERR_BUSY, "refused");
    assert_true(w->sent_count < SENT_MAX);
    w->sent[w->sent_count] = json_parse(m->json, NULL);
    assert_non_null(w->sent[w->sent_count++]);
    return true;
}

static void link_forget(struct mcp_link *link, int64_t id) {
    world_of(link)->forgotten = id;
}

static void link_close(struct mcp_link *link) {
    world_of(link)->closed++;
}

static struct mcp_link *
open_link(void *user, const struct mcp_link_events *events, struct err *err) {
    struct world *w = user;

    if (w->refuse) {
        (void)err_set(err, ERR_UNAVAILABLE, "refused");
        return NULL;
    }
    w->opened++;
    w->events = *events;
    w->link.send = link_send;
    w->link.forget = link_forget;
    w->link.close = link_close;
    return &w->link;
}

static void on_tools(void *user, const cJSON *tools) {
    struct world *w = user;

    w->listed++;
    w->tools = cJSON_GetArraySize(tools);
}

static void on_failed(void *user, const struct err *err) {
    struct world *w = user;

    w->failed++;
    w->failure = *err;
}

static void world_open(struct world *w) {
    const struct mcp_client_options o = {.name = "test",
                                         .start_ms = 20000,
                                         .call_ms = 20000,
                                         .call_ms_max = 20000,
                                         .open = open_link,
                                         .on_tools = on_tools,
                                         .on_failed = on_failed,
                                         .user = w};

    memset(w, 0, sizeof *w);
    assert_int_equal(uv_loop_init(&w->loop), 0);
    w->client = mcp_client_new(&w->loop, &o);
}

static void on_nothing(uv_timer_t *timer) {
    (void)timer;
}

/* The client's own timer does not keep the loop: another one does. */
static void run_until(struct world *w, const int *count, int want) {
    uv_timer_t timer;

    (void)uv_timer_init(&w->loop, &timer);
    (void)uv_timer_start(&timer, on_nothing, 1, 1);
    peer_until(&w->loop, NULL, count, want);
    uv_close((uv_handle_t *)&timer, NULL);
    (void)uv_run(&w->loop, UV_RUN_NOWAIT);
}

static void world_close(struct world *w) {
    mcp_client_close(w->client);
    assert_int_equal(uv_run(&w->loop, UV_RUN_DEFAULT), 0);
    assert_int_equal(uv_loop_close(&w->loop), 0);
    assert_int_equal(w->opened, w->closed);
    for (int i = 0; i < w->sent_count; i++) cJSON_Delete(w->sent[i]);
}

static const cJSON *last(const struct world *w) {
    assert_true(w->sent_count > 0);
    return w->sent[w->sent_count - 1];
}

static const char *method_of(const cJSON *message) {
    const char *method = cJSON_GetStringValue(
        cJSON_GetObjectItemCaseSensitive(message, "method"));

    return method ? method : "";
}

static int id_of(const cJSON *message) {
    return (int)cJSON_GetNumberValue(
        cJSON_GetObjectItemCaseSensitive(message, "id"));
}

static void check_sent(const struct world *w, const char *part) {
    char *text = cJSON_PrintUnformatted(last(w));

    if (!strstr(text, part)) fail_msg("no %s in %s", part, text);
    cJSON_free(text);
}

static void server_says(struct world *w, const char *text) {
    cJSON *message = json_parse(span_of(text), NULL);

    if (!message) fail_msg("no JSON: %s", text);
    w->events.on_message(w->events.user, message);
    cJSON_Delete(message);
}

/* An answer to the last thing that was sent. */
static void answer(struct world *w, const char *kind, const char *body) {
    char text[8192];

    (void)snprintf(text, sizeof text, "{\"id\":%d,\"%s\":%s}", id_of(last(w)),
                   kind, body);
    server_says(w, text);
}

#define ONE_TOOL "{\"tools\":[{\"name\":\"a\",\"inputSchema\":{}}]}"
#define NOT_FOUND "{\"code\":-32601,\"message\":\"Method not found\"}"
#define OLD                                                                    \
    "{\"protocolVersion\":\"2025-11-25\",\"capabilities\":{\"tools\":{}}}"

static void be_modern(struct world *w) {
    run_until(w, &w->opened, 1);
    assert_string_equal(method_of(last(w)), "server/discover");
    answer(w, "result", "{\"supportedVersions\":[\"2026-07-28\"]}");
    assert_string_equal(method_of(last(w)), "tools/list");
    answer(w, "result", ONE_TOOL);
    assert_int_equal(w->listed, 1);
}

static void be_legacy(struct world *w) {
    run_until(w, &w->opened, 1);
    answer(w, "error", NOT_FOUND);
    assert_string_equal(method_of(last(w)), "initialize");
    check_sent(w, "\"protocolVersion\":\"2025-11-25\"");
    answer(w, "result", OLD);
    assert_string_equal(method_of(w->sent[w->sent_count - 2]),
                        "notifications/initialized");
    assert_string_equal(method_of(last(w)), "tools/list");
    answer(w, "result", ONE_TOOL);
    assert_int_equal(w->listed, 1);
}

static void on_done(void *user, bool ok, struct span text) {
    struct world *w = user;

    w->ends++;
    w->ok = ok;
    (void)snprintf(w->text, sizeof w->text, "%.*s", (int)text.size,
                   text.at ? text.at : "");
}

static struct tool_run *call(struct world *w) {
    cJSON *arguments = json_parse(span_of("{\"x\":1}"), NULL);
    struct tool_run *run =
        mcp_client_call(w->client, "a", arguments, on_done, w);

    cJSON_Delete(arguments);
    return run;
}

static void test_modern(void **state) {
    struct world w;

    (void)state;
    world_open(&w);
    be_modern(&w);
    assert_string_equal(w.link.version, "2026-07-28");
    assert_int_equal(w.tools, 1);
    assert_non_null(call(&w));
    check_sent(&w, "\"name\":\"a\",\"arguments\":{\"x\":1}");
    check_sent(&w,
               "\"io.modelcontextprotocol/protocolVersion\":\"2026-07-28\"");
    answer(&w, "result", "{\"content\":[{\"type\":\"text\",\"text\":\"hi\"}]}");
    assert_true(w.ok);
    assert_string_equal(w.text, "hi");
    world_close(&w);
}

static void test_legacy(void **state) {
    struct world w;
    int id;

    (void)state;
    world_open(&w);
    be_legacy(&w);
    assert_string_equal(w.link.version, "2025-11-25");
    assert_non_null(call(&w));
    id = id_of(last(&w));
    answer(&w, "error", "{\"code\":-1,\"message\":\"no such thing\"}");
    assert_int_equal(w.ends, 1);
    assert_false(w.ok);
    assert_non_null(strstr(w.text, "no such thing"));
    assert_int_equal(w.forgotten, id);
    answer(&w, "result", "{}"); /* once more: nobody listens */
    server_says(&w, "{\"id\":999,\"result\":{}}");
    server_says(&w, "{\"id\":\"x\",\"result\":{}}");
    assert_int_equal(w.ends, 1);
    world_close(&w);
}

/* A probe that has no answer, or an answer of another version. */
static void test_fall_back(void **state) {
    struct world w;
    struct err err = {0};

    (void)state;
    world_open(&w);
    run_until(&w, &w.opened, 1);
    (void)err_set(&err, ERR_UNAVAILABLE, "status 400");
    w.events.on_lost(w.events.user, id_of(last(&w)), &err);
    assert_string_equal(method_of(last(&w)), "initialize");
    w.events.on_lost(w.events.user, id_of(last(&w)), &err);
    assert_int_equal(w.failed, 1);
    assert_string_equal(w.failure.text, "status 400");
    world_close(&w);

    world_open(&w);
    run_until(&w, &w.opened, 1);
    answer(&w, "result", "{\"supportedVersions\":[\"2030-01-01\"]}");
    assert_string_equal(method_of(last(&w)), "initialize");
    answer(&w, "result", "{\"protocolVersion\":\"2030-01-01\"}");
    assert_int_equal(w.failed, 1);
    assert_non_null(strstr(w.failure.text, "another version"));
    world_close(&w);
}

/* A slow server answers the probe when it was given up already. */
static void test_late_probe(void **state) {
    struct world w;
    struct err err = {0};
    char late[128];
    int handshake;

    (void)state;
    world_open(&w);
    run_until(&w, &w.opened, 1);
    (void)snprintf(late, sizeof late,
                   "{\"id\":%d,\"result\":{\"supportedVersions\":"
                   "[\"2026-07-28\"]}}",
                   id_of(last(&w)));
    (void)err_set(&err, ERR_TIMEOUT, "late");
    w.events.on_lost(w.events.user, id_of(last(&w)), &err);
    assert_string_equal(method_of(last(&w)), "initialize");
    handshake = id_of(last(&w));
    server_says(&w, late);
    assert_string_equal(method_of(last(&w)), "tools/list");
    check_sent(&w, "2026-07-28");
    (void)snprintf(late, sizeof late,
                   "{\"id\":%d,\"error\":{\"message\":\"too late\"}}",
                   handshake);
    server_says(&w, late);
    assert_int_equal(w.failed, 0);
    answer(&w, "result", ONE_TOOL);
    assert_int_equal(w.listed, 1);
    world_close(&w);
}

static void check_list_fails(const char *page, int times, const char *reason) {
    struct world w;

    world_open(&w);
    run_until(&w, &w.opened, 1);
    answer(&w, "result", "{\"supportedVersions\":[\"2026-07-28\"]}");
    for (int i = 0; i < times && !w.failed; i++) answer(&w, "result", page);
    assert_int_equal(w.failed, 1);
    if (!strstr(w.failure.text, reason)) fail_msg("%s", w.failure.text);
    world_close(&w);
}

static void test_pages(void **state) {
    struct world w;

    (void)state;
    world_open(&w);
    run_until(&w, &w.opened, 1);
    answer(&w, "result", "{\"supportedVersions\":[\"2026-07-28\"]}");
    answer(&w, "result",
           "{\"tools\":[{\"name\":\"a\"}],\"nextCursor\":\"p2\"}");
    check_sent(&w, "\"cursor\":\"p2\"");
    assert_int_equal(w.listed, 0);
    answer(&w, "result", "{\"tools\":[{\"name\":\"b\"},{\"name\":\"c\"}]}");
    assert_int_equal(w.listed, 1);
    assert_int_equal(w.tools, 3);
    world_close(&w);
    check_list_fails("{\"tools\":[],\"nextCursor\":\"again\"}", 100,
                     "does not end");
    check_list_fails("{\"tools\":[{},{},{},{},{},{},{},{},{},{}],"
                     "\"nextCursor\":\"again\"}",
                     100, "too many tools");
    check_list_fails("{\"tools\":{}}", 1, "list of tools is none");
}

static void test_requests_of_the_server(void **state) {
    struct world w;

    (void)state;
    world_open(&w);
    be_legacy(&w);
    server_says(&w, "{\"id\":\"p\",\"method\":\"ping\"}");
    check_sent(&w, "\"id\":\"p\",\"result\":{}");
    server_says(&w, "{\"id\":4,\"method\":\"sampling/createMessage\"}");
    check_sent(&w, "-32601");
    world_close(&w);
}

static void test_cancel(void **state) {
    struct world w;
    struct tool_run *run;
    int id, sent;

    (void)state;
    world_open(&w);
    be_legacy(&w);
    run = call(&w);
    id = id_of(last(&w));
    mcp_client_cancel(run);
    assert_string_equal(method_of(last(&w)), "notifications/cancelled");
    assert_int_equal(w.forgotten, id);
    assert_int_equal(w.ends, 0);
    /* Where each request has its own stream, its end says it. */
    w.link.has_streams = true;
    run = call(&w);
    mcp_client_cancel(run);
    assert_string_equal(method_of(last(&w)), "notifications/cancelled");
    world_close(&w);

    world_open(&w);
    w.link.has_streams = true;
    be_modern(&w);
    run = call(&w);
    sent = w.sent_count;
    mcp_client_cancel(run);
    assert_int_equal(w.sent_count, sent);
    world_close(&w);
}

/* A crash ends the calls and is followed by a new start, list and all. */
static void test_restart(void **state) {
    struct world w;
    struct err err = {0};

    (void)state;
    world_open(&w);
    be_modern(&w);
    assert_non_null(call(&w));
    (void)err_set(&err, ERR_UNAVAILABLE, "crashed");
    w.events.on_down(w.events.user, &err);
    assert_int_equal(w.ends, 1);
    assert_false(w.ok);
    assert_non_null(strstr(w.text, "went away"));
    assert_int_equal(w.closed, 1);
    assert_null(call(&w));
    assert_int_equal(w.ends, 2);
    assert_non_null(strstr(w.text, "not running"));
    run_until(&w, &w.opened, 2);
    answer(&w, "result", "{\"supportedVersions\":[\"2026-07-28\"]}");
    answer(&w, "result", ONE_TOOL);
    assert_int_equal(w.listed, 2);
    assert_int_equal(w.failed, 0);
    assert_non_null(call(&w));
    world_close(&w); /* with a call under way */
}

static void test_list_changed(void **state) {
    struct world w;
    int sent;

    (void)state;
    world_open(&w);
    be_modern(&w);
    sent = w.sent_count;
    server_says(&w, "{\"method\":\"notifications/tools/list_changed\"}");
    server_says(&w, "{\"method\":\"notifications/tools/list_changed\"}");
    run_until(&w, &w.sent_count, sent + 1);
    assert_string_equal(method_of(last(&w)), "tools/list");
    answer(&w, "result", "{\"tools\":[]}");
    assert_int_equal(w.listed, 2);
    assert_int_equal(w.tools, 0);
    world_close(&w);
}

static void test_flood(void **state) {
    struct world w;

    (void)state;
    world_open(&w);
    run_until(&w, &w.opened, 1);
    for (int i = 0; i < 20000 && !w.failed; i++)
        server_says(&w, "{\"method\":\"notifications/message\"}");
    assert_int_equal(w.failed, 1);
    assert_non_null(strstr(w.failure.text, "floods"));
    world_close(&w);
}

static void test_not_started(void **state) {
    struct world w;

    (void)state;
    world_open(&w);
    assert_null(call(&w));
    assert_non_null(strstr(w.text, "not running"));
    w.refuse = true;
    run_until(&w, &w.failed, 1);
    assert_string_equal(w.failure.text, "refused");
    world_close(&w);
}

static void test_cannot_send(void **state) {
    struct world w;

    (void)state;
    world_open(&w);
    be_modern(&w);
    w.refuse = true;
    assert_null(call(&w));
    assert_int_equal(w.ends, 1);
    assert_string_equal(w.text, "refused");
    world_close(&w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_modern),
        cmocka_unit_test(test_legacy),
        cmocka_unit_test(test_fall_back),
        cmocka_unit_test(test_late_probe),
        cmocka_unit_test(test_pages),
        cmocka_unit_test(test_requests_of_the_server),
        cmocka_unit_test(test_cancel),
        cmocka_unit_test(test_restart),
        cmocka_unit_test(test_list_changed),
        cmocka_unit_test(test_flood),
        cmocka_unit_test(test_not_started),
        cmocka_unit_test(test_cannot_send),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
