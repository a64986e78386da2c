/* test_tls.c - TLS as bytes in and out: whom it trusts, and that what was cut
 * or changed on the way is noticed. */
#include "tests/unit/tls_peer.h"

#include "proxy/tls.h"

struct pair {
    struct tls_identity id;
    struct tls_context *context;
    struct tls *tls;
    struct tls_peer peer;
    struct bytes heard; /* plain text that the server got */
    struct err err;
};

static void open_pair(struct pair *p, const char *names, int days,
                      const char *host) {
    memset(p, 0, sizeof *p);
    p->id = tls_identity_new(names, days);
    p->context = tls_context_open(p->id.ca_file, &p->err);
    assert_non_null(p->context);
    p->tls = tls_new(p->context, host, &p->err);
    assert_non_null(p->tls);
    p->peer = tls_peer_new(&p->id);
}

static void close_pair(struct pair *p) {
    tls_free(p->tls);
    tls_context_close(p->context);
    tls_peer_free(&p->peer);
    tls_identity_free(&p->id);
    bytes_free(&p->heard);
}

static void to_server(struct pair *p) {
    struct bytes out = {0};

    assert_true(tls_take_output(p->tls, &out, &p->err));
    tls_peer_feed(&p->peer, span_bytes(&out), &p->heard);
    bytes_free(&out);
}

/* What the server has to say, in steps of `step` bytes. */
static bool to_client(struct pair *p, size_t step) {
    struct bytes in = tls_peer_output(&p->peer);
    bool ok = true;

    for (size_t at = 0; ok && at < in.size; at += step)
        ok = tls_feed(p->tls, span_slice(span_bytes(&in), at, at + step),
                      &p->err);
    bytes_free(&in);
    return ok;
}

static bool shake(struct pair *p, size_t step) {
    bool ok = tls_feed(p->tls, (struct span){0}, &p->err);

    for (int i = 0; ok && i < 4; i++) {
        to_server(p);
        ok = to_client(p, step);
    }
    return ok && tls_ready(p->tls);
}

static void check_text(struct pair *p, const char *want) {
    char text[256];
    size_t got, size = 0;

    do {
        assert_true(
            tls_read(p->tls, text + size, sizeof text - size, &got, &p->err));
        size += got;
    } while (got);
    assert_true(span_is((struct span){text, size}, want));
}

static void check_talk(size_t step) {
    struct pair p;

    open_pair(&p, "DNS:localhost", 30, "localhost");
    assert_false(tls_ready(p.tls));
    if (!shake(&p, step)) fail_msg("%s", p.err.text);
    assert_true(tls_write(p.tls, span_of("hello"), &p.err));
    to_server(&p);
    assert_true(span_is(span_bytes(&p.heard), "hello"));
    assert_int_equal(SSL_write(p.peer.ssl, "one", 3), 3);
    assert_int_equal(SSL_write(p.peer.ssl, "two", 3), 3);
    assert_true(to_client(&p, step));
    check_text(&p, "onetwo");
    assert_false(tls_ended(p.tls));
    check_text(&p, "");
    (void)SSL_shutdown(p.peer.ssl);
    assert_true(to_client(&p, step));
    check_text(&p, "");
    assert_true(tls_ended(p.tls));
    close_pair(&p);
}

static void test_talk(void **state) {
    (void)state;
    check_talk(SIZE_MAX / 2);
    check_talk(1);
    check_talk(7);
}

static void check_host(const char *names, int days, const char *host,
                       const char *why) {
    struct pair p;
    bool ok;

    open_pair(&p, names, days, host);
    ok = shake(&p, 4096);
    if (why) {
        assert_false(ok);
        assert_false(tls_ready(p.tls));
        assert_int_equal(p.err.code, ERR_UNAVAILABLE);
        if (!strstr(p.err.text, why)) fail_msg("%s", p.err.text);
    } else if (!ok) {
        fail_msg("%s: %s", host, p.err.text);
    }
    assert_int_equal(p.heard.size, 0);
    close_pair(&p);
}

static void test_host(void **state) {
    (void)state;
    check_host("DNS:a.example", 30, "a.example", NULL);
    check_host("DNS:a.example", 30, "A.Example", NULL);
    check_host("DNS:*.example.org", 30, "b.example.org", NULL);
    check_host("IP:127.0.0.1", 30, "127.0.0.1", NULL);
    check_host("IP:::1", 30, "::1", NULL);
    check_host("DNS:a.example", 30, "b.example", "ostname mismatch");
    check_host("DNS:*.example.org", 30, "c.b.example.org", "ostname mismatch");
    check_host("DNS:127.0.0.1", 30, "127.0.0.1", "IP address mismatch");
    check_host("IP:127.0.0.1", 30, "127.0.0.2", "IP address mismatch");
    check_host("DNS:a.example", -1, "a.example", "expired");
}

static void test_trust(void **state) {
    struct tls_identity other = tls_identity_new("DNS:a.example", 30);
    struct pair p;
    struct err err;

    (void)state;
    open_pair(&p, "DNS:a.example", 30, "a.example");
    tls_peer_free(&p.peer);
    p.peer = tls_peer_new(&other); /* same name, another signer */
    assert_false(shake(&p, 4096));
    assert_int_equal(p.err.code, ERR_UNAVAILABLE);
    close_pair(&p);
    tls_identity_free(&other);
    assert_null(tls_context_open("/nonexistent/ca.pem", &err));
    assert_int_equal(err.code, ERR_INPUT);
    tls_context_close(tls_context_open(NULL, &err));
}

static void test_not_tls(void **state) {
    struct pair p;

    (void)state;
    open_pair(&p, "DNS:a", 30, "a");
    assert_true(tls_feed(p.tls, (struct span){0}, &p.err));
    assert_false(
        tls_feed(p.tls, span_of("HTTP/1.1 400 Bad Request\r\n\r\n"), &p.err));
    assert_int_equal(p.err.code, ERR_UNAVAILABLE);
    close_pair(&p);
}

static void test_tampered(void **state) {
    struct bytes in;
    struct pair p;
    char text[16];
    size_t got;

    (void)state;
    open_pair(&p, "DNS:a", 30, "a");
    assert_true(shake(&p, 4096));
    assert_int_equal(SSL_write(p.peer.ssl, "pay 1", 5), 5);
    in = tls_peer_output(&p.peer);
    in.at[in.size - 1] ^= 1;
    assert_true(tls_feed(p.tls, span_bytes(&in), &p.err));
    assert_false(tls_read(p.tls, text, sizeof text, &got, &p.err));
    assert_int_equal(got, 0);
    assert_int_equal(p.err.code, ERR_IO);
    bytes_free(&in);
    close_pair(&p);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_talk),     cmocka_unit_test(test_host),
        cmocka_unit_test(test_trust),    cmocka_unit_test(test_not_tls),
        cmocka_unit_test(test_tampered),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
