/* secrets.h - options in which ${NAME} stands for a variable of Corral's own
 * environment, so that no secret needs to be in a file. Event-loop thread, at
 * start. */
#ifndef CORRAL_TOOLS_SECRETS_H
#define CORRAL_TOOLS_SECRETS_H

#include "tools/fetch.h"
#include "tools/options.h"

/* The text of `node` (a string) with the variables put in, appended. An error
 * with its place for a variable that is not set, and for a line break. */
MUST_USE bool secret_text(const struct tool_options *o, const cJSON *node,
                          struct bytes *out, struct err *err);

/* The option `headers`, a map. The texts become the caller's, who frees them
 * with headers_clear(), on failure too. */
MUST_USE bool headers_by_options(const struct tool_options *o,
                                 struct fetch_header *out, int count_max,
                                 int *count, struct err *err);
void headers_clear(struct fetch_header *headers, int count);

#endif
