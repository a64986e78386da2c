/* test_sessions.c - the routes of /v1/sessions: which there are, what each
 * refuses and how it says so, one turn at a time, and a folder that only one
 * server has. */
#include "exchange_world.h"

#include "agent/session.h"
#include "base/clock.h"
#include "base/db.h"

enum { PATIENCE_MS = 20000 };

#define ROOT "/v1/sessions"
#define NOBODY "sess_0123456789abcdef01234567"

static struct world w;
static char folder[64];

static int set_up(void **state) {
    (void)state;
    (void)snprintf(folder, sizeof folder, "/tmp/corral-sessions-XXXXXX");
    if (!mkdtemp(folder)) return -1;
    sessions_folder = folder;
    return 0;
}

static int tear_down(void **state) {
    static const char *const names[] = {"sessions.db", "sessions.db-wal",
                                        "sessions.db-shm", "sessions.lock"};
    char path[96];

    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        (void)snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        (void)unlink(path);
    }
    return rmdir(folder);
}

/* The sessions' file, as another process would have it open. */
static struct db *file_open(void) {
    char path[96];
    struct db *db;

    (void)snprintf(path, sizeof path, "%s/sessions.db", folder);
    db = db_open(path, &session_schema, NULL);
    assert_non_null(db);
    return db;
}

static void request(const char *method, const char *path, const char *body) {
    (void)ask_as(&w, method, path, body);
    while (!w.over) (void)uv_run(&w.loop, UV_RUN_ONCE);
}

static void expect(int status, const char *text) {
    if (w.status != status || !answered(&w, text))
        fail_msg("%d %.*s, not %d %s", w.status, (int)w.body.size, w.body.at,
                 status, text);
}

/* A string of the answer; the caller's. */
static char *value(const char *key) {
    cJSON *json = json_parse(span_bytes(&w.body), NULL);
    const char *text =
        cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(json, key));
    char *copy;

    if (!text) fail_msg("no %s: %.*s", key, (int)w.body.size, w.body.at);
    copy = xstrdup(text);
    cJSON_Delete(json);
    return copy;
}

/* A session; the caller's. */
static char *create(void) {
    request("POST", ROOT, "{}");
    assert_int_equal(w.status, 200);
    return value("id");
}

/* ROOT/ID and what follows, until the next call. */
static const char *path_of(const char *id, const char *rest) {
    static char path[256];

    (void)snprintf(path, sizeof path, ROOT "/%s%s", id, rest);
    return path;
}

static void test_routes(void **state) {
    static const char no_route[] = "there is no such route";
    static const char no_method[] = "does not know this method";
    char *id;

    (void)state;
    world_open(&w, POLICY(""));
    id = create();
    assert_memory_equal(id, "sess_", 5);
    request("GET", path_of(id, ""), "");
    expect(200, id);
    request("PUT", ROOT, "{}");
    expect(405, no_method);
    request("POST", path_of(id, ""), "{}");
    expect(405, no_method);
    request("GET", path_of(id, "/messages"), "");
    expect(405, no_method);
    request("DELETE", path_of(id, "/fork"), "");
    expect(405, no_method);
    request("POST", path_of(id, "/forks"), "{}");
    expect(404, no_route);
    request("POST", path_of("", "/messages"), "{}");
    expect(404, no_route);
    request("GET", path_of("", ""), "");
    expect(404, no_route);
    /* Longer than any id is. */
    request("GET",
            path_of("xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
                    "xxxxxxxxxxxxxxxxxxx",
                    ""),
            "");
    expect(404, no_route);
    free(id);
    world_close(&w);
}

/* Whatever is asked of NOBODY, there is no such session. */
static void expect_nobody(void) {
    request("GET", path_of(NOBODY, ""), "");
    expect(404, "\"not_found\"");
    request("DELETE", path_of(NOBODY, ""), "");
    expect(404, "\"not_found\"");
    request("POST", path_of(NOBODY, "/fork"), "{}");
    expect(404, "\"not_found\"");
    request("POST", path_of(NOBODY, "/messages"), "{\"content\":\"a\"}");
    expect(404, "\"not_found\"");
}

/* Of a session that there is not; afterwards it is not busy. */
static void test_nobody(void **state) {
    (void)state;
    world_open(&w, POLICY(""));
    for (int i = 0; i < 2; i++) {
        expect_nobody();
        request("GET", ROOT "?after=" NOBODY, "");
        expect(404, "\"not_found\"");
    }
    assert_int_equal(model.started, 0);
    world_close(&w);
}

/* Of one that is another's: the same. */
static void test_another_ones(void **state) {
    const struct session_fresh theirs = {.id = span_of(NOBODY),
                                         .owner = span_of("key_1"),
                                         .metadata = span_of("{}"),
                                         .now = 1};
    struct db *db;

    (void)state;
    world_open(&w, POLICY(""));
    db = file_open();
    assert_true(db_begin(db, NULL) && session_create(db, &theirs, NULL) &&
                db_commit(db, NULL));
    expect_nobody();
    request("GET", ROOT, "");
    expect(200, "\"data\":[]");
    assert_int_equal(model.started, 0);
    /* It is there all the same. */
    assert_true(session_owned(db, span_of(NOBODY), span_of("key_1"), NULL));
    db_close(db);
    world_close(&w);
}

/* ---- creating ---- */

/* {"system": so many bytes} */
static void create_with(size_t size) {
    struct bytes body = {0};

    bytes_puts(&body, "{\"system\":\"");
    for (size_t i = 0; i < size; i++) bytes_puts(&body, "s");
    bytes_puts(&body, "\"}");
    bytes_put(&body, (struct span){"", 1});
    request("POST", ROOT, body.at);
    bytes_free(&body);
}

static void test_create(void **state) {
    struct router *few = router_new();
    struct err err = {0};

    (void)state;
    world_open(&w, POLICY(""));
    request("POST", ROOT, "[]");
    expect(400, "the body is not an object");
    request("POST", ROOT, "{\"model\":");
    expect(400, "JSON");
    request("POST", ROOT, "{\"sistem\":\"a\"}");
    expect(400, "\"param\":\"sistem\"");
    request("POST", ROOT, "{\"system\":7}");
    expect(400, "\"param\":\"system\"");
    request("POST", ROOT, "{\"metadata\":[]}");
    expect(400, "metadata: not an object");
    create_with(SESSION_TEXT_MAX + 1);
    expect(400, "system: more than 65536 bytes");
    create_with(SESSION_TEXT_MAX);
    assert_int_equal(w.status, 200);
    request("POST", ROOT, "{\"model\":\"m\",\"metadata\":{\"a\":[1]}}");
    expect(200, "\"metadata\":{\"a\":[1]}");
    expect(200, "\"model\":\"m\"");
    assert_true(router_add(few, "one", &model.llm, &err));
    service_set_router(w.service, few);
    request("POST", ROOT, "{\"model\":\"two\"}");
    expect(404, "\"param\":\"model\"");
    world_close(&w);
    router_free(few);
}

/* ---- pages ---- */

static void test_pages(void **state) {
    static const char *const wrong[] = {
        "0", "101", "1x", "-1", "a", "1.5", "99999999999999999999"};
    char path[64], *first, *second;

    (void)state;
    world_open(&w, POLICY(""));
    first = create();
    second = create();
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        (void)snprintf(path, sizeof path, ROOT "?limit=%s", wrong[i]);
        request("GET", path, "");
        expect(400, "limit: a number from 1 to 100");
    }
    request("GET", ROOT "?limit=100&x=y", "");
    expect(200, first);
    expect(200, second);
    expect(200, "\"has_more\":false");
    request("GET", ROOT "?limit=1", "");
    expect(200, second); /* the youngest first */
    expect(200, "\"has_more\":true");
    assert_false(answered(&w, first));
    (void)snprintf(path, sizeof path, ROOT "?x&limit=1&after=%s", second);
    request("GET", path, "");
    expect(200, first);
    expect(200, "\"has_more\":false");
    request("GET",
            ROOT
            "?after=xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
            "");
    expect(404, "\"param\":\"after\"");
    free(first);
    free(second);
    world_close(&w);
}

static void test_forks(void **state) {
    char *id;

    (void)state;
    world_open(&w, POLICY(""));
    id = create();
    request("POST", path_of(id, "/fork"), "{\"at\":-1}");
    expect(400, "\"param\":\"at\"");
    request("POST", path_of(id, "/fork"), "{\"at\":1501}");
    expect(400, "\"param\":\"at\"");
    request("POST", path_of(id, "/fork"), "{\"from\":1}");
    expect(400, "\"param\":\"from\"");
    request("POST", path_of(id, "/fork"), "{}");
    expect(200, "\"forked_from\"");
    expect(200, id);
    free(id);
    world_close(&w);
}

/* ---- turns ---- */

static void turn(const char *id, const char *body) {
    request("POST", path_of(id, "/messages"), body);
}

/* The one before ends when its client is seen to have left. */
static void turn_when_free(const char *id, const char *body) {
    uint64_t until = clock_ms() + PATIENCE_MS;

    do {
        assert_true(clock_ms() < until);
        turn(id, body);
    } while (w.status == 409);
}

/* {"messages": so many of a user} */
static void turn_of(const char *id, int count) {
    struct bytes body = {0};

    bytes_puts(&body, "{\"messages\":[" USER);
    for (int i = 1; i < count; i++) bytes_puts(&body, "," USER);
    bytes_puts(&body, "]}");
    bytes_put(&body, (struct span){"", 1});
    turn(id, body.at);
    bytes_free(&body);
}

static void test_bad_turns(void **state) {
    char *id;

    (void)state;
    world_open(&w, POLICY(""));
    model.script = (struct script){.text = "Yes.", .piece = 2};
    id = create();
    turn(id, "{}");
    expect(400, "content: missing, and so is messages");
    turn(id, "{\"content\":[\"a\"]}");
    expect(400, "content: not a text");
    turn(id, "{\"content\":\"a\",\"messages\":[" USER "]}");
    expect(400, "content: not together with messages");
    turn(id, "{\"messages\":{}}");
    expect(400, "messages: not a list");
    turn(id, "{\"messages\":[]}");
    expect(400, "messages: not a list with messages");
    turn(id, "{\"messages\":[" USER ",{\"role\":\"system\",\"content\":"
             "\"obey\"}]}");
    expect(400, "messages: only of the roles user and tool");
    turn(id, "{\"messages\":[7]}");
    expect(400, "messages: only of the roles user and tool");
    turn(id, "{\"content\":\"a\",\"n\":2}");
    expect(400, "n: a session goes on with one answer");
    turn_of(id, 65);
    expect(400, "messages: too many for one turn");
    assert_int_equal(model.started, 0);
    request("GET", path_of(id, ""), "");
    expect(200, "\"entries\":[]");
    turn_of(id, 64);
    expect(200, "Yes.");
    free(id);
    world_close(&w);
}

/* What the model reads: the session's messages, then those that are new. */
static void test_turns(void **state) {
    char *id;

    (void)state;
    world_open(&w, POLICY(""));
    model.script = (struct script){.text = "Yes.", .piece = 2};
    request("POST", ROOT, "{\"system\":\"Be kind.\"}");
    id = value("id");
    turn(id, "{\"content\":\"one \\\"1\\\"\"}");
    expect(200, "Yes.");
    turn(id, "{\"content\":\"two\",\"model\":null,\"n\":1}");
    expect(200, "Yes.");
    assert_true(
        span_is(span_bytes(&model.seen), "Be kind.|one \"1\"|Yes.|two|"));
    request("DELETE", path_of(id, ""), "");
    expect(200, "\"deleted\":true");
    turn(id, "{\"content\":\"three\"}");
    expect(404, "\"not_found\"");
    free(id);
    world_close(&w);
}

/* While a turn runs the session may be looked at, and nothing else; when its
 * client leaves the turn is over and the next one may begin. */
static void test_one_at_a_time(void **state) {
    static const char busy[] = "a turn of this session is under way";
    struct http_call *first;
    char *id;

    (void)state;
    world_open(&w, POLICY(""));
    model.script = (struct script){.text = "Yes.", .piece = 2, .hang = true};
    id = create();
    first = ask(&w, path_of(id, "/messages"), "{\"content\":\"one\"}");
    while (!model.started) (void)uv_run(&w.loop, UV_RUN_ONCE);
    turn(id, "{\"content\":\"two\"}");
    expect(409, busy);
    request("DELETE", path_of(id, ""), "");
    expect(409, busy);
    request("POST", path_of(id, "/fork"), "{}");
    expect(409, busy);
    request("GET", path_of(id, ""), "");
    expect(200, "\"running\":true");
    http_call_cancel(first);
    model.script.hang = false;
    turn_when_free(id, "{\"content\":\"two\"}");
    expect(200, "Yes.");
    request("GET", path_of(id, ""), "");
    expect(200, "\"aborted\"");
    expect(200, "\"running\":false");
    assert_int_equal(model.cancelled, 1);
    free(id);
    world_close(&w);
}

/* ---- the file ---- */

/* Until file_let_go() nobody else can write. */
static struct db *file_hold(void) {
    struct db *db = file_open();

    assert_true(db_begin(db, NULL));
    return db;
}

static void file_let_go(struct db *db) {
    db_rollback(db);
    db_close(db);
}

/* A request that is under way. */
static struct http_call *begin(const char *method, const char *path,
                               const char *body) {
    struct http_call *call = ask_as(&w, method, path, body);

    while (!server_inflight(w.server)) (void)uv_run(&w.loop, UV_RUN_ONCE);
    return call;
}

/* The client leaves while the file is waited for: the work is done all the
 * same, nobody is answered, and the session is free. */
static void test_gone(void **state) {
    struct http_call *call;
    struct db *db;
    char *id;

    (void)state;
    world_open(&w, POLICY(""));
    model.script = (struct script){.text = "Yes.", .piece = 2};
    id = create();
    db = file_hold();
    call = begin("POST", path_of(id, "/messages"), "{\"content\":\"one\"}");
    http_call_cancel(call);
    while (server_inflight(w.server)) (void)uv_run(&w.loop, UV_RUN_ONCE);
    file_let_go(db);
    turn_when_free(id, "{\"content\":\"two\"}");
    expect(200, "Yes.");
    assert_int_equal(model.started, 1);
    free(id);
    world_close(&w);
}

/* Nothing begins in a session that is being deleted. */
static void test_deleted_alone(void **state) {
    struct http_call *call;
    struct db *db;
    char *id;

    (void)state;
    world_open(&w, POLICY(""));
    id = create();
    db = file_hold();
    call = begin("DELETE", path_of(id, ""), "");
    turn(id, "{\"content\":\"one\"}");
    expect(409, "a turn of this session is under way");
    file_let_go(db);
    http_call_cancel(call);
    turn_when_free(id, "{\"content\":\"two\"}");
    expect(404, "\"not_found\"");
    free(id);
    world_close(&w);
}

static void test_two_servers(void **state) {
    struct err err = {0};
    uv_loop_t loop;

    (void)state;
    world_open(&w, POLICY(""));
    assert_int_equal(uv_loop_init(&loop), 0);
    assert_null(sessions_open(&loop, folder, &err));
    assert_int_equal(err.code, ERR_BUSY);
    assert_non_null(strstr(err.text, "another server keeps its sessions here"));
    world_close(&w);
    /* It is there again for the next. */
    world_open(&w, POLICY(""));
    world_close(&w);
    assert_null(sessions_open(&loop, "/nowhere/at/all", &err));
    assert_int_equal(err.code, ERR_IO);
    assert_int_equal(uv_loop_close(&loop), 0);
}

/* A server that was killed within a turn: the next one ends it. */
static void test_recovered(void **state) {
    struct db *db;
    char *id;

    (void)state;
    world_open(&w, POLICY(""));
    id = create();
    world_close(&w);
    db = file_open();
    assert_true(db_begin(db, NULL) && session_begin(db, span_of(id), NULL) &&
                db_commit(db, NULL));
    db_close(db);
    world_open(&w, POLICY(""));
    request("GET", path_of(id, ""), "");
    expect(200, "\"running\":false");
    expect(200, "\"entries\":[{");
    free(id);
    world_close(&w);
}

/* A damaged file is no reason to begin with an empty one. */
static void test_damaged(void **state) {
    char path[96];
    struct err err = {0};
    uv_loop_t loop;
    FILE *file;

    (void)state;
    (void)snprintf(path, sizeof path, "%s/sessions.db", folder);
    file = fopen(path, "w");
    assert_non_null(file);
    for (int i = 0; i < 4096; i++) (void)fputs("no database", file);
    (void)fclose(file);
    assert_int_equal(uv_loop_init(&loop), 0);
    assert_null(sessions_open(&loop, folder, &err));
    assert_int_equal(err.code, ERR_UNAVAILABLE);
    assert_int_equal(uv_loop_close(&loop), 0);
}

static void test_none(void **state) {
    (void)state;
    sessions_folder = NULL;
    world_open(&w, POLICY(""));
    request("POST", ROOT, "{}");
    expect(503, "this server keeps no sessions");
    world_close(&w);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        CASE(test_routes),       CASE(test_nobody),
        CASE(test_create),       CASE(test_pages),
        CASE(test_forks),        CASE(test_bad_turns),
        CASE(test_turns),        CASE(test_one_at_a_time),
        CASE(test_gone),         CASE(test_deleted_alone),
        CASE(test_another_ones), CASE(test_two_servers),
        CASE(test_recovered),    CASE(test_damaged),
        CASE(test_none)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
