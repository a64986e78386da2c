/* server.h - a listening socket and the connections that came in by it.
 * Event-loop thread. */
#ifndef CORRAL_PROXY_SERVER_H
#define CORRAL_PROXY_SERVER_H

#include "proxy/conn.h"

struct server;

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
/* 0: a unix socket. */
int server_port(const struct server *s);

/* Stop accepting, close idle connections, let running responses end; after
 * `timeout_ms` cut off what is left. on_drained() once, from the loop; then
 * server_close(). Call it once. */
void server_drain(struct server *s, int timeout_ms,
                  void (*on_drained)(void *user), void *user);
/* Close everything now: on_gone() for outstanding responses, before it
 * returns, and no callback after. Frees itself in the loop, which must still
 * run until it is empty. NULL is fine. */
void server_close(struct server *s);

int server_connections(const struct server *s);
int server_inflight(const struct server *s); /* responses outstanding */

#endif
