/* mcp_servers.h - the MCP servers of a configuration, from the start to the
 * end of the daemon. Event-loop thread. */
#ifndef CORRAL_CLI_MCP_SERVERS_H
#define CORRAL_CLI_MCP_SERVERS_H

#include <uv.h>

#include "guard/policy.h"
#include "proxy/config.h"
#include "tools/registry.h"

struct mcp_servers;

/* Starts or reaches them all, side by side, and adds their tools to `r`, in
 * the order of the configuration; they are to be heard (tool_hearing.h). Runs
 * the loop meanwhile: to be called before anything is served. `data` is where
 * the file of pins is. NULL with `err` when one of them fails that is not
 * optional, or its options are wrong. */
MUST_USE struct mcp_servers *mcp_servers_open(const struct config *c,
                                              uv_loop_t *loop, const char *data,
                                              struct registry *r,
                                              struct err *err);
/* After the hearing: pin what the policy admits of what is new. */
MUST_USE bool mcp_servers_pin(struct mcp_servers *s, const struct registry *r,
                              const struct policy *policy, struct err *err);
/* After registry_free(); the loop must run until nothing is left. NULL is
 * fine. */
void mcp_servers_close(struct mcp_servers *s);

#endif
