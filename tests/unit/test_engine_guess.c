/* test_engine_guess.c - prompt lookup: whatever is asked of a job, it says the
 * same with guesses as without, in fewer steps. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include "tests/unit/answer.h"
#include "tests/unit/model_path.h"

/* A text that says everything several times over, so that much is guessed,
 * some of it wrongly. */
static void fill_repeats(int *tokens, int count, unsigned seed) {
    for (int i = 0; i < count; i += 10) {
        int left = count - i;

        fill(tokens + i, left < 10 ? left : 10, seed + (unsigned)i % 3);
    }
}

/* The job with and without; how many guesses were right. */
static int check_pair(struct engine *e, struct job job) {
    struct answer plain, guessed;
    int accepted;

    job.no_speculation = true;
    run_one(e, job, &plain);
    assert_int_equal(plain.usage.drafted_tokens, 0);
    job.no_speculation = false;
    run_one(e, job, &guessed);
    check_same(&plain, &guessed);
    assert_int_equal(plain.usage.output_tokens, guessed.usage.output_tokens);
    assert_int_equal(plain.logprob_count, guessed.logprob_count);
    assert_memory_equal(plain.logprobs, guessed.logprobs,
                        sizeof plain.logprobs);
    accepted = guessed.usage.accepted_tokens;
    assert_in_range(accepted, 0, guessed.usage.drafted_tokens);
    assert_in_range(accepted, 0, guessed.usage.output_tokens - 1);
    answer_clear(&plain);
    answer_clear(&guessed);
    return accepted;
}

static void test_greedy(void **state) {
    struct engine *e = open_tiny((struct engine_options){0});
    int tokens[100], accepted = 0;

    (void)state;
    for (unsigned seed = 0; seed < 20; seed++) {
        fill_repeats(tokens, 100, seed);
        accepted += check_pair(e, generate(tokens, 100, 1 + (int)seed * 10));
    }
    assert_true(accepted > 30);
    engine_close(e);
}

static void test_sampled(void **state) {
    struct engine *e = open_tiny((struct engine_options){0});
    int tokens[100], accepted = 0;

    (void)state;
    for (unsigned seed = 0; seed < 20; seed++) {
        struct job job = generate(tokens, 100, 100);

        fill_repeats(tokens, 100, seed);
        job.sampling.temperature = 0.05f * (float)(1 + seed % 5);
        job.sampling.top_k = seed % 2 ? 5 : 0;
        job.sampling.frequency_penalty = seed % 3 ? 0 : 0.1f;
        job.sampling.repeat_penalty = seed % 4 ? 0 : 1.05f;
        job.sampling.repeat_window = 20;
        job.sampling.seed = seed;
        accepted += check_pair(e, job);
    }
    assert_true(accepted > 20);
    engine_close(e);
}

static void test_logprobs(void **state) {
    struct engine *e = open_tiny((struct engine_options){0});
    int tokens[100], accepted = 0;

    (void)state;
    for (unsigned seed = 0; seed < 5; seed++) {
        struct job job = generate(tokens, 100, 60);

        fill_repeats(tokens, 100, seed);
        job.logprobs = true;
        job.rival_count = 3;
        accepted += check_pair(e, job);
    }
    assert_true(accepted > 0);
    engine_close(e);
}

/* Stop strings that end in the middle of a guess that is right. */
static void test_stops(void **state) {
    struct engine *e = open_tiny((struct engine_options){0});
    int tokens[100];
    struct answer whole;
    int checked = 0;

    (void)state;
    fill_repeats(tokens, 100, 3);
    run_one(e, generate(tokens, 100, 200), &whole);
    assert_true(whole.usage.accepted_tokens > 0);
    for (size_t at = 1; at + 4 < whole.text.size; at += 7) {
        struct job job = generate(tokens, 100, 200);
        struct span stop = span_slice(span_bytes(&whole.text), at, at + 4);

        if (!utf8_valid(stop)) continue; /* cut within a character */
        checked++;
        job.stops = &stop;
        job.stop_count = 1;
        (void)check_pair(e, job);
    }
    assert_true(checked > 5);
    answer_clear(&whole);
    engine_close(e);
}

/* A list that a grammar makes repeat itself. */
static void test_grammar(void **state) {
    struct engine *e = open_tiny((struct engine_options){0});
    cJSON *schema = json_parse(
        span_of("{\"type\":\"array\",\"minItems\":8,\"maxItems\":8,\"items\":"
                "{\"type\":\"object\",\"properties\":{\"name\":{\"enum\":"
                "[\"alpha\",\"beta\"]}},\"required\":[\"name\"]}}"),
        NULL);
    struct grammar *g = grammar_from_schema(schema, NULL);
    int tokens[30], accepted = 0;

    (void)state;
    assert_non_null(g);
    fill(tokens, 30, 2);
    for (uint64_t seed = 0; seed < 5; seed++) {
        struct job job = generate(tokens, 30, 400);

        job.grammar = g;
        job.sampling.temperature = seed ? 1 : 0;
        job.sampling.seed = seed;
        accepted += check_pair(e, job);
    }
    assert_true(accepted > 100);
    grammar_free(g);
    cJSON_Delete(schema);
    engine_close(e);
}

/* An engine that does not guess does not, and one in exact mode either. */
static void test_off(void **state) {
    struct engine_options o[] = {{.no_speculation = true}, {.exact = true}};
    int tokens[100];

    (void)state;
    fill_repeats(tokens, 100, 1);
    for (int i = 0; i < 2; i++) {
        struct engine *e = open_tiny(o[i]);
        struct answer a;

        run_one(e, generate(tokens, 100, 50), &a);
        assert_int_equal(a.usage.drafted_tokens, 0);
        answer_clear(&a);
        engine_close(e);
    }
}

/* ---- the default model ---- */

static void push(const struct engine *e, struct tokens *ids, const char *text) {
    assert_true(
        tokenizer_encode(engine_tokenizer(e), span_of(text), ids, NULL));
}

static int check_prompt(struct engine *e, const char *text, float temperature) {
    struct tokens ids = {0};
    struct job job;
    int accepted;

    assert_true(tokens_push(&ids, 1, NULL));
    push(e, &ids, "user\n");
    push(e, &ids, text);
    assert_true(tokens_push(&ids, 2, NULL));
    push(e, &ids, "\n");
    assert_true(tokens_push(&ids, 1, NULL));
    push(e, &ids, "assistant\n");
    job = generate(ids.at, (int)ids.count, 40);
    job.sampling.temperature = temperature;
    job.sampling.seed = 3;
    accepted = check_pair(e, job);
    tokens_free(&ids);
    return accepted;
}

static void test_default_model(void **state) {
    static const char quoted[] =
        "Repeat this text word for word: The Treaty of Rome creates the "
        "European Economic Community, or Common Market. The six founding "
        "countries are Belgium, France, Germany, Italy, Luxembourg and the "
        "Netherlands. Protests in Hungary are put down by tanks in 1956.";
    struct engine_options o = {.model_path = model_path(),
                               .context_tokens = 1024};
    struct err err = {0};
    struct engine *e = engine_open(&o, &err);

    (void)state;
    if (!e) fail_msg("%s", err.text);
    assert_in_range(check_prompt(e, quoted, 0), 15, 39);
    (void)check_prompt(e, quoted, 0.7f);
    (void)check_prompt(e, "Write a short story about a fox.", 0);
    engine_close(e);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_greedy),        cmocka_unit_test(test_sampled),
        cmocka_unit_test(test_logprobs),      cmocka_unit_test(test_stops),
        cmocka_unit_test(test_grammar),       cmocka_unit_test(test_off),
        cmocka_unit_test(test_default_model),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
