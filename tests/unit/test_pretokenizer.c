/* test_pretokenizer.c - pieces equal to what Python's `regex` finds with the
 * published patterns: tests/reference/tokenizer_golden.py. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "engine/pretokenizer.h"
#include "tests/unit/tokenizer_data.h"

static void check_golden(const char *line) {
    struct golden g;
    enum pretokenizer kind;
    const char *tab = strchr(line, '\t');
    size_t at = 0;

    assert_non_null(tab);
    assert_true(
        pretokenizer_named((struct span){line, (size_t)(tab - line)}, &kind));
    golden_read(&g, tab + 1);
    for (size_t i = 0; i < g.number_count; i++) {
        size_t seen, end = pretokenizer_end(kind, span_bytes(&g.text), at, &seen);

        if (end - at != (size_t)g.numbers[i])
            fail_msg("%.*s: %s: piece %zu has %zu bytes, not %d",
                     (int)(tab - line), line, g.name, i, end - at,
                     g.numbers[i]);
        at = end;
    }
    assert_int_equal(at, g.text.size);
    golden_clear(&g);
}

static void test_golden(void **state) {
    (void)state;
    assert_in_range(
        golden_each("tests/unit/data/pretokenizer.txt", check_golden), 1000,
        100000);
}

static void check_pieces(const char *kind_name, struct span text,
                         const char *expected) {
    struct bytes cut = {0};
    enum pretokenizer kind;
    size_t at = 0;

    assert_true(pretokenizer_named(span_of(kind_name), &kind));
    while (at < text.size) {
        size_t seen, end = pretokenizer_end(kind, text, at, &seen);

        assert_in_range(end, at + 1, text.size);
        if (at) bytes_puts(&cut, "|");
        bytes_put(&cut, span_slice(text, at, end));
        at = end;
    }
    bytes_put(&cut, (struct span){"", 1});
    assert_string_equal(cut.at, expected);
    bytes_free(&cut);
}

static void test_pieces(void **state) {
    (void)state;
    check_pieces("gpt-2", span_of("I'm  100 ok"), "I|'m| | 100| ok");
    check_pieces("smollm", span_of("I'm  100 ok"), "I|'m|  |1|0|0| ok");
    check_pieces("llama-bpe", span_of("I'M 1000 ok!\n\n x"),
                 "I|'M| |100|0| ok|!\n\n| x");
    check_pieces("llama3", span_of("a\n \n\n  b"), "a|\n \n\n| | b");
}

static void test_invalid_bytes_are_other(void **state) {
    (void)state;
    check_pieces("gpt-2", span_of("a\xFF\xC3 b"), "a|\xFF\xC3| b");
    check_pieces("smollm",
                 span_of("1\xE4\xB8"
                         "2"),
                 "1|\xE4\xB8|2");
    check_pieces("llama-bpe",
                 span_of("\xF0\x9F"
                         "ab"),
                 "\xF0\x9F|"
                 "ab");
}

static void test_names(void **state) {
    enum pretokenizer kind;

    (void)state;
    assert_false(pretokenizer_named(span_of("qwen2"), &kind));
    assert_false(pretokenizer_named(span_of(""), &kind));
    assert_false(pretokenizer_named(span_of("gpt-22"), &kind));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden),
        cmocka_unit_test(test_pieces),
        cmocka_unit_test(test_invalid_bytes_are_other),
        cmocka_unit_test(test_names),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
