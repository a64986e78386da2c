/* test_weigh.c - the probabilities of answers are those of the model's own next
 * tokens, kept to the answers. Skipped where the model is not installed. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent/weigh.h"
#include "engine/engine.h"
#include "tests/unit/model_path.h"

struct world {
    struct engine *engine;
    struct tokens prompt;
    int end;
    double probabilities[WEIGH_ANSWERS_MAX];
    int count;
    int dones;
    struct weigh_usage usage;
    struct err err;
    float scores[4];
    bool scored;
};

static int open_model(void **state) {
    struct engine_options options = {.model_path = model_path(),
                                     .context_tokens = 512};
    struct world *w = xalloc(sizeof *w);
    struct err err = {0};

    *state = w;
    if (access(model_path(), R_OK) != 0) return 0;
    w->engine = engine_open(&options, &err);
    if (!w->engine) fail_msg("%s", err.text);
    w->end = tokenizer_eos(engine_tokenizer(w->engine));
    assert_true(tokenizer_encode(engine_tokenizer(w->engine),
                                 span_of("The capital of Italy is called"),
                                 &w->prompt, &err));
    return 0;
}

static int close_model(void **state) {
    struct world *w = *state;

    engine_close(w->engine);
    tokens_free(&w->prompt);
    free(w);
    return 0;
}

static struct world *world_of(void **state) {
    struct world *w = *state;

    if (!w->engine) skip();
    w->dones = 0;
    w->err = (struct err){0};
    return w;
}

static void on_done(void *user, const double *probabilities, int count,
                    const struct weigh_usage *usage, const struct err *err) {
    struct world *w = user;

    w->dones++;
    w->count = count;
    w->usage = *usage;
    if (err) w->err = *err;
    for (int i = 0; i < count; i++) w->probabilities[i] = probabilities[i];
}

static struct weigh *begin(struct world *w, const char *const *answers,
                           int count, struct err *err) {
    static struct span spans[WEIGH_ANSWERS_MAX + 1];
    struct weigh_options o = {.prompt = &w->prompt,
                              .end = w->end,
                              .answers = spans,
                              .answer_count = count};

    for (int i = 0; i < count; i++) spans[i] = span_of(answers[i]);
    return weigh_start(w->engine, &o, on_done, w, err);
}

static void run(struct world *w, const char *const *answers, int count) {
    struct err err = {0};

    if (!begin(w, answers, count, &err)) fail_msg("%s", err.text);
    assert_int_equal(w->dones, 0);
    while (!w->dones) {
        (void)engine_wait(w->engine, 1000);
        (void)engine_poll(w->engine);
    }
    assert_int_equal(w->err.code, ERR_NONE);
    assert_int_equal(w->count, count);
}

static void on_score(void *user, const struct job_event *event) {
    struct world *w = user;

    if (event->kind == JOB_SCORES)
        memcpy(w->scores, event->scores,
               (size_t)event->score_count * sizeof *w->scores);
    if (event->kind == JOB_DONE) w->scored = true;
}

/* How likely the first of some tokens is after the prompt and `said`. */
static double first_of(struct world *w, const struct tokens *said,
                       const int *labels, int count) {
    struct tokens tokens = {0};
    struct job job = {.kind = JOB_SCORE,
                      .labels = labels,
                      .label_count = count,
                      .on_event = on_score,
                      .user = w};
    double sum = 0;

    assert_true(tokens_append(&tokens, w->prompt.at, w->prompt.count, NULL));
    assert_true(tokens_append(&tokens, said->at, said->count, NULL));
    job.tokens = tokens.at;
    job.token_count = (int)tokens.count;
    w->scored = false;
    assert_true(engine_submit(w->engine, &job, NULL) != 0);
    while (!w->scored) {
        (void)engine_wait(w->engine, 1000);
        (void)engine_poll(w->engine);
    }
    tokens_free(&tokens);
    for (int i = 0; i < count; i++)
        sum += exp((double)w->scores[i] - (double)w->scores[0]);
    return 1 / sum;
}

static int one_token(struct world *w, const char *text) {
    struct tokens tokens = {0};
    int token;

    assert_true(tokenizer_encode(engine_tokenizer(w->engine), span_of(text),
                                 &tokens, NULL));
    assert_int_equal(tokens.count, 1);
    token = tokens.at[0];
    tokens_free(&tokens);
    return token;
}

static void test_tokens(void **state) {
    struct world *w = world_of(state);
    static const char *const answers[] = {" Rome", " Paris"};
    int labels[] = {one_token(w, " Rome"), one_token(w, " Paris")};
    struct tokens none = {0};
    double rome = first_of(w, &none, labels, 2);

    run(w, answers, 2);
    assert_true(fabs(w->probabilities[0] - rome) < 1e-6);
    assert_true(fabs(w->probabilities[1] - (1 - rome)) < 1e-6);
    assert_true(rome > 0.5);
    assert_int_equal(w->usage.prompt_tokens, (int)w->prompt.count);
}

/* One answer begins like another: what decides is the token after it. */
static void test_prefix(void **state) {
    struct world *w = world_of(state);
    static const char *const answers[] = {" Paris", " Rome the city", " Rome"};
    int labels[] = {one_token(w, " Rome"), one_token(w, " Paris")};
    int after[] = {one_token(w, " the"), w->end};
    struct tokens none = {0}, said = {0};
    double rome = first_of(w, &none, labels, 2), longer;

    assert_true(tokens_push(&said, labels[0], NULL));
    longer = first_of(w, &said, after, 2);
    tokens_free(&said);
    run(w, answers, 3);
    assert_true(fabs(w->probabilities[0] - (1 - rome)) < 1e-6);
    assert_true(fabs(w->probabilities[1] - rome * longer) < 1e-6);
    assert_true(fabs(w->probabilities[2] - rome * (1 - longer)) < 1e-6);
}

static void test_many(void **state) {
    struct world *w = world_of(state);
    static char texts[WEIGH_ANSWERS_MAX + 1][16];
    const char *answers[WEIGH_ANSWERS_MAX + 1];
    struct err err = {0};
    double sum = 0;

    for (int i = 0; i <= WEIGH_ANSWERS_MAX; i++) {
        (void)snprintf(texts[i], sizeof texts[i], " %d", i * 7);
        answers[i] = texts[i];
    }
    run(w, answers, WEIGH_ANSWERS_MAX);
    for (int i = 0; i < w->count; i++) {
        assert_true(w->probabilities[i] >= 0);
        sum += w->probabilities[i];
    }
    assert_true(fabs(sum - 1) < 1e-6);
    assert_null(begin(w, answers, WEIGH_ANSWERS_MAX + 1, &err));
    assert_int_equal(err.code, ERR_LIMIT);
}

static void test_one(void **state) {
    struct world *w = world_of(state);
    static const char *const answers[] = {" whatever"};

    run(w, answers, 1);
    assert_true(fabs(w->probabilities[0] - 1) < 1e-9);
}

static void test_refused(void **state) {
    struct world *w = world_of(state);
    static const char *const twice[] = {"a", "b", "a"};
    static const char *const empty[] = {"a", ""};
    struct err err = {0};

    assert_null(begin(w, twice, 3, &err));
    assert_int_equal(err.code, ERR_INPUT);
    assert_null(begin(w, empty, 2, &err));
    assert_int_equal(err.code, ERR_INPUT);
    assert_null(begin(w, empty, 0, &err));
    assert_int_equal(err.code, ERR_LIMIT);
    assert_int_equal(w->dones, 0);
}

static void test_cancel(void **state) {
    struct world *w = world_of(state);
    static const char *const answers[] = {" Rome", " Paris"};
    struct err err = {0};

    weigh_cancel(begin(w, answers, 2, &err));
    weigh_cancel(NULL);
    (void)engine_wait(w->engine, 50);
    (void)engine_poll(w->engine);
    assert_int_equal(w->dones, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tokens),  cmocka_unit_test(test_prefix),
        cmocka_unit_test(test_many),    cmocka_unit_test(test_one),
        cmocka_unit_test(test_refused), cmocka_unit_test(test_cancel),
    };

    return cmocka_run_group_tests(tests, open_model, close_model);
}
