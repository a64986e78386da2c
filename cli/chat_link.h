/* chat_link.h - requests of `corral chat` to a server, one after another, each
 * waited for. The only thread. */
#ifndef CORRAL_CLI_CHAT_LINK_H
#define CORRAL_CLI_CHAT_LINK_H

#include "base/bytes.h"

struct chat_link;

struct chat_reply {
    int status;
    char policy[64]; /* its revision, or "" */
    struct bytes body;
};

/* `key` may be NULL: none is sent. ERR_INPUT when `url` is none. */
MUST_USE struct chat_link *chat_link_open(const char *url, const char *key,
                                          struct err *err);
void chat_link_close(struct chat_link *l); /* NULL is fine */

/* Without a body when it is empty. True when there is an answer, whatever its
 * status. The bytes are the caller's to free, also on failure. */
MUST_USE bool chat_link_ask(struct chat_link *l, const char *method,
                            const char *path, struct span body,
                            struct chat_reply *out, struct err *err);

struct chat_stream_events {
    /* A whole event's data. */
    void (*on_data)(void *user, struct span data);
    /* Now and then while nothing comes; may use chat_link_ask(). */
    void (*on_silence)(void *user);
    void *user;
};

/* A POST whose answer streams; what is no stream is in out->body. SIGINT ends
 * it: true with *interrupted. */
MUST_USE bool chat_link_stream(struct chat_link *l, const char *path,
                               struct span body,
                               const struct chat_stream_events *events,
                               struct chat_reply *out, bool *interrupted,
                               struct err *err);

#endif
