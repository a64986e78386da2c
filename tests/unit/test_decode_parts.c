/* test_decode_parts.c - the parts of a text that are encoded say, decoded one
 * by one, what the whole says, at every depth and of the same raw bytes; the
 * rest says nothing else. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "guard/decode_types.h"
#include "odd_pieces.h"

enum { SEEDS = 400, SIZE = 12000, REACH = 300 };

static const char *const plain[] = {"the house over there ",
                                    "is where the people of the village ",
                                    "meet, and every one of them ",
                                    "will have something to say. ",
                                    "That is (as I said) ",
                                    "the well-known story\n\n",
                                    "  of an old man ",
                                    "who lives 10 miles away; ",
                                    "caf\xC3\xA9 and ",
                                    "what else could it be? "};

static const char *const odd[] = {
    "SGVsbG8gd29ybGQ ",
    "68656c6c6f20776f726c64 ",
    "68 65 6c 6c 6f ",
    ".... . .-.. .-.. --- ",
    "%68%6F",
    "&amp;",
    "&amp;#104;",
    "\\u0068",
    "U+0068 U+0069 ",
    "uryyb jbeyq guvf vf n frperg zrffntr ",
    "egassem terces a si siht dlrow olleh ",
    "VGhpcyBpcyBTR1ZzYkc4Z2QyOXliR1Eg ",
    "%75%72%79%79%62 jbeyq guvf vf n zrffntr ",
    "guvf vf %6E zrffntr ",
    "guvf vf n ",
    "si siht ",
    "\xE0\xB8\x81\xE0\xB8\xB3 ",
    "                                                                        ",
    "\xE2\x80\x8B\xE2\x80\x8B\xE2\x80\x8B\xE2\x80\x8B\xE2\x80\x8B\xE2\x80\x8B"};

/* What the layers of a text say that it does not. */
struct said {
    struct decode_byte *at;
    size_t count, capacity;
};

static void add_layer(struct said *s, const struct decode_layer *l,
                      size_t shift) {
    for (size_t i = 0; i < l->changed.count; i++)
        for (size_t k = l->changed.list[i].from; k < l->changed.list[i].end;
             k++) {
            if (s->count == s->capacity) {
                s->capacity = s->capacity ? 2 * s->capacity : 64;
                s->at = xrealloc_array(s->at, s->capacity, sizeof *s->at);
            }
            s->at[s->count++] = (struct decode_byte){
                l->view.text.at[k], (uint32_t)(l->view.map_from[k] + shift),
                (uint32_t)(l->view.map_end[k] + shift)};
        }
}

static void add_text(struct said *said, struct span text, size_t shift) {
    struct decoded d;

    assert_true(decode_text(text, 0, &d, NULL));
    for (int k = 0; k < d.count; k++) add_layer(&said[k], &d.layers[k], shift);
    decoded_clear(&d);
}

/* How many bytes of the text lie in no part. */
static size_t same(struct span text, size_t reach) {
    struct said whole[DECODE_DEPTH] = {0}, apart[DECODE_DEPTH] = {0};
    struct stretches parts = {0};
    size_t beside;

    assert_true(decode_parts(text, reach, &parts, NULL));
    add_text(whole, text, 0);
    for (size_t i = 0; i < parts.count; i++) {
        struct stretch p = parts.list[i];

        assert_true(p.from < p.end && p.end <= text.size);
        add_text(apart, span_slice(text, p.from, p.end), p.from);
    }
    for (int k = 0; k < DECODE_DEPTH; k++) {
        assert_int_equal(whole[k].count, apart[k].count);
        for (size_t i = 0; i < whole[k].count; i++) {
            assert_int_equal(whole[k].at[i].value, apart[k].at[i].value);
            assert_int_equal(whole[k].at[i].from, apart[k].at[i].from);
            assert_int_equal(whole[k].at[i].end, apart[k].at[i].end);
        }
        free(whole[k].at);
        free(apart[k].at);
    }
    beside = text.size - parts.bytes;
    odd_free(&parts);
    return beside;
}

static void test_random(void **state) {
    size_t beside = 0;

    (void)state;
    for (uint32_t seed = 1; seed <= SEEDS; seed++) {
        uint32_t random = seed;
        unsigned rare = 20 + draw(&random, 200);
        struct bytes text = {0};

        while (text.size < SIZE)
            put_pieces(&text, &random, rare, PIECES(plain), PIECES(odd));
        beside += same(span_bytes(&text), draw(&random, REACH));
        bytes_free(&text);
    }
    assert_true(beside > (size_t)SEEDS * SIZE / 4);
}

static void put_plain(struct bytes *out, size_t size) {
    for (size_t i = 0; out->size < size; i++)
        bytes_puts(out, plain[i % (sizeof plain / sizeof *plain)]);
}

/* Blanks and what nobody sees keep what is on both sides together; words do
 * not. */
static void check_near(const char *between, size_t size, bool together) {
    struct bytes text = {0};
    struct stretches parts = {0};
    size_t word, end;

    put_plain(&text, 4000);
    bytes_puts(&text, " ");
    word = text.size;
    bytes_puts(&text, "acme ");
    for (end = text.size + size; text.size < end;) bytes_puts(&text, between);
    bytes_puts(&text, " c%6Frp ");
    put_plain(&text, text.size + 4000);
    assert_true(decode_parts(span_bytes(&text), REACH, &parts, NULL));
    assert_int_equal(parts.count, 1);
    assert_int_equal(parts.list[0].from <= word, together);
    assert_int_not_equal(parts.list[0].from, 0);
    odd_free(&parts);
    bytes_free(&text);
}

static void test_near(void **state) {
    (void)state;
    check_near("  ", 3000, true);
    check_near("\n\t", 3000, true);
    check_near("the house is there ", 200, true);
    check_near("the house is there ", 3000, false);
}

/* Linear: were each run looked at by itself, this would take minutes. */
static void test_many(void **state) {
    static const char *const units[] = {"%61 ", "%61", "%61 the house ",
                                        "&amp; \xE2\x80\x8B"};

    (void)state;
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        struct bytes text = {0};
        struct stretches parts = {0};

        while (text.size < 1 << 20) bytes_puts(&text, units[i]);
        assert_true(decode_parts(span_bytes(&text), 10000, &parts, NULL));
        assert_int_equal(parts.count, 1);
        odd_free(&parts);
        bytes_free(&text);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_random),
                                       cmocka_unit_test(test_near),
                                       cmocka_unit_test(test_many)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
