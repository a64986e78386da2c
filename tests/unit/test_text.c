/* test_text.c - folding: what a reader reads, where it stands in the raw text,
 * and that what is called settled stays whatever follows. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <unicode/uchar.h>

#include "base/utf8.h"
#include "guard/text.h"

static void check_fold(const char *raw, const char *want) {
    struct text_view v;
    struct err err;

    assert_true(text_fold(span_of(raw), &v, &err));
    if (!span_is(span_bytes(&v.text), want))
        fail_msg("'%s' became '%.*s' instead of '%s'", raw, (int)v.text.size,
                 v.text.at, want);
    text_view_clear(&v);
}

static void test_fold(void **state) {
    (void)state;
    check_fold("", "");
    check_fold("Plain TEXT, 123.", "plain text, 123.");
    check_fold("a  b \t\n c", "a b\nc");
    check_fold("\xEF\xBC\xA1\xEF\xBC\xA3\xEF\xBC\xAD\xEF\xBC\xA5", "acme");
    check_fold("a\xE2\x80\x8B"
               "c\xE2\x81\xA0m\xC2\xAD"
               "e",
               "acme");
    check_fold("ac\xF3\xA0\x81\xA1me \xF0\x9F\x98\x80\xEF\xB8\x8F",
               "acme \xF0\x9F\x98\x80");
    check_fold("\xE2\x80\xAE"
               "acme\xE2\x80\xAC",
               "acme");
    check_fold("a\x01"
               "c\x7F"
               "me",
               "acme");
    check_fold("Stra\xC3\x9F"
               "e",
               "strasse");
    check_fold("e\xCC\x81"
               "X",
               "\xC3\xA9x");
    check_fold("a\xCC\xB7"
               "c\xCC\xB7"
               "me",
               "acme");
    check_fold("\xEF\xAC\x81ne", "fine");
    check_fold("\xE2\x91\xA0\xC2\xA0\xD9\xA3", "1 \xD9\xA3");
    check_fold("a\xE2\x80\x93"
               "b",
               "a-b");
    check_fold("a\xFF"
               "b\xC3",
               "a\xEF\xBF\xBD"
               "b\xEF\xBF\xBD");
    check_fold("\xE1\x84\x80\xE1\x85\xA1", "\xEA\xB0\x80");
}

static void test_looks(void **state) {
    (void)state;
    /* A Cyrillic a among Latin letters, and a Greek capital. */
    check_fold("p\xD0\xB0ypal", "paypal");
    check_fold("\xCE\x91"
               "cme",
               "acme");
    check_fold("\xD0\x9C\xD0\xBE\xD1\x81\xD0\xBA\xD0\xB2\xD0\xB0",
               "\xD0\xBC\xD0\xBE\xD1\x81\xD0\xBA\xD0\xB2\xD0\xB0");
    /* Nothing but look-alikes. */
    check_fold("\xD0\xB0\xD1\x81\xD0\xBE\xD1\x80\xD0\xB5", "acope");
    check_fold("USB \xD0\xBA\xD0\xB0\xD0\xB1\xD0\xB5\xD0\xBB\xD1\x8C",
               "usb \xD0\xBA\xD0\xB0\xD0\xB1\xD0\xB5\xD0\xBB\xD1\x8C");
}

static void test_plain(void **state) {
    struct text_view v;
    struct err err;

    (void)state;
    assert_true(text_fold_plain(span_of("P\xD0\xB0Y"), &v, &err));
    assert_true(span_is(span_bytes(&v.text), "p\xD0\xB0y"));
    assert_false(v.mapped);
    text_view_clear(&v);
}

static void test_map(void **state) {
    const char *raw = "x\xE2\x80\x8B\xEF\xBC\xA1"
                      "e\xCC\x81!";
    struct text_view v;
    struct err err;

    (void)state;
    assert_true(text_fold(span_of(raw), &v, &err));
    assert_true(span_is(span_bytes(&v.text), "xa\xC3\xA9!"));
    assert_int_equal(v.map_from[1], 4);
    assert_int_equal(v.map_end[1], 7);
    assert_int_equal(v.map_from[2], 7);
    assert_int_equal(v.map_end[2], 10);
    assert_int_equal(v.map_from[3], 7);
    assert_int_equal(v.map_from[4], 10);
    assert_int_equal(text_view_raw(&v, 5, strlen(raw)), strlen(raw));
    text_view_clear(&v);
}

static const char *const pieces[] = {"a",
                                     "B",
                                     " ",
                                     "\n",
                                     "1",
                                     "-",
                                     "\xCC\x81",
                                     "\xCC\xB7",
                                     "\xD0\xB0",
                                     "\xD1\x80",
                                     "\xD0\xA1",
                                     "\xD0\xBB",
                                     "\xE2\x80\x8B",
                                     "\xC2\xAD",
                                     "\xEF\xBC\xA1",
                                     "\xC3\xA9",
                                     "\xE1\x84\x80",
                                     "\xE1\x85\xA1",
                                     "\xFF",
                                     "\xEF\xAC\x81",
                                     "y",
                                     "e",
                                     "\xE2\x80\x82",
                                     "_",
                                     "\xE6\xAF\x92"};

static uint32_t next(uint32_t *seed) {
    *seed = *seed * 1664525u + 1013904223u;
    return *seed >> 8;
}

static size_t random_text(uint32_t *seed, char *out, int count) {
    size_t size = 0;

    for (int i = 0; i < count; i++) {
        const char *piece =
            pieces[next(seed) % (sizeof pieces / sizeof *pieces)];

        memcpy(out + size, piece, strlen(piece));
        size += strlen(piece);
    }
    return size;
}

/* What is settled in a prefix is in the whole text, with the same map. */
static void check_settled(struct span text, size_t cut, bool looks) {
    struct text_view part, whole;
    struct err err;
    struct span head = span_slice(text, 0, cut);

    head.size = utf8_complete(head);
    if (looks) {
        assert_true(text_fold(head, &part, &err));
        assert_true(text_fold(text, &whole, &err));
    } else {
        assert_true(text_fold_plain(head, &part, &err));
        assert_true(text_fold_plain(text, &whole, &err));
    }
    assert_true(part.settled <= part.text.size);
    assert_true(part.settled <= whole.text.size);
    assert_memory_equal(part.text.at, whole.text.at, part.settled);
    for (size_t i = 0; i < part.settled; i++) {
        assert_int_equal(part.map_from[i], whole.map_from[i]);
        assert_int_equal(part.map_end[i], whole.map_end[i]);
    }
    text_view_clear(&part);
    text_view_clear(&whole);
}

static void test_settled(void **state) {
    uint32_t seed = 1;
    char text[256];

    (void)state;
    for (int round = 0; round < 400; round++) {
        size_t size = random_text(&seed, text, 1 + (int)(next(&seed) % 30));

        for (size_t cut = 0; cut <= size; cut++) {
            check_settled((struct span){text, size}, cut, true);
            check_settled((struct span){text, size}, cut, false);
        }
    }
}

/* The map never points outside, never runs backwards, and the view is valid
 * UTF-8, whatever the bytes. */
static void test_any_bytes(void **state) {
    uint32_t seed = 7;
    char text[64];

    (void)state;
    for (int round = 0; round < 2000; round++) {
        struct text_view v;
        struct err err;

        for (size_t i = 0; i < sizeof text; i++)
            text[i] = (char)(next(&seed) & 0xFF);
        assert_true(text_fold((struct span){text, sizeof text}, &v, &err));
        assert_true(utf8_valid(span_bytes(&v.text)));
        for (size_t i = 0; i < v.text.size; i++) {
            assert_true(v.map_from[i] < v.map_end[i]);
            assert_true(v.map_end[i] <= sizeof text);
            assert_true(i == 0 || v.map_from[i - 1] <= v.map_from[i]);
        }
        text_view_clear(&v);
    }
}

static void test_points(void **state) {
    (void)state;
    assert_true(text_is_word_point('a') && text_is_word_point('_'));
    assert_true(text_is_word_point(0x301) && text_is_word_point(0x660));
    assert_true(text_is_word_point(0x2160) && text_is_word_point(0xBD));
    assert_false(text_is_word_point(' ') || text_is_word_point(0x200B));
    assert_false(text_is_word_point(0x1F600) || text_is_word_point(0x203F));
    assert_int_equal(text_lower_point('A'), 'a');
    assert_int_equal(text_lower_point(0x416), 0x436);
    assert_int_equal(text_lower_point(0x130), 0x130);
    assert_int_equal(text_lower_point(0x1E9E), 0xDF);
    assert_true(text_is_unspaced(0x4E00) && text_is_unspaced(0xE01));
    assert_false(text_is_unspaced('a') || text_is_unspaced(0x430));
    assert_true(text_is_simple(span_of("Ab c\nd")));
    assert_false(text_is_simple(span_of("a  b")));
    assert_false(text_is_simple(span_of("\xC3\xA9")));
}

/* The short ways to a point's class lead where ICU's own does. */
static void test_classes(void **state) {
    (void)state;
    for (uint32_t point = 0; point <= 0x10FFFF; point++) {
        uint32_t class = U_MASK(u_charType((UChar32)point));

        assert_int_equal(text_is_mark(point), (class & U_GC_M_MASK) != 0);
        assert_int_equal(text_is_word_point(point),
                         point == '_' || (class & (U_GC_L_MASK | U_GC_M_MASK |
                                                   U_GC_N_MASK)) != 0);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_classes),   cmocka_unit_test(test_fold),
        cmocka_unit_test(test_looks),     cmocka_unit_test(test_plain),
        cmocka_unit_test(test_map),       cmocka_unit_test(test_settled),
        cmocka_unit_test(test_any_bytes), cmocka_unit_test(test_points)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
