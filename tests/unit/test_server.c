/* test_server.c - listening, refusing past the limit, draining, closing. */
#include "tests/unit/peer.h"

#include "proxy/server.h"

struct app {
    uv_loop_t loop;
    struct server *server;
    struct conn *held;
    int requests;
    int gone;
    int drained;
};

static void on_request(void *user, struct conn *c,
                       const struct http_request *r) {
    struct app *a = user;

    a->requests++;
    if (span_is(r->path, "/hold")) {
        a->held = c;
        return;
    }
    if (span_is(r->path, "/close")) {
        server_close(a->server);
        a->server = NULL;
        return;
    }
    conn_respond(c, 200, NULL, NULL, 0, span_of("fine"));
}

static void on_gone(void *user, struct conn *c) {
    (void)c;
    ((struct app *)user)->gone++;
}

static void on_drain(void *user, struct conn *c) {
    (void)user;
    (void)c;
}

static void on_drained(void *user) {
    ((struct app *)user)->drained++;
}

static void open_app(struct app *a, int connections_max) {
    struct server_options o = {.host = "127.0.0.1",
                               .handler = {.on_request = on_request,
                                           .on_gone = on_gone,
                                           .on_drain = on_drain,
                                           .user = a}};
    struct err err;

    memset(a, 0, sizeof *a);
    limits_init(&o.limits);
    o.limits.connections_max = connections_max;
    assert_int_equal(uv_loop_init(&a->loop), 0);
    a->server = server_open(&a->loop, &o, &err);
    assert_non_null(a->server);
    assert_true(server_port(a->server) > 0);
}

static void close_app(struct app *a) {
    server_close(a->server);
    assert_int_equal(uv_run(&a->loop, UV_RUN_DEFAULT), 0);
    assert_int_equal(uv_loop_close(&a->loop), 0);
}

static const char get[] = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";
static const char hold[] = "GET /hold HTTP/1.1\r\nHost: h\r\n\r\n";

static void check_open_fails(uv_loop_t *loop, const char *host, int port,
                             enum err_code code) {
    struct server_options o = {.host = host, .port = port};
    struct err err;

    limits_init(&o.limits);
    assert_null(server_open(loop, &o, &err));
    assert_int_equal(err.code, code);
    assert_non_null(strstr(err.text, host));
}

static void test_open(void **state) {
    struct app a;

    (void)state;
    open_app(&a, 10);
    check_open_fails(&a.loop, "example.org", 0, ERR_INPUT);
    check_open_fails(&a.loop, "", 0, ERR_INPUT);
    check_open_fails(&a.loop, "127.0.0.1", server_port(a.server), ERR_IO);
    check_open_fails(&a.loop, "203.0.113.1", 0, ERR_IO); /* not ours */
    close_app(&a);
}

static void test_connection_limit(void **state) {
    struct peer kept[2], over;
    struct app a;

    (void)state;
    open_app(&a, 2);
    for (int i = 0; i < 2; i++) {
        kept[i] = peer_open(server_port(a.server));
        peer_say(&a.loop, &kept[i], get);
        peer_skip(&a.loop, &kept[i], "fine");
    }
    over = peer_open(server_port(a.server));
    peer_say(&a.loop, &over, get);
    peer_expect(&a.loop, &over, "HTTP/1.1 503 ");
    peer_expect(&a.loop, &over, "retry-after: 1\r\n");
    peer_expect_end(&a.loop, &over);
    peer_close(&over);
    assert_int_equal(a.requests, 2);
    peer_say(&a.loop, &kept[0], get); /* the others are not disturbed */
    peer_skip(&a.loop, &kept[0], "fine");
    peer_close(&kept[0]);
    for (int i = 0; server_connections(a.server) > 1 && i < 5000; i++) {
        peer_step(&a.loop, NULL);
        peer_nap();
    }
    over = peer_open(server_port(a.server)); /* there is room again */
    peer_say(&a.loop, &over, get);
    peer_skip(&a.loop, &over, "fine");
    peer_close(&over);
    peer_close(&kept[1]);
    close_app(&a);
}

/* Many bodies at once are bounded together, and room comes back. */
static void test_bodies_limit(void **state) {
    static const char post[] =
        "POST /hold HTTP/1.1\r\nHost: h\r\nContent-Length: 60\r\n\r\n"
        "012345678901234567890123456789012345678901234567890123456789";
    struct server_options o = {.host = "127.0.0.1"};
    struct peer p[2];
    struct app a;
    struct err err;

    (void)state;
    open_app(&a, 10);
    server_close(a.server);
    limits_init(&o.limits);
    o.limits.bodies_bytes_max = 100;
    o.handler = (struct conn_handler){.on_request = on_request,
                                      .on_gone = on_gone,
                                      .on_drain = on_drain,
                                      .user = &a};
    a.server = server_open(&a.loop, &o, &err);
    assert_non_null(a.server);
    for (int i = 0; i < 2; i++) p[i] = peer_open(server_port(a.server));
    peer_say(&a.loop, &p[0], post);
    peer_until(&a.loop, &p[0], &a.requests, 1);
    peer_say(&a.loop, &p[1], post);
    peer_expect(&a.loop, &p[1], "HTTP/1.1 503 ");
    peer_expect_end(&a.loop, &p[1]);
    peer_close(&p[1]);
    for (int i = 2; i <= 4; i++) { /* given back each time */
        conn_respond(a.held, 200, NULL, NULL, 0, span_of("fine"));
        peer_skip(&a.loop, &p[0], "fine");
        peer_say(&a.loop, &p[0], post);
        peer_until(&a.loop, &p[0], &a.requests, i);
    }
    peer_close(&p[0]); /* and when the client leaves */
    peer_until(&a.loop, NULL, &a.gone, 1);
    p[1] = peer_open(server_port(a.server));
    peer_say(&a.loop, &p[1], post);
    peer_until(&a.loop, &p[1], &a.requests, 5);
    peer_close(&p[1]);
    close_app(&a);
}

static void test_drain(void **state) {
    struct peer idle, busy, late = {.fd = socket(AF_INET, SOCK_STREAM, 0)};
    struct app a;

    (void)state;
    peer_close(&late);
    open_app(&a, 10);
    idle = peer_open(server_port(a.server));
    busy = peer_open(server_port(a.server));
    peer_say(&a.loop, &idle, get);
    peer_skip(&a.loop, &idle, "fine");
    peer_say(&a.loop, &busy, hold);
    peer_until(&a.loop, &busy, &a.requests, 2);
    assert_int_equal(server_inflight(a.server), 1);
    server_drain(a.server, 60000, on_drained, &a);
    assert_int_equal(a.drained, 0);
    peer_expect_end(&a.loop, &idle);
    assert_int_equal(a.drained, 0);
    conn_respond(a.held, 200, NULL, NULL, 0, span_of("last"));
    peer_expect(&a.loop, &busy, "connection: close\r\n");
    peer_expect(&a.loop, &busy, "last");
    peer_expect_end(&a.loop, &busy);
    peer_close(&busy);
    peer_close(&idle);
    peer_until(&a.loop, NULL, &a.drained, 1);
    close_app(&a);
    assert_int_equal(a.gone, 0);
}

static void test_drain_idle_server(void **state) {
    struct app a;

    (void)state;
    open_app(&a, 10);
    server_drain(a.server, 60000, on_drained, &a);
    assert_int_equal(a.drained, 0); /* never inside the call */
    peer_until(&a.loop, NULL, &a.drained, 1);
    close_app(&a);
}

static void test_drain_timeout(void **state) {
    struct peer busy;
    struct app a;

    (void)state;
    open_app(&a, 10);
    busy = peer_open(server_port(a.server));
    peer_say(&a.loop, &busy, hold);
    peer_until(&a.loop, &busy, &a.requests, 1);
    server_drain(a.server, 20, on_drained, &a);
    peer_until(&a.loop, &busy, &a.drained, 1);
    assert_int_equal(a.gone, 1);
    peer_expect_end(&a.loop, &busy);
    peer_close(&busy);
    close_app(&a);
    assert_int_equal(a.drained, 1);
}

static void test_close_from_callback(void **state) {
    struct peer p;
    struct app a;

    (void)state;
    open_app(&a, 10);
    p = peer_open(server_port(a.server));
    peer_say(&a.loop, &p, "GET /close HTTP/1.1\r\nHost: h\r\n\r\n");
    peer_say(&a.loop, &p, get);
    peer_expect_end(&a.loop, &p);
    peer_close(&p);
    close_app(&a);
    assert_int_equal(a.requests, 1);
    assert_int_equal(a.gone, 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_open),
        cmocka_unit_test(test_connection_limit),
        cmocka_unit_test(test_bodies_limit),
        cmocka_unit_test(test_drain),
        cmocka_unit_test(test_drain_idle_server),
        cmocka_unit_test(test_drain_timeout),
        cmocka_unit_test(test_close_from_callback),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
