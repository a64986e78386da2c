/* conn.h - one client's socket: whole requests come out, one at a time, and
 * one response goes in for each. Event-loop thread.
 *
 * No callback ever runs inside a conn_*() call. Between on_request() and the
 * end of its response (conn_respond(), conn_fail() or conn_end()), or
 * on_gone(), whichever is first, the handler may use `c`; afterwards never
 * again. */
#ifndef CORRAL_PROXY_CONN_H
#define CORRAL_PROXY_CONN_H

#include <stdatomic.h>

#include <uv.h>

#include "proxy/http.h"
#include "proxy/limits.h"
#include "proxy/tls.h"
#include "proxy/pass.h"
#include "proxy/proxy_header.h"

struct conn; /* opaque: only conn.c looks inside */

/* What came of a request. */
struct conn_outcome {
    int status;   /* 499: the client left */
    size_t bytes; /* of the body, as the client sees it */
};

struct conn_handler {
    /* A whole request, valid until its response ends. May answer at once. */
    void (*on_request)(void *user, struct conn *c,
                       const struct http_request *r);
    /* The client left (or was cut off: too slow, or the server closes) while
     * a response is outstanding: cancel the work. Last use of `c`. An orderly
     * half-close counts as leaving. */
    void (*on_gone)(void *user, struct conn *c);
    /* The queue fell to write_low_bytes after a conn_write() said false. */
    void (*on_drain)(void *user, struct conn *c);
    /* May be NULL. A response has ended, or its client left (after on_gone()):
     * for the log. The request and its pass are still there; conn_*() calls
     * that change the connection are not allowed. */
    void (*on_end)(void *user, struct conn *c, const struct conn_outcome *end);
    /* May be NULL. A status that the connection answered by itself (400, 408,
     * 413, 431, ...), for the metrics. */
    void (*on_refused)(void *user, int status);
    void *user;
};

/* What the handler hangs on the connection for this request, NULL at first and
 * again for the next request. */
void conn_set_user(struct conn *c, void *user);
void *conn_user(const struct conn *c);

/* Who asks; zeroed when a request comes in, filled in at the door. */
struct pass *conn_pass(struct conn *c);

/* The request in hand. */
const struct http_request *conn_request(const struct conn *c);
/* The client's address ("127.0.0.1", "unix"), for logs and audit; behind a
 * balancer the one that its PROXY header names. */
const char *conn_peer(const struct conn *c);
/* A number that no other connection of this process has. */
uint64_t conn_id(const struct conn *c);

/* One more header on the response in hand, whatever it will be. */
void conn_add_header(struct conn *c, const char *name, const char *value);

/* A whole response; everything is copied. Content-Length, Date, Connection and
 * CORS headers are ours. HEAD sends no body. `content_type` may be NULL. */
void conn_respond(struct conn *c, int status, const char *content_type,
                  const struct http_header *headers, int header_count,
                  struct span body);
/* An error in the shape of the path's API (http_error.h), with Retry-After
 * where due. */
void conn_fail(struct conn *c, const struct err *err);
/* The same for a status that has no err.code, such as 404, 405 and 415. */
void conn_fail_status(struct conn *c, int status, const char *message);
/* 405. `allow` lists what the path does know: "GET, HEAD". */
void conn_fail_method(struct conn *c, const char *allow);

/* A response in pieces: begin, write any number of times, end. Chunked for
 * HTTP/1.1, up to the close for 1.0. */
void conn_begin_stream(struct conn *c, int status, const char *content_type,
                       const struct http_header *headers, int header_count);
/* False: the queue is past write_high_bytes (the piece was still taken); stop
 * until on_drain(). An empty piece writes nothing. */
bool conn_write(struct conn *c, struct span piece);
void conn_end(struct conn *c);
/* End a stream so that the client sees it was cut: no last chunk, closed. The
 * response is over as with conn_end(). */
void conn_abort(struct conn *c);

/* Bytes queued and not yet taken by the kernel. */
size_t conn_pending_bytes(const struct conn *c);
bool conn_streaming(const struct conn *c); /* conn_begin_stream() was called */

/* On its way from one event loop to another: nobody's but the sender's, or the
 * receiver's. Its socket, its TLS and the request that it has in hand. */
struct conn_parcel;
/* Not answered yet, and not here: when nothing is queued for it any more,
 * conn_options.on_left() gets it, from the loop. Until then on_gone() may still
 * come; nothing else may be done with it. */
void conn_leave(struct conn *c);
/* Nobody wants it: closed. */
void conn_parcel_free(struct conn_parcel *p);

/* For server.c alone. */
struct server;

struct conn_options {
    const struct limits *limits;        /* borrowed */
    const struct conn_handler *handler; /* borrowed */
    /* Origins that a browser page may come from ("*": any). */
    const char *const *origins; /* borrowed */
    int origin_count;
    const struct tls_context *tls;   /* borrowed; NULL: in the clear */
    const struct proxy_trust *trust; /* borrowed */
    /* Held by all connections, of other loops as well; borrowed. */
    atomic_size_t *bodies_bytes;
    /* What all connections of a loop read into, one after the other. */
    char *scratch; /* borrowed */
    size_t scratch_size;
    void (*on_closed)(struct server *s, struct conn *c); /* then it is freed */
    /* After conn_leave(); takes the parcel. on_closed() follows. */
    void (*on_left)(struct server *s, struct conn_parcel *p);
    struct server *server;
};

/* Accept from `listener`; `o` is borrowed until on_closed(). With `refused`,
 * only to say 503 and close. Never NULL: a failed accept closes from the loop.
 */
struct conn *conn_open(uv_stream_t *listener, const struct conn_options *o,
                       uint64_t id, bool refused);
/* One that somebody else has accepted; takes `fd`. `local`: a unix socket. */
struct conn *conn_open_fd(uv_loop_t *loop, const struct conn_options *o,
                          uint64_t id, bool local, int fd);
/* One that has left another loop; takes `p`. conn_arrive() begins with the
 * request that it brings, when the caller has it in his list. */
struct conn *conn_open_parcel(uv_loop_t *loop, const struct conn_options *o,
                              struct conn_parcel *p);
void conn_arrive(struct conn *c);
/* Finish what runs, then close; an idle one closes now. */
void conn_drain(struct conn *c);
/* Close now; on_gone() if a response is outstanding (the one exception to the
 * rule above). on_closed() follows from the loop. */
void conn_close(struct conn *c);
bool conn_busy(const struct conn *c); /* a response is outstanding */
/* The server's list, linked through the connections themselves. */
struct conn **conn_next(struct conn *c);
struct conn **conn_prev(struct conn *c);

#endif
