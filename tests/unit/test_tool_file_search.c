/* test_tool_file_search.c - words are found with their file and line, changes
 * are seen, and what lies outside the folder is not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "tools/tool_builtin.h"

struct world {
    uv_loop_t loop;
    struct tool *tool;
    char folder[64];
    const char *data; /* where the index is kept; NULL: nowhere */
};

struct answer {
    bool over;
    bool ok;
    struct bytes text; /* NUL-terminated */
};

static void put_bytes(struct world *w, const char *name, const void *text,
                      size_t size) {
    char path[256];
    FILE *file;

    (void)snprintf(path, sizeof path, "%s/%s", w->folder, name);
    file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
}

static void put(struct world *w, const char *name, const char *text) {
    put_bytes(w, name, text, strlen(text));
}

static void gone(struct world *w, const char *name) {
    char path[256];

    (void)snprintf(path, sizeof path, "%s/%s", w->folder, name);
    (void)remove(path);
}

static void open_tool(struct world *w, const char *more) {
    struct tool_options o = {
        .name = "file_search", .loop = &w->loop, .data = w->data};
    struct err err = {0};
    char options[256];
    cJSON *map;

    (void)snprintf(options, sizeof options, "{\"folder\":\"%s\"%s}", w->folder,
                   more);
    map = json_parse(span_of(options), NULL);
    o.map = map;
    w->tool = file_search_open(&o, &err);
    if (!w->tool) fail_msg("%s", err.text);
    cJSON_Delete(map);
}

static void ready_in(struct world *w, const char *data, const char *more) {
    char path[256];

    w->data = data;
    (void)snprintf(w->folder, sizeof w->folder, "/tmp/corral-test-XXXXXX");
    assert_non_null(mkdtemp(w->folder));
    (void)snprintf(path, sizeof path, "%s/deep", w->folder);
    assert_int_equal(mkdir(path, 0700), 0);
    assert_int_equal(uv_loop_init(&w->loop), 0);
    open_tool(w, more);
}

static void ready(struct world *w, const char *more) {
    ready_in(w, NULL, more);
}

static void over(struct world *w) {
    static const char *const names[] = {
        "a.md", "b.txt",  "deep/c.md", ".h.md", "link.md",
        "up",   "bin.md", "big.md",    "deep",  "."};

    w->tool->close(w->tool);
    (void)uv_run(&w->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&w->loop), 0);
    for (size_t i = 0; i + 1 < sizeof names / sizeof *names; i++)
        gone(w, names[i]);
    assert_int_equal(rmdir(w->folder), 0);
}

static void on_done(void *user, bool ok, struct span text) {
    struct answer *a = user;

    assert_false(a->over);
    a->over = true;
    a->ok = ok;
    bytes_put(&a->text, text);
    bytes_put(&a->text, (struct span){"", 1});
}

static struct tool_run *begin(struct world *w, const char *query,
                              struct answer *a) {
    const struct tool_context nobody = {0};
    cJSON *arguments = cJSON_CreateObject();
    struct tool_run *run;

    *a = (struct answer){0};
    cJSON_AddStringToObject(arguments, "query", query);
    run = w->tool->run(w->tool, arguments, &nobody, on_done, a);
    cJSON_Delete(arguments);
    return run;
}

static void check(struct world *w, const char *query, bool ok,
                  const char *want) {
    struct answer a;

    (void)begin(w, query, &a);
    while (!a.over) (void)uv_run(&w->loop, UV_RUN_ONCE);
    if (a.ok != ok || strcmp(a.text.at, want) != 0)
        fail_msg("%s\ngot %d \"%.300s\", wanted \"%s\"", query, a.ok, a.text.at,
                 want);
    bytes_free(&a.text);
}

static const char nothing[] = "(nothing found)\n";

static void test_found(void **state) {
    struct world w;

    (void)state;
    ready(&w, "");
    check(&w, "heron", true, nothing);
    put(&w, "a.md", "one\ntwo\nA H\xc3\xa9ron stands\n");
    put(&w, "deep/c.md",
        "1\n2\n3\n4\n5\n6\n7\n8\n9\n10\nthe otter swims\n12\n13");
    check(&w, "heron", true, "a.md:3:\none\ntwo\nA H\xc3\xa9ron stands\n\n");
    check(&w, "where is the otter?", true,
          "deep/c.md:11:\n9\n10\nthe otter swims\n12\n13\n\n");
    check(&w, "bear", true, nothing);
    check(&w, "?!", false, "the query has no words");
    check(&w, "\" OR NEAR(", true, nothing);
    over(&w);
}

static void test_changes(void **state) {
    struct world w;

    (void)state;
    ready(&w, "");
    put(&w, "a.md", "a heron\n");
    check(&w, "heron", true, "a.md:1:\na heron\n\n");
    put(&w, "a.md", "an otter now\n");
    check(&w, "heron", true, nothing);
    check(&w, "otter", true, "a.md:1:\nan otter now\n\n");
    gone(&w, "a.md");
    check(&w, "otter", true, nothing);
    over(&w);
}

static void moved(const struct world *w, const char *from, const char *to) {
    char old[256], new[256];

    (void)snprintf(old, sizeof old, "%s/%s", w->folder, from);
    (void)snprintf(new, sizeof new, "%s/%s", w->folder, to);
    assert_int_equal(rename(old, new), 0);
}

/* Nothing is found where it is no more: not under an old name, nor in a folder
 * that went, nor the words of a file that is binary now. */
static void test_renamed(void **state) {
    struct world w;

    (void)state;
    ready(&w, "");
    put(&w, "a.md", "a heron\n");
    put(&w, "deep/c.md", "an otter\n");
    check(&w, "heron", true, "a.md:1:\na heron\n\n");
    moved(&w, "a.md", "b.md");
    check(&w, "heron", true, "b.md:1:\na heron\n\n");
    moved(&w, "b.md", "deep/c.md"); /* over another one */
    check(&w, "heron", true, "deep/c.md:1:\na heron\n\n");
    check(&w, "otter", true, nothing);
    moved(&w, "deep", "low");
    check(&w, "heron", true, "low/c.md:1:\na heron\n\n");
    moved(&w, "low", ".low"); /* hidden */
    check(&w, "heron", true, nothing);
    moved(&w, ".low", "deep");
    check(&w, "heron", true, "deep/c.md:1:\na heron\n\n");
    put_bytes(&w, "deep/c.md", "a heron\0\1", 9);
    check(&w, "heron", true, nothing);
    put(&w, "deep/c.md", "a heron again\n");
    check(&w, "heron", true, "deep/c.md:1:\na heron again\n\n");
    over(&w);
}

static void open_again(struct world *w, const char *more) {
    w->tool->close(w->tool);
    open_tool(w, more);
}

/* Other words of the same length, with the same time of change: what only a
 * reading would tell. */
static void put_unseen(struct world *w, const char *name, const char *text) {
    struct timespec times[2];
    struct stat before;
    char path[256];

    (void)snprintf(path, sizeof path, "%s/%s", w->folder, name);
    assert_int_equal(stat(path, &before), 0);
    put(w, name, text);
    times[0] = before.st_atim;
    times[1] = before.st_mtim;
    assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
}

/* The index outlives the process: nothing is read twice, and what happened in
 * between is seen. */
static void test_kept(void **state) {
    char data[] = "/tmp/corral-test-data-XXXXXX";
    char path[256];
    struct world w;
    FILE *file;

    (void)state;
    assert_non_null(mkdtemp(data));
    (void)snprintf(path, sizeof path, "%s/search-file_search.db", data);
    ready_in(&w, data, "");
    put(&w, "a.md", "a heron\n");
    put(&w, "b.txt", "a heron too\n");
    check(&w, "too", true, "b.txt:1:\na heron too\n\n");
    put_unseen(&w, "a.md", "a stork\n");
    gone(&w, "b.txt");
    put(&w, "deep/c.md", "an otter\n");
    open_again(&w, "");
    /* Still found, so it was not read again. */
    check(&w, "heron", true, "a.md:1:\na heron\n\n");
    check(&w, "too", true, nothing);
    check(&w, "otter", true, "deep/c.md:1:\nan otter\n\n");
    open_again(&w, ",\"file_kb\":100"); /* another index */
    check(&w, "heron", true, nothing);
    check(&w, "stork", true, "a.md:1:\na stork\n\n");
    w.tool->close(w.tool);
    file = fopen(path, "wb"); /* no database any more */
    assert_non_null(file);
    assert_true(fputs("garbage garbage garbage", file) >= 0);
    assert_int_equal(fclose(file), 0);
    open_tool(&w, "");
    check(&w, "stork", true, "a.md:1:\na stork\n\n");
    over(&w);
    assert_int_equal(remove(path), 0);
    assert_int_equal(rmdir(data), 0);
}

static void test_outside(void **state) {
    struct world w;
    char path[256];

    (void)state;
    ready(&w, ",\"file_kb\":1");
    (void)snprintf(path, sizeof path, "%s/link.md", w.folder);
    assert_int_equal(symlink("/etc/passwd", path), 0);
    (void)snprintf(path, sizeof path, "%s/up", w.folder);
    assert_int_equal(symlink("/etc", path), 0);
    put(&w, ".h.md", "root hidden\n");
    put_bytes(&w, "bin.md", "root\0\1\2", 7);
    {
        char big[2000];

        memset(big, 'x', sizeof big);
        memcpy(big, "root ", 5);
        put_bytes(&w, "big.md", big, sizeof big);
    }
    check(&w, "root", true, nothing);
    over(&w);
}

static void test_pattern(void **state) {
    struct answer a, b, c;
    struct world w;

    (void)state;
    ready(&w, ",\"pattern\":\"*.md\",\"files\":1,\"results\":1");
    put(&w, "b.txt", "heron\n");
    check(&w, "heron", true, nothing);
    put(&w, "a.md", "heron\n");
    check(&w, "heron", true, "a.md:1:\nheron\n\n");
    /* Two at once; a cancelled one never answers. */
    w.tool->cancel(begin(&w, "heron", &a));
    (void)begin(&w, "heron", &b);
    assert_null(begin(&w, "heron", &c));
    assert_true(c.over && !c.ok);
    bytes_free(&c.text);
    while (!b.over) (void)uv_run(&w.loop, UV_RUN_ONCE);
    assert_true(b.ok);
    bytes_free(&b.text);
    over(&w);
    assert_false(a.over);
}

static void test_refused(void **state) {
    static const char *const options[][2] = {
        {"{}", "a folder is needed"},
        {"{\"folder\":\"/no/such\"}", "/no/such is no folder"},
        {"{\"folder\":\"/etc/hostname\"}", "is no folder"},
        {"{\"folder\":\"/tmp\",\"results\":0}", "results must be"},
        {"{\"folder\":\"/tmp\",\"name\":\"../x\"}", "a name has letters"},
        {"{\"path\":\"x\"}", "unknown key \"path\""},
    };
    uv_loop_t loop;

    (void)state;
    assert_int_equal(uv_loop_init(&loop), 0);
    for (size_t i = 0; i < sizeof options / sizeof *options; i++) {
        cJSON *map = json_parse(span_of(options[i][0]), NULL);
        struct tool_options o = {
            .name = "file_search", .loop = &loop, .map = map};
        struct err err = {0};

        assert_null(file_search_open(&o, &err));
        if (!strstr(err.text, options[i][1])) fail_msg("%s", err.text);
        cJSON_Delete(map);
    }
    (void)uv_loop_close(&loop);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_found),   cmocka_unit_test(test_changes),
        cmocka_unit_test(test_renamed), cmocka_unit_test(test_outside),
        cmocka_unit_test(test_pattern), cmocka_unit_test(test_refused),
        cmocka_unit_test(test_kept),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
