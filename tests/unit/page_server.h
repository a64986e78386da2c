/* page_server.h - for the tests of what goes out: a small HTTP server on the
 * loop of the test. Each connection is asked one thing, and gets the bytes that
 * the test gave for its path. */
#ifndef CORRAL_TESTS_UNIT_PAGE_SERVER_H
#define CORRAL_TESTS_UNIT_PAGE_SERVER_H

#include "tests/unit/peer.h"

enum { PAGES_MAX = 24 };

/* What follows the response. */
enum page_then { PAGE_CLOSE, PAGE_SILENCE, PAGE_AGAIN };

struct page {
    const char *path;
    struct span response; /* with its head; borrowed */
    enum page_then then;  /* PAGE_AGAIN: the same bytes' last 4 kB, for ever */
};

struct page_server {
    uv_tcp_t listener;
    int port;
    struct page pages[PAGES_MAX];
    int page_count;
    /* Called with a whole request before it is answered; may be NULL. */
    void (*on_request)(struct page_server *s, struct span request);
    void *user;
    struct bytes request; /* the last one */
    int requests;
    int open; /* connections */
};

struct page_conn {
    uv_tcp_t tcp; /* first, so the callbacks can cast back */
    uv_write_t write;
    struct page_server *server;
    struct bytes in;
    const struct page *page;
};

static inline void page_on_closed(uv_handle_t *handle) {
    struct page_conn *c = (struct page_conn *)handle;

    c->server->open--;
    bytes_free(&c->in);
    free(c);
}

static inline void page_conn_close(struct page_conn *c) {
    if (!uv_is_closing((uv_handle_t *)&c->tcp))
        uv_close((uv_handle_t *)&c->tcp, page_on_closed);
}

static inline void page_send(struct page_conn *c, struct span s);

static inline void page_on_written(uv_write_t *write, int status) {
    struct page_conn *c = write->data;
    struct span all = c->page->response;

    if (status || c->page->then == PAGE_CLOSE)
        page_conn_close(c);
    else if (c->page->then == PAGE_AGAIN)
        page_send(c, span_slice(all, all.size > 4096 ? all.size - 4096 : 0,
                                all.size));
}

static inline void page_send(struct page_conn *c, struct span s) {
    char *at = span_dup(s); /* uv takes no const */
    uv_buf_t buf = uv_buf_init(at, (unsigned)s.size);
    int sent = uv_try_write((uv_stream_t *)&c->tcp, &buf, 1);

    c->write.data = c;
    if (sent == (int)s.size && c->page->then != PAGE_AGAIN) {
        if (c->page->then == PAGE_CLOSE) page_conn_close(c);
    } else {
        static char rest[1 << 20];
        size_t from = sent > 0 ? (size_t)sent : 0;

        assert_true(s.size <= sizeof rest);
        memcpy(rest, at, s.size);
        buf = uv_buf_init(rest + from, (unsigned)(s.size - from));
        (void)uv_write(&c->write, (uv_stream_t *)&c->tcp, &buf, 1,
                       page_on_written);
    }
    free(at);
}

/* A whole request: its head, and the body that it declared. */
static inline bool page_whole(struct span in) {
    size_t end = span_find(in, span_of("\r\n\r\n"));
    size_t at = span_find(in, span_of("Content-Length: "));

    if (end == SIZE_MAX) return false;
    if (at == SIZE_MAX || at > end) return true;
    return in.size >= end + 4 + strtoul(in.at + at + 16, NULL, 10);
}

static inline void page_answer(struct page_conn *c) {
    static const struct page missing = {
        .response = {"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
                     45}};
    struct page_server *s = c->server;
    struct span in = span_bytes(&c->in);
    size_t from = span_find(in, span_of(" ")) + 1;
    struct span path = span_slice(in, from, in.size);

    path = span_slice(path, 0, span_find(path, span_of(" ")));
    s->request.size = 0;
    bytes_put(&s->request, in);
    bytes_put(&s->request, (struct span){"", 1});
    s->requests++;
    if (s->on_request) s->on_request(s, in);
    c->page = &missing;
    for (int i = 0; i < s->page_count; i++)
        if (span_starts(path, span_of(s->pages[i].path)))
            c->page = &s->pages[i];
    page_send(c, c->page->response);
}

static inline void page_on_alloc(uv_handle_t *handle, size_t wish,
                                 uv_buf_t *buf) {
    static char room[65536];

    (void)handle;
    (void)wish;
    *buf = uv_buf_init(room, sizeof room);
}

static inline void page_on_read(uv_stream_t *stream, ssize_t n,
                                const uv_buf_t *buf) {
    struct page_conn *c = (struct page_conn *)stream;

    if (n < 0) {
        page_conn_close(c);
        return;
    }
    bytes_put(&c->in, (struct span){buf->base, (size_t)n});
    if (!c->page && page_whole(span_bytes(&c->in))) page_answer(c);
}

static inline void page_on_connection(uv_stream_t *listener, int status) {
    struct page_server *s = listener->data;
    struct page_conn *c = xalloc(sizeof *c);

    assert_int_equal(status, 0);
    c->server = s;
    s->open++;
    assert_int_equal(uv_tcp_init(listener->loop, &c->tcp), 0);
    assert_int_equal(uv_accept(listener, (uv_stream_t *)&c->tcp), 0);
    (void)uv_read_start((uv_stream_t *)&c->tcp, page_on_alloc, page_on_read);
}

static inline void page_server_open(struct page_server *s, uv_loop_t *loop) {
    struct sockaddr_in at = {.sin_family = AF_INET,
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int size = sizeof at;

    (void)signal(SIGPIPE, SIG_IGN); /* as main() does */
    memset(s, 0, sizeof *s);
    assert_int_equal(uv_tcp_init(loop, &s->listener), 0);
    s->listener.data = s;
    assert_int_equal(uv_tcp_bind(&s->listener, (struct sockaddr *)&at, 0), 0);
    assert_int_equal(
        uv_listen((uv_stream_t *)&s->listener, 16, page_on_connection), 0);
    (void)uv_tcp_getsockname(&s->listener, (struct sockaddr *)&at, &size);
    s->port = ntohs(at.sin_port);
}

static inline void page_add(struct page_server *s, const char *path,
                            struct span response, enum page_then then) {
    assert_true(s->page_count < PAGES_MAX);
    s->pages[s->page_count++] = (struct page){path, response, then};
}

static inline void page_put(struct page_server *s, const char *path,
                            const char *response) {
    page_add(s, path, span_of(response), PAGE_CLOSE);
}

/* Its connections must have ended, or end with what the loop still does. */
static inline void page_server_close(struct page_server *s) {
    uv_close((uv_handle_t *)&s->listener, NULL);
    bytes_free(&s->request);
}

#endif
