/* notify.h - what systemd, or whoever else started us in its way, is told and
 * tells: readiness and reloads by datagrams to $NOTIFY_SOCKET, a sign of life
 * for its watchdog, and sockets that it listens on for us. Main thread. */
#ifndef CORRAL_CLI_NOTIFY_H
#define CORRAL_CLI_NOTIFY_H

#include "base/bytes.h"

/* "READY=1", "RELOADING=1" (with the time that the protocol wants),
 * "STOPPING=1", "WATCHDOG=1", "STATUS=text". Without a socket, or when it is
 * full, nothing happens: this is never a reason to stop or to wait. */
void notify_state(const char *state);
/* Between two signs of life, milliseconds; 0: none are wanted. */
int notify_watchdog_ms(void);

/* A socket that was passed on to us, ours from here on: the one of that name
 * ("admin"), or with NULL the first without a name that is known here; -1 when
 * there is none. ERR_INPUT when LISTEN_FDS and its like make no sense, or the
 * descriptor is not a listening stream socket. */
MUST_USE bool notify_listener(const char *name, int *fd, struct err *err);

#endif
