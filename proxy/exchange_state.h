/* exchange_state.h - what the parts of an exchange share; for exchange*.c
 * alone. */
#ifndef CORRAL_PROXY_EXCHANGE_STATE_H
#define CORRAL_PROXY_EXCHANGE_STATE_H

#include "base/hash.h"
#include "guard/guard.h"
#include "proxy/audit.h"
#include "proxy/choice.h"
#include "proxy/exchange.h"
#include "proxy/fields.h"
#include "proxy/moderated.h"
#include "proxy/questions.h"
#include "proxy/tracing.h"

struct caller;

struct exchange {
    struct exchange_context *context;
    struct exchange *next, *prev;
    struct conn *conn; /* NULL: nobody waits for the answer */
    const struct dialect *dialect;
    struct policy *policy;
    struct arena *arena;
    const cJSON *body;
    cJSON *added;       /* `body`, where its dialect adds to it; or NULL */
    const cJSON *calls; /* of a resumed turn; its texts are borrowed */
    struct chat_request request;
    struct router *router; /* used, once there is a model */
    struct llm *llm;       /* that the request asks for */
    struct trace_point at;
    struct traced *traced;   /* `llm`, where the trace is sampled; or NULL */
    struct caller *caller;   /* whose key; NULL: without */
    struct journal *journal; /* of a session's turn, or NULL */
    uint64_t client;
    uint64_t started_ns;
    uint64_t deadline_ms; /* of the guard, while the request is judged; or 0 */

    struct exchange_summary *summary; /* while one is made; arena */

    struct field *fields;
    int field_count;
    struct question *questions;
    int question_count;
    int judging;        /* the question that is asked, or would be next */
    bool fields_judged; /* by rules and entities */
    struct guard_check *check;
    uint64_t check_ns;
    uint64_t guard_ns; /* spent on verdicts so far */
    enum channel channel;

    struct choice_resume resume;
    bool resumed; /* `resume` is filled */

    struct choice *choices[CHAT_CHOICES_MAX];
    int choice_count;
    int choices_left;  /* not done yet */
    uint64_t asked_ns; /* when the model was asked */
    bool heard;        /* its first text came */
    bool answering;    /* the first text was cleared */

    struct reply reply;
    struct moderated moderated;
    char id[HASH_ID_SIZE];       /* of the answer */
    char decision[HASH_ID_SIZE]; /* of the verdict that weighs most so far */
    struct bytes checks;         /* that acted so far */
    int decisions;

    int holds; /* loops over the choices that are on the stack */
    bool freed;
};

/* exchange.c: the model as one whose generations are spans, for that purpose;
 * NULL: the trace is not sampled. */
struct traced *exchange_traced(const struct exchange *x, const char *purpose);

/* exchange_request.c: the body read and checked, a session's cut to the window;
 * then, unless a summary of the rest is to be made first, made ready to be
 * judged. */
MUST_USE bool exchange_read(struct exchange *x, struct span body,
                            struct err *err);
MUST_USE bool exchange_prepare(struct exchange *x, struct err *err);

/* exchange_summary.c: note that these messages need one, begin with it, and
 * end it before its time. exchange_go_on() follows when it is done. */
MUST_USE bool exchange_summarise(struct exchange *x,
                                 struct chat_message *messages, int count,
                                 struct err *err);
void exchange_summary_begin(struct exchange *x);
void exchange_summary_stop(struct exchange *x);
void exchange_summary_tick(struct exchange *x);

/* exchange.c */
void exchange_go_on(struct exchange *x);
void exchange_note_verdict(struct exchange *x, enum channel channel,
                           const struct verdict *v, uint64_t ns,
                           const char *hash);

/* The calls of a turn that goes on; after exchange_read(). */
MUST_USE bool exchange_read_calls(struct exchange *x,
                                  const struct exchange_resume *r,
                                  struct err *err);

/* exchange_answer.c: each ends the exchange, but for the first two. */

/* The head of a stream; once is enough. */
void exchange_begin_stream(struct exchange *x);
/* The client left before it had all. */
void exchange_count(struct exchange *x, int status);
/* Something other than the policy went wrong: an error status before the first
 * byte, an error event after it. */
void exchange_fail(struct exchange *x, const struct err *why);
/* The guard itself failed. Never the same body as a block by the policy. */
void exchange_fail_unavailable(struct exchange *x, const struct err *why);
/* The policy said no, and the client wants an error for that. */
void exchange_refuse_error(struct exchange *x);
/* How many tokens the request has. Nothing of it is shown to anybody, so nobody
 * judges it. */
void exchange_count_tokens(struct exchange *x);
/* All choices are done. */
void exchange_finish(struct exchange *x);
/* Cancels what still runs. The connection has been answered, or has left. */
void exchange_free(struct exchange *x);

struct audit_subject exchange_subject(const struct exchange *x);
bool exchange_streaming(const struct exchange *x);
/* Whose request it is, in stores that outlive it. */
const char *exchange_owner(const struct exchange *x);

/* exchange.c: around a loop over the choices, any of which may be the
 * exchange's end: until exchange_let_go(), the loop may look at x->freed. */
void exchange_hold(struct exchange *x);
void exchange_let_go(struct exchange *x);

#endif
