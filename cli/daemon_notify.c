/* daemon_notify.c - under a service manager: the sockets that it passes on to
 * us, and the signs of life that it wants. */
#include <sys/socket.h>

#include "cli/daemon_state.h"
#include "cli/notify.h"

/* What config_check() says about an address holds for a socket that somebody
 * else has bound. */
static bool is_near(int fd) {
    struct sockaddr_storage at = {0};
    socklen_t size = sizeof at;
    char host[64] = "";

    if (getsockname(fd, (struct sockaddr *)&at, &size) != 0) return false;
    if (at.ss_family == AF_UNIX) return true;
    return uv_ip_name((const struct sockaddr *)&at, host, sizeof host) == 0 &&
           config_is_loopback(host);
}

bool daemon_listener(const struct daemon *d, bool admin, int *fd,
                     struct err *err) {
    const struct config *c = d->config;
    bool safe = c->allow_remote || (admin ? c->tls.cert : c->keys);

    if (!notify_listener(admin ? "admin" : NULL, fd, err)) return false;
    if (*fd < 0) {
        *fd = 0;
        return true;
    }
    return safe || is_near(*fd) ||
           err_set(err, ERR_INPUT,
                   "the %ssocket that was passed on lets other machines in %s; "
                   "allow_remote: true if that is meant",
                   admin ? "admin " : "",
                   admin ? "without tls" : "without a key");
}

static void on_watchdog(uv_timer_t *timer) {
    (void)timer;
    notify_state("WATCHDOG=1");
}

/* A sign of life from the loop itself: one that hangs gives none. */
void daemon_ready(struct daemon *d) {
    int ms = notify_watchdog_ms();

    if (ms)
        (void)uv_timer_start(&d->watchdog, on_watchdog, (uint64_t)ms,
                             (uint64_t)ms);
    notify_state("READY=1");
}
