/* exchange_world.h - a real server and a real client on one loop, a real guard
 * with rules alone, and a model that says what it is told to: the one word
 * "swordfish" is forbidden everywhere, an e-mail address is redacted in
 * answers. */
#ifndef CORRAL_TESTS_UNIT_EXCHANGE_WORLD_H
#define CORRAL_TESTS_UNIT_EXCHANGE_WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent/turn.h"
#include "base/hash.h"
#include "guard/guard.h"
#include "proxy/http_client.h"
#include "proxy/responses_store.h"
#include "proxy/router.h"
#include "proxy/server.h"
#include "proxy/service.h"
#include "proxy/sessions.h"

/* ---- a model with a script ---- */

struct script {
    const char *texts[4]; /* the first for the first generation, ...; NULL: */
    const char *text;     /* said in pieces of `piece` bytes */
    size_t piece;
    const char *tool; /* then this call is made (first generation only) */
    const char *arguments;
    enum err_code fail; /* then it fails */
    bool hang;          /* it never says anything */
    bool logprobs;      /* each piece is a token, with a good and a bad rival */
};

struct llm_call {
    uv_idle_t idle; /* a turn of the loop for each piece */
    struct llm_events events;
    const char *text;
    size_t at;
};

struct model {
    struct llm llm; /* first: cast back */
    uv_loop_t *loop;
    struct script script;
    int started;
    int cancelled;
    int said; /* pieces, of all calls */
    uint64_t seed[4];
    struct bytes seen; /* every text that the last request held */
};

static struct model model;

static void on_idle_closed(uv_handle_t *handle) {
    free(handle);
}

static void call_over(struct llm_call *call) {
    (void)uv_idle_stop(&call->idle);
    uv_close((uv_handle_t *)&call->idle, on_idle_closed);
}

static void tell_logprob(struct llm_call *call, struct span piece) {
    struct llm_logprob top[] = {
        {.text = span_of(" swordfish"), .logprob = -1},
        {.text = span_of("RIVAL"), .logprob = -2},
        {.text = span_of("fish"), .logprob = -3},
        {.name = span_of("<|end|>"), .logprob = LOGPROB_LEAST}};
    struct llm_logprob entry = {
        .text = piece, .logprob = -0.25f, .top = top, .top_count = 4};

    call->events.on_logprobs(call->events.user, &entry, 1);
}

static void speak(uv_idle_t *idle) {
    struct llm_call *call = (struct llm_call *)idle;
    const struct script *s = &model.script;
    struct span all = span_of(call->text), part;
    struct llm_end end = {
        .ok = !s->fail, .usage = {.prompt_tokens = 3, .completion_tokens = 2}};

    part = span_slice(all, call->at, call->at + s->piece);
    if (part.size) {
        call->at += part.size;
        model.said++;
        if (s->logprobs) tell_logprob(call, part);
        call->events.on_text(call->events.user, part, NULL, 0);
        return;
    }
    if (s->tool && model.started == 1) {
        struct chat_tool_call made = {span_of("call_1"), span_of(s->tool),
                                      span_of(s->arguments)};

        end.finish = LLM_TOOL_CALLS;
        call->events.on_tool_call(call->events.user, &made);
    }
    if (s->fail) (void)err_set(&end.err, s->fail, "the model broke");
    call_over(call);
    call->events.on_end(call->events.user, &end);
}

static struct llm_call *start(struct llm *llm, const struct chat_request *r,
                              uint64_t client, const struct llm_events *events,
                              struct err *err) {
    struct llm_call *call = xalloc(sizeof *call);

    (void)llm;
    (void)client;
    (void)err;
    call->text = model.started < 4 && model.script.texts[model.started]
                     ? model.script.texts[model.started]
                     : model.script.text;
    model.started++;
    model.seed[(model.started - 1) % 4] = r->seed;
    model.seen.size = 0;
    for (int i = 0; i < r->message_count; i++) {
        bytes_put(&model.seen, r->messages[i].text);
        bytes_puts(&model.seen, "|");
    }
    call->events = *events;
    (void)uv_idle_init(model.loop, &call->idle);
    if (!model.script.hang) (void)uv_idle_start(&call->idle, speak);
    return call;
}

static void cancel(struct llm *llm, struct llm_call *call) {
    (void)llm;
    model.cancelled++;
    call_over(call);
}

/* ---- a tool ---- */

static const char *tool_says;
static int tool_runs;

static struct tool_run *tool_run(const struct tool *tool,
                                 const cJSON *arguments,
                                 const struct tool_context *context,
                                 tool_done *done, void *user) {
    (void)tool;
    (void)context;
    (void)arguments;
    tool_runs++;
    done(user, true, span_of(tool_says));
    return NULL;
}

static void tool_cancel(struct tool_run *run) {
    (void)run;
}

static const struct tool oracle = {.name = "oracle",
                                   .description = "knows",
                                   .schema = "{\"type\":\"object\"}",
                                   .run = tool_run,
                                   .cancel = tool_cancel};

/* ---- the world ---- */

/* Where the next world keeps sessions; NULL: nowhere. */
static const char *sessions_folder;

struct world {
    uv_loop_t loop;
    struct server *server;
    struct service *service;
    struct guard *guard;
    struct policy *policy;
    struct metrics *metrics;
    struct registry *tools;
    struct router *router;
    struct sessions *sessions;
    /* the answer */
    int status;
    struct bytes body;
    bool over;
};

#define RULE                                                                   \
    "  - {id: word, use: rules, on: [input, output, tool_call, tool_result], " \
    "any: [swordfish], action: block}\n"
#define ENTITY                                                                 \
    "  - {id: mail, use: entities, on: [output, tool_result], kinds: [email]," \
    " action: redact}\n"
#define LEARNED                                                                \
    "  - {id: learned, use: classifier, on: [input, output], categories: "     \
    "{all:"                                                                    \
    " balanced}, action: block}\n"
#define POLICY(rest) "policy: test\n" rest "checks:\n" RULE ENTITY

static struct policy *policy_from(const char *text) {
    char path[] = "/tmp/corral-test-XXXXXX.yaml";
    int fd = mkstemps(path, 5);
    struct err err = {0};
    struct policy *p;

    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (int)strlen(text));
    (void)close(fd);
    p = policy_open(path, &err);
    if (!p) fail_msg("%s", err.text);
    (void)unlink(path);
    return p;
}

static void world_open(struct world *w, const char *policy) {
    struct guard_options guard_options = {0};
    struct service_options service = {.loop = &w->loop,
                                      .turn_steps = 4,
                                      .turn_tool_calls = 4,
                                      .turn_seconds = 60,
                                      .turn_tokens = 1000};
    struct server_options server = {.host = "127.0.0.1"};
    struct err err = {0};

    memset(w, 0, sizeof *w);
    assert_true(hash_init(&err));
    assert_int_equal(uv_loop_init(&w->loop), 0);
    bytes_free(&model.seen);
    model = (struct model){
        .llm = {.name = "test", .start = start, .cancel = cancel},
        .loop = &w->loop};
    model.script = (struct script){.text = "", .piece = 1};
    tool_runs = 0;
#ifdef CORRAL_TESTS_FAKE_CLASSIFIER_H
    (void)guard_options;
    w->guard = fake_guard(true);
#else
    w->guard = guard_open(&guard_options, &err);
#endif
    assert_non_null(w->guard);
    w->policy = policy_from(policy);
    w->metrics = metrics_new();
    w->tools = registry_new();
    assert_true(registry_add(w->tools, &oracle, &err));
    service.guard = w->guard;
    service.policy = w->policy;
    service.metrics = w->metrics;
    service.responses = responses_store_new(0);
    service.tools = w->tools;
    w->router = router_new();
    assert_true(router_add(w->router, "*", &model.llm, &err));
    service.router = w->router;
    if (sessions_folder) {
        w->sessions = sessions_open(&w->loop, sessions_folder, &err);
        if (!w->sessions) fail_msg("%s", err.text);
    }
    service.sessions = w->sessions;
    w->service = service_new(&service);
    limits_init(&server.limits);
    server.handler = service_handler(w->service);
    w->server = server_open(&w->loop, &server, &err);
    if (!w->server) fail_msg("%s", err.text);
}

static void world_close(struct world *w) {
    server_close(w->server);
    service_close(w->service);
    sessions_close(w->sessions);
    assert_int_equal(uv_run(&w->loop, UV_RUN_DEFAULT), 0);
    assert_int_equal(uv_loop_close(&w->loop), 0);
    guard_close(w->guard);
    policy_free(w->policy);
    metrics_free(w->metrics);
    registry_free(w->tools);
    router_free(w->router);
    bytes_free(&w->body);
    bytes_free(&model.seen);
}

static void on_head(void *user, int status, const struct http_header *headers,
                    int header_count) {
    (void)headers;
    (void)header_count;
    ((struct world *)user)->status = status;
}

static void on_body(void *user, struct span part) {
    bytes_put(&((struct world *)user)->body, part);
}

static void on_end(void *user, const struct err *err) {
    struct world *w = user;

    if (err) w->status = -1;
    w->over = true;
}

static struct http_call *ask_as(struct world *w, const char *method,
                                const char *path, const char *body) {
    struct http_header type = {span_of("content-type"),
                               span_of("application/json")};
    struct http_call_options o = {.host = "127.0.0.1",
                                  .port = server_port(w->server),
                                  .method = method,
                                  .path = path,
                                  .headers = &type,
                                  .header_count = 1,
                                  .body = span_of(body)};
    struct http_call_events events = {on_head, on_body, on_end, w};
    struct err err = {0};
    struct http_call *call = http_call_start(&w->loop, &o, &events, &err);

    assert_non_null(call);
    w->status = 0;
    w->body.size = 0;
    w->over = false;
    return call;
}

static inline struct http_call *ask(struct world *w, const char *path,
                                    const char *body) {
    return ask_as(w, "POST", path, body);
}

/* Ask and wait for the whole answer. */
static inline void post(struct world *w, const char *body) {
    (void)ask(w, "/v1/chat/completions", body);
    while (!w->over) (void)uv_run(&w->loop, UV_RUN_ONCE);
}

static bool answered(const struct world *w, const char *text) {
    return span_find(span_bytes(&w->body), span_of(text)) != SIZE_MAX;
}

#define USER "{\"role\":\"user\",\"content\":\"hello\"}"
#define ASK(rest) "{\"model\":\"m\",\"messages\":[" USER "]" rest "}"

#endif
