/* daemon_state.h - what the parts of the daemon share; for daemon*.c alone. */
#ifndef CORRAL_CLI_DAEMON_STATE_H
#define CORRAL_CLI_DAEMON_STATE_H

#include <uv.h>

#include "agent/llm.h"
#include "cli/daemon.h"
#include "cli/models.h"
#include "guard/guard.h"
#include "proxy/admin.h"
#include "proxy/config.h"
#include "proxy/server.h"
#include "proxy/service.h"
#include "proxy/tracer.h"

enum daemon_state { STARTING, SERVING, DRAINING, CLOSING };
enum { SIGNALS = 3 };

/* Models that a later configuration has none of: those that answers began with
 * go on until nobody uses them. One a loop. */
struct retirement {
    uv_timer_t sweep;
    struct retired *first;
};

/* What the gauges tell of the loops beside the first, summed; no older than a
 * quarter of a second. */
struct loop_figures {
    double connections, in_flight, held, scanned, remembered, waiting;
    double spans_sent, spans_dropped, spans_waiting;
};

struct daemon {
    enum daemon_state state;
    struct config *config;             /* in force */
    const struct daemon_source *again; /* NULL: there is no file to read */
    uv_loop_t loop;
    uv_async_t wakeup; /* the engine's scheduler thread has events for us */
    uv_signal_t signals[SIGNALS];
    uv_timer_t watchdog;        /* signs of life for a service manager */
    struct reload *reload;      /* NULL: nothing was ever read again */
    struct policy_watch *watch; /* NULL: the folder cannot be watched */
    struct file_watch *keys_watch;
    struct file_watch *admin_watch;
    char *policy_path;
    char *model_path;
    char *guard_folder;
    char *model_name;
    struct policy *policy;
    struct engine *engine; /* NULL when neither model nor policy needs it */
    struct guard *guard;
    struct second_guard *second; /* a Llama Guard, where one was asked for */
    struct llm *llm;          /* the engine as one; NULL: it serves no model */
    struct model_set *models; /* in force */
    struct retirement retired;
    struct loops *loops; /* beside the first, whose all else here is */
    struct registry *tools;
    struct mcp_servers *mcp; /* whose tools are among them; or NULL */
    struct metrics *metrics;
    struct auth *auth;
    struct addresses *addresses;
    struct auth *admin_auth; /* NULL: administration has no keys of its own */
    struct sessions *sessions;
    struct tracer *tracer; /* NULL: no spans are sent */
    struct audit *audit;   /* NULL: none is kept */
    char *data;
    char *audit_path;
    struct service *service;
    struct tls_context *tls; /* NULL: in the clear */
    struct server *server;
    struct admin *admin; /* NULL: there is no administration */
    struct server *admin_server;
};

/* daemon.c: what a service and a server of any loop have in common. */
struct service_options daemon_service_options(const struct daemon *d);
struct server_options daemon_server_options(const struct daemon *d);
/* The loops beside the first have ended; all have drained, perhaps. */
void daemon_loops_ended(struct daemon *d);
void daemon_drained(struct daemon *d);

/* daemon_loops.c */

/* `loops: N`: those beside the first, none for 1. Last, but for what only the
 * first does. */
MUST_USE bool daemon_open_loops(struct daemon *d, struct err *err);
void daemon_close_loops(struct daemon *d); /* daemon_loops_ended() follows */
void daemon_free_loops(struct daemon *d);
/* Each tells daemon_drained() when it has. */
void daemon_drain_loops(struct daemon *d);
bool daemon_loops_drained(const struct daemon *d);
/* Between these two no loop but ours runs: what all of them use may be changed,
 * and what is theirs touched. May be nested. */
void daemon_hold_loops(struct daemon *d);
void daemon_release_loops(struct daemon *d);
struct loop_figures daemon_loop_figures(struct daemon *d);
struct server_spread daemon_spread(struct daemon *d, bool first);
/* By number, ours is 0. */
int daemon_loop_count(const struct daemon *d);
struct service *daemon_service(const struct daemon *d, int index);
struct server *daemon_server(const struct daemon *d, int index);
struct second_guard *daemon_second_guard(const struct daemon *d, int index);
/* Held: sets for the others with the upstreams of `s`, into out[1..count). On
 * failure those that are there are the caller's to close, too. */
MUST_USE bool daemon_share_models(struct daemon *d, struct model_set *s,
                                  struct model_set **out, struct err *err);
/* Held: put in force; taken. */
void daemon_take_shared(struct daemon *d, struct model_set **sets);

/* daemon_reload.c */

/* What is read again together: the later ones are parts of the first, which is
 * all that can be, at once or not at all. */
enum daemon_files { DAEMON_ALL, DAEMON_KEYS, DAEMON_POLICY, DAEMON_FILES };

/* `ok`: it is in force. `parts`, a map, has what is wrong with which part, and
 * `err` the first of that; both borrowed, NULL when there is nothing to say. */
typedef void daemon_reloaded(void *user, bool ok, const cJSON *parts,
                             const struct err *err);

/* Read again, as soon as what is being read now is done with. `done`, which may
 * be NULL, is called once, later. */
void daemon_reload(struct daemon *d, enum daemon_files files,
                   daemon_reloaded *done, void *user);
/* When CLOSING: no more of it. */
void daemon_reload_end(struct daemon *d);
/* Have what MCP servers say of their tools judged by the policies in force.
 * Runs the loop: at start. */
void daemon_hear_tools(struct daemon *d);
/* Put in force. Both are taken; `path` NULL: as before. */
void daemon_take_policy(struct daemon *d, struct policy *policy, char *path);
/* The keys have changed: tell log and audit. */
void daemon_tell_keys(struct daemon *d);

/* daemon.c */
void daemon_watch_policy(struct daemon *d);
void daemon_watch_keys(struct daemon *d); /* the clients' */

/* daemon_models.c */

MUST_USE bool daemon_open_models(struct daemon *d, struct err *err);
void daemon_close_models(struct daemon *d);
void daemon_add_model_gauges(struct daemon *d);
/* Those of a configuration, which must outlive them; not in force. */
MUST_USE struct model_set *
daemon_read_models(struct daemon *d, const struct config *c, struct err *err);
void retirement_begin(struct retirement *all, uv_loop_t *loop);
/* No request may use any of them any more. */
void retirement_end(struct retirement *all);
void retire(struct retirement *all, struct model_set *models);
/* In force: `s` and the upstreams of `fresh` are taken. */
void daemon_take_models(struct daemon *d, struct model_set *s,
                        struct config *fresh);

/* daemon_notify.c */

/* The socket for clients, or for administration, that a service manager has
 * passed on to us; *fd is 0 when there is none. */
MUST_USE bool daemon_listener(const struct daemon *d, bool admin, int *fd,
                              struct err *err);
/* We serve: tell the service manager, and go on to give signs of life. */
void daemon_ready(struct daemon *d);

#endif
