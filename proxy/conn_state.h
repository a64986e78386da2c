/* conn_state.h - what the parts of a connection share; for conn*.c alone. */
#ifndef CORRAL_PROXY_CONN_STATE_H
#define CORRAL_PROXY_CONN_STATE_H

#include "proxy/conn.h"
#include "proxy/front.h"
#include "proxy/http_error.h"

/* Pipelined bytes held while a response runs. */
enum { CONN_AHEAD_MAX = 16 << 10 };

enum conn_state { READING, HANDLING, STREAMING, LINGERING, CLOSED };

struct conn {
    union {
        uv_tcp_t tcp;
        uv_pipe_t pipe; /* by a listener that is one */
    } socket;
    bool local;      /* a pipe */
    struct tls *tls; /* NULL: in the clear */
    uv_timer_t timer;
    uv_shutdown_t shutdown;
    const struct conn_options *options; /* borrowed, the server's */
    struct conn *next;                  /* the server's list */
    struct conn *prev;
    uint64_t id;
    struct front front; /* who it is */
    enum conn_state state;
    int handles; /* open or closing; the last one's close frees us */

    struct http_reader *reader;
    struct bytes ahead; /* came while we were not READING */
    bool taking;        /* on_request() may be on the stack */
    bool kicked;        /* the timer runs to get us back into the loop */
    bool broken;        /* cut off: to be told from the loop */
    bool reset;         /* close so that the client sees an error */
    bool stopped;       /* not reading, `ahead` is full */
    bool eof;
    bool draining;
    bool leaving;            /* for another server, once nothing is queued */
    bool continued;          /* 100 Continue was sent */
    enum reader_state timed; /* the phase that the timer was set for */

    void *user;
    struct pass pass;
    struct bytes extra; /* header lines of the response in hand */
    bool keep_alive;    /* after the response in hand */
    size_t body_bytes;  /* our part of what all connections hold */
    bool head_only;
    bool chunked;
    bool wants_drain;
    struct conn_outcome end; /* of the response in hand, so far */
    uint64_t queued;         /* bytes ever given to libuv */
    uint64_t progress;       /* of them gone, when we last looked */
    uint64_t stall_at;       /* loop time by which there must be progress */
};

static inline const struct limits *limits_of(const struct conn *c) {
    return c->options->limits;
}

static inline uv_stream_t *stream_of(struct conn *c) {
    return (uv_stream_t *)&c->socket;
}

/* conn.c */

/* Of no socket yet; its timer is the loop's. */
struct conn *conn_new(uv_loop_t *loop, const struct conn_options *o,
                      uint64_t id, bool local);
/* Forget the request in hand. */
void conn_next_message(struct conn *c);
/* Close what is libuv's; the rest goes with the last handle. */
void conn_close_handles(struct conn *c);
/* Keep the count of all bodies held; false past its limit. */
bool conn_count_body(struct conn *c);
/* A phase of reading begins; bytes that come within it do not extend it. */
void conn_arm_reading(struct conn *c);
void conn_arm_writing(struct conn *c);
void conn_send(struct conn *c, const struct span *parts, int count);
/* What TLS has to say goes out. */
void conn_flush_tls(struct conn *c);
void conn_send_error(struct conn *c, const struct http_error *row,
                     const char *message, const char *param);
/* All is said: shut the write side, and throw away what still comes. */
void conn_linger(struct conn *c);

/* conn_input.c */

/* A request that nobody but us will see: answer and close. */
void conn_refuse(struct conn *c, int status, const char *message);
/* What came ahead has its turn. */
void conn_pump(struct conn *c);
/* The reader has a whole request: to its handler. */
void conn_dispatch(struct conn *c);
/* Bytes of the socket, through TLS where there is any. */
void conn_feed(struct conn *c, struct span in);
/* conn_move.c */

/* Takes `fd`. False when it is no socket of ours: closed then. */
MUST_USE bool conn_take_fd(struct conn *c, int fd);
/* It is leaving: go, unless bytes are queued that have to go out first. */
void conn_try_leave(struct conn *c);

/* conn_input.c: libuv's, of a socket that is read. */
void conn_on_alloc(uv_handle_t *handle, size_t hint, uv_buf_t *buf);
void conn_on_read(uv_stream_t *stream, ssize_t count, const uv_buf_t *buf);

#endif
