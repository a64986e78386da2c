/* test_summary.c - what a model is asked for a summary, and where the summary
 * says that it comes from. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "agent/summary.h"

static struct arena *arena;

static int set_up(void **state) {
    (void)state;
    arena = arena_new(1 << 20);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    arena_free(arena);
    return 0;
}

static struct chat_tool_call call_look = {
    {"call_1", 6}, {"look", 4}, {"{\"id\":1}", 8}};

static int conversation(struct chat_message list[4]) {
    list[0] = (struct chat_message){.role = CHAT_USER,
                                    .text = span_of("Where is it?")};
    list[1] = (struct chat_message){
        .role = CHAT_ASSISTANT, .calls = &call_look, .call_count = 1};
    list[2] = (struct chat_message){.role = CHAT_TOOL,
                                    .call_id = span_of("call_1"),
                                    .text = span_of("Here.")};
    list[3] =
        (struct chat_message){.role = CHAT_ASSISTANT, .text = span_of("Here.")};
    return 4;
}

static bool has(struct span text, const char *part) {
    return span_find(text, span_of(part)) != SIZE_MAX;
}

static void test_asked(void **state) {
    struct chat_message list[4];
    struct chat_request r, out;
    struct bytes long_text = {0};
    int count = conversation(list);
    struct span asked;

    (void)state;
    chat_request_init(&r, arena);
    chat_request_init(&out, arena);
    assert_true(summary_ask(&r, list, count, 0, &out, NULL));
    assert_int_equal(out.message_count, 2);
    assert_int_equal(out.max_tokens, SUMMARY_TOKENS_MAX);
    assert_int_equal(out.tool_count, 0);
    asked = out.messages[1].text;
    assert_true(has(asked, "\n\nUser: Where is it?\n\nCall of look: {\"id\":1}"
                           "\n\nResult of look: Here.\n\nAssistant: Here."));

    /* Cut between characters, so that the window holds it. */
    for (int i = 0; i < 5000; i++) bytes_puts(&long_text, "\303\251");
    list[2].text = span_bytes(&long_text);
    chat_request_init(&out, arena);
    assert_true(summary_ask(&r, list, count, 1001, &out, NULL));
    asked = out.messages[1].text;
    assert_true(asked.size < 1001 * 2);
    assert_true(has(asked, "\303\251\n\nAssistant: Here."));
    /* A window that has no room for a summary does not make it larger. */
    chat_request_init(&out, arena);
    assert_true(summary_ask(&r, list, count, 10, &out, NULL));
    assert_true(out.messages[1].text.size < 1000);
    bytes_free(&long_text);
}

/* A summary of a summary has the sources of both, each once. */
static void test_sources(void **state) {
    struct chat_message list[8];
    struct chat_message first[SUMMARY_MESSAGES], second[SUMMARY_MESSAGES];
    struct chat_tool_call other = {{"call_2", 6}, {"send", 4}, {"{}", 2}};
    struct chat_request r = {.messages = first,
                             .message_count = SUMMARY_MESSAGES};
    struct span *names;
    int count = conversation(list), found = 0;

    (void)state;
    r.arena = arena;
    assert_true(summary_put(&r, list, count, span_of("one"), first, NULL));
    assert_true(summary_at(&r, 0));
    assert_false(summary_at(&r, 1));
    assert_true(span_is(first[1].text, "one"));
    assert_true(span_equal(first[1].call_id, first[0].calls[0].id));
    memcpy(list, first, sizeof first);
    count = SUMMARY_MESSAGES + conversation(list + SUMMARY_MESSAGES);
    list[3].calls = &other;
    list[4].call_id = span_of("call_2");
    assert_true(summary_put(&r, list, count, span_of("two"), second, NULL));
    assert_true(
        summary_sources(&second[0].calls[0], arena, &names, &found, NULL));
    assert_int_equal(found, 2);
    assert_true(span_is(names[0], "look") && span_is(names[1], "send"));
    /* Of other calls, whatever they say. */
    other.arguments = span_of("{\"sources\":[\"x\"]}");
    assert_true(summary_sources(&other, arena, &names, &found, NULL));
    assert_int_equal(found, 0);
    other.name = span_of(summary_call);
    other.arguments = span_of("{\"sources\":[1,{\"a\":\"b\"},\"x\"]}");
    assert_true(summary_sources(&other, arena, &names, &found, NULL));
    assert_int_equal(found, 1);
    other.arguments = span_of("nonsense");
    assert_true(summary_sources(&other, arena, &names, &found, NULL));
    assert_int_equal(found, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_asked, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_sources, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
