/* test_chat.c - the defaults of a request are those of the OpenAI API. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "agent/chat.h"

static void test_defaults(void **state) {
    struct chat_request r = {.tool_count = 3, .seeded = true};
    struct arena *arena = arena_new(100);

    (void)state;
    chat_request_init(&r, arena);
    assert_ptr_equal(r.arena, arena);
    assert_int_equal(r.tool_count, 0);
    assert_false(r.seeded);
    assert_int_equal(r.choice, CHOICE_AUTO);
    assert_true(r.parallel_calls);
    assert_true(r.temperature < 0 && r.top_p < 0); /* nothing said */
    assert_int_equal(r.max_tokens, 0);
    arena_free(arena);
}

static void test_role_names(void **state) {
    (void)state;
    assert_string_equal(chat_role_name(CHAT_SYSTEM), "system");
    assert_string_equal(chat_role_name(CHAT_USER), "user");
    assert_string_equal(chat_role_name(CHAT_ASSISTANT), "assistant");
    assert_string_equal(chat_role_name(CHAT_TOOL), "tool");
}

static void test_choice(void **state) {
    struct chat_tool tool = {.name = span_of("f")};
    struct arena *arena = arena_new(100);
    struct chat_request r;
    struct err err = {0};

    (void)state;
    chat_request_init(&r, arena);
    assert_true(chat_check_choice(&r, &err));
    /* A client without tools may mean one of ours. */
    assert_true(chat_choose(&r, span_of("f"), "choice.name", &err));
    assert_int_equal(r.choice, CHOICE_NAMED);
    assert_false(chat_check_choice(&r, &err));
    assert_int_equal(err.code, ERR_INPUT);
    assert_string_equal(err.field, "choice.name");
    assert_string_equal(err.text, "choice.name: no such tool");
    r.tools = &tool;
    r.tool_count = 1;
    err = (struct err){0};
    assert_true(chat_check_choice(&r, &err));
    /* One with tools of its own may not. */
    assert_true(chat_choose(&r, span_of("f"), "choice.name", &err));
    assert_false(chat_choose(&r, span_of("g"), "other.name", &err));
    assert_string_equal(err.field, "other.name");
    r.choice = CHOICE_REQUIRED;
    err = (struct err){0};
    assert_true(chat_check_choice(&r, &err));
    r.tool_count = 0;
    assert_false(chat_check_choice(&r, &err));
    assert_string_equal(err.field, "tool_choice");
    arena_free(arena);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_role_names),
        cmocka_unit_test(test_choice),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
