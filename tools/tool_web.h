/* tool_web.h - the tools that go out over HTTP, opened as options.h has it. */
#ifndef CORRAL_TOOLS_TOOL_WEB_H
#define CORRAL_TOOLS_TOOL_WEB_H

#include "tools/options.h"

MUST_USE struct tool *web_fetch_open(const struct tool_options *o,
                                     struct err *err);
MUST_USE struct tool *web_search_open(const struct tool_options *o,
                                      struct err *err);
/* `http`: an endpoint that the configuration declares, under its own name. */
MUST_USE struct tool *tool_http_open(const struct tool_options *o,
                                     struct err *err);

#endif
