/* tool.h - what a tool is: a name, a schema, and a call that ends once. Event-
 * loop thread; a tool that takes time works on libuv's pool or in a process
 * and reports back on the loop. What a tool says is data, never instruction. */
#ifndef CORRAL_TOOLS_TOOL_H
#define CORRAL_TOOLS_TOOL_H

#include "base/bytes.h"
#include "base/json.h"

enum {
    TOOL_NAME_MAX = 64,
    TOOL_RESULT_BYTES_MAX = 256 << 10, /* a longer one is an error */
    /* What the model is shown of it, once all of it was judged. */
    TOOL_SHOWN_BYTES_MAX = 64 << 10,
    TOOL_ARGUMENT_BYTES_MAX = 64 << 10
};

struct tool;
struct tool_run; /* one call under way */

/* Who asks. Borrowed during the call of run(). */
struct tool_context {
    /* The key of the session whose turn this is: calls with the same key may
     * share state, calls with another must not. Empty: this turn has none. */
    struct span session;
    /* The id of the key that it is for: what a tool leaves behind is for this
     * key only. Empty: no keys are asked for. */
    struct span owner;
};

/* The end of a call. With `ok` false, `text` is an error that the model may
 * read. Borrowed during the callback. */
typedef void tool_done(void *user, bool ok, struct span text);

/* What a stranger says of a tool that is offered here. */
struct tool_said {
    const char *text;   /* all of it, to be judged; NULL: it is too long */
    const char *server; /* whose it is */
    const char *remote; /* what the server calls it */
    const char *digest; /* of the definition, by which a person approves it */
};

struct tool {
    const char *name;
    const char *description;
    const char *schema; /* JSON Schema of the arguments, as text */
    /* NULL: the words are the operator's own, or were approved by one. Else no
     * model may be told of the tool before somebody has judged them. */
    const struct tool_said *said;
    /* Running the same call again changes nothing in the world: after a crash
     * in the middle of it, it may be made again without asking. */
    bool idempotent;
    /* How much of a result the model is shown, once all of it was judged; 0:
     * TOOL_SHOWN_BYTES_MAX, which is also the most. A tool cuts nothing off
     * itself that it could still say. */
    size_t shown_bytes_max;
    void *self; /* the tool's own state, NULL when it has none */
    /* Begin a call. `arguments` is an object that is valid for `schema`,
     * borrowed during the call to this function. `done` is called exactly
     * once unless cancelled: before this returns (then the result is NULL),
     * or later on the loop. */
    struct tool_run *(*run)(const struct tool *tool, const cJSON *arguments,
                            const struct tool_context *context, tool_done *done,
                            void *user);
    /* `done` is not called any more. What the run still holds goes later. */
    void (*cancel)(struct tool_run *run);
    /* NULL: there is nothing to close. No run is under way. Frees the tool, at
     * once or, when it has handles on the loop, once the loop ran again. */
    void (*close)(struct tool *tool);
};

#endif
