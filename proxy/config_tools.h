/* config_tools.h - the list `tools:` of a configuration. What the options of a
 * tool mean is the tool's own business (tools/options.h). */
#ifndef CORRAL_PROXY_CONFIG_TOOLS_H
#define CORRAL_PROXY_CONFIG_TOOLS_H

#include "proxy/config.h"
#include "proxy/config_read.h"

MUST_USE bool config_read_tools(const struct config_source *s,
                                const cJSON *root, struct config *c);
void config_clear_tools(struct config *c);

#endif
