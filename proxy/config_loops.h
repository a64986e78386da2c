/* config_loops.h - what `loops: N` asks of the rest of a configuration. */
#ifndef CORRAL_PROXY_CONFIG_LOOPS_H
#define CORRAL_PROXY_CONFIG_LOOPS_H

#include "proxy/config.h"

/* False, naming it, when something is set that runs on one loop alone. */
MUST_USE bool config_check_loops(const struct config *c, struct err *err);
/* Each of so many loops has a part of the calls that an upstream's concurrency
 * lets run at a time; false, naming the upstream, when one would have none. */
MUST_USE bool config_check_shares(const struct config *c, int loops,
                                  struct err *err);

#endif
