/* test_llm_marker.c - where text becomes a call. The engine is a script here
 * (its functions are defined below, in place of engine/engine.c), so that the
 * model's text can be cut at every byte. Needs the default model's file, for
 * its vocabulary only. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent/llm.h"
#include "engine/engine.h"
#include "tests/unit/model_path.h"

enum { LABELS_MAX = 8 };

struct engine {
    struct gguf *gguf;
    struct tokenizer *tokenizer;
    struct job job; /* the one that runs */
    uint64_t id;    /* of it; 0: none */
    int submitted;
    size_t prompt_tokens; /* of the job submitted last */
    bool had_grammar;
};

/* ---- the engine ---- */

uint64_t engine_submit(struct engine *e, const struct job *job,
                       struct err *err) {
    (void)err;
    assert_int_equal(e->id, 0);
    e->job = *job;
    e->prompt_tokens = (size_t)job->token_count;
    e->had_grammar = job->grammar != NULL;
    e->id = (uint64_t)++e->submitted;
    return e->id;
}

void engine_cancel(struct engine *e, uint64_t id) {
    if (e->id == id) e->id = 0;
}

void engine_throttle(struct engine *e, uint64_t id, bool on) {
    (void)e;
    (void)id;
    (void)on; /* nobody is slow here */
}

const struct tokenizer *engine_tokenizer(const struct engine *e) {
    return e->tokenizer;
}

const struct gguf *engine_gguf(const struct engine *e) {
    return e->gguf;
}

int engine_context(const struct engine *e) {
    return e ? 2048 : 0;
}

static void tell(struct engine *e, struct job_event event) {
    e->job.on_event(e->job.user, &event);
}

/* A piece of text with one token, if the job still runs. */
static void tell_text(struct engine *e, uint64_t id, const char *at,
                      size_t size) {
    const int token = 5;

    if (e->id == id && size)
        tell(e, (struct job_event){.kind = JOB_TEXT,
                                   .text = {at, size},
                                   .tokens = &token,
                                   .token_count = 1});
}

static void tell_done(struct engine *e, uint64_t id, enum job_end end) {
    if (e->id != id) return;
    e->id = 0;
    tell(e, (struct job_event){.kind = JOB_DONE,
                               .end = end,
                               .usage = {.prompt_tokens = 9,
                                         .cached_tokens = 3,
                                         .output_tokens = 4}});
}

/* All scores alike: no tool is better than none. */
static void tell_scores(struct engine *e) {
    const float scores[LABELS_MAX] = {0};
    uint64_t id = e->id;

    tell(e, (struct job_event){.kind = JOB_SCORES,
                               .scores = scores,
                               .score_count = e->job.label_count});
    tell_done(e, id, JOB_END_STOP);
}

/* ---- the asker ---- */

struct world {
    struct engine engine;
    struct llm *llm;
    struct arena *arena;
    struct chat_request request;
    struct chat_message messages[2];
    struct chat_tool tool;
    struct bytes text;
    struct bytes calls;
    int ends;
    struct llm_end end;
};

static void on_text(void *user, struct span text, const int *tokens,
                    int count) {
    struct world *w = user;

    assert_true(count == 0 || tokens);
    bytes_put(&w->text, text);
}

static void on_tool_call(void *user, const struct chat_tool_call *call) {
    struct world *w = user;

    bytes_put(&w->calls, call->name);
    bytes_put(&w->calls, call->arguments);
}

static void on_end(void *user, const struct llm_end *end) {
    struct world *w = user;

    w->ends++;
    w->end = *end;
}

static int setup(void **state) {
    struct world *w = xalloc(sizeof *w);
    struct err err = {0};

    *state = w;
    if (access(model_path(), R_OK) != 0) return 0;
    w->engine.gguf = gguf_open(model_path(), &err);
    if (!w->engine.gguf) fail_msg("%s", err.text);
    w->engine.tokenizer = tokenizer_new(w->engine.gguf, &err);
    if (!w->engine.tokenizer) fail_msg("%s", err.text);
    w->llm = llm_engine_open(&w->engine, "scripted", &err);
    if (!w->llm) fail_msg("%s", err.text);
    return 0;
}

static int teardown(void **state) {
    struct world *w = *state;

    llm_engine_close(w->llm);
    tokenizer_free(w->engine.tokenizer);
    gguf_close(w->engine.gguf);
    arena_free(w->arena);
    bytes_free(&w->text);
    bytes_free(&w->calls);
    free(w);
    return 0;
}

static struct world *begin(void **state, enum chat_format format) {
    static cJSON any = {.type = cJSON_Object};
    struct world *w = *state;
    struct llm_events events = {.on_text = on_text,
                                .on_tool_call = on_tool_call,
                                .on_end = on_end,
                                .user = w};
    struct err err = {0};

    if (!w->llm) skip();
    arena_free(w->arena);
    w->arena = arena_new(1 << 20);
    chat_request_init(&w->request, w->arena);
    w->messages[0] =
        (struct chat_message){.role = CHAT_USER, .text = span_of("Q")};
    w->messages[1] =
        (struct chat_message){.role = CHAT_TOOL, .text = span_of("R")};
    w->tool = (struct chat_tool){.name = span_of("time"), .schema = &any};
    w->request.messages = w->messages;
    /* After a result nothing is decided beforehand. */
    w->request.message_count = format == FORMAT_TEXT ? 1 : 2;
    w->request.tools = &w->tool;
    w->request.tool_count = 1;
    w->request.format = format;
    w->text.size = w->calls.size = 0;
    w->ends = 0;
    w->engine.id = 0;
    w->engine.submitted = 0;
    if (!w->llm->start(w->llm, &w->request, 1, &events, &err))
        fail_msg("%s", err.text);
    while (w->engine.job.kind == JOB_SCORE) tell_scores(&w->engine);
    return w;
}

/* The model writes `text`, first its part before `cut`. */
static void write_text(struct world *w, const char *text, size_t cut) {
    uint64_t id = w->engine.id;

    tell_text(&w->engine, id, text, cut);
    tell_text(&w->engine, id, text + cut, strlen(text) - cut);
}

static void check(struct world *w, const char *text, const char *calls,
                  enum llm_finish finish) {
    assert_int_equal(w->ends, 1);
    if (!w->end.ok) fail_msg("%s", w->end.err.text);
    if (!span_is(span_bytes(&w->text), text))
        fail_msg("%.*s", (int)w->text.size, w->text.at);
    if (!span_is(span_bytes(&w->calls), calls))
        fail_msg("%.*s", (int)w->calls.size, w->calls.at);
    assert_int_equal(w->end.finish, finish);
    assert_int_equal(w->engine.id, 0);
}

#define TIME                                                                   \
    "<tool_call>\n{\"name\": \"time\", \"arguments\": {}}\n</tool_call>"

static void test_text_then_call(void **state) {
    static const char text[] = "Let me see. <tool_call>\nrubbish";

    for (size_t cut = 0; cut < sizeof text; cut++) {
        struct world *w = begin(state, FORMAT_TEXT);
        size_t prompt = w->engine.prompt_tokens;

        assert_false(w->engine.had_grammar);
        write_text(w, text, cut);
        /* What the model wrote after the marker is gone: it goes on from the
         * text before it, under the grammar. */
        assert_true(w->engine.had_grammar);
        assert_true(w->engine.prompt_tokens > prompt);
        write_text(w, TIME, cut);
        tell_done(&w->engine, w->engine.id, JOB_END_STOP);
        check(w, "Let me see. ", "time{}", LLM_TOOL_CALLS);
    }
}

static void test_no_call(void **state) {
    static const char text[] = "a < b, <tool <tool_cal";

    for (size_t cut = 0; cut < sizeof text; cut++) {
        struct world *w = begin(state, FORMAT_TEXT);

        write_text(w, text, cut);
        tell_done(&w->engine, w->engine.id, JOB_END_STOP);
        check(w, text, "", LLM_STOP);
    }
}

static void test_call_cut_off(void **state) {
    static const char half[] = "<tool_call>\n{\"name\": \"ti";
    struct world *w = begin(state, FORMAT_TEXT);

    write_text(w, "<tool_call>", 4);
    write_text(w, half, 3);
    tell_done(&w->engine, w->engine.id, JOB_END_LENGTH);
    check(w, "", "", LLM_LENGTH);
}

/* Under a format the grammar allows both, and the whole text tells. */
static void test_format_or_call(void **state) {
    static const char json[] = "{\"a\":\"<tool_call>\"}";

    for (size_t cut = 0; cut < sizeof TIME; cut++) {
        struct world *w = begin(state, FORMAT_JSON_OBJECT);

        assert_true(w->engine.had_grammar);
        write_text(w, TIME, cut);
        tell_done(&w->engine, w->engine.id, JOB_END_STOP);
        check(w, "", "time{}", LLM_TOOL_CALLS);
    }
    for (size_t cut = 0; cut < sizeof json; cut++) {
        struct world *w = begin(state, FORMAT_JSON_OBJECT);

        write_text(w, json, cut);
        tell_done(&w->engine, w->engine.id, JOB_END_STOP);
        check(w, json, "", LLM_STOP);
    }
}

static void test_engine_fails(void **state) {
    struct world *w = begin(state, FORMAT_TEXT);
    struct job_event event = {.kind = JOB_DONE, .end = JOB_END_ERROR};

    (void)err_set(&event.err, ERR_BUSY, "full");
    w->engine.id = 0;
    tell(&w->engine, event);
    assert_int_equal(w->ends, 1);
    assert_false(w->end.ok);
    assert_int_equal(w->end.err.code, ERR_BUSY);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text_then_call),
        cmocka_unit_test(test_no_call),
        cmocka_unit_test(test_call_cut_off),
        cmocka_unit_test(test_format_or_call),
        cmocka_unit_test(test_engine_fails),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
