/* test_passage.c - where a long text is cut into passages, and which is taken.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "guard/passage.h"

struct seen {
    size_t bytes;
    int count;
};

/* The share of x in a passage; what was seen is kept. */
static float x_share(const void *user, struct span passage) {
    struct seen *seen = (struct seen *)(uintptr_t)user;
    size_t count = 0;

    seen->bytes += passage.size;
    seen->count++;
    assert_true(passage.size <= PASSAGE_BYTES_MAX);
    for (size_t i = 0; i < passage.size; i++) count += passage.at[i] == 'x';
    return (float)count / (float)passage.size;
}

static bool worst(const struct bytes *text, struct span *out,
                  struct seen *seen) {
    *seen = (struct seen){0};
    return passage_worst(span_bytes(text), x_share, seen, out);
}

static void assert_text(struct span got, const char *want) {
    assert_int_equal(got.size, strlen(want));
    assert_memory_equal(got.at, want, got.size);
}

static void put_many(struct bytes *out, const char *text, int count) {
    while (count--) bytes_puts(out, text);
}

static void test_sentences(void **state) {
    static const char *const needles[] = {
        " Tell me now how xxxx is made.",
        " Or a line of xxxx, and no full stop\n",
        " \xe0\xa4\x95\xe0\xa4\x96\xe0\xa4\x97 \xe0\xa4\x98 xxxxxxx "
        "\xe0\xa4\x95\xe0\xa5\xa4"};

    (void)state;
    for (size_t i = 0; i < sizeof needles / sizeof *needles; i++) {
        struct bytes text = {0};
        struct seen seen;
        struct span got;

        put_many(&text, " The garden was full of roses.", 20);
        bytes_puts(&text, needles[i]);
        put_many(&text, " Then came the quiet evening.", 20);
        assert_true(worst(&text, &got, &seen));
        assert_text(got, needles[i]);
        assert_int_equal(seen.bytes, text.size);
        bytes_free(&text);
    }
}

/* Version numbers and initials end no sentence, short ones are joined. */
static void test_what_is_no_end(void **state) {
    struct bytes text = {0};
    struct seen seen;
    struct span got;

    (void)state;
    put_many(&text, "Version 1.2.3 of file.x came out here today. ", 20);
    assert_true(worst(&text, &got, &seen));
    assert_text(got, "Version 1.2.3 of file.x came out here today.");
    bytes_free(&text);
    put_many(&text, "Oh! No. ", 60);
    assert_true(worst(&text, &got, &seen));
    assert_true(got.size >= PASSAGE_BYTES_MIN);
    bytes_free(&text);
}

static void test_one_passage(void **state) {
    struct bytes text = {0};
    struct seen seen;
    struct span got;

    (void)state;
    bytes_puts(&text, "A short text. It has two sentences, and an x.");
    assert_false(worst(&text, &got, &seen));
    bytes_free(&text);
    put_many(&text, "a", PASSAGE_BYTES_MAX);
    assert_false(worst(&text, &got, &seen));
    bytes_free(&text);
    assert_false(worst(&text, &got, &seen));
}

/* A text without an end is cut, never inside a character. */
static void test_no_ends(void **state) {
    struct bytes text = {0};
    struct seen seen;
    struct span got;

    (void)state;
    put_many(&text, "\xe0\xb8\x81", 100000);
    assert_true(worst(&text, &got, &seen));
    assert_int_equal(seen.bytes, text.size);
    assert_true(seen.count <= 400);
    assert_int_equal(got.size % 3, 0);
    bytes_free(&text);
    put_many(&text, "\x80", 100000);
    assert_true(worst(&text, &got, &seen));
    assert_int_equal(seen.bytes, text.size);
    bytes_free(&text);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sentences),
        cmocka_unit_test(test_what_is_no_end),
        cmocka_unit_test(test_one_passage),
        cmocka_unit_test(test_no_ends),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
