/* server.c - listen, accept, drain.
 *
 *   LISTENING -> DRAINING <-> DRAINED        (any) -> CLOSING -> freed
 */
#include "proxy/server.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/log.h"

enum {
    BACKLOG = 511,
    SCRATCH_SIZE = 64 << 10,
    REFUSING_MAX = 64 /* connections past the limit that are told so */
};

enum server_state { LISTENING, DRAINING, DRAINED, CLOSING };

struct server {
    union {
        uv_tcp_t tcp;
        uv_pipe_t pipe;
    } listener;
    bool local;       /* a pipe, that is a unix socket */
    uv_timer_t timer; /* the drain's time limit, and on_drained from the loop */
    enum server_state state;
    int handles; /* open or closing */
    bool listening;
    struct limits limits;
    struct conn_handler handler;
    struct proxy_trust trust;
    struct conn_options options;
    char **origins;
    struct server_spread spread;
    uv_loop_t *loop;
    struct conn *first;
    atomic_int count; /* with those that are expected */
    atomic_size_t bodies_bytes;
    uint64_t last_id;
    int drain_ms;
    void (*on_drained)(void *user);
    void *drain_user;
};

static uv_stream_t *listener_of(struct server *s) {
    return (uv_stream_t *)&s->listener;
}

static void free_origins(struct server *s) {
    for (int i = 0; i < s->options.origin_count; i++) free(s->origins[i]);
    free(s->origins);
}

static void free_when_empty(struct server *s) {
    if (s->state != CLOSING || s->handles || s->count) return;
    free_origins(s);
    free(s->options.scratch);
    free(s);
}

static void on_handle_closed(uv_handle_t *handle) {
    struct server *s = handle->data;

    s->handles--;
    free_when_empty(s);
}

static void stop_listening(struct server *s) {
    if (!s->listening) return;
    s->listening = false;
    uv_close((uv_handle_t *)&s->listener, on_handle_closed);
}

static void on_timer(uv_timer_t *timer);

static void on_door_closed(uv_handle_t *handle) {
    free(handle);
}

static void on_conn_closed(struct server *s, struct conn *c) {
    struct conn *next = *conn_next(c), *prev = *conn_prev(c);

    if (prev)
        *conn_next(prev) = next;
    else
        s->first = next;
    if (next) *conn_prev(next) = prev;
    s->count--;
    if (s->state == DRAINING && !s->count)
        (void)uv_timer_start(&s->timer, on_timer, 0, 0);
    free_when_empty(s);
}

static void link_first(struct server *s, struct conn *c) {
    *conn_next(c) = s->first;
    if (s->first) *conn_prev(s->first) = c;
    s->first = c;
}

/* An accepted socket that no loop has; -1 when there is none. */
static int accept_fd(struct server *s) {
    uv_os_fd_t fd = -1;
    int own = -1;
    struct door {
        union {
            uv_tcp_t tcp;
            uv_pipe_t pipe;
        } socket;
    } *door = xalloc(sizeof *door);
    uv_stream_t *stream = (uv_stream_t *)door;

    if (s->local)
        (void)uv_pipe_init(s->loop, &door->socket.pipe, 0);
    else
        (void)uv_tcp_init(s->loop, &door->socket.tcp);
    if (uv_accept(listener_of(s), stream) == 0 &&
        uv_fileno((const uv_handle_t *)stream, &fd) == 0)
        own = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    uv_close((uv_handle_t *)stream, on_door_closed);
    return own;
}

static void give_away(struct server *s, struct server *to) {
    struct server_guest guest = {++s->last_id, accept_fd(s), NULL, s->local};

    if (guest.fd >= 0)
        s->spread.carry(s->spread.user, to, &guest);
    else
        atomic_fetch_sub(&to->count, 1);
}

static void on_connection(uv_stream_t *listener, int status) {
    struct server *s = listener->data;
    struct server *to = s;
    int limit = s->limits.connections_max;

    if (status < 0) {
        log_event(LOG_WARN, "accept", "error=%s", uv_err_name(status));
        return;
    }
    if (s->spread.choose) to = s->spread.choose(s->spread.user, s);
    if (to && to != s) {
        give_away(s, to);
        return;
    }
    link_first(s, conn_open(listener, &s->options, ++s->last_id,
                            !to || s->count >= limit));
    s->count++;
    if (s->count > limit + REFUSING_MAX) conn_close(s->first);
}

static void on_left(struct server *s, struct conn_parcel *p) {
    struct server_guest guest = {.parcel = p};

    server_expect(s->spread.first);
    s->spread.carry(s->spread.user, s->spread.first, &guest);
}

void server_expect(struct server *s) {
    atomic_fetch_add(&s->count, 1);
}

/* Nobody serves it. */
static void turn_away(const struct server_guest *guest) {
    if (guest->parcel)
        conn_parcel_free(guest->parcel);
    else
        (void)close(guest->fd);
}

static void arm_drain(struct server *s) {
    (void)uv_timer_start(&s->timer, on_timer,
                         s->count ? (uint64_t)s->drain_ms : 0, 0);
}

void server_receive(struct server *s, const struct server_guest *guest) {
    struct conn *c;

    if (s->state == CLOSING) {
        turn_away(guest);
        s->count--;
        free_when_empty(s);
        return;
    }
    if (guest->parcel)
        c = conn_open_parcel(s->loop, &s->options, guest->parcel);
    else
        c = conn_open_fd(s->loop, &s->options, guest->id, guest->local,
                         guest->fd);
    link_first(s, c);
    if (s->state != LISTENING) {
        s->state = DRAINING;
        if (!uv_is_active((const uv_handle_t *)&s->timer)) arm_drain(s);
        conn_drain(c);
    }
    if (guest->parcel) conn_arrive(c);
}

static const char *unix_path(const char *host) {
    return strncmp(host, "unix:", 5) ? NULL : host + 5;
}

static bool resolve(const char *host, int port, struct sockaddr_storage *out,
                    struct err *err) {
    if (!strcmp(host, "localhost")) host = "127.0.0.1";
    if (uv_ip4_addr(host, port, (struct sockaddr_in *)out) == 0 ||
        uv_ip6_addr(host, port, (struct sockaddr_in6 *)out) == 0)
        return true;
    return err_set(err, ERR_INPUT,
                   "cannot listen on \"%.100s\": not an IP address", host);
}

void server_set_origins(struct server *s, const char *const *origins,
                        int count) {
    free_origins(s);
    s->origins = xalloc_array((size_t)count + 1, sizeof *s->origins);
    for (int i = 0; i < count; i++) s->origins[i] = xstrdup(origins[i]);
    s->options.origins = (const char *const *)s->origins;
    s->options.origin_count = count;
}

/* Of a server that is gone: a live one would still answer. */
static void remove_stale(const char *path) {
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    struct stat info;
    int fd;

    if (stat(path, &info) != 0 || !S_ISSOCK(info.st_mode) ||
        strlen(path) >= sizeof at.sun_path)
        return;
    memcpy(at.sun_path, path, strlen(path) + 1);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) return;
    if (connect(fd, (const struct sockaddr *)&at, sizeof at) != 0 &&
        errno == ECONNREFUSED)
        (void)unlink(path);
    (void)close(fd);
}

/* Whose it is, TCP's or a unix socket, it says itself. */
static int take_listener(struct server *s, uv_loop_t *loop, int fd) {
    struct sockaddr_storage at = {0};
    socklen_t size = sizeof at;
    int rc;

    if (getsockname(fd, (struct sockaddr *)&at, &size) != 0)
        return uv_translate_sys_error(errno);
    s->local = at.ss_family == AF_UNIX;
    if (s->local) {
        (void)uv_pipe_init(loop, &s->listener.pipe, 0);
        rc = uv_pipe_open(&s->listener.pipe, fd);
    } else {
        (void)uv_tcp_init(loop, &s->listener.tcp);
        rc = uv_tcp_open(&s->listener.tcp, fd);
    }
    listener_of(s)->data = s;
    return rc;
}

static int bind_listener(struct server *s, uv_loop_t *loop,
                         const struct server_options *o,
                         const struct sockaddr_storage *at) {
    const char *path = unix_path(o->host);

    s->local = path != NULL;
    if (path)
        (void)uv_pipe_init(loop, &s->listener.pipe, 0);
    else
        (void)uv_tcp_init(loop, &s->listener.tcp);
    listener_of(s)->data = s;
    if (!path)
        return uv_tcp_bind(&s->listener.tcp, (const struct sockaddr *)at, 0);
    /* What is too long must not be cut into another path. */
    if (strlen(path) >= sizeof((struct sockaddr_un *)0)->sun_path)
        return UV_ENAMETOOLONG;
    remove_stale(path);
    return uv_pipe_bind(&s->listener.pipe, path);
}

struct server *server_open(uv_loop_t *loop, const struct server_options *o,
                           struct err *err) {
    struct sockaddr_storage at = {0};
    struct server *s;
    int rc;

    if (!o->silent && !o->fd && !unix_path(o->host) &&
        !resolve(o->host, o->port, &at, err))
        return NULL;
    s = xalloc(sizeof *s);
    s->limits = o->limits;
    s->handler = o->handler;
    s->trust = o->trust;
    s->loop = loop;
    s->spread = o->spread;
    s->options = (struct conn_options){
        .limits = &s->limits,
        .handler = &s->handler,
        .trust = &s->trust,
        .scratch = xalloc(SCRATCH_SIZE),
        .scratch_size = SCRATCH_SIZE,
        .bodies_bytes = o->bodies_bytes ? o->bodies_bytes : &s->bodies_bytes,
        .on_closed = on_conn_closed,
        .on_left = on_left,
        .server = s};
    s->options.tls = o->tls;
    server_set_origins(s, o->origins, o->origin_count);
    (void)uv_timer_init(loop, &s->timer);
    s->timer.data = s;
    s->handles = 1;
    if (o->silent) return s;
    s->handles++;
    s->listening = true;
    rc = o->fd ? take_listener(s, loop, o->fd) : bind_listener(s, loop, o, &at);
    if (rc == 0) rc = uv_listen(listener_of(s), BACKLOG, on_connection);
    if (rc == 0) return s;
    (void)err_set(err, ERR_IO, "cannot listen on %.100s port %d: %s", o->host,
                  o->port, uv_strerror(rc));
    server_close(s);
    return NULL;
}

void server_set_limits(struct server *s, const struct limits *limits) {
    s->limits = *limits;
}

void server_set_tls(struct server *s, const struct tls_context *tls) {
    s->options.tls = tls;
}

atomic_size_t *server_bodies(struct server *s) {
    return s->options.bodies_bytes;
}

int server_port(const struct server *s) {
    struct sockaddr_storage at = {0};
    int size = (int)sizeof at;

    if (s->local || uv_tcp_getsockname(&s->listener.tcp, (struct sockaddr *)&at,
                                       &size) != 0)
        return 0;
    if (at.ss_family == AF_INET6)
        return ntohs(((const struct sockaddr_in6 *)&at)->sin6_port);
    return ntohs(((const struct sockaddr_in *)&at)->sin_port);
}

static void close_all(struct server *s) {
    /* Closed connections leave the list from the loop, not here. */
    for (struct conn *c = s->first; c; c = *conn_next(c)) conn_close(c);
}

static void on_timer(uv_timer_t *timer) {
    struct server *s = timer->data;

    if (s->state != DRAINING) return;
    if (s->count) {
        log_event(LOG_WARN, "drain", "cut_off=%d", s->count);
        close_all(s);
        return; /* the last one's close starts the timer again */
    }
    s->state = DRAINED;
    s->on_drained(s->drain_user);
}

void server_drain(struct server *s, int timeout_ms,
                  void (*on_drained)(void *user), void *user) {
    if (s->state != LISTENING) return;
    s->state = DRAINING;
    s->on_drained = on_drained;
    s->drain_user = user;
    s->drain_ms = timeout_ms;
    stop_listening(s);
    for (struct conn *c = s->first; c; c = *conn_next(c)) conn_drain(c);
    arm_drain(s);
}

void server_close(struct server *s) {
    if (!s || s->state == CLOSING) return;
    s->state = CLOSING;
    stop_listening(s);
    close_all(s);
    uv_close((uv_handle_t *)&s->timer, on_handle_closed);
}

int server_connections(const struct server *s) {
    return s->count;
}

int server_inflight(const struct server *s) {
    int count = 0;

    for (struct conn *c = s->first; c; c = *conn_next(c)) count += conn_busy(c);
    return count;
}
