/* test_fleet.c - which server a call goes to, where it goes when that one
 * fails, and who waits: all members are paths of one small server, whose every
 * byte a test decides. */
#include "tests/unit/page_server.h"

#include "proxy/fleet.h"

enum { LOTS_MS = 60000, CALLS_MAX = 8 };

#define HEAD                                                                   \
    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"                   \
    "Connection: close\r\n\r\n"
#define SAYS(text)                                                             \
    "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"" text          \
    "\"},\"finish_reason\":null}]}\n\n"
#define DONE                                                                   \
    "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":"         \
    "\"stop\"}]}\n\ndata: [DONE]\n\n"
#define FINE HEAD SAYS("fine") DONE
#define STATUS(status, more)                                                   \
    "HTTP/1.1 " status " X\r\nContent-Length: 0\r\nConnection: close\r\n" more \
    "\r\n"
#define JSON(text)                                                             \
    "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"                    \
    "Connection: close\r\n\r\n" text

static struct {
    uv_loop_t loop;
    struct page_server server;
    struct config_upstream config;
    struct fleet *fleet;
    struct arena *arena;
    struct chat_request request;
    char order[64]; /* the members asked, a letter each */
    /* of each call */
    struct result {
        struct llm_call *call; /* NULL: over */
        struct bytes text;
        int ends;
        struct llm_end end;
    } results[CALLS_MAX];
} w;

/* "POST /a/chat/completions": member "a". */
static void on_request(struct page_server *s, struct span request) {
    size_t from = span_find(request, span_of("/"));
    size_t used = strlen(w.order);

    (void)s;
    assert_true(used + 1 < sizeof w.order);
    w.order[used] = request.at[from + 1];
}

static struct http_url url_of(const char *path) {
    struct http_url url = {.host = "127.0.0.1", .port = w.server.port};

    (void)snprintf(url.path, sizeof url.path, "%s", path);
    return url;
}

/* Members /a, /b, ...; the fleet is opened by the test. */
static void world_open(int members) {
    struct config_upstream *c = &w.config;
    char path[] = "/a";

    memset(&w, 0, sizeof w);
    assert_int_equal(uv_loop_init(&w.loop), 0);
    page_server_open(&w.server, &w.loop);
    w.server.on_request = on_request;
    config_upstream_init(c);
    c->keep_alive.connections = 0;
    c->name = xstrdup("pool");
    c->health.path = xstrdup("/models");
    c->members = xalloc_array((size_t)members, sizeof *c->members);
    for (; c->member_count < members; c->member_count++, path[1]++)
        c->members[c->member_count] =
            (struct config_member){.url = url_of(path), .weight = 1};
    c->models = xalloc(sizeof *c->models);
    c->models[0] = (struct config_model){xstrdup("m"), xstrdup("theirs")};
    c->model_count = 1;
    w.arena = arena_new(1 << 20);
    chat_request_init(&w.request, w.arena);
    w.request.messages =
        arena_alloc(w.arena, 1, sizeof *w.request.messages, NULL);
    w.request.messages[0] =
        (struct chat_message){.role = CHAT_USER, .text = span_of("hi")};
    w.request.message_count = 1;
}

static void fleet_begin(void) {
    struct err err = {0};

    w.fleet = fleet_open(&w.loop, &w.config, &err);
    if (!w.fleet) fail_msg("%s", err.text);
}

/* Every call must be over. */
static void world_close(void) {
    fleet_close(w.fleet);
    page_server_close(&w.server);
    assert_int_equal(uv_run(&w.loop, UV_RUN_DEFAULT), 0);
    assert_int_equal(w.server.open, 0);
    assert_int_equal(uv_loop_close(&w.loop), 0);
    for (int i = 0; i < CALLS_MAX; i++) bytes_free(&w.results[i].text);
    config_upstream_clear(&w.config);
    arena_free(w.arena);
}

static void on_text(void *user, struct span text, const int *tokens,
                    int count) {
    (void)tokens;
    (void)count;
    bytes_put(&((struct result *)user)->text, text);
}

static void on_end(void *user, const struct llm_end *end) {
    struct result *r = user;

    assert_int_equal(r->ends++, 0);
    r->end = *end;
    r->call = NULL;
}

/* False with `err` when it could not begin. */
static bool try_call(int index, uint64_t client, struct err *err) {
    struct result *r = &w.results[index];
    struct llm *llm = fleet_llm(w.fleet, 0);
    const struct llm_events events = {
        .on_text = on_text, .on_end = on_end, .user = r};

    r->text.size = 0;
    r->ends = 0;
    r->call = llm->start(llm, &w.request, client, &events, err);
    return r->call != NULL;
}

static void call(int index) {
    struct err err = {0};

    if (!try_call(index, (uint64_t)index, &err)) fail_msg("%s", err.text);
}

static void cancel(int index) {
    struct llm *llm = fleet_llm(w.fleet, 0);

    llm->cancel(llm, w.results[index].call);
    w.results[index].call = NULL;
}

static void wait_for(int index) {
    while (!w.results[index].ends) (void)uv_run(&w.loop, UV_RUN_ONCE);
}

static void until_asked(const char *order) {
    peer_until(&w.loop, NULL, &w.server.requests, (int)strlen(order));
    assert_string_equal(w.order, order);
}

static void expect_fine(int index, const char *text) {
    const struct result *r = &w.results[index];

    wait_for(index);
    if (!r->end.ok) fail_msg("%s", r->end.err.text);
    assert_true(span_is(span_bytes(&r->text), text));
}

static void expect_error(const struct err *err, enum err_code code,
                         const char *text) {
    if (err->code != code || !strstr(err->text, text))
        fail_msg("%d %s, not %s", (int)err->code, err->text, text);
}

static void expect_end(int index, enum err_code code, const char *text) {
    wait_for(index);
    assert_false(w.results[index].end.ok);
    expect_error(&w.results[index].end.err, code, text);
}

/* One after the other. */
static void run_fine(int count) {
    for (int i = 0; i < count; i++) {
        call(i);
        expect_fine(i, "fine");
    }
}

/* ---- which member ---- */

static void test_equals(void **state) {
    (void)state;
    world_open(3);
    page_put(&w.server, "/", FINE);
    fleet_begin();
    run_fine(6);
    assert_string_equal(w.order, "bcabca");
    assert_non_null(strstr(w.server.request.at, "\"model\":\"theirs\""));
    world_close();
}

/* Each call that is under way counts, against the weight. */
static void test_weights(void **state) {
    int of_a = 0;

    (void)state;
    world_open(2);
    w.config.members[0].weight = 3;
    page_add(&w.server, "/", span_of(HEAD), PAGE_SILENCE);
    fleet_begin();
    for (int i = 0; i < 8; i++) call(i);
    peer_until(&w.loop, NULL, &w.server.requests, 8);
    for (int i = 0; i < 8; i++) of_a += w.order[i] == 'a';
    assert_int_equal(of_a, 6);
    for (int i = 0; i < 8; i++) cancel(i);
    /* What was given up weighs nothing any more: the next three go to "a". */
    for (int i = 0; i < 4; i++) call(i);
    peer_until(&w.loop, NULL, &w.server.requests, 12);
    of_a = 0;
    for (int i = 8; i < 12; i++) of_a += w.order[i] == 'a';
    assert_int_equal(of_a, 3);
    for (int i = 0; i < 4; i++) cancel(i);
    world_close();
}

/* ---- another one ---- */

static void open_failing(int retries) {
    world_open(3);
    w.config.retries = retries;
    page_put(&w.server, "/a", FINE);
    page_put(&w.server, "/b", STATUS("503", ""));
    page_put(&w.server, "/c", STATUS("502", ""));
    fleet_begin();
    call(0);
}

static void test_retry(void **state) {
    (void)state;
    open_failing(2);
    expect_fine(0, "fine");
    until_asked("bca");
    world_close();
    /* The last failure is what is told. */
    open_failing(1);
    expect_end(0, ERR_IO, "the upstream answered 502");
    until_asked("bc");
    world_close();
}

/* One that refuses the request, or has said a word, is not asked of another. */
static void check_no_retry(const char *response, enum err_code code,
                           const char *text, const char *said) {
    world_open(2);
    page_put(&w.server, "/a", FINE);
    page_put(&w.server, "/b", response);
    fleet_begin();
    call(0);
    expect_end(0, code, text);
    assert_true(span_is(span_bytes(&w.results[0].text), said));
    until_asked("b");
    assert_int_equal(fleet_members_up(w.fleet), 2);
    world_close();
}

static void test_no_retry(void **state) {
    (void)state;
    check_no_retry(STATUS("400", ""), ERR_INPUT, "refused the request", "");
    check_no_retry(STATUS("500", ""), ERR_IO, "answered 500", "");
    check_no_retry(HEAD SAYS("half"), ERR_IO, "", "half");
    check_no_retry(HEAD "data: {oops\n\n", ERR_IO, "", "");
}

/* After so many failures in a row a member rests, and is not asked. */
static void test_rests(void **state) {
    struct err err = {0};

    (void)state;
    world_open(2);
    w.config.retries = 0;
    w.config.health.failures = 2;
    w.config.health.rest_ms = LOTS_MS;
    page_put(&w.server, "/a", STATUS("503", ""));
    page_put(&w.server, "/b", STATUS("503", ""));
    fleet_begin();
    for (int i = 0; i < 4; i++) {
        assert_int_equal(fleet_members_up(w.fleet), i < 3 ? 2 : 1);
        call(i);
        expect_end(i, ERR_UNAVAILABLE, "the upstream is unavailable");
    }
    assert_int_equal(fleet_members_up(w.fleet), 0);
    assert_false(try_call(4, 0, &err));
    expect_error(&err, ERR_UNAVAILABLE, "pool: no server is well");
    until_asked("baba");
    world_close();
}

static void test_busy(void **state) {
    struct err err = {0};

    (void)state;
    world_open(1);
    page_put(&w.server, "/a", STATUS("429", "Retry-After: 60\r\n"));
    fleet_begin();
    call(0);
    expect_end(0, ERR_BUSY, "the upstream is busy");
    assert_int_equal(fleet_members_up(w.fleet), 0);
    assert_false(try_call(1, 0, &err));
    expect_error(&err, ERR_BUSY, "pool: every server is busy");
    until_asked("a");
    world_close();
}

/* ---- the line ---- */

static void open_line(int calls, int wait_ms) {
    world_open(1);
    w.config.concurrency = 1;
    w.config.queue.calls = calls;
    w.config.queue.wait_ms = wait_ms;
    page_add(&w.server, "/a", span_of(HEAD), PAGE_SILENCE);
    fleet_begin();
    call(0);
    until_asked("a");
}

static void test_line(void **state) {
    struct err err = {0};

    (void)state;
    open_line(2, LOTS_MS);
    call(1);
    call(2);
    assert_int_equal(fleet_waiting(w.fleet), 2);
    assert_false(try_call(3, 3, &err));
    expect_error(&err, ERR_BUSY, "pool: 2 calls wait already");
    cancel(2); /* from the middle of the line */
    assert_int_equal(fleet_waiting(w.fleet), 1);
    w.server.pages[0] = (struct page){"/a", span_of(FINE), PAGE_CLOSE};
    cancel(0);
    expect_fine(1, "fine");
    assert_int_equal(fleet_waiting(w.fleet), 0);
    until_asked("aa");
    run_fine(2); /* and its place is free again */
    world_close();
}

static void test_line_too_long(void **state) {
    (void)state;
    open_line(2, 20);
    call(1);
    call(2);
    expect_end(1, ERR_BUSY, "pool: no turn within 20 ms");
    expect_end(2, ERR_BUSY, "pool: no turn within 20 ms");
    assert_int_equal(w.results[0].ends, 0);
    assert_int_equal(fleet_waiting(w.fleet), 0);
    cancel(0);
    world_close();
}

/* ---- a model elsewhere ---- */

/* Says what a test makes it say. */
static struct other {
    struct llm llm; /* first: cast back */
    struct llm_events events;
    bool refuses;
    int started, cancelled, throttled;
} others[2];

static struct llm_call *
other_start(struct llm *llm, const struct chat_request *r, uint64_t client,
            const struct llm_events *events, struct err *err) {
    struct other *o = (struct other *)llm;

    (void)client;
    assert_ptr_equal(r, &w.request);
    if (o->refuses) {
        (void)err_set(err, ERR_UNAVAILABLE, "not here");
        return NULL;
    }
    o->started++;
    o->events = *events;
    return (struct llm_call *)(void *)o;
}

static void other_cancel(struct llm *llm, struct llm_call *c) {
    assert_ptr_equal(c, (void *)llm);
    ((struct other *)llm)->cancelled++;
}

static void other_throttle(struct llm *llm, struct llm_call *c, bool on) {
    assert_ptr_equal(c, (void *)llm);
    ((struct other *)llm)->throttled += on;
}

static void other_end(struct other *o, enum err_code code) {
    struct llm_end end = {.ok = !code};

    if (code) (void)err_set(&end.err, code, "the other failed");
    o->events.on_end(o->events.user, &end);
}

static void other_says(struct other *o, const char *text) {
    o->events.on_text(o->events.user, span_of(text), NULL, 0);
}

/* One member that answers 503, and two models to fall back to. */
static void open_falling(void) {
    world_open(1);
    page_put(&w.server, "/a", STATUS("503", ""));
    fleet_begin();
    for (int i = 0; i < 2; i++) {
        others[i] = (struct other){.llm = {.start = other_start,
                                           .cancel = other_cancel,
                                           .throttle = other_throttle}};
        fleet_fall_back(w.fleet, &others[i].llm);
    }
}

static void test_falls_back(void **state) {
    (void)state;
    open_falling();
    call(0);
    peer_until(&w.loop, NULL, &others[0].started, 1);
    other_says(&others[0], "from the ");
    other_says(&others[0], "other");
    other_end(&others[0], ERR_NONE);
    expect_fine(0, "from the other");
    assert_int_equal(others[1].started, 0);
    world_close();
}

/* The next one is asked while nothing has been said, and it may help. */
static void test_falls_further(void **state) {
    (void)state;
    open_falling();
    call(0);
    peer_until(&w.loop, NULL, &others[0].started, 1);
    other_end(&others[0], ERR_BUSY);
    assert_int_equal(others[1].started, 1);
    other_says(&others[1], "half");
    other_end(&others[1], ERR_IO);
    expect_end(0, ERR_IO, "the other failed");
    assert_true(span_is(span_bytes(&w.results[0].text), "half"));
    others[0].refuses = true;
    call(1);
    peer_until(&w.loop, NULL, &others[1].started, 2);
    other_end(&others[1], ERR_UNAVAILABLE);
    expect_end(1, ERR_UNAVAILABLE, "the other failed"); /* nobody is left */
    others[0].refuses = false;
    call(2);
    peer_until(&w.loop, NULL, &others[0].started, 2);
    other_end(&others[0], ERR_INPUT); /* nobody else would take it either */
    expect_end(2, ERR_INPUT, "the other failed");
    assert_int_equal(others[1].started, 2);
    world_close();
}

static void test_falls_and_leaves(void **state) {
    struct llm *llm;

    (void)state;
    open_falling();
    llm = fleet_llm(w.fleet, 0);
    call(0);
    peer_until(&w.loop, NULL, &others[0].started, 1);
    llm->throttle(llm, w.results[0].call, true);
    assert_int_equal(others[0].throttled, 1);
    cancel(0);
    assert_int_equal(others[0].cancelled, 1);
    world_close();
}

/* Two fleets that fall back to each other do not go round for ever. */
static void test_falls_in_a_circle(void **state) {
    struct fleet *second;
    struct err err = {0};

    (void)state;
    world_open(1);
    page_put(&w.server, "/a", STATUS("503", ""));
    fleet_begin();
    second = fleet_open(&w.loop, &w.config, &err);
    assert_non_null(second);
    fleet_fall_back(w.fleet, fleet_llm(second, 0));
    fleet_fall_back(second, fleet_llm(w.fleet, 0));
    call(0);
    expect_end(0, ERR_UNAVAILABLE, "the upstream is unavailable");
    until_asked("aa");
    fleet_close(second);
    world_close();
}

/* A full line, or one that takes too long, is no reason to wait elsewhere. */
static void test_falls_from_the_line(void **state) {
    (void)state;
    open_line(1, 20);
    others[0] =
        (struct other){.llm = {.start = other_start, .cancel = other_cancel}};
    fleet_fall_back(w.fleet, &others[0].llm);
    call(1);
    call(2); /* no place in the line */
    assert_int_equal(others[0].started, 1);
    other_end(&others[0], ERR_NONE);
    peer_until(&w.loop, NULL, &others[0].started, 2);
    other_says(&others[0], "late");
    other_end(&others[0], ERR_NONE);
    expect_fine(1, "late");
    until_asked("a");
    cancel(0);
    world_close();
}

/* ---- keys ---- */

static void expect_no_key(const char *text) {
    struct err err = {0};

    assert_null(fleet_open(&w.loop, &w.config, &err));
    assert_int_equal(err.code, ERR_INPUT);
    expect_error(&err, ERR_INPUT, text);
    (void)uv_run(&w.loop, UV_RUN_NOWAIT);
}

static void key_write(const char *path, const char *text) {
    FILE *file = fopen(path, "w");

    assert_non_null(file);
    (void)fputs(text, file);
    (void)fclose(file);
}

static void test_keys(void **state) {
    char path[] = "/tmp/corral-fleet-XXXXXX";
    int fd = mkstemp(path);

    (void)state;
    assert_true(fd >= 0);
    (void)close(fd);
    world_open(2);
    page_put(&w.server, "/", FINE);
    /* Of the last member: what was opened before it is closed again. */
    w.config.members[1].key.env = xstrdup("CORRAL_TEST_FLEET_KEY");
    (void)unsetenv("CORRAL_TEST_FLEET_KEY");
    expect_no_key("pool: the variable CORRAL_TEST_FLEET_KEY is not set");
    (void)setenv("CORRAL_TEST_FLEET_KEY", "two words", 1);
    expect_no_key("pool: the key holds a blank");
    free(w.config.members[1].key.env);
    w.config.members[1].key.env = NULL;
    w.config.members[1].key.file = xstrdup(path);
    expect_no_key("holds no key");
    key_write(path, "sk-1\r\nX-Evil: 1\n");
    expect_no_key("pool: the key holds a blank");
    key_write(path, "sk-123\n");
    fleet_begin();
    run_fine(1);
    assert_string_equal(w.order, "b");
    assert_non_null(strstr(w.server.request.at, "Bearer sk-123\r\n"));
    world_close();
    (void)unlink(path);
}

/* ---- health ---- */

/* Turns of the loop until so many members are up. */
static void until_up(int count) {
    uint64_t until = clock_ms() + PEER_PATIENCE_MS;

    while (fleet_members_up(w.fleet) != count) {
        assert_true(clock_ms() < until);
        peer_step(&w.loop, NULL);
        peer_nap();
    }
}

static void test_health(void **state) {
    (void)state;
    world_open(2);
    w.config.health.interval_ms = 1;
    w.config.health.failures = 1;
    w.config.health.rest_ms = LOTS_MS;
    w.server.on_request = NULL;
    page_put(&w.server, "/a/models", STATUS("503", ""));
    page_put(&w.server, "/b/models", STATUS("501", "")); /* does not know it */
    fleet_begin();
    until_up(1);
    w.server.pages[0].response = w.server.pages[1].response;
    until_up(2); /* long before its rest is over */
    world_close();
}

/* ---- vectors ---- */

static struct {
    int done;
    float first;
    int size, prompt_tokens;
    struct err err;
} made;

static void on_vectors(void *user, const float *values, int size,
                       int prompt_tokens, const struct err *err) {
    (void)user;
    made.done++;
    made.size = size;
    made.prompt_tokens = prompt_tokens;
    if (values) made.first = values[0];
    if (err) made.err = *err;
}

static struct llm_vectors *vectors(struct err *err) {
    static const struct span text = {"hi", 2};
    const struct llm_vectors_request r = {
        .model = span_of("m"), .texts = &text, .count = 1};
    struct llm *llm = fleet_llm(w.fleet, 0);

    memset(&made, 0, sizeof made);
    return llm->vectors(llm, &r, on_vectors, NULL, err);
}

#define VECTOR(list)                                                           \
    "{\"data\":[{\"index\":0,\"embedding\":" list                              \
    "}],\"usage\":{\"prompt_tokens\":7}}"

static void test_vectors(void **state) {
    struct err err = {0};

    (void)state;
    world_open(2);
    w.config.health.failures = 2;
    w.config.health.rest_ms = LOTS_MS;
    page_put(&w.server, "/a", JSON(VECTOR("[0.5,2]")));
    page_put(&w.server, "/b", STATUS("503", ""));
    fleet_begin();
    assert_non_null(vectors(&err));
    peer_until(&w.loop, NULL, &made.done, 1);
    assert_int_equal(made.size, 2);
    assert_true(made.first == 0.5f);
    assert_int_equal(made.prompt_tokens, 7);
    until_asked("ba");
    /* What is none is refused. */
    w.server.pages[0].response = span_of(JSON(VECTOR("[\"x\"]")));
    assert_non_null(vectors(&err));
    peer_until(&w.loop, NULL, &made.done, 1);
    assert_int_equal(made.err.code, ERR_IO);
    until_asked("baba");
    world_close();
}

static void test_vectors_fail(void **state) {
    struct llm *llm;
    struct llm_vectors *v;
    struct err err = {0};

    (void)state;
    world_open(1);
    w.config.health.failures = 1;
    w.config.health.rest_ms = LOTS_MS;
    page_add(&w.server, "/a", span_of(""), PAGE_SILENCE);
    fleet_begin();
    llm = fleet_llm(w.fleet, 0);
    v = vectors(&err);
    assert_non_null(v);
    until_asked("a");
    llm->vectors_cancel(llm, v);
    w.server.pages[0] =
        (struct page){"/a", span_of(STATUS("503", "")), PAGE_CLOSE};
    assert_non_null(vectors(&err));
    peer_until(&w.loop, NULL, &made.done, 1);
    expect_error(&made.err, ERR_UNAVAILABLE, "the upstream is unavailable");
    assert_null(vectors(&err));
    expect_error(&err, ERR_UNAVAILABLE, "pool: no server is well");
    world_close();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_equals),
        cmocka_unit_test(test_weights),
        cmocka_unit_test(test_retry),
        cmocka_unit_test(test_no_retry),
        cmocka_unit_test(test_rests),
        cmocka_unit_test(test_busy),
        cmocka_unit_test(test_line),
        cmocka_unit_test(test_line_too_long),
        cmocka_unit_test(test_falls_back),
        cmocka_unit_test(test_falls_further),
        cmocka_unit_test(test_falls_and_leaves),
        cmocka_unit_test(test_falls_in_a_circle),
        cmocka_unit_test(test_falls_from_the_line),
        cmocka_unit_test(test_keys),
        cmocka_unit_test(test_health),
        cmocka_unit_test(test_vectors),
        cmocka_unit_test(test_vectors_fail)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
