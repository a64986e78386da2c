#include "proxy/slots.h"

#include <assert.h>
#include <stdlib.h>

/* Is there while it has somebody in. */
struct slots_client {
    uint64_t id;
    int running;
    int waiting;
    uint64_t turn; /* when its last one went; 0: none has */
    struct slots_client *next;
};

struct slots {
    int running_max;
    int waiting_max;
    int running;
    int waiting;
    uint64_t turns; /* given so far */
    struct slots_client *clients;
    struct slot *first; /* of those that wait */
    struct slot *last;
};

struct slots *slots_new(int running_max, int waiting_max) {
    struct slots *s = xalloc(sizeof *s);

    s->running_max = running_max;
    s->waiting_max = waiting_max;
    return s;
}

void slots_free(struct slots *s) {
    assert(!s || !s->clients);
    free(s);
}

static struct slots_client *client_of(struct slots *s, uint64_t id) {
    struct slots_client *c = s->clients;

    while (c && c->id != id) c = c->next;
    if (c) return c;
    c = xalloc(sizeof *c);
    c->id = id;
    c->next = s->clients;
    s->clients = c;
    return c;
}

static void forget_idle(struct slots *s, struct slots_client *c) {
    struct slots_client **at = &s->clients;

    if (c->running || c->waiting) return;
    while (*at != c) at = &(*at)->next;
    *at = c->next;
    free(c);
}

static void hold(struct slots *s, struct slot *slot) {
    slot->state = SLOT_HELD;
    slot->client->running++;
    slot->client->turn = ++s->turns;
    s->running++;
}

static void join(struct slots *s, struct slot *slot) {
    slot->state = SLOT_WAITING;
    slot->client->waiting++;
    s->waiting++;
    slot->next = NULL;
    slot->prev = s->last;
    if (s->last)
        s->last->next = slot;
    else
        s->first = slot;
    s->last = slot;
}

static void quit(struct slots *s, struct slot *slot) {
    slot->client->waiting--;
    s->waiting--;
    if (slot->prev)
        slot->prev->next = slot->next;
    else
        s->first = slot->next;
    if (slot->next)
        slot->next->prev = slot->prev;
    else
        s->last = slot->prev;
}

enum slot_state slots_enter(struct slots *s, struct slot *slot, uint64_t client,
                            uint64_t now_ms) {
    struct slots_client *c = client_of(s, client);

    assert(slot->state == SLOT_NONE);
    slot->since_ms = now_ms;
    slot->client = c;
    if (s->running < s->running_max && !s->waiting)
        hold(s, slot);
    else if (s->waiting < s->waiting_max &&
             c->waiting < (s->waiting_max + 1) / 2)
        join(s, slot);
    else
        forget_idle(s, c);
    return slot->state;
}

void slots_leave(struct slots *s, struct slot *slot) {
    if (slot->state == SLOT_NONE) return;
    if (slot->state == SLOT_WAITING) {
        quit(s, slot);
    } else {
        slot->client->running--;
        s->running--;
    }
    slot->state = SLOT_NONE;
    forget_idle(s, slot->client);
}

static bool goes_before(const struct slots_client *a,
                        const struct slots_client *b) {
    return a->running != b->running ? a->running < b->running
                                    : a->turn < b->turn;
}

struct slot *slots_next(struct slots *s) {
    struct slot *best = s->first;

    if (!best || s->running >= s->running_max) return NULL;
    for (struct slot *at = best->next; at; at = at->next)
        if (goes_before(at->client, best->client)) best = at;
    quit(s, best);
    hold(s, best);
    return best;
}

struct slot *slots_oldest(const struct slots *s) {
    return s->first;
}

int slots_running(const struct slots *s) {
    return s->running;
}

int slots_waiting(const struct slots *s) {
    return s->waiting;
}
