#include "cli/notify.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"

enum { FDS_START = 3, FDS_MAX = 64, STATE_MAX = 256 };

/* ---- datagrams ---- */

static void send_text(const char *text) {
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    size_t size = path ? strlen(path) : 0;
    socklen_t to_size;
    int fd;

    if (!size || size >= sizeof to.sun_path || (*path != '/' && *path != '@'))
        return;
    memcpy(to.sun_path, path, size);
    if (*path == '@') to.sun_path[0] = '\0'; /* an abstract one */
    to_size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + size);
    fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) return;
    (void)!sendto(fd, text, strlen(text), MSG_NOSIGNAL,
                  (const struct sockaddr *)&to, to_size);
    (void)close(fd);
}

void notify_state(const char *state) {
    char text[STATE_MAX];

    /* Type=notify-reload tells a reload's start from an older one by this. */
    if (!strcmp(state, "RELOADING=1"))
        (void)snprintf(text, sizeof text, "%s\nMONOTONIC_USEC=%" PRIu64, state,
                       clock_ns() / 1000);
    else
        (void)snprintf(text, sizeof text, "%s", state);
    send_text(text);
}

/* ---- numbers of the environment ---- */

/* -1: not set, or no whole number. */
static long variable(const char *name) {
    const char *text = getenv(name);
    char *end;
    long value;

    if (!text || *text < '0' || *text > '9') return -1;
    errno = 0;
    value = strtol(text, &end, 10);
    return *end || errno ? -1 : value;
}

/* Absent, it is meant for whoever we are. */
static bool meant_for_us(const char *name) {
    return !getenv(name) || variable(name) == (long)getpid();
}

int notify_watchdog_ms(void) {
    long usec = variable("WATCHDOG_USEC");

    if (usec <= 0 || !meant_for_us("WATCHDOG_PID")) return 0;
    usec /= 2000; /* twice as often as asked, in milliseconds */
    return usec < 1 ? 1 : usec > INT_MAX ? INT_MAX : (int)usec;
}

/* ---- sockets ---- */

static bool is_listener(int fd) {
    int value = 0;
    socklen_t size = sizeof value;

    if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &value, &size) != 0 || !value)
        return false;
    size = sizeof value;
    return getsockopt(fd, SOL_SOCKET, SO_TYPE, &value, &size) == 0 &&
           value == SOCK_STREAM;
}

/* The name of the socket `index`; empty when there is none. */
static struct span name_of(long index) {
    struct span rest = span_of(getenv("LISTEN_FDNAMES"));

    for (; index > 0 && rest.size; index--) {
        size_t end = span_find(rest, span_of(":"));

        if (end == SIZE_MAX) return (struct span){"", 0};
        rest = span_slice(rest, end + 1, rest.size);
    }
    return span_slice(rest, 0, span_find(rest, span_of(":")));
}

bool notify_listener(const char *name, int *fd, struct err *err) {
    long count = variable("LISTEN_FDS");

    *fd = -1;
    if (!getenv("LISTEN_FDS") || !meant_for_us("LISTEN_PID")) return true;
    if (count < 0 || count > FDS_MAX)
        return err_set(err, ERR_INPUT, "LISTEN_FDS is not a number up to %d",
                       FDS_MAX);
    for (long i = 0; i < count && *fd < 0; i++) {
        struct span its = name_of(i);
        bool admin = span_is(its, "admin");

        if (name ? span_is(its, name) : !admin) *fd = FDS_START + (int)i;
    }
    if (*fd < 0) return true;
    if (!is_listener(*fd))
        return err_set(err, ERR_INPUT,
                       "descriptor %d of LISTEN_FDS is not a listening stream "
                       "socket",
                       *fd);
    /* No tool of ours shall have it. */
    (void)fcntl(*fd, F_SETFD, FD_CLOEXEC);
    (void)fcntl(*fd, F_SETFL, O_NONBLOCK);
    return true;
}
