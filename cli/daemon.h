/* daemon.h - everything that `corral serve` runs, put together from one
 * configuration: the loop, engine, guard, model, tools, service and server,
 * and the signals that end it or make it read its policy again. */
#ifndef CORRAL_CLI_DAEMON_H
#define CORRAL_CLI_DAEMON_H

#include "proxy/config.h"

/* Run until a signal ends it. True when it ended as it was told to, with every
 * response finished or cut off after drain_ms. */
MUST_USE bool daemon_run(const struct config *config, struct err *err);

#endif
