/* db.h - a SQLite file behind checks: opened with a write-ahead log, brought
 * up to the schema that the program knows, read and written by prepared
 * statements that are kept and reused. One thread at a time. Every call may
 * wait for the disk or for another process, so none belongs on the event loop:
 * proxy/db_queue.h runs them elsewhere.
 *
 * ERR_BUSY: another process held the lock past the time-out; try again.
 * ERR_IO: the disk is full, the file cannot be read or written.
 * ERR_UNAVAILABLE: the file is damaged, or no database at all.
 * ERR_UNSUPPORTED: written by a newer program. */
#ifndef CORRAL_BASE_DB_H
#define CORRAL_BASE_DB_H

#include "base/bytes.h"

struct db;
struct db_statement; /* owned by its db */

enum { DB_PATH_MAX = 4096, DB_STATEMENTS_MAX = 128, DB_BUSY_MS = 5000 };

struct db_schema {
    uint32_t application_id; /* marks the file as ours, for `file` and for us */
    /* SQL texts, NULL-terminated; the file's user_version says how many have
     * run. Append only: a step that was released is never changed. */
    const char *const *steps;
    uint64_t bytes_max; /* size past which a write fails; 0: no limit */
    int busy_ms;        /* how long to wait for a lock; 0: DB_BUSY_MS */
    bool memory;        /* no file: `path` is a name for errors */
    bool read_only;     /* the file must exist and have all the steps */
    /* A commit may be lost with the machine's power, never with the process:
     * for rows that cost a sync each and are worth less than that. */
    bool relaxed;
};

/* Open or create (mode 0600) the file at `path`, its folder existing. `schema`
 * is not kept. NULL on failure. */
MUST_USE struct db *db_open(const char *path, const struct db_schema *schema,
                            struct err *err);
void db_close(struct db *db); /* NULL does nothing */
const char *db_path(const struct db *db);

/* Begin takes the write lock at once, so that a transaction never fails half
 * way for want of it. Commit and rollback reset every statement. A failed
 * commit has rolled back. */
MUST_USE bool db_begin(struct db *db, struct err *err);
MUST_USE bool db_commit(struct db *db, struct err *err);
void db_rollback(struct db *db);
/* False also when SQLite rolled back by itself, as it does on a full disk. */
bool db_in_transaction(const struct db *db);

/* SQL of our own without parameters, several statements at once. */
MUST_USE bool db_run(struct db *db, const char *sql, struct err *err);

/* The prepared statement of this text, reset and without bindings. Kept until
 * the db closes, so `sql` must be one of a few constants, never put together
 * from data. At most DB_STATEMENTS_MAX. NULL on failure. */
MUST_USE struct db_statement *db_use(struct db *db, const char *sql,
                                     struct err *err);

/* Parameters, from 1. The bytes are borrowed until the statement is used
 * again. A failure is kept and told by the next db_step(). A span whose `at`
 * is NULL binds the empty text, not NULL. */
void db_bind_int(struct db_statement *s, int index, int64_t value);
void db_bind_number(struct db_statement *s, int index, double value);
void db_bind_text(struct db_statement *s, int index, struct span text);
void db_bind_blob(struct db_statement *s, int index, struct span bytes);

/* The next row: *row says whether there is one. After the last the statement
 * is reset; whoever stops before that calls db_done(), or the file stays
 * locked for readers' sake. */
MUST_USE bool db_step(struct db_statement *s, bool *row, struct err *err);
/* Run to the end a statement whose rows, if any, do not matter. */
MUST_USE bool db_finish(struct db_statement *s, struct err *err);
void db_done(struct db_statement *s);

/* Columns of the row, from 0; spans are borrowed until the next db_step(). */
int64_t db_int(struct db_statement *s, int column);
double db_number(struct db_statement *s, int column);
struct span db_text(struct db_statement *s, int column); /* blobs too */
bool db_is_null(struct db_statement *s, int column);

int64_t db_last_id(const struct db *db); /* rowid of the last insert */
int64_t db_changes(const struct db *db); /* rows that the last change met */

#endif
