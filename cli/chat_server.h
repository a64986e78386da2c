/* chat_server.h - a server of its own for `corral chat`: the whole of `corral
 * serve` in a child process, on a loopback port that asks for a key which only
 * this chat has. So what is said in a chat is judged as it is anywhere. */
#ifndef CORRAL_CLI_CHAT_SERVER_H
#define CORRAL_CLI_CHAT_SERVER_H

#include "proxy/config.h"

struct chat_server;

/* `config` is changed to the chat's needs. Waits until requests are taken; NULL
 * with ERR_UNAVAILABLE when the child ended before that, and said why. */
MUST_USE struct chat_server *chat_server_open(struct config *config,
                                              struct err *err);
/* Borrowed until it is closed. */
const char *chat_server_url(const struct chat_server *s);
const char *chat_server_key(const struct chat_server *s);
/* Ends the child and removes what was only for it. NULL is fine. */
void chat_server_close(struct chat_server *s);

#endif
