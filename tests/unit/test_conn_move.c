/* test_conn_move.c - a connection that goes from one server to another with the
 * request that only the other one answers: the request arrives whole, what came
 * behind it keeps its order, and nothing is left where it was. Two servers on
 * one loop; the way between them is in the test's hands. */
#include "tests/unit/peer.h"

#include "proxy/server.h"

struct world {
    uv_loop_t loop;
    struct server *home; /* answers all */
    struct server *away; /* listens, and sends /first home */
    struct server_guest guest;
    int guests;
    int answered[2]; /* by home, away */
    int gone;
    struct pass last; /* of the response that ended last at `away` */
    int ended;
};

static void at_home(void *user, struct conn *c, const struct http_request *r) {
    struct world *w = user;

    w->answered[0]++;
    conn_respond(c, 200, "text/plain", NULL, 0,
                 r->body.size ? r->body : span_of("home"));
}

static void at_away(void *user, struct conn *c, const struct http_request *r) {
    struct world *w = user;

    (void)snprintf(conn_pass(c)->request_id, PASS_ID_SIZE, "somebody");
    if (span_is(r->path, "/first")) {
        conn_leave(c);
        return;
    }
    w->answered[1]++;
    conn_respond(c, 200, "text/plain", NULL, 0, span_of("away"));
}

static void on_gone(void *user, struct conn *c) {
    (void)c;
    ((struct world *)user)->gone++;
}

static void on_drain(void *user, struct conn *c) {
    (void)user;
    (void)c;
}

static void on_end(void *user, struct conn *c, const struct conn_outcome *end) {
    struct world *w = user;

    (void)end;
    w->last = *conn_pass(c);
    w->ended++;
}

static struct server *choose(void *user, struct server *s) {
    (void)user;
    return s;
}

static void carry(void *user, struct server *to, struct server_guest *guest) {
    struct world *w = user;

    assert_ptr_equal(to, w->home);
    w->guest = *guest;
    w->guests++;
}

static void open_world(struct world *w) {
    struct server_options o = {.host = "127.0.0.1", .silent = true};
    struct err err;

    memset(w, 0, sizeof *w);
    limits_init(&o.limits);
    assert_int_equal(uv_loop_init(&w->loop), 0);
    o.handler =
        (struct conn_handler){at_home, on_gone, on_drain, NULL, NULL, w};
    w->home = server_open(&w->loop, &o, &err);
    assert_non_null(w->home);
    o.handler =
        (struct conn_handler){at_away, on_gone, on_drain, on_end, NULL, w};
    o.silent = false;
    o.bodies_bytes = server_bodies(w->home);
    o.spread = (struct server_spread){choose, carry, w->home, w};
    w->away = server_open(&w->loop, &o, &err);
    assert_non_null(w->away);
}

static void close_world(struct world *w) {
    server_close(w->away);
    server_close(w->home);
    assert_int_equal(uv_run(&w->loop, UV_RUN_DEFAULT), 0);
    assert_int_equal(uv_loop_close(&w->loop), 0);
}

static void deliver(struct world *w, struct peer *p) {
    peer_until(&w->loop, p, &w->guests, 1);
    w->guests = 0;
    server_receive(w->home, &w->guest);
}

static const char get[] = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";
static const char first[] = "POST /first HTTP/1.1\r\nHost: h\r\n"
                            "Content-Length: 5\r\n\r\nhello";

static void test_moves(void **state) {
    struct world w;
    struct peer p;

    (void)state;
    open_world(&w);
    p = peer_open(server_port(w.away));
    peer_say(&w.loop, &p, get);
    peer_skip(&w.loop, &p, "\r\n\r\naway");
    peer_say(&w.loop, &p, first);
    peer_until(&w.loop, &p, &w.guests, 1);
    /* On its way its body counts still. */
    assert_int_equal(atomic_load(server_bodies(w.home)), 5);
    deliver(&w, &p);
    peer_skip(&w.loop, &p, "\r\n\r\nhello");
    assert_int_equal(atomic_load(server_bodies(w.home)), 0);
    assert_int_equal(server_connections(w.away), 0);
    assert_int_equal(server_connections(w.home), 1);
    /* There it stays. */
    peer_say(&w.loop, &p, get);
    peer_skip(&w.loop, &p, "\r\n\r\nhome");
    assert_int_equal(w.gone, 0);
    peer_close(&p);
    close_world(&w);
}

/* The one that moves, and one right behind it, in two pieces. */
static void check_cut(size_t at) {
    struct bytes both = {0};
    struct world w;
    struct peer p;

    bytes_puts(&both, first);
    bytes_puts(&both, get);
    open_world(&w);
    p = peer_open(server_port(w.away));
    peer_send(&w.loop, &p, span_slice(span_bytes(&both), 0, at));
    peer_step(&w.loop, &p);
    peer_send(&w.loop, &p, span_slice(span_bytes(&both), at, both.size));
    deliver(&w, &p);
    peer_skip(&w.loop, &p, "\r\n\r\nhello");
    peer_skip(&w.loop, &p, "\r\n\r\nhome");
    assert_int_equal(w.answered[0], 2);
    assert_int_equal(w.answered[1], 0);
    peer_close(&p);
    close_world(&w);
    bytes_free(&both);
}

static void test_cut(void **state) {
    (void)state;
    for (size_t at = 0; at < sizeof first + sizeof get - 2; at++) check_cut(at);
}

/* Whoever was to answer closes meanwhile: so does the connection. */
static void test_nobody(void **state) {
    struct world w;
    struct peer p;

    (void)state;
    open_world(&w);
    p = peer_open(server_port(w.away));
    peer_say(&w.loop, &p, first);
    peer_until(&w.loop, &p, &w.guests, 1);
    server_close(w.away);
    w.away = NULL;
    server_close(w.home);
    peer_step(&w.loop, &p);
    deliver(&w, &p);
    w.home = NULL; /* frees itself now that nobody comes any more */
    peer_expect_end(&w.loop, &p);
    assert_int_equal(w.answered[0], 0);
    peer_close(&p);
    close_world(&w);
}

/* The client leaves while its request is on its way. */
static void test_client_leaves(void **state) {
    uint64_t until = clock_ms() + PEER_PATIENCE_MS;
    struct world w;
    struct peer p;

    (void)state;
    open_world(&w);
    p = peer_open(server_port(w.away));
    peer_say(&w.loop, &p, first);
    peer_until(&w.loop, &p, &w.guests, 1);
    peer_reset(&p);
    deliver(&w, NULL);
    while (server_connections(w.home) && clock_ms() < until) {
        peer_step(&w.loop, NULL);
        peer_nap();
    }
    assert_int_equal(server_connections(w.home), 0);
    assert_int_equal(server_connections(w.away), 0);
    assert_int_equal(atomic_load(server_bodies(w.home)), 0);
    close_world(&w);
}

/* OPTIONS never gets to a door: it ends under nobody's pass, not under that of
 * the request before it. */
static void test_options(void **state) {
    struct world w;
    struct peer p;

    (void)state;
    open_world(&w);
    p = peer_open(server_port(w.away));
    peer_say(&w.loop, &p, get);
    peer_skip(&w.loop, &p, "\r\n\r\naway");
    assert_string_equal(w.last.request_id, "somebody");
    peer_say(&w.loop, &p, "OPTIONS / HTTP/1.1\r\nHost: h\r\n\r\n");
    peer_skip(&w.loop, &p, "204 No Content");
    assert_int_equal(w.ended, 2);
    assert_string_equal(w.last.request_id, "");
    assert_null(w.last.caller);
    peer_close(&p);
    close_world(&w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_moves),   cmocka_unit_test(test_cut),
        cmocka_unit_test(test_nobody),  cmocka_unit_test(test_client_leaves),
        cmocka_unit_test(test_options),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
