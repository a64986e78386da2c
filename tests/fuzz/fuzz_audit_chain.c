/* fuzz_audit_chain.c - a database of the audit with one thing in it changed:
 * read without harm, and the change is found, unless there was none. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proxy/audit_chain.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { ROWS = 12 };

static const struct audit_key key = {
    "0123456789abcdef0123456789abcdef0123456789abcdef"};

static struct db *made(void) {
    char folder[] = "/tmp/corral-fuzz-audit-XXXXXX";
    char path[64];
    struct db *db;

    if (!mkdtemp(folder)) abort();
    (void)snprintf(path, sizeof path, "%s/audit.db", folder);
    db = audit_db_open(path, 0, false, NULL);
    if (!db || !db_begin(db, NULL)) abort();
    for (int i = 0; i < ROWS; i++) {
        char tail[64];

        (void)snprintf(tail, sizeof tail, "\"at\":%d,\"kind\":\"answer\"}", i);
        if (!audit_chain_add(db, &key, span_of(tail), NULL)) abort();
    }
    if (!db_commit(db, NULL)) abort();
    /* It stays open as long as this process, and is nobody else's. */
    (void)unlink(path);
    return db;
}

/* The first byte says what is changed, the second in which row. False: that
 * changes nothing. */
static bool change(struct db *db, const uint8_t *data, struct span text) {
    static const char *const changes[] = {
        "UPDATE rows SET row = ?2 WHERE seq = ?1 AND row <> ?2",
        "UPDATE rows SET hash = ?2 WHERE seq = ?1 AND hash <> ?2",
        "UPDATE marks SET hash = ?2 WHERE name = "
        "CASE ?1 % 2 WHEN 0 THEN 'head' ELSE 'anchor' END AND hash <> ?2",
        "UPDATE marks SET mac = ?2 WHERE name = "
        "CASE ?1 % 2 WHEN 0 THEN 'head' ELSE 'anchor' END AND mac <> ?2",
        "DELETE FROM rows WHERE seq = ?1 AND ?2 = ?2",
        "INSERT INTO rows VALUES (?1 + 12, 0, ?2, ?2)",
        "UPDATE rows SET seq = seq + 100 WHERE seq = ?1 AND ?2 = ?2"};
    struct db_statement *s =
        db_use(db, changes[data[0] % (sizeof changes / sizeof *changes)], NULL);

    if (!s) abort();
    db_bind_int(s, 1, 1 + data[1] % ROWS);
    db_bind_text(s, 2, text);
    return db_finish(s, NULL) && db_changes(db) > 0;
}

static void on_problem(void *user, const char *text) {
    *(int *)user += *text != '\0';
}

static bool on_row(void *user, struct span row) {
    *(size_t *)user += row.size;
    return true;
}

static void on_key(void *user, const char *key_id, int64_t tokens) {
    *(size_t *)user += strlen(key_id) + (tokens != 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct db *db;
    struct audit_report report;
    int problems = 0;
    size_t sum = 0;
    bool changed, read;

    if (!db) db = made();
    if (size < 2 || !db_begin(db, NULL)) return 0;
    changed = change(db, data, (struct span){(const char *)data + 2, size - 2});
    read = audit_chain_verify(db, &key, on_problem, &problems, &report, NULL);
    if (read && changed != (problems > 0)) abort();
    (void)!audit_chain_each(db, 0, INT64_MAX, 100, on_row, &sum, NULL);
    (void)!audit_chain_spent(db, 0, on_key, &sum, NULL);
    db_rollback(db);
    return 0;
}
