/* turn.h - generate, ask leave, run, repeat: from a request to an answer, a
 * list of calls for the client, a limit, or a refusal. The turn cannot tell a
 * guard from a test: whoever starts it fills in the hooks. Event-loop thread.
 *
 *   GENERATING -> ASKING_CALL -> RUNNING -> ASKING_RESULT -> GENERATING ...
 *        |             |           |             |
 *        +-------------+-----------+-------------+--> ENDED
 */
#ifndef CORRAL_AGENT_TURN_H
#define CORRAL_AGENT_TURN_H

#include "agent/llm.h"
#include "tools/registry.h"

struct turn;

struct turn_limits {
    int steps;      /* generations */
    int tool_calls; /* in all */
    int seconds;
    /* Read and written, over all generations; guessed by their size for a
     * server that does not say. */
    int tokens;
};

#define TURN_LIMITS_DEFAULT                                                    \
    ((struct turn_limits){                                                     \
        .steps = 8, .tool_calls = 16, .seconds = 300, .tokens = 1000000})

enum turn_finish {
    TURN_STOP,
    TURN_LENGTH,
    TURN_CLIENT_CALLS, /* calls of tools that the client declared */
    TURN_REFUSED,      /* a hook said no */
    TURN_LIMIT,        /* `limit` says which one, `err` in words */
    TURN_FAILED,       /* `err` */
    TURN_FILTERED      /* an upstream's own filter ended it */
};

enum turn_limit {
    TURN_LIMIT_STEPS,
    TURN_LIMIT_TOOL_CALLS,
    TURN_LIMIT_SAME_CALL, /* the same call again and again */
    TURN_LIMIT_TOKENS,
    TURN_LIMIT_SECONDS
};

struct turn_end {
    enum turn_finish finish;
    enum turn_limit limit;  /* TURN_LIMIT: which one */
    struct llm_usage usage; /* summed over the steps */
    struct span stop;       /* TURN_STOP: see llm_end */
    int steps;
    int tool_calls;
    struct err err;
};

/* Borrowed arguments live during the callback. turn_free() is allowed in any
 * of them. */
struct turn_hooks {
    /* A generation begins: its prompt in the engine's tokens (see llm.h). */
    void (*on_prompt)(void *user, const int *tokens, int token_count);
    /* A generation's own name, not judged (see llm.h). */
    void (*on_origin)(void *user, const struct llm_origin *origin);
    /* Raw model text, not judged yet. */
    void (*on_text)(void *user, struct span text, const int *tokens,
                    int token_count);
    /* Of raw model text, not judged yet (see llm.h). */
    void (*on_logprobs)(void *user, const struct llm_logprob *list, int count);
    /* May this call be made (or, for a client's tool, be handed over)? Answer
     * with turn_answer() or turn_deny(), now or later. `server` tells whose
     * tool it is. */
    void (*ask_call)(void *user, const struct chat_tool_call *call,
                     bool server);
    /* May the model read this result? Answer with turn_answer(), or with
     * turn_answer_text() to put another text (a redacted one) in its place. */
    void (*ask_result)(void *user, const struct chat_tool_call *call,
                       struct span result);
    /* A client's call that was allowed, in order, before on_end. */
    void (*on_client_call)(void *user, const struct chat_tool_call *call);
    /* Once, the last one. */
    void (*on_end)(void *user, const struct turn_end *end);
    void *user;
};

struct turn_options {
    struct llm *llm;
    const struct registry *tools; /* runs those marked `server`; may be NULL */
    /* Borrowed until turn_free(); its arena takes the messages that the loop
     * adds. */
    const struct chat_request *request;
    struct turn_limits limits;
    uint64_t client;
    struct span session; /* its key, borrowed likewise; empty: none */
    struct span owner;   /* the id of the caller's key, borrowed likewise */
    /* Calls that the model made before this process began, and that have no
     * result: they are made first, beginning with the next turn_tick(), and
     * ask leave as others do. Borrowed during the call of turn_start(). */
    const struct chat_tool_call *pending;
    int pending_count;        /* at most CHAT_TOOL_CALLS_MAX */
    struct span pending_text; /* that the model wrote before them; judged */
    /* See fence.h; 0: the model reads results as they are. */
    uint64_t fence_key;
};

/* For clients: "steps", "tool_calls", "same_call", "tokens", "seconds". */
const char *turn_limit_name(enum turn_limit limit);
/* No hook runs inside. NULL with `err`. */
MUST_USE struct turn *turn_start(const struct turn_options *o,
                                 const struct turn_hooks *hooks,
                                 struct err *err);
/* What the steps so far took. Of a generation that is under way, or was cut
 * off, the tokens that came; where nobody counted them three bytes are one. */
struct llm_usage turn_usage(const struct turn *t);
void turn_answer(struct turn *t, bool allow);
void turn_answer_text(struct turn *t, struct span replacement);
/* The call is not made; the model reads `reason` as its error, and goes on. A
 * client's call is not handed over. */
void turn_deny(struct turn *t, struct span reason);
/* The answer to ask_call() hangs on a person: its seconds do not count. */
void turn_pause(struct turn *t);
/* The conversation so far, with what the model said and the results it got.
 * Borrowed until the next callback. */
const struct chat_request *turn_request(const struct turn *t);
/* Stop generating and running; no hook after this. NULL is fine. */
void turn_free(struct turn *t);
/* See llm.h; holds for this generation and those after it. */
void turn_throttle(struct turn *t, bool on);
/* Call now and then (a timer, once a second): ends a turn past its seconds, and
 * begins one with pending calls. */
void turn_tick(struct turn *t);

#endif
