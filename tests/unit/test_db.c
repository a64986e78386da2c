/* test_db.c - a file that other programs, full disks and killed processes
 * have been at is read, refused or brought up, and says which. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/db.h"

enum { TEST_ID = 0x436f7274 };

static const char *const one_step[] = {
    "CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT UNIQUE NOT NULL,"
    " weight REAL, data BLOB)",
    NULL};
static const char *const two_steps[] = {
    "CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT UNIQUE NOT NULL,"
    " weight REAL, data BLOB)",
    "CREATE TABLE u (t INTEGER REFERENCES t ON DELETE CASCADE)", NULL};
static const struct db_schema schema = {.application_id = TEST_ID,
                                        .steps = one_step};
static const struct db_schema schema_two = {.application_id = TEST_ID,
                                            .steps = two_steps};

static char folder[64];
static char path[80];

static int set_up(void **state) {
    (void)state;
    (void)snprintf(folder, sizeof folder, "/tmp/corral-db-XXXXXX");
    if (!mkdtemp(folder)) return -1;
    (void)snprintf(path, sizeof path, "%s/a.db", folder);
    return 0;
}

static int tear_down(void **state) {
    static const char *const names[] = {"", "-wal", "-shm", "-journal"};
    char name[96];

    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        (void)snprintf(name, sizeof name, "%s%s", path, names[i]);
        (void)unlink(name);
    }
    return rmdir(folder);
}

static struct db *open_fine(const struct db_schema *s) {
    struct err err = {0};
    struct db *db = db_open(path, s, &err);

    if (!db) fail_msg("%s", err.text);
    return db;
}

static void check_refused(const struct db_schema *s, enum err_code code,
                          const char *part) {
    struct err err = {0};

    assert_null(db_open(path, s, &err));
    assert_int_equal(err.code, code);
    if (!strstr(err.text, part)) fail_msg("%s: not in: %s", part, err.text);
}

static bool insert(struct db *db, const char *name, struct err *err) {
    struct db_statement *s =
        db_use(db, "INSERT INTO t (name, weight, data) VALUES (?, ?, ?)", err);

    if (!s) return false;
    db_bind_text(s, 1, span_of(name));
    db_bind_number(s, 2, 0.5);
    db_bind_blob(s, 3, (struct span){"a\0b", 3});
    return db_finish(s, err);
}

static int64_t count(struct db *db, const char *sql) {
    struct db_statement *s = db_use(db, sql, NULL);
    bool row = false;
    int64_t n;

    assert_non_null(s);
    assert_true(db_step(s, &row, NULL));
    assert_true(row);
    n = db_int(s, 0);
    db_done(s);
    return n;
}

static void test_rows(void **state) {
    struct db *db = open_fine(&schema);
    struct db_statement *s;
    struct stat st;
    bool row = false;

    (void)state;
    assert_true(insert(db, "one", NULL));
    assert_int_equal(db_last_id(db), 1);
    s = db_use(db, "SELECT id, name, weight, data, NULL FROM t", NULL);
    assert_true(db_step(s, &row, NULL));
    assert_true(row);
    assert_int_equal(db_int(s, 0), 1);
    assert_true(span_is(db_text(s, 1), "one"));
    assert_true(db_number(s, 2) >= 0.5 && db_number(s, 2) <= 0.5);
    assert_true(span_equal(db_text(s, 3), (struct span){"a\0b", 3}));
    assert_true(db_is_null(s, 4));
    assert_int_equal(db_text(s, 4).size, 0);
    assert_true(db_step(s, &row, NULL));
    assert_false(row);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    db_close(db);
    db_close(NULL);
}

static void test_bind_errors(void **state) {
    struct db *db = open_fine(&schema);
    struct db_statement *s =
        db_use(db, "INSERT INTO t (name) VALUES (?)", NULL);
    struct err err = {0};
    bool row;

    (void)state;
    db_bind_int(s, 2, 1);
    assert_false(db_step(s, &row, &err));
    assert_non_null(strstr(err.text, "INSERT INTO t"));
    /* Used again it is as new, and a NULL span is the empty text. */
    s = db_use(db, "INSERT INTO t (name) VALUES (?)", NULL);
    db_bind_text(s, 1, (struct span){0});
    assert_true(db_finish(s, &err));
    assert_int_equal(db_changes(db), 1);
    assert_int_equal(count(db, "SELECT count(*) FROM t WHERE name = ''"), 1);
    assert_null(db_use(db, "SELECT nothing FROM nowhere", &err));
    assert_int_equal(err.code, ERR_INTERNAL);
    db_close(db);
}

static void test_statements_max(void **state) {
    struct db *db = open_fine(&schema);
    struct err err = {0};
    char sql[32];
    int i = 0;

    (void)state;
    for (; i <= DB_STATEMENTS_MAX; i++) {
        (void)snprintf(sql, sizeof sql, "SELECT %d", i);
        if (!db_use(db, sql, &err)) break;
    }
    assert_in_range(i, DB_STATEMENTS_MAX / 2, DB_STATEMENTS_MAX);
    assert_int_equal(err.code, ERR_INTERNAL);
    assert_non_null(db_use(db, "SELECT 0", &err));
    db_close(db);
}

static void test_transactions(void **state) {
    struct db *db = open_fine(&schema);
    struct db_statement *s;
    bool row;

    (void)state;
    assert_true(db_begin(db, NULL));
    assert_true(insert(db, "gone", NULL));
    db_rollback(db);
    assert_true(db_begin(db, NULL));
    assert_true(insert(db, "kept", NULL));
    assert_true(insert(db, "too", NULL));
    /* A row half read does not keep the commit from ending. */
    s = db_use(db, "SELECT id FROM t", NULL);
    assert_true(db_step(s, &row, NULL));
    assert_true(db_commit(db, NULL));
    assert_false(db_in_transaction(db));
    db_close(db);
    db = open_fine(&schema);
    assert_int_equal(count(db, "SELECT count(*) FROM t"), 2);
    db_close(db);
}

static void test_schema_steps(void **state) {
    struct db_schema reader = schema_two;
    struct db_schema other = schema;
    struct db *db;

    (void)state;
    db = open_fine(&schema);
    assert_true(insert(db, "one", NULL));
    db_close(db);
    reader.read_only = true;
    check_refused(&reader, ERR_UNSUPPORTED, "version 1, 2 is needed");
    db = open_fine(&schema_two); /* brought up */
    assert_true(db_run(db, "INSERT INTO u VALUES (1)", NULL));
    assert_true(db_run(db, "DELETE FROM t", NULL));
    assert_int_equal(count(db, "SELECT count(*) FROM u"), 0);
    db_close(db);
    check_refused(&schema, ERR_UNSUPPORTED, "version 2, this program knows 1");
    other.application_id++;
    check_refused(&other, ERR_UNAVAILABLE, "another program");
    db = open_fine(&reader);
    assert_false(db_run(db, "DELETE FROM t", NULL));
    db_close(db);
}

static void test_a_step_that_fails_leaves_nothing(void **state) {
    static const char *const bad[] = {"CREATE TABLE t (a)", "CREATE TABLE", 0};
    struct db_schema s = {.application_id = TEST_ID, .steps = bad};
    struct db *db;

    (void)state;
    check_refused(&s, ERR_INTERNAL, "CREATE TABLE");
    db = open_fine(&schema);
    assert_int_equal(count(db, "SELECT count(*) FROM t"), 0);
    db_close(db);
}

static void write_file(const char *text, size_t size, long at) {
    FILE *f = fopen(path, at < 0 ? "w" : "r+");

    assert_non_null(f);
    if (at > 0) assert_int_equal(fseek(f, at, SEEK_SET), 0);
    assert_int_equal(fwrite(text, 1, size, f), size);
    assert_int_equal(fclose(f), 0);
}

static void test_not_a_database(void **state) {
    static char text[5000];

    (void)state;
    memset(text, 'x', sizeof text);
    write_file(text, sizeof text, -1);
    check_refused(&schema, ERR_UNAVAILABLE, "not a database");
}

static void test_damaged(void **state) {
    static char junk[4096];
    struct db *db = open_fine(&schema);
    struct err err = {0};

    (void)state;
    assert_true(insert(db, "one", NULL));
    db_close(db);
    memset(junk, 0x5a, sizeof junk);
    write_file(junk, sizeof junk, 4096); /* the table's page */
    db = open_fine(&schema);
    assert_false(insert(db, "two", &err));
    assert_int_equal(err.code, ERR_UNAVAILABLE);
    assert_non_null(strstr(err.text, path));
    db_close(db);
}

static void test_full(void **state) {
    struct db_schema s = schema;
    struct db *db;
    struct err err = {0};
    char name[600];
    int i = 0;

    (void)state;
    s.bytes_max = 64 << 10;
    db = open_fine(&s);
    assert_true(insert(db, "first", NULL));
    assert_true(db_begin(db, NULL));
    for (; i < 10000; i++) {
        (void)snprintf(name, sizeof name, "%0500d", i);
        if (!insert(db, name, &err)) break;
    }
    assert_in_range(i, 20, 200);
    assert_int_equal(err.code, ERR_IO);
    assert_non_null(strstr(err.text, "full"));
    db_rollback(db);
    assert_false(db_in_transaction(db));
    assert_int_equal(count(db, "SELECT count(*) FROM t"), 1);
    db_close(db);
}

static void test_locked(void **state) {
    struct db_schema s = schema;
    struct db *a, *b;
    struct err err = {0};

    (void)state;
    s.busy_ms = 1;
    a = open_fine(&s);
    b = open_fine(&s);
    assert_true(db_begin(a, NULL));
    assert_false(db_begin(b, &err));
    assert_int_equal(err.code, ERR_BUSY);
    assert_true(insert(a, "one", NULL));
    assert_int_equal(count(b, "SELECT count(*) FROM t"), 0); /* may read */
    assert_true(db_commit(a, NULL));
    assert_int_equal(count(b, "SELECT count(*) FROM t"), 1);
    db_close(a);
    db_close(b);
}

static void test_places(void **state) {
    struct err err = {0};
    struct db_schema reader = schema;
    static char long_path[DB_PATH_MAX + 2];

    (void)state;
    assert_null(db_open("/nowhere/at/all.db", &schema, &err));
    assert_int_equal(err.code, ERR_IO);
    assert_null(db_open(folder, &schema, &err));
    assert_int_equal(err.code, ERR_IO);
    assert_null(db_open("", &schema, &err));
    assert_int_equal(err.code, ERR_INPUT);
    memset(long_path, 'a', sizeof long_path - 1);
    assert_null(db_open(long_path, &schema, &err));
    assert_int_equal(err.code, ERR_INPUT);
    reader.read_only = true;
    check_refused(&reader, ERR_IO, "unable to open");
}

/* A folder that may not be written. Root may write anywhere, so a child gives
 * that up first. */
static void test_read_only_folder(void **state) {
    struct err err = {0};
    int status = 0;
    pid_t child;

    (void)state;
    assert_int_equal(chmod(folder, 0555), 0);
    child = fork();
    assert_true(child >= 0);
    if (!child) {
        bool refused = (getuid() || !setuid(65534)) &&
                       !db_open(path, &schema, &err) && err.code == ERR_IO;

        _exit(refused ? 0 : 1);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    assert_int_equal(chmod(folder, 0755), 0);
}

/* The child commits one row, writes more and tells us; it is killed there. */
static void child_writes(int fd) {
    struct db *db = db_open(path, &schema, NULL);
    bool fine = db && insert(db, "committed", NULL) && db_begin(db, NULL) &&
                insert(db, "lost", NULL);

    (void)!write(fd, fine ? "y" : "n", 1);
    for (;;) (void)pause();
}

static void test_killed_in_a_transaction(void **state) {
    int fds[2], status = 0;
    char fine = 0;
    struct db *db;
    pid_t child;

    (void)state;
    assert_int_equal(pipe(fds), 0);
    child = fork();
    assert_true(child >= 0);
    if (!child) child_writes(fds[1]);
    assert_int_equal(read(fds[0], &fine, 1), 1);
    assert_int_equal(kill(child, SIGKILL), 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    (void)close(fds[0]);
    (void)close(fds[1]);
    assert_int_equal(fine, 'y');
    db = open_fine(&schema);
    assert_int_equal(count(db, "SELECT count(*) FROM t"), 1);
    assert_int_equal(
        count(db, "SELECT count(*) FROM t WHERE name = 'committed'"), 1);
    assert_true(insert(db, "next", NULL));
    db_close(db);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        CASE(test_rows),
        CASE(test_bind_errors),
        CASE(test_statements_max),
        CASE(test_transactions),
        CASE(test_schema_steps),
        CASE(test_a_step_that_fails_leaves_nothing),
        CASE(test_not_a_database),
        CASE(test_damaged),
        CASE(test_full),
        CASE(test_locked),
        CASE(test_places),
        CASE(test_read_only_folder),
        CASE(test_killed_in_a_transaction),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
