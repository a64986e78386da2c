/* pool.c - work is a numbered phase, whose tasks are cut into a share for each
 * thread. A share is one word:
 *
 *   state = phase << 48 | end << 24 | next task
 *
 * A thread claims a task by adding one to a state that has some left: first
 * from its own share, which is on a cache line that nobody else touches, then
 * from the others', so that a thread without a processor holds nobody up. The
 * owner starts a phase only when all tasks of the one before are done, so a
 * claim that succeeds, however late, is one of the running phase, which then
 * waits for it: what to call is read after the claim. */
#include "engine/pool.h"

#include <assert.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"

/* How often a thread looks before it goes to sleep: some 100 microseconds,
 * longer than what a step does between its phases. */
enum { SPINS = 2000, PHASE_SHIFT = 48, END_SHIFT = 24, CACHE_LINES = 128 };

static const uint64_t task_mask = (1u << END_SHIFT) - 1;

struct share {
    _Alignas(CACHE_LINES) _Atomic uint64_t state;
};

struct worker {
    struct pool *pool;
    pthread_t thread;
    int index;
};

struct pool {
    _Alignas(CACHE_LINES) atomic_int done; /* tasks of the phase */
    _Alignas(CACHE_LINES) pool_task *task; /* read after a claim only */
    void *user;
    uint64_t phase; /* the owner's */
    atomic_int sleepers;
    atomic_bool stop;
    pthread_mutex_t lock; /* for sleeping only */
    pthread_cond_t wake;
    int threads;
    struct worker *workers;
    struct share *shares; /* (threads) */
};

static void relax(void) {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("isb" ::: "memory");
#endif
}

/* Do what is left of a share; how many tasks that were. */
static int work_share(struct pool *p, struct share *share, int thread) {
    uint64_t state = atomic_load_explicit(&share->state, memory_order_acquire);
    int finished = 0;

    while ((state & task_mask) < (state >> END_SHIFT & task_mask)) {
        if (!atomic_compare_exchange_weak(&share->state, &state, state + 1))
            continue;
        p->task(p->user, (int)(state & task_mask), thread);
        finished++;
        state = atomic_load_explicit(&share->state, memory_order_acquire);
    }
    return finished;
}

static void work(struct pool *p, int thread) {
    int finished = 0;

    for (int i = 0; i < p->threads; i++)
        finished +=
            work_share(p, &p->shares[(thread + i) % p->threads], thread);
    if (finished) atomic_fetch_add(&p->done, finished);
}

/* The phase after `seen`, or `seen` again when the pool stops. */
static uint64_t wait_for_phase(struct pool *p, struct share *own,
                               uint64_t seen) {
    uint64_t phase = seen;

    for (int i = 0; i < SPINS; i++) {
        phase = atomic_load(&own->state) >> PHASE_SHIFT;
        if (phase != seen || atomic_load(&p->stop)) return phase;
        relax();
    }
    pthread_mutex_lock(&p->lock);
    atomic_fetch_add(&p->sleepers, 1);
    for (;;) {
        phase = atomic_load(&own->state) >> PHASE_SHIFT;
        if (phase != seen || atomic_load(&p->stop)) break;
        pthread_cond_wait(&p->wake, &p->lock);
    }
    atomic_fetch_sub(&p->sleepers, 1);
    pthread_mutex_unlock(&p->lock);
    return phase;
}

static void *worker_main(void *user) {
    struct worker *w = user;
    struct share *own = &w->pool->shares[w->index];
    uint64_t phase = 0;

    while (!atomic_load(&w->pool->stop)) {
        phase = wait_for_phase(w->pool, own, phase);
        work(w->pool, w->index);
    }
    return NULL;
}

static void wake_sleepers(struct pool *p) {
    if (!atomic_load(&p->sleepers)) return;
    pthread_mutex_lock(&p->lock);
    pthread_cond_broadcast(&p->wake);
    pthread_mutex_unlock(&p->lock);
}

/* The owner's own share comes last: it is at work as soon as that is out. */
static void open_phase(struct pool *p, int tasks) {
    uint64_t threads = (uint64_t)p->threads;
    uint64_t end = (uint64_t)tasks;

    p->phase++;
    for (uint64_t i = threads; i-- > 0;) {
        uint64_t next = (uint64_t)tasks * i / threads;

        atomic_store(&p->shares[i].state,
                     p->phase << PHASE_SHIFT | end << END_SHIFT | next);
        end = next;
    }
}

void pool_run(struct pool *p, int tasks, pool_task *task, void *user) {
    assert((uint64_t)tasks <= task_mask); /* models have limits far below */
    if (p->threads == 1 || tasks <= 1) {
        for (int i = 0; i < tasks; i++) task(user, i, 0);
        return;
    }
    p->task = task;
    p->user = user;
    atomic_store_explicit(&p->done, 0, memory_order_relaxed);
    open_phase(p, tasks);
    wake_sleepers(p);
    work(p, 0);
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

static void *lines_new(size_t size) {
    void *at = aligned_alloc(CACHE_LINES, size);

    if (!at) abort();
    return memset(at, 0, size);
}

struct pool *pool_open(int threads, struct err *err) {
    struct pool *p;

    if (threads <= 0) threads = processors();
    if (threads > POOL_THREADS_MAX) threads = POOL_THREADS_MAX;
    p = lines_new(sizeof *p);
    p->shares = lines_new((size_t)threads * sizeof *p->shares);
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
    free(p->shares);
    free(p);
}

int pool_threads(const struct pool *p) {
    return p->threads;
}
