/* tool_file_search.c - full text search in one folder. The index is SQLite's
 * FTS5, in memory: before each search the folder is walked, and what changed by
 * time or size is read again. Symbolic links are not followed, hidden names are
 * skipped, and nothing outside the folder can be named. All of it runs on the
 * pool, one run at a time under the index's lock. */
#include <dirent.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/utf8.h"
#include "tools/query_pool.h"
#include "tools/tool_builtin.h"

enum {
    SEARCH_DEPTH_MAX = 16,
    SEARCH_WORDS_MAX = 32,
    SEARCH_BLOCK_LINES = 8, /* what is found and shown together */
    SEARCH_BLOCK_BYTES_MAX = 1500,
    SEARCH_PATH_MAX = 1024,
    SEARCH_SECONDS = 20
};

/* The marks that FTS5 puts around a word found, to tell its line. */
#define MARK "\x01"

struct search {
    struct query_pool pool; /* first (see query_pool.h) */
    struct tool tool;
    char *name;
    char *description;
    char *folder;
    char *pattern; /* of file names; NULL: all */
    int files_max;
    int file_bytes_max;
    int results;
    uv_mutex_t lock; /* of what follows, held by a whole run */
    sqlite3 *db;
    int64_t round; /* of walks */
    int files;     /* met on this walk */
    bool partial;  /* and there were more */
};

/* ---- the index ---- */

static bool fail(struct search *f, struct err *err) {
    return err_set(err, ERR_INTERNAL, "the index: %.200s",
                   sqlite3_errmsg(f->db));
}

/* A statement of our own with up to four parameters, run to its end. */
static bool change(struct search *f, const char *sql, const char *text,
                   int64_t a, int64_t b, int64_t c, struct err *err) {
    sqlite3_stmt *s = NULL;
    bool ok;

    ok = sqlite3_prepare_v2(f->db, sql, -1, &s, NULL) == SQLITE_OK;
    if (ok) {
        (void)sqlite3_bind_text(s, 1, text, -1, SQLITE_STATIC);
        (void)sqlite3_bind_int64(s, 2, a);
        (void)sqlite3_bind_int64(s, 3, b);
        (void)sqlite3_bind_int64(s, 4, c);
        ok = sqlite3_step(s) == SQLITE_DONE;
    }
    (void)sqlite3_finalize(s);
    return ok || fail(f, err);
}

static bool index_open(struct search *f, struct err *err) {
    static const char schema[] =
        "CREATE TABLE file (path TEXT PRIMARY KEY, time, size, round);"
        "CREATE VIRTUAL TABLE block USING fts5(text, path UNINDEXED, "
        "line UNINDEXED, tokenize=\"unicode61 remove_diacritics 2\");";

    if (sqlite3_open_v2(":memory:", &f->db,
                        SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE |
                            SQLITE_OPEN_NOMUTEX,
                        NULL) == SQLITE_OK &&
        sqlite3_exec(f->db, schema, NULL, NULL, NULL) == SQLITE_OK)
        return true;
    return fail(f, err);
}

/* True when the file is there as it was; it is then of this round. */
static bool known(struct search *f, const char *path, const struct stat *st) {
    int64_t time =
        (int64_t)st->st_mtim.tv_sec * 1000000000 + st->st_mtim.tv_nsec;

    return change(f,
                  "UPDATE file SET round=?4 WHERE path=?1 AND time=?2 AND "
                  "size=?3",
                  path, time, st->st_size, f->round, NULL) &&
           sqlite3_changes(f->db) == 1;
}

static bool put_block(struct search *f, const char *path, struct span text,
                      int line, struct err *err) {
    sqlite3_stmt *s = NULL;
    bool ok = sqlite3_prepare_v2(f->db,
                                 "INSERT INTO block(text, path, line) "
                                 "VALUES (?1, ?2, ?3)",
                                 -1, &s, NULL) == SQLITE_OK;

    if (ok) {
        (void)sqlite3_bind_text(s, 1, text.at, (int)text.size, SQLITE_STATIC);
        (void)sqlite3_bind_text(s, 2, path, -1, SQLITE_STATIC);
        (void)sqlite3_bind_int(s, 3, line);
        ok = sqlite3_step(s) == SQLITE_DONE;
    }
    (void)sqlite3_finalize(s);
    return ok || fail(f, err);
}

/* Blocks of some lines; a line that is too long is cut into several. */
static bool put_text(struct search *f, const char *path, struct span text,
                     struct err *err) {
    int line = 1;

    while (text.size) {
        size_t size = 0;
        int lines = 0;

        while (lines < SEARCH_BLOCK_LINES && size < text.size) {
            struct span rest = span_slice(text, size, text.size);
            size_t end = span_find(rest, span_of("\n"));
            size_t step = end == SIZE_MAX ? rest.size : end + 1;

            if (size + step > SEARCH_BLOCK_BYTES_MAX) {
                if (size) break;
                size =
                    utf8_complete(span_slice(text, 0, SEARCH_BLOCK_BYTES_MAX));
                if (!size) size = SEARCH_BLOCK_BYTES_MAX;
                break;
            }
            size += step;
            lines += end != SIZE_MAX;
        }
        if (!put_block(f, path, span_slice(text, 0, size), line, err))
            return false;
        line += lines;
        text = span_slice(text, size, text.size);
    }
    return true;
}

static bool forget(struct search *f, const char *path, struct err *err) {
    return change(f, "DELETE FROM block WHERE path=?1", path, 0, 0, 0, err) &&
           change(f, "DELETE FROM file WHERE path=?1", path, 0, 0, 0, err);
}

/* What is no text is remembered too, so that it is not read again. */
static bool read_again(struct tool_run *run, const char *path, int fd,
                       const struct stat *st) {
    struct search *f = (struct search *)run->pool;
    struct bytes text = {.limit = (size_t)f->file_bytes_max};
    int64_t time =
        (int64_t)st->st_mtim.tv_sec * 1000000000 + st->st_mtim.tv_nsec;
    bool ok = forget(f, path, &run->err) &&
              change(f, "INSERT INTO file VALUES (?1, ?2, ?3, ?4)", path, time,
                     st->st_size, f->round, &run->err);

    if (ok && bytes_read_fd(&text, fd, path, NULL) && text.size &&
        !memchr(text.at, '\0', text.size))
        ok = put_text(f, path, span_bytes(&text), &run->err);
    bytes_free(&text);
    return ok;
}

/* ---- the walk ---- */

static bool walk(struct tool_run *run, int folder, const char *prefix,
                 int depth);

static bool meet_file(struct tool_run *run, int folder, const char *name,
                      const char *path) {
    struct search *f = (struct search *)run->pool;
    struct stat st;
    bool ok = true;
    int fd;

    if (f->pattern && fnmatch(f->pattern, name, FNM_PERIOD)) return true;
    fd = openat(folder, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) return true;
    if (!fstat(fd, &st) && S_ISREG(st.st_mode) &&
        st.st_size <= f->file_bytes_max) {
        if (f->files++ >= f->files_max)
            f->partial = true;
        else if (!known(f, path, &st))
            ok = read_again(run, path, fd, &st);
    }
    (void)close(fd);
    return ok;
}

static bool meet(struct tool_run *run, int folder, const char *name,
                 const char *prefix, int depth) {
    char path[SEARCH_PATH_MAX];
    struct stat st;
    int fd;
    int size = snprintf(path, sizeof path, "%s%s", prefix, name);

    if (size < 0 || (size_t)size >= sizeof path - 1) return true;
    if (fstatat(folder, name, &st, AT_SYMLINK_NOFOLLOW)) return true;
    if (S_ISREG(st.st_mode)) return meet_file(run, folder, name, path);
    if (!S_ISDIR(st.st_mode) || depth == SEARCH_DEPTH_MAX) return true;
    fd = openat(folder, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) return true;
    path[size] = '/';
    path[size + 1] = '\0';
    return walk(run, fd, path, depth + 1);
}

/* Takes `folder`. */
static bool walk(struct tool_run *run, int folder, const char *prefix,
                 int depth) {
    DIR *dir = fdopendir(folder);
    const struct dirent *entry;
    bool ok = true;

    if (!dir) {
        (void)close(folder);
        return true;
    }
    while (ok && (entry = readdir(dir))) {
        if (entry->d_name[0] == '.') continue;
        if (query_stopped(run))
            ok = err_set(&run->err, ERR_TIMEOUT, "the search took too long");
        else
            ok = meet(run, folder, entry->d_name, prefix, depth);
    }
    (void)closedir(dir);
    return ok;
}

/* One transaction: a walk that fails leaves the index as it was. */
static bool update(struct tool_run *run) {
    struct search *f = (struct search *)run->pool;
    int folder = open(f->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool ok;

    if (folder < 0)
        return err_set(&run->err, ERR_IO, "the folder cannot be read");
    f->round++;
    f->files = 0;
    f->partial = false;
    (void)sqlite3_exec(f->db, "BEGIN", NULL, NULL, NULL);
    ok = walk(run, folder, "", 0) &&
         change(f,
                "DELETE FROM block WHERE path IN (SELECT path FROM file WHERE "
                "round < ?2 AND ?1 = '')",
                "", f->round, 0, 0, &run->err) &&
         change(f, "DELETE FROM file WHERE round < ?2 AND ?1 = ''", "",
                f->round, 0, 0, &run->err);
    (void)sqlite3_exec(f->db, ok ? "COMMIT" : "ROLLBACK", NULL, NULL, NULL);
    return ok;
}

/* ---- the search ---- */

static bool is_word(char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
           (c >= 'A' && c <= 'Z') || (unsigned char)c >= 0x80;
}

/* Any of the words, each in quotes: FTS5's own language stays out of reach. */
static bool match_of(const char *query, struct bytes *out) {
    int words = 0;

    while (*query && words < SEARCH_WORDS_MAX) {
        size_t size = 0;

        while (query[size] && is_word(query[size])) size++;
        if (size) {
            bytes_puts(out, words++ ? " OR \"" : "\"");
            bytes_put(out, (struct span){query, size});
            bytes_puts(out, "\"");
        }
        query += size ? size : 1;
    }
    bytes_put(out, (struct span){"", 1});
    return words > 0;
}

/* "path:line:" of the first word found, then the block without its marks. */
static void put_hit(struct tool_run *run, sqlite3_stmt *s) {
    const char *path = (const char *)sqlite3_column_text(s, 0);
    const char *text = (const char *)sqlite3_column_text(s, 2);
    int line = sqlite3_column_int(s, 1);
    const char *mark = text ? strstr(text, MARK) : NULL;

    if (!path || !mark) return;
    for (const char *at = text; at < mark; at++) line += *at == '\n';
    if (!bytes_printf(&run->out, NULL, "%s:%d:\n", path, line)) return;
    for (; *text; text++)
        if (*text != MARK[0]) bytes_put(&run->out, (struct span){text, 1});
    if (run->out.at[run->out.size - 1] != '\n') bytes_puts(&run->out, "\n");
    bytes_puts(&run->out, "\n");
}

static bool find(struct tool_run *run) {
    struct search *f = (struct search *)run->pool;
    struct bytes match = {0};
    sqlite3_stmt *s = NULL;
    bool ok = match_of(run->query, &match);
    int status = SQLITE_DONE;

    if (!ok) {
        bytes_free(&match);
        return err_set(&run->err, ERR_INPUT, "the query has no words");
    }
    ok = sqlite3_prepare_v2(
             f->db,
             "SELECT path, line, highlight(block, 0, '" MARK "', '" MARK "') "
             "FROM block WHERE block MATCH ?1 ORDER BY rank LIMIT ?2",
             -1, &s, NULL) == SQLITE_OK;
    if (ok) {
        (void)sqlite3_bind_text(s, 1, match.at, -1, SQLITE_STATIC);
        (void)sqlite3_bind_int(s, 2, f->results);
        while ((status = sqlite3_step(s)) == SQLITE_ROW) put_hit(run, s);
    }
    if (!ok || status != SQLITE_DONE) ok = fail(f, &run->err);
    (void)sqlite3_finalize(s);
    bytes_free(&match);
    if (ok && !run->out.size) bytes_puts(&run->out, "(nothing found)\n");
    if (ok && f->partial)
        bytes_puts(&run->out,
                   "[the folder has more files than are searched]\n");
    return ok;
}

static void answer(struct tool_run *run) {
    struct search *f = (struct search *)run->pool;

    uv_mutex_lock(&f->lock);
    if (update(run)) (void)find(run);
    uv_mutex_unlock(&f->lock);
}

/* ---- opening ---- */

static void close_tool(struct tool *tool) {
    struct search *f = tool->self;

    query_pool_close(&f->pool);
    (void)sqlite3_close(f->db);
    uv_mutex_destroy(&f->lock);
    free(f->name);
    free(f->description);
    free(f->folder);
    free(f->pattern);
    free(f);
}

static bool read_options(struct search *f, const struct tool_options *o,
                         struct err *err) {
    static const char *const keys[] = {"folder",  "name",    "description",
                                       "pattern", "results", "files",
                                       "file_kb", NULL};
    const char *name = "file_search", *pattern = NULL;
    const char *about = "Search text files for words. Answers cite the file "
                        "and the line.";
    int file_kb = 512;
    struct stat st;

    if (!option_only(o, keys, err) ||
        !option_path(o, "folder", &f->folder, err) ||
        !option_text(o, "name", &name, err) ||
        !option_text(o, "description", &about, err) ||
        !option_text(o, "pattern", &pattern, err) ||
        !option_int(o, "results", 1, 20, &f->results, err) ||
        !option_int(o, "files", 1, 100000, &f->files_max, err) ||
        !option_int(o, "file_kb", 1, 16384, &file_kb, err))
        return false;
    if (!f->folder)
        return option_fail(o, NULL, err, "a folder is needed: {folder: PATH}");
    if (stat(f->folder, &st) || !S_ISDIR(st.st_mode))
        return option_fail(o, option_get(o, "folder"), err,
                           "%.200s is no folder", f->folder);
    f->name = xstrdup(name);
    f->description = xstrdup(about);
    f->pattern = pattern ? xstrdup(pattern) : NULL;
    f->file_bytes_max = file_kb << 10;
    return true;
}

struct tool *file_search_open(const struct tool_options *o, struct err *err) {
    struct search *f = xalloc(sizeof *f);

    *f = (struct search){
        .pool = {.loop = o->loop,
                 .seconds = SEARCH_SECONDS,
                 .busy = "other searches are running; try again",
                 .work = answer},
        .files_max = 5000,
        .results = 5};
    (void)uv_mutex_init(&f->lock);
    if (!read_options(f, o, err) || !index_open(f, err)) {
        close_tool(&(struct tool){.self = f});
        return NULL;
    }
    f->tool = (struct tool){
        .name = f->name,
        .description = f->description,
        .schema = "{\"type\":\"object\",\"properties\":{\"query\":{\"type\":"
                  "\"string\",\"description\":\"words to look for\","
                  "\"maxLength\":1024}},\"required\":[\"query\"],"
                  "\"additionalProperties\":false}",
        .idempotent = true,
        .self = f,
        .run = query_run,
        .cancel = query_cancel,
        .close = close_tool,
    };
    return &f->tool;
}
