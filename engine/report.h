/* report.h - what a task has to say: events for its owner, each in one piece
 * of memory, freed with free(). */
#ifndef CORRAL_ENGINE_REPORT_H
#define CORRAL_ENGINE_REPORT_H

#include "engine/task.h"

struct scheduler_event {
    struct scheduler_event *next; /* the receiver's */
    uint64_t id;
    struct job_event event; /* its pointers lead into this piece */
};

/* The text that can leave, with its tokens; it is dropped from the task's
 * hold. NULL when there is none. `last`: tokens without a text leave too. */
struct scheduler_event *report_text(struct task *t, bool last);
/* Room for `count` scores, which the caller fills in through `scores`. */
struct scheduler_event *report_scores(const struct task *t, int count,
                                      float **scores);
struct scheduler_event *report_done(const struct task *t, enum job_end end);
struct scheduler_event *report_error(const struct task *t,
                                     const struct err *err);

#endif
