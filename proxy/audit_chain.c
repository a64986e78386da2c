#include "proxy/audit_chain.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/json.h"

enum { LINE_MAX_BYTES = 256 };

static const uint32_t application_id = 0x43524C41; /* "CRLA" */

static const char *const steps[] = {
    "CREATE TABLE rows (seq INTEGER PRIMARY KEY, at INTEGER NOT NULL,"
    " row TEXT NOT NULL, hash TEXT NOT NULL);"
    "CREATE INDEX rows_at ON rows (at);"
    "CREATE TABLE marks (name TEXT PRIMARY KEY, seq INTEGER NOT NULL,"
    " hash TEXT NOT NULL, mac TEXT NOT NULL) WITHOUT ROWID;",
    NULL};

/* ---- the key ---- */

bool audit_key_read(struct audit_key *out, const char *path, struct err *err) {
    struct bytes text = {.limit = 4096};
    bool ok = bytes_read_file(&text, path, err);

    while (text.size && (text.at[text.size - 1] == '\n')) text.size--;
    if (ok && text.size != AUDIT_KEY_SIZE)
        ok = err_set(err, ERR_INPUT, "%s: not a key of the audit", path);
    if (ok) {
        memcpy(out->text, text.at, AUDIT_KEY_SIZE);
        out->text[AUDIT_KEY_SIZE] = '\0';
    }
    bytes_free(&text);
    return ok;
}

static void put_path(struct bytes *out, const char *folder, const char *name) {
    bytes_puts(out, folder);
    bytes_puts(out, "/");
    bytes_puts(out, name);
    bytes_put(out, (struct span){"", 1});
}

static bool make_key(struct audit_key *out, const char *path, struct err *err) {
    char half[2][HASH_ID_SIZE];
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    bool ok;

    hash_random_id(half[0]);
    hash_random_id(half[1]);
    (void)snprintf(out->text, sizeof out->text, "%.24s%.24s", half[0], half[1]);
    ok = fd >= 0 &&
         write(fd, out->text, AUDIT_KEY_SIZE) == (ssize_t)AUDIT_KEY_SIZE &&
         fsync(fd) == 0;
    if (!ok) (void)err_set(err, ERR_IO, "%s: %s", path, strerror(errno));
    if (fd >= 0) (void)close(fd);
    return ok;
}

bool audit_key_open(struct audit_key *out, const char *folder,
                    struct err *err) {
    struct bytes key = {0}, db = {0};
    bool ok;

    put_path(&key, folder, "audit.key");
    put_path(&db, folder, "audit.db");
    if (access(key.at, F_OK) == 0)
        ok = audit_key_read(out, key.at, err);
    else if (access(db.at, F_OK) == 0)
        /* A new key would make every old row look forged. */
        ok = err_set(err, ERR_INPUT,
                     "%s is missing: without it the rows in %s cannot be "
                     "verified; bring it back, or move the database away",
                     key.at, db.at);
    else
        ok = make_key(out, key.at, err);
    bytes_free(&key);
    bytes_free(&db);
    return ok;
}

static struct span key_span(const struct audit_key *key) {
    return (struct span){key->text, AUDIT_KEY_SIZE};
}

/* What is hashed says what it is, so that no hash can stand for another. */
static void hash_parts(const struct audit_key *key, const char *what,
                       struct span a, struct span b, char out[HASH_HEX_SIZE]) {
    struct hash_stream *h = hash_stream_new(key_span(key));

    hash_stream_add(h, span_of(what));
    hash_stream_add(h, a);
    hash_stream_add(h, (struct span){"\n", 1});
    hash_stream_add(h, b);
    hash_stream_hex(h, out);
    hash_stream_free(h);
}

struct hash_stream *audit_text_hash_new(const struct audit_key *key) {
    struct hash_stream *h = hash_stream_new(key_span(key));

    hash_stream_add(h, span_of("text:"));
    return h;
}

char *audit_db_path(const char *folder) {
    struct bytes path = {0};

    put_path(&path, folder, "audit.db");
    return path.at;
}

struct db *audit_db_open(const char *path, uint64_t bytes_max, bool read_only,
                         struct err *err) {
    const struct db_schema schema = {.application_id = application_id,
                                     .steps = steps,
                                     .bytes_max = bytes_max,
                                     .read_only = read_only};

    return db_open(path, &schema, err);
}

/* ---- marks ---- */

struct mark {
    int64_t seq; /* 0: before the first row */
    char hash[HASH_HEX_SIZE];
};

static void mark_mac(const struct audit_key *key, const char *name,
                     const struct mark *m, char out[HASH_HEX_SIZE]) {
    char text[LINE_MAX_BYTES];

    (void)snprintf(text, sizeof text, "%s:%" PRId64, name, m->seq);
    hash_parts(key, "mark:", span_of(text), span_of(m->hash), out);
}

static void copy_hash(char out[HASH_HEX_SIZE], struct span s) {
    size_t size = s.size < HASH_HEX_SIZE ? s.size : HASH_HEX_SIZE - 1;

    if (size) memcpy(out, s.at, size);
    out[size] = '\0';
}

/* *good: there is none (then it is zero), or it is as we wrote it. */
static bool mark_read(struct db *db, const struct audit_key *key,
                      const char *name, struct mark *out, bool *good,
                      struct err *err) {
    struct db_statement *s =
        db_use(db, "SELECT seq, hash, mac FROM marks WHERE name = ?", err);
    char mac[HASH_HEX_SIZE];
    bool row;

    *out = (struct mark){0};
    *good = true;
    if (!s) return false;
    db_bind_text(s, 1, span_of(name));
    if (!db_step(s, &row, err)) return false;
    if (!row) return true;
    out->seq = db_int(s, 0);
    copy_hash(out->hash, db_text(s, 1));
    mark_mac(key, name, out, mac);
    *good = hash_equal_secret(span_of(mac), db_text(s, 2));
    db_done(s);
    return true;
}

static bool mark_write(struct db *db, const struct audit_key *key,
                       const char *name, const struct mark *m,
                       struct err *err) {
    struct db_statement *s =
        db_use(db, "INSERT OR REPLACE INTO marks VALUES (?, ?, ?, ?)", err);
    char mac[HASH_HEX_SIZE];

    if (!s) return false;
    mark_mac(key, name, m, mac);
    db_bind_text(s, 1, span_of(name));
    db_bind_int(s, 2, m->seq);
    db_bind_text(s, 3, span_of(m->hash));
    db_bind_text(s, 4, span_of(mac));
    return db_finish(s, err);
}

/* ---- writing ---- */

/* A row begins {"seq":N,"at":M: the first (0) or second (1) of these, as the
 * row itself gives it; -1 when it does not begin so. */
static int64_t number_after(struct span row, int which) {
    static const char *const names[] = {"{\"seq\":", ",\"at\":"};
    int64_t n = 0;

    for (int i = 0; i <= which; i++) {
        struct span name = span_of(names[i]);

        if (!span_starts(row, name)) return -1;
        row = span_slice(row, name.size, row.size);
        for (n = 0; row.size && *row.at >= '0' && *row.at <= '9';
             row = span_slice(row, 1, row.size)) {
            if (n > (INT64_MAX - 9) / 10) return -1;
            n = n * 10 + (*row.at - '0');
        }
    }
    return n;
}

bool audit_chain_add(struct db *db, const struct audit_key *key,
                     struct span tail, struct err *err) {
    struct db_statement *s;
    struct bytes row = {0};
    struct mark head;
    bool good, ok;

    if (!mark_read(db, key, "head", &head, &good, err)) return false;
    if (!good)
        return err_set(err, ERR_UNAVAILABLE,
                       "%s: the audit's last row was tampered with",
                       db_path(db));
    head.seq++;
    ok = bytes_printf(&row, err, "{\"seq\":%" PRId64 ",", head.seq) &&
         bytes_append(&row, tail.at, tail.size, err);
    hash_parts(key, "row:", span_of(head.hash), span_bytes(&row), head.hash);
    s = ok ? db_use(db, "INSERT INTO rows VALUES (?, ?, ?, ?)", err) : NULL;
    if (s) {
        db_bind_int(s, 1, head.seq);
        db_bind_int(s, 2, number_after(span_bytes(&row), 1));
        db_bind_text(s, 3, span_bytes(&row));
        db_bind_text(s, 4, span_of(head.hash));
    }
    ok = s && db_finish(s, err) && mark_write(db, key, "head", &head, err);
    bytes_free(&row);
    return ok;
}

/* The newest row that may go: all before it go, too, so that what stays is one
 * piece. */
static bool last_to_go(struct db *db, int64_t at_ms, int most, int64_t *seq,
                       struct err *err) {
    struct db_statement *s = db_use(
        db,
        "SELECT max(seq) FROM (SELECT seq FROM rows WHERE seq < coalesce("
        "(SELECT min(seq) FROM rows WHERE at >= ?1),"
        " (SELECT max(seq) FROM rows)) ORDER BY seq LIMIT ?2)",
        err);
    bool row;

    if (!s) return false;
    db_bind_int(s, 1, at_ms);
    db_bind_int(s, 2, most);
    if (!db_step(s, &row, err)) return false;
    *seq = row ? db_int(s, 0) : 0;
    db_done(s);
    return true;
}

bool audit_chain_trim(struct db *db, const struct audit_key *key, int64_t at_ms,
                      int most, struct err *err) {
    struct mark anchor = {0};
    struct db_statement *s;
    bool row;

    if (!last_to_go(db, at_ms, most, &anchor.seq, err)) return false;
    if (anchor.seq <= 0) return true;
    s = db_use(db, "SELECT hash FROM rows WHERE seq = ?", err);
    if (!s) return false;
    db_bind_int(s, 1, anchor.seq);
    if (!db_step(s, &row, err)) return false;
    if (row) copy_hash(anchor.hash, db_text(s, 0));
    db_done(s);
    s = db_use(db, "DELETE FROM rows WHERE seq <= ?", err);
    if (!s) return false;
    db_bind_int(s, 1, anchor.seq);
    return db_finish(s, err) && mark_write(db, key, "anchor", &anchor, err);
}

/* ---- verifying ---- */

struct verifier {
    const struct audit_key *key;
    void (*on_problem)(void *user, const char *text);
    void *user;
    struct audit_report *report;
    struct mark at; /* the last row seen */
};

static void complain(struct verifier *v, const char *format, ...)
    PRINTF_LIKE(2, 3);

static void complain(struct verifier *v, const char *format, ...) {
    char text[LINE_MAX_BYTES];
    va_list args;

    if (v->report->problem_count++ >= AUDIT_PROBLEMS_MAX) return;
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    v->on_problem(v->user, text);
}

static void check_row(struct verifier *v, int64_t seq, int64_t at,
                      struct span row, struct span hash) {
    char expected[HASH_HEX_SIZE];
    int64_t own = number_after(row, 0);

    if (seq == v->at.seq + 2)
        complain(v, "row %" PRId64 " is missing", seq - 1);
    else if (seq > v->at.seq + 2)
        complain(v, "rows %" PRId64 " to %" PRId64 " are missing",
                 v->at.seq + 1, seq - 1);
    hash_parts(v->key, "row:", span_of(v->at.hash), row, expected);
    if (own >= 0 && own != seq)
        complain(v, "row %" PRId64 " stands in the place of row %" PRId64, own,
                 seq);
    else if (seq == v->at.seq + 1 &&
             (at != number_after(row, 1) ||
              !hash_equal_secret(span_of(expected), hash)))
        complain(v, "row %" PRId64 " was changed", seq);
    if (!v->report->rows++) v->report->first = seq;
    /* Go on from what is written, so that one change is told once. */
    v->at.seq = seq;
    copy_hash(v->at.hash, hash);
}

static bool check_rows(struct verifier *v, struct db *db, struct err *err) {
    struct db_statement *s =
        db_use(db, "SELECT seq, at, row, hash FROM rows ORDER BY seq", err);
    bool row = true;

    while (s && row) {
        if (!db_step(s, &row, err)) return false;
        if (row)
            check_row(v, db_int(s, 0), db_int(s, 1), db_text(s, 2),
                      db_text(s, 3));
    }
    return s != NULL;
}

bool audit_chain_verify(struct db *db, const struct audit_key *key,
                        void (*on_problem)(void *user, const char *text),
                        void *user, struct audit_report *out, struct err *err) {
    struct verifier v = {key, on_problem, user, out, {0}};
    struct mark head;
    bool good_head, good_anchor;

    *out = (struct audit_report){0};
    if (!mark_read(db, key, "head", &head, &good_head, err) ||
        !mark_read(db, key, "anchor", &v.at, &good_anchor, err))
        return false;
    if (!good_anchor) complain(&v, "the mark of the beginning was changed");
    if (!good_head) complain(&v, "the mark of the end was changed");
    if (!check_rows(&v, db, err)) return false;
    if (good_head && head.seq > v.at.seq)
        complain(&v, "rows %" PRId64 " to %" PRId64 " were cut off at the end",
                 v.at.seq + 1, head.seq);
    else if (good_head && head.seq < v.at.seq)
        complain(&v, "rows from %" PRId64 " on were added", head.seq + 1);
    else if (good_head && strcmp(head.hash, v.at.hash) != 0)
        complain(&v, "row %" PRId64 " is not the one that was written last",
                 head.seq);
    out->last = out->rows ? v.at.seq : 0;
    memcpy(out->head, v.at.hash, sizeof out->head);
    return true;
}

/* ---- reading ---- */

bool audit_chain_each(struct db *db, int64_t from_ms, int64_t end_ms,
                      int64_t most, bool (*on_row)(void *user, struct span row),
                      void *user, struct err *err) {
    struct db_statement *s =
        db_use(db,
               "SELECT row FROM (SELECT seq, row FROM rows WHERE"
               " at >= ? AND at < ?"
               " ORDER BY seq DESC LIMIT ?) ORDER BY seq",
               err);
    bool row = true;

    if (!s) return false;
    db_bind_int(s, 1, from_ms);
    db_bind_int(s, 2, end_ms);
    db_bind_int(s, 3, most);
    while (row) {
        if (!db_step(s, &row, err)) return false;
        if (row && !on_row(user, db_text(s, 0))) {
            db_done(s);
            return true;
        }
    }
    return true;
}

bool audit_chain_spent(struct db *db, int64_t from_ms,
                       void (*on_key)(void *user, const char *key_id,
                                      int64_t tokens),
                       void *user, struct err *err) {
    struct db_statement *s =
        db_use(db,
               "SELECT json_extract(row, '$.key'), sum(coalesce("
               "json_extract(row, '$.prompt_tokens'), 0) + coalesce("
               "json_extract(row, '$.completion_tokens'), 0)) FROM rows WHERE"
               " at >= ? AND"
               " json_extract(row, '$.kind') = 'request' GROUP BY 1",
               err);
    bool row = true;

    if (!s) return false;
    db_bind_int(s, 1, from_ms);
    while (row) {
        char id[LINE_MAX_BYTES] = "";
        struct span text;

        if (!db_step(s, &row, err)) return false;
        if (!row) break;
        text = db_text(s, 0);
        if (text.size < sizeof id && text.size) memcpy(id, text.at, text.size);
        on_key(user, id, db_int(s, 1));
    }
    return true;
}
