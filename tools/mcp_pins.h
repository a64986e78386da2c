/* mcp_pins.h - which definitions of MCP tools were approved: by server and
 * tool, the SHA-256 of what a model is told of it. A tool whose definition is
 * another one than before may have been poisoned. A small JSON file, read and
 * written at start only. */
#ifndef CORRAL_TOOLS_MCP_PINS_H
#define CORRAL_TOOLS_MCP_PINS_H

#include "base/hash.h"
#include "base/json.h"

struct mcp_pins;

/* The digest of a definition: its name, description and input schema, as the
 * server writes them. ERR_LIMIT for a definition past 256 KiB. */
MUST_USE bool mcp_definition_hash(const cJSON *definition,
                                  char out[HASH_HEX_SIZE], struct err *err);

/* A file that is not there is an empty one. `path` NULL: in memory only. NULL
 * with `err` when it cannot be read or is not such a file. */
MUST_USE struct mcp_pins *mcp_pins_open(const char *path, struct err *err);
void mcp_pins_close(struct mcp_pins *pins);
/* NULL when the tool is not known. Borrowed until the next call. */
const char *mcp_pins_get(const struct mcp_pins *pins, const char *server,
                         const char *tool);
void mcp_pins_set(struct mcp_pins *pins, const char *server, const char *tool,
                  const char *hash);
/* Write the file if anything was set, in one step. */
MUST_USE bool mcp_pins_save(struct mcp_pins *pins, struct err *err);

#endif
