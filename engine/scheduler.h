/* scheduler.h - whose rows go in the next step. Continuous batching: rows of
 * every running task go through the model together; a task joins and leaves
 * between any two steps. Owned by the scheduler thread; takes no lock.
 *
 *   waiting -> running (has a sequence) -> done
 *      ^----------+ preempted: the KV ran out, or nobody takes the text for
 *                   now; the text so far is kept
 *
 * A step's rows, in order of precedence: one for each running generation
 * (decode never waits for somebody's long prompt) and those of its guess
 * (draft.h), then score prompts, then generation prompts, in chunks that keep
 * the step short (pace.h), clients taking turns (queue.h). */
#ifndef CORRAL_ENGINE_SCHEDULER_H
#define CORRAL_ENGINE_SCHEDULER_H

#include "engine/model.h"
#include "engine/report.h"
#include "engine/tokenizer.h"

struct scheduler_parts {
    struct model *model;
    const struct tokenizer *tokenizer;
    struct kv *kv;
    int kv_positions;
    const struct adapter *const *adapters; /* by number - 1; may grow up to */
    int rows_max;                          /* ENGINE_ADAPTERS_MAX later */
    int tasks_max;
    bool no_speculation;
    /* Takes the event. May wait until there is room for it. */
    void (*emit)(void *user, struct scheduler_event *event);
    uint64_t (*clock_ns)(void); /* NULL: the monotonic clock */
    void *user;
};

struct scheduler;

/* Borrows everything in `parts`. */
struct scheduler *scheduler_new(const struct scheduler_parts *parts);
/* Drops its references to the tasks it still has, without events. */
void scheduler_free(struct scheduler *s);

/* Takes the caller's reference. The caller keeps to `tasks_max`. */
void scheduler_add(struct scheduler *s, struct task *task);
/* One step: drop the cancelled, admit, compute, emit. Returns how many tasks
 * are left; zero means that nothing is to do until the next scheduler_add(). */
int scheduler_step(struct scheduler *s);
/* All that are left rest, and there is nothing to do until one goes on, is
 * cancelled, passes its deadline or is added. */
bool scheduler_rests(const struct scheduler *s);
/* `jobs_waiting` without what is still in the inbox. */
void scheduler_stats(const struct scheduler *s, struct engine_stats *out);

#endif
