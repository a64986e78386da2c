/* hosts.h - by which names a server without keys is asked. A page in a browser
 * on this machine can have a name of its own lead to 127.0.0.1 (DNS rebinding)
 * and would be served as this machine's own, answers and tools included. No
 * public name can be an address, one word, or end in .localhost or .internal.
 * Pure. */
#ifndef CORRAL_PROXY_HOSTS_H
#define CORRAL_PROXY_HOSTS_H

#include "base/bytes.h"

struct hosts {
    bool any;                /* no name is minded */
    const char *const *list; /* names that are ours besides, or "*"; borrowed */
    int count;
};

/* `host` as a request has it, with its port or without; none at all is fine,
 * since browsers always send one. */
MUST_USE bool hosts_know(const struct hosts *h, struct span host);

#endif
