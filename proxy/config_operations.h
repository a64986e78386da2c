/* config_operations.h - the sections of a configuration that are about running
 * a server: the audit, administration,
 * the log. */
#ifndef CORRAL_PROXY_CONFIG_OPERATIONS_H
#define CORRAL_PROXY_CONFIG_OPERATIONS_H

#include "proxy/config.h"
#include "proxy/config_read.h"

/* `proxy_protocol`: true, or the networks whose word is believed. */
MUST_USE bool config_read_proxy_protocol(const struct config_source *s,
                                         const cJSON *root, struct config *c);
MUST_USE bool config_read_audit(const struct config_source *s,
                                const cJSON *root, struct config *c);
MUST_USE bool config_read_log(const struct config_source *s, const cJSON *root,
                              struct config *c);
MUST_USE bool config_read_admin(const struct config_source *s,
                                const cJSON *root, struct config *c);
/* Has it keys, and an address that they are safe on? */
MUST_USE bool config_check_admin(const struct config *c, struct err *err);

/* responses: what clients of /v1/responses leave. */
MUST_USE bool config_read_responses(const struct config_source *s,
                                    const cJSON *root, struct config *c);

#endif
