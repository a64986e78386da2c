#include "tools/search_index.h"

#include <stdlib.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/db.h"
#include "base/log.h"
#include "base/utf8.h"

enum {
    WORDS_MAX = 32,
    BLOCK_LINES = 8, /* what is found and shown together */
    BLOCK_BYTES_MAX = 1500,
    APPLICATION_ID = 0x43725358 /* "CrSX" */
};

static const char *const steps[] = {
    "CREATE TABLE about (what TEXT NOT NULL);"
    "CREATE TABLE file (path TEXT PRIMARY KEY, time, size, round);"
    "CREATE VIRTUAL TABLE block USING fts5(text, path UNINDEXED, "
    "line UNINDEXED, tokenize=\"unicode61 remove_diacritics 2\");",
    NULL};

struct search_index {
    struct db *db;
    int64_t round; /* of walks */
};

/* ---- opening ---- */

static struct db *open_db(const char *path, struct err *err) {
    const struct db_schema schema = {.application_id = APPLICATION_ID,
                                     .steps = steps,
                                     .bytes_max = SEARCH_INDEX_BYTES_MAX,
                                     .relaxed = true,
                                     .memory = !path};

    return db_open(path ? path : "the index", &schema, err);
}

static void remove_db(const char *path) {
    static const char *const endings[] = {"", "-wal", "-shm"};
    char name[DB_PATH_MAX + 8];

    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++) {
        (void)snprintf(name, sizeof name, "%s%s", path, endings[i]);
        (void)unlink(name);
    }
}

/* Is it of these settings? Whatever cannot be read is not. */
static bool is_of(struct db *db, struct span of) {
    struct db_statement *s = db_use(db, "SELECT what FROM about", NULL);
    bool row = false, same;

    if (!s || !db_step(s, &row, NULL)) return false;
    same = row && span_equal(db_text(s, 0), of);
    db_done(s);
    return same;
}

static bool begin_anew(struct db *db, struct span of, struct err *err) {
    struct db_statement *s;

    if (!db_run(db, "DELETE FROM block; DELETE FROM file; DELETE FROM about",
                err))
        return false;
    s = db_use(db, "INSERT INTO about VALUES (?1)", err);
    if (!s) return false;
    db_bind_text(s, 1, of);
    return db_finish(s, err);
}

static bool find_round(struct search_index *x, struct err *err) {
    struct db_statement *s =
        db_use(x->db, "SELECT coalesce(max(round), 0) FROM file", err);
    bool row;

    if (!s || !db_step(s, &row, err)) return false;
    x->round = row ? db_int(s, 0) : 0;
    db_done(s);
    return true;
}

static bool set_up(struct search_index *x, struct span of, struct err *err) {
    return x->db && (is_of(x->db, of) || begin_anew(x->db, of, err)) &&
           find_round(x, err);
}

struct search_index *search_index_open(const char *path, struct span of,
                                       struct err *err) {
    struct search_index *x = xalloc(sizeof *x);
    struct err why = {0};

    x->db = open_db(path, &why);
    if (set_up(x, of, &why)) return x;
    db_close(x->db);
    x->db = NULL;
    /* Nothing is lost with it; a file in use is not damaged. */
    if (path && why.code != ERR_BUSY && why.code != ERR_IO) {
        log_event(LOG_WARN, "search_index_made_anew", "path=%s", path);
        remove_db(path);
        x->db = open_db(path, &why);
        if (set_up(x, of, &why)) return x;
    }
    if (err) *err = why;
    search_index_close(x);
    return NULL;
}

void search_index_close(struct search_index *x) {
    if (!x) return;
    db_close(x->db);
    free(x);
}

/* ---- a walk ---- */

bool search_index_begin(struct search_index *x, struct err *err) {
    if (!db_begin(x->db, err)) return false;
    x->round++;
    return true;
}

bool search_index_knows(struct search_index *x,
                        const struct search_file *file) {
    struct db_statement *s = db_use(x->db,
                                    "UPDATE file SET round=?4 WHERE path=?1 "
                                    "AND time=?2 AND size=?3",
                                    NULL);

    if (!s) return false;
    db_bind_text(s, 1, span_of(file->path));
    db_bind_int(s, 2, file->time_ns);
    db_bind_int(s, 3, file->size);
    db_bind_int(s, 4, x->round);
    return db_finish(s, NULL) && db_changes(x->db) == 1;
}

static bool put_block(struct search_index *x, const char *path,
                      struct span text, int line, struct err *err) {
    struct db_statement *s = db_use(
        x->db, "INSERT INTO block(text, path, line) VALUES (?1, ?2, ?3)", err);

    if (!s) return false;
    db_bind_text(s, 1, text);
    db_bind_text(s, 2, span_of(path));
    db_bind_int(s, 3, line);
    return db_finish(s, err);
}

/* How much of `text` makes the next block; *lines ended in it. A line that is
 * too long is cut. */
static size_t block_size(struct span text, int *lines) {
    size_t size = 0;

    *lines = 0;
    while (*lines < BLOCK_LINES && size < text.size) {
        struct span rest = span_slice(text, size, text.size);
        size_t end = span_find(rest, span_of("\n"));
        size_t step = end == SIZE_MAX ? rest.size : end + 1;

        if (size + step > BLOCK_BYTES_MAX) {
            if (size) return size;
            size = utf8_complete(span_slice(text, 0, BLOCK_BYTES_MAX));
            return size ? size : BLOCK_BYTES_MAX;
        }
        size += step;
        *lines += end != SIZE_MAX;
    }
    return size;
}

static bool put_text(struct search_index *x, const char *path, struct span text,
                     struct err *err) {
    int line = 1;

    while (text.size) {
        int lines;
        size_t size = block_size(text, &lines);

        if (!put_block(x, path, span_slice(text, 0, size), line, err))
            return false;
        line += lines;
        text = span_slice(text, size, text.size);
    }
    return true;
}

static bool forget(struct search_index *x, const char *path, struct err *err) {
    struct db_statement *s =
        db_use(x->db, "DELETE FROM block WHERE path=?1", err);

    if (!s) return false;
    db_bind_text(s, 1, span_of(path));
    return db_finish(s, err);
}

bool search_index_put(struct search_index *x, const struct search_file *file,
                      struct span text, struct err *err) {
    struct db_statement *s;

    if (!forget(x, file->path, err)) return false;
    s = db_use(x->db, "INSERT OR REPLACE INTO file VALUES (?1, ?2, ?3, ?4)",
               err);
    if (!s) return false;
    db_bind_text(s, 1, span_of(file->path));
    db_bind_int(s, 2, file->time_ns);
    db_bind_int(s, 3, file->size);
    db_bind_int(s, 4, x->round);
    return db_finish(s, err) && put_text(x, file->path, text, err);
}

static bool drop_unmet(struct search_index *x, struct err *err) {
    static const char *const changes[] = {
        "DELETE FROM block WHERE path IN (SELECT path FROM file WHERE "
        "round < ?1)",
        "DELETE FROM file WHERE round < ?1"};

    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
        struct db_statement *s = db_use(x->db, changes[i], err);

        if (!s) return false;
        db_bind_int(s, 1, x->round);
        if (!db_finish(s, err)) return false;
    }
    return true;
}

bool search_index_end(struct search_index *x, bool whole, struct err *err) {
    if ((!whole || drop_unmet(x, err)) && db_commit(x->db, err)) return true;
    search_index_undo(x);
    return false;
}

void search_index_undo(struct search_index *x) {
    if (db_in_transaction(x->db)) db_rollback(x->db);
}

/* ---- the search ---- */

static bool is_word(char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
           (c >= 'A' && c <= 'Z') || (unsigned char)c >= 0x80;
}

/* Any of the words, each in quotes: FTS5's own language stays out of reach. */
static bool match_of(const char *query, struct bytes *out) {
    int words = 0;

    while (*query && words < WORDS_MAX) {
        size_t size = 0;

        while (query[size] && is_word(query[size])) size++;
        if (size) {
            bytes_puts(out, words++ ? " OR \"" : "\"");
            bytes_put(out, (struct span){query, size});
            bytes_puts(out, "\"");
        }
        query += size ? size : 1;
    }
    return words > 0;
}

static bool hit_read(struct db_statement *s, struct search_hit *hit) {
    size_t mark;

    *hit = (struct search_hit){.path = db_text(s, 0),
                               .line = (int)db_int(s, 1),
                               .text = db_text(s, 2)};
    mark = span_find(hit->text, span_of(SEARCH_MARK));
    if (mark == SIZE_MAX) return false;
    for (size_t i = 0; i < mark; i++) hit->line += hit->text.at[i] == '\n';
    return true;
}

bool search_index_find(struct search_index *x, const char *query, int most,
                       void (*on_hit)(void *user, const struct search_hit *hit),
                       void *user, struct err *err) {
    struct db_statement *s =
        db_use(x->db,
               "SELECT path, line, highlight(block, 0, '" SEARCH_MARK
               "', '" SEARCH_MARK "') FROM block WHERE block MATCH ?1 "
               "ORDER BY rank LIMIT ?2",
               err);
    struct bytes match = {0};
    bool row = true, ok = s != NULL;
    struct search_hit hit;

    if (ok && !match_of(query, &match))
        ok = err_set(err, ERR_INPUT, "the query has no words");
    if (ok) {
        db_bind_text(s, 1, span_bytes(&match));
        db_bind_int(s, 2, most);
    }
    while (ok && (ok = db_step(s, &row, err)) && row)
        if (hit_read(s, &hit)) on_hit(user, &hit);
    bytes_free(&match);
    return ok;
}
