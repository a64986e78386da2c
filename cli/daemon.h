/* daemon.h - everything that `corral serve` runs, put together from one
 * configuration: the loop, engine, guard, model, tools, service and server,
 * and the signals that end it or make it read its policy again. */
#ifndef CORRAL_CLI_DAEMON_H
#define CORRAL_CLI_DAEMON_H

#include "proxy/config.h"

/* Reads the configuration again, as it was read before daemon_run(): the file,
 * and the command line over it. `out` is initialised. */
struct daemon_source {
    bool (*read)(void *user, struct config *out, struct err *err);
    void *user;
};

/* Run until a signal ends it. True when it ended as it was told to, with every
 * response finished or cut off after drain_ms. `again` may be NULL: there is no
 * file. The configuration is the daemon's to change meanwhile. */
MUST_USE bool daemon_run(struct config *config,
                         const struct daemon_source *again, struct err *err);

#endif
