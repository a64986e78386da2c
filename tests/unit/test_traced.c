/* test_traced.c - a model's face that keeps time hands everything on, whatever
 * whoever asked does in its callbacks, and makes one span of each generation.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "proxy/tracing.h"

#define TRACE "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

/* A model that does what it is told, when it is told. */
struct fake {
    struct llm llm; /* first */
    struct llm_events events;
    char trace[TRACE_SIZE]; /* that it was asked with */
    bool refuses, throttled;
    int cancelled;
};

struct world {
    uv_loop_t loop;
    struct tracer *tracer;
    struct trace_point at;
    struct fake fake;
    struct traced *traced;
    struct llm *llm;
    struct llm_call *call;
    bool cancel_in_text;
    int texts, prompts, origins, logprobs, calls, ends;
};

static struct llm_call *
fake_start(struct llm *llm, const struct chat_request *r, uint64_t client,
           const struct llm_events *events, struct err *err) {
    struct fake *f = (struct fake *)llm;

    assert_int_equal(client, 7);
    if (f->refuses) {
        (void)err_set(err, ERR_BUSY, "no");
        return NULL;
    }
    f->events = *events;
    assert_int_equal(r->trace.size, TRACE_SIZE - 1);
    memcpy(f->trace, r->trace.at, r->trace.size);
    return (struct llm_call *)(void *)f;
}

static void fake_cancel(struct llm *llm, struct llm_call *call) {
    assert_ptr_equal(llm, call);
    ((struct fake *)llm)->cancelled++;
}

static void fake_throttle(struct llm *llm, struct llm_call *call, bool on) {
    assert_ptr_equal(llm, call);
    ((struct fake *)llm)->throttled = on;
}

static bool fake_count(struct llm *llm, const struct chat_request *r, int *out,
                       struct err *err) {
    (void)r;
    (void)err;
    *out = ((struct fake *)llm)->cancelled + 40;
    return true;
}

static void on_prompt(void *user, const int *tokens, int token_count) {
    (void)tokens;
    ((struct world *)user)->prompts += token_count;
}

static void on_origin(void *user, const struct llm_origin *origin) {
    (void)origin;
    ((struct world *)user)->origins++;
}

static void on_text(void *user, struct span text, const int *tokens,
                    int token_count) {
    struct world *w = user;

    (void)text;
    (void)tokens;
    (void)token_count;
    w->texts++;
    if (w->cancel_in_text) w->llm->cancel(w->llm, w->call);
}

static void on_logprobs(void *user, const struct llm_logprob *list, int count) {
    (void)list;
    ((struct world *)user)->logprobs += count;
}

static void on_tool_call(void *user, const struct chat_tool_call *call) {
    (void)call;
    ((struct world *)user)->calls++;
}

/* The face goes with whoever asked. */
static void on_end(void *user, const struct llm_end *end) {
    struct world *w = user;

    w->ends += end->ok ? 1 : 100;
    traced_free(w->traced);
    w->traced = NULL;
}

static int set_up(void **state) {
    struct world *w = calloc(1, sizeof *w);
    struct tracer_options o = {.sample = 1, .queue = 4};
    struct err err = {0};

    assert_true(
        http_url_parse(span_of("http://127.0.0.1:9/v1/traces"), &o.url, &err));
    assert_int_equal(uv_loop_init(&w->loop), 0);
    w->tracer = tracer_open(&w->loop, &o, &err);
    assert_non_null(w->tracer);
    w->at = (struct trace_point){w->tracer, TRACE};
    w->fake.llm = (struct llm){.name = "m",
                               .start = fake_start,
                               .cancel = fake_cancel,
                               .count = fake_count,
                               .throttle = fake_throttle,
                               .context_tokens = 99};
    w->traced = traced_new(&w->at, &w->fake.llm, span_of("m"), "");
    w->llm = traced_llm(w->traced);
    *state = w;
    return 0;
}

static int tear_down(void **state) {
    struct world *w = *state;

    traced_free(w->traced);
    tracer_close(w->tracer);
    assert_int_equal(uv_run(&w->loop, UV_RUN_DEFAULT), 0);
    assert_int_equal(uv_loop_close(&w->loop), 0);
    free(w);
    return 0;
}

static bool ask(struct world *w, bool bare) {
    const struct chat_request r = {0};
    struct llm_events events = {.on_end = on_end, .user = w};
    struct err err = {0};

    if (!bare) {
        events.on_prompt = on_prompt;
        events.on_origin = on_origin;
        events.on_text = on_text;
        events.on_logprobs = on_logprobs;
        events.on_tool_call = on_tool_call;
    }
    w->call = w->llm->start(w->llm, &r, 7, &events, &err);
    assert_int_equal(w->call == NULL, err.code == ERR_BUSY);
    return w->call != NULL;
}

/* All that a model may say, and then its end. */
static void say(struct world *w, bool ok) {
    const struct llm_events *e = &w->fake.events;
    const struct llm_origin origin = {{NULL, 0}, {NULL, 0}, 0};
    const struct llm_logprob entry = {0};
    const struct chat_tool_call call = {{NULL, 0}, {NULL, 0}, {NULL, 0}};
    const struct llm_end end = {.ok = ok};
    const int token = 1;

    e->on_prompt(e->user, &token, 1);
    e->on_origin(e->user, &origin);
    e->on_logprobs(e->user, &entry, 1);
    e->on_text(e->user, span_of("x"), &token, 1);
    e->on_tool_call(e->user, &call);
    e->on_end(e->user, &end);
}

static void test_handed_on(void **state) {
    struct world *w = *state;
    int count = 0;

    assert_string_equal(w->llm->name, "m");
    assert_int_equal(w->llm->context_tokens, 99);
    assert_true(w->llm->count(w->llm, NULL, &count, NULL));
    assert_int_equal(count, 40);
    assert_true(ask(w, false));
    w->llm->throttle(w->llm, w->call, true);
    assert_true(w->fake.throttled);
    say(w, true);
    assert_int_equal(w->prompts, 1);
    assert_int_equal(w->origins, 1);
    assert_int_equal(w->logprobs, 1);
    assert_int_equal(w->texts, 1);
    assert_int_equal(w->calls, 1);
    assert_int_equal(w->ends, 1);
    assert_true(tracer_waiting(w->tracer) == 1);
    /* The model was asked in the same trace, under a span of its own. */
    assert_memory_equal(w->fake.trace, TRACE, TRACE_SPAN_AT);
    assert_memory_not_equal(w->fake.trace, TRACE, TRACE_SIZE - 1);
}

static void test_nobody_listens(void **state) {
    struct world *w = *state;

    assert_true(ask(w, true));
    say(w, false);
    assert_int_equal(w->ends, 100);
    assert_true(tracer_waiting(w->tracer) == 1);
}

static void test_cancelled(void **state) {
    struct world *w = *state;
    const struct llm_events *e = &w->fake.events;

    w->cancel_in_text = true;
    assert_true(ask(w, false));
    e->on_text(e->user, span_of("x"), NULL, 0);
    assert_int_equal(w->fake.cancelled, 1);
    assert_int_equal(w->ends, 0);
    assert_true(tracer_waiting(w->tracer) == 1);
}

static void test_not_begun(void **state) {
    struct world *w = *state;

    w->fake.refuses = true;
    assert_false(ask(w, false));
    assert_int_equal(w->ends, 0);
    assert_true(tracer_waiting(w->tracer) == 1);
}

static void test_the_queue_has_an_end(void **state) {
    struct world *w = *state;

    w->fake.refuses = true;
    for (int i = 0; i < 7; i++) assert_false(ask(w, false));
    assert_true(tracer_waiting(w->tracer) == 4);
    assert_true(tracer_dropped(w->tracer) == 3);
    assert_true(tracer_sent(w->tracer) == 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_handed_on, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_nobody_listens, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_cancelled, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_not_begun, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_the_queue_has_an_end, set_up,
                                        tear_down)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
