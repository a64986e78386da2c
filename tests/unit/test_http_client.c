/* test_http_client.c - one request to an upstream that may be slow, broken,
 * hostile or not there at all. */
#include "tests/unit/peer.h"
#include "tests/unit/tls_peer.h"

#include "proxy/http_client.h"

struct app {
    uv_loop_t loop;
    int listener;
    int port;
    struct peer peer; /* the upstream's end */
    struct http_call *call;
    int heads;
    int status;
    int parts;
    int ends;
    bool cancel_in_head;
    bool pause_in_body;
    char type[64];
    struct bytes body;
    enum err_code code;
    struct err err;
};

static void on_head(void *user, int status, const struct http_header *headers,
                    int header_count) {
    struct app *a = user;
    struct span type = http_header_find(headers, header_count, "content-type");

    a->heads++;
    a->status = status;
    (void)snprintf(a->type, sizeof a->type, "%.*s", (int)type.size,
                   type.at ? type.at : "");
    if (a->cancel_in_head) http_call_cancel(a->call);
}

static void on_body(void *user, struct span part) {
    struct app *a = user;

    assert_true(part.size > 0);
    assert_int_equal(a->heads, 1);
    a->parts++;
    bytes_put(&a->body, part);
    if (a->pause_in_body) http_call_pause(a->call);
}

static void on_end(void *user, const struct err *err) {
    struct app *a = user;

    a->ends++;
    a->code = err ? err->code : ERR_NONE;
    if (err) a->err = *err;
    a->call = NULL;
}

static void open_app(struct app *a) {
    struct sockaddr_in at = {.sin_family = AF_INET,
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof at;

    (void)signal(SIGPIPE, SIG_IGN); /* as main() does */
    memset(a, 0, sizeof *a);
    a->peer.fd = -1;
    assert_int_equal(uv_loop_init(&a->loop), 0);
    a->listener = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(a->listener, (struct sockaddr *)&at, size), 0);
    assert_int_equal(listen(a->listener, 8), 0);
    assert_int_equal(getsockname(a->listener, (struct sockaddr *)&at, &size),
                     0);
    a->port = ntohs(at.sin_port);
}

static void close_app(struct app *a) {
    http_call_cancel(a->call);
    assert_int_equal(uv_run(&a->loop, UV_RUN_DEFAULT), 0);
    assert_int_equal(uv_loop_close(&a->loop), 0);
    peer_close(&a->peer);
    if (a->listener >= 0) (void)close(a->listener);
    bytes_free(&a->body);
}

static const struct http_call_options defaults = {
    .host = "127.0.0.1", .method = "POST", .path = "/v1/x", .body = {"{}", 2}};

static void start(struct app *a, struct http_call_options o) {
    const struct http_call_events events = {on_head, on_body, on_end, a};
    struct err err;

    o.port = a->port;
    a->call = http_call_start(&a->loop, &o, &events, &err);
    if (!a->call) fail_msg("%s", err.text);
    assert_int_equal(a->ends, 0);
}

/* The upstream takes the call and has read the whole request. */
static void take_call(struct app *a) {
    uint64_t until = clock_ms() + PEER_PATIENCE_MS;
    struct pollfd p = {.fd = a->listener, .events = POLLIN};

    while (poll(&p, 1, 1) == 0) {
        assert_true(clock_ms() < until);
        (void)uv_run(&a->loop, UV_RUN_NOWAIT);
    }
    a->peer = (struct peer){.fd = accept(a->listener, NULL, NULL)};
    assert_true(a->peer.fd >= 0);
    peer_expect(&a->loop, &a->peer, "\r\n\r\n{}");
}

static void reply(struct app *a, const char *text) {
    peer_say(&a->loop, &a->peer, text);
}

static void hang_up(struct app *a) {
    (void)shutdown(a->peer.fd, SHUT_WR);
}

static void end_with(struct app *a, enum err_code code) {
    peer_until(&a->loop, NULL, &a->ends, 1);
    if (a->code != code)
        fail_msg("%s (%s)", err_code_name(a->code), a->err.text);
    assert_null(a->call);
}

static void test_request(void **state) {
    const struct http_header key = {span_of("authorization"),
                                    span_of("Bearer k\r\nX-Forged: 1")};
    struct http_call_options o = defaults;
    char host[64];
    struct app a;

    (void)state;
    open_app(&a);
    o.headers = &key;
    o.header_count = 1;
    start(&a, o);
    take_call(&a);
    assert_true(span_starts(span_bytes(&a.peer.got),
                            span_of("POST /v1/x HTTP/1.1\r\n")));
    (void)snprintf(host, sizeof host, "\r\nhost: 127.0.0.1:%d\r\n", a.port);
    peer_expect(&a.loop, &a.peer, host);
    peer_expect(&a.loop, &a.peer, "\r\ncontent-length: 2\r\n");
    peer_expect(&a.loop, &a.peer, "\r\naccept-encoding: identity\r\n");
    peer_expect(&a.loop, &a.peer,
                "\r\nauthorization: Bearer k??X-Forged: 1\r\n");
    reply(&a, "HTTP/1.1 200 OK\r\nContent-Type: a/b\r\nContent-Length: 5\r\n"
              "\r\nhello");
    end_with(&a, ERR_NONE);
    assert_int_equal(a.status, 200);
    assert_string_equal(a.type, "a/b");
    assert_true(span_is(span_bytes(&a.body), "hello"));
    close_app(&a);
}

static void test_every_cut(void **state) {
    static const char text[] = "HTTP/1.1 200 OK\r\nContent-Type: a/b\r\n"
                               "Transfer-Encoding: chunked\r\n\r\n"
                               "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n";

    (void)state;
    for (size_t cut = 1; cut < sizeof text - 1; cut++) {
        struct app a;

        open_app(&a);
        start(&a, defaults);
        take_call(&a);
        peer_send(&a.loop, &a.peer, (struct span){text, cut});
        peer_step(&a.loop, NULL);
        peer_step(&a.loop, NULL);
        assert_int_equal(a.ends, 0);
        reply(&a, text + cut);
        end_with(&a, ERR_NONE);
        assert_int_equal(a.heads, 1);
        assert_true(span_is(span_bytes(&a.body), "abcde"));
        close_app(&a);
    }
}

static void test_by_name(void **state) {
    struct http_call_options o = defaults;
    struct app a;

    (void)state;
    open_app(&a);
    o.host = "localhost"; /* may be ::1 first, where nobody listens */
    start(&a, o);
    take_call(&a);
    reply(&a, "HTTP/1.0 404 Not Found\r\n\r\nno");
    hang_up(&a);
    end_with(&a, ERR_NONE);
    assert_int_equal(a.status, 404);
    assert_true(span_is(span_bytes(&a.body), "no"));
    close_app(&a);
}

static void check_broken(const char *text, enum err_code code, int heads) {
    struct http_call_options o = defaults;
    struct app a;

    open_app(&a);
    o.header_bytes_max = 200;
    o.body_bytes_max = 20;
    start(&a, o);
    take_call(&a);
    reply(&a, text);
    hang_up(&a);
    end_with(&a, code);
    assert_int_equal(a.heads, heads);
    assert_true(a.err.text[0] != '\0');
    close_app(&a);
}

static void test_broken(void **state) {
    struct bytes text = {0};

    (void)state;
    check_broken("", ERR_IO, 0);
    check_broken("SSH-2.0-x\r\n", ERR_IO, 0);
    check_broken("HTTP/1.1 200 OK\r\nContent-Le", ERR_IO, 0);
    check_broken("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell", ERR_IO, 1);
    check_broken("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                 "2\r\nhi\r\n",
                 ERR_IO, 1);
    check_broken("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                 "zz\r\n",
                 ERR_IO, 1);
    check_broken("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\nxx",
                 ERR_UNSUPPORTED, 0);
    check_broken("HTTP/1.1 200 OK\r\n\r\n0123456789012345678901", ERR_LIMIT, 1);
    check_broken("HTTP/1.1 200 OK\r\nContent-Length: 21\r\n\r\n", ERR_LIMIT, 0);
    bytes_puts(&text, "HTTP/1.1 200 OK\r\nX: ");
    for (int i = 0; i < 30; i++) bytes_puts(&text, "0123456789");
    bytes_put(&text, (struct span){"", 1});
    check_broken(text.at, ERR_LIMIT, 0);
    bytes_free(&text);
}

static void test_nobody_there(void **state) {
    struct app a;

    (void)state;
    open_app(&a);
    (void)close(a.listener);
    a.listener = -1;
    start(&a, defaults);
    end_with(&a, ERR_UNAVAILABLE);
    assert_int_equal(a.heads, 0);
    close_app(&a);
}

static void test_no_such_name(void **state) {
    struct http_call_options o = defaults;
    struct app a;

    (void)state;
    open_app(&a);
    o.host = "no..such..name"; /* no resolver is asked about this */
    start(&a, o);
    end_with(&a, ERR_UNAVAILABLE);
    close_app(&a);
}

static void test_timeouts(void **state) {
    struct http_call_options o = defaults;
    struct app a;

    (void)state;
    o.first_byte_ms = 30;
    open_app(&a);
    start(&a, o);
    take_call(&a);
    end_with(&a, ERR_TIMEOUT);
    assert_int_equal(a.heads, 0);
    close_app(&a);

    /* A head that drips in does not win time. */
    open_app(&a);
    start(&a, o);
    take_call(&a);
    reply(&a, "HTTP/1.1 200 OK\r\nX: ");
    for (uint64_t until = clock_ms() + PEER_PATIENCE_MS;
         !a.ends && clock_ms() < until; peer_nap()) {
        (void)send(a.peer.fd, "a", 1, MSG_DONTWAIT | MSG_NOSIGNAL);
        peer_step(&a.loop, NULL);
    }
    end_with(&a, ERR_TIMEOUT);
    close_app(&a);

    o.first_byte_ms = 0;
    o.idle_ms = 30;
    open_app(&a);
    start(&a, o);
    take_call(&a);
    reply(&a, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhe");
    end_with(&a, ERR_TIMEOUT);
    assert_int_equal(a.heads, 1);
    assert_true(span_is(span_bytes(&a.body), "he"));
    close_app(&a);
}

/* A listener whose queue is full answers no SYN: a connect that hangs. */
static void test_connect_timeout(void **state) {
    struct http_call_options o = defaults;
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct app a;
    int fillers[4];

    (void)state;
    open_app(&a);
    to.sin_port = htons((uint16_t)a.port);
    assert_int_equal(listen(a.listener, 0), 0);
    for (int i = 0; i < 4; i++) {
        fillers[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        (void)connect(fillers[i], (struct sockaddr *)&to, sizeof to);
    }
    o.connect_ms = 30;
    start(&a, o);
    end_with(&a, ERR_UNAVAILABLE);
    assert_int_equal(a.heads, 0);
    for (int i = 0; i < 4; i++) (void)close(fillers[i]);
    close_app(&a);
}

static void test_cancel(void **state) {
    struct app a;

    (void)state;
    open_app(&a); /* before it is connected */
    start(&a, defaults);
    http_call_cancel(a.call);
    a.call = NULL;
    close_app(&a);
    assert_int_equal(a.ends, 0);

    open_app(&a); /* while it looks up a name */
    {
        struct http_call_options o = defaults;

        o.host = "localhost";
        start(&a, o);
    }
    http_call_cancel(a.call);
    a.call = NULL;
    close_app(&a);
    assert_int_equal(a.ends, 0);

    open_app(&a); /* while it waits: the upstream is told */
    start(&a, defaults);
    take_call(&a);
    http_call_cancel(a.call);
    a.call = NULL;
    peer_expect_end(&a.loop, &a.peer);
    close_app(&a);
    assert_int_equal(a.ends, 0);

    open_app(&a); /* from within a callback */
    a.cancel_in_head = true;
    start(&a, defaults);
    take_call(&a);
    reply(&a, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi");
    peer_until(&a.loop, NULL, &a.heads, 1);
    a.call = NULL;
    peer_expect_end(&a.loop, &a.peer);
    close_app(&a);
    assert_int_equal(a.ends, 0);
    assert_int_equal(a.parts, 0);
    http_call_cancel(NULL);
}

static void test_pause(void **state) {
    static const char block[1 << 16];
    struct http_call_options o = defaults;
    struct app a;

    (void)state;
    open_app(&a);
    a.pause_in_body = true;
    o.idle_ms = 20; /* must rest while we pause */
    start(&a, o);
    take_call(&a);
    reply(&a, "HTTP/1.1 200 OK\r\nContent-Length: 65536\r\n\r\n");
    peer_send(&a.loop, &a.peer, (struct span){block, sizeof block});
    peer_until(&a.loop, NULL, &a.parts, 1);
    for (int i = 0; i < 60; i++) {
        peer_step(&a.loop, NULL);
        peer_nap();
    }
    assert_int_equal(a.parts, 1);
    assert_int_equal(a.ends, 0);
    while (!a.ends) {
        int parts = a.parts;

        http_call_resume(a.call);
        assert_int_equal(a.parts, parts); /* no callback inside */
        while (a.parts == parts && !a.ends) peer_step(&a.loop, NULL);
    }
    end_with(&a, ERR_NONE);
    assert_int_equal(a.body.size, sizeof block);
    close_app(&a);
}

/* https. The upstream answers with `text`, then says goodbye as TLS wants it
 * (or not), and hangs up. */
static void check_https(const char *names, const char *text, bool goodbye,
                        enum err_code code, const char *body) {
    struct tls_identity id = tls_identity_new(names, 30);
    struct tls_peer tls = tls_peer_new(&id);
    struct http_call_options o = defaults;
    struct bytes heard = {0};
    struct tls_context *trust;
    bool answered = false;
    struct pollfd p;
    struct err err;
    struct app a;

    open_app(&a);
    o.tls = true;
    trust = tls_context_open(id.ca_file, &err);
    assert_non_null(trust);
    o.tls_context = trust;
    start(&a, o);
    p = (struct pollfd){.fd = a.listener, .events = POLLIN};
    while (poll(&p, 1, 1) == 0) (void)uv_run(&a.loop, UV_RUN_NOWAIT);
    a.peer = (struct peer){.fd = accept(a.listener, NULL, NULL)};
    for (uint64_t until = clock_ms() + PEER_PATIENCE_MS;
         !a.ends && clock_ms() < until; peer_nap()) {
        struct bytes out;

        peer_step(&a.loop, &a.peer);
        tls_peer_feed(&tls, span_bytes(&a.peer.got), &heard);
        a.peer.got.size = 0;
        if (!answered &&
            span_find(span_bytes(&heard), span_of("\r\n\r\n{}")) != SIZE_MAX) {
            answered = true;
            (void)SSL_write(tls.ssl, text, (int)strlen(text));
            if (goodbye) (void)SSL_shutdown(tls.ssl);
        }
        out = tls_peer_output(&tls);
        peer_send(&a.loop, &a.peer, span_bytes(&out));
        bytes_free(&out);
        if (answered) hang_up(&a);
    }
    end_with(&a, code);
    assert_true(span_is(span_bytes(&a.body), body));
    assert_int_equal(answered, code != ERR_UNAVAILABLE);
    close_app(&a);
    tls_context_close(trust);
    tls_peer_free(&tls);
    tls_identity_free(&id);
    bytes_free(&heard);
}

static void test_https(void **state) {
    static const char text[] = "HTTP/1.1 200 OK\r\n\r\nhello";

    (void)state;
    check_https("IP:127.0.0.1",
                "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", false,
                ERR_NONE, "hi");
    check_https("IP:127.0.0.1", text, true, ERR_NONE, "hello");
    /* Somebody on the way may have cut it here. */
    check_https("IP:127.0.0.1", text, false, ERR_IO, "hello");
    check_https("IP:127.0.0.2", text, true, ERR_UNAVAILABLE, "");
    check_https("DNS:127.0.0.1", text, true, ERR_UNAVAILABLE, "");
}

/* After a pause the clock runs again, even when nothing more comes. */
static void test_pause_then_silence(void **state) {
    struct http_call_options o = defaults;
    struct app a;

    (void)state;
    open_app(&a);
    a.pause_in_body = true;
    o.idle_ms = 20;
    start(&a, o);
    take_call(&a);
    reply(&a, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhe");
    peer_until(&a.loop, NULL, &a.parts, 1);
    http_call_resume(a.call);
    end_with(&a, ERR_TIMEOUT);
    close_app(&a);
}

static void refused(struct http_call_options o, enum err_code code) {
    const struct http_call_events events = {on_head, on_body, on_end, NULL};
    uv_loop_t loop;
    struct err err;

    assert_int_equal(uv_loop_init(&loop), 0);
    assert_null(http_call_start(&loop, &o, &events, &err));
    assert_int_equal(err.code, code);
    assert_int_equal(uv_loop_close(&loop), 0);
}

static void test_refused(void **state) {
    struct http_call_options o = defaults;

    (void)state;
    o.path = "v1";
    refused(o, ERR_INPUT);
    o.path = "/v1 HTTP/1.1";
    refused(o, ERR_INPUT);
    o.path = "/v1\r\nX: 1";
    refused(o, ERR_INPUT);
    o = defaults;
    o.host = "";
    refused(o, ERR_INPUT);
    o = defaults;
    o.tls = true; /* and nobody to trust */
    refused(o, ERR_UNSUPPORTED);
}

static void url(const char *text, const char *host, int port, const char *path,
                bool tls) {
    struct http_url u;
    struct err err;

    if (!http_url_parse(span_of(text), &u, &err)) {
        if (host) fail_msg("%s: %s", text, err.text);
        return;
    }
    if (!host) fail_msg("accepted: %s", text);
    assert_string_equal(u.host, host);
    assert_int_equal(u.port, port);
    assert_string_equal(u.path, path);
    assert_int_equal(u.tls, tls);
}

static void test_url(void **state) {
    (void)state;
    url("http://a", "a", 80, "", false);
    url("http://a/", "a", 80, "", false);
    url("https://a.b-c_d:1/v1//", "a.b-c_d", 1, "/v1", true);
    url("https://a", "a", 443, "", true);
    url("http://[::1]:8/x/y", "::1", 8, "/x/y", false);
    url("http://[::1]", "::1", 80, "", false);
    url("", NULL, 0, "", false);
    url("http://", NULL, 0, "", false);
    url("http:///x", NULL, 0, "", false);
    url("HTTP://a", NULL, 0, "", false);
    url("file:///etc/passwd", NULL, 0, "", false);
    url("http://a:0", NULL, 0, "", false);
    url("http://a:65536", NULL, 0, "", false);
    url("http://a:", NULL, 0, "", false);
    url("http://a:8x", NULL, 0, "", false);
    url("http://a:-8", NULL, 0, "", false);
    url("http://u@a", NULL, 0, "", false);
    url("http://u:p@a", NULL, 0, "", false);
    url("http://a?q", NULL, 0, "", false);
    url("http://a/?q", NULL, 0, "", false);
    url("http://a/#f", NULL, 0, "", false);
    url("http://a b/", NULL, 0, "", false);
    url("http://a/\r\nX", NULL, 0, "", false);
    url("http://[::1", NULL, 0, "", false);
    url("http://[::1]x", NULL, 0, "", false);
    url("http://a/\xc3\xa9", NULL, 0, "", false);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_request),
        cmocka_unit_test(test_every_cut),
        cmocka_unit_test(test_by_name),
        cmocka_unit_test(test_broken),
        cmocka_unit_test(test_nobody_there),
        cmocka_unit_test(test_no_such_name),
        cmocka_unit_test(test_timeouts),
        cmocka_unit_test(test_connect_timeout),
        cmocka_unit_test(test_cancel),
        cmocka_unit_test(test_pause),
        cmocka_unit_test(test_pause_then_silence),
        cmocka_unit_test(test_https),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_url),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
