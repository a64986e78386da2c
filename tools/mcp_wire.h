/* mcp_wire.h - JSON-RPC messages of the Model Context Protocol: what comes in
 * told apart, what goes out written. Any thread. */
#ifndef CORRAL_TOOLS_MCP_WIRE_H
#define CORRAL_TOOLS_MCP_WIRE_H

#include "base/json.h"

enum {
    MCP_MESSAGE_BYTES_MAX = 4 << 20,
    MCP_NOISE_LINES_MAX = 1000, /* lines of a server that are no message */
};

#define MCP_MODERN "2026-07-28"
#define MCP_LEGACY "2025-11-25"

enum mcp_kind {
    MCP_NOISE,   /* no message that we know */
    MCP_ANSWER,  /* `body` is the result */
    MCP_ERROR,   /* `body` is the error object */
    MCP_REQUEST, /* `id_node` and `method`; `body` the params or NULL */
    MCP_NOTICE   /* `method`; `body` the params or NULL */
};

/* Borrows from the message it was read from. */
struct mcp_incoming {
    enum mcp_kind kind;
    int64_t id; /* of an answer or error: whose; -1: nobody's */
    const cJSON *id_node;
    const char *method;
    const cJSON *body;
};

struct mcp_incoming mcp_incoming_read(const cJSON *message);

/* The whole of one message that came; NULL with ERR_INPUT when it is no JSON
 * object. The caller owns it. */
MUST_USE cJSON *mcp_parse(struct span text, struct err *err);

/* A server's output cut into lines. All zero is the start of a stream. */
struct mcp_lines {
    struct bytes line;
    int noise;
};

/* Take bytes; `on_message` gets each line that is a JSON object, and returns
 * false to stop (then this is true as well). Lines that do not begin with a
 * brace are let pass, up to MCP_NOISE_LINES_MAX. ERR_LIMIT, or ERR_INPUT for a
 * line that begins like a message and is none. */
MUST_USE bool mcp_lines_feed(struct mcp_lines *lines, struct span in,
                             bool (*on_message)(void *user,
                                                const cJSON *message),
                             void *user, struct err *err);
void mcp_lines_clear(struct mcp_lines *lines);

/* Append one message, without a line break. `params` may be NULL and is
 * consumed. With `modern`, the params carry the _meta that 2026-07-28 asks
 * for; `progress` >= 0 adds a progress token. */
void mcp_put_request(struct bytes *out, int64_t id, const char *method,
                     cJSON *params, bool modern, int64_t progress);
void mcp_put_notice(struct bytes *out, const char *method, cJSON *params);
/* The answer to a server's request: {} to a ping, else "not found". */
void mcp_put_reply(struct bytes *out, const struct mcp_incoming *request);

/* The text of a tools/call result for a model, appended; false when it is an
 * error (isError, or asks for more input). Cut to out->limit. */
MUST_USE bool mcp_result_text(const cJSON *result, struct bytes *out);

#endif
