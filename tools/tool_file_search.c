/* tool_file_search.c - full text search in one folder. Before each search the
 * folder is walked, and what changed by time or size is read again into the
 * index, which is kept in the data folder where there is one. Symbolic links
 * are not followed, hidden names are skipped, and nothing outside the folder
 * can be named. All of it runs on the pool, one run at a time under the index's
 * lock. */
#include <dirent.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tools/query_pool.h"
#include "tools/search_index.h"
#include "tools/tool_builtin.h"

enum { SEARCH_DEPTH_MAX = 16, SEARCH_PATH_MAX = 1024, SEARCH_SECONDS = 20 };

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
    struct search_index *index;
    int files;    /* met on this walk */
    bool partial; /* and there were more */
};

/* What is no text is remembered too, so that it is not read again. */
static bool read_again(struct tool_run *run, const struct search_file *file,
                       int fd) {
    struct search *f = (struct search *)run->pool;
    struct bytes text = {.limit = (size_t)f->file_bytes_max};
    bool ok;

    if (!bytes_read_fd(&text, fd, file->path, NULL) ||
        (text.size && memchr(text.at, '\0', text.size)))
        text.size = 0;
    ok = search_index_put(f->index, file, span_bytes(&text), &run->err);
    bytes_free(&text);
    return ok;
}

/* ---- the walk ---- */

static bool walk(struct tool_run *run, int folder, const char *prefix,
                 int depth);

static bool meet_file(struct tool_run *run, int folder, const char *name,
                      const char *path) {
    struct search *f = (struct search *)run->pool;
    struct search_file file = {.path = path};
    struct stat st;
    bool ok = true;
    int fd;

    if (f->pattern && fnmatch(f->pattern, name, FNM_PERIOD)) return true;
    fd = openat(folder, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) return true;
    if (!fstat(fd, &st) && S_ISREG(st.st_mode) &&
        st.st_size <= f->file_bytes_max) {
        file.time_ns =
            (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec;
        file.size = st.st_size;
        if (f->files++ >= f->files_max)
            f->partial = true;
        else if (!search_index_knows(f->index, &file))
            ok = read_again(run, &file, fd);
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
            ok = err_set(&run->err, ERR_TIMEOUT,
                         "the folder is still being read; try again");
        else
            ok = meet(run, folder, entry->d_name, prefix, depth);
    }
    (void)closedir(dir);
    return ok;
}

/* A walk that runs out of time keeps what it read, and the next one goes on
 * from there; one that fails leaves the index as it was. */
static bool update(struct tool_run *run) {
    struct search *f = (struct search *)run->pool;
    int folder = open(f->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool ok;

    if (folder < 0)
        return err_set(&run->err, ERR_IO, "the folder cannot be read");
    if (!search_index_begin(f->index, &run->err)) {
        (void)close(folder);
        return false;
    }
    f->files = 0;
    f->partial = false;
    ok = walk(run, folder, "", 0);
    if (ok || run->err.code == ERR_TIMEOUT)
        return search_index_end(f->index, ok, &run->err) && ok;
    search_index_undo(f->index);
    return false;
}

/* ---- the search ---- */

/* "path:line:" and then the block, without the marks. */
static void on_hit(void *user, const struct search_hit *hit) {
    struct tool_run *run = user;

    if (!bytes_printf(&run->out, NULL, "%.*s:%d:\n", (int)hit->path.size,
                      hit->path.at, hit->line))
        return;
    for (size_t i = 0; i < hit->text.size; i++)
        if (hit->text.at[i] != SEARCH_MARK[0])
            bytes_put(&run->out, span_slice(hit->text, i, i + 1));
    if (run->out.at[run->out.size - 1] != '\n') bytes_puts(&run->out, "\n");
    bytes_puts(&run->out, "\n");
}

static bool find(struct tool_run *run) {
    struct search *f = (struct search *)run->pool;

    if (!search_index_find(f->index, run->query, f->results, on_hit, run,
                           &run->err))
        return false;
    if (!run->out.size) bytes_puts(&run->out, "(nothing found)\n");
    if (f->partial)
        bytes_puts(&run->out,
                   "[the folder has more files than are searched]\n");
    return true;
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
    search_index_close(f->index);
    uv_mutex_destroy(&f->lock);
    free(f->name);
    free(f->description);
    free(f->folder);
    free(f->pattern);
    free(f);
}

static bool name_is_plain(const char *name) {
    static const char plain[] = "abcdefghijklmnopqrstuvwxyz"
                                "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-";

    return *name && name[strspn(name, plain)] == '\0' &&
           strlen(name) <= TOOL_NAME_MAX;
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

/* A file of its own for each tool of this kind, by its name. */
static bool open_index(struct search *f, const struct tool_options *o,
                       struct err *err) {
    struct bytes of = {0}, path = {0};
    struct err why = {0};
    bool ok;

    if (!name_is_plain(f->name))
        return option_fail(o, option_get(o, "name"), err,
                           "a name has letters, digits, _ and - only");
    ok = bytes_printf(&of, err, "%s\n%s\n%d", f->folder,
                      f->pattern ? f->pattern : "", f->file_bytes_max) &&
         bytes_printf(&path, err, "%s/search-%s.db", o->data ? o->data : "",
                      f->name) &&
         bytes_append(&path, "", 1, err);
    if (ok) {
        f->index =
            search_index_open(o->data ? path.at : NULL, span_bytes(&of), &why);
        ok = f->index || option_fail(o, NULL, err, "%s", why.text);
    }
    bytes_free(&of);
    bytes_free(&path);
    return ok;
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
    if (!read_options(f, o, err) || !open_index(f, o, err)) {
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
