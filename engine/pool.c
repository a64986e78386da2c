/* pool.c - work is a numbered phase with a count of tasks.
 *
 *   state = phase << 32 | next task
 *
 * A thread claims a task by adding one to a state of the phase it knows, so a
 * claim cannot succeed on a phase that is over. The owner starts a phase only
 * when all tasks of the one before are done, and closes that one (next task
 * INT_MAX) before it changes what a claim reads. */
#include "engine/pool.h"

#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"

/* How often a thread looks before it goes to sleep: some 50 microseconds,
 * longer than the serial parts of a step. */
enum { SPINS = 2000, PHASE_SHIFT = 32 };

struct worker {
    struct pool *pool;
    pthread_t thread;
    int index;
};

struct pool {
    _Atomic uint64_t state;
    _Atomic(pool_task *) task;
    _Atomic(void *) user;
    atomic_int tasks;
    atomic_int done;
    atomic_int sleepers;
    atomic_bool stop;
    pthread_mutex_t lock; /* for sleeping only */
    pthread_cond_t wake;
    int threads;
    struct worker *workers;
};

static void relax(void) {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#endif
}

/* Do tasks of phase `phase` until none is left to claim. */
static void work(struct pool *p, uint64_t phase, int thread) {
    uint64_t state = atomic_load(&p->state);

    while (state >> PHASE_SHIFT == phase) {
        int next = (int)(uint32_t)state;
        pool_task *task = atomic_load(&p->task);
        void *user = atomic_load(&p->user);

        if (next >= atomic_load(&p->tasks)) return;
        if (!atomic_compare_exchange_weak(&p->state, &state, state + 1))
            continue;
        task(user, next, thread);
        atomic_fetch_add(&p->done, 1);
        state = atomic_load(&p->state);
    }
}

/* The phase after `seen`, or `seen` again when the pool stops. */
static uint64_t wait_for_phase(struct pool *p, uint64_t seen) {
    uint64_t phase = seen;

    for (int i = 0; i < SPINS; i++) {
        phase = atomic_load(&p->state) >> PHASE_SHIFT;
        if (phase != seen || atomic_load(&p->stop)) return phase;
        relax();
    }
    pthread_mutex_lock(&p->lock);
    atomic_fetch_add(&p->sleepers, 1);
    for (;;) {
        phase = atomic_load(&p->state) >> PHASE_SHIFT;
        if (phase != seen || atomic_load(&p->stop)) break;
        pthread_cond_wait(&p->wake, &p->lock);
    }
    atomic_fetch_sub(&p->sleepers, 1);
    pthread_mutex_unlock(&p->lock);
    return phase;
}

static void *worker_main(void *user) {
    struct worker *w = user;
    uint64_t phase = 0;

    while (!atomic_load(&w->pool->stop)) {
        phase = wait_for_phase(w->pool, phase);
        work(w->pool, phase, w->index);
    }
    return NULL;
}

static void wake_sleepers(struct pool *p) {
    if (!atomic_load(&p->sleepers)) return;
    pthread_mutex_lock(&p->lock);
    pthread_cond_broadcast(&p->wake);
    pthread_mutex_unlock(&p->lock);
}

void pool_run(struct pool *p, int tasks, pool_task *task, void *user) {
    uint64_t phase = (atomic_load(&p->state) >> PHASE_SHIFT) + 1;

    if (p->threads == 1 || tasks <= 1) {
        for (int i = 0; i < tasks; i++) task(user, i, 0);
        return;
    }
    /* A late thread of the phase before may read these together with the old
     * state; since the state changes first, its claim fails. */
    atomic_store(&p->state,
                 ((phase - 1) & UINT32_MAX) << PHASE_SHIFT | INT_MAX);
    atomic_store(&p->task, task);
    atomic_store(&p->user, user);
    atomic_store(&p->tasks, tasks);
    atomic_store(&p->done, 0);
    atomic_store(&p->state, (phase & UINT32_MAX) << PHASE_SHIFT);
    wake_sleepers(p);
    work(p, phase & UINT32_MAX, 0);
    for (int i = 0; atomic_load(&p->done) < tasks; i++) {
        if (i < SPINS)
            relax();
        else
            sched_yield();
    }
}

static int processors(void) {
    cpu_set_t set;

    if (sched_getaffinity(0, sizeof set, &set)) return 1;
    return CPU_COUNT(&set);
}

struct pool *pool_open(int threads, struct err *err) {
    struct pool *p = xalloc(sizeof *p);

    if (threads <= 0) threads = processors();
    if (threads > POOL_THREADS_MAX) threads = POOL_THREADS_MAX;
    p->workers = xalloc_array((size_t)threads, sizeof *p->workers);
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->wake, NULL);
    p->threads = 1;
    while (p->threads < threads) {
        struct worker *w = &p->workers[p->threads];
        int failed;

        w->pool = p;
        w->index = p->threads;
        failed = pthread_create(&w->thread, NULL, worker_main, w);
        if (failed) {
            err_set(err, ERR_IO, "cannot start a compute thread: %s",
                    strerror(failed));
            pool_close(p);
            return NULL;
        }
        p->threads++;
    }
    return p;
}

void pool_close(struct pool *p) {
    if (!p) return;
    atomic_store(&p->stop, true);
    pthread_mutex_lock(&p->lock);
    pthread_cond_broadcast(&p->wake);
    pthread_mutex_unlock(&p->lock);
    for (int i = 1; i < p->threads; i++)
        pthread_join(p->workers[i].thread, NULL);
    pthread_cond_destroy(&p->wake);
    pthread_mutex_destroy(&p->lock);
    free(p->workers);
    free(p);
}

int pool_threads(const struct pool *p) {
    return p->threads;
}
