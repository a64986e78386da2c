/* test_audit.c - rows in memory: bounded, in order, and what was lost is a row
 * itself, in the place of those that are not there. */
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
#include "proxy/audit.h"
#include "proxy/audit_chain.h"
#include "tests/unit/busy_loop.h"

enum { EXTRA = 7, WRITERS = 4, ROWS = 1000 };

struct seen {
    int rows;
    int lost_at; /* the row's place */
    char lost[32];
};

static bool on_row(void *user, struct span row) {
    struct seen *s = user;
    struct err err;
    cJSON *json = json_parse(row, &err);
    const cJSON *event = cJSON_GetObjectItem(json, "event");

    assert_non_null(json);
    s->rows++;
    if (!strcmp(event->valuestring, "lost")) {
        s->lost_at = s->rows;
        (void)snprintf(s->lost, sizeof s->lost, "%s",
                       cJSON_GetObjectItem(json, "detail")->valuestring);
    }
    cJSON_Delete(json);
    return true;
}

static void on_problem(void *user, const char *text) {
    (void)user;
    fail_msg("%s", text);
}

static void test_lost_rows_are_told(void **state) {
    char folder[] = "/tmp/corral-audit-XXXXXX", path[64];
    const struct audit_options o = {.folder = folder};
    struct seen seen = {0};
    struct audit_report report;
    struct audit_key key;
    struct audit *a;
    struct err err;
    struct db *db;
    uv_loop_t loop;

    (void)state;
    assert_non_null(mkdtemp(folder));
    assert_int_equal(uv_loop_init(&loop), 0);
    a = audit_open(&loop, &o, &err);
    assert_non_null(a);
    /* The loop does not run: one row is under way, the others wait. */
    for (int i = 0; i < AUDIT_ROWS_MAX + EXTRA; i++) audit_event(a, "x", "");
    assert_int_equal((int)audit_rows_waiting(a), AUDIT_ROWS_MAX);
    assert_int_equal((int)audit_rows_lost(a), EXTRA);
    while (audit_rows_waiting(a) > 0) (void)uv_run(&loop, UV_RUN_ONCE);
    audit_event(a, "y", "");
    audit_close(a);
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&loop), 0);

    (void)snprintf(path, sizeof path, "%s/audit.db", folder);
    db = audit_db_open(path, 0, true, &err);
    assert_non_null(db);
    assert_true(
        audit_chain_each(db, 0, INT64_MAX, INT64_MAX, on_row, &seen, &err));
    assert_int_equal(seen.rows, AUDIT_ROWS_MAX + 2);
    assert_int_equal(seen.lost_at, AUDIT_ROWS_MAX + 1);
    assert_string_equal(seen.lost, "7");
    assert_true(audit_key_open(&key, folder, &err));
    assert_true(audit_chain_verify(db, &key, on_problem, NULL, &report, &err));
    assert_int_equal(report.rows, AUDIT_ROWS_MAX + 2);
    db_close(db);
    (void)unlink(path);
    (void)snprintf(path, sizeof path, "%s/audit.key", folder);
    (void)unlink(path);
    (void)rmdir(folder);
}

struct writer {
    uv_thread_t thread;
    struct audit *audit;
    char name;
};

static void write_rows(void *user) {
    struct writer *w = user;
    char detail[16];

    for (int i = 0; i < ROWS; i++) {
        (void)snprintf(detail, sizeof detail, "%c%d", w->name, i);
        audit_event(w->audit, "x", detail);
    }
}

struct order {
    int next[WRITERS];
    int rows;
};

static bool on_ordered_row(void *user, struct span row) {
    struct order *o = user;
    struct err err;
    cJSON *json = json_parse(row, &err);
    const char *detail = cJSON_GetObjectItem(json, "detail")->valuestring;

    assert_int_equal(atoi(detail + 1), o->next[*detail - 'a']++);
    o->rows++;
    cJSON_Delete(json);
    return true;
}

/* Of other threads, while the loop writes: all of them, each thread's in its
 * order, in one chain. */
static void test_several_threads(void **state) {
    char folder[] = "/tmp/corral-audit-XXXXXX", path[64];
    const struct audit_options o = {.folder = folder};
    struct writer writers[WRITERS];
    struct order order = {0};
    struct audit_report report;
    struct audit_key key;
    struct audit *a;
    struct err err;
    struct db *db;
    struct busy_loop busy;

    (void)state;
    assert_non_null(mkdtemp(folder));
    busy_loop_open(&busy);
    a = audit_open(&busy.loop, &o, &err);
    assert_non_null(a);
    for (int i = 0; i < WRITERS; i++) {
        writers[i] = (struct writer){.audit = a, .name = (char)('a' + i)};
        assert_int_equal(
            uv_thread_create(&writers[i].thread, write_rows, &writers[i]), 0);
    }
    /* Rows of others alone wake the loop. */
    while (audit_rows_written(a) < 1) (void)uv_run(&busy.loop, UV_RUN_NOWAIT);
    for (int i = 0; i < WRITERS; i++) (void)uv_thread_join(&writers[i].thread);
    audit_close(a);
    busy_loop_close(&busy);

    (void)snprintf(path, sizeof path, "%s/audit.db", folder);
    db = audit_db_open(path, 0, true, &err);
    assert_non_null(db);
    assert_true(audit_chain_each(db, 0, INT64_MAX, INT64_MAX, on_ordered_row,
                                 &order, &err));
    assert_int_equal(order.rows, WRITERS * ROWS);
    assert_true(audit_key_open(&key, folder, &err));
    assert_true(audit_chain_verify(db, &key, on_problem, NULL, &report, &err));
    db_close(db);
    (void)unlink(path);
    (void)snprintf(path, sizeof path, "%s/audit.key", folder);
    (void)unlink(path);
    (void)rmdir(folder);
}

static void test_none(void **state) {
    const struct audit_subject s = {"r", "chat", "", "192.0.2.7"};
    const struct audit_end end = {.status = 200, .policy = ""};
    struct verdict v;

    (void)state;
    verdict_begin(&v, "0");
    audit_event(NULL, "x", "");
    audit_request(NULL, &s, &end);
    audit_decision(NULL, &s, CHANNEL_INPUT, &v, 0, "");
    assert_null(audit_hash_new(NULL));
    assert_false(audit_refuses(NULL));
    audit_close(NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lost_rows_are_told),
        cmocka_unit_test(test_several_threads),
        cmocka_unit_test(test_none),
    };
    struct err err;

    if (!hash_init(&err)) return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
