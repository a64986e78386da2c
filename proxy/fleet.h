/* fleet.h - servers that are as good as each other, as a language model for
 * each name that they answer to. A call goes to the one with the least to do
 * for its weight; while no byte of an answer has come it may go to another, and
 * when none is left to a model elsewhere. Event-loop thread. */
#ifndef CORRAL_PROXY_FLEET_H
#define CORRAL_PROXY_FLEET_H

#include <uv.h>

#include "agent/llm.h"
#include "proxy/config_upstream.h"

struct fleet; /* opaque */

/* Borrows both. Reads the keys: ERR_INPUT when one is not where it should be.
 * Questions about the members' health begin with the loop. */
MUST_USE struct fleet *fleet_open(uv_loop_t *loop,
                                  const struct config_upstream *config,
                                  struct err *err);
/* Every call must be over. Frees itself in the loop. NULL is fine. */
void fleet_close(struct fleet *f);

/* This is one of `count` fleets of the same servers, each in its own loop: its
 * part of the calls that may run, and wait, at a time. Before the first call;
 * `concurrency`, if there is one, is at least `count`. */
void fleet_divide(struct fleet *f, int index, int count);

/* The model that config->models[index] describes; borrowed. */
struct llm *fleet_llm(struct fleet *f, int index);
/* Where a call goes when no member can take it; the next after those added
 * before. What that model itself would fall back to is not asked. */
void fleet_fall_back(struct fleet *f, struct llm *to);

/* Calls in the line for a turn. */
int fleet_waiting(const struct fleet *f);
/* Members that a call could go to now. */
int fleet_members_up(const struct fleet *f);

#endif
