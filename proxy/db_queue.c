/* db_queue.c - the loop fills `waiting`; one batch at a time is on the pool. A
 * batch belongs to the pool's thread between uv_queue_work() and
 * on_batch_done(); everything else here is the loop's. The last work, when it
 * is closing and nothing waits, closes the database. */
#include "proxy/db_queue.h"

#include <assert.h>
#include <stdlib.h>

struct job_list {
    struct db_job *first;
    struct db_job *last;
};

struct db_queue {
    uv_work_t work;
    uv_loop_t *loop;
    struct db *db;
    struct job_list waiting;
    struct job_list batch;
    size_t unfinished; /* waiting and in the batch */
    size_t jobs_max;
    bool working; /* a batch is on the pool */
    bool closing; /* nothing more comes in */
    void (*on_closed)(void *data);
    void *data;
};

static void list_add(struct job_list *list, struct db_job *job) {
    job->next = NULL;
    if (list->last) {
        list->last->next = job;
    } else {
        list->first = job;
    }
    list->last = job;
}

static struct db_job *list_take(struct job_list *list) {
    struct db_job *job = list->first;

    if (!job) return NULL;
    list->first = job->next;
    if (!list->first) list->last = NULL;
    return job;
}

/* ---- on the pool ---------------------------------------------------- */

static void job_run(struct db_job *job, struct db *db) {
    job->ok =
        db_run(db, "SAVEPOINT job", &job->err) && job->run(job, db, &job->err);
    if (job->ok) job->ok = db_run(db, "RELEASE job", &job->err);
    /* A full disk may have rolled back the whole; there is no savepoint then.
     */
    if (!job->ok && db_in_transaction(db)) {
        (void)!db_run(db, "ROLLBACK TO job; RELEASE job", NULL);
    }
}

/* The transaction did not hold: what was told to be written is not. */
static void batch_fail(struct db_queue *queue, const struct err *why) {
    for (struct db_job *job = queue->batch.first; job; job = job->next) {
        if (job->ok) job->err = *why;
        job->ok = false;
    }
}

static void on_batch(uv_work_t *work) {
    struct db_queue *queue = work->data;
    struct err err = {0};
    struct db_job *job;

    if (!db_begin(queue->db, &err)) {
        for (job = queue->batch.first; job; job = job->next) job->err = err;
        return;
    }
    for (job = queue->batch.first; job; job = job->next) {
        job_run(job, queue->db);
        if (!db_in_transaction(queue->db)) break;
    }
    if (!job) {
        if (!db_commit(queue->db, &err)) batch_fail(queue, &err);
        return;
    }
    err = job->err;
    batch_fail(queue, &err);
    while ((job = job->next)) job->err = err;
}

static void on_close(uv_work_t *work) {
    struct db_queue *queue = work->data;

    db_close(queue->db); /* may fold the log into the file, which takes time */
}

/* ---- on the loop ---------------------------------------------------- */

static void queue_start(struct db_queue *queue);

static void on_batch_done(uv_work_t *work, int status) {
    struct db_queue *queue = work->data;
    struct job_list batch = queue->batch;
    struct db_job *job;

    assert(!status); /* nobody cancels it */
    queue->batch = (struct job_list){0};
    while ((job = list_take(&batch))) {
        struct err err = job->err;
        bool ok = job->ok;

        queue->unfinished--;
        job->on_done(job, ok, &err); /* may free it, push, or close us */
    }
    queue->working = false;
    queue_start(queue);
}

static void on_close_done(uv_work_t *work, int status) {
    struct db_queue *queue = work->data;

    (void)status;
    if (queue->on_closed) queue->on_closed(queue->data);
    free(queue);
}

static void queue_start(struct db_queue *queue) {
    int count = 0;

    if (queue->working) return;
    while (queue->waiting.first && count++ < DB_QUEUE_BATCH_MAX) {
        list_add(&queue->batch, list_take(&queue->waiting));
    }
    if (!count && !queue->closing) return;
    queue->working = true;
    queue->work.data = queue;
    (void)uv_queue_work(queue->loop, &queue->work, count ? on_batch : on_close,
                        count ? on_batch_done : on_close_done);
}

struct db_queue *db_queue_open(uv_loop_t *loop, struct db *db,
                               size_t jobs_max) {
    struct db_queue *queue = xalloc(sizeof *queue);

    queue->loop = loop;
    queue->db = db;
    queue->jobs_max = jobs_max;
    return queue;
}

bool db_queue_push(struct db_queue *queue, struct db_job *job,
                   struct err *err) {
    if (queue->closing) {
        return err_set(err, ERR_UNAVAILABLE, "%s: the database is closing",
                       db_path(queue->db));
    }
    if (queue->unfinished >= queue->jobs_max) {
        return err_set(err, ERR_BUSY, "%s: %zu calls are waiting, the most",
                       db_path(queue->db), queue->jobs_max);
    }
    job->ok = false;
    job->err = (struct err){0};
    list_add(&queue->waiting, job);
    queue->unfinished++;
    queue_start(queue);
    return true;
}

size_t db_queue_waiting(const struct db_queue *queue) {
    return queue->unfinished;
}

void db_queue_close(struct db_queue *queue, void (*on_closed)(void *data),
                    void *data) {
    if (!queue) return;
    assert(!queue->closing);
    queue->closing = true;
    queue->on_closed = on_closed;
    queue->data = data;
    queue_start(queue);
}
