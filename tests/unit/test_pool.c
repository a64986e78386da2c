/* test_pool.c - every task runs once, whoever comes late or is held up. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <assert.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "engine/pool.h"

struct tally {
    int seen[500];
    int threads;
};

static void count_task(void *user, int task, int thread) {
    struct tally *t = user;

    t->seen[task]++; /* each task is one thread's alone */
    assert(thread < t->threads);
}

/* Every task once, over many short phases, with more threads than cores. */
static void test_each_once(void **state) {
    struct tally *t = xalloc(sizeof *t);

    (void)state;
    for (int threads = 1; threads <= 5; threads++) {
        struct pool *pool = pool_open(threads, NULL);

        t->threads = threads;
        assert_int_equal(pool_threads(pool), threads);
        for (int phase = 0; phase < 300; phase++) {
            int tasks = phase % 3 ? phase % 7 : 500;

            memset(t->seen, 0, sizeof t->seen);
            pool_run(pool, tasks, count_task, t);
            for (int i = 0; i < 500; i++)
                assert_int_equal(t->seen[i], i < tasks);
        }
        pool_close(pool);
    }
    free(t);
}

/* A thread that is late for two tasks must not take one of the forty that
 * follow for one of the two. */
static void test_late(void **state) {
    struct tally *t = xalloc(sizeof *t);

    (void)state;
    for (int threads = 2; threads <= 5; threads++) {
        struct pool *pool = pool_open(threads, NULL);

        t->threads = threads;
        for (int phase = 0; phase < 60000; phase++) {
            int tasks = phase % 2 ? 2 : 40;

            memset(t->seen, 0, 50 * sizeof *t->seen);
            pool_run(pool, tasks, count_task, t);
            for (int i = 0; i < 50; i++)
                assert_int_equal(t->seen[i], i < tasks);
        }
        pool_close(pool);
    }
    free(t);
}

struct nap {
    pthread_mutex_t lock;
    int runs;
};

/* The first thread that comes holds its task until all others are done. */
static void nap_task(void *user, int task, int thread) {
    struct nap *n = user;
    int mine;

    (void)task;
    (void)thread;
    pthread_mutex_lock(&n->lock);
    mine = n->runs++;
    pthread_mutex_unlock(&n->lock);
    while (mine == 0) {
        pthread_mutex_lock(&n->lock);
        if (n->runs == 20) mine = -1;
        pthread_mutex_unlock(&n->lock);
        sched_yield();
    }
}

/* Tasks of a thread's share do not wait for it: while one is held up in its
 * first task, the other does all the rest. */
static void test_shares_are_taken(void **state) {
    struct pool *pool = pool_open(2, NULL);

    (void)state;
    for (int i = 0; i < 50; i++) {
        struct nap n = {.lock = PTHREAD_MUTEX_INITIALIZER};

        pool_run(pool, 20, nap_task, &n);
        assert_int_equal(n.runs, 20);
    }
    pool_close(pool);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_once),
        cmocka_unit_test(test_late),
        cmocka_unit_test(test_shares_are_taken),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
