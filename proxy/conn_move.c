/* conn_move.c - from one event loop to another, with a request that only the
 * other one answers:
 *
 *   HANDLING -> (queued bytes go out) -> a parcel -> HANDLING, elsewhere
 *
 * libuv's handles cannot change their loop. The socket itself can: a second
 * descriptor of it goes, and the handles are closed over the first. */
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "proxy/conn_state.h"

struct conn_parcel {
    int fd;
    uint64_t id;
    bool local;
    struct tls *tls;
    struct front front;
    struct http_reader *reader; /* with a whole request */
    size_t body_bytes;
    atomic_size_t *bodies_bytes; /* where these are counted */
    struct bytes ahead;
    bool continued;
};

bool conn_take_fd(struct conn *c, int fd) {
    int rc = c->local ? uv_pipe_open(&c->socket.pipe, fd)
                      : uv_tcp_open(&c->socket.tcp, fd);

    if (rc != 0) (void)close(fd);
    return rc == 0;
}

void conn_leave(struct conn *c) {
    c->leaving = true;
}

static struct conn_parcel *pack(struct conn *c, int fd) {
    struct conn_parcel *p = xalloc(sizeof *p);

    *p = (struct conn_parcel){.fd = fd,
                              .id = c->id,
                              .local = c->local,
                              .tls = c->tls,
                              .front = c->front,
                              .reader = c->reader,
                              .body_bytes = c->body_bytes,
                              .bodies_bytes = c->options->bodies_bytes,
                              .ahead = c->ahead,
                              .continued = c->continued};
    c->tls = NULL;
    c->front = (struct front){0};
    c->reader = NULL;
    c->body_bytes = 0;
    c->ahead = (struct bytes){0};
    return p;
}

void conn_try_leave(struct conn *c) {
    uv_os_fd_t fd = -1;
    int own = -1;

    if (conn_pending_bytes(c)) return;
    (void)uv_read_stop(stream_of(c));
    if (!c->broken && uv_fileno((const uv_handle_t *)&c->socket, &fd) == 0)
        own = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (own < 0) {
        conn_close(c);
        return;
    }
    c->state = CLOSED;
    c->options->on_left(c->options->server, pack(c, own));
    conn_close_handles(c);
}

struct conn *conn_open_parcel(uv_loop_t *loop, const struct conn_options *o,
                              struct conn_parcel *p) {
    struct conn *c = conn_new(loop, o, p->id, p->local);
    size_t limit = c->ahead.limit;
    bool ok = conn_take_fd(c, p->fd);

    c->tls = p->tls;
    c->front = p->front;
    c->reader = p->reader;
    c->body_bytes = p->body_bytes;
    c->ahead = p->ahead;
    c->ahead.limit = limit;
    c->continued = p->continued;
    free(p);
    if (!ok) conn_close(c);
    return c;
}

void conn_arrive(struct conn *c) {
    if (c->state == CLOSED) return;
    if (c->ahead.size >= CONN_AHEAD_MAX) {
        c->stopped = true;
    } else if (uv_read_start(stream_of(c), conn_on_alloc, conn_on_read) != 0) {
        conn_close(c);
        return;
    }
    conn_dispatch(c);
    /* Records that came with the request are in its TLS still. */
    if (c->state != CLOSED && c->tls) conn_feed(c, (struct span){0});
}

void conn_parcel_free(struct conn_parcel *p) {
    (void)close(p->fd);
    atomic_fetch_sub(p->bodies_bytes, p->body_bytes);
    tls_free(p->tls);
    front_clear(&p->front);
    http_reader_free(p->reader);
    bytes_free(&p->ahead);
    free(p);
}
