/* test_fetch.c - what tools ask of the network: nothing inside is reached by
 * whatever way, nothing endless is waited for, nothing of ours leaks. */
#include "tests/unit/page_server.h"

#include "tools/fetch.h"

enum { BODY_MAX = 100000 };

struct app {
    uv_loop_t loop;
    struct page_server server;
    struct fetcher *fetcher;
    struct fetch *fetch;
    char url[128];
    bool refuse_head;
    bool cancel_in_head, cancel_in_body;
    int heads, ends;
    int status;
    char type[64];
    char last_url[256];
    char redirect[256];
    struct bytes body;
    struct err err;
};

static bool on_head(void *user, const struct fetch *f, struct err *err) {
    struct app *a = user;
    const char *type = fetch_response_header(f, "content-type");

    a->heads++;
    (void)snprintf(a->type, sizeof a->type, "%s", type ? type : "");
    if (a->cancel_in_head) fetch_cancel(a->fetch);
    if (a->refuse_head) return err_set(err, ERR_INPUT, "not this type");
    return true;
}

static bool on_body(void *user, struct span part, struct err *err) {
    struct app *a = user;

    assert_int_equal(a->heads, 1);
    if (a->cancel_in_body) fetch_cancel(a->fetch);
    return bytes_append(&a->body, part.at, part.size, err);
}

static void on_end(void *user, const struct fetch *f, const struct err *err) {
    struct app *a = user;
    const char *redirect = fetch_redirect(f);

    a->ends++;
    a->status = fetch_status(f);
    (void)snprintf(a->last_url, sizeof a->last_url, "%s", fetch_url(f));
    (void)snprintf(a->redirect, sizeof a->redirect, "%s",
                   redirect ? redirect : "");
    a->err = err ? *err : (struct err){0};
}

static void open_app(struct app *a) {
    memset(a, 0, sizeof *a);
    a->body.limit = BODY_MAX;
    assert_int_equal(uv_loop_init(&a->loop), 0);
    page_server_open(&a->server, &a->loop);
}

static void open_fetcher(struct app *a, const char *inner_host,
                         const char *resolve) {
    const struct fetcher_options o = {.inner_hosts = &inner_host,
                                      .inner_host_count = inner_host != NULL,
                                      .resolve = resolve};
    struct err err = {0};

    a->fetcher = fetcher_open(&a->loop, &o, &err);
    assert_non_null(a->fetcher);
}

static void close_app(struct app *a) {
    fetcher_close(a->fetcher);
    page_server_close(&a->server);
    assert_int_equal(uv_run(&a->loop, UV_RUN_DEFAULT), 0);
    assert_int_equal(a->server.open, 0);
    assert_int_equal(uv_loop_close(&a->loop), 0);
    bytes_free(&a->body);
}

static const struct fetch_events events = {
    .on_head = on_head, .on_body = on_body, .on_end = on_end};

static bool try_start(struct app *a, struct fetch_options o, struct err *err) {
    struct fetch_events mine = events;

    mine.user = a;
    a->heads = a->ends = 0;
    a->body.size = 0;
    o.url = a->url;
    a->fetch = fetch_start(a->fetcher, &o, &mine, err);
    assert_int_equal(a->ends, 0);
    return a->fetch != NULL;
}

static void start(struct app *a, struct fetch_options o) {
    struct err err = {0};

    if (!try_start(a, o, &err)) fail_msg("%s: %s", a->url, err.text);
}

static void get(struct app *a, struct fetch_options o, const char *host,
                const char *path) {
    (void)snprintf(a->url, sizeof a->url, "http://%s:%d%s", host,
                   a->server.port, path);
    start(a, o);
    peer_until(&a->loop, NULL, &a->ends, 1);
}

#define PLAIN                                                                  \
    "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\n" \
    "hello"

static void test_get(void **state) {
    struct app a;

    (void)state;
    open_app(&a);
    open_fetcher(&a, "127.0.0.1", NULL);
    page_put(&a.server, "/a", PLAIN);
    get(&a, (struct fetch_options){0}, "127.0.0.1", "/a?q=1");
    assert_int_equal(a.err.code, ERR_NONE);
    assert_int_equal(a.status, 200);
    assert_string_equal(a.type, "text/plain");
    assert_true(span_is(span_bytes(&a.body), "hello"));
    assert_non_null(strstr(a.server.request.at, "GET /a?q=1 HTTP/1.1\r\n"));
    get(&a, (struct fetch_options){0}, "127.0.0.1", "/none");
    assert_int_equal(a.err.code, ERR_NONE);
    assert_int_equal(a.status, 404);
    assert_int_equal(a.heads, 1);
    close_app(&a);
}

static void test_post(void **state) {
    static const struct fetch_header headers[] = {{"X-One", "1"},
                                                  {"X-None", ""}};
    struct app a;

    (void)state;
    open_app(&a);
    open_fetcher(&a, "127.0.0.1", NULL);
    page_put(&a.server, "/p", PLAIN);
    get(&a,
        (struct fetch_options){
            .headers = headers, .header_count = 2, .body = span_of("{}")},
        "127.0.0.1", "/p");
    assert_int_equal(a.status, 200);
    assert_non_null(strstr(a.server.request.at, "POST /p HTTP/1.1\r\n"));
    assert_non_null(strstr(a.server.request.at, "X-One: 1\r\n"));
    assert_non_null(strstr(a.server.request.at, "X-None:\r\n"));
    assert_non_null(strstr(a.server.request.at, "\r\n\r\n{}"));
    get(&a, (struct fetch_options){.method = "DELETE"}, "127.0.0.1", "/p");
    assert_non_null(strstr(a.server.request.at, "DELETE /p HTTP/1.1\r\n"));
    close_app(&a);
}

static void check_url(struct app *a, const char *url, const char *reason) {
    const struct fetch_options o = {.url = url};
    struct err err = {0};

    assert_null(fetch_start(a->fetcher, &o, &events, &err));
    assert_int_equal(err.code, ERR_INPUT);
    if (!strstr(err.text, reason)) fail_msg("%s: %s", url, err.text);
}

static void test_urls(void **state) {
    char *long_url = xalloc(FETCH_URL_MAX + 32);
    struct app a;

    (void)state;
    open_app(&a);
    open_fetcher(&a, NULL, NULL);
    check_url(&a, "file:///etc/passwd", "not an http");
    check_url(&a, "gopher://example.org/", "not an http");
    check_url(&a, "javascript:alert(1)", "not an http");
    check_url(&a, "", "not an http");
    check_url(&a, "http://", "not an http");
    check_url(&a, "http://exa mple.org/", "not an http");
    check_url(&a, "http://user@example.org/", "user name");
    check_url(&a, "http://user:secret@example.org/", "user name");
    memset(long_url, 'a', FETCH_URL_MAX + 8);
    memcpy(long_url, "http://", 7);
    check_url(&a, long_url, "not an http");
    free(long_url);
    close_app(&a);
}

static void test_header_injection(void **state) {
    static const struct fetch_header bad[] = {{"X", "1\r\nHost: evil"}};
    const struct fetch_options o = {
        .url = "http://example.org/", .headers = bad, .header_count = 1};
    struct app a;
    struct err err = {0};

    (void)state;
    open_app(&a);
    open_fetcher(&a, NULL, NULL);
    assert_null(fetch_start(a.fetcher, &o, &events, &err));
    assert_int_equal(err.code, ERR_INPUT);
    close_app(&a);
}

/* However the address is written, nothing is sent to it. */
static void test_inner_addresses(void **state) {
    /* Whether a resolver takes these for addresses is its own affair. */
    static const char *const odd[] = {
        "127.0.0.1.", "%31%32%37.0.0.1",
        "\xef\xbc\x91\xef\xbc\x92\xef\xbc\x97.0.0.1" /* wide digits */,
        "\xe2\x91\xa0.0.0.1", "127.0.0.1%00.example"};
    static const char *const hosts[] = {"127.0.0.1",
                                        "127.1",
                                        "2130706433",
                                        "0x7f000001",
                                        "0177.0.0.1",
                                        "localhost",
                                        "0.0.0.0",
                                        "[::1]",
                                        "[::ffff:127.0.0.1]",
                                        "169.254.169.254",
                                        "[fd00:ec2::254]",
                                        "10.0.0.1",
                                        "192.168.1.1",
                                        "[64:ff9b::7f00:1]",
                                        "[::ffff:7f00:1]",
                                        "[0:0:0:0:0:ffff:a9fe:a9fe]",
                                        "2852039166",
                                        "0xa9fea9fe",
                                        "0251.0376.0251.0376",
                                        "169.16689662"};
    struct app a;

    (void)state;
    open_app(&a);
    open_fetcher(&a, "allowed.example", NULL);
    page_put(&a.server, "/", PLAIN);
    for (size_t i = 0; i < sizeof hosts / sizeof *hosts; i++) {
        get(&a, (struct fetch_options){.timeout_ms = 15000}, hosts[i], "/");
        if (a.err.code != ERR_DENIED)
            fail_msg("%s: %d %s", hosts[i], (int)a.err.code, a.err.text);
        assert_non_null(strstr(a.err.text, "closed to tools"));
    }
    for (size_t i = 0; i < sizeof odd / sizeof *odd; i++) {
        struct err err = {0};

        (void)snprintf(a.url, sizeof a.url, "http://%s:%d/", odd[i],
                       a.server.port);
        if (!try_start(&a, (struct fetch_options){.timeout_ms = 15000}, &err))
            continue;
        peer_until(&a.loop, NULL, &a.ends, 1);
        assert_int_not_equal(a.err.code, ERR_NONE);
    }
    assert_int_equal(a.server.requests, 0);
    close_app(&a);
}

/* A name whose answer is an inner address is caught at the socket; the same
 * name is let through where the operator named it, and only there. */
static void test_rebinding(void **state) {
    char resolve[128];
    struct app a;

    (void)state;
    open_app(&a);
    (void)snprintf(resolve, sizeof resolve, "rebind.example:%d:127.0.0.1",
                   a.server.port);
    open_fetcher(&a, "other.example", resolve);
    page_put(&a.server, "/", PLAIN);
    get(&a, (struct fetch_options){0}, "rebind.example", "/");
    assert_int_equal(a.err.code, ERR_DENIED);
    assert_int_equal(a.server.requests, 0);
    fetcher_close(a.fetcher);
    open_fetcher(&a, "rebind.example", resolve);
    get(&a, (struct fetch_options){0}, "REBIND.example", "/");
    assert_int_equal(a.err.code, ERR_NONE);
    assert_int_equal(a.server.requests, 1);
    fetcher_close(a.fetcher);
    open_fetcher(&a, "rebind.example:1", resolve); /* another port */
    get(&a, (struct fetch_options){0}, "rebind.example", "/");
    assert_int_equal(a.err.code, ERR_DENIED);
    close_app(&a);
}

static void test_redirect(void **state) {
    static const char *const inner[] = {
        "169.254.169.254", "2852039166", "[::ffff:169.254.169.254]",
        "0xa9fea9fe",      "127.0.0.1",  "localhost"};
    static const struct fetch_header key[] = {{"X-Key", "secret"}};
    const struct fetch_options o = {
        .headers = key, .header_count = 1, .redirects = 3, .other_host = true};
    struct fetch_options same = o;
    char to_inner[160], resolve[128];
    struct app a;

    (void)state;
    same.other_host = false;
    open_app(&a);
    (void)snprintf(resolve, sizeof resolve, "named.example:%d:127.0.0.1",
                   a.server.port);
    (void)snprintf(to_inner, sizeof to_inner,
                   "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:%d/end"
                   "\r\nContent-Length: 5\r\n\r\nmoved",
                   a.server.port);
    open_fetcher(&a, "named.example", resolve);
    page_put(&a.server, "/here",
             "HTTP/1.1 301 Moved\r\nLocation: /end\r\nContent-Length: 5\r\n\r\n"
             "moved");
    page_put(&a.server, "/loop",
             "HTTP/1.1 302 Found\r\nLocation: /loop\r\nContent-Length: 0\r\n"
             "\r\n");
    page_put(&a.server, "/file",
             "HTTP/1.1 302 Found\r\nLocation: file:///etc/passwd\r\n"
             "Content-Length: 0\r\n\r\n");
    page_put(&a.server, "/inner", to_inner);
    page_put(&a.server, "/end", PLAIN);

    get(&a, o, "named.example", "/here");
    assert_int_equal(a.err.code, ERR_NONE);
    assert_true(span_is(span_bytes(&a.body), "hello"));
    assert_non_null(strstr(a.last_url, "/end"));
    assert_non_null(strstr(a.server.request.at, "X-Key: secret"));

    /* To an inner address: refused where redirects are followed, told where
     * only the same host is followed. */
    get(&a, o, "named.example", "/inner");
    assert_int_equal(a.err.code, ERR_DENIED);
    get(&a, same, "named.example", "/inner");
    assert_int_equal(a.err.code, ERR_NONE);
    assert_int_equal(a.status, 302);
    assert_non_null(strstr(a.redirect, "http://127.0.0.1:"));

    /* However the next address is written. */
    for (size_t i = 0; i < sizeof inner / sizeof *inner; i++) {
        char away[160];

        (void)snprintf(away, sizeof away,
                       "HTTP/1.1 307 Moved\r\nLocation: http://%s/latest/\r\n"
                       "Content-Length: 0\r\n\r\n",
                       inner[i]);
        page_put(&a.server, "/away", away);
        get(&a, o, "named.example", "/away");
        if (a.err.code != ERR_DENIED)
            fail_msg("%s: %d %s", inner[i], (int)a.err.code, a.err.text);
    }

    get(&a, o, "named.example", "/file");
    assert_int_equal(a.status, 302);
    assert_true(a.body.size == 0);
    a.server.requests = 0;
    get(&a, o, "named.example", "/loop");
    assert_int_equal(a.status, 302);
    assert_int_equal(a.server.requests, 4);
    close_app(&a);
}

/* What was sent for one host alone does not go to the next. */
static void test_redirect_keeps_secrets(void **state) {
    static const struct fetch_header key[] = {{"Authorization", "secret"}};
    const struct fetch_options o = {
        .headers = key, .header_count = 1, .redirects = 1, .other_host = true};
    const char *hosts[] = {"one.example", "127.0.0.1"};
    struct fetcher_options options = {.inner_hosts = hosts,
                                      .inner_host_count = 2};
    char resolve[128], away[160];
    struct app a;

    (void)state;
    open_app(&a);
    (void)snprintf(resolve, sizeof resolve, "one.example:%d:127.0.0.1",
                   a.server.port);
    (void)snprintf(away, sizeof away,
                   "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:%d/end"
                   "\r\nContent-Length: 0\r\n\r\n",
                   a.server.port);
    options.resolve = resolve;
    a.fetcher = fetcher_open(&a.loop, &options, NULL);
    page_put(&a.server, "/away", away);
    page_put(&a.server, "/end", PLAIN);
    get(&a, o, "one.example", "/away");
    assert_int_equal(a.status, 200);
    assert_non_null(strstr(a.server.request.at, "GET /end"));
    assert_null(strstr(a.server.request.at, "secret"));
    close_app(&a);
}

static void test_endless(void **state) {
    static char page[8192];
    struct app a;
    int head;

    (void)state;
    open_app(&a);
    open_fetcher(&a, "127.0.0.1", NULL);
    memset(page, 'x', sizeof page);
    head = snprintf(page, sizeof page, "HTTP/1.1 200 OK\r\n\r\n");
    page[head] = 'x';
    page_add(&a.server, "/", (struct span){page, sizeof page}, PAGE_AGAIN);
    get(&a, (struct fetch_options){0}, "127.0.0.1", "/");
    assert_int_equal(a.err.code, ERR_LIMIT);
    assert_true(a.body.size <= BODY_MAX);
    close_app(&a);
}

static void test_endless_head(void **state) {
    static char page[100000];
    struct app a;
    size_t size = 0;

    (void)state;
    open_app(&a);
    open_fetcher(&a, "127.0.0.1", NULL);
    size += (size_t)snprintf(page, sizeof page, "HTTP/1.1 200 OK\r\n");
    while (size + 64 < sizeof page)
        size += (size_t)snprintf(page + size, 64, "X-Filler: %040d\r\n", 7);
    page_add(&a.server, "/", (struct span){page, size}, PAGE_SILENCE);
    get(&a, (struct fetch_options){0}, "127.0.0.1", "/");
    assert_int_equal(a.err.code, ERR_LIMIT);
    assert_int_equal(a.heads, 0);
    close_app(&a);
}

static void test_silence(void **state) {
    struct app a;

    (void)state;
    open_app(&a);
    open_fetcher(&a, "127.0.0.1", NULL);
    page_add(&a.server, "/", span_of("HTTP/1.1 200 OK\r\n\r\nsome"),
             PAGE_SILENCE);
    get(&a, (struct fetch_options){.timeout_ms = 50}, "127.0.0.1", "/");
    assert_int_equal(a.err.code, ERR_TIMEOUT);
    close_app(&a);
}

/* 10 MB of nothing in 10 kB. */
static void test_gzip_bomb(void **state) {
    struct bytes page = {0};
    FILE *pipe = popen("head -c 10000000 /dev/zero | gzip -9", "r");
    char part[4096];
    size_t n;
    struct app a;

    (void)state;
    assert_non_null(pipe);
    bytes_puts(&page, "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n");
    while ((n = fread(part, 1, sizeof part, pipe)) > 0)
        bytes_put(&page, (struct span){part, n});
    assert_int_equal(pclose(pipe), 0);
    assert_true(page.size < 20000);
    open_app(&a);
    open_fetcher(&a, "127.0.0.1", NULL);
    page_add(&a.server, "/", span_bytes(&page), PAGE_CLOSE);
    get(&a, (struct fetch_options){0}, "127.0.0.1", "/");
    assert_int_equal(a.err.code, ERR_LIMIT);
    assert_true(a.body.size <= BODY_MAX);
    close_app(&a);
    bytes_free(&page);
}

static void test_refused_head(void **state) {
    struct app a;

    (void)state;
    open_app(&a);
    open_fetcher(&a, "127.0.0.1", NULL);
    page_put(&a.server, "/", PLAIN);
    a.refuse_head = true;
    get(&a, (struct fetch_options){0}, "127.0.0.1", "/");
    assert_int_equal(a.err.code, ERR_INPUT);
    assert_string_equal(a.err.text, "not this type");
    assert_true(a.body.size == 0);
    close_app(&a);
}

/* Not reached, broken off, not HTTP. */
static void test_broken(void **state) {
    struct app a;

    (void)state;
    open_app(&a);
    open_fetcher(&a, "127.0.0.1", "gone.example:80:127.0.0.1");
    page_put(&a.server, "/short",
             "HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhello");
    page_put(&a.server, "/garbage", "hello, I am no web server\r\n\r\n");
    get(&a, (struct fetch_options){0}, "127.0.0.1", "/short");
    assert_int_equal(a.err.code, ERR_IO);
    get(&a, (struct fetch_options){0}, "127.0.0.1", "/garbage");
    assert_int_equal(a.err.code, ERR_IO);
    (void)snprintf(a.url, sizeof a.url, "http://127.0.0.1:1/");
    start(&a, (struct fetch_options){0});
    peer_until(&a.loop, NULL, &a.ends, 1);
    assert_int_equal(a.err.code, ERR_UNAVAILABLE);
    close_app(&a);
}

/* Wherever it is cancelled, nothing is heard of it any more. */
static void test_cancel(void **state) {
    struct app a;

    (void)state;
    open_app(&a);
    open_fetcher(&a, "127.0.0.1", NULL);
    page_put(&a.server, "/", PLAIN);
    (void)snprintf(a.url, sizeof a.url, "http://127.0.0.1:%d/", a.server.port);
    start(&a, (struct fetch_options){0});
    fetch_cancel(a.fetch);
    for (int i = 0; i < 2; i++) {
        start(&a, (struct fetch_options){0});
        a.cancel_in_head = i == 0;
        a.cancel_in_body = i == 1;
        peer_until(&a.loop, NULL, &a.heads, 1);
        a.cancel_in_head = a.cancel_in_body = false;
        (void)uv_run(&a.loop, UV_RUN_NOWAIT);
        assert_int_equal(a.ends, 0);
    }
    start(&a, (struct fetch_options){0});
    close_app(&a); /* with one under way */
    assert_int_equal(a.ends, 0);
}

static void test_escape(void **state) {
    struct bytes b = {.limit = 40};

    (void)state;
    assert_true(
        fetch_escape(&b, (struct span){"a/b?c&d=\0\xc3\xa9 ~", 13}, NULL));
    assert_true(span_is(span_bytes(&b), "a%2Fb%3Fc%26d%3D%00%C3%A9%20~"));
    assert_false(fetch_escape(&b, span_of("/////"), NULL));
    bytes_free(&b);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_get),
        cmocka_unit_test(test_post),
        cmocka_unit_test(test_urls),
        cmocka_unit_test(test_header_injection),
        cmocka_unit_test(test_inner_addresses),
        cmocka_unit_test(test_rebinding),
        cmocka_unit_test(test_redirect),
        cmocka_unit_test(test_redirect_keeps_secrets),
        cmocka_unit_test(test_endless),
        cmocka_unit_test(test_endless_head),
        cmocka_unit_test(test_silence),
        cmocka_unit_test(test_gzip_bomb),
        cmocka_unit_test(test_refused_head),
        cmocka_unit_test(test_broken),
        cmocka_unit_test(test_cancel),
        cmocka_unit_test(test_escape),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
