/* server.h - a listening socket and the connections that came in by it. The
 * thread of its loop, but for what says otherwise.
 *
 * Where there are several loops, the first one's server accepts and gives each
 * connection to the loop that has the fewest; the others' do not listen. One
 * with a request that only the first may answer goes back to it for good. */
#ifndef CORRAL_PROXY_SERVER_H
#define CORRAL_PROXY_SERVER_H

#include "proxy/conn.h"

struct server;

/* A connection on its way to the server of another loop. */
struct server_guest {
    uint64_t id;
    int fd; /* accepted; or none, and: */
    struct conn_parcel *parcel;
    bool local; /* of a unix socket */
};

/* How a server sends connections to others. */
struct server_spread {
    /* The server to serve one that has come, `s` itself for most. Of those
     * others whose server_expect() was called for it. */
    struct server *(*choose)(void *user, struct server *s);
    /* Carry it there; taken. server_receive() follows on that one's loop. */
    void (*carry)(void *user, struct server *to, struct server_guest *guest);
    struct server *first; /* whom conn_leave() sends to; NULL: it is us */
    void *user;
};

struct server_options {
    const char *host; /* an address, "localhost", or "unix:/path" */
    int port;         /* 0: any free one, see server_port() */
    /* A listening socket in place of these, the server's from here on; 0: none
     * was passed on to us. */
    int fd;
    struct limits limits;
    struct conn_handler handler;
    /* Browser origins that may read our answers; copied. Default: none. */
    const char *const *origins;
    int origin_count;
    const struct tls_context *tls; /* borrowed; NULL: in the clear */
    struct proxy_trust trust;      /* of balancers in front */
    struct server_spread spread;   /* zeroed: there are no others */
    bool silent;                   /* it does not listen, it receives */
    /* Where request bodies are counted; NULL: here. Borrowed. */
    atomic_size_t *bodies_bytes;
};

/* Listen. The handler's callbacks come from the loop. NULL with `err`. */
MUST_USE struct server *server_open(uv_loop_t *loop,
                                    const struct server_options *options,
                                    struct err *err);
/* For connections from now on; the one before may be closed then. */
void server_set_tls(struct server *s, const struct tls_context *tls);
/* The next answers', in the place of all before; copied. */
void server_set_origins(struct server *s, const char *const *origins,
                        int count);
/* From now on; what a reader may take, for connections from now on. */
void server_set_limits(struct server *s, const struct limits *limits);
atomic_size_t *server_bodies(struct server *s); /* borrowed */
/* 0: a unix socket. */
int server_port(const struct server *s);

/* Stop accepting, close idle connections, let running responses end; after
 * `timeout_ms` cut off what is left. on_drained() from the loop, and again if
 * one was received after it; then server_close(). Call it once. */
void server_drain(struct server *s, int timeout_ms,
                  void (*on_drained)(void *user), void *user);
/* Close everything now: on_gone() for outstanding responses, before it
 * returns, and no callback after. Frees itself in the loop, which must still
 * run until it is empty. NULL is fine. */
void server_close(struct server *s);

/* Any thread: one more is on its way here and counts already. */
void server_expect(struct server *s);
/* It is there. The guest's socket is the server's. */
void server_receive(struct server *s, const struct server_guest *guest);

int server_connections(const struct server *s); /* any thread */
int server_inflight(const struct server *s);    /* responses outstanding */

#endif
