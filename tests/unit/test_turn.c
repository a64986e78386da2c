/* test_turn.c - the loop, driven by a model that follows a script and hooks
 * that answer at once, later, or free the turn in the middle. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "agent/turn.h"

/* ---- the model ---- */

/* A generation: "text", "name arguments" calls, how it ends. */
struct scripted {
    const char *text;
    const char *calls[4][2];
    enum llm_finish finish;
    bool silent; /* it does not say what it used */
    const char *error;
};

struct fake_llm {
    struct llm face;
    const struct scripted *script;
    int script_count;
    int next;
    struct llm_call *live;
    int cancelled;
    int last_message_count;
    enum chat_choice last_choice;
    char last_text[TOOL_SHOWN_BYTES_MAX + 1]; /* of the last message */
};

struct llm_call {
    struct fake_llm *llm;
    struct llm_events events;
    const struct scripted *step;
    bool dead;
};

static struct llm_call *
fake_start(struct llm *face, const struct chat_request *r, uint64_t client,
           const struct llm_events *events, struct err *err) {
    struct fake_llm *llm = (struct fake_llm *)(void *)face;
    const struct chat_message *last = &r->messages[r->message_count - 1];
    struct llm_call *call;

    (void)client;
    assert_null(llm->live);
    if (llm->next == llm->script_count) {
        (void)err_set(err, ERR_UNAVAILABLE, "the script is over");
        return NULL;
    }
    call = xalloc(sizeof *call);
    call->llm = llm;
    call->events = *events;
    call->step = &llm->script[llm->next++];
    llm->live = call;
    llm->last_message_count = r->message_count;
    llm->last_choice = r->choice;
    (void)snprintf(llm->last_text, sizeof llm->last_text, "%.*s",
                   (int)last->text.size, last->text.size ? last->text.at : "");
    return call;
}

static void fake_cancel(struct llm *face, struct llm_call *call) {
    struct fake_llm *llm = (struct fake_llm *)(void *)face;

    assert_ptr_equal(llm->live, call);
    llm->live = NULL;
    llm->cancelled++;
    call->dead = true;
}

/* Play the generation under way to its end, or to its cancel. */
static void play(struct fake_llm *llm) {
    struct llm_call *call = llm->live;
    const struct scripted *step = call->step;
    const int prompt[] = {1, 2, 3};

    call->events.on_prompt(call->events.user, prompt, 3);
    for (const char *at = step->text; at && *at && !call->dead; at++)
        call->events.on_text(call->events.user, (struct span){at, 1}, NULL, 0);
    for (int i = 0; i < 4 && step->calls[i][0] && !call->dead; i++) {
        struct chat_tool_call c = {.id = span_of("call_1"),
                                   .name = span_of(step->calls[i][0]),
                                   .arguments = span_of(step->calls[i][1])};

        call->events.on_tool_call(call->events.user, &c);
    }
    if (!call->dead) {
        struct llm_end end = {.ok = !step->error, .finish = step->finish};

        if (!step->silent)
            end.usage = (struct llm_usage){
                .prompt_tokens = 3, .cached_tokens = 1, .completion_tokens = 2};
        if (step->error)
            (void)err_set(&end.err, ERR_UNAVAILABLE, "%s", step->error);
        llm->live = NULL;
        call->events.on_end(call->events.user, &end);
    }
    free(call);
}

static void play_all(struct fake_llm *llm) {
    while (llm->live) play(llm);
}

/* ---- a slow tool ---- */

struct tool_run {
    tool_done *done;
    void *user;
};

static struct tool_run *slow_live;
static int slow_cancelled;

static struct tool_run *slow_run(const struct tool *tool,
                                 const cJSON *arguments,
                                 const struct tool_context *context,
                                 tool_done *done, void *user) {
    (void)tool;
    (void)context;
    (void)arguments;
    slow_live = xalloc(sizeof *slow_live);
    slow_live->done = done;
    slow_live->user = user;
    return slow_live;
}

static void slow_cancel(struct tool_run *run) {
    assert_ptr_equal(run, slow_live);
    slow_live = NULL;
    slow_cancelled++;
    free(run);
}

static void slow_finish(bool ok, const char *text) {
    struct tool_run *run = slow_live;

    slow_live = NULL;
    run->done(run->user, ok, span_of(text));
    free(run);
}

static struct tool_run *big_run(const struct tool *tool, const cJSON *arguments,
                                const struct tool_context *context,
                                tool_done *done, void *user) {
    size_t size = (size_t)json_field(arguments, "size")->valueint;
    char *text = xalloc(size);

    (void)tool;
    (void)context;
    memset(text, 'x', size);
    text[size - 1] = '!';
    done(user, true, (struct span){text, size});
    free(text);
    return NULL;
}

static const struct tool slow_tool = {.name = "slow",
                                      .description = "",
                                      .schema = "{\"type\":\"object\"}",
                                      .run = slow_run,
                                      .cancel = slow_cancel};
static const struct tool big_tool = {.name = "big",
                                     .description = "",
                                     .schema = "{\"type\":\"object\"}",
                                     .run = big_run,
                                     .cancel = slow_cancel};

/* ---- the asker ---- */

enum reply { YES, NO, LATER, FREE };

struct world {
    struct fake_llm llm;
    struct registry *registry;
    struct arena *arena;
    struct chat_request request;
    struct chat_message message;
    struct chat_tool tools[5];
    struct turn *turn;
    enum reply call_reply;
    enum reply result_reply;
    bool free_on_text;
    bool free_on_end;
    const char *replacement;
    uint64_t fence_key;
    const char *denial; /* told to turn_deny() when a call is asked about */
    struct bytes log;   /* what the hooks saw, one line each */
    size_t result_size; /* of the last one that was asked about */
    char result_last;   /* its last byte */
    struct turn_end end;
    bool ended;
};

static void note(struct world *w, const char *what, struct span text) {
    bytes_puts(&w->log, what);
    bytes_put(&w->log, text);
    bytes_puts(&w->log, "\n");
}

static void reply(struct world *w, enum reply how) {
    if (how == FREE) {
        turn_free(w->turn);
        w->turn = NULL;
    } else if (how != LATER) {
        turn_answer(w->turn, how == YES);
    }
}

static void on_prompt(void *user, const int *tokens, int count) {
    (void)user;
    assert_int_equal(tokens[count - 1], 3);
}

static void on_text(void *user, struct span text, const int *tokens,
                    int count) {
    struct world *w = user;

    (void)tokens;
    (void)count;
    note(w, "text ", text);
    if (w->free_on_text) reply(w, FREE);
}

static void ask_call(void *user, const struct chat_tool_call *call,
                     bool server) {
    struct world *w = user;

    note(w, server ? "ask server " : "ask client ", call->name);
    if (w->denial)
        turn_deny(w->turn, span_of(w->denial));
    else
        reply(w, w->call_reply);
}

static void ask_result(void *user, const struct chat_tool_call *call,
                       struct span result) {
    struct world *w = user;

    (void)call;
    note(w, "result ", span_slice(result, 0, 60));
    w->result_size = result.size;
    w->result_last = result.size ? result.at[result.size - 1] : '\0';
    if (w->replacement)
        turn_answer_text(w->turn, span_of(w->replacement));
    else
        reply(w, w->result_reply);
}

static void on_client_call(void *user, const struct chat_tool_call *call) {
    struct world *w = user;

    note(w, "client ", call->arguments);
}

static void on_end(void *user, const struct turn_end *end) {
    struct world *w = user;

    assert_false(w->ended);
    w->ended = true;
    w->end = *end;
    if (w->free_on_end) reply(w, FREE);
}

static void world_init(struct world *w, const struct scripted *script,
                       int count) {
    static cJSON any = {.type = cJSON_Object};
    static const char *const names[] = {"calculator", "time", "slow", "big",
                                        "lookup"};

    *w = (struct world){.llm = {.face = {.name = "fake",
                                         .start = fake_start,
                                         .cancel = fake_cancel},
                                .script = script,
                                .script_count = count}};
    w->registry = registry_new();
    assert_true(registry_add_builtin(w->registry, "calculator", NULL));
    assert_true(registry_add_builtin(w->registry, "time", NULL));
    assert_true(registry_add(w->registry, &slow_tool, NULL));
    assert_true(registry_add(w->registry, &big_tool, NULL));
    w->arena = arena_new(4 << 20);
    chat_request_init(&w->request, w->arena);
    w->message = (struct chat_message){.role = CHAT_USER, .text = span_of("q")};
    w->request.messages = &w->message;
    w->request.message_count = 1;
    for (int i = 0; i < 5; i++)
        w->tools[i] = (struct chat_tool){
            .name = span_of(names[i]), .schema = &any, .server = i < 4};
    w->request.tools = w->tools;
    w->request.tool_count = 5;
    slow_live = NULL;
    slow_cancelled = 0;
}

static void world_start(struct world *w, struct turn_limits limits) {
    struct turn_hooks hooks = {.on_prompt = on_prompt,
                               .on_text = on_text,
                               .ask_call = ask_call,
                               .ask_result = ask_result,
                               .on_client_call = on_client_call,
                               .on_end = on_end,
                               .user = w};
    struct err err = {0};

    struct turn_options options = {.llm = &w->llm.face,
                                   .tools = w->registry,
                                   .request = &w->request,
                                   .limits = limits,
                                   .client = 7,
                                   .fence_key = w->fence_key};
    w->turn = turn_start(&options, &hooks, &err);
    assert_non_null(w->turn);
    assert_int_equal(w->log.size, 0);
}

static void check_log(struct world *w, const char *expected) {
    bytes_put(&w->log, (struct span){"", 1});
    assert_string_equal(w->log.at, expected);
    w->log.size--;
}

static void world_clear(struct world *w) {
    turn_free(w->turn);
    assert_null(w->llm.live);
    assert_null(slow_live);
    registry_free(w->registry);
    arena_free(w->arena);
    bytes_free(&w->log);
}

#define RUN(w, script)                                                         \
    do {                                                                       \
        world_init(w, script, (int)(sizeof(script) / sizeof *(script)));       \
        world_start(w, TURN_LIMITS_DEFAULT);                                   \
    } while (0)

/* ---- cases ---- */

static void test_plain(void **state) {
    static const struct scripted script[] = {{.text = "hi"}};
    struct world w;

    (void)state;
    RUN(&w, script);
    play_all(&w.llm);
    check_log(&w, "text h\ntext i\n");
    assert_int_equal(w.end.finish, TURN_STOP);
    assert_int_equal(w.end.steps, 1);
    assert_int_equal(w.end.usage.prompt_tokens, 3);
    world_clear(&w);
}

static void test_server_tool(void **state) {
    static const struct scripted script[] = {
        {.calls = {{"calculator", "{\"expression\":\"2+3\"}"}},
         .finish = LLM_TOOL_CALLS},
        {.text = "5"}};
    struct world w;

    (void)state;
    world_init(&w, script, 2);
    w.request.choice = CHOICE_REQUIRED;
    world_start(&w, TURN_LIMITS_DEFAULT);
    assert_int_equal(w.llm.last_choice, CHOICE_REQUIRED);
    play_all(&w.llm);
    check_log(&w, "ask server calculator\nresult 5\ntext 5\n");
    assert_int_equal(w.end.finish, TURN_STOP);
    assert_int_equal(w.end.steps, 2);
    assert_int_equal(w.end.tool_calls, 1);
    assert_int_equal(w.end.usage.completion_tokens, 4);
    assert_int_equal(w.llm.last_message_count, 3);
    assert_int_equal(w.llm.last_choice, CHOICE_AUTO);
    assert_string_equal(w.llm.last_text, "5");
    world_clear(&w);
}

/* Errors are for the model to read: a tool's own, arguments that do not fit
 * its schema, and a tool that is not there (or not declared). */
static void check_error(const char *name, const char *arguments,
                        const char *expected) {
    struct scripted script[] = {
        {.calls = {{name, arguments}}, .finish = LLM_TOOL_CALLS},
        {.text = "."}};
    struct world w;

    RUN(&w, script);
    play_all(&w.llm);
    assert_int_equal(w.end.finish, TURN_STOP);
    if (!strstr(w.llm.last_text, expected)) fail_msg("%s", w.llm.last_text);
    assert_int_equal(strncmp(w.llm.last_text, "error: ", 7), 0);
    world_clear(&w);
}

static void test_errors(void **state) {
    (void)state;
    check_error("calculator", "{\"expression\":\"1/0\"}", "division by zero");
    check_error("calculator", "{}", "expression: missing");
    check_error("calculator", "{\"expression\":7}", "wrong type");
    check_error("calculator", "{\"expression\":\"1\",\"x\":1}", "no such");
    check_error("calculator", "[]", "not an object");
    check_error("calculator", "{", "JSON");
    check_error("rm", "{}", "there is no tool \"rm\"");
}

static void test_undeclared_does_not_run(void **state) {
    static const struct scripted script[] = {
        {.calls = {{"slow", "{}"}}, .finish = LLM_TOOL_CALLS}, {.text = "."}};
    struct world w;

    (void)state;
    world_init(&w, script, 2);
    w.request.tool_count = 2; /* the registry has "slow", the request not */
    world_start(&w, TURN_LIMITS_DEFAULT);
    play_all(&w.llm);
    assert_null(slow_live);
    assert_non_null(strstr(w.llm.last_text, "there is no tool"));
    world_clear(&w);
}

static void test_client_tools(void **state) {
    static const struct scripted script[] = {
        {.calls = {{"lookup", "{\"a\":1}"},
                   {"calculator", "{\"expression\":\"1+1\"}"},
                   {"lookup", "{\"a\":2}"}},
         .finish = LLM_TOOL_CALLS}};
    struct world w;

    (void)state;
    RUN(&w, script);
    play_all(&w.llm);
    check_log(&w, "ask server calculator\nresult 2\nask client lookup\n"
                  "ask client lookup\nclient {\"a\":1}\nclient {\"a\":2}\n");
    assert_int_equal(w.end.finish, TURN_CLIENT_CALLS);
    assert_int_equal(w.end.tool_calls, 3);
    world_clear(&w);
}

static void test_refused(void **state) {
    static const struct scripted server[] = {
        {.calls = {{"slow", "{}"}}, .finish = LLM_TOOL_CALLS}};
    static const struct scripted client[] = {
        {.calls = {{"lookup", "{}"}}, .finish = LLM_TOOL_CALLS}};
    static const struct scripted result[] = {
        {.calls = {{"calculator", "{\"expression\":\"1\"}"}},
         .finish = LLM_TOOL_CALLS}};
    struct world w;

    (void)state;
    RUN(&w, server);
    w.call_reply = NO;
    play_all(&w.llm);
    assert_int_equal(w.end.finish, TURN_REFUSED);
    assert_null(slow_live); /* it never ran */
    world_clear(&w);

    RUN(&w, client);
    w.call_reply = NO;
    play_all(&w.llm);
    check_log(&w, "ask client lookup\n");
    assert_int_equal(w.end.finish, TURN_REFUSED);
    world_clear(&w);

    RUN(&w, result);
    w.result_reply = NO;
    play_all(&w.llm);
    assert_int_equal(w.end.finish, TURN_REFUSED);
    assert_int_equal(w.llm.next, 1); /* no model read it */
    world_clear(&w);
}

static void test_replaced(void **state) {
    static const struct scripted script[] = {
        {.calls = {{"calculator", "{\"expression\":\"6*7\"}"}},
         .finish = LLM_TOOL_CALLS},
        {.text = "."}};
    struct world w;

    (void)state;
    RUN(&w, script);
    w.replacement = "[removed]";
    play_all(&w.llm);
    assert_string_equal(w.llm.last_text, "[removed]");
    assert_int_equal(w.end.finish, TURN_STOP);
    world_clear(&w);
}

static void test_later(void **state) {
    static const struct scripted script[] = {
        {.calls = {{"slow", "{}"}}, .finish = LLM_TOOL_CALLS}, {.text = "."}};
    struct world w;

    (void)state;
    RUN(&w, script);
    w.call_reply = w.result_reply = LATER;
    play_all(&w.llm);
    assert_null(slow_live);
    turn_answer(w.turn, true);
    assert_non_null(slow_live);
    turn_answer(w.turn, false); /* nothing is asked: ignored */
    slow_finish(true, "done");
    check_log(&w, "ask server slow\nresult done\n");
    turn_answer(w.turn, true);
    play_all(&w.llm);
    assert_string_equal(w.llm.last_text, "done");
    assert_int_equal(w.end.finish, TURN_STOP);
    world_clear(&w);
}

static void test_long_result(void **state) {
    static const struct scripted script[] = {
        {.calls = {{"big", "{\"size\":262144}"}}, .finish = LLM_TOOL_CALLS},
        {.text = "."}};
    struct world w;

    (void)state;
    /* Asked about whole, to its last byte; then cut for the model. */
    RUN(&w, script);
    play_all(&w.llm);
    assert_int_equal(w.result_size, TOOL_RESULT_BYTES_MAX);
    assert_int_equal(w.result_last, '!');
    assert_int_equal(strlen(w.llm.last_text), TOOL_SHOWN_BYTES_MAX);
    assert_non_null(strstr(w.llm.last_text, "cut off]"));
    world_clear(&w);
}

static void test_result_too_long(void **state) {
    static const struct scripted script[] = {
        {.calls = {{"big", "{\"size\":262145}"}}, .finish = LLM_TOOL_CALLS},
        {.text = "."}};
    struct world w;

    (void)state;
    RUN(&w, script);
    play_all(&w.llm);
    assert_string_equal(w.llm.last_text,
                        "error: the result has 262145 bytes, of "
                        "262144 at most");
    assert_int_equal(w.end.finish, TURN_STOP);
    world_clear(&w);
}

static void test_limits(void **state) {
    static const struct scripted loop[] = {
        {.calls = {{"calculator", "{\"expression\":\"1\"}"}}},
        {.calls = {{"calculator", "{\"expression\":\"2\"}"}}},
        {.calls = {{"calculator", "{\"expression\":\"3\"}"}}}};
    static const struct scripted same[] = {{.calls = {{"time", "{}"}}},
                                           {.calls = {{"time", "{}"}}},
                                           {.calls = {{"time", "{}"}}}};
    struct world w;

    (void)state;
    world_init(&w, loop, 3);
    world_start(&w, (struct turn_limits){2, 16, 300, 1000});
    play_all(&w.llm);
    assert_int_equal(w.end.finish, TURN_LIMIT);
    assert_int_equal(w.end.steps, 2);
    assert_non_null(strstr(w.end.err.text, "too many steps"));
    assert_int_equal(w.end.limit, TURN_LIMIT_STEPS);
    world_clear(&w);

    world_init(&w, loop, 3);
    world_start(&w, (struct turn_limits){8, 1, 300, 1000});
    play_all(&w.llm);
    assert_int_equal(w.end.finish, TURN_LIMIT);
    assert_int_equal(w.end.tool_calls, 1);
    assert_non_null(strstr(w.end.err.text, "too many tool calls"));
    assert_int_equal(w.end.limit, TURN_LIMIT_TOOL_CALLS);
    world_clear(&w);

    RUN(&w, same);
    play_all(&w.llm);
    assert_int_equal(w.end.finish, TURN_LIMIT);
    assert_int_equal(w.end.tool_calls, 2);
    assert_non_null(strstr(w.end.err.text, "same tool call"));
    assert_int_equal(w.end.limit, TURN_LIMIT_SAME_CALL);
    world_clear(&w);
}

/* How many generations begin under a limit. */
static int rounds_within(const struct scripted *script, int tokens) {
    char question[400];
    struct world w;
    int steps;

    memset(question, 'q', sizeof question);
    world_init(&w, script, 3);
    w.message.text = (struct span){question, sizeof question};
    world_start(&w, (struct turn_limits){8, 16, 300, tokens});
    play_all(&w.llm);
    steps = w.end.steps;
    if (w.end.finish == TURN_LIMIT)
        assert_int_equal(w.end.limit, TURN_LIMIT_TOKENS);
    else
        assert_int_equal(w.end.finish, TURN_STOP);
    world_clear(&w);
    return steps;
}

static void test_token_limit(void **state) {
    static const struct scripted told[] = {
        {.calls = {{"calculator", "{\"expression\":\"1\"}"}}},
        {.calls = {{"calculator", "{\"expression\":\"2\"}"}}},
        {.text = "."}};
    static const struct scripted silent[] = {
        {.calls = {{"calculator", "{\"expression\":\"1\"}"}}, .silent = true},
        {.calls = {{"calculator", "{\"expression\":\"2\"}"}}, .silent = true},
        {.text = ".", .silent = true}};

    (void)state;
    /* Five tokens a round, as the model says. */
    assert_int_equal(rounds_within(told, 4), 1);
    assert_int_equal(rounds_within(told, 9), 2);
    assert_int_equal(rounds_within(told, 10), 3);
    /* By the size of what was sent: a hundred and more. */
    assert_int_equal(rounds_within(silent, 100), 1);
    assert_int_equal(rounds_within(silent, 200), 2);
    assert_int_equal(rounds_within(silent, 1000), 3);
}

static void test_other_ends(void **state) {
    static const struct scripted cut[] = {
        {.text = "a", .calls = {{"time", "{}"}}, .finish = LLM_LENGTH}};
    static const struct scripted filtered[] = {{.finish = LLM_FILTERED}};
    static const struct scripted broken[] = {{.error = "gone"}};
    static const struct scripted over[] = {
        {.calls = {{"time", "{}"}}, .finish = LLM_TOOL_CALLS}};
    struct world w;

    (void)state;
    RUN(&w, cut);
    play_all(&w.llm);
    check_log(&w, "text a\n"); /* a call in a cut answer is not made */
    assert_int_equal(w.end.finish, TURN_LENGTH);
    world_clear(&w);
    RUN(&w, filtered);
    play_all(&w.llm);
    assert_int_equal(w.end.finish, TURN_FILTERED);
    world_clear(&w);
    RUN(&w, broken);
    play_all(&w.llm);
    assert_int_equal(w.end.finish, TURN_FAILED);
    assert_string_equal(w.end.err.text, "gone");
    world_clear(&w);
    RUN(&w, over); /* the second generation cannot start */
    play_all(&w.llm);
    assert_int_equal(w.end.finish, TURN_FAILED);
    assert_string_equal(w.end.err.text, "the script is over");
    world_clear(&w);
}

static void test_start_fails(void **state) {
    struct turn_hooks hooks = {.ask_call = ask_call, .ask_result = ask_result};
    struct turn_options options = {.limits = TURN_LIMITS_DEFAULT};
    struct err err = {0};
    struct world w;

    (void)state;
    world_init(&w, NULL, 0);
    options.llm = &w.llm.face;
    options.request = &w.request;
    assert_null(turn_start(&options, &hooks, &err));
    assert_int_equal(err.code, ERR_UNAVAILABLE);
    world_clear(&w);
}

/* The turn may be freed in every hook, and work under way is cancelled. */
static void test_free_inside(void **state) {
    static const struct scripted script[] = {
        {.text = "ab",
         .calls = {{"calculator", "{\"expression\":\"1\"}"}},
         .finish = LLM_TOOL_CALLS},
        {.text = "."}};
    struct world w;

    (void)state;
    RUN(&w, script);
    w.free_on_text = true;
    play_all(&w.llm);
    check_log(&w, "text a\n");
    assert_int_equal(w.llm.cancelled, 1);
    world_clear(&w);

    RUN(&w, script);
    w.call_reply = FREE;
    play_all(&w.llm);
    check_log(&w, "text a\ntext b\nask server calculator\n");
    world_clear(&w);

    RUN(&w, script);
    w.result_reply = FREE;
    play_all(&w.llm);
    assert_false(w.ended);
    world_clear(&w);

    RUN(&w, script);
    w.free_on_end = true;
    play_all(&w.llm);
    assert_true(w.ended);
    assert_null(w.turn);
    world_clear(&w);
}

static void test_free_outside(void **state) {
    static const struct scripted script[] = {
        {.calls = {{"slow", "{}"}}, .finish = LLM_TOOL_CALLS}};
    struct llm_call *call;
    struct world w;

    (void)state;
    RUN(&w, script);
    call = w.llm.live;
    turn_free(w.turn);
    w.turn = NULL;
    assert_int_equal(w.llm.cancelled, 1);
    free(call);
    world_clear(&w);

    RUN(&w, script);
    play_all(&w.llm);
    assert_non_null(slow_live);
    turn_free(w.turn);
    w.turn = NULL;
    assert_int_equal(slow_cancelled, 1);
    assert_false(w.ended);
    world_clear(&w);
}

/* A denied call is answered by an error, which nobody is asked about. */
static void test_denied(void **state) {
    static const struct scripted server[] = {
        {.calls = {{"calculator", "{\"expression\":\"1\"}"}},
         .finish = LLM_TOOL_CALLS},
        {.text = "."}};
    static const struct scripted client[] = {
        {.calls = {{"lookup", "{}"}}, .finish = LLM_TOOL_CALLS}, {.text = "."}};
    struct world w;

    (void)state;
    for (int i = 0; i < 2; i++) {
        world_init(&w, i ? client : server, 2);
        w.denial = "not today";
        world_start(&w, TURN_LIMITS_DEFAULT);
        play_all(&w.llm);
        check_log(&w, i ? "ask client lookup\ntext .\n"
                        : "ask server calculator\ntext .\n");
        assert_string_equal(w.llm.last_text, "error: not today");
        assert_int_equal(w.llm.last_message_count, 3);
        assert_int_equal(w.end.finish, TURN_STOP);
        world_clear(&w);
    }
}

/* What the model reads is fenced; what the hooks see is not. */
static void test_fenced(void **state) {
    static const struct scripted script[] = {
        {.calls = {{"calculator", "{\"expression\":\"6*7\"}"}},
         .finish = LLM_TOOL_CALLS},
        {.text = "."}};
    struct world w;

    (void)state;
    world_init(&w, script, 2);
    w.fence_key = 7;
    world_start(&w, TURN_LIMITS_DEFAULT);
    play_all(&w.llm);
    check_log(&w, "ask server calculator\nresult 42\ntext .\n");
    assert_non_null(strstr(w.llm.last_text, "data from calculator"));
    assert_non_null(strstr(w.llm.last_text, "\n42\n["));
    world_clear(&w);
}

static void test_tokens(void **state) {
    static const struct scripted script[] = {
        {.calls = {{"calculator", "{\"expression\":\"1\"}"}},
         .finish = LLM_TOOL_CALLS},
        {.text = "."}};
    struct turn_limits limits = TURN_LIMITS_DEFAULT;
    struct world w;

    (void)state;
    for (limits.tokens = 4; limits.tokens <= 5; limits.tokens++) {
        world_init(&w, script, 2);
        world_start(&w, limits);
        play_all(&w.llm);
        assert_int_equal(w.end.finish,
                         limits.tokens == 4 ? TURN_LIMIT : TURN_STOP);
        if (limits.tokens == 4)
            assert_int_equal(w.end.limit, TURN_LIMIT_TOKENS);
        world_clear(&w);
    }
}

static void test_time(void **state) {
    static const struct scripted script[] = {
        {.calls = {{"slow", "{}"}}, .finish = LLM_TOOL_CALLS}};
    struct world w;

    (void)state;
    world_init(&w, script, 1);
    world_start(&w, (struct turn_limits){8, 16, 1, 1000});
    play_all(&w.llm);
    turn_tick(w.turn);
    assert_false(w.ended);
    for (; !w.ended; turn_tick(w.turn))
        (void)nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
    assert_int_equal(w.end.finish, TURN_LIMIT);
    assert_int_equal(w.end.err.code, ERR_TIMEOUT);
    assert_int_equal(w.end.limit, TURN_LIMIT_SECONDS);
    assert_int_equal(slow_cancelled, 1);
    world_clear(&w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plain),
        cmocka_unit_test(test_server_tool),
        cmocka_unit_test(test_errors),
        cmocka_unit_test(test_undeclared_does_not_run),
        cmocka_unit_test(test_client_tools),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_replaced),
        cmocka_unit_test(test_later),
        cmocka_unit_test(test_long_result),
        cmocka_unit_test(test_result_too_long),
        cmocka_unit_test(test_token_limit),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_other_ends),
        cmocka_unit_test(test_start_fails),
        cmocka_unit_test(test_free_inside),
        cmocka_unit_test(test_free_outside),
        cmocka_unit_test(test_denied),
        cmocka_unit_test(test_fenced),
        cmocka_unit_test(test_tokens),
        cmocka_unit_test(test_time),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
