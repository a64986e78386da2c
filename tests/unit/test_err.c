/* test_err.c - why a call failed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"

static void test_set(void **state) {
    struct err err = {0};

    (void)state;
    assert_false(err_set(&err, ERR_LIMIT, "past %d", 7));
    assert_int_equal(err.code, ERR_LIMIT);
    assert_string_equal(err.text, "past 7");
    assert_string_equal(err.field, "");
    assert_false(err_set_field(&err, ERR_INPUT, "messages[2]", "bad"));
    assert_int_equal(err.code, ERR_INPUT);
    assert_string_equal(err.field, "messages[2]");
    /* A later plain error must not keep an earlier field. */
    assert_false(err_set(&err, ERR_IO, "gone"));
    assert_string_equal(err.field, "");
}

static void test_nobody_asks(void **state) {
    (void)state;
    assert_false(err_set(NULL, ERR_LIMIT, "past %d", 7));
    assert_false(err_set_field(NULL, ERR_LIMIT, "x", "past %d", 7));
}

static void test_long_is_cut(void **state) {
    char text[2 * ERR_TEXT_MAX], field[2 * ERR_FIELD_MAX];
    struct {
        struct err err;
        char after[16];
    } box;

    (void)state;
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    memset(field, 'y', sizeof field - 1);
    field[sizeof field - 1] = '\0';
    memset(&box, 0x55, sizeof box);
    assert_false(err_set_field(&box.err, ERR_INPUT, field, "%s", text));
    assert_int_equal(strlen(box.err.text), ERR_TEXT_MAX - 1);
    assert_int_equal(strlen(box.err.field), ERR_FIELD_MAX - 1);
    for (size_t i = 0; i < sizeof box.after; i++)
        assert_int_equal(box.after[i], 0x55);
}

/* The words are used in logs and metrics: each code has its own. */
static void test_names(void **state) {
    (void)state;
    for (int a = ERR_NONE; a <= ERR_INTERNAL; a++) {
        assert_string_not_equal(err_code_name((enum err_code)a), "unknown");
        for (int b = ERR_NONE; b < a; b++)
            assert_string_not_equal(err_code_name((enum err_code)a),
                                    err_code_name((enum err_code)b));
    }
    assert_string_equal(err_code_name(ERR_BUSY), "busy");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_set),
        cmocka_unit_test(test_nobody_asks),
        cmocka_unit_test(test_long_is_cut),
        cmocka_unit_test(test_names),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
