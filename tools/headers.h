/* headers.h - options that go into one line of HTTP or into a program's
 * environment as they stand. Event-loop thread, at start. */
#ifndef CORRAL_TOOLS_HEADERS_H
#define CORRAL_TOOLS_HEADERS_H

#include "tools/fetch.h"
#include "tools/options.h"

/* The text of `node`, borrowed: a string without a line break; otherwise an
 * error with its place. */
MUST_USE bool option_line(const struct tool_options *o, const cJSON *node,
                          const char **out, struct err *err);

/* The option `headers`, a map. The texts become the caller's, who frees them
 * with headers_clear(), on failure too. */
MUST_USE bool headers_by_options(const struct tool_options *o,
                                 struct fetch_header *out, int count_max,
                                 int *count, struct err *err);
void headers_clear(struct fetch_header *headers, int count);

#endif
