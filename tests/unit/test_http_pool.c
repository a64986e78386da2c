/* test_http_pool.c - calls that follow one another by one connection, and all
 * that must keep the next one from it: an answer whose end is in doubt, a
 * connection that the upstream closed, a different upstream. */
#include "tests/unit/peer.h"
#include "tests/unit/tls_peer.h"

#include "proxy/http_client.h"

#define OK "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"

struct app {
    uv_loop_t loop;
    uv_async_t busy; /* as a server that listens keeps its loop running */
    int listener;
    int port;
    struct peer peer; /* the upstream's end of the last connection */
    struct http_pool *pool;
    struct tls_context *trust; /* NULL: in the clear */
    struct http_call *call;
    int parts;
    int ends;
    bool pause;
    struct bytes body;
    struct err err;
};

static void on_head(void *user, int status, const struct http_header *headers,
                    int header_count) {
    (void)user;
    (void)headers;
    (void)header_count;
    assert_int_equal(status, 200);
}

static void on_body(void *user, struct span part) {
    struct app *a = user;

    a->parts++;
    bytes_put(&a->body, part);
    if (a->pause) http_call_pause(a->call);
}

static void on_end(void *user, const struct err *err) {
    struct app *a = user;

    a->ends++;
    a->err = err ? *err : (struct err){0};
    a->call = NULL;
}

static void open_app(struct app *a, int count_max, int idle_ms) {
    struct sockaddr_in at = {.sin_family = AF_INET,
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof at;

    (void)signal(SIGPIPE, SIG_IGN); /* as main() does */
    *a = (struct app){.peer.fd = -1};
    assert_int_equal(uv_loop_init(&a->loop), 0);
    assert_int_equal(uv_async_init(&a->loop, &a->busy, NULL), 0);
    a->listener = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(a->listener, (struct sockaddr *)&at, size), 0);
    assert_int_equal(listen(a->listener, 8), 0);
    assert_int_equal(getsockname(a->listener, (struct sockaddr *)&at, &size),
                     0);
    a->port = ntohs(at.sin_port);
    a->pool = http_pool_new(count_max, idle_ms);
}

/* What waits does not keep the loop running. */
static void close_app(struct app *a) {
    http_call_cancel(a->call);
    uv_close((uv_handle_t *)&a->busy, NULL);
    assert_int_equal(uv_run(&a->loop, UV_RUN_DEFAULT), 0);
    http_pool_free(a->pool);
    assert_int_equal(uv_run(&a->loop, UV_RUN_DEFAULT), 0);
    assert_int_equal(uv_loop_close(&a->loop), 0);
    peer_close(&a->peer);
    (void)close(a->listener);
    bytes_free(&a->body);
    tls_context_close(a->trust);
}

static void start(struct app *a) {
    const struct http_call_events events = {on_head, on_body, on_end, a};
    const struct http_call_options o = {.host = "127.0.0.1",
                                        .port = a->port,
                                        .method = "POST",
                                        .path = "/v1/x",
                                        .body = {"{}", 2},
                                        .tls = a->trust != NULL,
                                        .tls_context = a->trust,
                                        .pool = a->pool};
    struct err err;

    a->parts = a->ends = 0;
    a->body.size = 0;
    a->call = http_call_start(&a->loop, &o, &events, &err);
    if (!a->call) fail_msg("%s", err.text);
    assert_int_equal(a->ends, 0);
}

static bool is_called(struct app *a) {
    struct pollfd p = {.fd = a->listener, .events = POLLIN};

    (void)uv_run(&a->loop, UV_RUN_NOWAIT);
    return poll(&p, 1, 0) == 1;
}

static void accept_call(struct app *a) {
    uint64_t until = clock_ms() + PEER_PATIENCE_MS;

    while (!is_called(a)) {
        assert_true(clock_ms() < until);
        peer_nap();
    }
    peer_close(&a->peer);
    a->peer = (struct peer){.fd = accept(a->listener, NULL, NULL)};
    assert_true(a->peer.fd >= 0);
}

/* The upstream has read the whole request, by the connection it has. */
static void take_request(struct app *a) {
    peer_expect(&a->loop, &a->peer, "POST /v1/x HTTP/1.1\r\n");
    peer_skip(&a->loop, &a->peer, "\r\n\r\n{}");
    assert_int_equal(a->peer.got.size, 0);
}

static void end_with(struct app *a, enum err_code code) {
    peer_until(&a->loop, NULL, &a->ends, 1);
    if (a->err.code != code)
        fail_msg("%s (%s)", err_code_name(a->err.code), a->err.text);
}

static void answer(struct app *a, const char *text) {
    peer_say(&a->loop, &a->peer, text);
    end_with(a, ERR_NONE);
    assert_true(span_is(span_bytes(&a->body), "hi"));
}

static void first_call(struct app *a, const char *text) {
    start(a);
    accept_call(a);
    take_request(a);
    answer(a, text);
}

static void test_follow(void **state) {
    struct app a;

    (void)state;
    open_app(&a, 8, 60000);
    start(&a);
    accept_call(&a);
    peer_expect(&a.loop, &a.peer, "\r\n\r\n");
    assert_int_equal(span_find(span_bytes(&a.peer.got), span_of("connection:")),
                     SIZE_MAX);
    take_request(&a);
    answer(&a, OK);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(http_pool_count(a.pool), 1);
        start(&a);
        assert_int_equal(http_pool_count(a.pool), 0);
        take_request(&a);
        answer(&a, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                   "2\r\nhi\r\n0\r\n\r\n");
    }
    assert_false(is_called(&a));
    close_app(&a);
}

/* The answer was whole, and yet nothing may follow it. */
static void lasts_one(const char *text, bool hang_up) {
    struct app a;

    open_app(&a, 8, 60000);
    start(&a);
    accept_call(&a);
    take_request(&a);
    peer_say(&a.loop, &a.peer, text);
    if (hang_up) (void)shutdown(a.peer.fd, SHUT_WR);
    end_with(&a, ERR_NONE);
    assert_int_equal(http_pool_count(a.pool), 0);
    peer_expect_end(&a.loop, &a.peer);
    close_app(&a);
}

static void test_lasts_one(void **state) {
    (void)state;
    lasts_one("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n"
              "Connection: close\r\n\r\nhi",
              false);
    lasts_one("HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nhi", false);
    lasts_one("HTTP/1.1 200 OK\r\n\r\nhi", true);
    /* The next request would be answered by what somebody put there. */
    lasts_one(OK OK, false);
    lasts_one(OK "\r\n", false);
}

/* Neither an answer that was not read to its end, nor a broken one. */
static void test_in_doubt(void **state) {
    struct app a;

    (void)state;
    open_app(&a, 8, 60000);
    start(&a);
    accept_call(&a);
    take_request(&a);
    peer_say(&a.loop, &a.peer,
             "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nhi");
    peer_until(&a.loop, NULL, &a.parts, 1);
    http_call_cancel(a.call);
    a.call = NULL;
    peer_expect_end(&a.loop, &a.peer);
    assert_int_equal(http_pool_count(a.pool), 0);

    start(&a);
    accept_call(&a);
    take_request(&a);
    peer_say(&a.loop, &a.peer,
             "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n");
    end_with(&a, ERR_IO);
    peer_expect_end(&a.loop, &a.peer);
    assert_int_equal(http_pool_count(a.pool), 0);
    close_app(&a);
}

static void waits_no_more(struct app *a) {
    uint64_t until = clock_ms() + PEER_PATIENCE_MS;

    while (http_pool_count(a->pool)) {
        assert_true(clock_ms() < until);
        peer_step(&a->loop, NULL);
        peer_nap();
    }
    peer_expect_end(&a->loop, &a->peer);
}

static void test_waiting(void **state) {
    struct app a;

    (void)state;
    open_app(&a, 8, 60000);
    first_call(&a, OK); /* the upstream closes it */
    (void)shutdown(a.peer.fd, SHUT_WR);
    waits_no_more(&a);
    first_call(&a, OK); /* or says something unasked */
    peer_say(&a.loop, &a.peer, OK);
    waits_no_more(&a);
    close_app(&a);

    open_app(&a, 8, 20); /* its time is over */
    first_call(&a, OK);
    waits_no_more(&a);
    close_app(&a);

    open_app(&a, 0, 60000);
    first_call(&a, OK);
    assert_int_equal(http_pool_count(a.pool), 0);
    peer_expect_end(&a.loop, &a.peer);
    close_app(&a);
}

/* Two at a time: one too many to wait, and the last that came goes first. */
static void test_bounded(void **state) {
    struct app a, b = {0};

    (void)state;
    open_app(&a, 1, 60000);
    start(&a);
    accept_call(&a);
    take_request(&a);
    {
        const struct http_call_events events = {on_head, on_body, on_end, &b};
        const struct http_call_options o = {.host = "127.0.0.1",
                                            .port = a.port,
                                            .method = "GET",
                                            .path = "/",
                                            .pool = a.pool};
        struct err err;

        b.call = http_call_start(&a.loop, &o, &events, &err);
        assert_non_null(b.call);
    }
    while (!is_called(&a)) peer_nap();
    b.peer = (struct peer){.fd = accept(a.listener, NULL, NULL)};
    peer_skip(&a.loop, &b.peer, "\r\n\r\n");
    answer(&a, OK);
    assert_int_equal(http_pool_count(a.pool), 1);
    peer_say(&a.loop, &b.peer, OK);
    peer_until(&a.loop, NULL, &b.ends, 1);
    assert_int_equal(http_pool_count(a.pool), 1);
    peer_expect_end(&a.loop, &b.peer);
    peer_close(&b.peer);
    bytes_free(&b.body);
    close_app(&a);
}

static void test_place(void **state) {
    struct app a;
    struct http_place place = {"127.0.0.1", 0, NULL};
    struct tls_context *context;
    struct err err;

    (void)state;
    open_app(&a, 8, 60000);
    first_call(&a, OK);
    assert_null(http_pool_take(a.pool, &place));
    place.port = a.port;
    place.host = "localhost";
    assert_null(http_pool_take(a.pool, &place));
    place.host = "127.0.0.1";
    place.tls = context = tls_context_open(NULL, &err);
    assert_non_null(context);
    assert_null(http_pool_take(a.pool, &place));
    assert_int_equal(http_pool_count(a.pool), 1);
    tls_context_close(context);
    close_app(&a);
}

/* The upstream closes a connection that waited, just when we ask by it. */
static void goes_once_more(bool reset) {
    struct app a;

    open_app(&a, 8, 60000);
    first_call(&a, OK);
    start(&a);
    assert_int_equal(http_pool_count(a.pool), 0);
    if (reset) {
        peer_reset(&a.peer);
    } else {
        take_request(&a);
        (void)shutdown(a.peer.fd, SHUT_WR);
    }
    accept_call(&a);
    take_request(&a);
    answer(&a, OK);
    assert_int_equal(http_pool_count(a.pool), 1);

    start(&a); /* once, and no more */
    take_request(&a);
    (void)shutdown(a.peer.fd, SHUT_WR);
    accept_call(&a);
    take_request(&a);
    (void)shutdown(a.peer.fd, SHUT_WR);
    end_with(&a, ERR_IO);
    assert_false(is_called(&a));
    close_app(&a);
}

static void test_once_more(void **state) {
    (void)state;
    goes_once_more(false);
    goes_once_more(true);
}

/* With one byte of an answer it may have begun to work. */
static void test_not_once_more(void **state) {
    struct app a;

    (void)state;
    open_app(&a, 8, 60000);
    first_call(&a, OK);
    start(&a);
    take_request(&a);
    peer_say(&a.loop, &a.peer, "H");
    (void)shutdown(a.peer.fd, SHUT_WR);
    end_with(&a, ERR_IO);
    assert_false(is_called(&a));

    /* Nor when it was not waiting before, */
    start(&a);
    accept_call(&a);
    take_request(&a);
    (void)shutdown(a.peer.fd, SHUT_WR);
    end_with(&a, ERR_IO);
    assert_false(is_called(&a));

    /* nor when nobody is there any more. */
    first_call(&a, OK);
    start(&a);
    take_request(&a);
    (void)close(a.listener);
    a.listener = -1;
    (void)shutdown(a.peer.fd, SHUT_WR);
    end_with(&a, ERR_UNAVAILABLE);
    close_app(&a);
}

static void test_cancel(void **state) {
    struct app a;

    (void)state;
    open_app(&a, 8, 60000);
    first_call(&a, OK);
    start(&a);
    http_call_cancel(a.call);
    a.call = NULL;
    peer_expect_end(&a.loop, &a.peer);
    assert_int_equal(http_pool_count(a.pool), 0);
    assert_int_equal(a.ends, 0);
    close_app(&a);
}

/* A call that was paused when it ended leaves no deaf connection. */
static void test_paused(void **state) {
    struct app a;

    (void)state;
    open_app(&a, 8, 60000);
    a.pause = true;
    first_call(&a, OK);
    assert_int_equal(http_pool_count(a.pool), 1);
    start(&a);
    take_request(&a);
    answer(&a, OK);
    assert_false(is_called(&a));
    close_app(&a);
}

/* Take the request that came by TLS and answer it. */
static void answer_sealed(struct app *a, struct tls_peer *tls) {
    uint64_t until = clock_ms() + PEER_PATIENCE_MS;
    struct bytes heard = {0};
    bool answered = false;

    while (!a->ends && clock_ms() < until) {
        struct bytes out;

        peer_step(&a->loop, &a->peer);
        tls_peer_feed(tls, span_bytes(&a->peer.got), &heard);
        a->peer.got.size = 0;
        if (!answered &&
            span_find(span_bytes(&heard), span_of("\r\n\r\n{}")) != SIZE_MAX) {
            answered = true;
            (void)SSL_write(tls->ssl, OK, (int)strlen(OK));
        }
        out = tls_peer_output(tls);
        peer_send(&a->loop, &a->peer, span_bytes(&out));
        bytes_free(&out);
        peer_nap();
    }
    end_with(a, ERR_NONE);
    assert_true(span_is(span_bytes(&a->body), "hi"));
    bytes_free(&heard);
}

static void test_sealed(void **state) {
    struct tls_identity id = tls_identity_new("IP:127.0.0.1", 30);
    struct tls_peer tls = tls_peer_new(&id);
    struct err err;
    struct app a;

    (void)state;
    open_app(&a, 8, 60000);
    a.trust = tls_context_open(id.ca_file, &err);
    assert_non_null(a.trust);
    start(&a);
    accept_call(&a);
    answer_sealed(&a, &tls);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(http_pool_count(a.pool), 1);
        start(&a);
        answer_sealed(&a, &tls);
    }
    assert_false(is_called(&a));
    /* A goodbye by TLS is one. */
    (void)SSL_shutdown(tls.ssl);
    {
        struct bytes out = tls_peer_output(&tls);

        peer_send(&a.loop, &a.peer, span_bytes(&out));
        bytes_free(&out);
    }
    waits_no_more(&a);
    close_app(&a);
    tls_peer_free(&tls);
    tls_identity_free(&id);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_follow),    cmocka_unit_test(test_lasts_one),
        cmocka_unit_test(test_in_doubt),  cmocka_unit_test(test_waiting),
        cmocka_unit_test(test_bounded),   cmocka_unit_test(test_place),
        cmocka_unit_test(test_once_more), cmocka_unit_test(test_not_once_more),
        cmocka_unit_test(test_cancel),    cmocka_unit_test(test_paused),
        cmocka_unit_test(test_sealed)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
