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

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_role_names),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
