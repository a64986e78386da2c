/* peer.h - for the tests of the proxy: a raw client socket and a loop that are
 * driven by one thread, so that every step is in the test's hands. */
#ifndef CORRAL_TESTS_UNIT_PEER_H
#define CORRAL_TESTS_UNIT_PEER_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

#include "base/bytes.h"
#include "base/clock.h"

enum { PEER_PATIENCE_MS = 20000 };

struct peer {
    int fd;
    struct bytes got;
    bool ended; /* end of file, or a reset */
    bool was_reset;
    bool refused; /* the other side took no more of what we sent */
};

static inline struct peer peer_open(int port) {
    struct peer p = {.fd = socket(AF_INET, SOCK_STREAM, 0)};
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int one = 1;

    (void)signal(SIGPIPE, SIG_IGN); /* as main() does */
    assert_true(p.fd >= 0);
    assert_int_equal(connect(p.fd, (struct sockaddr *)&to, sizeof to), 0);
    (void)setsockopt(p.fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    return p;
}

static inline void peer_close(struct peer *p) {
    if (p->fd >= 0) (void)close(p->fd);
    p->fd = -1;
    bytes_free(&p->got);
}

/* Let the loop do what is ready, then read what is there, never waiting. */
static inline void peer_step(uv_loop_t *loop, struct peer *p) {
    char part[65536];
    ssize_t n;

    (void)uv_run(loop, UV_RUN_NOWAIT);
    if (!p || p->ended) return;
    n = recv(p->fd, part, sizeof part, MSG_DONTWAIT);
    if (n > 0) bytes_put(&p->got, (struct span){part, (size_t)n});
    if (n == 0) p->ended = true;
    if (n < 0 && errno != EAGAIN) p->ended = p->was_reset = true;
}

static inline void peer_nap(void) {
    (void)poll(NULL, 0, 1);
}

/* Send it all, letting the loop run whenever the socket is full. */
static inline void peer_send(uv_loop_t *loop, struct peer *p, struct span s) {
    uint64_t until = clock_ms() + PEER_PATIENCE_MS;

    while (s.size) {
        ssize_t n = send(p->fd, s.at, s.size, MSG_DONTWAIT | MSG_NOSIGNAL);

        if (n > 0) {
            s = span_slice(s, (size_t)n, s.size);
            continue;
        }
        if (errno != EAGAIN) {
            p->refused = true;
            return;
        }
        assert_true(clock_ms() < until);
        peer_step(loop, p);
    }
}

static inline void peer_say(uv_loop_t *loop, struct peer *p, const char *text) {
    peer_send(loop, p, span_of(text));
}

/* Run until `text` has come; fails the test when it does not. */
static inline void peer_expect(uv_loop_t *loop, struct peer *p,
                               const char *text) {
    uint64_t until = clock_ms() + PEER_PATIENCE_MS;

    while (span_find(span_bytes(&p->got), span_of(text)) == SIZE_MAX) {
        if (p->ended || clock_ms() > until)
            fail_msg("no \"%s\" in \"%.*s\"", text, (int)p->got.size,
                     p->got.at ? p->got.at : "");
        peer_step(loop, p);
        peer_nap();
    }
}

/* Forget everything up to and with `text`. */
static inline void peer_skip(uv_loop_t *loop, struct peer *p,
                             const char *text) {
    peer_expect(loop, p, text);
    bytes_drop(&p->got,
               span_find(span_bytes(&p->got), span_of(text)) + strlen(text));
}

static inline void peer_expect_end(uv_loop_t *loop, struct peer *p) {
    uint64_t until = clock_ms() + PEER_PATIENCE_MS;

    while (!p->ended) {
        if (clock_ms() > until) fail_msg("the connection stays open");
        peer_step(loop, p);
        peer_nap();
    }
}

/* Close with a reset. */
static inline void peer_reset(struct peer *p) {
    struct linger hard = {1, 0};

    (void)setsockopt(p->fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
    peer_close(p);
}

/* Run the loop until *count is `want`. */
static inline void peer_until(uv_loop_t *loop, struct peer *p, const int *count,
                              int want) {
    uint64_t until = clock_ms() + PEER_PATIENCE_MS;

    while (*count != want) {
        if (clock_ms() > until) fail_msg("%d instead of %d", *count, want);
        peer_step(loop, p);
        peer_nap();
    }
}

#endif
