/* choice.h - one of the answers to a request: the model's turn, the guard in
 * front of it, and what has been cleared. choice.c is the only way of model
 * text, tool calls and log probabilities to a client. Event-loop thread.
 *
 *   RUNNING -> CLOSING -> done        (any) -> blocked -> done, or failed
 *
 * What the model writes leaves only through on_release() of a guard stream, its
 * tool calls and what a tool answers only after a verdict of their own, which
 * may be to ask a person. CLOSING
 * waits for the verdict over the last piece of text. */
#ifndef CORRAL_PROXY_CHOICE_H
#define CORRAL_PROXY_CHOICE_H

#include <uv.h>

#include "guard/guard.h"
#include "proxy/dialect.h"

enum { CHOICE_TEXT_BYTES_MAX = 8 << 20, CHOICE_LOGPROB_BYTES_MAX = 8 << 20 };

struct approvals;
struct audit;
struct choice;
struct journal;
struct moderated;
struct registry;
struct trace_point;

/* A turn that an earlier process began, and that goes on from calls which have
 * no result: what the person said who was asked about one of them. */
struct choice_resume {
    const struct chat_tool_call *calls;
    int count;
    struct span text;   /* that the model wrote before them */
    struct span asked;  /* the id of that call; empty: none */
    const char *denied; /* why it is not made; NULL: it was approved */
};

/* Borrowed by the choice for its life. Only on_block(), on_fail() and on_done()
 * may free the choice. */
struct choice_options {
    struct guard *guard;
    const struct policy *policy;
    struct llm *llm;
    const struct registry *tools; /* may be NULL */
    struct approvals *approvals;  /* whom `ask` asks */
    struct journal *journal;      /* of a session's turn; may be NULL */
    int turn_steps;               /* see turn.h */
    int turn_tool_calls;
    int turn_seconds;
    int turn_tokens;
    uint64_t fence_key;
    const struct choice_resume *resume; /* NULL: a turn of its own */
    const struct dialect *dialect;
    const struct reply *reply;
    struct moderated *moderated; /* what the client wants of the verdicts */
    const struct chat_request *request; /* judged when choice_start() comes */
    /* The conversation that is answered: what the classifier reads before the
     * answer itself. */
    const struct guard_turn *turns;
    int turn_count;
    const struct trace_point *at; /* its spans hang below; may be NULL */
    uint64_t client;
    const char *owner; /* the id of the caller's key, "" without; borrowed */
    uv_loop_t *loop;
    const struct audit *audit; /* may be NULL */
    int index;

    /* What the server of the first choice calls its answer; no rule minds it.
     * Borrowed during the call. */
    void (*on_origin)(void *user, const struct llm_origin *origin);
    /* Text was cleared. */
    void (*on_heard)(void *user); /* the model's first text came */
    void (*on_cleared)(void *user);
    /* To the client, now; only when the request streams. */
    void (*on_bytes)(void *user, const struct bytes *bytes);
    /* A person is asked, and it takes time; only when the request streams. */
    void (*on_waiting)(void *user);
    /* A verdict, whatever it says, the time that it took and the audit's
     * hash of the text that was judged, or "". */
    void (*on_verdict)(void *user, enum channel channel,
                       const struct verdict *v, uint64_t ns, const char *hash);
    /* The verdict stops this choice; choice_refuse() is the usual answer. */
    void (*on_block)(void *user, struct choice *c, enum channel channel,
                     const struct verdict *v);
    void (*on_fail)(void *user, const struct err *why);
    /* All of it is out, or in choice_reply(). */
    void (*on_done)(void *user);
    void *user;
};

struct choice *choice_new(const struct choice_options *o);
/* Have the model begin although the request is not judged to its end; nothing
 * of it is looked at before choice_start(). The request must not change
 * between. */
void choice_start_early(struct choice *c);
/* No event comes inside. */
MUST_USE bool choice_start(struct choice *c, struct err *err);
/* The policy's message in the place of the answer, or after what was cleared
 * of it just the end; on_done() or on_fail() comes inside. */
void choice_refuse(struct choice *c, enum channel channel,
                   const struct verdict *v);
/* The client reads slower than the model writes; or it has caught up. */
void choice_throttle(struct choice *c, bool on);
/* Now and then: ends what is past its time. */
void choice_tick(struct choice *c);
void choice_free(struct choice *c); /* cancels; NULL is fine */

/* What is ready of the answer, borrowed. */
const struct reply_choice *choice_reply(const struct choice *c);
size_t choice_held(const struct choice *c); /* bytes that wait for a verdict */
struct llm_usage choice_usage(const struct choice *c);

#endif
