/* test_odd.c - the odd stretches of a text are the same whether it is read by
 * blocks or by bytes; what a few of them are. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "guard/odd.h"
#include "guard/plain.h"
#include "odd_pieces.h"

enum { SEEDS = 2000, SIZE = 2000 };

static const char *const plain[] = {
    "the ",        "quick ", "brown ", "fox, ", "I ",   "am ",  "a ",    "be. ",
    "Hello! ",     "(so)\n", "12 ",    "it's ", "end;", "x - ", "$ ",    "a b ",
    "well-known ", "[a] ",   "b) ",    "& ",    "5, ",  "?\n",  "what! "};

static const char *const odd[] = {
    "k1ll ", "a b c ",   "k.i.l.l ", "  ", "\n",   "\t", "$5",
    "a!1",   "a@b",      "!",        "+",  "a",    "1",  " ",
    ".",     "\xC3\xA9", "x|y",      "!!", "\x7F", "-"};

/* How many there were. */
static size_t same(struct span text) {
    struct stretches fast = {0}, slow = {0};
    size_t count;

    odd_stretches(text, &fast);
    odd_stretches_slowly(text, &slow);
    assert_int_equal(fast.count, slow.count);
    assert_int_equal(fast.bytes, slow.bytes);
    for (size_t i = 0; i < fast.count; i++)
        assert_memory_equal(&fast.list[i], &slow.list[i], sizeof *fast.list);
    count = fast.count;
    odd_free(&fast);
    odd_free(&slow);
    return count;
}

static void test_random(void **state) {
    size_t found = 0;

    (void)state;
    for (uint32_t seed = 1; seed <= SEEDS; seed++) {
        uint32_t random = seed;
        unsigned rare = 1 + draw(&random, 90);
        struct bytes text = {0};

        while (text.size < SIZE)
            put_pieces(&text, &random, rare, PIECES(plain), PIECES(odd));
        text.size -= draw(&random, 80);
        found += same(span_bytes(&text));
        bytes_free(&text);
    }
    assert_true(found > SEEDS);
}

static void test_written(void **state) {
    static const char *const paths[] = {"README.md", "docs/policies.md",
                                        "guard/odd.c",
                                        "tests/guard/obfuscation/texts.jsonl"};

    (void)state;
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        struct bytes file = {.limit = 1 << 20};

        assert_true(bytes_read_file(&file, paths[i], NULL));
        assert_true(same(span_bytes(&file)) > 0);
        bytes_free(&file);
    }
}

/* Where `piece` stands in a long text, it alone is odd, or nothing is. */
static void check(const char *piece, bool is_odd) {
    for (size_t before = 0; before < 200; before++) {
        struct bytes text = {0};
        struct stretches found = {0};

        while (text.size < before) bytes_puts(&text, "so ");
        bytes_puts(&text, "then ");
        bytes_puts(&text, piece);
        for (int i = 0; i < 70; i++) bytes_puts(&text, " and");
        odd_stretches(span_bytes(&text), &found);
        assert_int_equal(found.count, is_odd);
        odd_free(&found);
        bytes_free(&text);
    }
}

static void test_some(void **state) {
    (void)state;
    check("k1ll", true);
    check("k.i.l.l", true);
    check("caf\xC3\xA9", false);
    check("caf\xC3\xA9\xCC\x81", true);
    check("\xE2\x80\x9Cit\xE2\x80\x99s\xE2\x80\x9D", false);
    check("\xC3\xA9 \xC3\xA0 \xC3\xA8", true);
    check("2\xC3\xA9", true);
    check("\xD0\xB0", true);
    check("a@b", true);
    check("ab\tcd \r\n  ef", false);
    check("a\x01"
          "b",
          true);
    check("stop!", false);
    check("1,234.50", false);
    check("a-b", false);
    check("I am a man", false);
}

/* Blanks in a row are one byte of what parts two stretches, and so is a plain
 * letter. */
static void test_group(void **state) {
    struct span text = span_of("a1        b2 three c3 \xC3\xA9 d4");
    struct stretches s = {NULL, 0, 0, 0};

    (void)state;
    odd_stretches(text, &s);
    assert_int_equal(s.count, 4);
    assert_int_equal(plain_group(text, &s, 0, 0), 0);
    assert_int_equal(plain_group(text, &s, 0, 2), 1);
    assert_int_equal(plain_group(text, &s, 0, 6), 1);
    assert_int_equal(plain_group(text, &s, 0, 7), 3);
    assert_int_equal(plain_group(text, &s, 2, 2), 2);
    assert_int_equal(plain_group(text, &s, 2, 3), 3);
    assert_int_equal(plain_group(text, &s, 3, 2), 3);
    odd_free(&s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random), cmocka_unit_test(test_written),
        cmocka_unit_test(test_some), cmocka_unit_test(test_group)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
