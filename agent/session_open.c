/* session_open.c - calls that have no result yet: those that wait for a person,
 * and the turns that go on after the process that began them is gone. */
#include "agent/session_rows.h"

/* ---- a person is asked ----------------------------------------------- */

bool session_ask(struct db *db, struct span id,
                 const struct session_entry *entry,
                 const struct session_question *q, int64_t now,
                 struct err *err) {
    struct db_statement *s;
    int64_t number;

    if (!session_find(db, id, &number, err) ||
        !session_put(db, number, entry, now, err))
        return false;
    s = db_use(db,
               "INSERT INTO questions (id, session, call, tool, arguments,"
               " checks, created, expires) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
               err);
    if (!s) return false;
    db_bind_text(s, 1, q->id);
    db_bind_int(s, 2, number);
    db_bind_text(s, 3, entry->call);
    db_bind_text(s, 4, q->tool);
    db_bind_text(s, 5, q->arguments);
    db_bind_text(s, 6, q->checks);
    db_bind_int(s, 7, q->created);
    db_bind_int(s, 8, q->expires);
    return db_finish(s, err);
}

bool session_run(struct db *db, struct span id, struct span call, bool again,
                 struct err *err) {
    int64_t number;

    return session_find(db, id, &number, err) &&
           session_run_on_call(
               db,
               again ? "UPDATE entries SET open = 3"
                       " WHERE session = ?1 AND open AND call = ?2"
                     : "UPDATE entries SET open = 1"
                       " WHERE session = ?1 AND open AND call = ?2",
               number, call, err) &&
           session_forget_question(db, number, call, err);
}

bool session_note(struct db *db, struct span id, struct span rest,
                  struct err *err) {
    struct db_statement *s;
    int64_t number;

    if (!session_find(db, id, &number, err)) return false;
    s = db_use(db, "UPDATE sessions SET rest = ?2 WHERE number = ?1", err);
    if (!s) return false;
    db_bind_int(s, 1, number);
    db_bind_text(s, 2, rest);
    return db_finish(s, err);
}

/* ---- after a crash -------------------------------------------------- */

#define MAY_GO_ON                                                              \
    " (EXISTS (SELECT 1 FROM questions WHERE session = number)"                \
    "  OR (NOT resumed AND EXISTS (SELECT 1 FROM entries"                      \
    "   WHERE session = number AND open = 3)"                                  \
    "   AND NOT EXISTS (SELECT 1 FROM entries"                                 \
    "   WHERE session = number AND open = 1)))"

static bool forget_expired(struct db *db, int64_t now, struct err *err) {
    struct db_statement *s =
        db_use(db, "DELETE FROM questions WHERE expires <= ?", err);

    if (!s) return false;
    db_bind_int(s, 1, now);
    return db_finish(s, err);
}

bool session_recover(struct db *db, int64_t now, int64_t *count,
                     struct err *err) {
    if (!forget_expired(db, now, err)) return false;
    for (*count = 0;; ++*count) {
        struct db_statement *s =
            db_use(db,
                   "SELECT number FROM sessions WHERE running"
                   " AND NOT" MAY_GO_ON " LIMIT 1",
                   err);
        bool row = false;
        int64_t number;

        if (!s || !db_step(s, &row, err)) return false;
        if (!row) return true;
        number = db_int(s, 0);
        db_done(s);
        if (!session_end_cut_off(db, number, now, err)) return false;
    }
}

bool session_each_open(struct db *db,
                       void (*each)(void *user,
                                    const struct session_question *q),
                       void *user, struct err *err) {
    struct db_statement *s =
        db_use(db,
               "SELECT sessions.id, questions.id, tool, arguments, checks,"
               " questions.created, expires FROM sessions"
               " LEFT JOIN questions ON session = number"
               " WHERE running ORDER BY questions.created, number",
               err);
    bool row = false;

    if (!s) return false;
    for (;;) {
        if (!db_step(s, &row, err)) return false;
        if (!row) return true;
        each(user, &(struct session_question){.session = db_text(s, 0),
                                              .id = db_text(s, 1),
                                              .tool = db_text(s, 2),
                                              .arguments = db_text(s, 3),
                                              .checks = db_text(s, 4),
                                              .created = db_int(s, 5),
                                              .expires = db_int(s, 6)});
    }
}

static bool load_cut(struct db *db, int64_t number, struct session_cut *out,
                     struct err *err) {
    struct db_statement *s =
        db_use(db,
               "SELECT owner, rest, ifnull((SELECT call FROM questions"
               " WHERE session = number), '') FROM sessions WHERE number = ?",
               err);
    bool row = false, ok;

    if (!s) return false;
    db_bind_int(s, 1, number);
    if (!db_step(s, &row, err)) return false;
    ok = bytes_append(&out->owner, db_text(s, 0).at, db_text(s, 0).size, err) &&
         bytes_append(&out->rest, db_text(s, 1).at, db_text(s, 1).size, err) &&
         bytes_append(&out->asked, db_text(s, 2).at, db_text(s, 2).size, err);
    db_done(s);
    return ok;
}

static bool load_open(struct db *db, int64_t number, struct bytes *out,
                      struct err *err) {
    struct db_statement *s =
        db_use(db,
               "SELECT json FROM entries WHERE session = ? AND open"
               " ORDER BY place",
               err);

    if (!s) return false;
    db_bind_int(s, 1, number);
    return session_put_messages(s, out, err);
}

bool session_take_up(struct db *db, struct span id, struct session_cut *out,
                     struct err *err) {
    bool running = false;
    int64_t number;

    return session_find(db, id, &number, err) &&
           session_load_row(db, number, &running, &out->view, err) &&
           (running ||
            err_set(err, ERR_NOT_FOUND, "no turn of this session waits")) &&
           session_load_messages(db, number, &out->view.messages, err) &&
           load_cut(db, number, out, err) &&
           load_open(db, number, &out->calls, err) &&
           session_run_on(db,
                          "UPDATE sessions SET resumed = 1 WHERE number = ?",
                          number, err);
}
