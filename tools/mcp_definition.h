/* mcp_definition.h - what a model is told of an MCP tool, as a text that can be
 * judged. Any thread. */
#ifndef CORRAL_TOOLS_MCP_DEFINITION_H
#define CORRAL_TOOLS_MCP_DEFINITION_H

#include "base/json.h"

enum { MCP_DEFINITION_TEXT_MAX = 256 << 10 };

/* Append name, title, description and every name and text of the input schema,
 * a line each; the words of JSON Schema itself ("string") are left out.
 * ERR_LIMIT past out->limit. */
MUST_USE bool mcp_definition_text(const cJSON *definition, struct bytes *out,
                                  struct err *err);

#endif
