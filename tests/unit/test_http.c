/* test_http.c - requests and responses out of bytes. Every input is also cut
 * at every position: where a packet ends must never change what a message
 * means, or two parsers on the way could be made to disagree. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "proxy/http.h"
#include "proxy/http_error.h"
#include "tests/unit/gzip.h"

static const struct http_reader_limits limits = {
    .target_bytes_max = 64,
    .header_bytes_max = 256,
    .header_count_max = 6,
    .body_bytes_max = 32,
};

/* Everything the reader says about the messages in a text, as text. */
static void note_request(struct bytes *log, const struct http_reader *r) {
    const struct http_request *q = http_reader_request(r);

    assert_true(bytes_printf(log, NULL, "%.*s path=%.*s query=%.*s 1.%d %s",
                             (int)q->method.size, q->method.at,
                             (int)q->path.size, q->path.at, (int)q->query.size,
                             q->query.at ? q->query.at : "", q->version_minor,
                             q->keep_alive ? "keep" : "close"));
    for (int i = 0; i < q->header_count; i++)
        assert_true(bytes_printf(
            log, NULL, " %.*s=[%.*s]", (int)q->headers[i].name.size,
            q->headers[i].name.at, (int)q->headers[i].value.size,
            q->headers[i].value.at));
    assert_true(bytes_printf(log, NULL, " body=%.*s\n", (int)q->body.size,
                             q->body.at ? q->body.at : ""));
}

/* Parse text[0..cut) and text[cut..] as two packets (or each byte as one, when
 * `cut` is SIZE_MAX); the log is the caller's to free. */
static struct bytes parse_requests(struct span text, size_t cut) {
    struct http_reader *r = http_reader_new_request(&limits);
    struct bytes log = {0};
    size_t at = 0;

    while (at < text.size) {
        size_t end = cut == SIZE_MAX ? at + 1 : at < cut ? cut : text.size;
        struct span part = span_slice(text, at, end);
        size_t used;
        enum reader_state state = http_reader_feed(r, part, &used);

        assert_true(used <= part.size);
        at += used;
        if (state == READER_FAILED) {
            assert_true(http_reader_fail_text(r)[0] != '\0');
            assert_true(bytes_printf(&log, NULL, "fail %d\n",
                                     http_reader_fail_status(r)));
            break;
        }
        if (state == READER_DONE) {
            note_request(&log, r);
            http_reader_next(r);
        } else {
            assert_int_equal(used, part.size);
        }
    }
    if (http_reader_state(r) == READER_HEAD) bytes_puts(&log, "in head\n");
    if (http_reader_state(r) == READER_BODY) bytes_puts(&log, "in body\n");
    http_reader_free(r);
    return log;
}

static void check_cut(const char *name, struct span text, size_t cut,
                      const char *want) {
    struct bytes log = parse_requests(text, cut);

    if (!span_is(span_bytes(&log), want))
        fail_msg("%s, cut at %zd: got\n%.*swanted\n%s", name, (ssize_t)cut,
                 (int)log.size, log.at ? log.at : "", want);
    bytes_free(&log);
}

static void check_bytes(const char *name, struct span text, const char *want) {
    for (size_t cut = 0; cut <= text.size; cut++)
        check_cut(name, text, cut, want);
    check_cut(name, text, SIZE_MAX, want);
}

static void check(const char *name, const char *text, const char *want) {
    check_bytes(name, span_of(text), want);
}

/* A request line and Host, then these headers and body. */
static void check_post(const char *name, const char *rest, const char *want) {
    struct bytes text = {0};

    bytes_puts(&text, "POST / HTTP/1.1\r\nHost: h\r\n");
    bytes_puts(&text, rest);
    check_bytes(name, span_bytes(&text), want);
    bytes_free(&text);
}

static void test_request(void **state) {
    (void)state;
    check("get", "GET /a/b?c=d HTTP/1.1\r\nHost: h\r\n\r\n",
          "GET path=/a/b query=c=d 1.1 keep host=[h] body=\n");
    check("blank lines before", "\r\n\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n",
          "GET path=/ query= 1.1 keep host=[h] body=\n");
    check("close", "GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n",
          "GET path=/ query= 1.1 close host=[h] connection=[close] body=\n");
    check("1.0", "GET / HTTP/1.0\r\n\r\n",
          "GET path=/ query= 1.0 close body=\n");
    check("1.0 keep-alive", "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
          "GET path=/ query= 1.0 keep connection=[keep-alive] body=\n");
    check("names fold, values are trimmed",
          "GET / HTTP/1.1\r\nHOST:   h \t\r\nX-Empty:\r\nX-Y: \r\n\r\n",
          "GET path=/ query= 1.1 keep host=[h] x-empty=[] x-y=[] body=\n");
    check("absolute target", "GET http://h/p?q HTTP/1.1\r\nHost: h\r\n\r\n",
          "GET path=/p query=q 1.1 keep host=[h] body=\n");
    check("options for all", "OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n",
          "OPTIONS path=* query= 1.1 keep host=[h] body=\n");
    check("an offer to upgrade is ignored",
          "GET / HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\n"
          "Upgrade: h2c\r\n\r\nGET /2 HTTP/1.1\r\nHost: h\r\n\r\n",
          "GET path=/ query= 1.1 keep host=[h] connection=[upgrade] "
          "upgrade=[h2c] body=\n"
          "GET path=/2 query= 1.1 keep host=[h] body=\n");
    check("not whole", "GET / HTTP/1.1\r\nHost: h\r\n", "in head\n");
}

static void test_body(void **state) {
    (void)state;
    check_post("length", "Content-Length: 5\r\n\r\nhello",
               "POST path=/ query= 1.1 keep host=[h] content-length=[5] "
               "body=hello\n");
    check_post("none", "\r\n", "POST path=/ query= 1.1 keep host=[h] body=\n");
    check_post("not whole", "Content-Length: 5\r\n\r\nhell", "in body\n");
    check_post("chunks",
               "Transfer-Encoding: chunked\r\n\r\n"
               "3\r\nabc\r\nA;x=y\r\n0123456789\r\n0\r\n\r\n",
               "POST path=/ query= 1.1 keep host=[h] "
               "transfer-encoding=[chunked] body=abc0123456789\n");
    check_post("trailers are dropped",
               "Transfer-Encoding: chunked\r\n\r\n"
               "1\r\na\r\n0\r\nAuthorization: forged\r\n\r\n",
               "POST path=/ query= 1.1 keep host=[h] "
               "transfer-encoding=[chunked] body=a\n");
    check_post("two in a row",
               "Content-Length: 2\r\n\r\nhiGET /2 HTTP/1.1\r\nHost: "
               "h\r\n\r\n",
               "POST path=/ query= 1.1 keep host=[h] content-length=[2] "
               "body=hi\nGET path=/2 query= 1.1 keep host=[h] body=\n");
}

/* Whatever two servers could read differently is refused. */
static void test_smuggling(void **state) {
    (void)state;
    check_post("two lengths", "Content-Length: 1\r\nContent-Length: 1\r\n\r\na",
               "fail 400\n");
    check_post("two different lengths",
               "Content-Length: 1\r\nContent-Length: 2\r\n\r\nab",
               "fail 400\n");
    check_post("a list of lengths", "Content-Length: 1, 1\r\n\r\na",
               "fail 400\n");
    check_post("signed length", "Content-Length: +1\r\n\r\na", "fail 400\n");
    check_post("negative length", "Content-Length: -1\r\n\r\na", "fail 400\n");
    check_post("hexadecimal length", "Content-Length: 0x1\r\n\r\na",
               "fail 400\n");
    check_post("huge length", "Content-Length: 99999999999999999999\r\n\r\na",
               "fail 400\n");
    check_post("length and chunks",
               "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n"
               "\r\n",
               "fail 400\n");
    check_post("chunks and length",
               "Transfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n0\r\n"
               "\r\n",
               "fail 400\n");
    check_post("chunked is not last",
               "Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n",
               "fail 400\n");
    check_post("another coding before",
               "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
               "fail 400\n");
    check_post("identity", "Transfer-Encoding: identity\r\n\r\n", "fail 400\n");
    check_post("a coding twice",
               "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"
               "\r\n0\r\n\r\n",
               "fail 400\n");
    check_post("a lookalike", "Transfer-Encoding: xchunked\r\n\r\n",
               "fail 400\n");
    check_post("vertical tab", "Transfer-Encoding:\vchunked\r\n\r\n",
               "fail 400\n");
    check_post("blank before the colon", "Content-Length : 1\r\n\r\na",
               "fail 400\n");
    check_post("a folded line", "X: a\r\n b\r\n\r\n", "fail 400\n");
    check_post("a folded coding", "Transfer-Encoding:\r\n chunked\r\n\r\n",
               "fail 400\n");
    check_post("bare LF", "X: a\n\r\n", "fail 400\n");
    check_post("bare LF at the end", "\n", "fail 400\n");
    check_post("bare CR", "X: a\rb\r\n\r\n", "fail 400\n");
    check_bytes("NUL in a value",
                (struct span){"GET / HTTP/1.1\r\nHost: a\0b\r\n\r\n", 30},
                "fail 400\n");
    check_post("no colon", "nonsense\r\n\r\n", "fail 400\n");
    check_post("no name", ": a\r\n\r\n", "fail 400\n");
    check("coding in 1.0",
          "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
          "fail 400\n");
    check("no host", "GET / HTTP/1.1\r\n\r\n", "fail 400\n");
    check("two hosts", "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
          "fail 400\n");
    check("LF only", "GET / HTTP/1.1\nHost: h\n\n", "fail 400\n");
    check("blank in the target", "GET /a b HTTP/1.1\r\nHost: h\r\n\r\n",
          "fail 400\n");
    check("fragment", "GET /a#b HTTP/1.1\r\nHost: h\r\n\r\n", "fail 400\n");
    check("target without a slash", "GET a HTTP/1.1\r\nHost: h\r\n\r\n",
          "fail 400\n");
    check("connect", "CONNECT h:443 HTTP/1.1\r\nHost: h\r\n\r\n", "fail 405\n");
    check("no such method", "BREW / HTTP/1.1\r\nHost: h\r\n\r\n", "fail 400\n");
    check("lower case", "get / HTTP/1.1\r\nHost: h\r\n\r\n", "fail 400\n");
    check("http 2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "fail 400\n");
    check("http 0.9", "GET /\r\n\r\n", "fail 400\n");
    check("http 1.2", "GET / HTTP/1.2\r\nHost: h\r\n\r\n", "fail 400\n");
    check("http 2.0", "GET / HTTP/2.0\r\nHost: h\r\n\r\n", "fail 505\n");
    check("rtsp", "DESCRIBE /a RTSP/1.0\r\n\r\n", "fail 400\n");
    check("tls hello", "\x16\x03\x01\x02", "fail 400\n");
}

/* A body that was packed, whose head has these codings. */
static void check_packed(const char *name, const char *coding, struct span body,
                         const char *want) {
    struct bytes text = {0};

    assert_true(bytes_printf(&text, NULL,
                             "POST / HTTP/1.1\r\nHost: h\r\n%s: %zu\r\n%s\r\n",
                             "Content-Length", body.size, coding));
    bytes_put(&text, body);
    check_bytes(name, span_bytes(&text), want);
    bytes_free(&text);
}

static void test_packed(void **state) {
    static const char gzip[] = "Content-Encoding: gzip\r\n";
    struct bytes body = gzip_of(span_of("hello"), 6);
    struct bytes bomb =
        gzip_of(span_of("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"), 9);

    (void)state;
    check_packed("gzip", "Content-Encoding: GZip\r\n", span_bytes(&body),
                 "POST path=/ query= 1.1 keep host=[h] content-length=[25] "
                 "content-encoding=[GZip] body=hello\n");
    check_packed("its old name", "Content-Encoding: x-gzip\r\n",
                 span_bytes(&body),
                 "POST path=/ query= 1.1 keep host=[h] content-length=[25] "
                 "content-encoding=[x-gzip] body=hello\n");
    check_packed("none", "Content-Encoding: identity\r\n", span_of("hello"),
                 "POST path=/ query= 1.1 keep host=[h] content-length=[5] "
                 "content-encoding=[identity] body=hello\n");
    check_packed("one byte past", gzip, span_bytes(&bomb), "fail 413\n");
    check_packed("not gzip", gzip, span_of("hello"), "fail 400\n");
    body.size--;
    check_packed("not whole", gzip, span_bytes(&body), "fail 400\n");
    check_packed("another", "Content-Encoding: br\r\n", span_of("x"),
                 "fail 415\n");
    check_packed("deflate", "Content-Encoding: deflate\r\n", span_of("x"),
                 "fail 415\n");
    check_packed("a list", "Content-Encoding: gzip, gzip\r\n", span_of("x"),
                 "fail 415\n");
    check_packed("empty", "Content-Encoding:\r\n", span_of("x"), "fail 415\n");
    check_packed("twice",
                 "Content-Encoding: gzip\r\nContent-Encoding: gzip\r\n",
                 span_of("x"), "fail 415\n");
    check_packed("twice, one of them none",
                 "Content-Encoding: identity\r\nContent-Encoding: gzip\r\n",
                 span_of("x"), "fail 415\n");
    check_post("no body", "Content-Encoding: gzip\r\n\r\n",
               "POST path=/ query= 1.1 keep host=[h] content-encoding=[gzip] "
               "body=\n");
    bytes_free(&body);
    bytes_free(&bomb);
}

static void check_chunks(const char *name, const char *chunks) {
    char rest[128];

    (void)snprintf(rest, sizeof rest, "Transfer-Encoding: chunked\r\n\r\n%s",
                   chunks);
    check_post(name, rest, "fail 400\n");
}

static void test_chunks(void **state) {
    (void)state;
    check_chunks("not a number", "x\r\n");
    check_chunks("negative", "-1\r\n");
    check_chunks("prefix", "0x1\r\na\r\n0\r\n\r\n");
    check_chunks("blank after", "1 \r\na\r\n0\r\n\r\n");
    check_chunks("blank before", " 1\r\na\r\n0\r\n\r\n");
    check_chunks("empty", "\r\n");
    check_chunks("bare LF", "1\na\r\n0\r\n\r\n");
    check_chunks("longer than said", "1\r\nab\r\n0\r\n\r\n");
    check_chunks("bare LF after data", "1\r\na\n0\r\n\r\n");
    check_chunks("overflow", "fffffffffffffffff\r\n");
    check_chunks("bare LF in an extension", "1;a\nb\r\na\r\n0\r\n\r\n");
}

static struct bytes repeat(const char *before, const char *text, size_t count,
                           const char *after) {
    struct bytes out = {0};

    bytes_puts(&out, before);
    for (size_t i = 0; i < count; i++) bytes_puts(&out, text);
    bytes_puts(&out, after);
    return out;
}

static void check_repeat(const char *name, const char *before, const char *text,
                         size_t count, const char *after, const char *want) {
    struct bytes all = repeat(before, text, count, after);

    /* What was accepted is told elsewhere; here only whether it was. */
    for (size_t cut = 0; cut <= all.size; cut++) {
        struct bytes log = parse_requests(span_bytes(&all), cut);
        bool as_wanted =
            *want ? span_is(span_bytes(&log), want)
                  : span_find(span_bytes(&log), span_of("path=")) != SIZE_MAX;

        if (!as_wanted)
            fail_msg("%s, cut at %zu: %.*s", name, cut, (int)log.size, log.at);
        bytes_free(&log);
    }
    bytes_free(&all);
}

/* Each limit: the last that is taken, and one past it. */
static void test_limits(void **state) {
    const char *end = " HTTP/1.1\r\nHost: h\r\n\r\n";
    const char *post = "POST / HTTP/1.1\r\nHost: h\r\n";
    char head[200];

    (void)state;
    check_repeat("target", "GET /", "a", 63, end, "");
    check_repeat("target, one more", "GET /", "a", 64, end, "fail 414\n");
    /* 26 bytes before, 3 + n + 4 after: 256 in all. */
    check_repeat("head", post, "a", 0, "\r\n", "");
    (void)snprintf(head, sizeof head, "%sX: ", post);
    check_repeat("head bytes", head, "a", 256 - 26 - 3 - 4, "\r\n\r\n", "");
    check_repeat("head bytes, one more", head, "a", 257 - 26 - 3 - 4,
                 "\r\n\r\n", "fail 431\n");
    check_repeat("blanks count", head, " ", 300, "a\r\n\r\n", "fail 431\n");
    check_repeat("blank lines count", "", "\r\n", 200, "GET /", "fail 431\n");
    check_repeat("headers", post, "X: a\r\n", 5, "\r\n", "");
    check_repeat("headers, one more", post, "X: a\r\n", 6, "\r\n",
                 "fail 431\n");
    (void)snprintf(head, sizeof head, "%sContent-Length: 32\r\n\r\n", post);
    check_repeat("body", head, "a", 32, "", "");
    (void)snprintf(head, sizeof head, "%sContent-Length: 33\r\n\r\n", post);
    check_repeat("body, one more", head, "a", 0, "", "fail 413\n");
    (void)snprintf(head, sizeof head, "%sTransfer-Encoding: chunked\r\n\r\n",
                   post);
    check_repeat("chunks", head, "10\r\n0123456789abcdef\r\n", 2, "0\r\n\r\n",
                 "");
    check_repeat("chunks, one more", head, "10\r\n0123456789abcdef\r\n", 2,
                 "1\r\na\r\n0\r\n\r\n", "fail 413\n");
    check_repeat("one huge chunk", head, "7fffffff\r\n", 1, "", "fail 413\n");
    (void)snprintf(head, sizeof head, "%sTransfer-Encoding: chunked\r\n\r\n1;",
                   post);
    check_repeat("extension", head, "a", 300, "\r\n", "fail 431\n");
    (void)snprintf(head, sizeof head,
                   "%sTransfer-Encoding: chunked\r\n\r\n0\r\nX: ", post);
    check_repeat("trailer", head, "a", 300, "\r\n\r\n", "fail 431\n");
}

static void test_expect(void **state) {
    const char *text = "POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-Continue\r\n"
                       "Content-Length: 1\r\n\r\n";
    struct http_reader *r = http_reader_new_request(&limits);
    size_t used;

    (void)state;
    assert_false(http_reader_wants_continue(r));
    assert_int_equal(http_reader_feed(r, span_of(text), &used), READER_BODY);
    assert_true(http_reader_wants_continue(r));
    assert_int_equal(http_reader_feed(r, span_of("a"), &used), READER_DONE);
    assert_false(http_reader_wants_continue(r));
    http_reader_free(r);
    check_post("another expectation", "Expect: miracles\r\n\r\n", "fail 417\n");
}

/* Responses */

static struct bytes parse_response(struct span text, size_t cut) {
    struct http_reader *r = http_reader_new_response(&limits);
    struct bytes log = {0}, body = {0};
    enum reader_state state = READER_IDLE;
    size_t at = 0;
    int count;

    while (at < text.size && state < READER_DONE) {
        size_t end = cut == SIZE_MAX ? at + 1 : at < cut ? cut : text.size;
        size_t used;

        state = http_reader_feed(r, span_slice(text, at, end), &used);
        at += used;
        bytes_put(&body, http_reader_take_body(r));
    }
    if (state < READER_DONE) state = http_reader_finish(r);
    if (state == READER_FAILED) {
        bytes_puts(&log, "fail");
    } else {
        (void)http_reader_headers(r, &count);
        assert_true(bytes_printf(&log, NULL, "%d headers=%d %s body=%.*s",
                                 http_reader_status(r), count,
                                 http_reader_keep_alive(r) ? "keep" : "close",
                                 (int)body.size, body.at ? body.at : ""));
    }
    bytes_free(&body);
    http_reader_free(r);
    return log;
}

static void check_response(const char *name, const char *text,
                           const char *want) {
    size_t size = strlen(text);

    for (size_t cut = 0; cut <= size + 1; cut++) {
        struct bytes log =
            parse_response(span_of(text), cut > size ? SIZE_MAX : cut);

        if (!span_is(span_bytes(&log), want))
            fail_msg("%s, cut at %zu: got %.*s, wanted %s", name, cut,
                     (int)log.size, log.at, want);
        bytes_free(&log);
    }
}

static void test_response(void **state) {
    (void)state;
    check_response("length", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi",
                   "200 headers=1 keep body=hi");
    check_response("chunks",
                   "HTTP/1.1 500 No\r\nTransfer-Encoding: chunked\r\n\r\n"
                   "2\r\nhi\r\n1\r\n!\r\n0\r\n\r\n",
                   "500 headers=1 keep body=hi!");
    check_response("up to the end", "HTTP/1.1 200 OK\r\n\r\nhi",
                   "200 headers=0 close body=hi");
    check_response("1.0", "HTTP/1.0 200 OK\r\n\r\nhi",
                   "200 headers=0 close body=hi");
    check_response("interim",
                   "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\n"
                   "Link: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: "
                   "2\r\n\r\nhi",
                   "200 headers=1 keep body=hi");
    check_response("no content", "HTTP/1.1 204 No\r\n\r\n",
                   "204 headers=0 keep body=");
    check_response("what follows is ignored",
                   "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhiHTTP/1.1",
                   "200 headers=1 keep body=hi");
}

static void test_bad_response(void **state) {
    (void)state;
    check_response("nothing", "", "fail");
    check_response("not http", "SSH-2.0-OpenSSH\r\n", "fail");
    check_response("cut short",
                   "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nhi", "fail");
    check_response("cut chunks",
                   "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                   "2\r\nhi\r\n",
                   "fail");
    check_response("cut head", "HTTP/1.1 200 OK\r\nX: a\r\n", "fail");
    check_response("only interim", "HTTP/1.1 100 Continue\r\n\r\n", "fail");
    check_response("switching", "HTTP/1.1 101 Up\r\nUpgrade: x\r\n\r\n",
                   "fail");
    check_response("two lengths",
                   "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n"
                   "Content-Length: 1\r\n\r\na",
                   "fail");
    check_response("length and chunks",
                   "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n"
                   "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
                   "fail");
    check_response("gzip coding",
                   "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nxx",
                   "fail");
    check_response("body past the limit",
                   "HTTP/1.1 200 OK\r\n\r\n"
                   "0123456789abcdef0123456789abcdef!",
                   "fail");
    check_response("declared past the limit",
                   "HTTP/1.1 200 OK\r\nContent-Length: 33\r\n\r\n", "fail");
    check_response("nine interim ones",
                   "HTTP/1.1 100 \r\n\r\nHTTP/1.1 100 \r\n\r\n"
                   "HTTP/1.1 100 \r\n\r\nHTTP/1.1 100 \r\n\r\n"
                   "HTTP/1.1 100 \r\n\r\nHTTP/1.1 100 \r\n\r\n"
                   "HTTP/1.1 100 \r\n\r\nHTTP/1.1 100 \r\n\r\n"
                   "HTTP/1.1 100 \r\n\r\n",
                   "fail");
}

static void test_put_header(void **state) {
    struct bytes out = {0};

    (void)state;
    http_put_header(&out, span_of("x"), span_of("a\r\nSet-Cookie: b\tc"));
    assert_true(span_is(span_bytes(&out), "x: a??Set-Cookie: b?c\r\n"));
    bytes_free(&out);
}

/* Wherever a control stands, it goes; and nothing else does. */
static void test_put_header_anywhere(void **state) {
    (void)state;
    for (size_t at = 0; at < 20; at++) {
        for (int c = 1; c < 256; c++) {
            char value[21] = "abcdefgh\x80\xff \x7e~ijklmn";
            char want[64];
            struct bytes out = {0};

            value[at] = (char)c;
            http_put_header(&out, span_of("x"), span_of(value));
            if (c < 32 || c == 127) value[at] = '?';
            (void)snprintf(want, sizeof want, "x: %s\r\n", value);
            assert_int_equal(out.size, strlen(want));
            assert_memory_equal(out.at, want, out.size);
            bytes_free(&out);
        }
    }
}

static void test_type(void **state) {
    (void)state;
    assert_true(http_type_is(span_of("application/json"), "application/json"));
    assert_true(http_type_is(span_of("Application/JSON ; charset=utf-8"),
                             "application/json"));
    assert_false(
        http_type_is(span_of("application/jsonx"), "application/json"));
    assert_false(http_type_is(span_of("text/plain; application/json"),
                              "application/json"));
    assert_false(http_type_is((struct span){0}, "application/json"));
}

static void check_error(enum err_code code, int status, const char *want) {
    struct err why = {.code = code, .text = "se\"cret", .field = "model"};
    struct bytes out = {0};

    assert_true(http_error_body(&why, &out, NULL));
    assert_int_equal(http_error_of(code)->status, status);
    if (!span_is(span_bytes(&out), want))
        fail_msg("got %.*s, wanted %s", (int)out.size, out.at, want);
    bytes_free(&out);
}

static void test_error(void **state) {
    struct bytes full = {.limit = 8};

    (void)state;
    check_error(ERR_INPUT, 400,
                "{\"error\":{\"message\":\"se\\\"cret\",\"type\":"
                "\"invalid_request_error\",\"param\":\"model\",\"code\":"
                "\"invalid_request\"}}");
    /* What broke inside is for the log. */
    check_error(ERR_INTERNAL, 500,
                "{\"error\":{\"message\":\"internal error\",\"type\":"
                "\"server_error\",\"param\":\"model\",\"code\":"
                "\"internal_error\"}}");
    assert_int_equal(http_error_of(ERR_BUSY)->retry_after_s, 1);
    for (int code = ERR_NONE; code <= ERR_INTERNAL + 1; code++)
        assert_true(http_error_of((enum err_code)code)->status >= 400);
    assert_int_equal(http_error_of_status(413)->status, 413);
    assert_int_equal(http_error_of_status(999)->status, 500);
    assert_false(http_error_put(&full, "m", "t", "", NULL, NULL));
    bytes_free(&full);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_request),
        cmocka_unit_test(test_body),
        cmocka_unit_test(test_smuggling),
        cmocka_unit_test(test_chunks),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_expect),
        cmocka_unit_test(test_response),
        cmocka_unit_test(test_bad_response),
        cmocka_unit_test(test_put_header),
        cmocka_unit_test(test_type),
        cmocka_unit_test(test_error),
        cmocka_unit_test(test_packed),
        cmocka_unit_test(test_put_header_anywhere),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
