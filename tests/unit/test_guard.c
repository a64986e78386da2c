/* test_guard.c - whole texts to one verdict: which scores count at which level,
 * conversations, failures, and callbacks that do what they like. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/hash.h"
#include "guard/scores.h"
#include "tests/unit/fake_classifier.h"

static struct guard *guard;
static struct policy *policy;

static const char checks[] =
    "  - {id: hazards, use: classifier, on: [input, output], "
    "categories: {all: balanced, S6: off, INJ: off}, action: block}\n"
    "  - {id: advice, use: classifier, on: [input], "
    "categories: {S6: balanced}, action: flag}\n"
    "  - {id: injection, use: classifier, on: [input, tool_result], "
    "categories: {INJ: balanced}, action: block}\n"
    "  - {id: words, use: rules, on: [input, output, document], "
    "any: [\"plutonium\"], action: block}\n"
    "  - {id: people, use: entities, on: [input], kinds: [email], "
    "action: redact}\n";

static struct policy *policy_of(const char *head, const char *body) {
    char path[] = "/tmp/test_guard_XXXXXX";
    struct err err = {0};
    struct policy *p;
    FILE *f = fdopen(mkstemp(path), "w");

    assert_non_null(f);
    fprintf(f, "policy: test\n%s\nchecks:\n%s", head, body);
    assert_int_equal(fclose(f), 0);
    p = policy_open(path, &err);
    unlink(path);
    if (!p) fail_msg("%s", err.text);
    return p;
}

/* ---- one check ---- */

struct result {
    int told;
    struct verdict v;
    struct guard_check *check;
    bool cancel_inside;
};

static void on_verdict(void *user, const struct verdict *v) {
    struct result *r = user;

    r->told++;
    r->v = *v;
    if (r->cancel_inside) guard_check_cancel(r->check);
}

static void start(struct result *r, const struct policy *p,
                  enum channel channel, const struct guard_turn *turns,
                  int count) {
    struct guard_item items[8];
    struct guard_request request = {.policy = p,
                                    .items = items,
                                    .item_count = count,
                                    .turns = turns,
                                    .turn_count = count,
                                    .channel = channel};

    for (int i = 0; i < count; i++)
        items[i] = (struct guard_item){channel, turns[i].text};
    r->check = guard_check_start(guard, &request, on_verdict, r);
}

static struct verdict judge(const struct policy *p, enum channel channel,
                            const struct guard_turn *turns, int count) {
    struct result r = {.told = 0};

    start(&r, p, channel, turns, count);
    assert_true(r.told == (r.check == NULL));
    while (fake_poll()) continue;
    assert_int_equal(r.told, 1);
    assert_int_equal(fake.alive, 0);
    return r.v;
}

static struct verdict judge_text(const struct policy *p, enum channel channel,
                                 const char *text) {
    struct guard_turn turn = {GUARD_USER, span_of(text)};

    return judge(p, channel, &turn, 1);
}

static bool found(const struct verdict *v, const char *check,
                  const char *category) {
    for (int i = 0; i < v->finding_count; i++)
        if (!strcmp(v->findings[i].check, check) &&
            !strcmp(v->findings[i].category, category))
            return true;
    return false;
}

/* ---- scores ---- */

static struct verdict apply(const char *categories, const float *scores) {
    char body[512];
    struct verdict v;
    struct policy *p;

    (void)snprintf(body, sizeof body,
                   "  - {id: c, use: classifier, on: [input], "
                   "categories: {%s}, action: block}\n",
                   categories);
    p = policy_of("", body);
    verdict_begin(&v, "r");
    scores_apply(guard, p, CHANNEL_INPUT, GUARD_MODEL_FULL, scores, &v);
    /* Findings name the check, which goes with the policy. */
    for (int i = 0; i < v.finding_count; i++) {
        assert_string_equal(v.findings[i].check, "c");
        v.findings[i].check = "c";
    }
    policy_free(p);
    return v;
}

/* Thresholds of the fake: overall 0.5 0.7 0.95, a category's own 0.25 0.6 0.9.
 */
static void check_scores(const char *categories, float unsafe, int category,
                         float own, bool blocks) {
    float scores[LABEL_COUNT] = {0};
    struct verdict v;

    scores[LABEL_UNSAFE] = unsafe;
    scores[category] = own;
    v = apply(categories, scores);
    assert_true(v.classified);
    assert_memory_equal(v.score, scores, sizeof scores);
    if ((v.action == VERDICT_BLOCK) != blocks || v.finding_count != blocks)
        fail_msg("{%s} unsafe %.2f, %s %.2f: %s with %d findings", categories,
                 (double)unsafe, label_name(category), (double)own,
                 verdict_action_name(v.action), v.finding_count);
    if (blocks) {
        assert_string_equal(v.findings[0].category, label_name(category));
        assert_true(v.findings[0].score >= own);
        assert_int_equal(v.findings[0].item, -1);
    }
}

static void test_levels(void **state) {
    (void)state;
    check_scores("all: balanced", 0.71f, 2, 0.1f, true);
    check_scores("all: balanced", 0.69f, 2, 0.1f, false);
    check_scores("all: strict", 0.51f, 2, 0.1f, true);
    check_scores("all: loose", 0.94f, 2, 0.1f, false);
    check_scores("all: balanced", 0.1f, 2, 0.61f, true); /* its own */
    check_scores("all: balanced", 0.1f, 2, 0.59f, false);
    /* The overall probability counts at the likeliest category's level. */
    check_scores("all: balanced, S6: off", 0.99f, 6, 0.5f, false);
    check_scores("all: balanced, S6: loose", 0.90f, 6, 0.5f, false);
    check_scores("all: balanced, S6: loose", 0.96f, 6, 0.5f, true);
    check_scores("all: loose, S4: strict", 0.55f, 4, 0.1f, true);
    check_scores("all: loose, S4: strict", 0.55f, 5, 0.1f, false);
    /* An injection is no hazard, and a hazard no injection. */
    check_scores("INJ: balanced", 0.1f, LABEL_INJ, 0.61f, true);
    check_scores("INJ: balanced", 0.1f, LABEL_INJ, 0.59f, false);
    check_scores("INJ: balanced", 0.99f, LABEL_INJ, 0.1f, false);
    check_scores("all: balanced, INJ: off", 0.1f, LABEL_INJ, 0.99f, false);
}

static void test_several_categories(void **state) {
    float scores[LABEL_COUNT] = {0.8f};
    struct verdict v;

    (void)state;
    scores[1] = 0.3f;
    scores[9] = 0.7f;
    scores[14] = 0.65f;
    scores[LABEL_INJ] = 0.9f;
    v = apply("all: balanced", scores);
    assert_int_equal(v.finding_count, 3);
    assert_true(found(&v, "c", "S9") && found(&v, "c", "S14"));
    assert_true(found(&v, "c", "INJ"));
    assert_false(found(&v, "c", "S1"));
}

/* ---- one text ---- */

static void test_texts(void **state) {
    struct verdict v;

    (void)state;
    v = judge_text(policy, CHANNEL_INPUT, "Hello there");
    assert_int_equal(v.action, VERDICT_ALLOW);
    assert_int_equal(v.cause, VERDICT_CAUSE_POLICY);
    assert_true(v.classified);
    v = judge_text(policy, CHANNEL_INPUT, "BAD");
    assert_int_equal(v.action, VERDICT_BLOCK);
    assert_true(found(&v, "hazards", "S2"));
    v = judge_text(policy, CHANNEL_INPUT, "ADV");
    assert_int_equal(v.action, VERDICT_FLAG);
    assert_true(found(&v, "advice", "S6"));
    v = judge_text(policy, CHANNEL_INPUT, "INJ");
    assert_int_equal(v.action, VERDICT_BLOCK);
    assert_true(found(&v, "injection", "INJ"));
    v = judge_text(policy, CHANNEL_INPUT, "I am jane@example.org");
    assert_int_equal(v.action, VERDICT_REDACT);
    v = judge_text(policy, CHANNEL_TOOL_RESULT, "BAD, but a tool's");
    assert_int_equal(v.action, VERDICT_ALLOW);
    v = judge_text(policy, CHANNEL_TOOL_RESULT, "INJ");
    assert_int_equal(v.action, VERDICT_BLOCK);
}

/* Whoever runs the application may give orders, but no harmful ones. */
static void check_operator(const char *text, enum verdict_action expected) {
    struct guard_turn turn = {GUARD_USER, span_of(text)};
    struct guard_request request = {.policy = policy,
                                    .turns = &turn,
                                    .turn_count = 1,
                                    .channel = CHANNEL_INPUT,
                                    .operator_text = true};
    struct result r = {.told = 0};

    r.check = guard_check_start(guard, &request, on_verdict, &r);
    while (fake_poll()) continue;
    assert_int_equal(r.told, 1);
    assert_int_equal(r.v.action, expected);
}

/* A passage that is sure of itself condemns its text; a doubtful one, which
 * would be blocked alone, does not, nor does one in an answer. */
static void test_passage(void **state) {
    struct guard_turn turns[] = {{GUARD_USER, span_of("a [SURE] thing")},
                                 {GUARD_ASSISTANT, span_of("a [SURE] thing")}};
    struct verdict v = judge(policy, CHANNEL_INPUT, turns, 1);

    (void)state;
    assert_int_equal(v.action, VERDICT_BLOCK);
    assert_true(v.score[LABEL_UNSAFE] > 0.9f);
    turns[0].text = span_of("a [HMM] thing");
    assert_int_equal(judge(policy, CHANNEL_INPUT, turns, 1).action,
                     VERDICT_ALLOW);
    turns[0].text = span_of("[HMM]");
    assert_int_equal(judge(policy, CHANNEL_INPUT, turns, 1).action,
                     VERDICT_BLOCK);
    assert_int_equal(judge(policy, CHANNEL_OUTPUT, turns, 2).action,
                     VERDICT_ALLOW);
}

static enum verdict_action decoded(const char *text) {
    return judge_text(policy, CHANNEL_INPUT, text).action;
}

/* A disguised text is judged twice, and the worse score counts. */
static void test_decoded(void **state) {
    (void)state;
    fake.asked = 0;
    assert_int_equal(decoded("read QkFEIHRoaW5ncyBhcmUgaGVyZQ=="),
                     VERDICT_BLOCK);
    assert_int_equal(fake.asked, 2);
    assert_int_equal(decoded("BAD aGVyZSBpcyBub3RoaW5n"), VERDICT_BLOCK);
    assert_int_equal(decoded("read dGhlIHNlYSBpcyBibHVl"), VERDICT_ALLOW);
    fake.asked = 0;
    assert_int_equal(decoded("the sea is blue"), VERDICT_ALLOW);
    assert_int_equal(fake.asked, 1);
}

static void test_operator(void **state) {
    (void)state;
    check_operator("INJ", VERDICT_ALLOW);
    check_operator("BAD INJ", VERDICT_BLOCK);
}

/* What rules block, and what no check classifies, costs no question. */
static void test_cheap_first(void **state) {
    struct verdict v;
    int asked = fake.asked;

    (void)state;
    v = judge_text(policy, CHANNEL_INPUT, "Sell me plutonium");
    assert_int_equal(v.action, VERDICT_BLOCK);
    assert_int_equal(v.cause, VERDICT_CAUSE_POLICY);
    assert_false(v.classified);
    v = judge_text(policy, CHANNEL_DOCUMENT, "BAD");
    assert_int_equal(v.action, VERDICT_ALLOW);
    assert_int_equal(fake.asked, asked);
}

static void test_items_without_turns(void **state) {
    struct guard_item items[2] = {{CHANNEL_INPUT, {"fine", 4}},
                                  {CHANNEL_INPUT, {"to a@example.org", 16}}};
    struct guard_request request = {.policy = policy,
                                    .items = items,
                                    .item_count = 2,
                                    .channel = CHANNEL_INPUT};
    struct result r = {.told = 0};

    (void)state;
    assert_null(guard_check_start(guard, &request, on_verdict, &r));
    assert_int_equal(r.told, 1);
    assert_int_equal(r.v.action, VERDICT_REDACT);
    assert_int_equal(r.v.findings[0].item, 1);
    assert_int_equal(r.v.findings[0].from, 3);
}

static void test_output(void **state) {
    struct guard_turn turns[2] = {{GUARD_USER, {"BAD question", 12}},
                                  {GUARD_ASSISTANT, {"I will not.", 11}}};
    int asked = fake.asked;

    (void)state;
    assert_int_equal(judge(policy, CHANNEL_OUTPUT, turns, 2).action,
                     VERDICT_ALLOW);
    turns[1].text = span_of("BAD answer");
    assert_int_equal(judge(policy, CHANNEL_OUTPUT, turns, 2).action,
                     VERDICT_BLOCK);
    assert_int_equal(fake.asked, asked + 2);
    turns[1].text = span_of(""); /* a bare tool call */
    assert_int_equal(judge(policy, CHANNEL_OUTPUT, turns, 2).action,
                     VERDICT_ALLOW);
    assert_int_equal(fake.asked, asked + 2);
}

/* ---- conversations ---- */

/* Texts alternate between user and agent unless they begin with '+', which is
 * one more user turn. The last is a user's. */
static void check_conversation(const char *name, enum verdict_action action,
                               int questions, const char *const *texts) {
    struct guard_turn turns[8];
    enum guard_role role = GUARD_USER;
    struct guard_item item = {CHANNEL_INPUT, {NULL, 0}};
    struct guard_request request = {.policy = policy,
                                    .items = &item,
                                    .item_count = 1,
                                    .turns = turns,
                                    .channel = CHANNEL_INPUT};
    struct result r = {.told = 0};
    int count = 0, asked = fake.asked;

    for (; texts[count]; count++) {
        if (texts[count][0] == '+') role = GUARD_USER;
        turns[count].role = role;
        turns[count].text = span_of(texts[count] + (texts[count][0] == '+'));
        role = role == GUARD_USER ? GUARD_ASSISTANT : GUARD_USER;
    }
    request.turn_count = count;
    (void)guard_check_start(guard, &request, on_verdict, &r);
    while (fake_poll()) continue;
    assert_int_equal(r.told, 1);
    assert_int_equal(fake.alive, 0);
    if (r.v.action != action || fake.asked - asked != questions)
        fail_msg("%s: %s after %d questions", name,
                 verdict_action_name(r.v.action), fake.asked - asked);
}

#define TURNS(...) ((const char *const[]){__VA_ARGS__, NULL})

static void test_conversations(void **state) {
    (void)state;
    check_conversation("first turn", VERDICT_ALLOW, 1, TURNS("hello"));
    check_conversation("harmless", VERDICT_ALLOW, 2,
                       TURNS("hello", "hi", "how are you"));
    check_conversation("bad at last", VERDICT_BLOCK, 2,
                       TURNS("hello", "hi", "BAD"));
    check_conversation("split over two turns", VERDICT_BLOCK, 4,
                       TURNS("HALF1", "go on", "HALF2"));
    check_conversation("split over three", VERDICT_BLOCK, 5,
                       TURNS("HALF1", "go on", "well", "yes", "HALF2"));
    check_conversation("split without an answer", VERDICT_BLOCK, 3,
                       TURNS("HALF1", "+HALF2"));
    check_conversation("an old refused turn", VERDICT_ALLOW, 4,
                       TURNS("BAD", "I will not.", "hello"));
    check_conversation("refused long ago", VERDICT_ALLOW, 5,
                       TURNS("BAD", "I will not.", "sorry", "fine", "hello"));
    check_conversation("too old to be read", VERDICT_ALLOW, 2,
                       TURNS("BAD", "no", "a", "b", "c", "d", "e"));
    check_conversation("an old turn that was answered", VERDICT_BLOCK, 4,
                       TURNS("BAD", "here is how: BAD", "go on"));
    /* An answer since then that is harmless by itself makes it no refusal. */
    check_conversation(
        "an older turn that was answered", VERDICT_BLOCK, 5,
        TURNS("BAD", "here is how: BAD", "at home", "I see", "go on"));
    check_conversation("an older turn without an answer", VERDICT_BLOCK, 4,
                       TURNS("BAD", "+at home", "I see", "go on"));
    check_conversation("an old turn without an answer", VERDICT_BLOCK, 3,
                       TURNS("BAD", "+hello"));
    check_conversation("behind a greeting", VERDICT_ALLOW, 2,
                       TURNS("hello", "hi", ""));
    check_conversation("an empty turn behind a split", VERDICT_BLOCK, 3,
                       TURNS("HALF1", "+HALF2", "+"));
}

/* The joined form is the one that the training rows have. */
/* ---- long conversations ---- */

enum { LONG = 200, LONG_WORDS = 40 };

/* One request of a conversation whose turns are all alike and all different:
 * what it cost the guard. */
struct cost {
    uint64_t scanned, scanned_bytes;
    size_t judged_bytes; /* by the classifier */
    int judged;
};

static void put_turn(struct bytes *out, int number) {
    out->size = 0;
    for (int i = 0; i < LONG_WORDS; i++)
        assert_true(bytes_printf(out, NULL, "word%03d ", number));
}

static struct cost cost_of_turn(const struct policy *p,
                                const struct guard_turn *turns, int count) {
    struct guard_item items[2 * LONG];
    struct guard_request request = {.policy = p,
                                    .items = items,
                                    .item_count = count,
                                    .turns = turns,
                                    .turn_count = count,
                                    .channel = CHANNEL_INPUT};
    struct result r = {.told = 0};
    struct guard_stats before, after;
    struct cost cost = {0};
    int asked = fake.asked;

    for (int i = 0; i < count; i++)
        items[i] = (struct guard_item){CHANNEL_INPUT, turns[i].text};
    guard_stats(guard, &before);
    (void)guard_check_start(guard, &request, on_verdict, &r);
    while (fake_poll()) continue;
    guard_stats(guard, &after);
    assert_int_equal(r.told, 1);
    assert_int_equal(r.v.action, VERDICT_ALLOW);
    cost.scanned = after.scanned - before.scanned;
    cost.scanned_bytes = after.scanned_bytes - before.scanned_bytes;
    assert_int_equal(cost.scanned + after.remembered - before.remembered,
                     count);
    for (int i = asked; i < fake.asked; i++) cost.judged_bytes += fake.seen[i];
    cost.judged = fake.asked - asked;
    return cost;
}

/* The 200th turn of a conversation costs no more than half as much again as
 * the second one, although it brings a hundred times the text. */
static void test_long_conversation(void **state) {
    static struct guard_turn turns[2 * LONG];
    static struct bytes texts[2 * LONG];
    struct policy *same = policy_of("", checks);
    struct policy *other =
        policy_of("", "  - {id: words, use: rules, on: [input], any: "
                      "[\"uranium\"], action: block}\n");
    struct cost cost[LONG + 1];

    (void)state;
    for (int i = 0; i < 2 * LONG - 1; i++) {
        put_turn(&texts[i], i);
        turns[i] = (struct guard_turn){i % 2 ? GUARD_ASSISTANT : GUARD_USER,
                                       span_bytes(&texts[i])};
    }
    for (int turn = 1; turn <= LONG; turn++)
        cost[turn] = cost_of_turn(policy, turns, 2 * turn - 1);
    assert_int_equal(cost[2].scanned, 2); /* an answer and what came next */
    assert_int_equal(cost[LONG].scanned, 2);
    assert_int_equal(cost[LONG].scanned_bytes, cost[2].scanned_bytes);
    assert_int_equal(cost[LONG].judged, cost[2].judged);
    assert_true(2 * cost[LONG].judged_bytes <= 3 * cost[2].judged_bytes);
    /* The same policy read again knows it all, another one nothing. */
    assert_int_equal(cost_of_turn(same, turns, 2 * LONG - 1).scanned, 0);
    assert_int_equal(cost_of_turn(other, turns, 2 * LONG - 1).scanned,
                     2 * LONG - 1);
    policy_free(same);
    policy_free(other);
    for (int i = 0; i < 2 * LONG - 1; i++) bytes_free(&texts[i]);
}

/* What was found is found again, each time that it is sent. */
static void test_found_again(void **state) {
    struct guard_stats before, after;

    (void)state;
    guard_stats(guard, &before);
    for (int i = 0; i < 3; i++) {
        struct verdict v =
            judge_text(policy, CHANNEL_INPUT, "to bob@example.org");

        assert_int_equal(v.action, VERDICT_REDACT);
        assert_int_equal(v.finding_count, 1);
        assert_int_equal(judge_text(policy, CHANNEL_OUTPUT, "plutonium").action,
                         VERDICT_BLOCK);
    }
    guard_stats(guard, &after);
    assert_int_equal(after.scanned - before.scanned, 6);
    assert_int_equal(after.remembered, before.remembered);
}

static void test_joined_text(void **state) {
    struct guard_turn turns[5] = {{GUARD_USER, {"one", 3}},
                                  {GUARD_ASSISTANT, {"two", 3}},
                                  {GUARD_USER, {NULL, 0}},
                                  {GUARD_ASSISTANT, {"four", 4}},
                                  {GUARD_USER, {"five", 4}}};
    struct bytes is_long = {0};
    struct result r = {.told = 0};
    struct span joined;

    (void)state;
    turns[2].text = span_of("three");
    start(&r, policy, CHANNEL_INPUT, turns, 5);
    assert_int_equal(fake.count, 2);
    assert_true(span_is(span_bytes(&fake.jobs[0]->text), "five"));
    assert_true(span_is(span_bytes(&fake.jobs[1]->text),
                        "User: one\n\nAgent: two\n\nUser: three\n\n"
                        "Agent: four\n\nUser: five"));
    guard_check_cancel(r.check);
    /* A long earlier turn is cut, at a whole code point. */
    while (is_long.size < 4000) bytes_puts(&is_long, "\xe6\x97\xa5");
    turns[2].text = span_bytes(&is_long);
    start(&r, policy, CHANNEL_INPUT, turns + 2, 3);
    joined = span_bytes(&fake.jobs[1]->text);
    assert_int_equal(joined.size, strlen("User: ") + 1023 +
                                      strlen("\n\nAgent: four\n\nUser: five"));
    guard_check_cancel(r.check);
    assert_int_equal(fake.alive, 0);
    assert_int_equal(r.told, 0);
    bytes_free(&is_long);
}

/* ---- failures ---- */

static void check_unavailable(const struct verdict *v, enum err_code code) {
    assert_int_equal(v->action, VERDICT_BLOCK);
    assert_int_equal(v->cause, VERDICT_CAUSE_UNAVAILABLE);
    assert_int_equal(v->err.code, code);
}

static void test_failures(void **state) {
    struct guard_turn turns[3] = {{GUARD_USER, {"HALF1", 5}},
                                  {GUARD_ASSISTANT, {"hm", 2}},
                                  {GUARD_USER, {"HALF2", 5}}};
    struct verdict v;
    struct bytes text = {0};

    (void)state;
    fake.busy = true;
    v = judge_text(policy, CHANNEL_INPUT, "hello");
    check_unavailable(&v, ERR_BUSY);
    fake.busy = false;
    /* Whichever of the four questions fails. */
    for (int at = 1; at <= 4; at++) {
        fake.answered = 0;
        fake.fail_at = at;
        v = judge(policy, CHANNEL_INPUT, turns, 3);
        check_unavailable(&v, ERR_TIMEOUT);
    }
    fake.fail_at = 0;
    while (text.size < 40000) bytes_puts(&text, "word ");
    v = judge_text(policy, CHANNEL_INPUT, "hello");
    assert_int_equal(v.action, VERDICT_ALLOW);
    {
        struct guard_turn turn = {GUARD_USER, span_bytes(&text)};

        v = judge(policy, CHANNEL_INPUT, &turn, 1);
        check_unavailable(&v, ERR_LIMIT);
    }
    bytes_free(&text);
}

static void test_no_model(void **state) {
    struct guard_options none = {.engine = NULL};
    struct guard_options missing = {.model_folder = "/missing"};
    struct guard *kept = guard;
    struct err err = {0};
    struct verdict v;
    int x;

    (void)state;
    guard = guard_open(&none, &err);
    assert_null(guard_classifier(guard));
    v = judge_text(policy, CHANNEL_INPUT, "hello");
    check_unavailable(&v, ERR_UNAVAILABLE);
    v = judge_text(policy, CHANNEL_DOCUMENT, "hello");
    assert_int_equal(v.action, VERDICT_ALLOW);
    guard_close(guard);
    guard = kept;
    missing.engine = (struct engine *)(void *)&x;
    assert_null(guard_open(&missing, &err));
    assert_int_equal(err.code, ERR_NOT_FOUND);
}

/* A shadow records and never acts, not even by failing. */
static void test_shadow(void **state) {
    struct policy *p = policy_of("mode: shadow", checks);
    struct verdict v;

    (void)state;
    v = judge_text(p, CHANNEL_INPUT, "BAD plutonium");
    assert_int_equal(v.action, VERDICT_ALLOW);
    assert_true(found(&v, "hazards", "S2"));
    assert_true(found(&v, "words", ""));
    fake.busy = true;
    v = judge_text(p, CHANNEL_INPUT, "BAD plutonium");
    fake.busy = false;
    assert_int_equal(v.action, VERDICT_ALLOW);
    assert_true(found(&v, "words", ""));
    policy_free(p);
}

static void test_two_models(void **state) {
    struct policy *p = policy_of(
        "", "  - {id: a, use: classifier, on: [input], model: full, "
            "categories: {all: balanced}, action: flag}\n"
            "  - {id: b, use: classifier, on: [input], model: activated, "
            "categories: {all: balanced}, action: block}\n");
    struct verdict v;
    int asked = fake.asked;

    (void)state;
    v = judge_text(p, CHANNEL_INPUT, "BAD");
    assert_int_equal(fake.asked, asked + 2);
    assert_int_equal(v.action, VERDICT_BLOCK);
    assert_true(found(&v, "a", "S2") && found(&v, "b", "S2"));
    policy_free(p);
}

static void test_deadline(void **state) {
    struct guard_turn turn = {GUARD_USER, {"hello", 5}};
    struct guard_request request = {.policy = policy,
                                    .turns = &turn,
                                    .turn_count = 1,
                                    .channel = CHANNEL_INPUT};
    struct result r = {.told = 0};
    uint64_t now = clock_ms();

    (void)state;
    r.check = guard_check_start(guard, &request, on_verdict, &r);
    assert_in_range(fake.jobs[0]->deadline_ms,
                    now + (uint64_t)policy_limits(policy)->guard_ms,
                    clock_ms() + (uint64_t)policy_limits(policy)->guard_ms);
    guard_check_cancel(r.check);
    request.deadline_ms = 12345;
    r.check = guard_check_start(guard, &request, on_verdict, &r);
    assert_int_equal(fake.jobs[0]->deadline_ms, 12345);
    guard_check_cancel(r.check);
    guard_check_cancel(NULL);
    assert_int_equal(r.told, 0);
    assert_int_equal(fake.alive, 0);
}

/* Whoever is told may still hold the check and cancel it. */
static void test_cancel_inside(void **state) {
    struct guard_turn turns[3] = {{GUARD_USER, {"hello", 5}},
                                  {GUARD_ASSISTANT, {"hi", 2}},
                                  {GUARD_USER, {"again", 5}}};

    (void)state;
    for (int fail = 0; fail < 2; fail++) {
        struct result r = {.cancel_inside = true};

        fake.answered = 0;
        fake.fail_at = fail;
        start(&r, policy, CHANNEL_INPUT, turns, 3);
        while (fake_poll()) continue;
        assert_int_equal(r.told, 1);
        assert_int_equal(fake.alive, 0);
    }
    fake.fail_at = 0;
}

static int setup(void **state) {
    (void)state;
    if (!hash_init(NULL)) return -1;
    guard = fake_guard(true);
    policy = policy_of("", checks);
    return 0;
}

static int teardown(void **state) {
    (void)state;
    policy_free(policy);
    guard_close(guard);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_levels),
        cmocka_unit_test(test_several_categories),
        cmocka_unit_test(test_texts),
        cmocka_unit_test(test_passage),
        cmocka_unit_test(test_decoded),
        cmocka_unit_test(test_operator),
        cmocka_unit_test(test_cheap_first),
        cmocka_unit_test(test_items_without_turns),
        cmocka_unit_test(test_output),
        cmocka_unit_test(test_conversations),
        cmocka_unit_test(test_long_conversation),
        cmocka_unit_test(test_found_again),
        cmocka_unit_test(test_joined_text),
        cmocka_unit_test(test_failures),
        cmocka_unit_test(test_no_model),
        cmocka_unit_test(test_shadow),
        cmocka_unit_test(test_two_models),
        cmocka_unit_test(test_deadline),
        cmocka_unit_test(test_cancel_inside),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
