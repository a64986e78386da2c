/* test_db_queue.c - jobs keep their order, fail alone, are told after the
 * commit, and none is lost when the queue closes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "proxy/db_queue.h"

enum { TEST_ID = 0x436f7275, JOBS = 200 };

static const char *const steps[] = {"CREATE TABLE t (n INTEGER UNIQUE)", NULL};
static const struct db_schema schema = {.application_id = TEST_ID,
                                        .steps = steps};
static char folder[64];
static char path[80];

struct number_job {
    struct db_job job;
    int64_t number;
    bool refuse;   /* write, then say no */
    bool roll;     /* write, then lose the transaction, as on a full disk */
    bool done, ok; /* what on_done() was told */
    int64_t seen;  /* rows that another connection sees when told */
    int order;
    enum err_code code;
};

static int done_count;

static bool on_run(struct db_job *job, struct db *db, struct err *err) {
    struct number_job *n = (struct number_job *)job;
    struct db_statement *s = db_use(db, "INSERT INTO t VALUES (?)", err);

    if (!s) return false;
    db_bind_int(s, 1, n->number);
    if (!db_finish(s, err)) return false;
    if (n->roll) db_rollback(db);
    if (n->refuse || n->roll) return err_set(err, ERR_IO, "as asked");
    return true;
}

static int64_t rows_seen(void) {
    struct db_schema reader = schema;
    struct db *db;
    struct db_statement *s;
    bool row = false;
    int64_t n;

    reader.read_only = true;
    db = db_open(path, &reader, NULL);
    assert_non_null(db);
    s = db_use(db, "SELECT count(*) FROM t", NULL);
    assert_true(db_step(s, &row, NULL) && row);
    n = db_int(s, 0);
    db_close(db);
    return n;
}

static void on_done(struct db_job *job, bool ok, const struct err *err) {
    struct number_job *n = (struct number_job *)job;

    assert_false(n->done);
    n->done = true;
    n->ok = ok;
    n->order = done_count++;
    n->code = err->code;
    if (n->seen < 0) n->seen = rows_seen();
}

static void on_closed(void *data) {
    *(bool *)data = true;
}

static int set_up(void **state) {
    (void)state;
    done_count = 0;
    (void)snprintf(folder, sizeof folder, "/tmp/corral-dbq-XXXXXX");
    if (!mkdtemp(folder)) return -1;
    (void)snprintf(path, sizeof path, "%s/a.db", folder);
    return 0;
}

static int tear_down(void **state) {
    static const char *const names[] = {"", "-wal", "-shm"};
    char name[96];

    (void)state;
    /* A reader that leaves last may not take the log with it. */
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        (void)snprintf(name, sizeof name, "%s%s", path, names[i]);
        (void)unlink(name);
    }
    return rmdir(folder);
}

static struct db_queue *queue_of(uv_loop_t *loop, size_t jobs_max) {
    struct db *db = db_open(path, &schema, NULL);

    assert_non_null(db);
    assert_int_equal(uv_loop_init(loop), 0);
    return db_queue_open(loop, db, jobs_max);
}

/* Close, run to the end, and prove that the loop holds nothing more. */
static void finish(uv_loop_t *loop, struct db_queue *queue) {
    bool closed = false;

    db_queue_close(queue, on_closed, &closed);
    assert_int_equal(uv_run(loop, UV_RUN_DEFAULT), 0);
    assert_true(closed);
    assert_int_equal(uv_loop_close(loop), 0);
}

static void job_init(struct number_job *n, int64_t number) {
    *n = (struct number_job){.job = {.run = on_run, .on_done = on_done},
                             .number = number};
}

static void test_order_and_flush(void **state) {
    static struct number_job jobs[JOBS];
    uv_loop_t loop;
    struct db_queue *queue = queue_of(&loop, JOBS);

    (void)state;
    for (int i = 0; i < JOBS; i++) {
        job_init(&jobs[i], i);
        assert_true(db_queue_push(queue, &jobs[i].job, NULL));
    }
    assert_int_equal(db_queue_waiting(queue), JOBS);
    finish(&loop, queue);
    for (int i = 0; i < JOBS; i++) {
        assert_true(jobs[i].done && jobs[i].ok);
        assert_int_equal(jobs[i].order, i);
    }
    assert_int_equal(rows_seen(), JOBS);
}

static void test_told_after_the_commit(void **state) {
    struct number_job job;
    uv_loop_t loop;
    struct db_queue *queue = queue_of(&loop, 1);

    (void)state;
    job_init(&job, 1);
    job.seen = -1;
    assert_true(db_queue_push(queue, &job.job, NULL));
    finish(&loop, queue);
    assert_int_equal(job.seen, 1);
}

static void test_fails_alone(void **state) {
    struct number_job jobs[4];
    uv_loop_t loop;
    struct db_queue *queue = queue_of(&loop, 4);

    (void)state;
    for (int i = 0; i < 4; i++) job_init(&jobs[i], i == 3 ? 0 : i);
    jobs[1].refuse = true; /* jobs[3] breaks the column's uniqueness */
    for (int i = 0; i < 4; i++) {
        assert_true(db_queue_push(queue, &jobs[i].job, NULL));
    }
    finish(&loop, queue);
    assert_true(jobs[0].ok && jobs[2].ok);
    assert_false(jobs[1].ok || jobs[3].ok);
    assert_int_equal(jobs[1].code, ERR_IO);
    assert_int_equal(rows_seen(), 2);
}

/* The transaction is gone: nobody in the batch may believe that it wrote. */
static void test_lost_transaction(void **state) {
    struct number_job jobs[4];
    uv_loop_t loop;
    struct db_queue *queue = queue_of(&loop, 8);
    int64_t told = 0;

    (void)state;
    for (int i = 0; i < 4; i++) job_init(&jobs[i], i);
    jobs[2].roll = true;
    for (int i = 0; i < 4; i++) {
        assert_true(db_queue_push(queue, &jobs[i].job, NULL));
    }
    finish(&loop, queue);
    for (int i = 0; i < 4; i++) {
        assert_true(jobs[i].done);
        told += jobs[i].ok;
        if (!jobs[i].ok) assert_int_equal(jobs[i].code, ERR_IO);
    }
    assert_false(jobs[2].ok);
    assert_int_equal(rows_seen(), told);
}

static void test_full_and_closing(void **state) {
    struct number_job jobs[3];
    uv_loop_t loop;
    struct db_queue *queue = queue_of(&loop, 2);
    struct err err = {0};
    bool closed = false;

    (void)state;
    for (int i = 0; i < 3; i++) job_init(&jobs[i], i);
    assert_true(db_queue_push(queue, &jobs[0].job, &err));
    assert_true(db_queue_push(queue, &jobs[1].job, &err));
    assert_false(db_queue_push(queue, &jobs[2].job, &err));
    assert_int_equal(err.code, ERR_BUSY);
    db_queue_close(queue, on_closed, &closed);
    assert_false(db_queue_push(queue, &jobs[2].job, &err));
    assert_int_equal(err.code, ERR_UNAVAILABLE);
    assert_int_equal(uv_run(&loop, UV_RUN_DEFAULT), 0);
    assert_true(closed && jobs[0].ok && jobs[1].ok && !jobs[2].done);
    assert_int_equal(uv_loop_close(&loop), 0);
    db_queue_close(NULL, on_closed, NULL);
}

static void test_locked(void **state) {
    struct db_schema quick = schema;
    struct number_job jobs[2];
    uv_loop_t loop;
    struct db_queue *queue;
    struct db *other, *db;

    (void)state;
    quick.busy_ms = 1;
    db = db_open(path, &quick, NULL);
    other = db_open(path, &quick, NULL);
    assert_true(db && other && db_begin(other, NULL));
    assert_int_equal(uv_loop_init(&loop), 0);
    queue = db_queue_open(&loop, db, 2);
    for (int i = 0; i < 2; i++) {
        job_init(&jobs[i], i);
        assert_true(db_queue_push(queue, &jobs[i].job, NULL));
    }
    finish(&loop, queue);
    assert_false(jobs[0].ok || jobs[1].ok);
    assert_int_equal(jobs[1].code, ERR_BUSY);
    db_close(other);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        CASE(test_order_and_flush),  CASE(test_told_after_the_commit),
        CASE(test_fails_alone),      CASE(test_lost_transaction),
        CASE(test_full_and_closing), CASE(test_locked),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
