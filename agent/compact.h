/* compact.h - a conversation that outgrew the model's window made to fit again:
 * its oldest turns are left out, whole, or it is refused. A turn is what a user
 * says and everything up to what a user says next. Event-loop thread. */
#ifndef CORRAL_AGENT_COMPACT_H
#define CORRAL_AGENT_COMPACT_H

#include "agent/llm.h"

/* COMPACT_SUMMARISE drops like COMPACT_DROP; whoever asked sees to the summary
 * (summary.h), of what is left out. */
enum compact_how { COMPACT_DROP, COMPACT_REFUSE, COMPACT_SUMMARISE };

struct compact_options {
    enum compact_how how;
    int tokens; /* the window; 0: the model's own, where that is known */
};

/* Take the oldest turns out of `r` when its prompt leaves too little room for
 * an answer; then as many that half of the window is free, so that the next
 * turns need no cut and find their prefix cached. The system's messages and the
 * last turn stay. *dropped says how many messages went. ERR_LIMIT when it may
 * not be cut, or the last turn alone does not fit. `out`, which may be
 * NULL, gets the messages that went, in the request's arena. Where tokens
 * cannot be counted here, three bytes are taken for one. */
MUST_USE bool compact_fit(struct llm *llm, const struct compact_options *o,
                          struct chat_request *r, struct chat_message **out,
                          int *dropped, struct err *err);

/* The tokens of what is asked, where they cannot be counted. */
int compact_guess(const struct chat_request *r);
/* The same of so many bytes of text. */
int compact_guess_text(size_t bytes);
/* What `u` lacks of an answer of `bytes` to `r`, which nobody told, is guessed
 * so. */
void compact_guess_usage(struct llm_usage *u, const struct chat_request *r,
                         size_t bytes);

#endif
