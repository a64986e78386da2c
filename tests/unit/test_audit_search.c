/* test_audit_search.c - what a query may ask, and the pages that it gets. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/json.h"
#include "proxy/audit_search.h"

static void parses(const char *query, struct audit_search *out) {
    struct err err = {0};

    if (!audit_search_parse(out, span_of(query), &err))
        fail_msg("%s: %s", query, err.text);
}

static void refuses(const char *query, const char *why) {
    struct audit_search s = {.rows_max = 7};
    struct err err = {0};

    if (audit_search_parse(&s, span_of(query), &err))
        fail_msg("%s: accepted", query);
    if (!strstr(err.text, why)) fail_msg("%s: %s", query, err.text);
    assert_int_equal(err.code, ERR_INPUT);
    assert_int_equal(s.rows_max, 7); /* untouched */
}

static void test_parse(void **state) {
    struct audit_search s;

    (void)state;
    parses("", &s);
    assert_int_equal(s.rows_max, 100);
    assert_true(s.from_ms == 0 && s.end_ms == INT64_MAX && s.before == 0);
    assert_string_equal(s.kind, "");
    parses("kind=decision&action=block&channel=input&key=01234567&request=a.b-c"
           "&check=x_y&limit=3&before=9&from=5&until=1970-01-02&",
           &s);
    assert_string_equal(s.kind, "decision");
    assert_string_equal(s.action, "block");
    assert_string_equal(s.channel, "input");
    assert_string_equal(s.key, "01234567");
    assert_string_equal(s.request, "a.b-c");
    assert_string_equal(s.check, "x_y");
    assert_true(s.rows_max == 3 && s.before == 9 && s.from_ms == 5 &&
                s.end_ms == 86400000);
}

static void test_refused(void **state) {
    char longest[80] = "key=";

    (void)state;
    refuses("limit=", "limit");
    refuses("limit=0", "limit");
    refuses("limit=1001", "limit");
    refuses("limit=-1", "limit");
    refuses("limit=1e2", "limit");
    refuses("before=0", "before");
    refuses("before=9999999999999999999", "before");
    refuses("from=", "from");
    refuses("until=1970-13-01", "until");
    refuses("kind", "kind");
    refuses("kind=a b", "kind");
    refuses("kind=%41", "kind");
    refuses("what=1", "unknown parameter \"what\"");
    refuses("=", "unknown parameter");
    memset(longest + 4, 'a', AUDIT_WORD_MAX + 1);
    refuses(longest, "key");
}

/* ---- pages ---- */

static char folder[] = "/tmp/corral-audit-search-XXXXXX";
static struct db *db;

static int set_up(void **state) {
    static const char *const tails[] = {
        "\"at\":1000,\"kind\":\"event\",\"event\":\"start\"}",
        "\"at\":2000,\"kind\":\"decision\",\"action\":\"block\",\"findings\":["
        "{\"check\":\"a\"},{\"check\":\"b\"}]}",
        "\"at\":3000,\"kind\":\"decision\",\"action\":\"allow\","
        "\"findings\":[]}",
        "\"at\":4000,\"kind\":\"request\",\"key\":\"k\"}"};
    struct audit_key key;
    char *path;
    bool ok;

    (void)state;
    if (!hash_init(NULL) || !mkdtemp(folder)) return 1;
    path = audit_db_path(folder);
    ok = audit_key_open(&key, folder, NULL);
    db = ok ? audit_db_open(path, 0, false, NULL) : NULL;
    free(path);
    ok = db && db_begin(db, NULL);
    for (size_t i = 0; ok && i < sizeof tails / sizeof *tails; i++)
        ok = audit_chain_add(db, &key, span_of(tails[i]), NULL);
    return !ok || !db_commit(db, NULL);
}

static int tear_down(void **state) {
    static const char *const names[] = {"audit.db", "audit.db-wal",
                                        "audit.db-shm", "audit.key"};
    char path[128];

    (void)state;
    db_close(db);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        (void)snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        (void)unlink(path);
    }
    return rmdir(folder);
}

/* The numbers of the rows, then `next`. */
static void finds(const char *query, const char *want) {
    struct bytes out = {0}, got = {0};
    struct audit_search s;
    struct err err = {0};
    const cJSON *row, *next;
    cJSON *json;

    parses(query, &s);
    if (!audit_search_run(&s, db, &out, &err)) fail_msg("%s", err.text);
    json = json_parse(span_bytes(&out), &err);
    assert_non_null(json);
    cJSON_ArrayForEach(row, cJSON_GetObjectItem(json, "data"))
        assert_true(bytes_printf(&got, NULL, "%d ",
                                 cJSON_GetObjectItem(row, "seq")->valueint));
    next = cJSON_GetObjectItem(json, "next");
    if (cJSON_IsNull(next))
        bytes_puts(&got, "end");
    else
        assert_true(bytes_printf(&got, NULL, "next %d", next->valueint));
    if (!span_is(span_bytes(&got), want))
        fail_msg("%s: %.*s", query, (int)got.size, got.at);
    cJSON_Delete(json);
    bytes_free(&out);
    bytes_free(&got);
}

static void test_pages(void **state) {
    (void)state;
    finds("", "4 3 2 1 end");
    finds("limit=2", "4 3 next 3");
    finds("limit=2&before=3", "2 1 next 1");
    finds("limit=2&before=1", "end");
    finds("kind=decision", "3 2 end");
    finds("kind=decision&limit=1", "3 next 3");
    finds("action=block", "2 end");
    finds("check=b", "2 end");
    finds("check=c", "end");
    finds("key=k", "4 end");
    finds("from=2000", "4 3 2 end");
    finds("until=2000", "1 end");
    finds("from=2000&until=3000", "2 end");
}

/* A row that does not fit ends in an error, never in half an answer. */
static void test_full(void **state) {
    struct bytes out = {.limit = 60};
    struct audit_search s;
    struct err err = {0};

    (void)state;
    parses("", &s);
    assert_false(audit_search_run(&s, db, &out, &err));
    assert_int_equal(err.code, ERR_LIMIT);
    bytes_free(&out);
    finds("", "4 3 2 1 end"); /* and the statement is free again */
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parse),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_pages),
        cmocka_unit_test(test_full),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
