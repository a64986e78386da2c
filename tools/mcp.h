/* mcp.h - tools that live in an MCP server, by what the configuration says of
 * it. Event-loop thread.
 *
 * What a server says of its tools is shown to models, so it is pinned: the
 * digest of each definition must be the one that was approved (in the file of
 * pins, or in the configuration), or the first that was let in unless `pin:
 * strict`.
 * The registry is filled once: a definition that changes or goes away later
 * makes its tool unavailable until it is the old one again, and a tool that is
 * new has to wait for a restart. */
#ifndef CORRAL_TOOLS_MCP_H
#define CORRAL_TOOLS_MCP_H

#include "tools/options.h"
#include "tools/registry.h"

enum { MCP_SERVER_NAME_MAX = 24, MCP_DESCRIPTION_MAX = 2048 };

struct mcp;

enum mcp_state { MCP_STARTING, MCP_LISTED, MCP_FAILED };

/* Begin to start or reach the server. NULL with `err` for options that are
 * wrong. Reads of `o` only during the call, but the loop. */
MUST_USE struct mcp *mcp_open(const struct tool_options *o, struct err *err);
/* No call may be under way, and the tools are not in a registry any more. The
 * loop must run until nothing is left. NULL is fine. */
void mcp_close(struct mcp *m);

/* STARTING until the loop ran long enough. `why` (may be NULL) is filled when
 * it FAILED. */
enum mcp_state mcp_state(const struct mcp *m, struct err *why);
bool mcp_is_optional(const struct mcp *m);
const char *mcp_name(const struct mcp *m);
/* Once, when LISTED: every tool that is not another one than was approved and
 * can be used, as "server__tool"; the others are logged. Borrowed by the
 * registry. What nobody has approved by its digest in the configuration is
 * still to be judged (tool.h). ERR_IO when the pins cannot be read. */
MUST_USE bool mcp_add_tools(struct mcp *m, struct registry *r, struct err *err);
/* After that: pin those of them that `admits`, which has judged them, lets in
 * for the first time. ERR_IO when the pins cannot be kept. */
MUST_USE bool mcp_keep_pins(struct mcp *m,
                            bool (*admits)(void *user, const struct tool *tool),
                            void *user, struct err *err);

#endif
