/* access.h - one line in the log for each request that was answered, or whose
 * client left. Nothing of what was asked or said is in it, no path and no
 * header: a client may have put a secret into any of these. Event-loop thread.
 */
#ifndef CORRAL_PROXY_ACCESS_H
#define CORRAL_PROXY_ACCESS_H

#include "proxy/conn.h"

/* `route` is the name that the metrics have for it. Call while the request is
 * still in hand. */
void access_log(struct conn *c, const char *route,
                const struct conn_outcome *end);

#endif
