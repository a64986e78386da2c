/* test_kv.c - what is shared, what is copied, what is evicted. Pages here
 * hold one float for each position, which stands for what was computed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "engine/kv.h"

static struct kv *make(int positions) {
    const struct kv_shape shape = {2, 1, 1, positions, KV_F32};
    struct kv *kv = kv_new(&shape, NULL);

    assert_non_null(kv);
    return kv;
}

/* Keys first, first + 1, ... */
static void keys_from(struct kv_key *keys, int count, int first) {
    for (int i = 0; i < count; i++) keys[i] = (struct kv_key){first + i, 0};
}

static float *cell(struct sequence *s, int block, int position, bool value) {
    float *page = value ? sequence_v(s, block, position / KV_PAGE)
                        : sequence_k(s, block, position / KV_PAGE);

    return page + position % KV_PAGE;
}

/* Write as the model does, then commit. */
static void compute(struct sequence *s, int from, int end, int mark) {
    for (int i = from; i < end; i++) {
        for (int block = 0; block < 2; block++) {
            *cell(s, block, i, false) = (float)(mark + i + 1000 * block);
            *cell(s, block, i, true) = (float)(mark - i - 1000 * block);
        }
    }
    sequence_commit(s, end);
}

static void check(struct sequence *s, int from, int end, int mark) {
    for (int i = from; i < end; i++) {
        for (int block = 0; block < 2; block++) {
            assert_float_equal(*cell(s, block, i, false),
                               (float)(mark + i + 1000 * block), 0);
            assert_float_equal(*cell(s, block, i, true),
                               (float)(mark - i - 1000 * block), 0);
        }
    }
}

/* A sequence that has computed keys[0..count); its matched part is `want`. */
static struct sequence *fill(struct kv *kv, const struct kv_key *keys,
                             int count, int mark, int want) {
    int matched = -1;
    struct sequence *s = sequence_new(kv, keys, count, &matched);

    assert_int_equal(matched, want);
    assert_true(sequence_extend(s, keys + matched, count - matched, NULL));
    assert_int_equal(sequence_length(s), count);
    compute(s, matched, count, mark);
    return s;
}

static void test_match(void **state) {
    struct kv *kv = make(1024);
    struct kv_key keys[200];
    struct sequence *a;
    struct sequence *b;
    int matched;

    (void)state;
    keys_from(keys, 200, 5);
    a = fill(kv, keys, 100, 7, 0);
    /* A live sequence shares, at token granularity, and at most all but one. */
    b = fill(kv, keys, 80, 9, 79);
    check(b, 0, 79, 7);
    check(b, 79, 80, 9);
    check(a, 0, 100, 7);
    sequence_free(b);
    keys[50].token = 1;
    b = fill(kv, keys, 100, 11, 50);
    check(b, 0, 50, 7);
    check(b, 50, 100, 11);
    check(a, 0, 100, 7);
    sequence_free(b);
    sequence_free(a);
    /* Both branches are still there. */
    b = sequence_new(kv, keys, 101, &matched);
    assert_int_equal(matched, 100);
    check(b, 50, 100, 11);
    sequence_free(b);
    keys_from(keys, 200, 5);
    b = sequence_new(kv, keys, 101, &matched);
    assert_int_equal(matched, 100);
    check(b, 0, 100, 7);
    sequence_free(b);
    assert_int_equal(kv_positions_used(kv), 0);
    kv_free(kv);
}

/* The adapter is part of the key: a full adapter shares nothing, one that
 * begins later shares what lies before. */
static void test_adapters(void **state) {
    struct kv *kv = make(1024);
    struct kv_key keys[64];
    struct sequence *a;

    (void)state;
    keys_from(keys, 64, 0);
    sequence_free(fill(kv, keys, 64, 1, 0));
    for (int i = 0; i < 64; i++) keys[i].adapter = 2;
    sequence_free(fill(kv, keys, 64, 2, 0));
    for (int i = 0; i < 40; i++) keys[i].adapter = 0;
    a = fill(kv, keys, 64, 3, 40);
    check(a, 0, 40, 1);
    check(a, 40, 64, 3);
    sequence_free(a);
    kv_free(kv);
}

/* Uncommitted positions are nobody else's business. */
static void test_uncommitted(void **state) {
    struct kv *kv = make(256);
    struct kv_key keys[64];
    struct sequence *a;
    struct sequence *b;
    int matched;

    (void)state;
    keys_from(keys, 64, 0);
    a = sequence_new(kv, keys, 64, &matched);
    assert_true(sequence_extend(a, keys, 64, NULL));
    compute(a, 0, 10, 1);
    b = sequence_new(kv, keys, 64, &matched);
    assert_int_equal(matched, 10);
    sequence_free(b);
    sequence_free(a);
    b = sequence_new(kv, keys, 64, &matched);
    assert_int_equal(matched, 10);
    sequence_free(b);
    kv_free(kv);
}

/* The owner goes on writing into a page that another shares. */
static void test_shared_page(void **state) {
    struct kv *kv = make(256);
    struct kv_key keys[64];
    struct kv_key other[64];
    struct sequence *a;
    struct sequence *b;

    (void)state;
    keys_from(keys, 64, 0);
    keys_from(other, 64, 0);
    for (int i = 10; i < 64; i++) other[i].token = 500 + i;
    a = fill(kv, keys, 10, 1, 0);
    b = fill(kv, other, 20, 2, 10);
    assert_true(sequence_extend(a, keys + 10, 20, NULL));
    compute(a, 10, 30, 3);
    check(b, 0, 10, 1);
    check(b, 10, 20, 2);
    check(a, 0, 10, 1);
    check(a, 10, 30, 3);
    sequence_free(a);
    sequence_free(b);
    kv_free(kv);
}

static void test_truncate(void **state) {
    struct kv *kv = make(256);
    struct kv_key keys[100];
    struct sequence *a;
    struct sequence *b;
    int matched;

    (void)state;
    keys_from(keys, 100, 0);
    a = fill(kv, keys, 50, 1, 0);
    /* Rejected speculation: reserved, never committed. */
    assert_true(sequence_extend(a, keys + 50, 30, NULL));
    sequence_truncate(a, 50);
    assert_int_equal(sequence_length(a), 50);
    /* Committed positions that another holds stay as they are. */
    b = sequence_new(kv, keys, 51, &matched);
    assert_int_equal(matched, 50);
    sequence_truncate(a, 40);
    for (int i = 40; i < 100; i++) keys[i].token = 700 + i;
    assert_true(sequence_extend(a, keys + 40, 20, NULL));
    compute(a, 40, 60, 2);
    check(b, 0, 50, 1);
    check(a, 0, 40, 1);
    check(a, 40, 60, 2);
    sequence_truncate(a, 0);
    assert_int_equal(sequence_length(a), 0);
    assert_true(sequence_extend(a, keys, 3, NULL));
    compute(a, 0, 3, 5);
    check(b, 0, 50, 1);
    sequence_free(a);
    sequence_free(b);
    kv_free(kv);
}

static void test_full(void **state) {
    struct kv *kv = make(4 * KV_PAGE);
    struct kv_key keys[5 * KV_PAGE];
    struct kv_key other[5 * KV_PAGE];
    struct err err = {0};
    struct sequence *a;
    struct sequence *b;
    int matched;

    (void)state;
    keys_from(keys, 5 * KV_PAGE, 0);
    keys_from(other, 5 * KV_PAGE, 5000);
    a = fill(kv, keys, 3 * KV_PAGE, 1, 0);
    assert_int_equal(kv_positions_used(kv), 3 * KV_PAGE);
    b = sequence_new(kv, other, 40, &matched);
    assert_false(sequence_extend(b, other, 2 * KV_PAGE, &err));
    assert_int_equal(err.code, ERR_BUSY);
    assert_int_equal(sequence_length(b), 0);
    assert_true(sequence_extend(b, other, KV_PAGE, &err));
    assert_false(sequence_extend(b, other + KV_PAGE, 1, &err));
    assert_int_equal(sequence_length(b), KV_PAGE);
    sequence_free(a);
    /* Now a's pages are cached only, and make room, last position first. */
    assert_true(sequence_extend(b, other + KV_PAGE, 1, &err));
    compute(b, 0, KV_PAGE + 1, 2);
    a = sequence_new(kv, keys, 3 * KV_PAGE, &matched);
    assert_int_equal(matched, 2 * KV_PAGE);
    check(a, 0, 2 * KV_PAGE, 1);
    sequence_free(a);
    sequence_free(b);
    assert_false(kv_new(&(struct kv_shape){1, 1, 1, 0, KV_I16}, &err));
    assert_false(kv_new(
        &(struct kv_shape){1 << 30, 1 << 30, 1 << 30, 1 << 24, KV_I16}, &err));
    kv_free(kv);
}

/* A cache full of one text must serve that text again: there is no page to
 * copy the last one to, so what lies behind the match is dropped. */
static void test_full_again(void **state) {
    struct kv *kv = make(4 * KV_PAGE);
    struct kv_key keys[4 * KV_PAGE];
    struct sequence *a;

    (void)state;
    keys_from(keys, 4 * KV_PAGE, 0);
    sequence_free(fill(kv, keys, 4 * KV_PAGE, 1, 0));
    a = fill(kv, keys, 4 * KV_PAGE, 2, 4 * KV_PAGE - 1);
    check(a, 0, 4 * KV_PAGE - 1, 1);
    sequence_free(a);
    /* A match inside the first page: its descendants go too. */
    for (int i = 10; i < 4 * KV_PAGE; i++) keys[i].token = 900 + i;
    a = fill(kv, keys, 4 * KV_PAGE, 3, 10);
    check(a, 0, 10, 1);
    check(a, 10, 4 * KV_PAGE, 3);
    sequence_free(a);
    kv_free(kv);
}

static void test_least_recently_used(void **state) {
    struct kv *kv = make(4 * KV_PAGE);
    struct kv_key keys[4][KV_PAGE + 1];
    int matched;

    (void)state;
    for (int i = 0; i < 4; i++) {
        keys_from(keys[i], KV_PAGE + 1, 1000 * i);
        sequence_free(fill(kv, keys[i], KV_PAGE, i, 0));
    }
    /* Use the first again, then take a new page: the second goes. */
    sequence_free(sequence_new(kv, keys[0], KV_PAGE + 1, &matched));
    assert_int_equal(matched, KV_PAGE);
    keys_from(keys[1], KV_PAGE + 1, 9000);
    sequence_free(fill(kv, keys[1], KV_PAGE, 9, 0));
    keys_from(keys[1], KV_PAGE + 1, 1000);
    for (int i = 0; i < 4; i++) {
        sequence_free(sequence_new(kv, keys[i], KV_PAGE + 1, &matched));
        assert_int_equal(matched, i == 1 ? 0 : KV_PAGE);
    }
    kv_free(kv);
}

/* Random work on few pages and few distinct tokens, against the rule that a
 * position holds what was computed for exactly its prefix. The mark of a
 * position is a hash of its keys. */
static uint32_t prefix_mark(const struct kv_key *keys, int position) {
    uint32_t hash = 1;

    for (int i = 0; i <= position; i++)
        hash = hash * 31 + (uint32_t)keys[i].token;
    return hash % 100003;
}

static void check_prefix(struct sequence *s, const struct kv_key *keys,
                         int length) {
    for (int i = 0; i < length; i++)
        for (int block = 0; block < 2; block++) {
            assert_float_equal(*cell(s, block, i, false), prefix_mark(keys, i),
                               0);
            assert_float_equal(*cell(s, block, i, true),
                               (float)prefix_mark(keys, i), 0);
        }
}

static void test_random(void **state) {
    enum { LIVE = 4, LENGTH = 90 };
    struct kv *kv = make(8 * KV_PAGE);
    struct sequence *live[LIVE] = {0};
    struct kv_key keys[LIVE][LENGTH];
    uint32_t seed = 3;

    (void)state;
    for (int step = 0; step < 4000; step++) {
        int who;
        int what;
        int n;
        struct sequence *s;

        seed = seed * 1664525u + 1013904223u;
        who = (int)(seed >> 10) % LIVE;
        what = (int)(seed >> 14) % 8;
        n = 1 + (int)(seed >> 18) % 40;
        s = live[who];
        if (!s || what == 0) {
            int matched;

            sequence_free(s);
            /* Runs with a rare change: long common prefixes. */
            for (int i = 0; i < LENGTH; i++) {
                seed = seed * 1664525u + 1013904223u;
                keys[who][i] = (struct kv_key){(seed >> 16) % 40 == 0, 0};
            }
            live[who] = s = sequence_new(kv, keys[who], LENGTH, &matched);
            check_prefix(s, keys[who], matched);
        } else if (what == 1) {
            int length = sequence_length(s);

            sequence_truncate(s, length > n ? length - n : 0);
        } else if (sequence_length(s) + n <= LENGTH) {
            int from = sequence_length(s);

            if (!sequence_extend(s, keys[who] + from, n, NULL)) {
                assert_int_equal(sequence_length(s), from);
                continue;
            }
            for (int i = from; i < from + n; i++)
                for (int block = 0; block < 2; block++)
                    *cell(s, block, i, false) = *cell(s, block, i, true) =
                        (float)prefix_mark(keys[who], i);
            if (what > 3) sequence_commit(s, from + n);
        }
        for (int i = 0; i < LIVE; i++)
            if (live[i])
                check_prefix(live[i], keys[i], sequence_length(live[i]));
    }
    for (int i = 0; i < LIVE; i++) sequence_free(live[i]);
    assert_int_equal(kv_positions_used(kv), 0);
    kv_free(kv);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_match),
        cmocka_unit_test(test_adapters),
        cmocka_unit_test(test_uncommitted),
        cmocka_unit_test(test_shared_page),
        cmocka_unit_test(test_truncate),
        cmocka_unit_test(test_full),
        cmocka_unit_test(test_full_again),
        cmocka_unit_test(test_least_recently_used),
        cmocka_unit_test(test_random),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
