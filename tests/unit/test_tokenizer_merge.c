/* test_tokenizer_merge.c - merging equals the plain loop that looks at all
 * pairs again after each merge, for short runs and for those with a heap. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include "engine/tokenizer_merge.h"

enum { SYMBOLS_MAX = 400 };

/* Tokens are numbers; about half of all pairs merge, with few ranks, so that
 * many are equal. What two become depends on both. */
static uint32_t rule(const void *rules, const struct symbol *left,
                     const struct symbol *right, int *merged) {
    uint32_t mix = *(const uint32_t *)rules;

    mix ^= (uint32_t)left->token * 2654435761u;
    mix = (mix ^ (mix >> 15)) * 2246822519u;
    mix ^= (uint32_t)right->token * 3266489917u;
    mix = (mix ^ (mix >> 13)) * 668265263u;
    *merged = (int)(mix >> 8 & 63);
    return mix >> 31 ? MERGE_NEVER : mix & 7;
}

static int plain(const uint32_t *seed, struct symbol *symbols, int count) {
    for (;;) {
        uint32_t lowest = MERGE_NEVER;
        int best = 0, best_merged = 0;

        for (int i = 0; i + 1 < count; i++) {
            int merged;
            uint32_t rank = rule(seed, &symbols[i], &symbols[i + 1], &merged);

            if (rank >= lowest) continue;
            lowest = rank;
            best = i;
            best_merged = merged;
        }
        if (lowest == MERGE_NEVER) return count;
        symbols[best].token = best_merged;
        symbols[best].end = symbols[best + 1].end;
        count--;
        for (int i = best + 1; i < count; i++) symbols[i] = symbols[i + 1];
    }
}

static void check_run(struct merge_run *run, uint32_t seed, int count) {
    struct symbol expected[SYMBOLS_MAX];
    uint32_t random = seed;
    int at = 0, left;

    merge_begin(run, (size_t)count);
    for (int i = 0; i < count; i++) {
        random = random * 1664525u + 1013904223u;
        expected[i] =
            (struct symbol){.token = (int)(random >> 28), i * 2, i * 2 + 2};
        merge_add(run, expected[i].token, (size_t)i * 2, (size_t)i * 2 + 2);
    }
    merge_all(run, rule, &seed);
    left = plain(&seed, expected, count);
    for (int i = 0; i < left; i++, at = run->symbols[at].next) {
        assert_int_equal(run->symbols[at].token, expected[i].token);
        assert_int_equal(run->symbols[at].begin, expected[i].begin);
        assert_int_equal(run->symbols[at].end, expected[i].end);
    }
    assert_int_equal(at, -1);
}

static void test_equals_the_plain_loop(void **state) {
    struct merge_run run = {0};

    (void)state;
    for (uint32_t seed = 0; seed < 400; seed++)
        check_run(&run, seed, (int)(seed % 60) + 1);
    for (uint32_t seed = 0; seed < 200; seed++)
        check_run(&run, seed * 7919, SYMBOLS_MAX - (int)seed);
    merge_clear(&run);
    assert_null(run.symbols);
    merge_clear(&run);
}

static void test_nothing(void **state) {
    struct merge_run run = {0};
    uint32_t seed = 1;

    (void)state;
    merge_begin(&run, 0);
    merge_all(&run, rule, &seed);
    assert_int_equal(run.count, 0);
    merge_clear(&run);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_equals_the_plain_loop),
        cmocka_unit_test(test_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
