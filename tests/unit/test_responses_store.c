/* test_responses_store.c - what is kept, for whom, and for how long. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/db.h"
#include "proxy/responses_store.h"

static void put(struct responses_store *s, const char *id, const char *owner,
                const char *response) {
    struct response_stored r = {span_of(response), span_of("[1]"),
                                span_of("[1,2]")};

    responses_store_put(s, id, owner, &r);
}

static bool has(const struct responses_store *s, const char *id,
                const char *owner) {
    struct response_stored found;

    return responses_store_find(s, span_of(id), owner, &found);
}

static void test_kept(void **state) {
    struct responses_store *s = responses_store_new(0);
    struct response_stored found;

    (void)state;
    put(s, "a", "", "{}");
    assert_true(responses_store_find(s, span_of("a"), "", &found));
    assert_true(span_is(found.response, "{}"));
    assert_true(span_is(found.input, "[1]"));
    assert_true(span_is(found.context, "[1,2]"));
    assert_false(has(s, "b", ""));
    responses_store_free(s);
}

/* Another's response is as if it had never been, to read and to remove. */
static void test_owner(void **state) {
    struct responses_store *s = responses_store_new(0);

    (void)state;
    put(s, "a", "ada", "{}");
    assert_false(has(s, "a", "bob"));
    assert_false(has(s, "a", ""));
    assert_false(responses_store_remove(s, span_of("a"), "bob"));
    assert_true(has(s, "a", "ada"));
    responses_store_free(s);
}

static void test_removed(void **state) {
    const char *const ids[] = {"a", "b", "c"};

    (void)state;
    for (int gone = 0; gone < 3; gone++) {
        struct responses_store *s = responses_store_new(0);

        for (int i = 0; i < 3; i++) put(s, ids[i], "", "{}");
        assert_true(responses_store_remove(s, span_of(ids[gone]), ""));
        assert_false(responses_store_remove(s, span_of(ids[gone]), ""));
        /* The list still takes more at its end. */
        put(s, "d", "", "{}");
        for (int i = 0; i < 3; i++)
            assert_int_equal(has(s, ids[i], ""), i != gone);
        assert_true(has(s, "d", ""));
        responses_store_free(s);
    }
}

static void test_count(void **state) {
    struct responses_store *s = responses_store_new(0);
    char id[32];

    (void)state;
    for (int i = 0; i <= RESPONSES_STORED_MAX; i++) {
        (void)snprintf(id, sizeof id, "r%d", i);
        put(s, id, "", "{}");
    }
    assert_false(has(s, "r0", ""));
    assert_true(has(s, "r1", ""));
    assert_true(has(s, id, ""));
    responses_store_free(s);
}

static void test_size(void **state) {
    struct responses_store *s = responses_store_new(0);
    size_t half = RESPONSES_BYTES_MAX / 2;
    char *large = xalloc(RESPONSES_BYTES_MAX + 2);
    struct response_stored r = {{large, half}, {large, 0}, {large, 1}};

    (void)state;
    put(s, "small", "", "{}");
    responses_store_put(s, "first", "", &r);
    assert_true(has(s, "small", ""));
    responses_store_put(s, "second", "", &r);
    assert_false(has(s, "small", ""));
    assert_false(has(s, "first", ""));
    assert_true(has(s, "second", ""));
    r.response.size = RESPONSES_BYTES_MAX;
    responses_store_put(s, "huge", "", &r);
    assert_false(has(s, "huge", ""));
    assert_true(has(s, "second", ""));
    free(large);
    responses_store_free(s);
}

/* ---- on the disk ---- */

struct disk {
    char folder[64];
    uv_loop_t loop;
};

static void disk_init(struct disk *d) {
    (void)snprintf(d->folder, sizeof d->folder, "/tmp/responses-XXXXXX");
    assert_non_null(mkdtemp(d->folder));
    assert_int_equal(uv_loop_init(&d->loop), 0);
}

static void disk_clear(struct disk *d) {
    static const char *const names[] = {"", "-wal", "-shm"};
    char path[128];

    assert_int_equal(uv_loop_close(&d->loop), 0);
    for (int i = 0; i < 3; i++) {
        (void)snprintf(path, sizeof path, "%s/responses.db%s", d->folder,
                       names[i]);
        (void)unlink(path);
    }
    assert_int_equal(rmdir(d->folder), 0);
}

static struct responses_store *disk_open(struct disk *d, int days) {
    struct err err = {0};
    struct responses_store *s =
        responses_store_open(&d->loop, d->folder, days, &err);

    if (!s) fail_msg("%s", err.text);
    return s;
}

/* As the process ends: what was put is written. */
static void disk_close(struct disk *d, struct responses_store *s) {
    responses_store_free(s);
    (void)uv_run(&d->loop, UV_RUN_DEFAULT);
}

static void test_disk(void **state) {
    struct response_stored found;
    struct responses_store *s;
    struct disk d;

    (void)state;
    disk_init(&d);
    s = disk_open(&d, 0);
    put(s, "a", "ada", "{\"a\":1}");
    put(s, "b", "", "{}");
    put(s, "c", "", "{}");
    assert_true(responses_store_remove(s, span_of("b"), ""));
    disk_close(&d, s);

    s = disk_open(&d, 0);
    assert_false(has(s, "a", ""));
    assert_true(responses_store_find(s, span_of("a"), "ada", &found));
    assert_true(span_is(found.response, "{\"a\":1}"));
    assert_true(span_is(found.input, "[1]"));
    assert_true(span_is(found.context, "[1,2]"));
    assert_false(has(s, "b", ""));
    assert_true(has(s, "c", ""));
    disk_close(&d, s);
    disk_clear(&d);
}

/* The newest stay, whether they were put now or before. */
static void test_disk_limit(void **state) {
    struct responses_store *s;
    struct disk d;
    char id[16];

    (void)state;
    disk_init(&d);
    s = disk_open(&d, 0);
    for (int i = 0; i < RESPONSES_STORED_MAX + 3; i++) {
        (void)snprintf(id, sizeof id, "r%d", i);
        put(s, id, "", "{}");
    }
    disk_close(&d, s);
    s = disk_open(&d, 0);
    assert_false(has(s, "r2", ""));
    assert_true(has(s, "r3", ""));
    put(s, "new", "", "{}");
    assert_false(has(s, "r3", ""));
    disk_close(&d, s);
    s = disk_open(&d, 0);
    assert_false(has(s, "r3", ""));
    assert_true(has(s, "new", ""));
    disk_close(&d, s);
    disk_clear(&d);
}

/* Ages a row by hand, as days would. */
static void test_disk_days(void **state) {
    struct responses_store *s;
    struct err err = {0};
    struct disk d;
    struct db *db;
    char path[128];
    const struct db_schema schema = {.application_id = 0x43725270,
                                     .steps = (const char *const[]){"", NULL}};

    (void)state;
    disk_init(&d);
    s = disk_open(&d, 30);
    put(s, "old", "", "{}");
    put(s, "new", "", "{}");
    disk_close(&d, s);
    (void)snprintf(path, sizeof path, "%s/responses.db", d.folder);
    db = db_open(path, &schema, &err);
    if (!db) fail_msg("%s", err.text);
    assert_true(db_run(db,
                       "UPDATE responses SET created = created - 31 * 86400 "
                       "WHERE id = 'old'",
                       &err));
    db_close(db);
    s = disk_open(&d, 0); /* for good */
    assert_true(has(s, "old", ""));
    disk_close(&d, s);
    s = disk_open(&d, 30);
    assert_false(has(s, "old", ""));
    assert_true(has(s, "new", ""));
    disk_close(&d, s);
    disk_clear(&d);
}

static void test_disk_broken(void **state) {
    struct err err = {0};
    struct disk d;

    (void)state;
    disk_init(&d);
    assert_null(responses_store_open(&d.loop, "/nonexistent", 0, &err));
    assert_int_not_equal(err.code, ERR_NONE);
    disk_clear(&d);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_disk),      cmocka_unit_test(test_disk_limit),
        cmocka_unit_test(test_disk_days), cmocka_unit_test(test_disk_broken),
        cmocka_unit_test(test_kept),      cmocka_unit_test(test_owner),
        cmocka_unit_test(test_removed),   cmocka_unit_test(test_count),
        cmocka_unit_test(test_size),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
