/* pool.h - the compute threads. One thread, the owner, hands out work and
 * takes part in it. A thread that does not get the processor in time is not
 * waited for: the others take its tasks, so a busy machine costs speed but
 * never a stall for a thread that has nothing in hand. */
#ifndef CORRAL_ENGINE_POOL_H
#define CORRAL_ENGINE_POOL_H

#include "base/err.h"

struct pool;

enum { POOL_THREADS_MAX = 256 };

/* `threads` counts the owner; 0 is one for each processor allowed. */
MUST_USE struct pool *pool_open(int threads, struct err *err);
void pool_close(struct pool *pool);
int pool_threads(const struct pool *pool);

typedef void pool_task(void *user, int task, int thread);

/* Run task 0 to tasks-1, each once, on any thread, in any order; returns when
 * all are done. `thread` is below pool_threads() and unique at any moment. */
void pool_run(struct pool *pool, int tasks, pool_task *task, void *user);

#endif
