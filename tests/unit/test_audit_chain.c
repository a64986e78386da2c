/* test_audit_chain.c - old rows go and what stays is sound; whoever mends the
 * chain without the key is seen. What tampering with single rows does is in
 * tests/live/test_audit.py, with a database as a server left it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "proxy/audit_chain.h"

struct world {
    char folder[64];
    char path[128];
    char key_path[128];
    struct db *db;
    struct audit_key key;
    char said[1024];
};

static void on_problem(void *user, const char *text) {
    struct world *w = user;
    size_t size = strlen(w->said);

    (void)snprintf(w->said + size, sizeof w->said - size, "%s;", text);
}

/* Rows of the times 1000, 2000, ... */
static int set_up(void **state) {
    struct world *w = calloc(1, sizeof *w);
    struct err err;

    (void)snprintf(w->folder, sizeof w->folder, "/tmp/corral-audit-XXXXXX");
    assert_non_null(mkdtemp(w->folder));
    (void)snprintf(w->path, sizeof w->path, "%s/audit.db", w->folder);
    (void)snprintf(w->key_path, sizeof w->key_path, "%s/audit.key", w->folder);
    assert_true(audit_key_open(&w->key, w->folder, &err));
    w->db = audit_db_open(w->path, 0, false, &err);
    assert_non_null(w->db);
    assert_true(db_begin(w->db, &err));
    for (int i = 1; i <= 10; i++) {
        char tail[64];

        (void)snprintf(tail, sizeof tail, "\"at\":%d000,\"kind\":\"event\"}",
                       i);
        assert_true(audit_chain_add(w->db, &w->key, span_of(tail), &err));
    }
    assert_true(db_commit(w->db, &err));
    *state = w;
    return 0;
}

static int tear_down(void **state) {
    static const char *const names[] = {"audit.db", "audit.key", "audit.db-wal",
                                        "audit.db-shm"};
    struct world *w = *state;
    char path[128];

    db_close(w->db);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        (void)snprintf(path, sizeof path, "%s/%s", w->folder, names[i]);
        (void)unlink(path);
    }
    (void)rmdir(w->folder);
    free(w);
    return 0;
}

static struct audit_report verify(struct world *w,
                                  const struct audit_key *key) {
    struct audit_report r;
    struct err err;

    w->said[0] = '\0';
    assert_true(audit_chain_verify(w->db, key, on_problem, w, &r, &err));
    return r;
}

static void trim(struct world *w, int64_t at, int most) {
    struct err err;

    assert_true(db_begin(w->db, &err));
    assert_true(audit_chain_trim(w->db, &w->key, at, most, &err));
    assert_true(db_commit(w->db, &err));
}

static void check(struct world *w, int64_t first, int64_t last) {
    struct audit_report r = verify(w, &w->key);

    assert_string_equal(w->said, "");
    assert_int_equal(r.problem_count, 0);
    assert_int_equal(r.first, first);
    assert_int_equal(r.last, last);
    assert_int_equal(r.rows, first ? last - first + 1 : 0);
}

static void test_trim(void **state) {
    struct world *w = *state;
    struct err err;

    check(w, 1, 10);
    trim(w, 500, 100); /* nothing is so old */
    check(w, 1, 10);
    trim(w, 5000, 2); /* no more than asked */
    check(w, 3, 10);
    trim(w, 5000, 100);
    check(w, 5, 10);
    trim(w, 5000, 100);
    check(w, 5, 10);
    assert_true(db_begin(w->db, &err));
    assert_true(
        audit_chain_add(w->db, &w->key, span_of("\"at\":11000}"), &err));
    assert_true(db_commit(w->db, &err));
    check(w, 5, 11);
    /* The last row stays, so that the chain has an end. */
    trim(w, 99000, 100);
    check(w, 11, 11);
}

static void test_trimmed_tampering(void **state) {
    struct world *w = *state;
    struct err err;

    trim(w, 5000, 100);
    assert_true(db_run(w->db, "DELETE FROM rows WHERE seq = 5", &err));
    (void)verify(w, &w->key);
    assert_string_equal(w->said, "row 5 is missing;");
    /* And with the mark moved behind it. */
    assert_true(
        db_run(w->db, "UPDATE marks SET seq = 5 WHERE name = 'anchor'", &err));
    (void)verify(w, &w->key);
    assert_non_null(strstr(w->said, "the mark of the beginning was changed"));
}

static void test_other_key(void **state) {
    struct world *w = *state;
    struct audit_key other = w->key;

    other.text[0] = other.text[0] == '0' ? '1' : '0';
    assert_true(verify(w, &other).problem_count > 10);
}

static void test_refuses_to_go_on(void **state) {
    struct world *w = *state;
    struct err err;

    assert_true(db_run(w->db, "UPDATE marks SET seq = 3", &err));
    assert_true(db_begin(w->db, &err));
    assert_false(audit_chain_add(w->db, &w->key, span_of("\"at\":1}"), &err));
    assert_int_equal(err.code, ERR_UNAVAILABLE);
    db_rollback(w->db);
}

static void on_spent(void *user, const char *key_id, int64_t tokens) {
    assert_string_equal(key_id, "0badcafe");
    *(int64_t *)user += tokens;
}

static void test_spent(void **state) {
    static const char *const rows[] = {
        "\"at\":20000,\"kind\":\"request\",\"key\":\"0badcafe\","
        "\"prompt_tokens\":3,\"completion_tokens\":4}",
        "\"at\":30000,\"kind\":\"request\",\"key\":\"0badcafe\","
        "\"prompt_tokens\":10,\"completion_tokens\":20}"};
    struct world *w = *state;
    int64_t all = 0, late = 0;
    struct err err;

    assert_true(db_begin(w->db, &err));
    for (int i = 0; i < 2; i++)
        assert_true(audit_chain_add(w->db, &w->key, span_of(rows[i]), &err));
    assert_true(db_commit(w->db, &err));
    assert_true(audit_chain_spent(w->db, 0, on_spent, &all, &err));
    assert_true(audit_chain_spent(w->db, 30000, on_spent, &late, &err));
    assert_int_equal(all, 37);
    assert_int_equal(late, 30);
}

static void test_key_is_needed(void **state) {
    struct world *w = *state;
    struct audit_key key;
    struct err err;

    assert_true(audit_key_open(&key, w->folder, &err));
    assert_string_equal(key.text, w->key.text);
    assert_int_equal(unlink(w->key_path), 0);
    assert_false(audit_key_open(&key, w->folder, &err));
    assert_non_null(strstr(err.text, "audit.key is missing"));
}

int main(void) {
#define CASE(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        CASE(test_trim),      CASE(test_trimmed_tampering),
        CASE(test_other_key), CASE(test_refuses_to_go_on),
        CASE(test_spent),     CASE(test_key_is_needed),
    };
    struct err err;

    if (!hash_init(&err)) return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
