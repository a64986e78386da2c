/* chat_talk.h - the conversation of `corral chat`: lines in, answers out, with
 * the calls of tools, verdicts and questions in between. */
#ifndef CORRAL_CLI_CHAT_TALK_H
#define CORRAL_CLI_CHAT_TALK_H

#include "cli/chat_link.h"

struct chat_talk_options {
    struct chat_link *link;
    const char *model;   /* NULL: the server's first */
    const char *system;  /* NULL: none */
    const char *session; /* to go on with; NULL: a new one */
    bool own_server;     /* every question of it is ours */
};

/* Until the input ends, or /quit. False when the server cannot be talked to. */
MUST_USE bool chat_talk(const struct chat_talk_options *o, struct err *err);

#endif
