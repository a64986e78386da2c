/* test_llamaguard.c - a small Llama Guard (tests/reference/llamaguard_model.py:
 * unsafe, S9, when "bomb" is in the conversation) as a peer of the guard. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "guard/llamaguard.h"
#include "guard/scores.h"
#include "guard/stream.h"

static const char model[] = "tests/unit/data/llamaguard.gguf";
static struct engine *engine;

static int open_engine(void **state) {
    struct engine_options o = {.model_path = model, .threads = 1};

    (void)state;
    engine = engine_open(&o, NULL);
    return engine ? 0 : -1;
}

static int close_engine(void **state) {
    (void)state;
    engine_close(engine);
    return 0;
}

struct answer {
    int told;
    bool ok;
    float scores[PEER_SCORES];
    struct err err;
};

static void on_answer(void *user, const float *scores, const struct err *err) {
    struct answer *a = user;

    a->told++;
    a->ok = scores != NULL;
    if (scores)
        memcpy(a->scores, scores, sizeof a->scores);
    else
        a->err = *err;
}

static void poll_until(const int *told) {
    for (int i = 0; i < 10000 && !*told; i++) {
        (void)engine_wait(engine, 100);
        (void)engine_poll(engine);
    }
    assert_int_equal(*told, 1);
}

static struct answer ask(struct llamaguard *g, struct peer_request *r) {
    const struct peer *p = llamaguard_peer(g);
    struct answer a = {0};

    if (!p->ask(p->self, r, on_answer, &a, &a.err)) return a;
    assert_int_equal(a.told, 0);
    poll_until(&a.told);
    return a;
}

static struct answer ask_text(enum llamaguard_format f, const char *text) {
    struct llamaguard *g = llamaguard_open(engine, f, NULL);
    struct guard_turn turn = {GUARD_USER, span_of(text)};
    struct peer_request r = {.turns = &turn, .turn_count = 1};
    struct answer a;

    assert_non_null(g);
    a = ask(g, &r);
    llamaguard_close(g);
    return a;
}

static void test_answers(void **state) {
    static const enum llamaguard_format all[] = {LLAMAGUARD_2, LLAMAGUARD_3,
                                                 LLAMAGUARD_3_1B, LLAMAGUARD_4};

    (void)state;
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        struct answer bad = ask_text(all[i], "How do I build a bomb?");
        struct answer good = ask_text(all[i], "How do I build a shed?");
        /* S9 is Hate in the second, Weapons since. */
        int named = all[i] == LLAMAGUARD_2 ? 10 : 9;

        assert_true(bad.ok && good.ok);
        assert_true(bad.scores[LABEL_UNSAFE] > 0.75f);
        assert_true(good.scores[LABEL_UNSAFE] < 0.25f);
        for (int l = LABEL_S1; l < PEER_SCORES; l++) {
            assert_true(good.scores[l] == 0);
            assert_true(bad.scores[l] ==
                        (l == named ? bad.scores[LABEL_UNSAFE] : 0));
        }
    }
}

/* What the engine says of the two words, asked without llamaguard.c. */
struct raw {
    int done;
    float scores[2];
};

static void on_raw(void *user, const struct job_event *event) {
    struct raw *raw = user;

    if (event->kind == JOB_SCORES)
        memcpy(raw->scores, event->scores, sizeof raw->scores);
    if (event->kind == JOB_DONE) raw->done = 1;
}

static void test_first_token(void **state) {
    struct guard_turn turns[3] = {{GUARD_USER, span_of("Hello")},
                                  {GUARD_ASSISTANT, span_of("Good day.")},
                                  {GUARD_USER, span_of("a bomb shelter")}};
    struct llamaguard_prompt p = {
        .format = LLAMAGUARD_3, .turns = turns, .turn_count = 3};
    struct peer_request r = {.turns = turns, .turn_count = 3};
    struct llamaguard *g = llamaguard_open(engine, LLAMAGUARD_3, NULL);
    const struct tokenizer *t = engine_tokenizer(engine);
    struct tokens prompt = {0}, words = {0};
    struct job order = {.kind = JOB_SCORE,
                        .sampling = SAMPLING_GREEDY,
                        .label_count = 2,
                        .on_event = on_raw};
    struct raw raw = {0};
    struct answer a;

    (void)state;
    assert_non_null(g);
    assert_true(llamaguard_tokens(&p, t, &prompt, NULL));
    assert_true(tokenizer_encode(t, span_of("safe"), &words, NULL));
    assert_true(tokenizer_encode(t, span_of("unsafe"), &words, NULL));
    assert_int_equal(words.count, 2);
    order.tokens = prompt.at;
    order.token_count = (int)prompt.count;
    order.labels = words.at;
    order.user = &raw;
    assert_int_not_equal(engine_submit(engine, &order, NULL), 0);
    poll_until(&raw.done);
    a = ask(g, &r);
    assert_true(a.ok);
    assert_float_equal(a.scores[LABEL_UNSAFE],
                       1 / (1 + expf(raw.scores[0] - raw.scores[1])), 1e-6);
    tokens_free(&prompt);
    tokens_free(&words);
    llamaguard_close(g);
}

/* The word that matters, anywhere in a text far past the context. */
static void test_windows(void **state) {
    struct llamaguard *g = llamaguard_open(engine, LLAMAGUARD_3, NULL);
    struct bytes text = {0};
    struct guard_turn turn = {.role = GUARD_USER};
    struct peer_request r = {.turns = &turn, .turn_count = 1};
    struct answer a;

    (void)state;
    assert_non_null(g);
    while (text.size < 12000) bytes_puts(&text, "g\xC3\xBCt <| ");
    turn.text = span_bytes(&text);
    a = ask(g, &r);
    assert_true(a.ok);
    assert_true(a.scores[LABEL_UNSAFE] < 0.5f);
    for (size_t at = 0; at + 9 <= text.size; at += 9 * 331) {
        struct bytes bad = {0};

        bytes_put(&bad, span_slice(turn.text, 0, at));
        for (int i = 0; i < 8; i++) bytes_puts(&bad, " bomb ");
        bytes_put(&bad, span_slice(span_bytes(&text), at, text.size));
        turn.text = span_bytes(&bad);
        a = ask(g, &r);
        assert_true(a.ok);
        assert_true(a.scores[LABEL_UNSAFE] > 0.5f);
        turn.text = span_bytes(&text);
        bytes_free(&bad);
    }
    r.tokens_max = 1000;
    a = ask(g, &r);
    assert_false(a.ok);
    assert_int_equal(a.err.code, ERR_LIMIT);
    /* Bytes that no character begins with are cut anywhere. */
    r.tokens_max = 0;
    text.size = 0;
    while (text.size < 12000)
        bytes_puts(&text, text.size == 9000 ? " bomb  bomb  bomb " : "\x80");
    turn.text = span_bytes(&text);
    a = ask(g, &r);
    assert_true(a.ok);
    assert_true(a.scores[LABEL_UNSAFE] > 0.5f);
    bytes_free(&text);
    llamaguard_close(g);
}

static void test_custom(void **state) {
    static const struct llamaguard_category own[2] = {{"Prices", "Do not."},
                                                      {"Rivals", NULL}};
    struct llamaguard *g = llamaguard_open(engine, LLAMAGUARD_3_1B, NULL);
    struct guard_turn turn = {GUARD_USER, span_of("a bomb")};
    struct peer_request r = {
        .turns = &turn, .turn_count = 1, .custom = own, .custom_count = 2};
    struct answer a;

    (void)state;
    assert_non_null(g);
    a = ask(g, &r);
    assert_true(a.ok);
    assert_true(a.scores[LABEL_S1 + 8] > 0.5f);
    llamaguard_close(g);
}

static void test_trouble(void **state) {
    struct llamaguard *g = llamaguard_open(engine, LLAMAGUARD_3, NULL);
    struct guard_turn turn = {GUARD_USER, span_of("a bomb")};
    struct peer_request r = {.turns = &turn, .turn_count = 1, .deadline_ms = 1};
    const struct peer *p;
    struct answer a = {0};
    void *job;

    (void)state;
    assert_non_null(g);
    p = llamaguard_peer(g);
    a = ask(g, &r);
    assert_false(a.ok);
    assert_int_equal(a.err.code, ERR_TIMEOUT);
    a = (struct answer){0};
    r.deadline_ms = 0;
    job = p->ask(p->self, &r, on_answer, &a, NULL);
    assert_non_null(job);
    p->cancel(job);
    (void)engine_wait(engine, 50);
    (void)engine_poll(engine);
    assert_int_equal(a.told, 0);
    llamaguard_close(g);
}

static void test_wrong_model(void **state) {
    struct engine_options o = {.model_path = "tests/unit/data/tiny.gguf",
                               .threads = 1};
    struct engine *other = engine_open(&o, NULL);
    struct err err = {0};

    (void)state;
    assert_non_null(other);
    assert_null(llamaguard_open(other, LLAMAGUARD_3, &err));
    assert_int_equal(err.code, ERR_UNSUPPORTED);
    assert_null(llamaguard_open(other, LLAMAGUARD_2, &err));
    assert_int_equal(err.code, ERR_LIMIT); /* 512 positions */
    engine_close(other);
}

/* ---- in the guard ---- */

static struct policy *policy_of(const char *checks) {
    char path[] = "/tmp/corral-llamaguard-XXXXXX";
    int fd = mkstemp(path);
    struct err err = {0};
    struct policy *p;
    FILE *f;

    assert_true(fd >= 0);
    f = fdopen(fd, "w");
    assert_non_null(f);
    (void)fprintf(f, "policy: p\nchecks:\n%s", checks);
    assert_int_equal(fclose(f), 0);
    p = policy_open(path, &err);
    if (!p) fail_msg("%s", err.text);
    (void)unlink(path);
    return p;
}

struct outcome {
    int told;
    struct verdict v;
    char category[16];
    struct bytes released;
};

static void on_verdict(void *user, const struct verdict *v) {
    struct outcome *o = user;

    o->told++;
    o->v = *v;
    if (v->finding_count)
        (void)snprintf(o->category, sizeof o->category, "%s",
                       v->findings[0].category);
}

static void on_release(void *user, struct span text) {
    bytes_put(&((struct outcome *)user)->released, text);
}

static const char hazards[] =
    "  - {id: c, use: classifier, on: [input, output], categories: {all: "
    "balanced, INJ: off}, action: block}\n";

static void check_text(struct guard *g, const struct policy *p,
                       const char *text, enum verdict_action want,
                       const char *category) {
    struct guard_turn turn = {GUARD_USER, span_of(text)};
    struct guard_item item = {CHANNEL_INPUT, span_of(text)};
    struct guard_request r = {.policy = p,
                              .items = &item,
                              .item_count = 1,
                              .turns = &turn,
                              .turn_count = 1,
                              .channel = CHANNEL_INPUT,
                              .deadline_ms = clock_ms() + 60000};
    struct outcome o = {0};

    (void)guard_check_start(g, &r, on_verdict, &o);
    if (!o.told) poll_until(&o.told);
    assert_int_equal(o.v.action, want);
    assert_string_equal(o.category, category);
}

static void test_guard_check(void **state) {
    struct llamaguard *lg = llamaguard_open(engine, LLAMAGUARD_3, NULL);
    struct guard_options options = {.peer = llamaguard_peer(lg)};
    struct guard *g = guard_open(&options, NULL);
    struct policy *p = policy_of(hazards);
    struct policy *off = policy_of(
        "  - {id: c, use: classifier, on: [input], categories: {all: balanced, "
        "S9: off, INJ: off}, action: block}\n");

    (void)state;
    assert_non_null(g);
    check_text(g, p, "Where can I buy a bomb?", VERDICT_BLOCK, "S9");
    check_text(g, p, "Where can I buy bread?", VERDICT_ALLOW, "");
    check_text(g, off, "Where can I buy a bomb?", VERDICT_ALLOW, "");
    policy_free(p);
    policy_free(off);
    guard_close(g);
    llamaguard_close(lg);
}

/* Without the built-in model there is nobody who knows INJ. */
static void test_guard_injection(void **state) {
    struct llamaguard *lg = llamaguard_open(engine, LLAMAGUARD_3, NULL);
    struct guard_options options = {.peer = llamaguard_peer(lg)};
    struct guard *g = guard_open(&options, NULL);
    struct policy *p =
        policy_of("  - {id: c, use: classifier, on: [input], categories: {all: "
                  "balanced}, action: block}\n");

    (void)state;
    assert_non_null(g);
    check_text(g, p, "Where can I buy bread?", VERDICT_BLOCK, "");
    policy_free(p);
    guard_close(g);
    llamaguard_close(lg);
}

/* The codes go on behind the model's own, through all checks of a policy. The
 * small model only ever names S9: what it says of S15 is said here for it. */
static void test_guard_custom(void **state) {
    struct llamaguard *lg = llamaguard_open(engine, LLAMAGUARD_3, NULL);
    struct guard_options options = {.peer = llamaguard_peer(lg)}, none = {0};
    struct guard *g = guard_open(&options, NULL), *without;
    float scores[PEER_SCORES] = {[LABEL_UNSAFE] = 0.6f,
                                 [LABEL_COUNT + 1] = 0.6f};
    struct llamaguard_category own[LLAMAGUARD_CUSTOM_MAX];
    struct policy *p = policy_of(
        "  - {id: a, use: classifier, on: [input], categories: {S1: strict}, "
        "custom: [{name: Prices, text: No prices.}], action: block}\n"
        "  - {id: b, use: classifier, on: [input], categories: {S1: strict}, "
        "custom: [{name: Rivals}, {name: Plans, level: loose}], action: "
        "flag}\n");
    struct verdict v;
    struct err err = {0};

    (void)state;
    assert_non_null(g);
    assert_int_equal(peer_custom(p, own), 3);
    assert_string_equal(own[0].text, "No prices.");
    assert_string_equal(own[2].name, "Plans");
    assert_true(guard_fits(g, p, &err));
    without = guard_open(&none, NULL);
    assert_false(guard_fits(without, p, &err));
    assert_int_equal(err.code, ERR_INPUT);
    verdict_begin(&v, "r");
    scores_apply(g, p, CHANNEL_INPUT, GUARD_MODEL_PEER, scores, &v);
    assert_int_equal(v.finding_count, 1);
    assert_string_equal(v.findings[0].check, "b");
    assert_string_equal(v.findings[0].category, "Rivals");
    assert_int_equal(v.action, VERDICT_FLAG);
    scores[LABEL_COUNT + 2] = 0.6f; /* loose: not yet */
    scores[LABEL_COUNT] = 0.6f;
    verdict_begin(&v, "r");
    scores_apply(g, p, CHANNEL_INPUT, GUARD_MODEL_PEER, scores, &v);
    assert_int_equal(v.finding_count, 2);
    assert_int_equal(v.action, VERDICT_BLOCK);
    check_text(g, p, "Where can I buy bread?", VERDICT_ALLOW, "");
    policy_free(p);
    guard_close(without);
    guard_close(g);
    llamaguard_close(lg);
}

static void test_guard_stream(void **state) {
    static const char text[] =
        "Flour, water, salt and time are all that good bread needs, and then "
        "an oven that is hot enough. Some add a bomb. Then there is rye, and "
        "rye is another matter: it wants a sourdough and it wants patience.";
    struct llamaguard *lg = llamaguard_open(engine, LLAMAGUARD_3, NULL);
    struct guard_options options = {.peer = llamaguard_peer(lg)};
    struct guard *g = guard_open(&options, NULL);
    struct policy *p = policy_of(hazards);
    struct guard_turn asked = {GUARD_USER, span_of("How is bread made?")};
    struct bytes first = {0};

    (void)state;
    assert_non_null(g);
    for (size_t step = 1; step < 60; step += 23) {
        struct outcome o = {0};
        struct guard_stream_options so = {.policy = p,
                                          .channel = CHANNEL_OUTPUT,
                                          .turns = &asked,
                                          .turn_count = 1,
                                          .on_release = on_release,
                                          .on_verdict = on_verdict,
                                          .user = &o};
        struct guard_stream *s = guard_stream_new(g, &so);

        for (size_t at = 0; at < strlen(text); at += step)
            guard_stream_push(s, span_slice(span_of(text), at, at + step), NULL,
                              0);
        guard_stream_finish(s);
        poll_until(&o.told);
        guard_stream_free(s);
        assert_int_equal(o.v.action, VERDICT_BLOCK);
        assert_int_equal(o.v.cause, VERDICT_CAUSE_POLICY);
        assert_true(o.released.size > 0);
        assert_int_equal(span_find(span_bytes(&o.released), span_of("bomb")),
                         SIZE_MAX);
        if (!first.size) bytes_put(&first, span_bytes(&o.released));
        assert_true(span_equal(span_bytes(&first), span_bytes(&o.released)));
        bytes_free(&o.released);
    }
    bytes_free(&first);
    policy_free(p);
    guard_close(g);
    llamaguard_close(lg);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_answers),
        cmocka_unit_test(test_first_token),
        cmocka_unit_test(test_windows),
        cmocka_unit_test(test_custom),
        cmocka_unit_test(test_trouble),
        cmocka_unit_test(test_wrong_model),
        cmocka_unit_test(test_guard_check),
        cmocka_unit_test(test_guard_injection),
        cmocka_unit_test(test_guard_custom),
        cmocka_unit_test(test_guard_stream),
    };

    return cmocka_run_group_tests(tests, open_engine, close_engine);
}
