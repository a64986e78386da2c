/* test_model_default.c - the default model's logits against those of
 * transformers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/model_fixture.h"
#include "tests/unit/model_path.h"

static void test_default_exact(void **state) {
    struct fixture f;

    (void)state;
    open_model(&f, model_path(), NULL, true, 2);
    assert_true(worst_of(&f, "tests/unit/data/default.golden", ROWS, true, 99) <
                0.05);
    close_model(&f);
}

static void test_default_fast(void **state) {
    struct fixture f;

    (void)state;
    open_model(&f, model_path(), NULL, false, 2);
    assert_true(
        worst_of(&f, "tests/unit/data/default.golden", ROWS, false, 99) < 2.0);
    close_model(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_default_exact),
        cmocka_unit_test(test_default_fast),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
