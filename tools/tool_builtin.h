/* tool_builtin.h - the tools that are compiled in; see registry.h. */
#ifndef CORRAL_TOOLS_TOOL_BUILTIN_H
#define CORRAL_TOOLS_TOOL_BUILTIN_H

#include "tools/options.h"
#include "tools/tool.h"

extern const struct tool tool_calculator;
extern const struct tool tool_time;

/* Those with options; docs/agent.md has them. */
tool_open code_interpreter_open;
tool_open sql_query_open;
tool_open file_search_open;

enum { CALCULATOR_BYTES_MAX = 1024, CALCULATOR_DEPTH_MAX = 64 };

/* The value of an arithmetic expression as text; ERR_INPUT with a reason that
 * the model can read. */
MUST_USE bool calculator_evaluate(struct span expression, char *out,
                                  size_t out_size, struct err *err);

/* "2026-11-24 23:55:18 CET (UTC+01:00), Tuesday" of a moment, in a zone of the
 * tz database; an empty `zone` is UTC. ERR_INPUT for a zone that is not there.
 * Looks only below the zoneinfo folder. */
MUST_USE bool time_text(struct span zone, int64_t wall_s, char *out,
                        size_t out_size, struct err *err);

#endif
