/* test_look.c - the looks of each instruction set tell the same. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "guard/look.h"

enum { BLOCKS = 200000 };

/* Bytes that the looks tell apart, and any. */
static const char usual[] = "aAzZ09fFgG..--__//++ \n\t|!$@=%\\&U:,'[`{~x";

static uint32_t draw(uint32_t *random, uint32_t below) {
    *random = *random * 1664525u + 1013904223u;
    return (*random >> 8) % below;
}

static void fill(char *block, uint32_t *random) {
    uint32_t odd = draw(random, 40), letters = draw(random, 4);

    for (int i = 0; i < LOOK_SIZE; i++) {
        if (draw(random, 40) < odd / 8)
            block[i] = (char)draw(random, 256);
        else if (draw(random, 4) < letters)
            block[i] = (char)('a' + draw(random, 26));
        else
            block[i] = usual[draw(random, sizeof usual - 1)];
    }
}

static void test_same(void **state) {
    uint32_t random = 1;
    int odd = 0, codes = 0, copies = 0;

    (void)state;
    if (!look_is_wide()) skip();
    for (int i = 0; i < BLOCKS; i++) {
        char block[LOOK_SIZE], low[2][LOOK_SIZE] = {{0}, {0}};
        size_t end[2] = {0, 0}, got;
        struct look_code code[2];

        fill(block, &random);
        got = look_narrow.odd(block, &end[0]);
        assert_int_equal(look_wide.odd(block, &end[1]), got);
        assert_int_equal(end[0], end[1]);
        odd += got == 0;
        got = look_narrow.copy(block, low[0]);
        assert_int_equal(look_wide.copy(block, low[1]), got);
        if (got) assert_memory_equal(low[0], low[1], LOOK_SIZE);
        copies += got > 0;
        code[0] = look_narrow.code(block);
        code[1] = look_wide.code(block);
        assert_int_equal(code[0].found, code[1].found);
        assert_int_equal(code[0].at, code[1].at);
        codes += code[0].found;
    }
    /* Each answer was given often. */
    assert_in_range(odd, BLOCKS / 100, BLOCKS - 1);
    assert_in_range(codes, BLOCKS / 100, BLOCKS - 1);
    assert_in_range(copies, BLOCKS / 1000, BLOCKS - 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_same)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
