/* test_tool_sql_query.c - queries are answered, and nothing a query says can
 * change the file, reach another one, or run for long. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sqlite3.h>
#include <unistd.h>
#include <cmocka.h>

#include "tools/tool_builtin.h"

struct world {
    uv_loop_t loop;
    struct tool *tool;
    char path[64];
};

struct answer {
    bool over;
    bool ok;
    struct bytes text; /* NUL-terminated */
};

static void ready(struct world *w, const char *more) {
    const char *make = "CREATE TABLE sale (item TEXT, price REAL, n INTEGER);"
                       "INSERT INTO sale VALUES ('tea', 2.5, 3), "
                       "('c|up\nx', NULL, 1), ('pot', 20, x'00ff');";
    struct tool_options o = {.name = "sql_query", .loop = &w->loop};
    struct err err = {0};
    char options[256];
    sqlite3 *db;
    cJSON *map;

    (void)snprintf(w->path, sizeof w->path, "/tmp/corral-test-%d.db",
                   (int)getpid());
    (void)unlink(w->path);
    assert_int_equal(sqlite3_open(w->path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, make, NULL, NULL, NULL), SQLITE_OK);
    (void)sqlite3_close(db);
    assert_int_equal(uv_loop_init(&w->loop), 0);
    (void)snprintf(options, sizeof options, "{\"database\":\"%s\"%s}", w->path,
                   more);
    map = json_parse(span_of(options), NULL);
    o.map = map;
    w->tool = sql_query_open(&o, &err);
    if (!w->tool) fail_msg("%s", err.text);
    cJSON_Delete(map);
}

static void over(struct world *w) {
    w->tool->close(w->tool);
    (void)uv_run(&w->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&w->loop), 0);
    (void)unlink(w->path);
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
    if (a.ok != ok || strncmp(a.text.at, want, strlen(want)) != 0)
        fail_msg("%s\ngot %d \"%.300s\", wanted \"%s\"", query, a.ok, a.text.at,
                 want);
    bytes_free(&a.text);
}

/* How it ends, and how long it is. */
static void check_long(struct world *w, const char *query, const char *end,
                       size_t least) {
    struct answer a;
    size_t size;

    (void)begin(w, query, &a);
    while (!a.over) (void)uv_run(&w->loop, UV_RUN_ONCE);
    assert_true(a.ok);
    size = strlen(a.text.at);
    assert_in_range(size, least, TOOL_RESULT_BYTES_MAX);
    assert_string_equal(a.text.at + size - strlen(end), end);
    bytes_free(&a.text);
}

static void test_answers(void **state) {
    struct world w;

    (void)state;
    ready(&w, "");
    assert_non_null(strstr(w.tool->description, "CREATE TABLE sale (item"));
    check(&w, "SELECT * FROM sale", true,
          "item | price | n\ntea | 2.5 | 3\nc up x | NULL | 1\n"
          "pot | 20.0 | (bytes)\n");
    check(&w, "SELECT sum(n) AS total FROM sale WHERE n < 10;", true,
          "total\n4\n");
    check(&w,
          "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM c "
          "LIMIT 3) SELECT x FROM c",
          true, "x\n1\n2\n3\n");
    check(&w, "SELECT 1 WHERE 0", true, "1\n(no rows)\n");
    check(&w, "SELECT absent FROM sale", false, "SQL: no such column");
    check(&w, "", false, "there is no statement");
    check(&w, "SELECT 1; SELECT 2", false, "one statement at a time");
    over(&w);
}

static void test_read_only(void **state) {
    static const char *const writes[] = {
        "DELETE FROM sale",
        "UPDATE sale SET n = 0",
        "INSERT INTO sale VALUES (1,2,3)",
        "DROP TABLE sale",
        "CREATE TABLE t (x)",
        "CREATE TEMP TABLE t (x)",
        "ATTACH '/etc/passwd' AS p",
        "ATTACH ':memory:' AS p",
        "PRAGMA query_only=0",
        "PRAGMA table_info(sale)",
        "SELECT * FROM pragma_database_list",
        "SELECT load_extension('x')",
        "SELECT readfile('/etc/passwd')",
        "SELECT hex(zeroblob(1000000000))",
        "SELECT * FROM dbstat",
        "SELECT fts3_tokenizer('simple')",
        "SELECT * FROM main.sqlite_master, pragma_table_list",
        "DETACH main",
        "PRAGMA main.journal_mode=DELETE",
        "CREATE VIRTUAL TABLE v USING fts5(x)",
        "CREATE TEMP TRIGGER t AFTER INSERT ON sale BEGIN SELECT 1; END",
        "VACUUM INTO '/tmp/corral-test-copy.db'",
        "BEGIN",
        "SAVEPOINT s",
        "REINDEX",
        "ANALYZE",
        "EXPLAIN DELETE FROM sale",
        "WITH x AS (SELECT 1) DELETE FROM sale",
        "SELECT writefile('/tmp/corral-test-copy.db', 'x')",
    };
    struct world w;

    (void)state;
    ready(&w, "");
    for (size_t i = 0; i < sizeof writes / sizeof *writes; i++)
        check(&w, writes[i], false, "");
    check(&w, "SELECT count(*) FROM sale", true, "count(*)\n3\n");
    assert_int_equal(access("/tmp/corral-test-copy.db", F_OK), -1);
    over(&w);
}

static const char endless[] =
    "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM c) "
    "SELECT count(*) FROM c";

static void test_limits(void **state) {
    struct world w;
    struct answer a, b;
    struct tool_run *run;

    (void)state;
    ready(&w, ",\"rows\":2,\"seconds\":1");
    check(&w, endless, false, "the query took more than 1 s");
    /* Rows without end, and one that never comes. */
    check(&w,
          "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM c) "
          "SELECT x FROM c",
          true, "x\n1\n2\n[there are more rows");
    check(&w,
          "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT 1 FROM c) "
          "SELECT x FROM c WHERE x = 2",
          false, "the query took more than 1 s");
    check(&w,
          "WITH RECURSIVE c(x) AS (SELECT 'x' UNION ALL SELECT x || x FROM c) "
          "SELECT max(length(x)) FROM c",
          false, "SQL: string or blob too big");
    check(&w, "SELECT item FROM sale", true,
          "item\ntea\nc up x\n[there are more rows");
    check(&w, "SELECT printf('%.9999d', 1)", true, "printf('%.9999d', 1)\n000");
    check(&w, "SELECT printf('%.*c', 2000000000, 'x') AS big", true,
          "big\nNULL\n");
    check(&w, "SELECT hex(printf('%.*c', 60000000, 'x'))", false,
          "SQL: string or blob too big");
    /* Two at once, the third waits its turn; a cancelled one never answers. */
    run = begin(&w, endless, &a);
    w.tool->cancel(run);
    (void)begin(&w, endless, &a);
    (void)begin(&w, endless, &b);
    assert_true(b.over && !b.ok);
    bytes_free(&b.text);
    while (!a.over) (void)uv_run(&w.loop, UV_RUN_ONCE);
    bytes_free(&a.text);
    run = begin(&w, endless, &a);
    w.tool->cancel(run);
    over(&w); /* waits for it */
    assert_false(a.over);
}

/* All is told, so that it is judged; the model is shown less. */
static void test_sizes(void **state) {
    struct world w;

    (void)state;
    ready(&w, "");
    assert_int_equal(w.tool->shown_bytes_max, 48 << 10);
    check_long(&w, "SELECT printf('%.*c', 250000, 'x') || '!'", "xxx!\n",
               250000);
    check_long(&w,
               "SELECT printf('%.*c', 200000, 'x') UNION ALL "
               "SELECT printf('%.*c', 200000, 'y')",
               "yyy\n[the rest was cut off: ask for fewer rows, or for a part "
               "with substr()]\n",
               TOOL_RESULT_BYTES_MAX - 256);
    over(&w);
}

static void test_refused(void **state) {
    static const char *const options[][2] = {
        {"{}", "a database is needed"},
        {"{\"database\":\"/no/such.db\"}", "unable to open database file"},
        {"{\"database\":\"/etc/hostname\"}", "not a database"},
        {"{\"database\":\"x\",\"rows\":0}", "rows must be"},
        {"{\"path\":\"x\"}", "unknown key \"path\""},
    };
    uv_loop_t loop;

    (void)state;
    assert_int_equal(uv_loop_init(&loop), 0);
    for (size_t i = 0; i < sizeof options / sizeof *options; i++) {
        cJSON *map = json_parse(span_of(options[i][0]), NULL);
        struct tool_options o = {
            .name = "sql_query", .loop = &loop, .map = map};
        struct err err = {0};

        assert_null(sql_query_open(&o, &err));
        if (!strstr(err.text, options[i][1])) fail_msg("%s", err.text);
        cJSON_Delete(map);
    }
    (void)uv_loop_close(&loop);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_answers), cmocka_unit_test(test_read_only),
        cmocka_unit_test(test_limits),  cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
