/* toolcall_read.h - what the parsers of tool calls share. Only for toolcall*.c.
 */
#ifndef CORRAL_AGENT_TOOLCALL_READ_H
#define CORRAL_AGENT_TOOLCALL_READ_H

#include "agent/toolcall.h"

/* Where found calls go. */
struct call_reader {
    const struct chat_request *request;
    struct arena *arena;
    struct chat_tool_call *calls; /* (max) */
    int max;
    int count;
    struct err *err;
};

/* One more call to a declared tool; `arguments` is a JSON object's text. */
MUST_USE bool call_add(struct call_reader *r, struct span name,
                       struct span arguments);
/* The same from {"name": ..., KEY: {...}}; `typed`: a "type" that says
 * "function" may stand in it. */
MUST_USE bool call_add_object(struct call_reader *r, struct span object,
                              const char *key, bool typed);
/* The tool of the request that a model means by `name`; -1: none. */
int call_tool(const struct chat_request *r, struct span name);
/* Where the JSON value at the head ends, by brackets and quotes alone: whether
 * it is JSON is json_parse()'s to say. 0 when it does not end. */
size_t call_value_end(struct span s);

/* toolcall_meta.c: Meta's forms, whichever of them the text has. */
MUST_USE bool toolcall_parse_meta(struct call_reader *r, struct span text);
enum toolcall_look toolcall_look_meta(const struct chat_request *r,
                                      struct span text);

#endif
