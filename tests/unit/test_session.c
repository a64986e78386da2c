/* test_session.c - what a session's file holds after turns that ended, turns
 * that were cut off, and forks. */
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
#include "base/json.h"

enum { NOW = 1000 };

static char folder[64];
static struct db *db;

static int set_up(void **state) {
    char path[80];

    (void)state;
    (void)snprintf(folder, sizeof folder, "/tmp/corral-session-XXXXXX");
    if (!mkdtemp(folder)) return -1;
    (void)snprintf(path, sizeof path, "%s/s.db", folder);
    db = db_open(path, &session_schema, NULL);
    return db ? 0 : -1;
}

static int tear_down(void **state) {
    char path[80];

    (void)state;
    db_close(db);
    (void)snprintf(path, sizeof path, "%s/s.db", folder);
    (void)unlink(path);
    return rmdir(folder);
}

static void create(const char *id, const char *owner) {
    const struct session_fresh fresh = {span_of(id),   span_of(owner),
                                        span_of("m"),  span_of("be \"kind\""),
                                        span_of("{}"), NOW};

    assert_true(session_create(db, &fresh, NULL));
}

static void add(const char *id, enum session_kind kind, const char *json,
                const char *call) {
    const struct session_entry e = {kind, span_of(json), span_of(call)};

    assert_true(session_add(db, span_of(id), &e, NOW + 1, NULL));
}

/* What the next turn of the session reads. */
static void check_messages(const char *id, const char *expected) {
    struct session_view view = {0};
    struct err err = {0};

    if (!session_load(db, span_of(id), NOW + 2, &view, &err))
        fail_msg("%s", err.text);
    assert_true(span_is(span_bytes(&view.model), "m"));
    if (!span_is(span_bytes(&view.messages), expected))
        fail_msg("%.*s", (int)view.messages.size, view.messages.at);
    bytes_free(&view.model);
    bytes_free(&view.messages);
}

static cJSON *show(const char *id) {
    struct bytes out = {0};
    cJSON *json;

    assert_true(session_show(db, span_of(id), &out, NULL));
    json = json_parse(span_bytes(&out), NULL);
    assert_non_null(json);
    bytes_free(&out);
    return json;
}

#define SYSTEM "{\"role\":\"system\",\"content\":\"be \\\"kind\\\"\"}"
#define INTERRUPTED                                                            \
    "{\"role\":\"tool\",\"tool_call_id\":\"c1\",\"content\":\"error: "         \
    "interrupted: the tool was running when the turn was cut off; it may or "  \
    "may not have had its effect, and was not run again\"}"

static void test_a_turn(void **state) {
    cJSON *json;

    (void)state;
    create("s", "");
    check_messages("s", SYSTEM);
    assert_true(session_begin(db, span_of("s"), NULL));
    add("s", SESSION_MESSAGE, "{\"n\":1}", "");
    add("s", SESSION_CALL, "{\"n\":2}", "c1");
    add("s", SESSION_RESULT, "{\"n\":3}", "c1");
    add("s", SESSION_MESSAGE, "{\"n\":4}", "");
    assert_true(session_end(db, span_of("s"), span_of("{\"e\":1}"), NOW, NULL));
    check_messages("s", SYSTEM ",{\"n\":1},{\"n\":2},{\"n\":3},{\"n\":4}");
    json = show("s");
    assert_int_equal(cJSON_GetArraySize(cJSON_GetObjectItem(json, "entries")),
                     5);
    assert_true(cJSON_IsFalse(cJSON_GetObjectItem(json, "running")));
    cJSON_Delete(json);
}

static void test_cut_off(void **state) {
    int64_t count = 0;
    cJSON *json;

    (void)state;
    create("s", "");
    create("quiet", "");
    assert_true(session_begin(db, span_of("s"), NULL));
    add("s", SESSION_MESSAGE, "{\"n\":1}", "");
    add("s", SESSION_CALL, "{\"n\":2}", "c1");
    assert_true(session_recover(db, NOW, &count, NULL));
    assert_int_equal(count, 1);
    assert_true(session_recover(db, NOW, &count, NULL));
    assert_int_equal(count, 0);
    check_messages("s", SYSTEM ",{\"n\":1},{\"n\":2}," INTERRUPTED);
    json = show("s");
    assert_true(cJSON_IsFalse(cJSON_GetObjectItem(json, "running")));
    assert_int_equal(cJSON_GetArraySize(cJSON_GetObjectItem(json, "entries")),
                     4);
    cJSON_Delete(json);
    /* The same when the next turn is what finds it. */
    assert_true(session_begin(db, span_of("s"), NULL));
    add("s", SESSION_CALL, "{\"n\":3}", "c1");
    check_messages("s", SYSTEM ",{\"n\":1},{\"n\":2}," INTERRUPTED
                               ",{\"n\":3}," INTERRUPTED);
}

/* The summary stands where the turns stood, until another takes its place. */
static void test_summary(void **state) {
    (void)state;
    create("s", "");
    for (int i = 0; i < 3; i++) add("s", SESSION_MESSAGE, "{\"n\":1}", "");
    assert_true(session_compact(db, span_of("s"), 2, span_of("{\"a\":1}"),
                                span_of("{\"e\":1}"), NOW, NULL));
    check_messages("s", SYSTEM ",{\"a\":1},{\"n\":1}");
    assert_true(
        session_fork(db, span_of("s"), span_of("whole"), -1, NOW, NULL));
    check_messages("whole", SYSTEM ",{\"a\":1},{\"n\":1}");
    assert_true(session_fork(db, span_of("s"), span_of("old"), 1, NOW, NULL));
    check_messages("old", SYSTEM ",{\"n\":1}");
    /* Nothing but the summary itself was left out. */
    assert_true(session_compact(db, span_of("s"), 0, span_of("{\"b\":1}"),
                                span_of("{\"e\":2}"), NOW, NULL));
    check_messages("s", SYSTEM ",{\"b\":1},{\"n\":1}");
}

/* ---- turns that outlive the process ---- */

static void ask(const char *id, const char *call, const char *question,
                int64_t expires) {
    const struct session_entry e = {SESSION_ASK, span_of("{\"ask\":1}"),
                                    span_of(call)};
    const struct session_question q = {.id = span_of(question),
                                       .tool = span_of("pay"),
                                       .arguments = span_of("{\"n\":1}"),
                                       .checks = span_of("a,b"),
                                       .created = NOW,
                                       .expires = expires};

    assert_true(session_ask(db, span_of(id), &e, &q, NOW + 1, NULL));
}

static int recover(int64_t now) {
    int64_t count = 0;

    assert_true(session_recover(db, now, &count, NULL));
    return (int)count;
}

static void note_open(void *user, const struct session_question *q) {
    struct bytes *seen = user;

    bytes_put(seen, q->session);
    bytes_puts(seen, ":");
    bytes_put(seen, q->id);
    bytes_put(seen, q->tool);
    bytes_puts(seen, " ");
}

static void check_open(const char *expected) {
    struct bytes seen = {0};

    assert_true(session_each_open(db, note_open, &seen, NULL));
    bytes_put(&seen, (struct span){"", 1});
    assert_string_equal(seen.at, expected);
    bytes_free(&seen);
}

static void check_cut(const char *id, const char *calls, const char *asked) {
    struct session_cut cut = {0};

    assert_true(session_take_up(db, span_of(id), &cut, NULL));
    assert_true(span_is(span_bytes(&cut.calls), calls));
    assert_true(span_is(span_bytes(&cut.asked), asked));
    assert_true(span_is(span_bytes(&cut.rest), "{\"x\":1}"));
    assert_true(span_is(span_bytes(&cut.owner), "o"));
    bytes_free(&cut.view.model);
    bytes_free(&cut.view.messages);
    bytes_free(&cut.owner);
    bytes_free(&cut.rest);
    bytes_free(&cut.calls);
    bytes_free(&cut.asked);
}

static void begin_turn(const char *id) {
    create(id, "o");
    assert_true(session_note(db, span_of(id), span_of("{\"x\":1}"), NULL));
    assert_true(session_begin(db, span_of(id), NULL));
    add(id, SESSION_MESSAGE, "{\"n\":1}", "");
}

/* It waits for the person as long as the person has time. */
static void test_asked(void **state) {
    (void)state;
    begin_turn("s");
    add("s", SESSION_CALL, "{\"call\":0}", "c0");
    ask("s", "c1", "q1", NOW + 100);
    assert_int_equal(recover(NOW + 50), 0);
    check_open("s:q1pay ");
    check_cut("s", "{\"call\":0},{\"ask\":1}", "c1");
    assert_int_equal(recover(NOW + 60), 0);
    assert_true(session_run(db, span_of("s"), span_of("c1"), false, NULL));
    /* From here on it may have run, so that it must not run again. */
    assert_int_equal(recover(NOW + 70), 1);
    check_open("");
    check_messages("s",
                   "{\"role\":\"system\",\"content\":\"be "
                   "\\\"kind\\\"\"},{\"n\":1},{\"call\":0},{\"ask\":1},"
                   "{\"role\":\"tool\",\"tool_call_id\":\"c0\",\"content\":"
                   "\"error: interrupted: the tool was running when the "
                   "turn was cut off; it may or may not have had its "
                   "effect, and was not run again\"},"
                   "{\"role\":\"tool\",\"tool_call_id\":\"c1\",\"content\":"
                   "\"error: interrupted: the tool was running when the "
                   "turn was cut off; it may or may not have had its "
                   "effect, and was not run again\"}");
}

static void test_asked_too_late(void **state) {
    (void)state;
    begin_turn("s");
    ask("s", "c1", "q1", NOW + 100);
    assert_int_equal(recover(NOW + 100), 1);
    check_open("");
    check_messages("s",
                   "{\"role\":\"system\",\"content\":\"be "
                   "\\\"kind\\\"\"},{\"n\":1},{\"ask\":1},"
                   "{\"role\":\"tool\",\"tool_call_id\":\"c1\",\"content\":"
                   "\"error: denied: the turn was over before a person "
                   "approved it\"}");
}

/* What may run again does, once; beside one that may not, it does not. */
static void test_again(void **state) {
    (void)state;
    begin_turn("s");
    add("s", SESSION_AGAIN, "{\"call\":0}", "c0");
    assert_int_equal(recover(NOW + 2), 0);
    check_open("s: ");
    check_cut("s", "{\"call\":0}", "");
    assert_int_equal(recover(NOW + 3), 1);
    check_open("");

    begin_turn("t");
    add("t", SESSION_AGAIN, "{\"call\":0}", "c0");
    add("t", SESSION_CALL, "{\"call\":1}", "c1");
    assert_int_equal(recover(NOW + 4), 1);

    begin_turn("u");
    add("u", SESSION_AGAIN, "{\"call\":0}", "c0");
    add("u", SESSION_CALL, "{\"call\":1}", "c1");
    add("u", SESSION_RESULT, "{\"result\":1}", "c1");
    assert_int_equal(recover(NOW + 5), 0);
    check_cut("u", "{\"call\":0}", "");
}

static void test_forks(void **state) {
    struct err err = {0};
    cJSON *json;

    (void)state;
    create("s", "k");
    add("s", SESSION_MESSAGE, "{\"n\":1}", "");
    add("s", SESSION_CALL, "{\"n\":2}", "c1");
    add("s", SESSION_RESULT, "{\"n\":3}", "c1");
    add("s", SESSION_EVENT, "{\"e\":1}", "");
    add("s", SESSION_MESSAGE, "{\"n\":4}", "");
    assert_true(
        session_fork(db, span_of("s"), span_of("f3"), 3, NOW + 9, NULL));
    check_messages("f3", SYSTEM ",{\"n\":1},{\"n\":2},{\"n\":3}");
    json = show("f3"); /* with the event */
    assert_int_equal(cJSON_GetArraySize(cJSON_GetObjectItem(json, "entries")),
                     4);
    assert_string_equal(cJSON_GetObjectItem(json, "forked_from")->valuestring,
                        "s");
    cJSON_Delete(json);
    assert_true(session_owned(db, span_of("f3"), span_of("k"), NULL));
    assert_true(session_fork(db, span_of("s"), span_of("f0"), 0, NOW, NULL));
    check_messages("f0", SYSTEM);
    assert_true(session_fork(db, span_of("s"), span_of("all"), -1, NOW, NULL));
    check_messages("all", SYSTEM ",{\"n\":1},{\"n\":2},{\"n\":3},{\"n\":4}");
    assert_false(session_fork(db, span_of("s"), span_of("x"), 2, NOW, &err));
    assert_int_equal(err.code, ERR_INPUT);
    assert_false(session_fork(db, span_of("no"), span_of("x"), 0, NOW, &err));
    assert_int_equal(err.code, ERR_NOT_FOUND);
}

static void test_compact(void **state) {
    cJSON *json;

    (void)state;
    create("s", "");
    add("s", SESSION_MESSAGE, "{\"n\":1}", "");
    add("s", SESSION_EVENT, "{\"e\":1}", "");
    add("s", SESSION_MESSAGE, "{\"n\":2}", "");
    add("s", SESSION_MESSAGE, "{\"n\":3}", "");
    assert_true(session_compact(db, span_of("s"), 1, span_of(""),
                                span_of("{\"e\":2}"), NOW, NULL));
    check_messages("s", SYSTEM ",{\"n\":2},{\"n\":3}");
    /* Counted from there; the record keeps it all. */
    assert_true(session_compact(db, span_of("s"), 1, span_of(""),
                                span_of("{\"e\":3}"), NOW, NULL));
    check_messages("s", SYSTEM ",{\"n\":3}");
    json = show("s");
    assert_int_equal(cJSON_GetArraySize(cJSON_GetObjectItem(json, "entries")),
                     6);
    cJSON_Delete(json);
    assert_true(session_fork(db, span_of("s"), span_of("f"), -1, NOW, NULL));
    check_messages("f", SYSTEM ",{\"n\":3}");
    assert_true(session_fork(db, span_of("s"), span_of("g"), 1, NOW, NULL));
    check_messages("g", SYSTEM ",{\"n\":1}");
    /* All of them: what comes next is read again. */
    assert_true(session_compact(db, span_of("s"), 1, span_of(""),
                                span_of("{\"e\":4}"), NOW, NULL));
    check_messages("s", SYSTEM);
    add("s", SESSION_MESSAGE, "{\"n\":4}", "");
    check_messages("s", SYSTEM ",{\"n\":4}");
}

static void check_page(const char *owner, const char *after, int count,
                       const char *first, int size, bool more) {
    struct bytes out = {0};
    cJSON *json, *data;

    assert_true(
        session_list(db, span_of(owner), span_of(after), count, &out, NULL));
    json = json_parse(span_bytes(&out), NULL);
    assert_non_null(json);
    data = cJSON_GetObjectItem(json, "data");
    assert_int_equal(cJSON_GetArraySize(data), size);
    if (size)
        assert_string_equal(cJSON_GetObjectItem(data->child, "id")->valuestring,
                            first);
    assert_int_equal(cJSON_IsTrue(cJSON_GetObjectItem(json, "has_more")), more);
    cJSON_Delete(json);
    bytes_free(&out);
}

static void test_list_and_owners(void **state) {
    struct err err = {0};
    struct bytes out = {0};

    (void)state;
    create("a", "ann");
    create("b", "bob");
    create("c", "ann");
    create("d", "ann");
    check_page("ann", "", 10, "d", 3, false);
    check_page("ann", "", 2, "d", 2, true);
    check_page("ann", "c", 2, "a", 1, false);
    check_page("eve", "", 2, "", 0, false);
    assert_true(session_owned(db, span_of("b"), span_of("bob"), NULL));
    assert_false(session_owned(db, span_of("b"), span_of("ann"), &err));
    assert_int_equal(err.code, ERR_NOT_FOUND);
    assert_true(session_delete(db, span_of("c"), NULL));
    check_page("ann", "", 10, "d", 2, false);
    assert_false(session_delete(db, span_of("c"), &err));
    assert_false(session_show(db, span_of("c"), &out, &err));
    assert_int_equal(err.code, ERR_NOT_FOUND);
    bytes_free(&out);
}

static void test_limits(void **state) {
    struct session_view view = {0};
    struct err err = {0};

    (void)state;
    create("s", "");
    for (int i = 0; i < SESSION_ENTRIES_MAX - 1; i++)
        add("s", SESSION_EVENT, "{}", "");
    assert_true(session_load(db, span_of("s"), NOW, &view, &err));
    add("s", SESSION_EVENT, "{}", "");
    assert_false(session_load(db, span_of("s"), NOW, &view, &err));
    assert_int_equal(err.code, ERR_LIMIT);
    bytes_free(&view.model);
    bytes_free(&view.messages);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        CASE(test_a_turn),  CASE(test_cut_off),
        CASE(test_forks),   CASE(test_limits),
        CASE(test_compact), CASE(test_list_and_owners),
        CASE(test_asked),   CASE(test_asked_too_late),
        CASE(test_again),   CASE(test_summary),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
