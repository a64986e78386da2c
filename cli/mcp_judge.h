/* mcp_judge.h - what MCP servers say of their tools, judged by the policy's
 * checks of definitions and of documents before a model may read it. Event-loop
 * thread, at start only: afterwards no definition changes. */
#ifndef CORRAL_CLI_MCP_JUDGE_H
#define CORRAL_CLI_MCP_JUDGE_H

#include <uv.h>

#include "guard/guard.h"
#include "tools/mcp.h"

/* All borrowed. */
struct mcp_judge {
    uv_loop_t *loop;
    struct guard *guard;
    const struct policy *policy;
};

/* Take away from `m`, which is LISTED and not added yet, the tools whose
 * definitions the policy refuses, or cannot judge: the log says which. Those
 * that the configuration approves by their digest are let be. Runs the loop. */
void mcp_judge_tools(const struct mcp_judge *j, struct mcp *m);

#endif
