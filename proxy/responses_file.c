#include "proxy/responses_file.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "proxy/db_queue.h"

enum { JOBS_MAX = 4096, DAY_S = 86400 };

static const char *const steps[] = {"CREATE TABLE responses ("
                                    " number INTEGER PRIMARY KEY AUTOINCREMENT,"
                                    " id TEXT NOT NULL UNIQUE,"
                                    " owner TEXT NOT NULL,"
                                    " created INTEGER NOT NULL,"
                                    " response TEXT NOT NULL,"
                                    " input TEXT NOT NULL,"
                                    " context TEXT NOT NULL);"
                                    "CREATE INDEX aged ON responses (created);",
                                    NULL};

static const struct db_schema schema = {
    .application_id = 0x43725270, /* CrRp */
    .steps = steps,
    .relaxed = true,
};

struct responses_file {
    struct db_queue *queue;
};

/* A row to be written, or an id to be forgotten. The texts lie one behind the
 * other, in the order of the columns. */
struct job {
    struct db_job base; /* first, so that the callbacks can cast back */
    bool remove;
    int64_t created;
    struct bytes text;
    size_t end[5];
};

static struct span text_of(const struct job *j, int index) {
    return span_slice(span_bytes(&j->text), index ? j->end[index - 1] : 0,
                      j->end[index]);
}

/* ---- on the pool ---- */

static bool run_put(struct job *j, struct db *db, struct err *err) {
    struct db_statement *s =
        db_use(db,
               "INSERT OR REPLACE INTO responses (created, id, owner, response,"
               " input, context) VALUES (?, ?, ?, ?, ?, ?)",
               err);

    if (!s) return false;
    db_bind_int(s, 1, j->created);
    for (int i = 0; i < 5; i++) db_bind_text(s, 2 + i, text_of(j, i));
    return db_finish(s, err);
}

static bool run_remove(struct job *j, struct db *db, struct err *err) {
    struct db_statement *s =
        db_use(db, "DELETE FROM responses WHERE id = ?", err);

    if (!s) return false;
    db_bind_text(s, 1, text_of(j, 0));
    return db_finish(s, err);
}

static bool run(struct db_job *base, struct db *db, struct err *err) {
    struct job *j = (struct job *)(void *)base;

    return j->remove ? run_remove(j, db, err) : run_put(j, db, err);
}

/* ---- on the loop ---- */

static void job_free(struct job *j) {
    bytes_free(&j->text);
    free(j);
}

static void log_failure(const struct err *err) {
    char quoted[ERR_TEXT_MAX];

    log_event(LOG_ERROR, "responses_unwritten", "reason=%s",
              log_quote(err->text, quoted, sizeof quoted));
}

static void on_done(struct db_job *base, bool ok, const struct err *err) {
    if (!ok) log_failure(err);
    job_free((struct job *)(void *)base);
}

static void push(struct responses_file *f, struct job *j) {
    struct err err = {0};

    j->base.run = run;
    j->base.on_done = on_done;
    if (db_queue_push(f->queue, &j->base, &err)) return;
    log_failure(&err);
    job_free(j);
}

void responses_file_put(struct responses_file *f,
                        const struct responses_row *row) {
    const struct span texts[] = {row->id, row->owner, row->texts.response,
                                 row->texts.input, row->texts.context};
    struct job *j = xalloc(sizeof *j);

    j->created = row->created;
    j->text.limit = RESPONSES_BYTES_MAX + 2 * (size_t)RESPONSES_ID_SIZE + 4096;
    for (int i = 0; i < 5; i++) {
        bytes_put(&j->text, texts[i]);
        j->end[i] = j->text.size;
    }
    push(f, j);
}

void responses_file_remove(struct responses_file *f, const char *id) {
    struct job *j = xalloc(sizeof *j);

    j->remove = true;
    bytes_puts(&j->text, id);
    j->end[0] = j->text.size;
    push(f, j);
}

/* ---- its life ---- */

static bool let_go(struct db *db, int days, int count, struct err *err) {
    struct db_statement *s =
        db_use(db, "DELETE FROM responses WHERE created < ?", err);

    if (!s) return false;
    db_bind_int(s, 1, days ? clock_wall_s() - (int64_t)days * DAY_S : 0);
    if (!db_finish(s, err)) return false;
    s = db_use(db,
               "DELETE FROM responses WHERE number NOT IN (SELECT number FROM "
               "responses ORDER BY number DESC LIMIT ?)",
               err);
    if (!s) return false;
    db_bind_int(s, 1, count);
    return db_finish(s, err);
}

static bool tell_rows(struct db *db,
                      void (*on_row)(void *user,
                                     const struct responses_row *row),
                      void *user, struct err *err) {
    struct db_statement *s =
        db_use(db,
               "SELECT created, id, owner, response, input, context "
               "FROM responses ORDER BY number",
               err);
    bool row = s != NULL;

    if (!s) return false;
    while (db_step(s, &row, err)) {
        const struct responses_row r = {
            .id = db_text(s, 1),
            .owner = db_text(s, 2),
            .created = db_int(s, 0),
            .texts = {db_text(s, 3), db_text(s, 4), db_text(s, 5)}};

        if (!row) return true;
        on_row(user, &r);
    }
    return false;
}

struct responses_file *
responses_file_open(uv_loop_t *loop, const char *folder, int days, int count,
                    void (*on_row)(void *user, const struct responses_row *row),
                    void *user, struct err *err) {
    struct responses_file *f = NULL;
    struct bytes path = {0};
    struct db *db = NULL;

    /* What a client deletes is to be gone from the file, too. */
    if (bytes_printf(&path, err, "%s/responses.db%c", folder, '\0') &&
        (db = db_open(path.at, &schema, err)) &&
        db_run(db, "PRAGMA secure_delete = ON", err) &&
        let_go(db, days, count, err) && tell_rows(db, on_row, user, err)) {
        f = xalloc(sizeof *f);
        f->queue = db_queue_open(loop, db, JOBS_MAX);
    } else {
        db_close(db);
    }
    bytes_free(&path);
    return f;
}

void responses_file_close(struct responses_file *f) {
    if (!f) return;
    db_queue_close(f->queue, NULL, NULL);
    free(f);
}
