/* test_sampler.c - a token drawn from logits by the published rules. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <math.h>
#include <string.h>

#include "engine/sampler.h"

enum { VOCAB = 8 };

/* How often each token comes in 4000 steps, in thousandths. */
static void count_draws(const struct sampling *p, const float *logits,
                        const uint64_t *mask, int out[VOCAB]) {
    struct sampler *s = sampler_new(VOCAB);
    int counts[VOCAB] = {0};

    for (uint64_t step = 0; step < 4000; step++) {
        float copy[VOCAB];
        int token;

        memcpy(copy, logits, sizeof copy);
        token = sampler_pick(s, p, copy, mask, NULL, 0, step);
        assert_in_range(token, 0, VOCAB - 1);
        counts[token]++;
    }
    for (int i = 0; i < VOCAB; i++) out[i] = counts[i] / 4;
    sampler_free(s);
}

static int pick(struct sampling p, const float *logits, const uint64_t *mask,
                const int *history, int count) {
    struct sampler *s = sampler_new(VOCAB);
    float copy[VOCAB];
    int token;

    memcpy(copy, logits, sizeof copy);
    token = sampler_pick(s, &p, copy, mask, history, count, 0);
    sampler_free(s);
    return token;
}

static void test_greedy(void **state) {
    static const float logits[VOCAB] = {0, 3, 5, 5, -1, NAN, 2, 1};
    static const float nothing[VOCAB] = {NAN, NAN, NAN, NAN,
                                         NAN, NAN, NAN, NAN};
    static const uint64_t none = 0, some = 1u << 4 | 1u << 5;

    (void)state;
    assert_int_equal(pick(SAMPLING_GREEDY, logits, NULL, NULL, 0), 2);
    assert_int_equal(pick(SAMPLING_GREEDY, logits, &some, NULL, 0), 4);
    assert_int_equal(pick(SAMPLING_GREEDY, logits, &none, NULL, 0), -1);
    assert_int_equal(pick(SAMPLING_GREEDY, nothing, NULL, NULL, 0), -1);
    assert_int_equal(pick((struct sampling){.temperature = 1, .top_p = 1},
                          logits, &none, NULL, 0),
                     -1);
}

static void test_penalties(void **state) {
    static const float logits[VOCAB] = {0, 3, 5, 4.5f, -1, 0, 2, 1};
    static const int once[] = {2}, thrice[] = {2, 3, 3, 3};
    struct sampling p = SAMPLING_GREEDY;

    (void)state;
    p.presence_penalty = 0.4f;
    assert_int_equal(pick(p, logits, NULL, once, 1), 2);
    p.presence_penalty = 0.6f;
    assert_int_equal(pick(p, logits, NULL, once, 1), 3);
    assert_int_equal(pick(p, logits, NULL, thrice, 4), 2);
    p.presence_penalty = 0;
    p.frequency_penalty = 1.6f; /* 2: 3.4, 3: -0.3 */
    assert_int_equal(pick(p, logits, NULL, thrice, 4), 2);
    p.frequency_penalty = 2; /* 2: 3, as 1 */
    assert_int_equal(pick(p, logits, NULL, thrice, 4), 1);
}

static void check_share(int got, double expected) {
    if (fabs(got - expected * 1000) > 30)
        fail_msg("%d of 1000, not %.0f", got, expected * 1000);
}

static void test_shares(void **state) {
    /* weights 1 2 4 8 and nothing else: of 15 */
    const float logits[VOCAB] = {0,         logf(2),   logf(4),   logf(8),
                                 -INFINITY, -INFINITY, -INFINITY, -INFINITY};
    struct sampling p = {.temperature = 1, .top_p = 1, .seed = 11};
    uint64_t mask = 3;
    int got[VOCAB];

    (void)state;
    count_draws(&p, logits, NULL, got);
    for (int i = 0; i < 4; i++) check_share(got[i], (1 << i) / 15.0);
    count_draws(&p, logits, &mask, got);
    check_share(got[0], 1 / 3.0);
    p.temperature = 0.5f; /* weights 1 4 16 64 */
    count_draws(&p, logits, NULL, got);
    check_share(got[3], 64 / 85.0);
    p.temperature = 1;
    p.top_k = 2;
    count_draws(&p, logits, NULL, got);
    check_share(got[2], 4 / 12.0);
    assert_int_equal(got[0] + got[1], 0);
    p.top_p = 0.6f; /* 8/12 is enough alone */
    count_draws(&p, logits, NULL, got);
    assert_int_equal(got[3], 1000);
    p.top_k = 0;
    p.top_p = 0.81f; /* 8/15 and 4/15 are 0.8 */
    count_draws(&p, logits, NULL, got);
    check_share(got[1], 2 / 14.0);
    assert_int_equal(got[0], 0);
    p.top_p = 0;
    count_draws(&p, logits, NULL, got);
    assert_int_equal(got[3], 1000);
    p.top_p = 1;
    p.min_p = 0.4f; /* of the best: 0.5 stays, 0.25 goes */
    count_draws(&p, logits, NULL, got);
    check_share(got[2], 4 / 12.0);
    assert_int_equal(got[0] + got[1], 0);
}

static void test_seeds(void **state) {
    static const float logits[VOCAB] = {0};
    struct sampler *s = sampler_new(VOCAB);
    int same = 0, other = 0;

    (void)state;
    for (uint64_t step = 0; step < 200; step++) {
        struct sampling p = {.temperature = 1, .top_p = 1, .seed = 5};
        float copy[3][VOCAB];
        int first;

        for (int i = 0; i < 3; i++) memcpy(copy[i], logits, sizeof logits);
        first = sampler_pick(s, &p, copy[0], NULL, NULL, 0, step);
        same += first == sampler_pick(s, &p, copy[1], NULL, NULL, 0, step);
        p.seed = 6;
        other += first == sampler_pick(s, &p, copy[2], NULL, NULL, 0, step);
    }
    assert_int_equal(same, 200);
    assert_in_range(other, 5, 60); /* one in eight */
    sampler_free(s);
}

static void test_check(void **state) {
    static const struct sampling bad[] = {
        {.temperature = -1, .top_p = 1},
        {.temperature = NAN, .top_p = 1},
        {.temperature = INFINITY, .top_p = 1},
        {.top_p = 1.5f},
        {.top_p = 1, .top_k = -1},
        {.top_p = 1, .min_p = 2},
        {.top_p = 1, .presence_penalty = 2.5f},
        {.top_p = 1, .frequency_penalty = -2.5f},
    };
    struct err err;

    (void)state;
    assert_true(sampling_check(&SAMPLING_GREEDY, &err));
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_false(sampling_check(&bad[i], &err));
        assert_int_equal(err.code, ERR_INPUT);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_greedy), cmocka_unit_test(test_penalties),
        cmocka_unit_test(test_shares), cmocka_unit_test(test_seeds),
        cmocka_unit_test(test_check),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
