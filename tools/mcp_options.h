/* mcp_options.h - one item of the configuration's `mcp:`, read and checked. */
#ifndef CORRAL_TOOLS_MCP_OPTIONS_H
#define CORRAL_TOOLS_MCP_OPTIONS_H

#include "tools/fetch.h"
#include "tools/options.h"

enum { MCP_HEADERS_MAX = 16, MCP_WORDS_MAX = 64, MCP_VARIABLES_MAX = 64 };

/* All of it is ours; NULL and zero are what was not said. */
struct mcp_options {
    char *name;
    char *command[MCP_WORDS_MAX + 1];
    char *environment[MCP_VARIABLES_MAX + 1]; /* "NAME=value" */
    char *folder;                             /* where the command starts */
    char *url;
    struct fetch_header headers[MCP_HEADERS_MAX];
    int header_count;
    char *ca_file;
    int timeout_s; /* of a call without a sign of progress */
    int longest_s; /* of a call */
    int start_s;
    bool optional;
    bool strict;
    cJSON *wanted; /* names of tools; NULL: all */
    cJSON *pins;   /* tool to digest; NULL: none */
    char *pins_path;
};

/* On failure `out` is to be cleared as well. */
MUST_USE bool mcp_options_read(struct mcp_options *out,
                               const struct tool_options *o, struct err *err);
void mcp_options_clear(struct mcp_options *m);

bool mcp_options_wants(const struct mcp_options *m, const char *tool);
/* The digest that the configuration itself approves; NULL: it says nothing. */
const char *mcp_options_pin(const struct mcp_options *m, const char *tool);

#endif
