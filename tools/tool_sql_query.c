/* tool_sql_query.c - one SELECT over a SQLite file that stays as it is. The
 * file is opened read-only and defensive, an authorizer lets through what
 * reading needs and nothing else, and rows, bytes, steps and time are bounded.
 * Each run has a connection and a pool thread of its own; the loop only
 * interrupts it. */
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "tools/query_pool.h"
#include "tools/tool_builtin.h"

enum {
    SQL_NAME_BYTES_MAX = 500, /* of a column */
    SQL_SHOWN_BYTES_MAX = 48 << 10,
    /* All of it is judged; beside it is a mark. */
    SQL_RESULT_BYTES_MAX = TOOL_RESULT_BYTES_MAX - 256,
    SQL_SCHEMA_BYTES_MAX = 16 << 10,
    SQL_HEAP_LIMIT = 64 << 20, /* the longest single value */
    SQL_STEPS_A_LOOK = 10000   /* of SQLite's machine, between two looks */
};

struct sql {
    struct query_pool pool; /* first (see query_pool.h) */
    struct tool tool;
    char *name;
    char *description;
    char *path;
    int rows;
};

/* ---- a connection that can only read ---- */

/* What a query may name. Loading an extension is off besides; these are the
 * functions that reach files or text of the schema in other ways. */
static bool function_allowed(const char *name) {
    static const char *const refused[] = {
        "load_extension", "readfile", "writefile", "edit",
        "fts3_tokenizer", "zeroblob", "randomblob"};

    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
        if (!sqlite3_stricmp(name, refused[i])) return false;
    return true;
}

static int authorize(void *user, int action, const char *first,
                     const char *second, const char *database,
                     const char *trigger) {
    (void)user;
    (void)first;
    (void)database;
    (void)trigger;
    switch (action) {
    case SQLITE_SELECT:
    case SQLITE_READ:
    case SQLITE_RECURSIVE:
        return SQLITE_OK;
    case SQLITE_FUNCTION:
        return second && function_allowed(second) ? SQLITE_OK : SQLITE_DENY;
    default: /* writes, ATTACH, PRAGMA, transactions, and what is to come */
        return SQLITE_DENY;
    }
}

static bool refuse(struct err *err, sqlite3 *db, const char *what) {
    return err_set(err, ERR_INPUT, "%s: %.300s", what,
                   db ? sqlite3_errmsg(db) : "no memory");
}

static sqlite3 *connect_read_only(const char *path, struct err *err) {
    sqlite3 *db = NULL;

    if (sqlite3_open_v2(path, &db,
                        SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX |
                            SQLITE_OPEN_PRIVATECACHE,
                        NULL) == SQLITE_OK &&
        sqlite3_db_config(db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL) ==
            SQLITE_OK &&
        sqlite3_db_config(db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL) ==
            SQLITE_OK &&
        sqlite3_exec(db, "PRAGMA query_only=1; SELECT 1 FROM sqlite_schema",
                     NULL, NULL, NULL) == SQLITE_OK) {
        (void)sqlite3_limit(db, SQLITE_LIMIT_LENGTH, SQL_HEAP_LIMIT);
        (void)sqlite3_limit(db, SQLITE_LIMIT_SQL_LENGTH,
                            TOOL_ARGUMENT_BYTES_MAX);
        (void)sqlite3_limit(db, SQLITE_LIMIT_ATTACHED, 0);
        (void)sqlite3_limit(db, SQLITE_LIMIT_EXPR_DEPTH, 200);
        (void)sqlite3_busy_timeout(db, 1000);
        return db;
    }
    (void)refuse(err, db, "the database cannot be read");
    (void)sqlite3_close(db);
    return NULL;
}

/* ---- the table of a result ---- */

/* One line a row: what could break it is written as a blank. */
static void put_cell(struct bytes *out, sqlite3_stmt *s, int column) {
    int type = sqlite3_column_type(s, column);
    const char *at;
    size_t size;

    if (type == SQLITE_NULL || type == SQLITE_BLOB) {
        bytes_puts(out, type == SQLITE_NULL ? "NULL" : "(bytes)");
        return;
    }
    at = (const char *)sqlite3_column_text(s, column);
    size = at ? (size_t)sqlite3_column_bytes(s, column) : 0;
    if (size > SQL_RESULT_BYTES_MAX) size = SQL_RESULT_BYTES_MAX;
    for (size_t i = 0; i < size; i++) {
        char c = at[i] == '|' || (unsigned char)at[i] < ' ' ? ' ' : at[i];

        bytes_put(out, (struct span){&c, 1});
    }
}

static void put_row(struct bytes *out, sqlite3_stmt *s) {
    for (int i = 0; i < sqlite3_column_count(s); i++) {
        if (out->size > SQL_RESULT_BYTES_MAX) return;
        if (i) bytes_puts(out, " | ");
        put_cell(out, s, i);
    }
    bytes_puts(out, "\n");
}

static void put_head(struct bytes *out, sqlite3_stmt *s) {
    for (int i = 0; i < sqlite3_column_count(s); i++) {
        const char *name = sqlite3_column_name(s, i);

        if (i) bytes_puts(out, " | ");
        if (name && strlen(name) <= SQL_NAME_BYTES_MAX) bytes_puts(out, name);
    }
    bytes_puts(out, "\n");
}

/* What a row is too much is cut off: all that is left of it is judged. */
static void cut_rows(struct bytes *out) {
    out->size = utf8_head(span_bytes(out), SQL_RESULT_BYTES_MAX).size;
    bytes_puts(out, "\n[the rest was cut off: ask for fewer rows, or for a "
                    "part with substr()]\n");
}

static bool rows_read(struct tool_run *run, sqlite3 *db, sqlite3_stmt *s) {
    const struct sql *sql = (const struct sql *)run->pool;
    int count = 0, status;

    put_head(&run->out, s);
    while ((status = sqlite3_step(s)) == SQLITE_ROW) {
        if (count == sql->rows) {
            bytes_puts(&run->out, "[there are more rows: ask for fewer]\n");
            return true;
        }
        put_row(&run->out, s);
        count++;
        if (run->out.size > SQL_RESULT_BYTES_MAX) {
            cut_rows(&run->out);
            return true;
        }
    }
    if (status == SQLITE_INTERRUPT)
        return err_set(&run->err, ERR_TIMEOUT,
                       "the query took more than %d s and was stopped",
                       sql->pool.seconds);
    if (status != SQLITE_DONE) return refuse(&run->err, db, "SQL");
    if (!count) bytes_puts(&run->out, "(no rows)\n");
    return true;
}

/* ---- on the pool ---- */

static int on_progress(void *user) {
    return query_stopped(user);
}

static bool statement_is_one(const char *tail) {
    return tail[strspn(tail, " \t\r\n;")] == '\0';
}

static void answer(struct tool_run *run) {
    const struct sql *sql = (const struct sql *)run->pool;
    sqlite3 *db = connect_read_only(sql->path, &run->err);
    sqlite3_stmt *s = NULL;
    const char *tail = "";

    if (!db) return;
    (void)sqlite3_set_authorizer(db, authorize, NULL);
    sqlite3_progress_handler(db, SQL_STEPS_A_LOOK, on_progress, run);
    if (sqlite3_prepare_v2(db, run->query, -1, &s, &tail) != SQLITE_OK)
        (void)refuse(&run->err, db, "SQL");
    else if (!s)
        (void)err_set(&run->err, ERR_INPUT, "there is no statement");
    else if (!sqlite3_stmt_readonly(s) || !sqlite3_column_count(s))
        (void)err_set(&run->err, ERR_INPUT, "only SELECT is allowed");
    else if (!statement_is_one(tail))
        (void)err_set(&run->err, ERR_INPUT, "one statement at a time");
    else
        (void)rows_read(run, db, s);
    (void)sqlite3_finalize(s);
    (void)sqlite3_close(db);
}

/* ---- opening ---- */

static void close_tool(struct tool *tool) {
    struct sql *sql = tool->self;

    query_pool_close(&sql->pool);
    free(sql->name);
    free(sql->description);
    free(sql->path);
    free(sql);
}

/* The tables as they were made, for the model to write its queries by. Read at
 * start: a table that comes later is there, only not described. */
static bool describe(struct sql *sql, const char *about, struct err *err) {
    struct bytes text = {0};
    sqlite3 *db = connect_read_only(sql->path, err);
    sqlite3_stmt *s = NULL;
    bool ok;

    if (!db) return false;
    bytes_puts(&text, about ? about
                            : "Read a SQLite database with one SELECT "
                              "statement.");
    bytes_puts(&text, " Tables:\n");
    ok = sqlite3_prepare_v2(db,
                            "SELECT sql FROM sqlite_schema WHERE sql NOT NULL "
                            "AND type IN ('table','view') AND name NOT LIKE "
                            "'sqlite_%' ORDER BY name",
                            -1, &s, NULL) == SQLITE_OK;
    while (ok && sqlite3_step(s) == SQLITE_ROW &&
           text.size < SQL_SCHEMA_BYTES_MAX) {
        const char *made = (const char *)sqlite3_column_text(s, 0);

        if (!made || strlen(made) > SQL_SCHEMA_BYTES_MAX - text.size) continue;
        bytes_puts(&text, made);
        bytes_puts(&text, ";\n");
    }
    if (!ok) (void)refuse(err, db, "the tables cannot be read");
    (void)sqlite3_finalize(s);
    (void)sqlite3_close(db);
    sql->description = span_dup(span_bytes(&text));
    bytes_free(&text);
    return ok;
}

static bool read_options(struct sql *sql, const struct tool_options *o,
                         struct err *err) {
    static const char *const keys[] = {"database", "name",    "description",
                                       "rows",     "seconds", NULL};
    const char *name = "sql_query", *about = NULL;
    struct err inner = {0};

    if (!option_only(o, keys, err) ||
        !option_path(o, "database", &sql->path, err) ||
        !option_text(o, "name", &name, err) ||
        !option_text(o, "description", &about, err) ||
        !option_int(o, "rows", 1, 10000, &sql->rows, err) ||
        !option_int(o, "seconds", 1, 600, &sql->pool.seconds, err))
        return false;
    if (!sql->path)
        return option_fail(o, NULL, err,
                           "a database is needed: {database: "
                           "FILE}");
    sql->name = xstrdup(name);
    return describe(sql, about, &inner) ||
           option_fail(o, option_get(o, "database"), err, "%s", inner.text);
}

struct tool *sql_query_open(const struct tool_options *o, struct err *err) {
    struct sql *sql = xalloc(sizeof *sql);

    *sql = (struct sql){.pool = {.loop = o->loop,
                                 .seconds = 5,
                                 .busy = "other queries are running; try again",
                                 .work = answer},
                        .rows = 100};
    if (!read_options(sql, o, err)) {
        close_tool(&(struct tool){.self = sql});
        return NULL;
    }
    sql->tool = (struct tool){
        .name = sql->name,
        .description = sql->description,
        .schema = "{\"type\":\"object\",\"properties\":{\"query\":{\"type\":"
                  "\"string\",\"description\":\"one SELECT statement in "
                  "SQLite's SQL\",\"maxLength\":16384}},\"required\":["
                  "\"query\"],\"additionalProperties\":false}",
        .idempotent = true,
        .shown_bytes_max = SQL_SHOWN_BYTES_MAX,
        .self = sql,
        .run = query_run,
        .cancel = query_cancel,
        .close = close_tool,
    };
    return &sql->tool;
}
