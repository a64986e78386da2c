/* test_head.c - a logistic head: what it learns, that it is the same each
 * time, and that a file of it is taken whole or not at all. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "guard/head.h"

enum { WIDTH = 3, ROWS = 60 };

static const char digest_a[] =
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
static const char digest_b[] =
    "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

static float hidden[ROWS][WIDTH];
static struct feature_ngram ngrams[ROWS][1];
static struct head_row rows[ROWS];

/* From -1 to 1, the same each time. */
static float noise(unsigned *seed) {
    *seed = *seed * 1664525u + 1013904223u;
    return (float)(*seed >> 8) / (float)(1 << 23) - 1;
}

/* The second number tells the label, or the n-gram does; a third of the rows
 * is positive. The third number never changes. */
static void make_rows(bool by_ngram) {
    unsigned seed = 7;

    for (int i = 0; i < ROWS; i++) {
        bool positive = i % 3 == 0;

        for (int k = 0; k < WIDTH; k++) hidden[i][k] = 10 * noise(&seed);
        hidden[i][2] = 4;
        if (!by_ngram)
            hidden[i][1] = (positive ? 103.0f : 97.0f) + noise(&seed);
        ngrams[i][0] = (struct feature_ngram){
            by_ngram && positive ? (1u << FEATURE_NGRAM_BITS) - 1 : 5, 1};
        rows[i] = (struct head_row){.hidden = hidden[i],
                                    .ngrams = ngrams[i],
                                    .ngram_count = 1,
                                    .positive = positive};
    }
}

static float score(const struct head *h, const struct head_row *row) {
    struct features f = {.width = WIDTH,
                         .window_count = 1,
                         .windows = row->hidden,
                         .ngram_count = row->ngram_count,
                         .ngrams = row->ngrams};

    return head_score(h, &f);
}

static void test_learns(void **state) {
    (void)state;
    for (int by_ngram = 0; by_ngram < 2; by_ngram++) {
        struct head *h;

        make_rows(by_ngram);
        h = head_fit(rows, ROWS, WIDTH, digest_a, digest_b);
        assert_int_equal(head_width(h), WIDTH);
        assert_string_equal(head_examples(h), digest_a);
        assert_string_equal(head_model(h), digest_b);
        for (int i = 0; i < ROWS; i++) {
            float p = score(h, &rows[i]);

            if (rows[i].positive ? p < 0.7f : p > 0.3f)
                fail_msg("row %d: %f", i, (double)p);
        }
        head_free(h);
    }
}

/* With one row of each label the least squares of the weights are known: the
 * border lies half way, whatever the scale. */
static void test_border(void **state) {
    float low[2] = {-40, 1}, high[2] = {60, 1}, middle[2] = {10, 1};
    struct head_row two[2] = {{.hidden = low},
                              {.hidden = high, .positive = true}};
    struct head *h = head_fit(two, 2, 2, digest_a, digest_b);
    struct features f = {.width = 2, .window_count = 1, .windows = middle};

    (void)state;
    assert_true(fabsf(head_score(h, &f) - 0.5f) < 1e-3f);
    head_free(h);
}

/* One window is enough to act on. */
static void test_windows(void **state) {
    struct head *h;
    float windows[3 * WIDTH];
    struct features f = {.width = WIDTH, .window_count = 3, .windows = windows};

    (void)state;
    make_rows(false);
    h = head_fit(rows, ROWS, WIDTH, digest_a, digest_b);
    memcpy(windows, hidden[1], sizeof hidden[1]);
    memcpy(windows + WIDTH, hidden[2], sizeof hidden[2]);
    memcpy(windows + 2L * WIDTH, hidden[4], sizeof hidden[4]);
    assert_true(head_score(h, &f) < 0.5f);
    memcpy(windows + WIDTH, hidden[3], sizeof hidden[3]);
    assert_true(head_score(h, &f) > 0.5f);
    head_free(h);
}

static void test_held_out(void **state) {
    struct head_figures figures;
    float held_out[ROWS];

    (void)state;
    make_rows(false);
    head_cross_validate(rows, ROWS, WIDTH, held_out, &figures);
    assert_int_equal(figures.folds, 5);
    assert_int_equal(figures.true_positive, 20);
    assert_int_equal(figures.true_negative, 40);
    assert_true(figures.f1 == 1 && figures.recall == 1);
    /* A row that lies is not seen by the head that judges it. */
    rows[0].positive = false;
    rows[1].positive = true;
    head_cross_validate(rows, ROWS, WIDTH, held_out, &figures);
    assert_int_equal(figures.false_positive, 1);
    assert_int_equal(figures.false_negative, 1);
    assert_true(fabs(figures.precision - 0.95) < 1e-9);
    assert_true(fabs(figures.f1 - 0.95) < 1e-9);
    /* Fewer rows of a label than folds. */
    for (int i = 0; i < ROWS; i++) rows[i].positive = i == 5 || i == 9;
    head_cross_validate(rows, ROWS, WIDTH, held_out, &figures);
    assert_int_equal(figures.folds, 2);
}

static void test_file(void **state) {
    struct bytes file = {0}, again = {0};
    struct err err = {0};
    struct head *h, *copy;

    (void)state;
    make_rows(true);
    h = head_fit(rows, ROWS, WIDTH, digest_a, digest_b);
    head_print(h, &file);
    copy = head_parse(span_bytes(&file), "f", &err);
    if (!copy) fail_msg("%s", err.text);
    assert_string_equal(head_examples(copy), digest_a);
    assert_string_equal(head_model(copy), digest_b);
    for (int i = 0; i < ROWS; i++)
        assert_true(score(h, &rows[i]) == score(copy, &rows[i]));
    head_free(copy);
    copy = head_fit(rows, ROWS, WIDTH, digest_a, digest_b);
    head_print(copy, &again);
    assert_true(span_equal(span_bytes(&file), span_bytes(&again)));
    head_free(copy);
    head_free(h);
    bytes_free(&file);
    bytes_free(&again);
}

static void check_damaged(struct span file) {
    struct err err = {0};
    struct head *h = head_parse(file, "f", &err);

    assert_null(h);
    assert_int_equal(err.code, ERR_INPUT);
    assert_memory_equal(err.text, "f: ", 3);
}

/* As if whoever damaged it had made a new digest for it. */
static void sign(struct bytes *file) {
    char digest[HASH_HEX_SIZE];
    size_t end = file->size - (HASH_HEX_SIZE - 1);

    hash_sha256_hex(span_slice(span_bytes(file), 0, end), digest);
    memcpy(file->at + end, digest, HASH_HEX_SIZE - 1);
}

static void test_damaged(void **state) {
    const float bad = NAN;
    const uint32_t wide = 1u << 30;
    struct bytes file = {0};
    struct head *h;

    (void)state;
    make_rows(false);
    h = head_fit(rows, ROWS, WIDTH, digest_a, digest_b);
    head_print(h, &file);
    head_free(h);
    for (size_t i = 0; i < file.size; i += i < 300 ? 1 : 997) {
        check_damaged(span_slice(span_bytes(&file), 0, i));
        file.at[i] ^= 4;
        check_damaged(span_bytes(&file));
        file.at[i] ^= 4;
    }
    bytes_puts(&file, "x");
    check_damaged(span_bytes(&file));
    file.size--;
    memcpy(file.at + 16, &bad, sizeof bad); /* the bias */
    sign(&file);
    check_damaged(span_bytes(&file));
    memset(file.at + 16, 0, sizeof bad);
    file.at[30] = 'Z'; /* in a digest */
    sign(&file);
    check_damaged(span_bytes(&file));
    file.at[30] = 'a';
    sign(&file);
    h = head_parse(span_bytes(&file), "f", NULL);
    assert_non_null(h); /* so these were the reasons */
    head_free(h);
    memcpy(file.at + 8, &wide, sizeof wide);
    sign(&file);
    check_damaged(span_bytes(&file));
    bytes_free(&file);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_learns),  cmocka_unit_test(test_border),
        cmocka_unit_test(test_windows), cmocka_unit_test(test_held_out),
        cmocka_unit_test(test_file),    cmocka_unit_test(test_damaged),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
