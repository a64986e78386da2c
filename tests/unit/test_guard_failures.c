/* test_guard_failures.c - every way in which the guard itself may fail, on
 * every channel, for a whole text and for one that arrives: it ends closed,
 * says that it was the guard, and nothing was released. What the classifier's
 * own job makes of a late or a mad score is test_classify.c's matter; here it
 * is the error that it ends with. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdio.h>
#include <unistd.h>

#include "base/hash.h"
#include "guard/stream.h"
#include "tests/unit/fake_classifier.h"

static const char policy_text[] =
    "policy: test\n"
    "checks:\n"
    "  - {id: full, use: classifier, on: [input, output, tool_call, "
    "tool_result, document, "
    "tool_definition], categories: {all: balanced}, action: %s}\n"
    "  - {id: activated, use: classifier, on: [input, output, tool_call, "
    "tool_result, document, "
    "tool_definition], categories: {all: balanced}, model: activated, "
    "action: %s}\n";

enum failure {
    BUSY,         /* the engine's queue is full */
    NO_ENGINE,    /* no model was loaded */
    NOT_THERE,    /* not this model */
    TOO_LATE,     /* the deadline passed */
    CANCELLED,    /* the engine gave the job up */
    NOT_FINITE,   /* a score is no number */
    LATER_ANSWER, /* one model answers, the other fails */
    FAILURES
};

static const char *const failure_names[] = {
    "busy",      "no engine",  "not there",   "too late",
    "cancelled", "not finite", "later answer"};

struct told {
    int verdicts;
    struct verdict v;
    size_t released;
};

static void on_verdict(void *user, const struct verdict *v) {
    struct told *t = user;

    t->verdicts++;
    t->v = *v;
}

static void on_release(void *user, struct span text) {
    ((struct told *)user)->released += text.size;
}

static struct policy *policy_of(const char *action) {
    char path[] = "/tmp/test_failures_XXXXXX", text[1024];
    struct err err = {0};
    struct policy *p;
    FILE *f = fdopen(mkstemp(path), "w");
    const char *rest = policy_text, *mark;
    size_t size = 0;

    assert_non_null(f);
    while ((mark = strstr(rest, "%s"))) {
        size += (size_t)snprintf(text + size, sizeof text - size, "%.*s%s",
                                 (int)(mark - rest), rest, action);
        rest = mark + 2;
    }
    fprintf(f, "%s%s", text, rest);
    assert_int_equal(fclose(f), 0);
    p = policy_open(path, &err);
    unlink(path);
    if (!p) fail_msg("%s", err.text);
    return p;
}

static enum err_code fail_by(enum failure how) {
    static const enum err_code codes[] = {
        ERR_BUSY,        ERR_UNAVAILABLE, ERR_UNAVAILABLE, ERR_TIMEOUT,
        ERR_UNAVAILABLE, ERR_INTERNAL,    ERR_TIMEOUT};

    fake.busy = how == BUSY;
    fake.no_activated = how == NOT_THERE;
    fake.answered = 0;
    fake.fail_code = codes[how];
    fake.fail_at = how == LATER_ANSWER ? 2 : how >= TOO_LATE ? 1 : 0;
    return codes[how];
}

static void fail_no_more(void) {
    while (fake_poll()) continue;
    fake.busy = fake.no_activated = false;
    fake.fail_at = 0;
    fake.fail_code = ERR_NONE;
    assert_int_equal(fake.alive, 0);
}

static struct guard *guard_for(enum failure how) {
    return fake_guard(how != NO_ENGINE);
}

static void check_closed(const struct told *t, enum failure how,
                         enum channel channel, const char *shape,
                         enum err_code code) {
    if (t->verdicts != 1 || t->v.action != VERDICT_BLOCK ||
        t->v.cause != VERDICT_CAUSE_UNAVAILABLE || t->v.err.code != code ||
        t->released != 0)
        fail_msg("%s, %s, %s: %d verdicts, %s, error %d, %zu bytes released",
                 failure_names[how], channel_name(channel), shape, t->verdicts,
                 verdict_action_name(t->v.action), (int)t->v.err.code,
                 t->released);
}

static struct told whole(struct guard *g, const struct policy *p,
                         enum channel channel) {
    struct guard_item item = {channel, span_of("hello there")};
    struct guard_turn turn = {GUARD_USER, item.text};
    struct guard_request r = {.policy = p,
                              .items = &item,
                              .item_count = 1,
                              .turns = &turn,
                              .turn_count = 1,
                              .channel = channel};
    struct told t = {0};

    (void)guard_check_start(g, &r, on_verdict, &t);
    while (fake_poll()) continue;
    return t;
}

static struct told arriving(struct guard *g, const struct policy *p,
                            enum channel channel, bool at_once) {
    struct guard_stream_options o = {.policy = p,
                                     .channel = channel,
                                     .on_release = on_release,
                                     .on_verdict = on_verdict};
    static const char text[] = "one two three four five six seven eight nine "
                               "ten eleven twelve thirteen";
    struct told t = {0};
    struct guard_stream *s;

    o.user = &t;
    s = guard_stream_new(g, &o);
    for (size_t at = 0; at < sizeof text - 1; at++) {
        guard_stream_push(s, (struct span){text + at, 1}, NULL, 0);
        if (at_once)
            while (fake_poll()) continue;
    }
    guard_stream_finish(s);
    while (fake_poll()) continue;
    guard_stream_free(s);
    return t;
}

/* Whatever a check would have done, even only flagged. */
static void test_matrix(void **state) {
    static const char *const actions[] = {"block", "flag"};

    (void)state;
    for (int a = 0; a < 2; a++) {
        struct policy *p = policy_of(actions[a]);

        for (int how = 0; how < FAILURES; how++)
            for (int c = 0; c < CHANNEL_COUNT; c++)
                for (int shape = 0; shape < 3; shape++) {
                    static const char *const shapes[] = {
                        "whole", "arriving", "arriving, judged at once"};
                    enum err_code code = fail_by((enum failure)how);
                    struct guard *g = guard_for((enum failure)how);
                    enum channel channel = (enum channel)c;
                    struct told t = shape == 0
                                        ? whole(g, p, channel)
                                        : arriving(g, p, channel, shape == 2);

                    check_closed(&t, (enum failure)how, channel, shapes[shape],
                                 code);
                    fail_no_more();
                    guard_close(g);
                }
        policy_free(p);
    }
}

/* The same without a failure is let through: it was that which blocked. */
static void test_no_failure(void **state) {
    struct guard *g = guard_for(BUSY);
    struct policy *p = policy_of("block");

    (void)state;
    for (int c = 0; c < CHANNEL_COUNT; c++) {
        struct told t = whole(g, p, (enum channel)c);

        assert_int_equal(t.v.action, VERDICT_ALLOW);
        t = arriving(g, p, (enum channel)c, true);
        assert_int_equal(t.v.action, VERDICT_ALLOW);
        assert_true(t.released > 60);
    }
    fail_no_more();
    policy_free(p);
    guard_close(g);
}

/* And shadows alone stop nobody. */
static void test_shadows(void **state) {
    struct policy *p = policy_of("block, shadow: true");

    (void)state;
    for (int how = 0; how < FAILURES; how++) {
        struct guard *g = guard_for((enum failure)how);
        struct told t;

        (void)fail_by((enum failure)how);
        t = whole(g, p, CHANNEL_INPUT);
        assert_int_equal(t.v.action, VERDICT_ALLOW);
        fail_no_more();
        (void)fail_by((enum failure)how);
        t = arriving(g, p, CHANNEL_OUTPUT, true);
        assert_int_equal(t.v.action, VERDICT_ALLOW);
        assert_true(t.released > 60);
        fail_no_more();
        guard_close(g);
    }
    policy_free(p);
}

static int setup(void **state) {
    (void)state;
    return hash_init(NULL) ? 0 : -1;
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_matrix),
                                       cmocka_unit_test(test_no_failure),
                                       cmocka_unit_test(test_shadows)};

    return cmocka_run_group_tests(tests, setup, NULL);
}
