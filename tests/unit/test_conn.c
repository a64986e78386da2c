/* test_conn.c - one client's socket: what it says, what it hears, and what the
 * handler is told when it is slow, rude or gone. */
#include "tests/unit/peer.h"

#include "proxy/server.h"

struct app {
    uv_loop_t loop;
    struct server *server;
    struct peer peer;
    struct conn *held; /* from /hold or /stream, until it is over */
    int requests;
    int gone;
    int drains;
    int refused;
    struct conn_outcome last; /* of the response that ended last */
    int ended;
    int inside; /* a conn_*() call of ours is running */
    size_t body_size;
};

static void answer(struct app *a, struct conn *c, const char *text) {
    a->inside++;
    conn_respond(c, 200, "text/plain", NULL, 0, span_of(text));
    a->inside--;
}

static void on_request(void *user, struct conn *c,
                       const struct http_request *r) {
    struct app *a = user;
    struct http_header extra = {span_of("x-extra"), span_of("1")};

    assert_int_equal(a->inside, 0);
    assert_null(conn_user(c));
    assert_ptr_equal(conn_request(c), r);
    a->requests++;
    a->body_size = r->body.size;
    conn_set_user(c, a);
    if (span_is(r->path, "/hold")) {
        a->held = c;
    } else if (span_is(r->path, "/stream")) {
        conn_begin_stream(c, 200, "text/event-stream", &extra, 1);
        a->held = c;
    } else if (span_is(r->path, "/pieces")) {
        conn_begin_stream(c, 200, "text/plain", NULL, 0);
        assert_true(conn_streaming(c));
        assert_true(conn_write(c, span_of("hello ")));
        assert_true(conn_write(c, span_of("")));
        assert_true(conn_write(c, span_of("0123456789abcdefg")));
        conn_end(c);
    } else if (span_is(r->path, "/fail")) {
        struct err err;

        (void)err_set_field(&err, ERR_BUSY, "model", "come \"back\"");
        conn_fail(c, &err);
    } else if (span_is(r->path, "/peer")) {
        answer(a, c, conn_peer(c));
    } else if (span_is(r->path, "/body")) {
        a->inside++;
        conn_respond(c, 200, "text/plain", NULL, 0, r->body);
        a->inside--;
    } else {
        answer(a, c, "fine");
    }
}

static void on_gone(void *user, struct conn *c) {
    struct app *a = user;

    assert_int_equal(a->inside, 0);
    assert_ptr_equal(conn_user(c), a);
    if (c == a->held) a->held = NULL;
    a->gone++;
}

static void on_drain(void *user, struct conn *c) {
    struct app *a = user;

    assert_int_equal(a->inside, 0);
    assert_ptr_equal(c, a->held);
    a->drains++;
}

/* The request is still to be seen. */
static void on_end(void *user, struct conn *c, const struct conn_outcome *end) {
    struct app *a = user;

    assert_true(conn_request(c)->method.size > 0);
    a->last = *end;
    a->ended++;
}

static void on_refused(void *user, int status) {
    ((struct app *)user)->refused = status;
}

static void open_fronted(struct app *a, const struct limits *limits,
                         const char *origin, const struct proxy_trust *trust) {
    struct server_options o = {
        .host = "127.0.0.1",
        .handler = {on_request, on_gone, on_drain, on_end, on_refused, a},
        .origins = &origin,
        .origin_count = origin != NULL};
    struct err err;

    memset(a, 0, sizeof *a);
    if (trust) o.trust = *trust;
    if (limits)
        o.limits = *limits;
    else
        limits_init(&o.limits);
    assert_int_equal(uv_loop_init(&a->loop), 0);
    a->server = server_open(&a->loop, &o, &err);
    assert_non_null(a->server);
    a->peer = peer_open(server_port(a->server));
}

static void open_app(struct app *a, const struct limits *limits,
                     const char *origin) {
    open_fronted(a, limits, origin, NULL);
}

static void close_app(struct app *a) {
    server_close(a->server);
    peer_close(&a->peer);
    assert_int_equal(uv_run(&a->loop, UV_RUN_DEFAULT), 0);
    assert_int_equal(uv_loop_close(&a->loop), 0);
}

static void say(struct app *a, const char *text) {
    peer_say(&a->loop, &a->peer, text);
}

static void expect(struct app *a, const char *text) {
    peer_skip(&a->loop, &a->peer, text);
}

static bool got(struct app *a, const char *text) {
    return span_find(span_bytes(&a->peer.got), span_of(text)) != SIZE_MAX;
}

static const char get[] = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";
static const char hold[] = "GET /hold HTTP/1.1\r\nHost: h\r\n\r\n";
static const char stream[] = "GET /stream HTTP/1.1\r\nHost: h\r\n\r\n";

static void test_keep_alive(void **state) {
    struct app a;

    (void)state;
    open_app(&a, NULL, NULL);
    for (int i = 1; i <= 3; i++) {
        say(&a, get);
        expect(&a, "HTTP/1.1 200 OK\r\n");
        assert_true(got(&a, "content-type: text/plain\r\n"));
        assert_true(got(&a, "content-length: 4\r\n"));
        assert_true(got(&a, "date: "));
        assert_false(got(&a, "connection:"));
        expect(&a, "\r\n\r\nfine");
        assert_int_equal(a.requests, i);
        assert_int_equal(a.peer.got.size, 0);
        assert_int_equal(a.ended, i);
        assert_int_equal(a.last.status, 200);
        assert_int_equal(a.last.bytes, 4);
    }
    assert_int_equal(server_connections(a.server), 1);
    say(&a, "GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
    expect(&a, "connection: close\r\n");
    expect(&a, "fine");
    peer_expect_end(&a.loop, &a.peer);
    close_app(&a);
    assert_int_equal(a.gone, 0);
}

static void test_every_cut(void **state) {
    static const char text[] = "POST /body HTTP/1.1\r\nHost: h\r\n"
                               "Transfer-Encoding: chunked\r\n\r\n"
                               "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n";
    struct app a;

    (void)state;
    open_app(&a, NULL, NULL);
    for (size_t cut = 1; cut < sizeof text - 1; cut++) {
        peer_send(&a.loop, &a.peer, (struct span){text, cut});
        peer_step(&a.loop, &a.peer);
        peer_step(&a.loop, &a.peer);
        assert_int_equal(a.requests, (int)cut - 1);
        peer_say(&a.loop, &a.peer, text + cut);
        expect(&a, "\r\n\r\nabcde");
        assert_int_equal(a.peer.got.size, 0);
    }
    close_app(&a);
}

static void test_pipelining(void **state) {
    struct app a;

    (void)state;
    open_app(&a, NULL, NULL);
    peer_say(&a.loop, &a.peer,
             "GET / HTTP/1.1\r\nHost: h\r\n\r\n"
             "GET /hold HTTP/1.1\r\nHost: h\r\n\r\n"
             "GET /pieces HTTP/1.1\r\nHost: h\r\n\r\n"
             "GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
    peer_until(&a.loop, &a.peer, &a.requests, 2);
    for (int i = 0; i < 20; i++) peer_step(&a.loop, &a.peer);
    assert_int_equal(a.requests, 2); /* one at a time */
    answer(&a, a.held, "held");
    assert_int_equal(a.requests, 2); /* no callback inside the call */
    expect(&a, "\r\n\r\nfine");
    expect(&a, "\r\n\r\nheld");
    expect(&a, "hello ");
    expect(&a, "\r\n\r\nfine");
    peer_expect_end(&a.loop, &a.peer);
    assert_int_equal(a.requests, 4);
    close_app(&a);
}

static void test_stream(void **state) {
    struct app a;

    (void)state;
    open_app(&a, NULL, NULL);
    say(&a, "GET /pieces HTTP/1.1\r\nHost: h\r\n\r\n");
    expect(&a, "transfer-encoding: chunked\r\n\r\n");
    peer_expect(&a.loop, &a.peer, "0\r\n\r\n");
    assert_true(span_is(span_bytes(&a.peer.got),
                        "6\r\nhello \r\n11\r\n0123456789abcdefg\r\n"
                        "0\r\n\r\n"));
    a.peer.got.size = 0;
    say(&a, "GET /pieces HTTP/1.0\r\n\r\n");
    expect(&a, "connection: close\r\n\r\n");
    peer_expect_end(&a.loop, &a.peer);
    assert_true(span_is(span_bytes(&a.peer.got), "hello 0123456789abcdefg"));
    close_app(&a);
}

static void test_http_1_0(void **state) {
    struct app a;

    (void)state;
    open_app(&a, NULL, NULL);
    say(&a, "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    expect(&a, "connection: keep-alive\r\n");
    expect(&a, "fine");
    say(&a, "GET / HTTP/1.0\r\n\r\n");
    expect(&a, "connection: close\r\n");
    expect(&a, "fine");
    peer_expect_end(&a.loop, &a.peer);
    close_app(&a);
}

static void test_head(void **state) {
    struct app a;

    (void)state;
    open_app(&a, NULL, NULL);
    say(&a, "HEAD / HTTP/1.1\r\nHost: h\r\n\r\n");
    expect(&a, "content-length: 4\r\n\r\n");
    say(&a, "HEAD /pieces HTTP/1.1\r\nHost: h\r\n\r\n");
    expect(&a, "chunked\r\n\r\n");
    say(&a, get);
    peer_expect(&a.loop, &a.peer, "fine");
    assert_true(span_starts(span_bytes(&a.peer.got), span_of("HTTP/1.1 200")));
    close_app(&a);
}

/* A stream that ends without writing anything must still let the next request
 * have its turn. */
static void test_head_then_next(void **state) {
    struct app a;

    (void)state;
    open_app(&a, NULL, NULL);
    say(&a, "HEAD /stream HTTP/1.1\r\nHost: h\r\n\r\n");
    say(&a, get);
    expect(&a, "chunked\r\n\r\n");
    for (int i = 0; i < 20; i++) peer_step(&a.loop, &a.peer);
    assert_int_equal(a.requests, 1);
    a.inside++;
    assert_true(conn_write(a.held, span_of("unseen")));
    conn_end(a.held);
    a.inside--;
    peer_expect(&a.loop, &a.peer, "fine");
    assert_true(span_starts(span_bytes(&a.peer.got), span_of("HTTP/1.1 200")));
    close_app(&a);
}

static void test_continue(void **state) {
    struct app a;

    (void)state;
    open_app(&a, NULL, NULL);
    for (int i = 0; i < 2; i++) {
        say(&a, "POST /body HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\n"
                "Content-Length: 2\r\n\r\n");
        expect(&a, "HTTP/1.1 100 Continue\r\n\r\n");
        say(&a, "h");
        peer_step(&a.loop, &a.peer);
        say(&a, "i");
        expect(&a, "\r\n\r\nhi");
        assert_int_equal(a.peer.got.size, 0);
    }
    say(&a, "POST /body HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\n"
            "Content-Length: 999999999\r\n\r\n");
    peer_expect_end(&a.loop, &a.peer);
    assert_true(span_starts(span_bytes(&a.peer.got), span_of("HTTP/1.1 413")));
    close_app(&a);
}

static void test_options(void **state) {
    static const char ask[] =
        "OPTIONS /v1/x HTTP/1.1\r\nHost: h\r\nOrigin: http://app\r\n"
        "Access-Control-Request-Method: POST\r\n"
        "Access-Control-Request-Headers: authorization\r\n\r\n";
    struct app a;

    (void)state;
    open_app(&a, NULL, NULL);
    say(&a, ask);
    peer_expect(&a.loop, &a.peer, "\r\n\r\n");
    assert_true(got(&a, "HTTP/1.1 204 No Content\r\n"));
    assert_true(got(&a, "allow: GET"));
    assert_false(got(&a, "access-control"));
    assert_false(got(&a, "content-length"));
    close_app(&a);

    open_app(&a, NULL, "http://app");
    say(&a, ask);
    peer_expect(&a.loop, &a.peer, "\r\n\r\n");
    assert_true(got(&a, "access-control-allow-origin: http://app\r\n"));
    assert_true(got(&a, "access-control-allow-headers: authorization\r\n"));
    a.peer.got.size = 0;
    say(&a, "GET / HTTP/1.1\r\nHost: h\r\nOrigin: http://evil\r\n\r\n");
    peer_expect(&a.loop, &a.peer, "fine");
    assert_true(got(&a, "vary: origin\r\n"));
    assert_false(got(&a, "access-control"));
    close_app(&a);
    assert_int_equal(a.requests, 1);
}

static void test_fronted(void **state) {
    static const char said[] = "PROXY TCP4 192.0.2.7 10.0.0.1 1 2\r\n"
                               "GET /peer HTTP/1.1\r\nHost: h\r\n\r\n";
    struct proxy_trust trust = {.on = true};
    struct app a;

    (void)state;
    assert_true(network_parse(&trust.from[0], "127.0.0.0/8", NULL));
    for (trust.count = 0; trust.count < 2; trust.count++) {
        open_fronted(&a, NULL, NULL, &trust);
        say(&a, said);
        peer_expect(&a.loop, &a.peer, "\r\n\r\n192.0.2.7");
        a.peer.got.size = 0;
        say(&a, strchr(said, '\n') + 1); /* for the whole connection */
        peer_expect(&a.loop, &a.peer, "\r\n\r\n192.0.2.7");
        close_app(&a);
    }
    open_fronted(&a, NULL, NULL, &trust);
    for (size_t i = 0; i < sizeof said - 1; i++) {
        peer_send(&a.loop, &a.peer, (struct span){said + i, 1});
        peer_step(&a.loop, &a.peer);
    }
    peer_expect(&a.loop, &a.peer, "\r\n\r\n192.0.2.7");
    close_app(&a);
    trust.on = false; /* without: an odd request */
    open_fronted(&a, NULL, NULL, &trust);
    say(&a, said);
    peer_expect(&a.loop, &a.peer, "HTTP/1.1 400 ");
    close_app(&a);
}

static void check_front_refused(const struct proxy_trust *trust,
                                const char *text, int status) {
    struct limits l;
    struct app a;

    limits_init(&l);
    l.header_ms = 30;
    open_fronted(&a, &l, NULL, trust);
    (void)send(a.peer.fd, text, strlen(text), MSG_NOSIGNAL);
    peer_expect_end(&a.loop, &a.peer);
    assert_int_equal(a.peer.got.size, 0);
    assert_int_equal(a.requests, 0);
    assert_int_equal(a.refused, status);
    close_app(&a);
    assert_int_equal(a.gone, 0);
}

/* Closed without a word: whoever it is does not speak HTTP yet. */
static void test_front_refused(void **state) {
    static const char good[] = "PROXY TCP4 192.0.2.7 10.0.0.1 1 2\r\n"
                               "GET / HTTP/1.1\r\nHost: h\r\n\r\n";
    struct proxy_trust trust = {.on = true};

    (void)state;
    check_front_refused(&trust, get, 400);
    check_front_refused(&trust, "PROXY TCP4 ::1 ::1 1 2\r\n", 400);
    check_front_refused(&trust, "PROXY TCP4 192.0", 0); /* no more in time */
    check_front_refused(&trust, "", 0);
    trust.count = 1;
    assert_true(network_parse(&trust.from[0], "192.0.2.0/24", NULL));
    check_front_refused(&trust, good, 0);
}

static void test_fail(void **state) {
    struct app a;

    (void)state;
    open_app(&a, NULL, NULL);
    say(&a, "GET /fail HTTP/1.1\r\nHost: h\r\n\r\n");
    expect(&a, "HTTP/1.1 429 Too Many Requests\r\n");
    peer_expect(&a.loop, &a.peer, "}}");
    assert_true(got(&a, "retry-after: 1\r\n"));
    assert_true(got(&a, "content-type: application/json\r\n"));
    expect(&a, "{\"error\":{\"message\":\"come \\\"back\\\"\",\"type\":"
               "\"rate_limit_error\",\"param\":\"model\",\"code\":"
               "\"rate_limit_exceeded\"}}");
    say(&a, get); /* the connection is still good */
    expect(&a, "fine");
    close_app(&a);
}

static void check_refused(const char *text, int status) {
    struct limits l;
    struct app a;
    char line[32];

    limits_init(&l);
    l.target_bytes_max = 64;
    l.header_bytes_max = 512;
    l.header_count_max = 8;
    l.body_bytes_max = 64;
    l.header_ms = 30;
    l.body_ms = 30;
    open_app(&a, &l, NULL);
    say(&a, text);
    peer_expect_end(&a.loop, &a.peer);
    (void)snprintf(line, sizeof line, "HTTP/1.1 %d ", status);
    if (!span_starts(span_bytes(&a.peer.got), span_of(line)))
        fail_msg("%s: wanted %d, got %.*s", text, status, (int)a.peer.got.size,
                 a.peer.got.at);
    assert_true(got(&a, "connection: close\r\n"));
    assert_true(got(&a, "\r\n\r\n{\"error\":{\"message\":\""));
    assert_int_equal(a.refused, status);
    assert_int_equal(a.requests, 0);
    close_app(&a);
    assert_int_equal(a.gone, 0);
}

static void test_refused(void **state) {
    struct bytes long_head = {0};

    (void)state;
    check_refused("nonsense\r\n\r\n", 400);
    check_refused("GET / HTTP/1.1\r\n\r\n", 400);
    check_refused("GET / HTTP/3.1\r\nHost: h\r\n\r\n", 400);
    check_refused("CONNECT h:1 HTTP/1.1\r\nHost: h\r\n\r\n", 405);
    check_refused("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 65\r\n\r\n",
                  413);
    check_refused("GET /"
                  "0123456789012345678901234567890123456789012345678901234567"
                  "890123456789 HTTP/1.1\r\nHost: h\r\n\r\n",
                  414);
    bytes_puts(&long_head, "GET / HTTP/1.1\r\nHost: h\r\nX: ");
    for (int i = 0; i < 100; i++) bytes_puts(&long_head, "0123456789");
    bytes_put(&long_head, (struct span){"", 1});
    check_refused(long_head.at, 431);
    bytes_free(&long_head);
    check_refused("POST / HTTP/1.1\r\nHost: h\r\nExpect: x\r\n\r\n", 417);
    check_refused("GET / HTTP/1.1\r\nHost: h\r\n", 408);
    check_refused("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\na",
                  408);
}

/* A drop now and then must not keep a request alive. */
static void test_slow_loris(void **state) {
    struct limits l;
    struct app a;
    uint64_t began = clock_ms();

    (void)state;
    limits_init(&l);
    l.header_ms = 60;
    open_app(&a, &l, NULL);
    say(&a, "GET / HTTP/1.1\r\nHost: h\r\nX: ");
    while (!a.peer.ended && clock_ms() - began < PEER_PATIENCE_MS) {
        (void)send(a.peer.fd, "a", 1, MSG_DONTWAIT | MSG_NOSIGNAL);
        peer_step(&a.loop, &a.peer);
        peer_nap();
    }
    assert_int_equal(a.refused, 408);
    close_app(&a);
}

static void test_idle(void **state) {
    struct limits l;
    uint64_t until;
    struct app a;

    (void)state;
    limits_init(&l);
    l.idle_ms = 30;
    open_app(&a, &l, NULL);
    peer_expect_end(&a.loop, &a.peer); /* before any request */
    assert_int_equal(a.peer.got.size, 0);
    close_app(&a);
    l.idle_ms = 300; /* a request must come in time on a busy machine, too */
    open_app(&a, &l, NULL);
    say(&a, get);
    expect(&a, "fine");
    peer_expect_end(&a.loop, &a.peer); /* between two */
    assert_int_equal(a.peer.got.size, 0);
    close_app(&a);
    open_app(&a, &l, NULL);
    say(&a, hold);
    peer_until(&a.loop, &a.peer, &a.requests, 1);
    until = clock_ms() + 600;
    while (clock_ms() < until) { /* a long answer is not idle */
        peer_step(&a.loop, &a.peer);
        peer_nap();
    }
    assert_int_equal(a.gone, 0);
    answer(&a, a.held, "late");
    expect(&a, "late");
    close_app(&a);
}

static void test_gone(void **state) {
    static const char *const requests[] = {hold, stream};
    struct app a;

    (void)state;
    for (int i = 0; i < 4; i++) {
        open_app(&a, NULL, NULL);
        say(&a, requests[i % 2]);
        peer_until(&a.loop, &a.peer, &a.requests, 1);
        if (i < 2)
            peer_close(&a.peer);
        else
            peer_reset(&a.peer);
        peer_until(&a.loop, NULL, &a.gone, 1);
        assert_int_equal(a.last.status, 499);
        assert_null(a.held);
        close_app(&a);
        assert_int_equal(a.gone, 1);
    }
}

/* Even when so much came ahead that nothing more is read. */
static void test_gone_with_much_ahead(void **state) {
    struct bytes much = {0};
    struct app a;

    (void)state;
    for (int i = 0; i < 2000; i++) bytes_puts(&much, get);
    open_app(&a, NULL, NULL);
    say(&a, hold);
    peer_until(&a.loop, &a.peer, &a.requests, 1);
    peer_send(&a.loop, &a.peer, span_bytes(&much));
    for (int i = 0; i < 50; i++) peer_step(&a.loop, &a.peer);
    assert_int_equal(a.requests, 1);
    assert_int_equal(a.gone, 0);
    peer_close(&a.peer);
    peer_until(&a.loop, NULL, &a.gone, 1);
    close_app(&a);

    /* And if it stays, everything is answered in the end. */
    open_app(&a, NULL, NULL);
    say(&a, hold);
    peer_until(&a.loop, &a.peer, &a.requests, 1);
    peer_send(&a.loop, &a.peer, span_bytes(&much));
    for (int i = 0; i < 50; i++) peer_step(&a.loop, &a.peer);
    answer(&a, a.held, "held");
    peer_until(&a.loop, &a.peer, &a.requests, 2001);
    close_app(&a);
    bytes_free(&much);
}

static struct limits small_queue(int write_ms) {
    struct limits l;

    limits_init(&l);
    l.write_high_bytes = 64 << 10;
    l.write_low_bytes = 16 << 10;
    l.write_bytes_max = 8 << 20;
    l.write_ms = write_ms;
    return l;
}

/* Write until the queue says stop; how much that was. */
static size_t fill(struct app *a, struct conn *c) {
    static const char block[16384];
    size_t sum = 0;
    bool more = true;

    a->inside++;
    while (more && sum < (64u << 20)) {
        more = conn_write(c, (struct span){block, sizeof block});
        sum += sizeof block;
    }
    a->inside--;
    assert_false(more);
    return sum;
}

static void test_back_pressure(void **state) {
    struct limits l = small_queue(60000);
    struct app a;
    size_t sum = 0;

    (void)state;
    open_app(&a, &l, NULL);
    say(&a, stream);
    peer_until(&a.loop, NULL, &a.requests, 1);
    for (int i = 1; i <= 3; i++) {
        sum += fill(&a, a.held);
        assert_true(conn_pending_bytes(a.held) > l.write_high_bytes);
        assert_int_equal(a.drains, i - 1);
        peer_until(&a.loop, &a.peer, &a.drains, i);
        assert_true(conn_pending_bytes(a.held) <= l.write_low_bytes);
    }
    conn_end(a.held);
    peer_expect(&a.loop, &a.peer, "\r\n0\r\n\r\n");
    assert_true(a.peer.got.size > sum);
    assert_int_equal(a.gone, 0);
    close_app(&a);
}

static void test_stalled_client(void **state) {
    struct limits l = small_queue(50);
    struct app a;

    (void)state;
    open_app(&a, &l, NULL);
    say(&a, stream);
    peer_until(&a.loop, NULL, &a.requests, 1);
    (void)fill(&a, a.held);
    peer_until(&a.loop, NULL, &a.gone, 1); /* it never reads */
    close_app(&a);
    assert_int_equal(a.gone, 1);
}

static void test_queue_limit(void **state) {
    static const char block[1 << 20];
    struct limits l = small_queue(60000);
    struct app a;

    (void)state;
    open_app(&a, &l, NULL);
    say(&a, stream);
    peer_until(&a.loop, NULL, &a.requests, 1);
    a.inside++;
    for (int i = 0; i < 64; i++) /* a handler that does not listen */
        (void)conn_write(a.held, (struct span){block, sizeof block});
    assert_true(conn_pending_bytes(a.held) <= l.write_bytes_max + (2 << 20));
    a.inside--;
    peer_until(&a.loop, NULL, &a.gone, 1);
    close_app(&a);
}

static void test_abort(void **state) {
    struct app a;

    (void)state;
    open_app(&a, NULL, NULL);
    say(&a, stream);
    peer_until(&a.loop, &a.peer, &a.requests, 1);
    (void)conn_write(a.held, span_of("half"));
    conn_abort(a.held);
    peer_expect_end(&a.loop, &a.peer);
    assert_true(got(&a, "4\r\nhalf\r\n"));
    assert_false(got(&a, "0\r\n\r\n"));
    close_app(&a);

    open_app(&a, NULL, NULL);
    say(&a, "GET /stream HTTP/1.0\r\n\r\n");
    peer_until(&a.loop, &a.peer, &a.requests, 1);
    conn_abort(a.held);
    peer_expect_end(&a.loop, &a.peer);
    assert_true(a.peer.was_reset);
    close_app(&a);
    assert_int_equal(a.gone, 0);
}

/* An answer that came early must reach a client that is still sending. */
static void test_early_answer(void **state) {
    static const char block[1 << 20];
    struct app a;

    (void)state;
    open_app(&a, NULL, NULL);
    say(&a, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 100000000\r\n\r\n");
    for (int i = 0; i < 8; i++)
        peer_send(&a.loop, &a.peer, (struct span){block, sizeof block});
    expect(&a, "HTTP/1.1 413 Content Too Large\r\n");
    expect(&a, "\"request_too_large\"}}");
    peer_expect_end(&a.loop, &a.peer);
    for (int i = 0; i < 8; i++)
        peer_send(&a.loop, &a.peer, (struct span){block, sizeof block});
    assert_false(a.peer.refused); /* heard out, for a while */
    assert_false(a.peer.was_reset);
    close_app(&a);
}

static void test_half_close(void **state) {
    struct app a;

    (void)state;
    open_app(&a, NULL, NULL);
    say(&a, "GET / HTTP/1.1\r\nHost: h\r\n\r\n"
            "GET /pieces HTTP/1.1\r\nHost: h\r\n\r\n");
    (void)shutdown(a.peer.fd, SHUT_WR);
    peer_expect_end(&a.loop, &a.peer);
    assert_true(got(&a, "fine"));
    assert_true(got(&a, "0\r\n\r\n"));
    close_app(&a);
}

static void test_peer(void **state) {
    struct app a;

    (void)state;
    open_app(&a, NULL, NULL);
    say(&a, hold);
    peer_until(&a.loop, &a.peer, &a.requests, 1);
    assert_string_equal(conn_peer(a.held), "127.0.0.1");
    assert_int_equal(conn_id(a.held), 1);
    close_app(&a); /* with a response outstanding */
    assert_int_equal(a.gone, 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_keep_alive),
        cmocka_unit_test(test_every_cut),
        cmocka_unit_test(test_pipelining),
        cmocka_unit_test(test_stream),
        cmocka_unit_test(test_http_1_0),
        cmocka_unit_test(test_head),
        cmocka_unit_test(test_head_then_next),
        cmocka_unit_test(test_continue),
        cmocka_unit_test(test_options),
        cmocka_unit_test(test_fronted),
        cmocka_unit_test(test_front_refused),
        cmocka_unit_test(test_fail),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_slow_loris),
        cmocka_unit_test(test_idle),
        cmocka_unit_test(test_gone),
        cmocka_unit_test(test_gone_with_much_ahead),
        cmocka_unit_test(test_back_pressure),
        cmocka_unit_test(test_stalled_client),
        cmocka_unit_test(test_queue_limit),
        cmocka_unit_test(test_abort),
        cmocka_unit_test(test_early_answer),
        cmocka_unit_test(test_half_close),
        cmocka_unit_test(test_peer),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
