/* config_show.h - a configuration as JSON for an operator to look at: what is
 * in force, defaults and command line included. Built from what is known to be
 * harmless, so it holds no secret: of tools and MCP servers only names, of URLs
 * only the origin, of keys only where they are. */
#ifndef CORRAL_PROXY_CONFIG_SHOW_H
#define CORRAL_PROXY_CONFIG_SHOW_H

#include "proxy/config.h"

cJSON *config_show(const struct config *c); /* the caller's */

#endif
