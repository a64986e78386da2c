/* test_queue.c - whose turn it is, and who makes room for whom. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include "engine/queue.h"

enum { TASKS_MAX = 32 };

struct bench {
    struct kv *kv;
    struct queue queue;
    uint64_t next_id;
};

static void bench_init(struct bench *b) {
    struct kv_shape shape = {.blocks = 1,
                             .kv_heads = 1,
                             .head_size = 1,
                             .positions = 4096,
                             .type = KV_F32};
    struct err err;

    *b = (struct bench){0};
    b->kv = kv_new(&shape, &err);
    assert_non_null(b->kv);
    queue_init(&b->queue, TASKS_MAX);
}

static void bench_clear(struct bench *b) {
    queue_clear(&b->queue);
    assert_int_equal(kv_positions_used(b->kv), 0);
    kv_free(b->kv);
}

/* A task of 100 tokens, the first `shared` of them the same for all. */
static struct task *add(struct bench *b, enum job_kind kind, uint64_t client,
                        int shared) {
    int tokens[100];
    struct job job = {.kind = kind,
                      .tokens = tokens,
                      .token_count = 100,
                      .client = client,
                      .max_tokens = 10};
    struct task *t;

    b->next_id++;
    for (int i = 0; i < 100; i++)
        tokens[i] = i < shared ? i : (int)b->next_id * 1000 + i;
    t = task_new(b->next_id, &job, kind == JOB_SCORE ? 0 : 10);
    queue_add(&b->queue, t);
    return t;
}

static void begin(struct bench *b, struct task *t, int computed) {
    int matched;

    t->sequence = sequence_new(b->kv, t->keys, t->known, &matched);
    assert_true(sequence_extend(t->sequence, t->keys + matched,
                                t->known - matched, NULL));
    t->computed = computed;
}

static struct task *running(struct bench *b, uint64_t client) {
    struct task *t = add(b, JOB_GENERATE, client, 0);

    begin(b, t, 99);
    return t;
}

/* The ids of those that wait, in the order in which they would begin. */
static void check_order(struct bench *b, const uint64_t *ids, int count) {
    for (int i = 0; i < count; i++) {
        struct task *t = queue_next_waiting(&b->queue);

        assert_non_null(t);
        assert_int_equal(t->id, ids[i]);
        b->queue.last_admitted = t->client;
        queue_remove(&b->queue, t);
    }
    assert_null(queue_next_waiting(&b->queue));
}

static void test_turns(void **state) {
    static const uint64_t order[] = {7, 1, 4, 5, 2, 6, 3};
    struct bench b;

    (void)state;
    bench_init(&b);
    for (int i = 0; i < 3; i++) (void)add(&b, JOB_GENERATE, 10, 0);
    (void)add(&b, JOB_GENERATE, 20, 0);
    (void)add(&b, JOB_GENERATE, 30, 0);
    (void)add(&b, JOB_GENERATE, 30, 0);
    (void)add(&b, JOB_SCORE, UINT64_MAX, 0); /* before all the others */
    check_order(&b, order, 7);
    bench_clear(&b);
}

static void test_waits_for_a_prefix(void **state) {
    struct bench b;
    struct task *first, *second, *other;

    (void)state;
    bench_init(&b);
    first = add(&b, JOB_GENERATE, 1, 80);
    begin(&b, first, 10);
    second = add(&b, JOB_GENERATE, 2, 80);
    other = add(&b, JOB_GENERATE, 3, 0);
    assert_ptr_equal(queue_next_waiting(&b.queue), other);
    queue_remove(&b.queue, other);
    assert_null(queue_next_waiting(&b.queue));
    first->computed = 80; /* the shared part is there */
    assert_ptr_equal(queue_next_waiting(&b.queue), second);
    first->computed = 10;
    other = add(&b, JOB_SCORE, 4, 80); /* does not wait for a generation */
    assert_ptr_equal(queue_next_waiting(&b.queue), other);
    bench_clear(&b);
}

/* The youngest of the client with most; never the oldest of all. */
static void test_victim(void **state) {
    struct bench b;
    struct task *a[3], *other, *score;

    (void)state;
    bench_init(&b);
    assert_null(queue_victim(&b.queue));
    for (int i = 0; i < 3; i++) a[i] = running(&b, 1);
    other = running(&b, 2);
    (void)add(&b, JOB_GENERATE, 1, 0); /* waits: nobody's victim */
    score = add(&b, JOB_SCORE, 3, 0);
    begin(&b, score, 10);
    assert_ptr_equal(queue_victim(&b.queue), a[2]);
    queue_remove(&b.queue, a[2]);
    assert_ptr_equal(queue_victim(&b.queue), a[1]);
    queue_remove(&b.queue, a[1]);
    assert_ptr_equal(queue_victim(&b.queue), other);
    queue_remove(&b.queue, other);
    assert_ptr_equal(queue_victim(&b.queue), a[0]);
    bench_clear(&b);
}

static void test_victim_for(void **state) {
    struct bench b;
    struct task *a[2], *more, *other, *score;

    (void)state;
    bench_init(&b);
    a[0] = running(&b, 1);
    more = add(&b, JOB_GENERATE, 1, 0);
    other = add(&b, JOB_GENERATE, 2, 0);
    score = add(&b, JOB_SCORE, 1, 0);
    assert_null(queue_victim_for(&b.queue, more));
    assert_null(queue_victim_for(&b.queue, other)); /* one each: waits */
    assert_ptr_equal(queue_victim_for(&b.queue, score), a[0]);
    a[1] = running(&b, 1);
    assert_ptr_equal(queue_victim_for(&b.queue, other), a[1]);
    assert_null(queue_victim_for(&b.queue, more));
    begin(&b, other, 99);
    other = add(&b, JOB_GENERATE, 2, 0); /* its client runs one already */
    assert_null(queue_victim_for(&b.queue, other));
    bench_clear(&b);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_turns),
        cmocka_unit_test(test_waits_for_a_prefix),
        cmocka_unit_test(test_victim),
        cmocka_unit_test(test_victim_for),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
