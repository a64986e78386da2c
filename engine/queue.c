#include "engine/queue.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* A common prefix that is worth waiting for. */
enum { SHARED_LEAST = 2 * KV_PAGE };

void queue_init(struct queue *q, int tasks_max) {
    *q = (struct queue){.max = tasks_max};
    q->tasks = xalloc_array((size_t)tasks_max, sizeof *q->tasks);
}

static void let_go(struct task *t) {
    sequence_free(t->sequence);
    t->sequence = NULL;
    task_free(t);
}

void queue_clear(struct queue *q) {
    for (int i = 0; i < q->count; i++) let_go(q->tasks[i]);
    free(q->tasks);
    *q = (struct queue){0};
}

void queue_add(struct queue *q, struct task *task) {
    assert(q->count < q->max);
    q->tasks[q->count++] = task;
}

void queue_remove(struct queue *q, struct task *task) {
    int at = 0;

    while (q->tasks[at] != task) at++;
    q->count--;
    memmove(q->tasks + at, q->tasks + at + 1,
            (size_t)(q->count - at) * sizeof(struct task *));
    let_go(task);
}

int queue_running(const struct queue *q) {
    int count = 0;

    for (int i = 0; i < q->count; i++) count += !!q->tasks[i]->sequence;
    return count;
}

/* ---- turns ---- */

static int common_prefix(const struct task *a, const struct task *b) {
    int count = 0, most = a->known < b->known ? a->known : b->known;

    while (count < most && a->keys[count].token == b->keys[count].token &&
           a->keys[count].adapter == b->keys[count].adapter)
        count++;
    return count;
}

/* Somebody is computing a prefix of this one: better wait and share it. A
 * score job does not wait for a generation, whose prompt may have to wait. */
static bool prefix_is_coming(const struct queue *q, const struct task *t) {
    for (int i = 0; i < q->count; i++) {
        const struct task *other = q->tasks[i];
        int common;

        if (!other->sequence || other->computed + 1 >= other->known) continue;
        if (t->kind == JOB_SCORE && other->kind == JOB_GENERATE) continue;
        common = common_prefix(t, other);
        if (common >= SHARED_LEAST && common > other->computed + 1) return true;
    }
    return false;
}

/* Score jobs first, then whose client's turn it is, then by arrival. */
static bool goes_before(const struct task *a, const struct task *b,
                        uint64_t last_client) {
    if (a->kind != b->kind) return a->kind == JOB_SCORE;
    if (a->client != b->client)
        return a->client - last_client - 1 < b->client - last_client - 1;
    return a->id < b->id;
}

struct task *queue_next_waiting(const struct queue *q) {
    struct task *best = NULL;

    for (int i = 0; i < q->count; i++) {
        struct task *t = q->tasks[i];

        if (t->sequence || task_rests(t) ||
            (best && !goes_before(t, best, q->last_admitted)))
            continue;
        if (!prefix_is_coming(q, t)) best = t;
    }
    return best;
}

struct task *queue_next_prefill(const struct queue *q, enum job_kind kind) {
    struct task *best = NULL;

    for (int i = 0; i < q->count; i++) {
        struct task *t = q->tasks[i];

        if (!t->sequence || t->planned || t->kind != kind) continue;
        if (!best || goes_before(t, best, q->last_prefilled)) best = t;
    }
    return best;
}

/* ---- who makes room ---- */

static int generations_of(const struct queue *q, uint64_t client) {
    int count = 0;

    for (int i = 0; i < q->count; i++) {
        const struct task *t = q->tasks[i];

        count += t->sequence && t->kind == JOB_GENERATE && t->client == client;
    }
    return count;
}

struct task *queue_victim(const struct queue *q) {
    struct task *victim = NULL;
    int most = 0;

    for (int i = q->count - 1; i >= 0; i--) {
        struct task *t = q->tasks[i];
        int count;

        if (!t->sequence || t->kind != JOB_GENERATE) continue;
        count = generations_of(q, t->client);
        if (count <= most) continue;
        most = count;
        victim = t;
    }
    return victim;
}

struct task *queue_victim_for(const struct queue *q, const struct task *t) {
    struct task *victim = queue_victim(q);

    if (!victim || t->kind == JOB_SCORE) return victim;
    if (generations_of(q, t->client) > 0) return NULL;
    return generations_of(q, victim->client) > 1 ? victim : NULL;
}
