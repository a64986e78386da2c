/* sandbox.h - one Python process that can do no harm: bubblewrap gives it
 * namespaces of its own (no network, no host files but a read-only /usr, its
 * own small tmpfs), a seccomp filter lists the system calls there are, and
 * hard limits bound memory, files, threads and processor time. It cannot start
 * another process. It dies with Corral, and with all its threads when killed.
 *
 * It speaks in messages: a length of four bytes, big-endian, and that many
 * bytes. All of it is untrusted. Event-loop thread. */
#ifndef CORRAL_TOOLS_SANDBOX_H
#define CORRAL_TOOLS_SANDBOX_H

#include <uv.h>

#include "base/bytes.h"

enum {
    SANDBOX_MESSAGE_BYTES_MAX = 8 << 20,
    SANDBOX_LAST_WORDS_MAX = 1024,
    SANDBOX_TASKS = 64 /* threads */
};

struct sandbox;

struct sandbox_options {
    const char *python; /* an absolute path; when not below /usr, its folder's
                         * parent (a virtual environment) is shown read-only */
    const char *script; /* Python text */
    int memory_mb;      /* address space */
    int disk_mb;        /* of the tmpfs, which is memory too */
    int cpu_seconds;    /* in all, of the whole life of the process */
};

struct sandbox_events {
    /* A message, borrowed during the callback. */
    void (*on_message)(void *user, struct span message);
    /* It ended by itself, or broke the protocol and was killed: the last event.
     * `words` is what it said on standard error, cut. The sandbox is gone. */
    void (*on_exit)(void *user, struct span words);
    void *user;
};

/* NULL with `err` when nothing can be started: there is no bubblewrap, or no
 * seccomp. A sandbox that starts and cannot be set up ends with on_exit. */
MUST_USE struct sandbox *sandbox_spawn(uv_loop_t *loop,
                                       const struct sandbox_options *o,
                                       const struct sandbox_events *events,
                                       struct err *err);
/* Queue a message. ERR_IO when it does not listen any more. */
MUST_USE bool sandbox_send(struct sandbox *s, struct span message,
                           struct err *err);
/* No event after this; the loop must run until it is gone. NULL is fine. */
void sandbox_kill(struct sandbox *s);

#endif
