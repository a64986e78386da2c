/* choice_state.h - what the parts of a choice share; for choice*.c alone. */
#ifndef CORRAL_PROXY_CHOICE_STATE_H
#define CORRAL_PROXY_CHOICE_STATE_H

#include "agent/turn.h"
#include "base/hash.h"
#include "guard/stream.h"
#include "proxy/ahead.h"
#include "proxy/choice.h"
#include "proxy/logprob_queue.h"
#include "proxy/moderated.h"

enum { CHOICE_TRACED_MAX = 16 };

/* What the guard stream's verdict is waited for. */
enum after { AFTER_NOTHING, AFTER_CALL, AFTER_END };

struct choice {
    struct choice_options o;
    struct chat_request request;
    struct chat_request early; /* as the model is shown it */
    uint64_t deadline_ms; /* of the guard, while something is judged; or 0 */

    struct ahead *ahead;        /* begun before the verdict; or NULL */
    struct hash_stream *judged; /* what the next verdict is about; or NULL */
    struct turn *turn;
    struct guard_stream *stream;
    struct guard_check *check;
    struct approval *approval; /* while a person is asked */
    uint64_t waiting_ms;       /* when the client was last told */
    enum channel channel;      /* of the check, or of the stream */
    uint64_t check_ns;
    enum after after;
    struct chat_tool_call call; /* the one that asks leave; arena */
    struct verdict *leave; /* of the rules about tools, on this call; arena */
    bool call_server;      /* whose tool it is */
    struct {
        uint64_t id;            /* a hash of the call's */
        uint64_t start_ns;      /* 0: free */
    } begun[CHOICE_TRACED_MAX]; /* calls of ours that run; later ones untraced
                                 */
    struct span result;         /* arena */
    bool result_shown; /* the classifier is asked about what is shown of it */
    struct turn_end end;
    char session[HASH_ID_SIZE]; /* of a turn that belongs to none: tools may
                                 * keep state from call to call of it */

    struct chat_tool_call *calls; /* for the client; NULL: none yet */
    struct bytes text;            /* cleared, when the answer goes out whole */
    bool text_sent;
    struct bytes kept; /* released, but the client wants the verdict first */
    struct logprob_queue waiting; /* for their text to be cleared */
    struct bytes logprobs;        /* cleared, and not sent yet */
    struct reply_choice reply;
};

/* choice.c */

/* Stops everything; the owner says what becomes of the choice. */
void choice_block(struct choice *c, enum channel channel,
                  const struct verdict *v);
/* The guard is asked: what it says must come in time. */
void choice_await(struct choice *c, enum channel channel);
/* Wait for the verdict over the text so far, then go on with `after`. */
void choice_settle(struct choice *c, enum after after);
/* For the audit: what the next verdict is about, and the verdict. */
void choice_judged_begin(struct choice *c);
void choice_judged_add(struct choice *c, struct span text);
void choice_tell(struct choice *c, enum channel channel,
                 const struct verdict *v, uint64_t ns);

/* choice_calls.c: a turn's hooks, see turn.h. */

void choice_ask_call(void *user, const struct chat_tool_call *call,
                     bool server);
void choice_ask_result(void *user, const struct chat_tool_call *call,
                       struct span result);
void choice_client_call(void *user, const struct chat_tool_call *call);
/* The text before the call in c->call is settled: judge the call. */
void choice_judge_call(struct choice *c);
/* A person is being asked: tell the client that it goes on. */
void choice_tell_waiting(struct choice *c);

/* choice_events.c: for a client that wants to be told, and for the session's
 * record, about c->call. */

/* It is about to run. */
void choice_event_call(struct choice *c);
/* What the model reads of it. */
void choice_event_result(struct choice *c, const char *prefix,
                         struct span text);
/* c->approval waits for a person. */
void choice_event_approval(struct choice *c, struct span checks);
/* On c->channel. */
void choice_event_verdict(struct choice *c, const struct verdict *v);

#endif
