/* test_exchange_early.c - a model that begins while the classifier still reads
 * the question: nothing of its answer gets out before the verdict, nothing at
 * all after a block, and what the rules forbid never begins. */
#include "fake_classifier.h"

#include "exchange_world.h"

#define JUDGED "policy: test\nchecks:\n" RULE ENTITY HEARD INPUT_MAIL
#define HEARD                                                                  \
    "  - {id: heard, use: classifier, on: [input], categories: {all: "         \
    "balanced}, action: block}\n"
#define INPUT_MAIL                                                             \
    "  - {id: in, use: entities, on: [input], kinds: [email], action: "        \
    "redact}\n"

static struct world w;

static void open_early(struct script script) {
    world_open(&w, JUDGED);
    model.llm.early = true;
    model.script = script;
}

/* Until the model has started, and said what it has to say. */
static void let_it_write(void) {
    for (int i = 0; i < 200; i++) (void)uv_run(&w.loop, UV_RUN_NOWAIT);
    for (int i = 0; i < 200 && !model.started; i++) {
        (void)uv_run(&w.loop, UV_RUN_NOWAIT);
        (void)usleep(1000);
    }
    for (int i = 0; i < 200; i++) (void)uv_run(&w.loop, UV_RUN_NOWAIT);
}

static void judge_all(void) {
    while (!w.over) {
        (void)uv_run(&w.loop, UV_RUN_NOWAIT);
        (void)fake_poll();
    }
}

static void check_passes(const char *rest) {
    char body[512];

    open_early((struct script){.text = "It is fine.", .piece = 3});
    (void)snprintf(body, sizeof body, ASK("%s"), rest);
    (void)ask(&w, "/v1/chat/completions", body);
    let_it_write();
    assert_int_equal(model.started, 1); /* before anybody judged */
    assert_int_equal(w.status, 0);
    assert_int_equal(w.body.size, 0);
    judge_all();
    assert_int_equal(w.status, 200);
    assert_true(answered(&w, *rest ? "\"content\":" : "It is fine."));
    assert_int_equal(model.started, 1); /* and not once more */
    world_close(&w);
}

static void test_passes(void **state) {
    (void)state;
    check_passes("");
    check_passes(",\"stream\":true");
}

static void check_blocked(const char *rest, bool hang) {
    char body[512];

    open_early((struct script){.text = "SECRET", .piece = 2, .hang = hang});
    (void)snprintf(body, sizeof body,
                   "{\"model\":\"m\",\"messages\":[{\"role\":\"user\","
                   "\"content\":\"a BAD one\"}]%s}",
                   rest);
    (void)ask(&w, "/v1/chat/completions", body);
    let_it_write();
    assert_int_equal(model.started, 1);
    assert_int_equal(w.body.size, 0);
    judge_all();
    assert_true(answered(&w, "content_filter"));
    assert_false(answered(&w, "SECRET"));
    assert_false(answered(&w, "SE"));
    assert_int_equal(model.cancelled, hang ? 1 : 0);
    world_close(&w);
}

static void test_blocked(void **state) {
    (void)state;
    check_blocked("", false);
    check_blocked(",\"stream\":true", false);
    check_blocked("", true); /* it was at work: that is cancelled */
    check_blocked(",\"stream\":true,\"n\":1", true);
}

/* The rules come first: what they forbid, or redact, is not sent out raw. */
static void test_rules_first(void **state) {
    (void)state;
    open_early((struct script){.text = "x", .piece = 1});
    (void)ask(&w, "/v1/chat/completions",
              "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":"
              "\"swordfish\"}]}");
    judge_all();
    assert_true(answered(&w, "content_filter"));
    assert_int_equal(model.started, 0);
    world_close(&w);

    open_early((struct script){.text = "x", .piece = 1});
    (void)ask(&w, "/v1/chat/completions",
              "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":"
              "\"write to joe@example.com\"}]}");
    let_it_write();
    assert_int_equal(model.started, 1);
    assert_true(span_find(span_bytes(&model.seen), span_of("joe@")) ==
                SIZE_MAX);
    judge_all();
    assert_int_equal(w.status, 200);
    world_close(&w);
}

/* No tool runs on the word of an answer that nobody may have. */
static void test_no_tool_before(void **state) {
    (void)state;
    open_early((struct script){
        .text = "done", .piece = 4, .tool = "oracle", .arguments = "{}"});
    tool_says = "known";
    (void)ask(&w, "/v1/chat/completions", ASK(""));
    let_it_write();
    assert_int_equal(model.started, 1);
    assert_int_equal(tool_runs, 0);
    judge_all();
    assert_int_equal(tool_runs, 1);
    assert_int_equal(model.started, 2); /* the second step as ever */
    assert_true(answered(&w, "done"));
    world_close(&w);
}

static void test_fails_early(void **state) {
    (void)state;
    open_early((struct script){.text = "", .piece = 1, .fail = ERR_IO});
    (void)ask(&w, "/v1/chat/completions", ASK(""));
    let_it_write();
    assert_int_equal(w.status, 0);
    judge_all();
    assert_int_equal(w.status, 502);
    world_close(&w);
}

/* The client leaves while both are at work. */
static void test_client_leaves(void **state) {
    struct http_call *call;

    (void)state;
    open_early((struct script){.text = "", .piece = 1, .hang = true});
    call = ask(&w, "/v1/chat/completions", ASK(",\"n\":3"));
    let_it_write();
    assert_int_equal(model.started, 3);
    http_call_cancel(call);
    for (int i = 0; i < 2000 && model.cancelled < 3; i++) {
        (void)uv_run(&w.loop, UV_RUN_NOWAIT);
        (void)usleep(1000);
    }
    assert_int_equal(model.cancelled, 3);
    world_close(&w);
}

/* More than is kept: it begins again after the verdict. */
static void test_too_much(void **state) {
    size_t size = (size_t)1 << 21;
    char *text = xalloc(size + 1);

    (void)state;
    memset(text, 'a', size);
    for (size_t i = 0; i < size; i += 50) text[i] = ' ';
    open_early((struct script){.text = text, .piece = 1 << 15});
    (void)ask(&w, "/v1/chat/completions", ASK(""));
    let_it_write();
    assert_int_equal(model.started, 1);
    assert_int_equal(model.cancelled, 1);
    judge_all();
    assert_int_equal(w.status, 200);
    assert_int_equal(model.started, 2);
    assert_true(w.body.size > size);
    world_close(&w);
    free(text);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_passes),
        cmocka_unit_test(test_blocked),
        cmocka_unit_test(test_rules_first),
        cmocka_unit_test(test_fails_early),
        cmocka_unit_test(test_no_tool_before),
        cmocka_unit_test(test_too_much),
        cmocka_unit_test(test_client_leaves),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
