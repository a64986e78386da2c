/* router.h - which model answers to which name. Filled before it is used, only
 * read afterwards. Event-loop thread. */
#ifndef CORRAL_PROXY_ROUTER_H
#define CORRAL_PROXY_ROUTER_H

#include "agent/llm.h"

struct router; /* opaque */

struct router *router_new(void);
void router_free(struct router *r); /* NULL is fine; it must have no users */
/* Whoever keeps a model of it uses it until then, so that a router that is
 * replaced can wait for its end. */
struct router *router_use(struct router *r);
void router_leave(struct router *r); /* NULL is fine */
int router_users(const struct router *r);

/* `name` is what clients call it, "*" any name that is not there; copied. The
 * llm is borrowed. ERR_INPUT when the name is taken. */
MUST_USE bool router_add(struct router *r, const char *name, struct llm *llm,
                         struct err *err);
/* NULL: there is no such model. */
struct llm *router_find(const struct router *r, struct span name);
/* What clients may be shown, in the order of router_add(). Of a "*" alone:
 * the name of what is behind it. */
int router_count(const struct router *r);
const char *router_name(const struct router *r, int index);

#endif
