/* test_compact.c - what is left out of a conversation that is too long, and
 * what never is. A character is a token to this model, a message one more. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "agent/compact.h"

static bool count(struct llm *llm, const struct chat_request *r, int *out,
                  struct err *err) {
    (void)llm;
    *out = 0;
    for (int i = 0; i < r->message_count; i++) {
        if (span_is(r->messages[i].text, "broken"))
            return err_set(err, ERR_INTERNAL, "broken");
        *out += 1 + (int)r->messages[i].text.size;
    }
    return true;
}

static struct llm llm = {.count = count, .context_tokens = 100};
static struct chat_message messages[16];
static struct chat_request request;

/* "s" system, "u" user, "a" assistant, "t" tool: nine characters each. */
static void set(const char *roles) {
    arena_free(request.arena);
    chat_request_init(&request, arena_new(1 << 20));
    request.messages = messages;
    for (; *roles; roles++) {
        struct chat_message *m = &messages[request.message_count++];

        m->role = *roles == 's'   ? CHAT_SYSTEM
                  : *roles == 'u' ? CHAT_USER
                  : *roles == 'a' ? CHAT_ASSISTANT
                                  : CHAT_TOOL;
        m->text = span_of("123456789");
    }
}

static void check(const struct compact_options *o, const char *roles,
                  const char *left) {
    static const char letters[] = "suat";
    struct err err = {0};
    int dropped = -1;

    set(roles);
    if (!compact_fit(&llm, o, &request, NULL, &dropped, &err))
        fail_msg("%s: %s", roles, err.text);
    assert_int_equal(dropped, strlen(roles) - strlen(left));
    assert_int_equal(request.message_count, strlen(left));
    for (int i = 0; i < request.message_count; i++)
        assert_int_equal(letters[request.messages[i].role], left[i]);
}

static void check_refused(const struct compact_options *o, const char *roles) {
    struct err err = {0};
    int dropped;

    set(roles);
    assert_false(compact_fit(&llm, o, &request, NULL, &dropped, &err));
    assert_int_equal(err.code, ERR_LIMIT);
    assert_int_equal(request.message_count, strlen(roles));
}

static void test_drop(void **state) {
    const struct compact_options o = {COMPACT_DROP, 0};

    (void)state;
    check(&o, "", "");
    check(&o, "suauaua", "suauaua"); /* 70 of 75 */
}

static void test_whole_turns(void **state) {
    const struct compact_options o = {COMPACT_DROP, 0};

    (void)state;
    /* 80 are too many; 50 are left, from a user's message on. */
    check(&o, "suauauau", "suau");
    check(&o, "uauauauau", "uauau");
    check(&o, "suatauatau", "su");
    /* Results that the client sends belong to the turn that called. */
    check(&o, "suauauatt", "suatt");
}

static void test_last_turn_stays(void **state) {
    const struct compact_options o = {COMPACT_DROP, 0};

    (void)state;
    check(&o, "suauatat", "suatat"); /* past the half, within the window */
    check_refused(&o, "suauatatat"); /* 80 in the last turn and before it */
    check_refused(&o, "ssssssssu");
}

static void test_refuse(void **state) {
    const struct compact_options o = {COMPACT_REFUSE, 0};

    (void)state;
    check(&o, "suauaua", "suauaua");
    check_refused(&o, "suauauau");
}

static void test_windows(void **state) {
    struct compact_options o = {COMPACT_DROP, 200};
    struct llm unknown = {.count = NULL};
    struct err err = {0};
    int dropped;

    (void)state;
    check(&o, "suauauauauau", "suauauauauau");
    /* An answer that is to be short leaves more room. */
    o.tokens = 80;
    set("suauaua");
    request.max_tokens = 10;
    assert_true(compact_fit(&llm, &o, &request, NULL, &dropped, &err));
    assert_int_equal(dropped, 0);
    /* Not known at all: never cut. Named: guessed by bytes. */
    o.tokens = 0;
    set("suauauauau");
    assert_true(compact_fit(&unknown, &o, &request, NULL, &dropped, &err));
    assert_int_equal(dropped, 0);
    o.tokens = 100; /* 11 for each message */
    assert_true(compact_fit(&unknown, &o, &request, NULL, &dropped, &err));
    assert_int_equal(dropped, 6);
    /* A model that cannot count is told, not guessed around. */
    set("suau");
    messages[1].text = span_of("broken");
    assert_false(compact_fit(&llm, &o, &request, NULL, &dropped, &err));
    assert_int_equal(err.code, ERR_INTERNAL);
    arena_free(request.arena);
    request.arena = NULL;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_drop),
        cmocka_unit_test(test_whole_turns),
        cmocka_unit_test(test_last_turn_stays),
        cmocka_unit_test(test_refuse),
        cmocka_unit_test(test_windows),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
