#include "base/db.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct db_statement {
    struct db *db;
    sqlite3_stmt *stmt;
    char *sql;     /* ours */
    int bind_code; /* the first bind that failed, or SQLITE_OK */
};

struct db {
    sqlite3 *file;
    char *path; /* ours */
    struct db_statement statements[DB_STATEMENTS_MAX];
    size_t statement_count;
};

/* ---- errors --------------------------------------------------------- */

static enum err_code code_of(int sqlite_code) {
    switch (sqlite_code & 0xff) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return ERR_BUSY;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return ERR_UNAVAILABLE;
    case SQLITE_TOOBIG:
        return ERR_LIMIT;
    case SQLITE_INTERRUPT:
        return ERR_CANCELLED;
    case SQLITE_FULL:
    case SQLITE_IOERR:
    case SQLITE_READONLY:
    case SQLITE_CANTOPEN:
    case SQLITE_PERM:
    case SQLITE_AUTH:
    case SQLITE_NOLFS:
        return ERR_IO;
    default:
        return ERR_INTERNAL;
    }
}

/* `what` is what was being done: the statement's text, or a verb. */
static bool fail(const struct db *db, int code, const char *what,
                 struct err *err) {
    const char *why =
        db->file ? sqlite3_errmsg(db->file) : sqlite3_errstr(code);

    return err_set(err, code_of(code), "%s: %s (SQLite %d) at: %.120s",
                   db->path, why, code, what);
}

/* ---- open and close ------------------------------------------------- */

/* Created by us for its mode: SQLite gives its log and index the same one. */
static bool file_create(const char *path, struct err *err) {
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

    if (fd < 0) {
        return err_set(err, ERR_IO, "%s: cannot open or create: %s", path,
                       strerror(errno));
    }
    (void)close(fd);
    return true;
}

static bool pragma_int(struct db *db, const char *sql, int64_t *out,
                       struct err *err) {
    struct db_statement *s = db_use(db, sql, err);
    bool row = false;

    if (!s || !db_step(s, &row, err)) return false;
    *out = row ? db_int(s, 0) : 0;
    db_done(s);
    return true;
}

/* A pragma takes no parameters, so its number is printed into it. */
static bool pragma_set(struct db *db, const char *name, int64_t value,
                       struct err *err) {
    struct bytes sql = {.limit = 128};
    bool ok = bytes_printf(&sql, err, "PRAGMA %s = %lld%c", name,
                           (long long)value, 0) &&
              db_run(db, sql.at, err);

    bytes_free(&sql);
    return ok;
}

static bool set_up(struct db *db, const struct db_schema *schema,
                   struct err *err) {
    int64_t page_size = 0;

    /* A file is data: nothing in its schema may call what changes things. */
    (void)sqlite3_db_config(db->file, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    (void)sqlite3_db_config(db->file, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
    (void)sqlite3_busy_timeout(db->file,
                               schema->busy_ms ? schema->busy_ms : DB_BUSY_MS);
    if (!db_run(db, "PRAGMA foreign_keys = ON", err)) return false;
    if (schema->read_only) return true;
    if (!db_run(db, "PRAGMA journal_mode = WAL", err) ||
        !pragma_set(db, "synchronous", schema->relaxed ? 1 : 2, err)) {
        return false;
    }
    if (!schema->bytes_max) return true;
    if (!pragma_int(db, "PRAGMA page_size", &page_size, err)) return false;
    return pragma_set(db, "max_page_count",
                      (int64_t)(schema->bytes_max / (uint64_t)page_size) + 1,
                      err);
}

static bool is_ours(struct db *db, const struct db_schema *schema,
                    int64_t version, struct err *err) {
    int64_t id = 0, tables = 0;

    if (!pragma_int(db, "PRAGMA application_id", &id, err) ||
        !pragma_int(db, "SELECT count(*) FROM sqlite_schema", &tables, err)) {
        return false;
    }
    if ((uint32_t)id == schema->application_id) return true;
    if (!id && !tables && !version && !schema->read_only) return true;
    return err_set(err, ERR_UNAVAILABLE,
                   "%s: a database of another program or kind", db->path);
}

static bool steps_run(struct db *db, const struct db_schema *schema,
                      int64_t version, struct err *err) {
    int64_t step = version;

    for (; schema->steps[step]; step++) {
        if (!db_run(db, schema->steps[step], err)) return false;
    }
    return step == version ||
           (pragma_set(db, "application_id", (int32_t)schema->application_id,
                       err) &&
            pragma_set(db, "user_version", step, err));
}

/* Under the write lock, so that two programs that start at once agree. */
static bool migrate(struct db *db, const struct db_schema *schema,
                    struct err *err) {
    int64_t version = 0, known = 0;
    bool ok = false;

    while (schema->steps[known]) known++;
    if (!schema->read_only && !db_begin(db, err)) return false;
    if (!pragma_int(db, "PRAGMA user_version", &version, err) ||
        !is_ours(db, schema, version, err)) {
        goto out;
    }
    if (version > known || version < 0) {
        err_set(err, ERR_UNSUPPORTED,
                "%s: its schema is version %lld, this program knows %lld",
                db->path, (long long)version, (long long)known);
        goto out;
    }
    if (!schema->read_only) {
        ok = steps_run(db, schema, version, err) && db_commit(db, err);
    } else if (version == known) {
        ok = true;
    } else {
        err_set(err, ERR_UNSUPPORTED,
                "%s: its schema is version %lld, %lld is needed: start the "
                "server once, which brings it up",
                db->path, (long long)version, (long long)known);
    }

out:
    if (!ok) db_rollback(db);
    return ok;
}

struct db *db_open(const char *path, const struct db_schema *schema,
                   struct err *err) {
    int flags =
        SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE |
        (schema->read_only ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE);
    struct db *db;
    int code;

    if (!*path || strlen(path) > DB_PATH_MAX) {
        err_set(err, ERR_INPUT, "a database's path has 1 to %d bytes",
                DB_PATH_MAX);
        return NULL;
    }
    if (!schema->read_only && !schema->memory && !file_create(path, err))
        return NULL;
    db = xalloc(sizeof *db);
    db->path = xstrdup(path);
    code = sqlite3_open_v2(schema->memory ? ":memory:" : path, &db->file, flags,
                           NULL);
    if (code != SQLITE_OK) {
        fail(db, code, "open", err);
    } else if (set_up(db, schema, err) && migrate(db, schema, err)) {
        return db;
    }
    db_close(db);
    return NULL;
}

void db_close(struct db *db) {
    if (!db) return;
    for (size_t i = 0; i < db->statement_count; i++) {
        (void)sqlite3_finalize(db->statements[i].stmt);
        free(db->statements[i].sql);
    }
    /* Cannot fail: there are no statements left to wait for. */
    (void)sqlite3_close_v2(db->file);
    free(db->path);
    free(db);
}

const char *db_path(const struct db *db) {
    return db->path;
}

/* ---- transactions --------------------------------------------------- */

static void reset_all(struct db *db) {
    for (size_t i = 0; i < db->statement_count; i++) {
        (void)sqlite3_reset(db->statements[i].stmt);
    }
}

bool db_begin(struct db *db, struct err *err) {
    return db_run(db, "BEGIN IMMEDIATE", err);
}

bool db_commit(struct db *db, struct err *err) {
    reset_all(db);
    if (db_run(db, "COMMIT", err)) return true;
    db_rollback(db);
    return false;
}

void db_rollback(struct db *db) {
    reset_all(db);
    /* What fails to roll back now does so when the file is opened next. */
    if (db_in_transaction(db)) (void)!db_run(db, "ROLLBACK", NULL);
}

bool db_in_transaction(const struct db *db) {
    return !sqlite3_get_autocommit(db->file);
}

bool db_run(struct db *db, const char *sql, struct err *err) {
    int code = sqlite3_exec(db->file, sql, NULL, NULL, NULL);

    return code == SQLITE_OK || fail(db, code, sql, err);
}

/* ---- statements ----------------------------------------------------- */

static struct db_statement *statement_find(struct db *db, const char *sql) {
    for (size_t i = 0; i < db->statement_count; i++) {
        if (!strcmp(db->statements[i].sql, sql)) return &db->statements[i];
    }
    return NULL;
}

struct db_statement *db_use(struct db *db, const char *sql, struct err *err) {
    struct db_statement *s = statement_find(db, sql);
    int code;

    if (s) {
        (void)sqlite3_reset(s->stmt);
        (void)sqlite3_clear_bindings(s->stmt);
        s->bind_code = SQLITE_OK;
        return s;
    }
    if (db->statement_count == DB_STATEMENTS_MAX) {
        err_set(err, ERR_INTERNAL, "%s: more than %d statements", db->path,
                DB_STATEMENTS_MAX);
        return NULL;
    }
    s = &db->statements[db->statement_count];
    *s = (struct db_statement){.db = db};
    code = sqlite3_prepare_v3(db->file, sql, -1, SQLITE_PREPARE_PERSISTENT,
                              &s->stmt, NULL);
    if (code != SQLITE_OK) {
        fail(db, code, sql, err);
        return NULL;
    }
    s->sql = xstrdup(sql);
    db->statement_count++;
    return s;
}

static void bound(struct db_statement *s, int code) {
    if (s->bind_code == SQLITE_OK) s->bind_code = code;
}

void db_bind_int(struct db_statement *s, int index, int64_t value) {
    bound(s, sqlite3_bind_int64(s->stmt, index, value));
}

void db_bind_number(struct db_statement *s, int index, double value) {
    bound(s, sqlite3_bind_double(s->stmt, index, value));
}

void db_bind_text(struct db_statement *s, int index, struct span text) {
    bound(s, sqlite3_bind_text64(s->stmt, index, text.at ? text.at : "",
                                 text.size, SQLITE_STATIC, SQLITE_UTF8));
}

void db_bind_blob(struct db_statement *s, int index, struct span bytes) {
    bound(s, sqlite3_bind_blob64(s->stmt, index, bytes.at ? bytes.at : "",
                                 bytes.size, SQLITE_STATIC));
}

bool db_step(struct db_statement *s, bool *row, struct err *err) {
    int code = s->bind_code;

    *row = false;
    if (code == SQLITE_OK) code = sqlite3_step(s->stmt);
    if (code == SQLITE_ROW) {
        *row = true;
        return true;
    }
    if (code != SQLITE_DONE) fail(s->db, code, s->sql, err);
    (void)sqlite3_reset(s->stmt);
    return code == SQLITE_DONE;
}

bool db_finish(struct db_statement *s, struct err *err) {
    bool row = true;

    while (row) {
        if (!db_step(s, &row, err)) return false;
    }
    return true;
}

void db_done(struct db_statement *s) {
    (void)sqlite3_reset(s->stmt);
}

int64_t db_int(struct db_statement *s, int column) {
    return sqlite3_column_int64(s->stmt, column);
}

double db_number(struct db_statement *s, int column) {
    return sqlite3_column_double(s->stmt, column);
}

struct span db_text(struct db_statement *s, int column) {
    /* Asked first: the size is that of the form asked for last. */
    const char *at = sqlite3_column_blob(s->stmt, column);
    int size = sqlite3_column_bytes(s->stmt, column);

    return (struct span){at ? at : "", at && size > 0 ? (size_t)size : 0};
}

bool db_is_null(struct db_statement *s, int column) {
    return sqlite3_column_type(s->stmt, column) == SQLITE_NULL;
}

int64_t db_last_id(const struct db *db) {
    return sqlite3_last_insert_rowid(db->file);
}

int64_t db_changes(const struct db *db) {
    return sqlite3_changes64(db->file);
}
