#include "agent/session_rows.h"

#include "base/json.h"

static const char *const steps[] = {
    "CREATE TABLE sessions ("
    " number INTEGER PRIMARY KEY AUTOINCREMENT,"
    " id TEXT NOT NULL UNIQUE,"
    " owner TEXT NOT NULL,"
    " created INTEGER NOT NULL,"
    " updated INTEGER NOT NULL,"
    " model TEXT NOT NULL,"
    " system TEXT NOT NULL,"
    " metadata TEXT NOT NULL,"
    " forked_from TEXT NOT NULL DEFAULT '',"
    " bytes INTEGER NOT NULL DEFAULT 0," /* of the entries */
    " entries INTEGER NOT NULL DEFAULT 0,"
    " running INTEGER NOT NULL DEFAULT 0);" /* a turn was begun, not ended */
    "CREATE INDEX owned ON sessions (owner, number);"
    "CREATE INDEX running ON sessions (number) WHERE running;"
    "CREATE TABLE entries ("
    " session INTEGER NOT NULL REFERENCES sessions ON DELETE CASCADE,"
    " place INTEGER NOT NULL,"
    " created INTEGER NOT NULL,"
    " is_message INTEGER NOT NULL,"
    " call TEXT NOT NULL,"              /* its id, of a call of ours */
    " open INTEGER NOT NULL DEFAULT 0," /* no result yet */
    " json TEXT NOT NULL,"
    " PRIMARY KEY (session, place)) WITHOUT ROWID;",
    /* What lies before is not read any more: the window was full. */
    "ALTER TABLE sessions ADD COLUMN kept_from INTEGER NOT NULL DEFAULT 0;",
    /* Turns that outlive the process: what entries.open says is OPEN_... */
    "ALTER TABLE sessions ADD COLUMN rest TEXT NOT NULL DEFAULT '';"
    "ALTER TABLE sessions ADD COLUMN resumed INTEGER NOT NULL DEFAULT 0;"
    "CREATE TABLE questions ("
    " id TEXT NOT NULL PRIMARY KEY,"
    " session INTEGER NOT NULL REFERENCES sessions ON DELETE CASCADE,"
    " call TEXT NOT NULL,"
    " tool TEXT NOT NULL,"
    " arguments TEXT NOT NULL,"
    " checks TEXT NOT NULL,"
    " created INTEGER NOT NULL,"
    " expires INTEGER NOT NULL);"
    "CREATE INDEX asked ON questions (session);",
    "ALTER TABLE sessions ADD COLUMN summary TEXT NOT NULL DEFAULT '';", NULL};

enum { OPEN_NOT, OPEN_RUNS, OPEN_ASKED, OPEN_AGAIN };

const struct db_schema session_schema = {.application_id =
                                             0x43725365, /* CrSe */
                                         .steps = steps};

/* ---- one row -------------------------------------------------------- */

static bool missing(struct err *err) {
    return err_set(err, ERR_NOT_FOUND, "there is no session of this id");
}

/* Its number in the file. */
bool session_find(struct db *db, struct span id, int64_t *number,
                  struct err *err) {
    struct db_statement *s =
        db_use(db, "SELECT number FROM sessions WHERE id = ?", err);
    bool row = false;

    if (!s) return false;
    db_bind_text(s, 1, id);
    if (!db_step(s, &row, err)) return false;
    if (!row) return missing(err);
    *number = db_int(s, 0);
    db_done(s);
    return true;
}

/* A statement whose one parameter is a session's number. */
bool session_run_on(struct db *db, const char *sql, int64_t number,
                    struct err *err) {
    struct db_statement *s = db_use(db, sql, err);

    if (!s) return false;
    db_bind_int(s, 1, number);
    return db_finish(s, err);
}

static bool has_room(struct db *db, struct err *err) {
    struct db_statement *s = db_use(db, "SELECT count(*) FROM sessions", err);
    bool row = false;
    int64_t count;

    if (!s || !db_step(s, &row, err)) return false;
    count = db_int(s, 0);
    db_done(s);
    return count < SESSIONS_MAX ||
           err_set(err, ERR_LIMIT,
                   "there are %d sessions, the most: delete "
                   "some",
                   SESSIONS_MAX);
}

bool session_create(struct db *db, const struct session_fresh *f,
                    struct err *err) {
    struct db_statement *s;

    if (!has_room(db, err)) return false;
    s = db_use(db,
               "INSERT INTO sessions (id, created, updated, model, system,"
               " metadata, owner) VALUES (?1, ?2, ?2, ?3, ?4, ?5, ?6)",
               err);
    if (!s) return false;
    db_bind_text(s, 1, f->id);
    db_bind_int(s, 2, f->now);
    db_bind_text(s, 3, f->model);
    db_bind_text(s, 4, f->system);
    db_bind_text(s, 5, f->metadata);
    db_bind_text(s, 6, f->owner);
    return db_finish(s, err);
}

bool session_owned(struct db *db, struct span id, struct span owner,
                   struct err *err) {
    struct db_statement *s =
        db_use(db, "SELECT 1 FROM sessions WHERE id = ? AND owner = ?", err);
    bool row = false;

    if (!s) return false;
    db_bind_text(s, 1, id);
    db_bind_text(s, 2, owner);
    if (!db_step(s, &row, err)) return false;
    db_done(s);
    return row || missing(err);
}

bool session_delete(struct db *db, struct span id, struct err *err) {
    int64_t number;

    return session_find(db, id, &number, err) &&
           session_run_on(db, "DELETE FROM sessions WHERE number = ?", number,
                          err);
}

/* ---- as JSON -------------------------------------------------------- */

#define COLUMNS                                                                \
    "id, created, updated, model, system, metadata, forked_from, entries,"     \
    " running"

static bool put_text(struct bytes *out, const char *key, struct span text,
                     struct err *err) {
    return bytes_printf(out, err, ",\"%s\":", key) &&
           (text.size ? json_put_string(out, text, err)
                      : bytes_append(out, "null", 4, err));
}

/* Without the closing brace, so that more can follow. */
static bool put_row(struct db_statement *s, struct bytes *out,
                    struct err *err) {
    struct span metadata = db_text(s, 5);

    return bytes_printf(out, err, "{\"object\":\"session\",\"id\":") &&
           json_put_string(out, db_text(s, 0), err) &&
           bytes_printf(out, err, ",\"created_at\":%lld,\"updated_at\":%lld",
                        (long long)db_int(s, 1), (long long)db_int(s, 2)) &&
           put_text(out, "model", db_text(s, 3), err) &&
           put_text(out, "system", db_text(s, 4), err) &&
           bytes_printf(out, err, ",\"metadata\":") &&
           bytes_append(out, metadata.at, metadata.size, err) &&
           put_text(out, "forked_from", db_text(s, 6), err) &&
           bytes_printf(out, err, ",\"entry_count\":%lld,\"running\":%s",
                        (long long)db_int(s, 7),
                        db_int(s, 8) ? "true" : "false");
}

static bool put_session(struct db *db, int64_t number, struct bytes *out,
                        struct err *err) {
    struct db_statement *s =
        db_use(db, "SELECT " COLUMNS " FROM sessions WHERE number = ?", err);
    bool row = false, ok;

    if (!s) return false;
    db_bind_int(s, 1, number);
    ok = db_step(s, &row, err) && (row || missing(err)) && put_row(s, out, err);
    db_done(s);
    return ok;
}

bool session_describe(struct db *db, struct span id, struct bytes *out,
                      struct err *err) {
    int64_t number;

    return session_find(db, id, &number, err) &&
           put_session(db, number, out, err) && bytes_append(out, "}", 1, err);
}

/* The entries of a statement's rows (json, is_message, created), each wrapped
 * so that a message and an event can be told apart. */
static bool put_entries(struct db_statement *s, struct bytes *out,
                        struct err *err) {
    bool row = false, first = true;

    for (;;) {
        struct span json;

        if (!db_step(s, &row, err)) return false;
        if (!row) return true;
        json = db_text(s, 0);
        if (!bytes_printf(
                out, err, "%s{\"created_at\":%lld,\"%s\":", first ? "" : ",",
                (long long)db_int(s, 2), db_int(s, 1) ? "message" : "event") ||
            !bytes_append(out, json.at, json.size, err) ||
            !bytes_append(out, "}", 1, err)) {
            db_done(s);
            return false;
        }
        first = false;
    }
}

bool session_show(struct db *db, struct span id, struct bytes *out,
                  struct err *err) {
    struct db_statement *s;
    int64_t number;

    if (!session_find(db, id, &number, err) ||
        !put_session(db, number, out, err) ||
        !bytes_printf(out, err, ",\"entries\":[")) {
        return false;
    }
    s = db_use(db,
               "SELECT json, is_message, created FROM entries"
               " WHERE session = ? ORDER BY place",
               err);
    if (!s) return false;
    db_bind_int(s, 1, number);
    return put_entries(s, out, err) && bytes_append(out, "]}", 2, err);
}

bool session_list(struct db *db, struct span owner, struct span after,
                  int count, struct bytes *out, struct err *err) {
    struct db_statement *s;
    int64_t before = INT64_MAX;
    bool row = false;

    if (after.size && !session_find(db, after, &before, err)) return false;
    s = db_use(db,
               "SELECT " COLUMNS " FROM sessions WHERE owner = ?"
               " AND number < ? ORDER BY number DESC LIMIT ?",
               err);
    if (!s || !bytes_printf(out, err, "{\"object\":\"list\",\"data\":["))
        return false;
    db_bind_text(s, 1, owner);
    db_bind_int(s, 2, before);
    db_bind_int(s, 3, (int64_t)count + 1);
    for (int i = 0; i <= count; i++) {
        if (!db_step(s, &row, err)) return false;
        if (!row || i == count) break;
        if ((i && !bytes_append(out, ",", 1, err)) || !put_row(s, out, err) ||
            !bytes_append(out, "}", 1, err)) {
            db_done(s);
            return false;
        }
    }
    db_done(s);
    return bytes_printf(out, err, "],\"has_more\":%s}", row ? "true" : "false");
}

/* ---- entries -------------------------------------------------------- */

static bool count_entry(struct db *db, int64_t number, size_t size, int64_t now,
                        struct err *err) {
    struct db_statement *s =
        db_use(db,
               "UPDATE sessions SET entries = entries + 1, bytes = bytes + ?,"
               " updated = ? WHERE number = ?",
               err);

    if (!s) return false;
    db_bind_int(s, 1, (int64_t)size);
    db_bind_int(s, 2, now);
    db_bind_int(s, 3, number);
    return db_finish(s, err);
}

static int open_of(enum session_kind kind) {
    switch (kind) {
    case SESSION_CALL:
        return OPEN_RUNS;
    case SESSION_AGAIN:
        return OPEN_AGAIN;
    case SESSION_ASK:
        return OPEN_ASKED;
    case SESSION_MESSAGE:
    case SESSION_RESULT:
    case SESSION_EVENT:
        break;
    }
    return OPEN_NOT;
}

bool session_put(struct db *db, int64_t number, const struct session_entry *e,
                 int64_t now, struct err *err) {
    struct db_statement *s = db_use(
        db,
        "INSERT INTO entries (session, place, created, is_message, call, open,"
        " json) VALUES (?1, (SELECT ifnull(max(place), 0) + 1 FROM entries"
        " WHERE session = ?1), ?2, ?3, ?4, ?5, ?6)",
        err);

    if (!s) return false;
    db_bind_int(s, 1, number);
    db_bind_int(s, 2, now);
    db_bind_int(s, 3, e->kind != SESSION_EVENT);
    /* A result has the id in its text alone. */
    db_bind_text(s, 4, open_of(e->kind) ? e->call : span_of(""));
    db_bind_int(s, 5, open_of(e->kind));
    db_bind_text(s, 6, e->json);
    if (!db_finish(s, err)) return false;
    return count_entry(db, number, e->json.size, now, err);
}

/* A statement of a session's number and a call's id. */
bool session_run_on_call(struct db *db, const char *sql, int64_t number,
                         struct span call, struct err *err) {
    struct db_statement *s = db_use(db, sql, err);

    if (!s) return false;
    db_bind_int(s, 1, number);
    db_bind_text(s, 2, call);
    return db_finish(s, err);
}

bool session_forget_question(struct db *db, int64_t number, struct span call,
                             struct err *err) {
    return session_run_on_call(
        db, "DELETE FROM questions WHERE session = ?1 AND call = ?2", number,
        call, err);
}

static bool close_call(struct db *db, int64_t number, struct span call,
                       struct err *err) {
    return session_run_on_call(db,
                               "UPDATE entries SET open = 0"
                               " WHERE session = ?1 AND open AND call = ?2",
                               number, call, err) &&
           session_forget_question(db, number, call, err);
}

bool session_add(struct db *db, struct span id,
                 const struct session_entry *entry, int64_t now,
                 struct err *err) {
    int64_t number;

    if (!session_find(db, id, &number, err)) return false;
    if (entry->kind == SESSION_RESULT &&
        !close_call(db, number, entry->call, err))
        return false;
    return session_put(db, number, entry, now, err);
}

/* What the model reads of a call that has no result: of one that may have had
 * its effect, and of one that nobody allowed. */
static const char *const cut_off[] = {
    [OPEN_RUNS] = "error: interrupted: the tool was running when the turn was "
                  "cut off; it may or may not have had its effect, and was not "
                  "run again",
    [OPEN_AGAIN] = "error: interrupted: the tool was running when the turn was "
                   "cut off, and was not run again",
    [OPEN_ASKED] = "error: denied: the turn was over before a person approved "
                   "it"};

static bool put_cut_off(struct span call, int open, struct bytes *out,
                        struct err *err) {
    return bytes_printf(out, err, "{\"role\":\"tool\",\"tool_call_id\":") &&
           json_put_string(out, call, err) &&
           bytes_printf(out, err, ",\"content\":\"%s\"}", cut_off[open]);
}

/* The first open call; *open is OPEN_NOT when there is none. */
static bool first_open(struct db *db, int64_t number, struct bytes *call,
                       int *open, struct err *err) {
    struct db_statement *s =
        db_use(db,
               "SELECT call, open FROM entries WHERE session = ? AND open"
               " ORDER BY place LIMIT 1",
               err);
    bool row = false, ok = true;

    *open = OPEN_NOT;
    if (!s) return false;
    db_bind_int(s, 1, number);
    if (!db_step(s, &row, err)) return false;
    if (row) {
        *open = (int)db_int(s, 1);
        ok = bytes_append(call, db_text(s, 0).at, db_text(s, 0).size, err);
    }
    db_done(s);
    return ok;
}

static bool close_interrupted(struct db *db, int64_t number, int64_t now,
                              struct err *err) {
    struct session_entry entry = {.kind = SESSION_RESULT};
    struct bytes call = {0}, json = {0};
    int open = OPEN_NOT;
    bool ok;

    do {
        call.size = json.size = 0;
        ok = first_open(db, number, &call, &open, err);
        if (!ok || open == OPEN_NOT) break;
        ok = put_cut_off(span_bytes(&call), open, &json, err);
        entry.json = span_bytes(&json);
        ok = ok && close_call(db, number, span_bytes(&call), err) &&
             session_put(db, number, &entry, now, err);
    } while (ok);
    bytes_free(&call);
    bytes_free(&json);
    return ok;
}

static bool end(struct db *db, int64_t number, struct span event, int64_t now,
                struct err *err) {
    const struct session_entry entry = {.kind = SESSION_EVENT, .json = event};

    return close_interrupted(db, number, now, err) &&
           session_put(db, number, &entry, now, err) &&
           session_run_on(
               db,
               "UPDATE sessions SET running = 0, resumed = 0, rest = ''"
               " WHERE number = ?",
               number, err);
}

bool session_end(struct db *db, struct span id, struct span event, int64_t now,
                 struct err *err) {
    int64_t number;

    return session_find(db, id, &number, err) &&
           end(db, number, event, now, err);
}

/* ---- a turn --------------------------------------------------------- */

bool session_end_cut_off(struct db *db, int64_t number, int64_t now,
                         struct err *err) {
    return end(db, number,
               span_of("{\"type\":\"turn\",\"finish\":\"interrupted\"}"), now,
               err);
}

bool session_begin(struct db *db, struct span id, struct err *err) {
    int64_t number;

    return session_find(db, id, &number, err) &&
           session_run_on(db,
                          "UPDATE sessions SET running = 1 WHERE number = ?",
                          number, err);
}

/* The system text comes first, as a message. */
bool session_load_row(struct db *db, int64_t number, bool *running,
                      struct session_view *out, struct err *err) {
    struct db_statement *s =
        db_use(db,
               "SELECT model, system, entries, bytes, running, summary"
               " FROM sessions"
               " WHERE number = ?",
               err);
    bool row = false, ok;
    struct span system, summary;

    if (!s) return false;
    db_bind_int(s, 1, number);
    if (!db_step(s, &row, err)) return false;
    if (!row) return missing(err);
    ok = (db_int(s, 2) < SESSION_ENTRIES_MAX &&
          db_int(s, 3) < SESSION_BYTES_MAX) ||
         err_set(err, ERR_LIMIT,
                 "the session is full (%d entries, %d bytes): fork it at an "
                 "earlier message, or begin another",
                 SESSION_ENTRIES_MAX, SESSION_BYTES_MAX);
    *running = db_int(s, 4) != 0;
    system = db_text(s, 1);
    ok = ok &&
         bytes_append(&out->model, db_text(s, 0).at, db_text(s, 0).size, err);
    if (ok && system.size) {
        ok = bytes_printf(&out->messages, err,
                          "{\"role\":\"system\",\"content\":") &&
             json_put_string(&out->messages, system, err) &&
             bytes_append(&out->messages, "}", 1, err);
    }
    summary = db_text(s, 5);
    if (ok && summary.size)
        ok = (!out->messages.size ||
              bytes_append(&out->messages, ",", 1, err)) &&
             bytes_append(&out->messages, summary.at, summary.size, err);
    db_done(s);
    return ok;
}

/* Those of the statement's rows (json), after one another. */
bool session_put_messages(struct db_statement *s, struct bytes *out,
                          struct err *err) {
    bool row = false;

    for (;;) {
        struct span json;

        if (!db_step(s, &row, err)) return false;
        if (!row) return true;
        json = db_text(s, 0);
        if ((out->size && !bytes_append(out, ",", 1, err)) ||
            !bytes_append(out, json.at, json.size, err)) {
            db_done(s);
            return false;
        }
    }
}

bool session_load_messages(struct db *db, int64_t number, struct bytes *out,
                           struct err *err) {
    struct db_statement *s =
        db_use(db,
               "SELECT json FROM entries WHERE session = ?1 AND is_message"
               " AND NOT open AND place >= (SELECT kept_from FROM sessions"
               " WHERE number = ?1) ORDER BY place",
               err);

    if (!s) return false;
    db_bind_int(s, 1, number);
    return session_put_messages(s, out, err);
}

bool session_load(struct db *db, struct span id, int64_t now,
                  struct session_view *out, struct err *err) {
    bool running = false;
    int64_t number;

    return session_find(db, id, &number, err) &&
           session_load_row(db, number, &running, out, err) &&
           (!running || session_end_cut_off(db, number, now, err)) &&
           session_load_messages(db, number, &out->messages, err);
}

bool session_compact(struct db *db, struct span id, int64_t messages,
                     struct span summary, struct span event, int64_t now,
                     struct err *err) {
    const struct session_entry entry = {.kind = SESSION_EVENT, .json = event};
    struct db_statement *s;
    int64_t number;

    if (!session_find(db, id, &number, err) ||
        !session_put(db, number, &entry, now, err))
        return false;
    s = db_use(db,
               "UPDATE sessions SET kept_from = ifnull((SELECT place FROM"
               " entries WHERE session = ?1 AND is_message"
               " AND place >= kept_from ORDER BY place LIMIT 1 OFFSET ?2),"
               " (SELECT max(place) + 1 FROM entries WHERE session = ?1)),"
               " summary = ?3 WHERE number = ?1",
               err);
    if (!s) return false;
    db_bind_int(s, 1, number);
    db_bind_int(s, 2, messages);
    db_bind_text(s, 3, summary);
    return db_finish(s, err);
}

/* ---- forks ---------------------------------------------------------- */

/* The place of the last entry that belongs to the first `messages` messages:
 * up to, and without, the next message. */
static bool fork_place(struct db *db, int64_t number, int64_t messages,
                       int64_t *place, struct err *err) {
    struct db_statement *s;
    bool row = false;

    *place = INT64_MAX;
    if (messages < 0) return true;
    s = db_use(db,
               "SELECT place FROM entries WHERE session = ? AND is_message"
               " ORDER BY place LIMIT 1 OFFSET ?",
               err);
    if (!s) return false;
    db_bind_int(s, 1, number);
    db_bind_int(s, 2, messages);
    if (!db_step(s, &row, err)) return false;
    if (row) *place = db_int(s, 0);
    db_done(s);
    return true;
}

/* The last one kept may not be a call whose result stays behind. */
static bool fork_is_whole(struct db *db, int64_t number, int64_t place,
                          struct err *err) {
    struct db_statement *s =
        db_use(db,
               "SELECT call FROM entries WHERE session = ? AND is_message"
               " AND place < ? ORDER BY place DESC LIMIT 1",
               err);
    bool row = false, open;

    if (!s) return false;
    db_bind_int(s, 1, number);
    db_bind_int(s, 2, place);
    if (!db_step(s, &row, err)) return false;
    open = row && db_text(s, 0).size;
    db_done(s);
    return !open || err_set_field(err, ERR_INPUT, "at",
                                  "the message there calls a tool: fork before "
                                  "it, or after the tool's result");
}

static bool fork_copy(struct db *db, int64_t from, int64_t place, int64_t to,
                      struct err *err) {
    struct db_statement *s = db_use(
        db,
        "INSERT INTO entries (session, place, created, is_message, call, json)"
        " SELECT ?3, place, created, is_message, call, json FROM entries"
        " WHERE session = ?1 AND place < ?2",
        err);

    if (!s) return false;
    db_bind_int(s, 1, from);
    db_bind_int(s, 2, place);
    db_bind_int(s, 3, to);
    return db_finish(s, err) &&
           session_run_on(
               db,
               "UPDATE sessions SET (entries, bytes) = (SELECT count(*),"
               " ifnull(sum(length(CAST(json AS BLOB))), 0) FROM entries"
               " WHERE session = ?1) WHERE number = ?1",
               to, err);
}

bool session_fork(struct db *db, struct span id, struct span fresh_id,
                  int64_t messages, int64_t now, struct err *err) {
    struct db_statement *s;
    int64_t number, place, fresh;

    if (!session_find(db, id, &number, err) || !has_room(db, err) ||
        !fork_place(db, number, messages, &place, err) ||
        !fork_is_whole(db, number, place, err)) {
        return false;
    }
    s = db_use(
        db,
        "INSERT INTO sessions (id, created, updated, model, system,"
        " metadata, owner, forked_from, kept_from, summary) SELECT ?2, ?3, ?3,"
        " model, system, metadata, owner, id,"
        " iif(kept_from < ?4, kept_from, 0),"
        " iif(kept_from < ?4, summary, '') FROM sessions WHERE number = ?1",
        err);
    if (!s) return false;
    db_bind_int(s, 1, number);
    db_bind_text(s, 2, fresh_id);
    db_bind_int(s, 3, now);
    db_bind_int(s, 4, place);
    if (!db_finish(s, err)) return false;
    fresh = db_last_id(db);
    return fork_copy(db, number, place, fresh, err);
}
