/* test_journal.c - what a turn leaves in its session's file: in order, once,
 * and before anybody is told; and what happens when it cannot be written. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent/session.h"
#include "base/arena.h"
#include "base/hash.h"
#include "proxy/approvals.h"
#include "proxy/journal.h"

#define ID "0123456789abcdef01234567"

enum { JOBS = 64, ARENA_BYTES_MAX = 1 << 20 };

struct world {
    char folder[64], path[80];
    uv_loop_t loop;
    struct db_queue *queue;
    struct arena *arena;
    struct journal *journal;
    bool journal_closed, queue_closed;
    int told, failed;
    enum err_code code;
    char text[ERR_TEXT_MAX];
};

static struct db *file_open(const struct world *w) {
    struct db *db = db_open(w->path, &session_schema, NULL);

    assert_non_null(db);
    return db;
}

static void on_journal_closed(void *data, struct span session) {
    struct world *w = data;

    assert_true(span_is(session, ID));
    assert_false(w->journal_closed);
    w->journal_closed = true;
}

static void on_queue_closed(void *data) {
    ((struct world *)data)->queue_closed = true;
}

static void on_told(void *user, bool ok, const struct err *err) {
    struct world *w = user;

    w->told++;
    if (ok) return;
    w->failed++;
    w->code = err->code;
    (void)snprintf(w->text, sizeof w->text, "%s", err->text);
}

static void create(const struct world *w) {
    const struct session_fresh s = {
        .id = span_of(ID), .metadata = span_of("{}"), .now = 1};
    struct db *db = file_open(w);
    struct err err = {0};

    assert_true(db_begin(db, &err));
    assert_true(session_create(db, &s, &err));
    assert_true(db_commit(db, &err));
    db_close(db);
}

static struct world *world_new(size_t jobs) {
    struct world *w = calloc(1, sizeof *w);

    (void)snprintf(w->folder, sizeof w->folder, "/tmp/corral-journal-XXXXXX");
    assert_non_null(mkdtemp(w->folder));
    (void)snprintf(w->path, sizeof w->path, "%s/s.db", w->folder);
    create(w);
    assert_int_equal(uv_loop_init(&w->loop), 0);
    w->queue = db_queue_open(&w->loop, file_open(w), jobs);
    w->arena = arena_new(ARENA_BYTES_MAX);
    w->journal = journal_new(w->queue, span_of(ID), 1, on_journal_closed, w);
    return w;
}

/* Everything is written, and nothing is left. */
static void world_end(struct world *w) {
    journal_close(w->journal);
    db_queue_close(w->queue, on_queue_closed, w);
    assert_int_equal(uv_run(&w->loop, UV_RUN_DEFAULT), 0);
    assert_true(w->journal_closed && w->queue_closed);
    assert_int_equal(uv_loop_close(&w->loop), 0);
}

static void world_free(struct world *w) {
    static const char *const names[] = {"", "-wal", "-shm"};
    char name[96];

    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        (void)snprintf(name, sizeof name, "%s%s", w->path, names[i]);
        (void)unlink(name);
    }
    assert_int_equal(rmdir(w->folder), 0);
    arena_free(w->arena);
    free(w);
}

/* The session as a client would be shown it. */
static cJSON *shown(const struct world *w) {
    struct db *db = file_open(w);
    struct bytes out = {0};
    struct err err = {0};
    cJSON *json;

    assert_true(db_begin(db, &err));
    assert_true(session_show(db, span_of(ID), &out, &err));
    assert_true(db_commit(db, &err));
    db_close(db);
    json = json_parse(span_bytes(&out), &err);
    assert_non_null(json);
    bytes_free(&out);
    return json;
}

static void check_entry(const cJSON *json, int index, const char *want) {
    const cJSON *entry =
        cJSON_GetArrayItem(cJSON_GetObjectItem(json, "entries"), index);
    struct bytes out = {0};

    assert_non_null(entry);
    assert_true(json_print(entry, &out, NULL));
    if (span_find(span_bytes(&out), span_of(want)) == SIZE_MAX)
        fail_msg("entry %d is %.*s, without %s", index, (int)out.size, out.at,
                 want);
    bytes_free(&out);
}

static int entry_count(const cJSON *json) {
    return cJSON_GetArraySize(cJSON_GetObjectItem(json, "entries"));
}

/* Two messages, the last of which the turn brings. */
static void begin(struct world *w) {
    struct chat_message list[] = {
        {.role = CHAT_USER, .text = span_of("before")},
        {.role = CHAT_USER, .text = span_of("say \"hi\"")}};
    struct chat_request r;

    chat_request_init(&r, w->arena);
    r.messages = list;
    r.message_count = 2;
    journal_begin(w->journal, &r);
}

static const struct chat_tool_call call = {
    {"call-1", 6}, {"look", 4}, {"{\"a\":1}", 7}};

static void test_a_turn(void **state) {
    struct world *w = world_new(JOBS);
    const struct journal_end end = {.finish = "stop"};
    cJSON *json;

    (void)state;
    begin(w);
    journal_text(w->journal, span_of("I look."));
    journal_call(w->journal, &call, false, on_told, w);
    assert_int_equal(w->told, 0); /* not before it is on the disk */
    (void)uv_run(&w->loop, UV_RUN_DEFAULT);
    assert_int_equal(w->told, 1);
    journal_event(w->journal, span_of("{\"type\":\"verdict\"}"));
    journal_result(w->journal, &call, span_of("seen"));
    journal_text(w->journal, span_of("withdrawn"));
    journal_drop_text(w->journal);
    journal_text(w->journal, span_of("There "));
    journal_text(w->journal, span_of("it is."));
    journal_end(w->journal, &end, on_told, w);
    (void)uv_run(&w->loop, UV_RUN_DEFAULT);
    world_end(w);
    assert_int_equal(w->told, 2);
    assert_int_equal(w->failed, 0);
    json = shown(w);
    assert_int_equal(entry_count(json), 6);
    check_entry(json, 0, "\"content\":\"say \\\"hi\\\"\"");
    check_entry(json, 1, "\"content\":\"I look.\"");
    check_entry(json, 1, "\"arguments\":\"{\\\"a\\\":1}\"");
    check_entry(json, 2, "\"event\":{\"type\":\"verdict\"}");
    check_entry(json, 3, "\"content\":\"seen\"");
    check_entry(json, 4, "\"content\":\"There it is.\"");
    check_entry(json, 5, "\"finish\":\"stop\"");
    cJSON_Delete(json);
    world_free(w);
}

static void test_given_up(void **state) {
    struct world *w = world_new(JOBS);
    cJSON *json;

    (void)state;
    begin(w);
    journal_text(w->journal, span_of("half of it"));
    world_end(w);
    json = shown(w);
    assert_int_equal(entry_count(json), 2);
    check_entry(json, 1, "\"finish\":\"aborted\"");
    cJSON_Delete(json);
    world_free(w);
}

static void test_denied(void **state) {
    struct world *w = world_new(JOBS);
    const struct journal_end end = {.finish = "stop"};
    cJSON *json;

    (void)state;
    begin(w);
    journal_denied(w->journal, &call, "denied by a person");
    journal_end(w->journal, &end, on_told, w);
    world_end(w);
    json = shown(w);
    check_entry(json, 1, "call-1");
    check_entry(json, 2, "error: denied by a person");
    cJSON_Delete(json);
    world_free(w);
}

/* A text that is longer than any may be leaves a hole, which is as bad for all
 * that follows: whoever waits hears so, and the session is in no turn all the
 * same. */
static void test_a_hole(void **state) {
    enum { MORE_THAN_FITS = (8 << 20) + 1 };
    struct world *w = world_new(JOBS);
    const struct journal_end end = {.finish = "stop"};
    char *text = calloc(1, MORE_THAN_FITS);
    cJSON *json;

    (void)state;
    begin(w);
    journal_text(w->journal, (struct span){text, MORE_THAN_FITS});
    journal_end(w->journal, &end, on_told, w);
    (void)uv_run(&w->loop, UV_RUN_DEFAULT);
    world_end(w);
    assert_int_equal(w->told, 1);
    assert_int_equal(w->failed, 1);
    assert_int_equal(w->code, ERR_LIMIT);
    json = shown(w);
    assert_int_equal(entry_count(json), 2);
    check_entry(json, 1, "\"finish\":\"aborted\"");
    assert_true(cJSON_IsFalse(cJSON_GetObjectItem(json, "running")));
    cJSON_Delete(json);
    free(text);
    world_free(w);
}

/* Deleted before its turn began, by another server say. */
static void test_no_session(void **state) {
    struct world *w = world_new(JOBS);
    struct db *db = file_open(w);
    struct err err = {0};

    (void)state;
    assert_true(session_delete(db, span_of(ID), &err));
    db_close(db);
    begin(w);
    journal_call(w->journal, &call, false, on_told, w);
    (void)uv_run(&w->loop, UV_RUN_DEFAULT);
    assert_int_equal(w->failed, 1);
    assert_int_equal(w->code, ERR_NOT_FOUND);
    world_end(w);
    world_free(w);
}

/* ---- a person is asked ---- */

static void on_answer(void *user, enum approval_answer answer) {
    (void)user;
    (void)answer;
}

/* A turn up to where it waits for a person. */
static struct approvals *begin_asking(struct world *w, struct approval **out) {
    struct approvals *a = approvals_new(NULL);
    struct err err = {0};

    *out =
        approvals_ask(a,
                      &(struct approval_question){.tool = call.name,
                                                  .arguments = call.arguments,
                                                  .checks = span_of("mail"),
                                                  .seconds = 60},
                      on_answer, NULL, &err);
    assert_non_null(*out);
    begin(w);
    journal_text(w->journal, span_of("May I?"));
    journal_ask(w->journal, &call, span_of("mail"), *out);
    return a;
}

/* The call is written with the question, so that running it adds no entry. */
static void test_asked(void **state) {
    struct world *w = world_new(JOBS);
    const struct journal_end end = {.finish = "stop"};
    struct approval *approval;
    struct approvals *a = begin_asking(w, &approval);
    cJSON *json;

    (void)state;
    journal_call(w->journal, &call, false, on_told, w);
    journal_result(w->journal, &call, span_of("seen"));
    journal_end(w->journal, &end, on_told, w);
    (void)uv_run(&w->loop, UV_RUN_DEFAULT);
    approval_cancel(approval);
    approvals_free(a);
    world_end(w);
    assert_int_equal(w->told, 2);
    assert_int_equal(w->failed, 0);
    json = shown(w);
    assert_int_equal(entry_count(json), 5);
    check_entry(json, 1, "\"content\":\"May I?\",\"tool_calls\"");
    check_entry(json, 2, "\"content\":\"seen\"");
    check_entry(json, 3, "\"content\":\"\""); /* that text was said already */
    cJSON_Delete(json);
    world_free(w);
}

/* Given up while a person is asked: with leave to outlive the process the turn
 * stays open for the next one, without it is over. */
static void check_outlives(bool outlives) {
    struct world *w = world_new(JOBS);
    struct approval *approval;
    struct approvals *a = begin_asking(w, &approval);
    cJSON *json;

    if (outlives) journal_outlive(w->journal);
    world_end(w);
    approval_cancel(approval);
    approvals_free(a);
    json = shown(w);
    assert_int_equal(cJSON_IsTrue(cJSON_GetObjectItem(json, "running")),
                     outlives);
    assert_int_equal(entry_count(json), outlives ? 2 : 4);
    if (!outlives) {
        check_entry(json, 2, "error: denied: the turn was over");
        check_entry(json, 3, "\"finish\":\"aborted\"");
    }
    cJSON_Delete(json);
    world_free(w);
}

static void test_outlives(void **state) {
    (void)state;
    check_outlives(true);
    check_outlives(false);
}

/* An earlier process wrote the call; this one says only that it runs. */
static void test_known(void **state) {
    struct world *w = world_new(JOBS);
    struct chat_tool_call calls[CHAT_TOOL_CALLS_MAX + 1];
    char letters[CHAT_TOOL_CALLS_MAX + 1];
    cJSON *json;

    (void)state;
    memset(letters, 'x', sizeof letters);
    for (int i = 0; i <= CHAT_TOOL_CALLS_MAX; i++) {
        calls[i] = call;
        if (i) calls[i].id = (struct span){letters, (size_t)i};
    }
    begin(w);
    journal_call(w->journal, &call, false, on_told, w);
    journal_known(w->journal, calls, CHAT_TOOL_CALLS_MAX + 1);
    journal_call(w->journal, &call, true, on_told, w);
    journal_denied(w->journal, &call, "no more");
    world_end(w);
    json = shown(w);
    assert_int_equal(entry_count(json), 4);
    check_entry(json, 1, "call-1");
    check_entry(json, 2, "error: no more");
    check_entry(json, 3, "aborted");
    cJSON_Delete(json);
    world_free(w);
}

/* ---- messages that do not fit the window ---- */

static const struct chat_message summary[] = {
    {.role = CHAT_ASSISTANT,
     .calls = &(struct chat_tool_call){{"s1", 2}, {"recall", 6}, {"{}", 2}},
     .call_count = 1},
    {.role = CHAT_TOOL, .call_id = {"s1", 2}, .text = {"They met.", 9}}};

static void check_dropped(const struct chat_message *of, const char *why,
                          const char *want) {
    struct world *w = world_new(JOBS);
    cJSON *json;

    journal_drop(w->journal, 3, of, why);
    assert_int_equal(journal_dropped(w->journal), 3);
    assert_int_equal(journal_summarised(w->journal), of != NULL);
    begin(w);
    world_end(w);
    json = shown(w);
    check_entry(json, 0, want);
    cJSON_Delete(json);
    world_free(w);
}

static void test_dropped(void **state) {
    (void)state;
    check_dropped(NULL, NULL, "\"dropped_messages\":3}");
    check_dropped(NULL, "blocked",
                  "\"dropped_messages\":3,\"summary\":null,\"reason\":"
                  "\"blocked\"}");
    check_dropped(summary, NULL,
                  "\"dropped_messages\":3,\"summary\":\"They met.\","
                  "\"of\":{}}");
    assert_int_equal(journal_dropped(NULL), 0);
    assert_false(journal_summarised(NULL));
}

/* What is waited for when it is closed is written, and not told. */
static void test_closed(void **state) {
    struct world *w = world_new(JOBS);
    const struct journal_end end = {.finish = "stop"};
    cJSON *json;

    (void)state;
    begin(w);
    journal_end(w->journal, &end, on_told, w);
    world_end(w);
    assert_int_equal(w->told, 0);
    json = shown(w);
    check_entry(json, entry_count(json) - 1, "\"finish\":\"stop\"");
    cJSON_Delete(json);
    world_free(w);
}

static void test_a_full_queue(void **state) {
    struct world *w = world_new(1);

    (void)state;
    begin(w); /* two writes */
    journal_call(w->journal, &call, false, on_told, w);
    assert_int_equal(w->failed, 1);
    assert_int_equal(w->code, ERR_BUSY);
    assert_string_equal(w->text, "the sessions' file is busy");
    world_end(w);
    world_free(w);
}

static void test_nobody_keeps(void **state) {
    const struct journal_end end = {.finish = "stop"};
    struct world w = {0};

    (void)state;
    journal_begin(NULL, NULL);
    journal_text(NULL, span_of("x"));
    journal_call(NULL, &call, false, on_told, &w);
    journal_event(NULL, span_of("{}"));
    journal_result(NULL, &call, span_of("x"));
    journal_end(NULL, &end, on_told, &w);
    journal_close(NULL);
    assert_int_equal(w.told, 2);
    assert_int_equal(w.failed, 0);
}

/* No path, no SQL: a client hears that it fails, and what is its own doing. */
static void test_faults(void **state) {
    static const struct {
        enum err_code code, told;
        const char *text;
    } cases[] = {
        {ERR_NOT_FOUND, ERR_NOT_FOUND, "/secret/path"},
        {ERR_LIMIT, ERR_LIMIT, "/secret/path"},
        {ERR_BUSY, ERR_BUSY, "the sessions' file is busy"},
        {ERR_IO, ERR_UNAVAILABLE, "the sessions' file fails"},
        {ERR_INTERNAL, ERR_UNAVAILABLE, "the sessions' file fails"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct err why = {0}, out = {0};

        (void)err_set(&why, cases[i].code, "/secret/path");
        journal_fault(&why, &out);
        assert_int_equal(out.code, cases[i].told);
        assert_string_equal(out.text, cases[i].text);
    }
}

static int set_up(void **state) {
    struct err err = {0};

    (void)state;
    return hash_init(&err) ? 0 : -1;
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_a_turn),
                                       cmocka_unit_test(test_given_up),
                                       cmocka_unit_test(test_denied),
                                       cmocka_unit_test(test_a_hole),
                                       cmocka_unit_test(test_no_session),
                                       cmocka_unit_test(test_asked),
                                       cmocka_unit_test(test_outlives),
                                       cmocka_unit_test(test_known),
                                       cmocka_unit_test(test_dropped),
                                       cmocka_unit_test(test_a_full_queue),
                                       cmocka_unit_test(test_nobody_keeps),
                                       cmocka_unit_test(test_closed),
                                       cmocka_unit_test(test_faults)};

    return cmocka_run_group_tests(tests, set_up, NULL);
}
