/* test_exchange.c - what reaches the client, the model and the tools. */
#include "tests/unit/exchange_world.h"

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
    /* Or of one of them. */
    world_open(&w, POLICY(""));
    model.script = (struct script){
        .text = "", .piece = 3, .tool = "oracle", .arguments = "{}"};
    post(&w, ASK(",\"tool_choice\":{\"function\":{\"name\":\"oracle\"}}"));
    assert_int_equal(tool_runs, 1);
    world_close(&w);
    /* But of none that the policy forbids. */
    world_open(&w, POLICY("tools: {allow: [other]}\n"));
    post(&w, ASK(",\"tool_choice\":{\"function\":{\"name\":\"oracle\"}}"));
    assert_int_equal(w.status, 400);
    assert_true(answered(&w, "\"param\":\"tool_choice.function.name\""));
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

/* One that speaks when the client leaves is stopped within a few pieces of its
 * thousands, each of which is one turn of the loop. */
static void check_gone_while_it_speaks(const char *rest) {
    static char text[1 << 16];
    char body[256];
    struct http_call *call;
    struct world w;
    int before;

    for (size_t i = 0; i + 1 < sizeof text; i++) text[i] = i % 5 ? 'a' : ' ';
    (void)snprintf(body, sizeof body, ASK("%s"), rest);
    world_open(&w, POLICY(""));
    model.script = (struct script){.text = text, .piece = 16};
    call = ask(&w, "/v1/chat/completions", body);
    while (model.said < 100) (void)uv_run(&w.loop, UV_RUN_ONCE);
    http_call_cancel(call);
    before = model.said;
    while (!model.cancelled) (void)uv_run(&w.loop, UV_RUN_ONCE);
    assert_in_range(model.said - before, 0, 8);
    assert_int_equal(server_inflight(w.server), 0);
    world_close(&w);
}

static void test_client_gone_while_it_speaks(void **state) {
    (void)state;
    check_gone_while_it_speaks("");
    check_gone_while_it_speaks(",\"stream\":true");
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
        cmocka_unit_test(test_client_gone_while_it_speaks),
        cmocka_unit_test(test_moderation),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
