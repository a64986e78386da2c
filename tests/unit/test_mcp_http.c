/* test_mcp_http.c - one POST a message: what its answer may be, and that a
 * request which gets none is told lost. */
#include "tests/unit/page_server.h"

#include "tools/mcp_link.h"
#include "tools/mcp_wire.h"

struct world {
    uv_loop_t loop;
    struct page_server server;
    struct mcp_link *link;
    bool close_in_message, answer_in_message, forget_in_message;
    int messages, lost, downs;
    int64_t lost_id;
    struct err err;
    char last[256];
};

static void say(struct world *w, int64_t id, const char *method) {
    const struct mcp_message m = {
        .json = span_of("{\"a\":1}"),
        .id = id,
        .method = method,
        .tool = method && strstr(method, "call") ? "add" : NULL};
    struct err err = {0};

    if (!w->link->send(w->link, &m, &err)) fail_msg("%s", err.text);
}

static void on_message(void *user, const cJSON *message) {
    struct world *w = user;
    char *text = cJSON_PrintUnformatted(message);

    w->messages++;
    (void)snprintf(w->last, sizeof w->last, "%.200s", text);
    cJSON_free(text);
    if (w->answer_in_message) say(w, -1, NULL);
    w->answer_in_message = false;
    if (w->forget_in_message) w->link->forget(w->link, 1);
    if (!w->close_in_message) return;
    w->link->close(w->link);
    w->link = NULL;
}

static void on_lost(void *user, int64_t id, const struct err *err) {
    struct world *w = user;

    w->lost++;
    w->lost_id = id;
    w->err = *err;
}

static void on_down(void *user, const struct err *err) {
    struct world *w = user;

    w->downs++;
    w->err = *err;
}

static void world_open(struct world *w) {
    static const struct fetch_header headers[] = {{"X-Key", "sesame"}};
    const struct mcp_link_events events = {.on_message = on_message,
                                           .on_lost = on_lost,
                                           .on_down = on_down,
                                           .user = w};
    char url[64];

    memset(w, 0, sizeof *w);
    assert_int_equal(uv_loop_init(&w->loop), 0);
    page_server_open(&w->server, &w->loop);
    (void)snprintf(url, sizeof url, "http://127.0.0.1:%d/mcp", w->server.port);
    w->link = mcp_http_open(&w->loop, url, headers, 1, NULL, &events, NULL);
    assert_non_null(w->link);
}

static void world_close(struct world *w) {
    if (w->link) w->link->close(w->link);
    page_server_close(&w->server);
    assert_int_equal(uv_run(&w->loop, UV_RUN_DEFAULT), 0);
    assert_int_equal(uv_loop_close(&w->loop), 0);
}

static void page(struct world *w, const char *response) {
    page_put(&w->server, "/mcp", response);
}

static void until(struct world *w, const int *count) {
    peer_until(&w->loop, NULL, count, *count + 1);
}

#define JSON "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
#define EVENTS "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"

static void test_json(void **state) {
    struct world w;

    (void)state;
    world_open(&w);
    page(&w, JSON "\r\n{\"id\":1,\"result\":{}}");
    w.link->version = MCP_MODERN;
    say(&w, 1, "tools/call");
    until(&w, &w.lost); /* always last, and for who does not know better */
    assert_int_equal(w.messages, 1);
    assert_string_equal(w.last, "{\"id\":1,\"result\":{}}");
    assert_int_equal(w.lost_id, 1);
    assert_non_null(strstr(w.server.request.at, "POST /mcp HTTP/1.1\r\n"));
    assert_non_null(strstr(w.server.request.at,
                           "Accept: application/json, text/event-stream\r\n"));
    assert_non_null(
        strstr(w.server.request.at, "MCP-Protocol-Version: 2026-07-28\r\n"));
    assert_non_null(strstr(w.server.request.at, "Mcp-Method: tools/call\r\n"));
    assert_non_null(strstr(w.server.request.at, "Mcp-Name: add\r\n"));
    assert_non_null(strstr(w.server.request.at, "X-Key: sesame\r\n"));
    world_close(&w);
}

static void test_events(void **state) {
    struct world w;

    (void)state;
    world_open(&w);
    page(&w,
         EVENTS "data:\n\ndata: {\"method\":\"n\"}\n\n"
                "event: message\ndata: {\"id\":1,\ndata: \"result\":{}}\n\n");
    w.answer_in_message = true;
    say(&w, 1, "tools/list");
    until(&w, &w.lost);
    assert_int_equal(w.messages, 2);
    assert_string_equal(w.last, "{\"id\":1,\"result\":{}}");
    peer_until(&w.loop, NULL, &w.server.requests, 2); /* the answer went out */
    world_close(&w);
}

/* The session of a handshake goes with every later request. */
static void test_session(void **state) {
    struct world w;

    (void)state;
    world_open(&w);
    page(&w, JSON "Mcp-Session-Id: s-1\r\n\r\n{\"id\":1,\"result\":{}}");
    say(&w, 1, "initialize");
    until(&w, &w.lost);
    assert_null(strstr(w.server.request.at, "Mcp-Session-Id"));
    assert_null(strstr(w.server.request.at, "MCP-Protocol-Version"));
    page(&w, "HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n");
    w.link->version = MCP_LEGACY;
    say(&w, 2, "tools/list");
    until(&w, &w.lost);
    assert_non_null(strstr(w.server.request.at, "Mcp-Session-Id: s-1\r\n"));
    assert_null(strstr(w.server.request.at, "Mcp-Method"));
    assert_non_null(strstr(w.err.text, "no answer"));
    page(&w, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
    say(&w, 3, "tools/list");
    until(&w, &w.downs);
    assert_non_null(strstr(w.err.text, "forgot the session"));
    world_close(&w);
}

static void check_lost(const char *response, enum page_then then, int messages,
                       const char *reason) {
    struct world w;

    world_open(&w);
    page_add(&w.server, "/mcp", span_of(response), then);
    say(&w, 1, "tools/list");
    until(&w, &w.lost);
    if (w.lost_id != 1 || w.messages != messages || !strstr(w.err.text, reason))
        fail_msg("%.80s: %d messages, %s", response, w.messages, w.err.text);
    world_close(&w);
}

static void test_lost(void **state) {
    struct bytes filler = {0};

    (void)state;
    check_lost("HTTP/1.1 400 Bad Request\r\n\r\n{\"id\":1,\"error\":{}}",
               PAGE_CLOSE, 1, "status 400");
    check_lost("HTTP/1.1 502 Bad Gateway\r\n\r\n<html>", PAGE_CLOSE, 0,
               "status 502");
    check_lost("HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\n"
               "Content-Length: 0\r\n\r\n",
               PAGE_CLOSE, 0, "status 302");
    check_lost(JSON "\r\n[1]", PAGE_CLOSE, 0, "object");
    check_lost(EVENTS "data: {]\n\n", PAGE_CLOSE, 0, "");
    check_lost(EVENTS "data: {}\n\n", PAGE_CLOSE, 1, "no answer");
    check_lost("not HTTP at all\r\n\r\n", PAGE_CLOSE, 0, "");
    check_lost(JSON "Mcp-Session-Id: s\xff\r\n\r\n{}", PAGE_CLOSE, 1, "");
    bytes_puts(&filler, EVENTS);
    for (int i = 0; i < 1024; i++) bytes_puts(&filler, ": filler\n\n");
    bytes_put(&filler, (struct span){"", 1});
    check_lost(filler.at, PAGE_AGAIN, 0, "an answer past");
    bytes_free(&filler);
}

static void test_bad_session(void **state) {
    struct world w;

    (void)state;
    world_open(&w);
    page(&w, JSON "Mcp-Session-Id: s\xff\r\n\r\n{\"id\":1,\"result\":{}}");
    say(&w, 1, "initialize");
    until(&w, &w.lost);
    assert_int_equal(w.messages, 0);
    assert_non_null(strstr(w.err.text, "not ASCII"));
    world_close(&w);
}

/* What is forgotten is not told lost, and its stream ends. */
static void test_forget(void **state) {
    struct world w;

    (void)state;
    world_open(&w);
    page_add(&w.server, "/mcp", span_of(EVENTS "data: {\"method\":\"n\"}\n\n"),
             PAGE_SILENCE);
    say(&w, 1, "tools/list");
    until(&w, &w.messages);
    w.link->forget(w.link, 1);
    peer_until(&w.loop, NULL, &w.server.open, 0);
    assert_int_equal(w.lost, 0);
    world_close(&w);
}

#define BREAKS_OFF EVENTS "id: e-1\nretry: 1\ndata:\n\n"

/* The rest of an answer, to whoever asks for it. */
static void on_request(struct page_server *s, struct span request) {
    if (span_starts(request, span_of("GET ")) && s->page_count == 1)
        page_put(s, "/mcp", s->user);
}

static void open_broken(struct world *w, const char *rest) {
    world_open(w);
    page(w, BREAKS_OFF);
    w->server.on_request = on_request;
    w->server.user = (void *)(uintptr_t)rest;
    w->link->version = MCP_LEGACY;
    say(w, 1, "tools/call");
}

static void test_resume(void **state) {
    struct world w;

    (void)state;
    open_broken(&w, EVENTS "id: e-2\ndata: {\"id\":1,\"result\":{}}\n\n");
    w.forget_in_message = true; /* as the client does with an answer */
    until(&w, &w.messages);
    assert_string_equal(w.last, "{\"id\":1,\"result\":{}}");
    assert_non_null(strstr(w.server.request.at, "GET /mcp HTTP/1.1\r\n"));
    assert_non_null(strstr(w.server.request.at, "Last-Event-ID: e-1\r\n"));
    assert_non_null(strstr(w.server.request.at, "X-Key: sesame\r\n"));
    assert_non_null(
        strstr(w.server.request.at, "MCP-Protocol-Version: 2025-11-25\r\n"));
    for (int i = 0; i < 20; i++) {
        (void)uv_run(&w.loop, UV_RUN_NOWAIT);
        peer_nap();
    }
    assert_int_equal(w.server.requests, 2);
    assert_int_equal(w.lost, 0);
    world_close(&w);
}

static void check_broken(const char *rest, int requests, const char *reason) {
    struct world w;

    open_broken(&w, rest);
    until(&w, &w.lost);
    assert_int_equal(w.lost_id, 1);
    assert_int_equal(w.server.requests, requests);
    assert_non_null(strstr(w.err.text, reason));
    world_close(&w);
}

static void test_resume_fails(void **state) {
    (void)state;
    check_broken("HTTP/1.1 405 No\r\nContent-Length: 0\r\n\r\n", 2,
                 "did not go on");
    check_broken(JSON "\r\n{\"id\":1,\"result\":{}}", 2, "did not go on");
    check_broken(EVENTS "data: {]\n\n", 2, "");
    check_broken(EVENTS "id\ndata:\n\n", 2, "no answer"); /* it forgot */
    check_broken(BREAKS_OFF, 33, "no answer");
}

/* Nothing comes of a pause for what is not wanted any more. */
static void test_forget_in_pause(void **state) {
    struct world w;

    (void)state;
    for (int closed = 0; closed < 2; closed++) {
        world_open(&w);
        page(&w, EVENTS "id: e-1\nretry: 30\ndata:\n\n");
        say(&w, 1, "tools/call");
        peer_until(&w.loop, NULL, &w.server.requests, 1);
        peer_until(&w.loop, NULL, &w.server.open, 0);
        if (closed) {
            w.link->close(w.link);
            w.link = NULL;
        } else {
            w.link->forget(w.link, 1);
        }
        for (int i = 0; i < 60; i++) {
            (void)uv_run(&w.loop, UV_RUN_NOWAIT);
            peer_nap();
        }
        assert_int_equal(w.server.requests, 1);
        assert_int_equal(w.lost, 0);
        world_close(&w);
    }
}

static void test_close_inside(void **state) {
    struct world w;

    (void)state;
    for (int events = 0; events < 2; events++) {
        world_open(&w);
        page(&w, events ? EVENTS "data: {\"id\":1}\n\ndata: {\"id\":2}\n\n"
                        : JSON "\r\n{\"id\":1}");
        w.close_in_message = true;
        say(&w, 1, "tools/list");
        until(&w, &w.messages);
        for (int i = 0; i < 10; i++) (void)uv_run(&w.loop, UV_RUN_NOWAIT);
        assert_int_equal(w.messages, 1);
        assert_int_equal(w.lost, 0);
        world_close(&w);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_json),
        cmocka_unit_test(test_events),
        cmocka_unit_test(test_session),
        cmocka_unit_test(test_lost),
        cmocka_unit_test(test_bad_session),
        cmocka_unit_test(test_forget),
        cmocka_unit_test(test_close_inside),
        cmocka_unit_test(test_resume),
        cmocka_unit_test(test_resume_fails),
        cmocka_unit_test(test_forget_in_pause),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
