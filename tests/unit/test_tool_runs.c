/* test_tool_runs.c - calls side by side: which begin when, results in order,
 * and all cancelled at once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "agent/tool_runs.h"

/* ---- tools that end when the test says so ---- */

struct tool_run {
    tool_done *done;
    void *user;
    int number; /* the argument "n" */
};

static struct tool_run *live[16];
static int begun, cancelled;

static struct tool_run *slow_run(const struct tool *tool,
                                 const cJSON *arguments,
                                 const struct tool_context *context,
                                 tool_done *done, void *user) {
    struct tool_run *run = xalloc(sizeof *run);

    (void)tool;
    assert_true(span_is(context->session, "s1"));
    run->done = done;
    run->user = user;
    run->number = cJSON_GetObjectItem(arguments, "n")->valueint;
    assert_null(live[run->number]);
    live[run->number] = run;
    begun++;
    return run;
}

static void slow_cancel(struct tool_run *run) {
    live[run->number] = NULL;
    cancelled++;
    free(run);
}

static void finish(int number) {
    struct tool_run *run = live[number];
    char text[16];

    assert_non_null(run);
    live[number] = NULL;
    (void)snprintf(text, sizeof text, "r%d", number);
    run->done(run->user, true, span_of(text));
    free(run);
}

#define SCHEMA "{\"type\":\"object\",\"required\":[\"n\"]}"

static const struct tool reads = {.name = "reads",
                                  .description = "",
                                  .schema = SCHEMA,
                                  .idempotent = true,
                                  .run = slow_run,
                                  .cancel = slow_cancel};
static const struct tool writes = {.name = "writes",
                                   .description = "",
                                   .schema = SCHEMA,
                                   .run = slow_run,
                                   .cancel = slow_cancel};

/* ---- the world ---- */

struct world {
    struct registry *registry;
    struct arena *arena;
    struct chat_request request;
    struct chat_tool tools[2];
    struct chat_tool_call calls[16];
    char arguments[16][16];
    struct tool_runs *runs;
};

static void on_done(void *user) {
    tool_runs_start(((struct world *)user)->runs);
}

/* `kinds` has a letter a call: r reads, w writes, x is no tool. */
static void begin(struct world *w, const char *kinds, bool parallel) {
    static cJSON any = {.type = cJSON_Object};
    struct tool_runs_options o = {
        .session = span_of("s1"), .on_done = on_done, .user = w};

    memset(w, 0, sizeof *w);
    begun = cancelled = 0;
    w->registry = registry_new();
    assert_true(registry_add(w->registry, &reads, NULL));
    assert_true(registry_add(w->registry, &writes, NULL));
    w->arena = arena_new(1 << 20);
    chat_request_init(&w->request, w->arena);
    w->request.parallel_calls = parallel;
    w->tools[0] = (struct chat_tool){.name = span_of("reads"), .schema = &any};
    w->tools[1] = (struct chat_tool){.name = span_of("writes"), .schema = &any};
    w->request.tools = w->tools;
    w->request.tool_count = 2;
    o.registry = w->registry;
    o.request = &w->request;
    w->runs = tool_runs_new(&o);
    for (int i = 0; kinds[i]; i++) {
        (void)snprintf(w->arguments[i], sizeof w->arguments[i], "{\"n\":%d}",
                       i);
        w->calls[i] = (struct chat_tool_call){
            .name = span_of(kinds[i] == 'r'   ? "reads"
                            : kinds[i] == 'w' ? "writes"
                                              : "nothing"),
            .arguments = span_of(w->arguments[i])};
        tool_runs_add(w->runs, &w->calls[i]);
    }
    tool_runs_start(w->runs);
}

static void end(struct world *w) {
    tool_runs_free(w->runs);
    for (int i = 0; i < 16; i++) assert_null(live[i]);
    registry_free(w->registry);
    arena_free(w->arena);
}

static const char *result(const struct world *w, int index) {
    static char text[64];
    struct span s;

    if (!tool_runs_result(w->runs, index, &s)) return "";
    (void)snprintf(text, sizeof text, "%.*s", (int)s.size, s.at);
    return text;
}

static void test_parallel(void **state) {
    struct world w;

    (void)state;
    begin(&w, "rrr", true);
    assert_int_equal(begun, 3);
    finish(2);
    assert_string_equal(result(&w, 0), "");
    assert_string_equal(result(&w, 2), "r2");
    finish(0);
    finish(1);
    assert_string_equal(result(&w, 0), "r0");
    assert_string_equal(result(&w, 1), "r1");
    end(&w);
}

/* What changes the world keeps its order, what reads does not wait. */
static void test_order(void **state) {
    struct world w;

    (void)state;
    begin(&w, "wrwrw", true);
    assert_int_equal(begun, 3);
    assert_null(live[2]);
    finish(1);
    assert_null(live[2]);
    finish(0);
    assert_non_null(live[2]);
    assert_null(live[4]);
    finish(2);
    finish(4);
    finish(3);
    assert_int_equal(begun, 5);
    end(&w);
}

static void test_one_by_one(void **state) {
    struct world w;

    (void)state;
    begin(&w, "rxr", false);
    assert_int_equal(begun, 1);
    finish(0);
    assert_int_equal(begun, 2);
    assert_string_equal(result(&w, 1), "error: there is no tool \"nothing\"");
    finish(2);
    end(&w);
}

static void test_limit(void **state) {
    struct world w;

    (void)state;
    begin(&w, "rrrrrrrrrr", true);
    assert_int_equal(begun, TOOL_RUNS_PARALLEL_MAX);
    finish(3);
    assert_int_equal(begun, TOOL_RUNS_PARALLEL_MAX + 1);
    tool_runs_free(w.runs);
    assert_int_equal(cancelled, TOOL_RUNS_PARALLEL_MAX);
    w.runs = NULL;
    end(&w);
}

static void test_errors(void **state) {
    struct world w;
    struct chat_tool_call bad[] = {
        {.name = span_of("reads"), .arguments = span_of("[1]")},
        {.name = span_of("reads"), .arguments = span_of("{}")},
        {.name = span_of("reads"), .arguments = span_of("{")}};

    (void)state;
    begin(&w, "", true);
    for (int i = 0; i < 3; i++) tool_runs_add(w.runs, &bad[i]);
    tool_runs_add_denied(w.runs, &bad[0], span_of("no"));
    tool_runs_start(w.runs);
    assert_int_equal(begun, 0);
    for (int i = 0; i < 4; i++)
        assert_int_equal(strncmp(result(&w, i), "error: ", 7), 0);
    assert_false(tool_runs_denied(w.runs, 2));
    assert_true(tool_runs_denied(w.runs, 3));
    assert_int_equal(tool_runs_count(w.runs), 4);
    assert_ptr_equal(tool_runs_call(w.runs, 1), &bad[1]);
    end(&w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parallel), cmocka_unit_test(test_order),
        cmocka_unit_test(test_one_by_one), cmocka_unit_test(test_limit),
        cmocka_unit_test(test_errors)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
