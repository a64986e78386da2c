/* db_queue.h - a database whose calls may wait, kept off the event loop. Jobs
 * run one after another, in the order they came, on libuv's pool; those that
 * wait together share one transaction, each behind its own savepoint, so that
 * a busy server syncs once for many. A job is told that it is done after the
 * commit: what it wrote is on the disk then. Owned by the loop's thread. */
#ifndef CORRAL_PROXY_DB_QUEUE_H
#define CORRAL_PROXY_DB_QUEUE_H

#include <uv.h>

#include "base/db.h"

struct db_queue;

enum { DB_QUEUE_BATCH_MAX = 64 };

/* Embedded in the caller's struct, at its start or found by offset; the queue
 * borrows it from db_queue_push() until on_done(), which may free it. */
struct db_job {
    /* On the pool, inside a transaction: no db_begin() and the like. False
     * undoes what this job wrote, and only that. It may touch its own struct
     * and the database, nothing else. */
    bool (*run)(struct db_job *job, struct db *db, struct err *err);
    /* On the loop, always called, once. `err` is set when `ok` is false. */
    void (*on_done)(struct db_job *job, bool ok, const struct err *err);
    struct db_job *next; /* the queue's, as is the rest */
    struct err err;
    bool ok;
};

/* Takes `db`, which the queue closes. At most `jobs_max` are unfinished. */
MUST_USE struct db_queue *db_queue_open(uv_loop_t *loop, struct db *db,
                                        size_t jobs_max);

/* ERR_BUSY when the queue is full, ERR_UNAVAILABLE when it is closing; the job
 * is the caller's then and on_done() is not called. */
MUST_USE bool db_queue_push(struct db_queue *queue, struct db_job *job,
                            struct err *err);
size_t db_queue_waiting(const struct db_queue *queue); /* not yet done */

/* What was pushed is still run and told; then the database is closed, the
 * queue freed and on_closed(data), which may be NULL, called on the loop. NULL
 * queue: nothing happens, on_closed neither. */
void db_queue_close(struct db_queue *queue, void (*on_closed)(void *data),
                    void *data);

#endif
