/* test_engine_prefix.c - what is computed once is not computed again: texts
 * that grow, conversations, judgements of a text that is being written. The
 * proof is in usage.cached_tokens. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include "tests/unit/answer.h"
#include "tests/unit/model_path.h"

enum { CHECKS = 6, EVERY = 20, SUFFIX = 5, PROMPT = 90 };

/* A text that is judged while it grows: at each checkpoint, on a fork. */
struct watch {
    struct engine *engine;
    int tokens[PROMPT + 512];
    int count;
    int next; /* tokens at the next checkpoint */
    int checks;
    int judged[CHECKS]; /* tokens */
    struct answer verdicts[CHECKS];
    bool done;
};

static void judge(struct watch *w) {
    int text[PROMPT + 512 + SUFFIX];

    memcpy(text, w->tokens, (size_t)w->count * sizeof *text);
    for (int i = 0; i < SUFFIX; i++) text[w->count + i] = 200 + i;
    w->judged[w->checks] = w->count;
    submit(w->engine, score(text, w->count + SUFFIX),
           &w->verdicts[w->checks++]);
    w->next = w->count + EVERY;
}

static void on_growth(void *user, const struct job_event *event) {
    struct watch *w = user;

    if (event->kind == JOB_TEXT) {
        memcpy(w->tokens + w->count, event->tokens,
               (size_t)event->token_count * sizeof(int));
        w->count += event->token_count;
        if (w->count >= w->next && w->checks < CHECKS) judge(w);
    }
    w->done |= event->kind == JOB_DONE;
}

/* Each verdict costs its own suffix and the token that was not yet computed:
 * all the rest is the text's own KV, whether it is still being written or
 * not. What it says is what a verdict on its own would say. */
static void test_judged_while_it_grows(void **state) {
    struct engine *e = open_tiny((struct engine_options){.kv_tokens = 1 << 13});
    static const struct token_bias no_end[] = {
        {257, -100}, {258, -100}, {259, -100}};
    static struct watch w;
    struct job job;

    (void)state;
    w = (struct watch){.engine = e, .count = PROMPT, .next = PROMPT + EVERY};
    fill(w.tokens, PROMPT, 77);
    job = generate(w.tokens, PROMPT, 300);
    job.sampling.temperature = 1;
    job.sampling.biases = no_end;
    job.sampling.bias_count = 3;
    job.on_event = on_growth;
    job.user = &w;
    assert_true(engine_submit(e, &job, NULL) != 0);
    while (!w.done) {
        (void)engine_wait(e, 100);
        engine_poll(e);
    }
    assert_int_equal(w.checks, CHECKS);
    wait_for(e, w.verdicts, CHECKS);
    for (int i = 0; i < CHECKS; i++) {
        struct engine *fresh_engine = open_tiny((struct engine_options){0});
        int text[PROMPT + 512 + SUFFIX];
        struct answer fresh;

        assert_in_range(w.verdicts[i].usage.cached_tokens, w.judged[i] - 1,
                        w.judged[i]);
        memcpy(text, w.tokens, (size_t)w.judged[i] * sizeof *text);
        for (int j = 0; j < SUFFIX; j++) text[w.judged[i] + j] = 200 + j;
        run_one(fresh_engine, score(text, w.judged[i] + SUFFIX), &fresh);
        assert_int_equal(fresh.usage.cached_tokens, 0);
        check_same(&w.verdicts[i], &fresh);
        answer_clear(&fresh);
        answer_clear(&w.verdicts[i]);
        engine_close(fresh_engine);
    }
    engine_close(e);
}

/* Two hundred turns: each computes what is new, and the last token of the
 * answer before, which nobody had to compute until now. */
static void test_conversation(void **state) {
    struct engine *e = open_tiny((struct engine_options){.kv_tokens = 1 << 13});
    int tokens[512], count = 0;

    (void)state;
    for (int turn = 0; turn < 200; turn++) {
        struct answer a;
        struct job job;

        fill(tokens + count++, 1, (unsigned)turn);
        job = generate(tokens, count, 1);
        job.sampling.biases = &(struct token_bias){70, 100};
        job.sampling.bias_count = 1;
        run_one(e, job, &a);
        assert_int_equal(a.tokens.count, 1);
        if (turn > 0)
            assert_int_equal(a.usage.cached_tokens, a.usage.prompt_tokens - 2);
        tokens[count++] = a.tokens.at[0];
        answer_clear(&a);
    }
    engine_close(e);
}

/* Many policies before many texts, in a cache that holds only some of them:
 * who comes often stays, who does not come is forgotten. */
static void test_least_recently_used(void **state) {
    struct engine *e = open_tiny(
        (struct engine_options){.kv_tokens = 1024, .context_tokens = 512});
    int tokens[240];
    struct answer a;

    (void)state;
    for (unsigned i = 0; i < 20; i++) {
        fill(tokens, 200, 1); /* the one that always comes */
        fill(tokens + 200, 40, 100 + i);
        run_one(e, score(tokens, 240), &a);
        if (i > 0) assert_in_range(a.usage.cached_tokens, 200, 210);
        answer_clear(&a);
        fill(tokens, 240, 1000 + i); /* one that never comes again */
        run_one(e, score(tokens, 240), &a);
        assert_in_range(a.usage.cached_tokens, 0, 2);
        answer_clear(&a);
    }
    fill(tokens, 240, 1000);
    run_one(e, score(tokens, 240), &a);
    assert_in_range(a.usage.cached_tokens, 0, 2);
    answer_clear(&a);
    engine_close(e);
}

/* An adapter that is activated at the end of a text rides on what the main
 * model has computed of it; one that applies from the start does not. */
static void test_activated_adapter(void **state) {
    struct engine_options o = {.model_path = model_path(),
                               .context_tokens = 1024};
    struct err err = {0};
    struct engine *e = engine_open(&o, &err);
    int tokens[320], adapter;
    struct answer said, first, second;
    struct job job;

    (void)state;
    if (!e) fail_msg("%s", err.text);
    if (!engine_adapter_add(e, "guard/models/guard-activated.gguf", &adapter,
                            &err))
        fail_msg("%s", err.text);
    fill(tokens, 320, 6);
    run_one(e, generate(tokens, 200, 30), &said);
    memcpy(tokens + 200, said.tokens.at, said.tokens.count * sizeof(int));
    job = (struct job){.kind = JOB_SCORE,
                       .tokens = tokens,
                       .token_count = 200 + (int)said.tokens.count + 8,
                       .adapter = adapter,
                       .active_from = 200 + (int)said.tokens.count};
    assert_in_range(engine_adapter_labels(e, adapter), 1, 16);
    run_one(e, job, &first);
    assert_in_range(first.usage.cached_tokens, job.active_from - 1,
                    job.active_from);
    job.active_from = 0;
    run_one(e, job, &second);
    assert_int_equal(second.usage.cached_tokens, 0);
    answer_clear(&said);
    answer_clear(&first);
    answer_clear(&second);
    engine_close(e);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_judged_while_it_grows),
        cmocka_unit_test(test_conversation),
        cmocka_unit_test(test_least_recently_used),
        cmocka_unit_test(test_activated_adapter),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
