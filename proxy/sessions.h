/* sessions.h - conversations that the server keeps: /v1/sessions and what lies
 * below it. A turn of a session is the same exchange that a chat completion
 * is, over the stored messages; a journal keeps its record. One turn at a time
 * for each session. Event-loop thread; the file is worked on elsewhere. */
#ifndef CORRAL_PROXY_SESSIONS_H
#define CORRAL_PROXY_SESSIONS_H

#include "proxy/db_queue.h"
#include "proxy/exchange.h"

struct sessions;

enum { SESSIONS_JOBS_MAX = 4096 };

/* Open or create `folder`/sessions.db and end the turns that a crash cut
 * off and that cannot go on.
 * NULL with `err`; ERR_BUSY when another server has them. */
MUST_USE struct sessions *sessions_open(uv_loop_t *loop, const char *folder,
                                        struct err *err);
/* Go on with the turns that outlived the last process (suspended.h). Once;
 * `context` as below, and `auth`, must outlive sessions_close(). */
struct auth;
void sessions_resume(struct sessions *s, struct exchange_context *context,
                     const struct auth *auth);
/* Every connection must be closed before. Writes what is waiting and frees
 * itself in the loop. NULL is fine. */
void sessions_close(struct sessions *s);

/* A request for /v1/sessions or below, of any method. `context` is what turns
 * run in; it outlives the sessions' connections. */
void sessions_request(struct sessions *s, struct exchange_context *context,
                      struct conn *c, const struct http_request *r);
/* The client of such a request left; `user` is its conn_user(). */
void sessions_gone(struct sessions *s, void *user);

#endif
