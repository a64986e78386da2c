/* queue.h - the tasks that a scheduler has, waiting and running, and whose
 * turn it is. Clients take turns, so that one with a hundred jobs does not
 * keep another from its first. Owned by the scheduler thread. */
#ifndef CORRAL_ENGINE_QUEUE_H
#define CORRAL_ENGINE_QUEUE_H

#include "engine/task.h"

struct queue {
    struct task **tasks; /* (count), in order of arrival, one reference each */
    int count;
    int max;
    uint64_t last_admitted; /* clients, for their turns */
    uint64_t last_prefilled;
};

void queue_init(struct queue *q, int tasks_max);
/* Gives the sequences back and drops its references. */
void queue_clear(struct queue *q);
/* Takes the caller's reference; there must be room. */
void queue_add(struct queue *q, struct task *task);
/* Gives the task's sequence back and drops its reference. */
void queue_remove(struct queue *q, struct task *task);

int queue_running(const struct queue *q); /* those with a sequence */
/* Who gets a sequence next, or NULL. Nobody who rests. Score jobs first;
 * whoever shares a long prefix with a prompt that is being computed waits for
 * it. */
struct task *queue_next_waiting(const struct queue *q);
/* Whose prompt is computed next: running, with no rows in this step yet. */
struct task *queue_next_prefill(const struct queue *q, enum job_kind kind);
/* Who must leave so that a task that has a sequence can go on: the youngest
 * generation of the client with most of them. The oldest of all is never
 * chosen while there is another, so that somebody always gets on. */
struct task *queue_victim(const struct queue *q);
/* And for a task that has none yet. A score job may send any generation
 * away, since it must not wait for a long answer; a generation only one of a
 * client that runs several, and only when its own client runs none. NULL:
 * it has to wait. */
struct task *queue_victim_for(const struct queue *q, const struct task *t);

#endif
