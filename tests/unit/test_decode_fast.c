/* test_decode_fast.c - a long text, of which most is passed over quickly, is
 * decoded as one that is read byte by byte. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "guard/decode_types.h"
#include "odd_pieces.h"

enum { SEEDS = 300, SIZE = 6000 };

static const char *const plain[] = {"the ",
                                    "I am ",
                                    "a well-known ",
                                    "be ",
                                    "faded, ",
                                    "internationally ",
                                    "Hello! ",
                                    "e.g. ",
                                    "what?\n",
                                    "it's ",
                                    "\n\n",
                                    "(see [1]) ",
                                    "- item\n",
                                    "added 10 ",
                                    "of the ",
                                    "NASA ",
                                    "a/b ",
                                    "read_only ",
                                    "x = 3; ",
                                    "end. ",
                                    "caf\xC3\xA9 ",
                                    "\xE2\x80\x9Cso\xE2\x80\x9D ",
                                    "U ",
                                    "100% "};

static const char *const odd[] = {
    "SGVsbG8gd29ybGQ",
    "SGVsbG8gd29ybGQ= ",
    "abcdefg=",
    "68656c6c6f20776f726c64 ",
    "JBSWY3DPEB3W64TMMQ====== ",
    "68 65 6c 6c 6f ",
    "104 101 108 108 111 119 ",
    "01101000 01101001 01101000 01101001 ",
    "0x68 0x65 0x6c 0x6c ",
    ".... . .-.. .-.. --- ",
    "-/.-",
    ". / ",
    "%68%6F",
    "&#104;",
    "&amp;",
    "\\u0068",
    "U+0068 U+0069 ",
    "\xF3\xA0\x81\xA8",
    "uryyb jbeyq guvf vf n frperg zrffntr ",
    "egassem terces a si siht dlrow olleh ",
    "ujkqzx wvbq zzkpf qqxw bhgtv jjkzx ",
    "\xE0\xB8\x81\xE0\xB8\xB3 ",
    "\xCC\x81",
    "\xFF\xC2",
    ".",
    "-",
    "=",
    "\\",
    "YWNtZQ%3D",
    "NjU2YzZj",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    "\nSGVsbG8gd29ybGQgSGVsbG8gd29ybGQgSGVsbG8gd29ybGQg\nSGVsbG8gd29ybGQg\n",
    "SGVsbG8gd29y\n> bGQsIGhvdyBh\n> cmUgeW91",
    "SGVs\nbG8g\nd29y\nbGQs\nIGhv\ndyBh\ncmUg\neW91\n",
    "6865 \t\r\n6c6c\n6f20\n776f\n726c\n64",
    "word\nNext\n",
    "SGVsbG8g \\nd29ybGQh "};

static void same_layer(const struct decode_layer *a,
                       const struct decode_layer *b) {
    const struct text_view *v = &a->view, *w = &b->view;

    assert_int_equal(v->text.size, w->text.size);
    assert_memory_equal(v->text.at, w->text.at, v->text.size);
    assert_memory_equal(v->map_from, w->map_from,
                        v->text.size * sizeof *v->map_from);
    assert_memory_equal(v->map_end, w->map_end,
                        v->text.size * sizeof *v->map_end);
    assert_int_equal(v->settled, w->settled);
    assert_int_equal(v->shuffled, w->shuffled);
    assert_int_equal(a->run_count, b->run_count);
    for (size_t i = 0; i < a->run_count; i++) {
        assert_int_equal(a->runs[i].from, b->runs[i].from);
        assert_int_equal(a->runs[i].end, b->runs[i].end);
        assert_int_equal(a->runs[i].escape, b->runs[i].escape);
    }
    assert_int_equal(a->changed.count, b->changed.count);
    for (size_t i = 0; i < a->changed.count; i++)
        assert_memory_equal(&a->changed.list[i], &b->changed.list[i],
                            sizeof *a->changed.list);
    assert_int_equal(a->letters, b->letters);
    assert_int_equal(a->foreign_bytes, b->foreign_bytes);
}

/* How many layers there were. */
static int same_decoded(struct span text, size_t decided) {
    struct decoded fast, slow;
    int count;

    assert_true(decode_text(text, decided, &fast, NULL));
    assert_true(decode_text_slowly(text, decided, &slow, NULL));
    assert_int_equal(fast.count, slow.count);
    assert_int_equal(fast.settled, slow.settled);
    for (int i = 0; i < fast.count; i++)
        same_layer(&fast.layers[i], &slow.layers[i]);
    count = fast.count;
    decoded_clear(&fast);
    decoded_clear(&slow);
    return count;
}

static void test_random(void **state) {
    int layers = 0;

    (void)state;
    for (uint32_t seed = 1; seed <= SEEDS; seed++) {
        uint32_t random = seed;
        unsigned rare = 1 + draw(&random, 60);
        struct bytes text = {0};

        while (text.size < SIZE)
            put_pieces(&text, &random, rare, PIECES(plain), PIECES(odd));
        text.size -= draw(&random, 40);
        layers +=
            same_decoded(span_bytes(&text), draw(&random, 2) ? 0 : seed % 99);
        bytes_free(&text);
    }
    assert_true(layers > SEEDS);
}

/* Each odd piece at each place of a block. */
static void test_places(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof odd / sizeof *odd; i++) {
        for (unsigned at = 0; at < 2 * 64; at++) {
            struct bytes text = {0};

            while (text.size < 600) bytes_puts(&text, "so it was said ");
            for (unsigned k = 0; k < at; k++) bytes_puts(&text, " ");
            for (int k = 0; k < 4; k++) bytes_puts(&text, odd[i]);
            while (text.size < 1400) bytes_puts(&text, " and it is so");
            (void)same_decoded(span_bytes(&text), 0);
            bytes_free(&text);
        }
    }
}

static void put_turned(struct bytes *out, struct span text) {
    for (size_t i = 0; i < text.size; i++) {
        char c = text.at[i], low = (char)(c | 32);

        if (low >= 'a' && low <= 'z')
            c = (char)((c & ~31) | ((low - 'a' + 13) % 26 + 1));
        bytes_put(out, (struct span){&c, 1});
    }
}

/* Texts that somebody wrote, with a part of them in rot13 and one backwards. */
static void test_written(void **state) {
    static const char *const paths[] = {"README.md", "docs/policies.md",
                                        "guard/decode.c",
                                        "tests/guard/obfuscation/texts.jsonl"};

    (void)state;
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        struct bytes file = {.limit = 1 << 20}, text = {0};
        struct span all;

        assert_true(bytes_read_file(&file, paths[i], NULL));
        all = span_bytes(&file);
        (void)same_decoded(all, 0);
        for (size_t at = 0; at < all.size; at += 700) {
            bytes_put(&text, span_slice(all, at, at + 500));
            if (at / 700 % 9 == 3)
                put_turned(&text, span_slice(all, at + 500, at + 600));
            for (size_t k = at + 700; at / 700 % 9 == 6 && k > at + 600; k--)
                bytes_put(&text, span_slice(all, k - 1, k));
        }
        assert_int_not_equal(same_decoded(span_bytes(&text), 0), 0);
        bytes_free(&text);
        bytes_free(&file);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_random),
                                       cmocka_unit_test(test_places),
                                       cmocka_unit_test(test_written)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
