/* test_sampler.c - a token drawn from logits by the published rules. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "engine/sampler.h"

enum { VOCAB = 8 };

/* The text so far when no penalty looks at it: its length is the step. */
static struct sampler_past at_step(int step) {
    return (struct sampler_past){NULL, step, 0};
}

/* How often each token comes in 4000 steps, in thousandths. */
static void count_draws(const struct sampling *p, const float *logits,
                        const uint64_t *mask, int out[VOCAB]) {
    struct sampler *s = sampler_new(VOCAB);
    int counts[VOCAB] = {0};

    for (int step = 0; step < 4000; step++) {
        struct sampler_past past = at_step(step);
        float copy[VOCAB];
        int token;

        memcpy(copy, logits, sizeof copy);
        token = sampler_pick(s, p, copy, mask, &past, NULL);
        assert_in_range(token, 0, VOCAB - 1);
        counts[token]++;
    }
    for (int i = 0; i < VOCAB; i++) out[i] = counts[i] / 4;
    sampler_free(s);
}

static int pick(struct sampling p, const float *logits, const uint64_t *mask,
                const int *history, int count) {
    struct sampler *s = sampler_new(VOCAB);
    struct sampler_past past = {history, count, 0};
    float copy[VOCAB];
    int token;

    memcpy(copy, logits, sizeof copy);
    token = sampler_pick(s, &p, copy, mask, &past, NULL);
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

static void test_repeats(void **state) {
    static const float logits[VOCAB] = {0, 3, 5, 4.5f, -1, 0, 2, 1};
    static const float low[VOCAB] = {-9, -3, -9, -4, -9, -9, -9, -9};
    static const int text[] = {2, 3, 3, 1};
    struct sampling p = SAMPLING_GREEDY;

    (void)state;
    p.repeat_penalty = 2;
    p.repeat_window = 4; /* 2: 2.5, 3: 2.25 whether once or twice, 1: 1.5 */
    assert_int_equal(pick(p, logits, NULL, text, 4), 2);
    p.repeat_penalty = 3; /* 1.7, 1.5, 1; 6 is untouched */
    assert_int_equal(pick(p, logits, NULL, text, 4), 6);
    p.repeat_window = 3; /* the 2 is out of sight */
    assert_int_equal(pick(p, logits, NULL, text, 4), 2);
    p.repeat_window = 0;
    assert_int_equal(pick(p, logits, NULL, text, 4), 2);
    p.repeat_window = -1;
    assert_int_equal(pick(p, logits, NULL, text, 4), 6);
    p.repeat_penalty = 1.5f; /* a negative logit falls, too: -4.5 */
    assert_int_equal(pick(p, low, NULL, text + 3, 1), 3);
    p.repeat_penalty = 0.5f; /* and a reward lifts it */
    assert_int_equal(pick(p, low, NULL, text + 3, 1), 1);
}

/* Penalties for what was written do not see the prompt; the other one does. */
static void test_prompt(void **state) {
    static const int text[] = {2, 2, 2};
    struct sampler *s = sampler_new(VOCAB);
    struct sampling p = {.top_p = 1, .frequency_penalty = 1};
    struct sampler_past past = {text, 3, 3};
    int with_prompt, without;

    (void)state;
    for (int i = 0; i < 2; i++) {
        float first[VOCAB] = {0, 3, 5}, second[VOCAB] = {0, 3, 5};

        past.prompt_count = 3;
        with_prompt = sampler_pick(s, &p, first, NULL, &past, NULL);
        past.prompt_count = 0;
        without = sampler_pick(s, &p, second, NULL, &past, NULL);
        assert_int_equal(with_prompt, i ? 1 : 2);
        assert_int_equal(without, 1);
        p = (struct sampling){
            .top_p = 1, .repeat_penalty = 2, .repeat_window = -1};
    }
    sampler_free(s);
}

static void test_bias(void **state) {
    static const float logits[VOCAB] = {0, 3, 5, 4, -1, NAN, 2, 1};
    static const struct token_bias list[] = {
        {2, -100}, {7, 100}, {1, 0.5f}, {1, 0.5f}, {5, 100}};
    struct sampling p = SAMPLING_GREEDY;
    uint64_t mask = 0xFF & ~(1u << 7);

    (void)state;
    p.biases = list;
    assert_int_equal(pick(p, logits, NULL, NULL, 0), 2);
    p.bias_count = 1; /* banned */
    assert_int_equal(pick(p, logits, NULL, NULL, 0), 3);
    p.bias_count = 2; /* the only one, unless the grammar forbids it */
    assert_int_equal(pick(p, logits, NULL, NULL, 0), 7);
    assert_int_equal(pick(p, logits, &mask, NULL, 0), 3);
    p.biases = list + 2;
    assert_int_equal(pick(p, logits, NULL, NULL, 0), 2);
    p.biases = list;
    p.bias_count = 5; /* what is not a number stays none; both halves count */
    assert_int_equal(pick(p, logits, &mask, NULL, 0), 1);
    p.temperature = 1;
    mask = 1u << 2; /* banned, and yet all that may come */
    assert_int_equal(pick(p, logits, &mask, NULL, 0), 2);
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
    for (int step = 0; step < 200; step++) {
        struct sampler_past past = at_step(step);
        struct sampling p = {.temperature = 1, .top_p = 1, .seed = 5};
        float copy[3][VOCAB];
        int first;

        for (int i = 0; i < 3; i++) memcpy(copy[i], logits, sizeof logits);
        first = sampler_pick(s, &p, copy[0], NULL, &past, NULL);
        same += first == sampler_pick(s, &p, copy[1], NULL, &past, NULL);
        p.seed = 6;
        other += first == sampler_pick(s, &p, copy[2], NULL, &past, NULL);
    }
    assert_int_equal(same, 200);
    assert_in_range(other, 5, 60); /* one in eight */
    sampler_free(s);
}

/* ---- against the plain way, over a vocabulary of several blocks ---- */

enum { MANY = 1000, RANDOM_CASES = 400 };

static uint64_t random_next(uint64_t *x) {
    *x ^= *x << 13;
    *x ^= *x >> 7;
    *x ^= *x << 17;
    return *x;
}

static const float *sorted_by;

static int by_logit(const void *a, const void *b) {
    int x = *(const int *)a, y = *(const int *)b;
    float left = sorted_by[x], right = sorted_by[y];

    if (isnan(left)) left = -INFINITY;
    if (isnan(right)) right = -INFINITY;
    if (left != right) return left > right ? -1 : 1;
    return x - y;
}

/* Which tokens are left, by sorting them all. False where rounding decides. */
static bool left_plainly(const struct sampling *p, const float *logits,
                         int vocab, bool *left) {
    double total = 0, sum = 0, weight;
    int order[MANY], most = p->top_k ? p->top_k : vocab;
    bool clear = true;

    if (most > vocab) most = vocab;
    for (int i = 0; i < vocab; i++) {
        order[i] = i;
        left[i] = false;
    }
    sorted_by = logits;
    qsort(order, (size_t)vocab, sizeof *order, by_logit);
    for (int pass = 0; pass < 2; pass++) {
        for (int i = 0; i < most; i++) {
            float logit = logits[order[i]];

            if (!(logit > -INFINITY)) break;
            weight = exp((double)(logit - logits[order[0]]) /
                         (double)p->temperature);
            if (pass == 0) {
                total += weight;
                continue;
            }
            if (i && fabs(sum - (double)p->top_p * total) < total * 1e-5 &&
                p->top_p < 1)
                clear = false;
            if (fabs(weight - (double)p->min_p) < 1e-5) clear = false;
            if (i && p->top_p < 1 && sum >= (double)p->top_p * total) break;
            sum += weight;
            if (weight < (double)p->min_p || weight < 1e-13) break;
            left[order[i]] = true;
        }
    }
    return clear;
}

static struct sampling random_sampling(uint64_t *x) {
    static const int ks[] = {0, 0, 1, 5, 40, 700, 5000};
    static const float ps[] = {1, 1, 0.999f, 0.9f, 0.5f, 0};
    static const float mins[] = {0, 0, 0.01f, 0.3f, 1};
    static const float heats[] = {0.2f, 1, 1.5f, 30};

    return (struct sampling){.top_k = ks[random_next(x) % 7],
                             .top_p = ps[random_next(x) % 6],
                             .min_p = mins[random_next(x) % 5],
                             .temperature = heats[random_next(x) % 4],
                             .seed = random_next(x)};
}

/* Some alike, some not a number, some impossible. */
static void random_logits(uint64_t *x, float *out, int vocab) {
    float spread = (float)(random_next(x) % 30) + 0.5f;

    for (int i = 0; i < vocab; i++) {
        out[i] = (float)(random_next(x) % 4000) / 4000 * spread - spread / 2;
        if (random_next(x) % 50 == 0) out[i] = -INFINITY;
        if (random_next(x) % 50 == 0) out[i] = NAN;
        if (i && random_next(x) % 20 == 0) out[i] = out[i - 1];
    }
}

/* Nothing comes that the rules exclude, and everything likely does come. */
static void check_draws(const struct sampling *p, const float *logits,
                        int vocab, const bool *left) {
    struct sampler *s = sampler_new(vocab);
    float copy[MANY];
    int first = -1, others = 0, expected = 0;

    for (int i = 0; i < vocab; i++) expected += left[i];
    for (int step = 0; step < 40; step++) {
        struct sampler_past past = at_step(step);
        int token;

        memcpy(copy, logits, (size_t)vocab * sizeof *copy);
        token = sampler_pick(s, p, copy, NULL, &past, NULL);
        assert_in_range(token, 0, vocab - 1);
        if (!left[token])
            fail_msg("token %d of %d, k %d p %g min %g heat %g", token, vocab,
                     p->top_k, (double)p->top_p, (double)p->min_p,
                     (double)p->temperature);
        if (first < 0) first = token;
        others += token != first;
    }
    if (expected == 1) assert_int_equal(others, 0);
    if (expected > 5 && p->temperature > 20) assert_true(others > 0);
    sampler_free(s);
}

static void test_against_sorting(void **state) {
    static const int sizes[] = {1, 7, 63, 64, 65, 200, MANY};
    uint64_t x = 88172645463325252ull;
    int judged = 0;

    (void)state;
    for (int i = 0; i < RANDOM_CASES; i++) {
        struct sampling p = random_sampling(&x);
        int vocab = sizes[random_next(&x) % 7];
        float logits[MANY];
        bool left[MANY];

        random_logits(&x, logits, vocab);
        logits[random_next(&x) % (uint64_t)vocab] = 1;
        if (!left_plainly(&p, logits, vocab, left)) continue;
        check_draws(&p, logits, vocab, left);
        judged++;
    }
    assert_true(judged > RANDOM_CASES / 2);
}

/* The shares of a draw over many blocks, with and without a cut. */
static void test_blocks(void **state) {
    static float logits[MANY];
    struct sampler *s = sampler_new(MANY);
    int counts[2][MANY / 100] = {{0}};

    (void)state;
    for (int i = 0; i < MANY; i++) logits[i] = logf((float)(1 + i / 100));
    for (int cut = 0; cut < 2; cut++) {
        struct sampling p = {
            .temperature = 1, .top_p = 1, .min_p = cut ? 0.35f : 0, .seed = 3};

        for (int step = 0; step < 11000; step++) {
            struct sampler_past past = at_step(step);
            float copy[MANY];

            memcpy(copy, logits, sizeof copy);
            counts[cut][sampler_pick(s, &p, copy, NULL, &past, NULL) / 100]++;
        }
    }
    /* Weights 1 to 10, of 55; with the cut 4 to 10, of 49. */
    for (int i = 0; i < 10; i++) {
        assert_in_range(counts[0][i], 200 * (i + 1) - 130, 200 * (i + 1) + 130);
        if (i < 3)
            assert_int_equal(counts[1][i], 0);
        else
            assert_in_range(counts[1][i], 11000 * (i + 1) / 49 - 150,
                            11000 * (i + 1) / 49 + 150);
    }
    sampler_free(s);
}

static void test_extremes(void **state) {
    static const float infinite[VOCAB] = {0, INFINITY, INFINITY, 1e30f};
    static const float lonely[VOCAB] = {-INFINITY, NAN, -INFINITY, -3e38f, NAN,
                                        -INFINITY, NAN, -INFINITY};
    static const float apart[VOCAB] = {3e38f, -3e38f};
    struct sampling p = {.temperature = 1, .top_p = 0.9f, .seed = 4};

    (void)state;
    for (int i = 0; i < 3; i++) {
        assert_int_equal(pick(p, infinite, NULL, NULL, 0), 1);
        assert_int_equal(pick(p, lonely, NULL, NULL, 0), 3);
        assert_int_equal(pick(p, apart, NULL, NULL, 0), 0);
        p.temperature = i ? 100 : 1e-45f;
        p.min_p = i ? 0.1f : 0;
        p.top_k = i;
    }
}

/* ---- reports ---- */

static void test_report(void **state) {
    /* weights 1 2 4 8 of 15 */
    const float logits[VOCAB] = {0,   logf(2),   logf(4),   logf(8),
                                 NAN, -INFINITY, -INFINITY, -INFINITY};
    static const int text[] = {3};
    static const struct token_bias ban = {2, -100};
    struct sampler *s = sampler_new(VOCAB);
    struct sampling p = {.top_p = 1,
                         .repeat_penalty = 9,
                         .repeat_window = 1,
                         .biases = &ban,
                         .bias_count = 1};
    struct sampler_past past = {text, 1, 1};
    struct sampler_report report = {.top_count = 3};
    uint64_t mask = 0x3;
    float copy[VOCAB];

    (void)state;
    /* Whatever was done to the logits, the model's own shares are told. */
    memcpy(copy, logits, sizeof copy);
    assert_int_equal(sampler_pick(s, &p, copy, &mask, &past, &report), 1);
    assert_int_equal(report.picked.token, 1);
    assert_float_equal(report.picked.logprob, logf(2 / 15.0f), 1e-5f);
    assert_int_equal(report.top_count, 3);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(report.top[i].token, 3 - i);
        assert_float_equal(report.top[i].logprob, logf((float)(8 >> i) / 15.0f),
                           1e-5f);
    }
    /* More than there are: no token comes that cannot. */
    report.top_count = LOGPROBS_TOP_MAX;
    memcpy(copy, logits, sizeof copy);
    (void)sampler_pick(s, &p, copy, &mask, &past, &report);
    assert_int_equal(report.top_count, 4);
    /* None, and a token that the model finds impossible. */
    report.top_count = 0;
    mask = 0;
    memcpy(copy, logits, sizeof copy);
    copy[0] = NAN;
    assert_int_equal(sampler_pick(s, &p, copy, &mask, &past, &report), -1);
    assert_int_equal(report.top_count, 0);
    sampler_free(s);
}

static void test_report_infinite(void **state) {
    struct sampler *s = sampler_new(VOCAB);
    struct sampling p = SAMPLING_GREEDY;
    struct sampler_past past = at_step(0);
    struct sampler_report report = {.top_count = 2};
    float infinite[VOCAB] = {INFINITY}, nothing[VOCAB];

    (void)state;
    assert_int_equal(sampler_pick(s, &p, infinite, NULL, &past, &report), 0);
    assert_true(isfinite(report.picked.logprob));
    for (int i = 0; i < report.top_count; i++)
        assert_true(isfinite(report.top[i].logprob));
    for (int i = 0; i < VOCAB; i++) nothing[i] = NAN;
    report.top_count = 2;
    assert_int_equal(sampler_pick(s, &p, nothing, NULL, &past, &report), -1);
    assert_int_equal(report.top_count, 0);
    sampler_free(s);
}

/* The same order as sorting gives, and shares that add up to one. */
static void test_report_order(void **state) {
    struct sampler *s = sampler_new(MANY);
    struct sampling p = SAMPLING_GREEDY;
    struct sampler_past past = at_step(0);
    uint64_t x = 5;

    (void)state;
    for (int i = 0; i < 50; i++) {
        struct sampler_report report = {.top_count = LOGPROBS_TOP_MAX};
        float logits[MANY], copy[MANY];
        double sum;
        int order[MANY];

        random_logits(&x, logits, MANY);
        memcpy(copy, logits, sizeof copy);
        (void)sampler_pick(s, &p, copy, NULL, &past, &report);
        for (int t = 0; t < MANY; t++) order[t] = t;
        sorted_by = logits;
        qsort(order, MANY, sizeof *order, by_logit);
        assert_int_equal(report.top_count, LOGPROBS_TOP_MAX);
        for (int t = 0; t < LOGPROBS_TOP_MAX; t++) {
            double norm = (double)(logits[order[t]] - report.top[t].logprob);

            assert_int_equal(report.top[t].token, order[t]);
            sum = 0;
            for (int j = 0; j < MANY; j++)
                if (logits[j] > -INFINITY) sum += exp((double)logits[j] - norm);
            assert_float_equal((float)sum, 1, 1e-4f);
        }
    }
    sampler_free(s);
}

static void test_check(void **state) {
    static const struct token_bias outside = {VOCAB, 1}, negative = {-1, 1},
                                   heavy = {0, 100.5f}, wrong = {0, NAN},
                                   fine = {VOCAB - 1, -100};
    static const struct sampling bad[] = {
        {.temperature = -1, .top_p = 1},
        {.temperature = NAN, .top_p = 1},
        {.temperature = INFINITY, .top_p = 1},
        {.top_p = 1.5f},
        {.top_p = 1, .top_k = -1},
        {.top_p = 1, .min_p = 2},
        {.top_p = 1, .presence_penalty = 2.5f},
        {.top_p = 1, .frequency_penalty = -2.5f},
        {.top_p = 1, .repeat_penalty = -1},
        {.top_p = 1, .repeat_penalty = NAN},
        {.top_p = 1, .repeat_penalty = 11},
        {.top_p = 1, .repeat_window = -2},
        {.top_p = 1, .biases = &outside, .bias_count = 1},
        {.top_p = 1, .biases = &negative, .bias_count = 1},
        {.top_p = 1, .biases = &heavy, .bias_count = 1},
        {.top_p = 1, .biases = &wrong, .bias_count = 1},
    };
    struct sampling many = {.top_p = 1, .bias_count = SAMPLING_BIASES_MAX + 1};
    struct sampling last = {.top_p = 1, .biases = &fine, .bias_count = 1};
    struct err err;

    (void)state;
    assert_true(sampling_check(&SAMPLING_GREEDY, VOCAB, &err));
    assert_true(sampling_check(&last, VOCAB, &err));
    assert_false(sampling_check(&many, VOCAB, &err));
    assert_int_equal(err.code, ERR_LIMIT);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_false(sampling_check(&bad[i], VOCAB, &err));
        assert_int_equal(err.code, ERR_INPUT);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_greedy),
        cmocka_unit_test(test_penalties),
        cmocka_unit_test(test_repeats),
        cmocka_unit_test(test_prompt),
        cmocka_unit_test(test_bias),
        cmocka_unit_test(test_shares),
        cmocka_unit_test(test_seeds),
        cmocka_unit_test(test_against_sorting),
        cmocka_unit_test(test_blocks),
        cmocka_unit_test(test_extremes),
        cmocka_unit_test(test_report),
        cmocka_unit_test(test_report_infinite),
        cmocka_unit_test(test_report_order),
        cmocka_unit_test(test_check),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
