/* slots.h - who goes next where only so many may at a time. A line of those
 * that wait, bounded, and fair: whose client has the least under way goes
 * first, and among equals the client that has waited longest for a turn. Knows
 * no clock and starts nothing itself. Event-loop thread. */
#ifndef CORRAL_PROXY_SLOTS_H
#define CORRAL_PROXY_SLOTS_H

#include "base/bytes.h"

struct slots; /* opaque */
struct slots_client;

enum slot_state { SLOT_NONE, SLOT_WAITING, SLOT_HELD };

/* One that wants to go; embedded by the caller, zeroed at first. Private but
 * for the `since_ms` that slots_enter() was given and the `state`. */
struct slot {
    enum slot_state state;
    uint64_t since_ms;
    struct slots_client *client;
    struct slot *next; /* of those that wait, by arrival */
    struct slot *prev;
};

/* `running_max` hold a slot, `waiting_max` wait; of these one client may have
 * half. */
struct slots *slots_new(int running_max, int waiting_max);
/* Nobody may be in it. NULL is fine. */
void slots_free(struct slots *s);

/* The state that `slot` is in now; SLOT_NONE when the line is full. Somebody
 * who waits already is never overtaken by who comes. */
enum slot_state slots_enter(struct slots *s, struct slot *slot, uint64_t client,
                            uint64_t now_ms);
/* Out of the line, or done. */
void slots_leave(struct slots *s, struct slot *slot);
/* Whose turn it is, holding a slot from now on; NULL: nobody's. To be asked
 * again until then after every slots_leave(). */
struct slot *slots_next(struct slots *s);
/* Who came first of those that wait; NULL: nobody does. */
struct slot *slots_oldest(const struct slots *s);

int slots_running(const struct slots *s);
int slots_waiting(const struct slots *s);

#endif
