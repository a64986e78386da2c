/* test_examples.c - labelled texts: read whole, or refused with the line. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "guard/examples.h"

/* `count` lines, every other one to block, then `tail`. */
static struct bytes file_of(int count, const char *tail) {
    struct bytes out = {0};

    for (int i = 0; i < count; i++)
        assert_true(bytes_printf(
            &out, NULL, "{\"text\":\"text %d\",\"label\":%d}\n", i, i % 2));
    bytes_puts(&out, tail);
    return out;
}

static void test_read(void **state) {
    struct bytes file =
        file_of(20, "\n{\"label\":\"block\",\"text\":\"t\\u00e9\"}\r\n  \n"
                    "{\"text\":\"text 3\",\"label\":\"block\"}\n"
                    "{\"text\":\"last\",\"label\":\"allow\"}");
    struct examples e;
    struct err err = {0};
    char digest[HASH_HEX_SIZE];

    (void)state;
    if (!examples_parse(&e, span_bytes(&file), "f", &err))
        fail_msg("%s", err.text);
    assert_int_equal(e.count, 23);
    assert_int_equal(e.positives, 12);
    assert_true(e.list[1].positive && !e.list[0].positive);
    assert_string_equal(e.list[20].text, "t\xc3\xa9");
    assert_int_equal(e.list[20].size, 3);
    assert_int_equal(e.list[20].line, 22);
    assert_string_equal(e.list[22].text, "last");
    hash_sha256_hex(span_bytes(&file), digest);
    assert_string_equal(e.digest, digest);
    examples_clear(&e);
    bytes_free(&file);
}

static void check_refused(int count, const char *tail, const char *words) {
    struct bytes file = file_of(count, tail);
    struct examples e;
    struct err err = {0};

    if (examples_parse(&e, span_bytes(&file), "f", &err))
        fail_msg("accepted: %s", tail);
    assert_int_equal(err.code, ERR_INPUT);
    if (strncmp(err.text, words, strlen(words)) != 0)
        fail_msg("'%s' instead of '%s'", err.text, words);
    assert_null(e.list);
    bytes_free(&file);
}

static void test_refused(void **state) {
    char long_text[EXAMPLES_TEXT_MAX + 64];

    (void)state;
    check_refused(0, "", "f: 0 to block");
    check_refused(19, "", "f: 9 to block and 10 to allow: at least 5");
    check_refused(9, "{\"text\":\"a\",\"label\":0}\n", "f: 4 to block");
    check_refused(20, "[]", "f:21: expected a JSON object");
    check_refused(20, "{", "f:21: ");
    check_refused(20, "{\"text\":\"a\"}", "f:21: label must");
    check_refused(20, "{\"text\":\"a\",\"label\":2}", "f:21: label must");
    check_refused(20, "{\"text\":\"a\",\"label\":true}", "f:21: label must");
    check_refused(20, "{\"text\":\"a\",\"label\":\"no\"}", "f:21: label must");
    check_refused(20, "{\"text\":\" \",\"label\":1}", "f:21: text must");
    check_refused(20, "{\"label\":1}", "f:21: text must");
    check_refused(20, "{\"text\":\"a\",\"label\":1,\"x\":1}", "f:21: ");
    check_refused(20, "\n{\"text\":\"text 3\",\"label\":0}",
                  "f:22: the same text as in line 4,");
    check_refused(EXAMPLES_MAX, "{\"text\":\"a\",\"label\":1}",
                  "f:2001: more than 2000");
    (void)snprintf(long_text, sizeof long_text,
                   "{\"label\":1,\"text\":\"%0*d\"}", EXAMPLES_TEXT_MAX + 1, 0);
    check_refused(20, long_text, "f:21: the text is past");
}

/* Cut anywhere, it is read or refused, and nothing is lost or read twice. */
static void test_cut(void **state) {
    struct bytes file = file_of(22, "");

    (void)state;
    for (size_t i = 0; i <= file.size; i++) {
        struct err err = {0};
        struct examples e;

        if (examples_parse(&e, span_slice(span_bytes(&file), 0, i), "f", &err))
            assert_in_range(e.count, 20, 22);
        else
            assert_int_equal(err.code, ERR_INPUT);
        examples_clear(&e);
    }
    bytes_free(&file);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_read),
                                       cmocka_unit_test(test_refused),
                                       cmocka_unit_test(test_cut)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
