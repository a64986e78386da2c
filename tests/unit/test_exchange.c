/* test_exchange.c - what reaches the client, the model and the tools. A real
 * server and a real client on one loop, a real guard with rules alone, and a
 * model that says what it is told to: the one word "swordfish" is forbidden
 * everywhere, an e-mail address is redacted in answers. */
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
#include "proxy/server.h"
#include "proxy/service.h"

/* ---- a model with a script ---- */

struct script {
    const char *text; /* said in pieces of `piece` bytes */
    size_t piece;
    const char *tool; /* then this call is made (first generation only) */
    const char *arguments;
    enum err_code fail; /* then it fails */
    bool hang;          /* it never says anything */
};

struct llm_call {
    uv_idle_t idle; /* a turn of the loop for each piece */
    struct llm_events events;
    size_t at;
};

struct model {
    struct llm llm; /* first: cast back */
    uv_loop_t *loop;
    struct script script;
    int started;
    int cancelled;
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

static void speak(uv_idle_t *idle) {
    struct llm_call *call = (struct llm_call *)idle;
    const struct script *s = &model.script;
    struct span all = span_of(s->text), part;
    struct llm_end end = {.ok = !s->fail, .usage = {3, 0, 2}};

    part = span_slice(all, call->at, call->at + s->piece);
    if (part.size) {
        call->at += part.size;
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
    model.started++;
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
                                 const cJSON *arguments, tool_done *done,
                                 void *user) {
    (void)tool;
    (void)arguments;
    tool_runs++;
    done(user, true, span_of(tool_says));
    return NULL;
}

static void tool_cancel(struct tool_run *run) {
    (void)run;
}

static const struct tool oracle = {"oracle", "knows", "{\"type\":\"object\"}",
                                   tool_run, tool_cancel};

/* ---- the world ---- */

struct world {
    uv_loop_t loop;
    struct server *server;
    struct service *service;
    struct guard *guard;
    struct policy *policy;
    struct metrics *metrics;
    struct registry *tools;
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
                                      .llm = &model.llm,
                                      .turn_steps = 4,
                                      .turn_tool_calls = 4,
                                      .turn_seconds = 60};
    struct server_options server = {.host = "127.0.0.1"};
    struct err err = {0};

    memset(w, 0, sizeof *w);
    assert_true(hash_init(&err));
    assert_int_equal(uv_loop_init(&w->loop), 0);
    bytes_free(&model.seen);
    model = (struct model){.llm = {"test", start, cancel}, .loop = &w->loop};
    model.script = (struct script){.text = "", .piece = 1};
    tool_runs = 0;
    w->guard = guard_open(&guard_options, &err);
    assert_non_null(w->guard);
    w->policy = policy_from(policy);
    w->metrics = metrics_new();
    w->tools = registry_new();
    assert_true(registry_add(w->tools, &oracle, &err));
    service.guard = w->guard;
    service.policy = w->policy;
    service.metrics = w->metrics;
    service.tools = w->tools;
    w->service = service_new(&service);
    limits_init(&server.limits);
    server.handler = service_handler(w->service);
    w->server = server_open(&w->loop, &server, &err);
    if (!w->server) fail_msg("%s", err.text);
}

static void world_close(struct world *w) {
    server_close(w->server);
    service_close(w->service);
    assert_int_equal(uv_run(&w->loop, UV_RUN_DEFAULT), 0);
    assert_int_equal(uv_loop_close(&w->loop), 0);
    guard_close(w->guard);
    policy_free(w->policy);
    metrics_free(w->metrics);
    registry_free(w->tools);
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

static struct http_call *ask(struct world *w, const char *path,
                             const char *body) {
    struct http_header type = {span_of("content-type"),
                               span_of("application/json")};
    struct http_call_options o = {.host = "127.0.0.1",
                                  .port = server_port(w->server),
                                  .method = "POST",
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

/* Ask and wait for the whole answer. */
static void post(struct world *w, const char *body) {
    (void)ask(w, "/v1/chat/completions", body);
    while (!w->over) (void)uv_run(&w->loop, UV_RUN_ONCE);
}

static bool answered(const struct world *w, const char *text) {
    return span_find(span_bytes(&w->body), span_of(text)) != SIZE_MAX;
}

#define USER "{\"role\":\"user\",\"content\":\"hello\"}"
#define ASK(rest) "{\"model\":\"m\",\"messages\":[" USER "]" rest "}"

/* All deltas of a stream, put together. */
static struct bytes streamed(const struct world *w) {
    static const char key[] = "\"content\":\"";
    struct span rest = span_bytes(&w->body);
    struct bytes text = {0};
    size_t at;

    while ((at = span_find(rest, span_of(key))) != SIZE_MAX) {
        rest = span_slice(rest, at + sizeof key - 1, rest.size);
        at = span_find(rest, span_of("\""));
        bytes_put(&text, span_slice(rest, 0, at));
        rest = span_slice(rest, at, rest.size);
    }
    return text;
}

/* ---- the cases ---- */

static void test_answer(void **state) {
    struct world w;

    (void)state;
    world_open(&w, POLICY(""));
    model.script = (struct script){.text = "Hi there.", .piece = 2};
    post(&w, ASK(""));
    assert_int_equal(w.status, 200);
    assert_true(answered(&w, "\"content\":\"Hi there.\""));
    assert_true(answered(&w, "\"finish_reason\":\"stop\""));
    assert_true(answered(&w, "\"total_tokens\":5"));
    world_close(&w);
}

/* Whatever the pieces, the same bytes, and never a part of the address. */
static void test_redacted(void **state) {
    static const char said[] = "Write to jane.doe@example.org today.";

    (void)state;
    for (size_t piece = 1; piece <= sizeof said; piece++) {
        for (int stream = 0; stream < 2; stream++) {
            struct world w;
            struct bytes text = {0};

            world_open(&w, POLICY(""));
            model.script = (struct script){.text = said, .piece = piece};
            post(&w, stream ? ASK(",\"stream\":true") : ASK(""));
            assert_int_equal(w.status, 200);
            text = streamed(&w);
            assert_true(span_is(span_bytes(&text), "Write to [EMAIL] today."));
            assert_false(answered(&w, "jane"));
            bytes_free(&text);
            world_close(&w);
        }
    }
}

static void test_output_blocked(void **state) {
    static const char said[] = "The word is swordfish, they say.";

    (void)state;
    for (size_t piece = 1; piece <= sizeof said; piece++) {
        struct world w;

        world_open(&w, POLICY(""));
        model.script = (struct script){.text = said, .piece = piece};
        post(&w, ASK(",\"stream\":true"));
        assert_int_equal(w.status, 200);
        assert_false(answered(&w, "sword"));
        assert_false(answered(&w, "they"));
        assert_true(answered(&w, "\"finish_reason\":\"content_filter\""));
        assert_true(answered(&w, "\"checks\":[\"word\"]"));
        assert_true(answered(&w, "data: [DONE]"));
        /* Said in one piece, the model may have ended by itself. */
        if (piece < 20) assert_int_equal(model.cancelled, 1);
        post(&w, ASK(""));
        assert_int_equal(w.status, 200);
        assert_false(answered(&w, "word is"));
        assert_true(answered(&w, "\"finish_reason\":\"content_filter\""));
        world_close(&w);
    }
}

/* The forbidden word in every place of a request, streamed and not: the model
 * is never started. */
static void test_every_place(void **state) {
    static const char *const bodies[] = {
        "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":"
        "\"swordfish\"}]%s}",
        "{\"model\":\"m\",\"messages\":[{\"role\":\"system\",\"content\":"
        "\"swordfish\"}," USER "]%s}",
        "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":"
        "\"swordfish\"}," USER "]%s}",
        "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":["
        "{\"type\":\"text\",\"text\":\"a\"},{\"type\":\"text\",\"text\":"
        "\"swordfish\"}]}]%s}",
        "{\"model\":\"m\",\"messages\":[" USER ",{\"role\":\"assistant\","
        "\"content\":\"swordfish\"}," USER "]%s}",
        "{\"model\":\"m\",\"messages\":[" USER ",{\"role\":\"assistant\","
        "\"tool_calls\":[{\"id\":\"c\",\"function\":{\"name\":\"f\","
        "\"arguments\":\"{\\\"a\\\":\\\"sword\\\\u0066ish\\\"}\"}}]},{\"role\":"
        "\"tool\",\"tool_call_id\":\"c\",\"content\":\"ok\"}]%s}",
        "{\"model\":\"m\",\"messages\":[" USER ",{\"role\":\"assistant\","
        "\"tool_calls\":[{\"id\":\"c\",\"function\":{\"name\":\"swordfish\","
        "\"arguments\":\"{}\"}}]},{\"role\":\"tool\",\"tool_call_id\":\"c\","
        "\"content\":\"ok\"}]%s}",
        "{\"model\":\"m\",\"messages\":[" USER ",{\"role\":\"assistant\","
        "\"tool_calls\":[{\"id\":\"c\",\"function\":{\"name\":\"f\","
        "\"arguments\":\"{}\"}}]},{\"role\":\"tool\",\"tool_call_id\":\"c\","
        "\"content\":\"swordfish\"}]%s}",
        "{\"model\":\"m\",\"messages\":[" USER "],\"tools\":[{\"type\":"
        "\"function\",\"function\":{\"name\":\"swordfish\"}}]%s}",
        "{\"model\":\"m\",\"messages\":[" USER "],\"tools\":[{\"type\":"
        "\"function\",\"function\":{\"name\":\"f\",\"description\":"
        "\"swordfish\"}}]%s}",
        "{\"model\":\"m\",\"messages\":[" USER "],\"tools\":[{\"type\":"
        "\"function\",\"function\":{\"name\":\"f\",\"parameters\":{\"type\":"
        "\"object\",\"description\":\"swordfish\"}}}]%s}",
        "{\"model\":\"m\",\"messages\":[" USER "],\"stop\":\"swordfish\"%s}",
        "{\"model\":\"m\",\"messages\":[" USER "],\"response_format\":{"
        "\"type\":\"json_schema\",\"json_schema\":{\"name\":\"n\",\"schema\":{"
        "\"title\":\"swordfish\"}}}%s}",
    };

    (void)state;
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        for (int stream = 0; stream < 2; stream++) {
            struct world w;
            struct bytes body = {0};
            struct span text = span_of(bodies[i]);

            world_open(&w, POLICY(""));
            /* All but the "%s}" at the end. */
            bytes_put(&body, span_slice(text, 0, text.size - 3));
            bytes_puts(&body, stream ? ",\"stream\":true}" : "}");
            bytes_put(&body, (struct span){"", 1});
            post(&w, body.at);
            if (w.status != 200 || model.started ||
                !answered(&w, "\"finish_reason\":\"content_filter\"") ||
                answered(&w, "swordfish"))
                fail_msg("case %zu, stream %d: %d %.*s", i, stream, w.status,
                         (int)w.body.size, w.body.at);
            assert_int_equal(answered(&w, "data: [DONE]"), stream);
            bytes_free(&body);
            world_close(&w);
        }
    }
}

static void test_on_block_error(void **state) {
    struct world w;

    (void)state;
    world_open(&w, POLICY("on_block: error\n"));
    post(&w, "{\"model\":\"m\",\"stream\":true,\"messages\":[{\"role\":"
             "\"user\",\"content\":\"swordfish\"}]}");
    assert_int_equal(w.status, 400);
    assert_true(answered(&w, "\"code\":\"content_filter\""));
    assert_int_equal(model.started, 0);
    world_close(&w);
}

static void test_shadow(void **state) {
    struct world w;

    (void)state;
    world_open(&w, POLICY("mode: shadow\n"));
    model.script = (struct script){.text = "a@b.org swordfish", .piece = 3};
    post(&w, "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":"
             "\"swordfish\"}]}");
    assert_int_equal(w.status, 200);
    assert_true(answered(&w, "a@b.org swordfish"));
    world_close(&w);
}

/* A policy that asks a model there is none of: closed, and not as a block. */
static void test_guard_unavailable(void **state) {
    struct world w;

    (void)state;
    for (int stream = 0; stream < 2; stream++) {
        world_open(&w, POLICY("") LEARNED);
        post(&w, stream ? ASK(",\"stream\":true") : ASK(""));
        assert_int_equal(w.status, 503);
        assert_true(answered(&w, "\"code\":\"guard_unavailable\""));
        assert_int_equal(model.started, 0);
        world_close(&w);
    }
}

static void test_model_fails(void **state) {
    struct world w;

    (void)state;
    world_open(&w, POLICY(""));
    model.script =
        (struct script){.text = "", .piece = 1, .fail = ERR_UNAVAILABLE};
    post(&w, ASK(",\"stream\":true"));
    assert_int_equal(w.status, 503);
    model.script = (struct script){
        .text = "Some words, and then ", .piece = 4, .fail = ERR_IO};
    post(&w, ASK(",\"stream\":true"));
    assert_int_equal(w.status, 200);
    assert_true(answered(&w, "data: {\"error\":{"));
    assert_false(answered(&w, "\"finish_reason\":\"stop\""));
    post(&w, ASK(""));
    assert_int_equal(w.status, 502);
    assert_false(answered(&w, "Some words"));
    world_close(&w);
}

static void test_client_tool(void **state) {
    static const char body[] =
        "{\"model\":\"m\",\"messages\":[" USER "],\"tools\":[{\"type\":"
        "\"function\",\"function\":{\"name\":\"f\"}}],\"stream\":true}";
    struct world w;

    (void)state;
    world_open(&w, POLICY(""));
    model.script = (struct script){.text = "Let me look. ",
                                   .piece = 5,
                                   .tool = "f",
                                   .arguments = "{\"a\":1}"};
    post(&w, body);
    assert_int_equal(w.status, 200);
    assert_true(answered(&w, "\"name\":\"f\",\"arguments\":\"{\\\"a\\\":1}\""));
    assert_true(answered(&w, "\"finish_reason\":\"tool_calls\""));
    world_close(&w);

    world_open(&w, POLICY(""));
    model.script = (struct script){.text = "Let me look. ",
                                   .piece = 5,
                                   .tool = "f",
                                   .arguments = "{\"a\":\"sw\\u006frdfish\"}"};
    post(&w, body);
    assert_int_equal(w.status, 200);
    assert_false(answered(&w, "tool_calls"));
    assert_true(answered(&w, "\"finish_reason\":\"content_filter\""));
    assert_true(answered(&w, "\"channel\":\"tool_call\""));
    world_close(&w);
}

static void test_server_tool(void **state) {
    struct world w;

    (void)state;
    /* What the tool says is redacted before the model reads it. */
    world_open(&w, POLICY(""));
    tool_says = "ask joe@example.org";
    model.script = (struct script){
        .text = "Done. ", .piece = 3, .tool = "oracle", .arguments = "{}"};
    post(&w, ASK(""));
    assert_int_equal(w.status, 200);
    assert_int_equal(tool_runs, 1);
    assert_int_equal(model.started, 2);
    assert_true(span_find(span_bytes(&model.seen), span_of("ask [EMAIL]")) !=
                SIZE_MAX);
    assert_true(span_find(span_bytes(&model.seen), span_of("joe@")) ==
                SIZE_MAX);
    assert_true(answered(&w, "\"finish_reason\":\"stop\""));
    world_close(&w);
    /* A call may be demanded of tools that only the server has. */
    world_open(&w, POLICY(""));
    tool_says = "fine";
    model.script = (struct script){
        .text = "", .piece = 3, .tool = "oracle", .arguments = "{}"};
    post(&w, ASK(",\"tool_choice\":\"required\""));
    assert_int_equal(tool_runs, 1);
    world_close(&w);
    world_open(&w, POLICY("tools: {allow: [other]}\n"));
    post(&w, ASK(",\"tool_choice\":\"required\""));
    assert_int_equal(w.status, 400);
    assert_true(answered(&w, "\"param\":\"tool_choice\""));
    world_close(&w);
    /* A forbidden result never reaches the model. */
    world_open(&w, POLICY(""));
    tool_says = "swordfish";
    model.script = (struct script){
        .text = "", .piece = 3, .tool = "oracle", .arguments = "{}"};
    post(&w, ASK(""));
    assert_int_equal(model.started, 1);
    assert_true(answered(&w, "\"channel\":\"tool_result\""));
    world_close(&w);
    /* A forbidden call is never run. */
    world_open(&w, POLICY(""));
    model.script = (struct script){.text = "",
                                   .piece = 3,
                                   .tool = "oracle",
                                   .arguments = "{\"q\":\"swordfish\"}"};
    post(&w, ASK(""));
    assert_int_equal(tool_runs, 0);
    assert_true(answered(&w, "\"channel\":\"tool_call\""));
    world_close(&w);
    /* Nor one that the policy does not allow. */
    world_open(&w, POLICY("tools: {allow: [other]}\n"));
    model.script = (struct script){
        .text = "", .piece = 3, .tool = "oracle", .arguments = "{}"};
    post(&w, ASK(""));
    assert_int_equal(tool_runs, 0);
    world_close(&w);
}

/* The client leaves: the model stops, and nothing is left of the exchange. */
static void test_client_gone(void **state) {
    struct http_call *call;
    struct world w;

    (void)state;
    world_open(&w, POLICY(""));
    model.script = (struct script){.text = "", .piece = 1, .hang = true};
    call = ask(&w, "/v1/chat/completions", ASK(",\"stream\":true"));
    while (!model.started) (void)uv_run(&w.loop, UV_RUN_ONCE);
    http_call_cancel(call);
    while (!model.cancelled) (void)uv_run(&w.loop, UV_RUN_ONCE);
    assert_int_equal(server_inflight(w.server), 0);
    world_close(&w);
}

static void test_moderation(void **state) {
    struct world w;

    (void)state;
    world_open(&w, POLICY(""));
    (void)ask(&w, "/v1/moderations",
              "{\"input\":[\"hello\",\"the swordfish\"]}");
    while (!w.over) (void)uv_run(&w.loop, UV_RUN_ONCE);
    assert_int_equal(w.status, 200);
    assert_true(answered(&w, "\"results\":[{\"flagged\":false"));
    assert_true(answered(&w, "{\"flagged\":true"));
    (void)ask(&w, "/v1/moderations", "{\"input\":7}");
    while (!w.over) (void)uv_run(&w.loop, UV_RUN_ONCE);
    assert_int_equal(w.status, 400);
    assert_true(answered(&w, "\"param\":\"input\""));
    world_close(&w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_answer),
        cmocka_unit_test(test_redacted),
        cmocka_unit_test(test_output_blocked),
        cmocka_unit_test(test_every_place),
        cmocka_unit_test(test_on_block_error),
        cmocka_unit_test(test_shadow),
        cmocka_unit_test(test_guard_unavailable),
        cmocka_unit_test(test_model_fails),
        cmocka_unit_test(test_client_tool),
        cmocka_unit_test(test_server_tool),
        cmocka_unit_test(test_client_gone),
        cmocka_unit_test(test_moderation),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
