/* mcp_link.h - a way to an MCP server: a process, or an HTTP endpoint. It
 * carries messages; what they mean is the client's business (mcp.c). Event-loop
 * thread; nothing of it keeps the loop until it is closed. */
#ifndef CORRAL_TOOLS_MCP_LINK_H
#define CORRAL_TOOLS_MCP_LINK_H

#include <uv.h>

#include "base/json.h"
#include "tools/fetch.h"

struct mcp_message {
    struct span json;   /* without a line break; copied */
    int64_t id;         /* of a request; -1: its sender expects no answer */
    const char *method; /* NULL: an answer */
    const char *tool;   /* of tools/call; else NULL */
};

/* No callback runs inside send(). close() is allowed in any. */
struct mcp_link_events {
    void (*on_message)(void *user, const cJSON *message);
    /* Nothing more will come for this request of ours. May come after its
     * answer. */
    void (*on_lost)(void *user, int64_t id, const struct err *err);
    /* The server is gone or cannot be trusted to speak the protocol. Once; only
     * close() is left to do. */
    void (*on_down)(void *user, const struct err *err);
    void *user;
};

struct mcp_link {
    /* The version agreed on, for HTTP's header; NULL: not yet. */
    const char *version;
    bool has_streams; /* each request has one of its own: HTTP */
    bool (*send)(struct mcp_link *link, const struct mcp_message *m,
                 struct err *err);
    /* The answer to this request is not wanted any more. */
    void (*forget)(struct mcp_link *link, int64_t id);
    /* No callback after this. Ends the server's process if there is one, and
     * frees the link, while the loop runs. */
    void (*close)(struct mcp_link *link);
};

/* `command` and `environment` end with NULL, borrowed during the call. The
 * environment is all that the process gets. `name` for the log. */
MUST_USE struct mcp_link *
mcp_pipe_open(uv_loop_t *loop, const char *name, const char *const *command,
              const char *const *environment, const char *folder,
              const struct mcp_link_events *events, struct err *err);
/* Everything is copied. */
MUST_USE struct mcp_link *mcp_http_open(uv_loop_t *loop, const char *url,
                                        const struct fetch_header *headers,
                                        int header_count, const char *ca_file,
                                        const struct mcp_link_events *events,
                                        struct err *err);

#endif
