/* test_tokenizer_spm.c - SentencePiece's BPE on vocabularies of our own. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/utf8.h"
#include "engine/tokenizer.h"

#define BLANK "\xE2\x96\x81"

/* <unk> <s> </s>, then all bytes, then the test's own tokens. */
enum { BYTES = 3, OWN = BYTES + 256, TOKENS = OWN + 64 };

struct vocab_maker {
    struct span tokens[TOKENS];
    int32_t types[TOKENS];
    float scores[TOKENS];
    char names[256][7];
    struct vocabulary v;
};

static void maker_init(struct vocab_maker *m) {
    static const char *const names[] = {"<unk>", "<s>", "</s>"};

    memset(m, 0, sizeof *m);
    for (int i = 0; i < BYTES; i++) {
        m->tokens[i] = span_of(names[i]);
        m->types[i] = i ? TOKEN_CONTROL : TOKEN_UNKNOWN;
    }
    for (int byte = 0; byte < 256; byte++) {
        (void)snprintf(m->names[byte], 7, "<0x%02X>", byte);
        m->tokens[BYTES + byte] = (struct span){m->names[byte], 6};
        m->types[BYTES + byte] = TOKEN_BYTE;
    }
    m->v = (struct vocabulary){.kind = TOKENIZER_SPM,
                               .tokens = m->tokens,
                               .types = m->types,
                               .scores = m->scores,
                               .token_count = OWN,
                               .space_prefix = true,
                               .add_bos = true,
                               .bos = 1,
                               .eos = 2,
                               .eot = -1,
                               .eom = -1};
}

static void maker_add(struct vocab_maker *m, const char *text, float score) {
    size_t i = m->v.token_count++;

    m->tokens[i] = span_of(text);
    m->types[i] = TOKEN_NORMAL;
    m->scores[i] = score;
}

static struct tokenizer *maker_open(const struct vocab_maker *m) {
    struct err err = {0};
    struct tokenizer *t = tokenizer_from_vocabulary(&m->v, &err);

    if (!t) fail_msg("%s", err.text);
    return t;
}

/* Own tokens by their place, bytes in hex. */
static void check_ids(const struct tokenizer *t, bool first, const char *text,
                      const char *expected) {
    struct tokens ids = {0};
    struct bytes list = {0};

    assert_true(first ? tokenizer_encode_first(t, span_of(text), &ids, NULL)
                      : tokenizer_encode(t, span_of(text), &ids, NULL));
    for (size_t i = 0; i < ids.count; i++) {
        int id = ids.at[i];

        assert_false(tokenizer_is_control(t, id));
        assert_true(id >= OWN
                        ? bytes_printf(&list, NULL, "%d ", id - OWN)
                        : bytes_printf(&list, NULL, "x%02X ", id - BYTES));
    }
    bytes_put(&list, (struct span){"", 1});
    assert_string_equal(list.at, expected);
    bytes_free(&list);
    tokens_free(&ids);
}

static struct tokenizer *words(void) {
    static const char *const tokens[] = {
        BLANK,     "a",         "b", "c", "ab", "bc", "abc",
        BLANK "a", BLANK BLANK, "<", "s", ">",  "/"};
    struct vocab_maker m;

    maker_init(&m);
    for (size_t i = 0; i < sizeof tokens / sizeof tokens[0]; i++)
        maker_add(&m, tokens[i], -(float)i);
    return maker_open(&m);
}

static void test_words(void **state) {
    struct tokenizer *t = words();

    (void)state;
    check_ids(t, false, "", "");
    check_ids(t, true, "", "");
    check_ids(t, false, "abc", "6 ");
    check_ids(t, true, "abc", "0 6 ");
    check_ids(t, true, "a", "7 ");
    check_ids(t, true, " a", "0 7 ");
    check_ids(t, false, "bc", "5 ");
    check_ids(t, false, "cab", "3 4 ");
    check_ids(t, false, "   ", "8 0 ");
    check_ids(t, false, BLANK "a", "7 "); /* as a blank */
    check_ids(t, false, "a\nz", "1 x0A x7A ");
    check_ids(t, false, "\xC3\xA9", "xC3 xA9 ");
    check_ids(t, false, "a\xFF\xC3 a", "1 xFF xC3 7 ");
    tokenizer_free(t);
}

static void test_text_is_never_a_control_token(void **state) {
    struct tokenizer *t = words();

    (void)state;
    assert_int_equal(tokenizer_control(t, "</s>"), 2);
    assert_int_equal(tokenizer_control(t, "<0x0A>"), -1);
    check_ids(t, false, "<s>", "9 10 11 ");
    check_ids(t, false, "</s>", "9 12 10 11 ");
    check_ids(t, false, "<0x0A>", "9 x30 x78 x30 x41 11 ");
    check_ids(t, false, "<unk>", "9 x75 x6E x6B 11 ");
    tokenizer_free(t);
}

static void test_pieces(void **state) {
    struct tokenizer *t = words();

    (void)state;
    assert_true(span_is(tokenizer_piece(t, OWN + 7), " a"));
    assert_true(span_is(tokenizer_piece(t, BYTES + 10), "\n"));
    assert_int_equal(tokenizer_piece(t, BYTES).size, 1);
    assert_int_equal(tokenizer_piece(t, 0).size, 0);
    assert_int_equal(tokenizer_piece(t, 2).size, 0);
    assert_true(tokenizer_is_control(t, 0));
    assert_false(tokenizer_is_control(t, BYTES));
    assert_true(tokenizer_is_end(t, 2));
    assert_int_equal(tokenizer_opening(t), 1);
    tokenizer_free(t);
}

static void test_no_prefix(void **state) {
    struct vocab_maker m;
    struct tokenizer *t;

    (void)state;
    maker_init(&m);
    m.v.space_prefix = false;
    m.v.add_bos = false;
    maker_add(&m, "a", 0);
    t = maker_open(&m);
    check_ids(t, true, "a", "0 ");
    assert_int_equal(tokenizer_opening(t), -1);
    tokenizer_free(t);
}

/* ---- against the plain loop, on any vocabulary ---- */

static const char *const letters[] = {"a", "b", "c", BLANK, "\xC3\xA9"};
enum { LETTERS = 5, OWN_TOKENS = 40, TEXT = 60 };

static uint32_t draw(uint32_t *random, uint32_t below) {
    *random = *random * 1664525u + 1013904223u;
    return (*random >> 8) % below;
}

static int own_token(const struct vocab_maker *m, struct span s) {
    for (size_t i = OWN; i < m->v.token_count; i++)
        if (span_equal(m->tokens[i], s)) return (int)i;
    return -1;
}

/* All of the text as one run, whose symbols are known by where they end. */
static void plain(const struct vocab_maker *m, struct span text,
                  struct tokens *out) {
    size_t ends[TEXT * 3], count = 0;

    for (size_t at = 0; at < text.size;) {
        uint32_t point;

        at += utf8_decode(span_slice(text, at, text.size), &point, NULL);
        ends[count++] = at;
    }
    for (;;) {
        size_t best = SIZE_MAX;
        float score = 0;

        for (size_t i = 0; i + 1 < count; i++) {
            int id = own_token(
                m, span_slice(text, i ? ends[i - 1] : 0, ends[i + 1]));

            if (id < 0 || (best != SIZE_MAX && m->scores[id] <= score))
                continue;
            best = i;
            score = m->scores[id];
        }
        if (best == SIZE_MAX) break;
        count--;
        for (size_t i = best; i < count; i++) ends[i] = ends[i + 1];
    }
    for (size_t i = 0; i < count; i++) {
        struct span s = span_slice(text, i ? ends[i - 1] : 0, ends[i]);
        int id = own_token(m, s);

        if (id >= 0) {
            assert_true(tokens_push(out, id, NULL));
            continue;
        }
        if (span_is(s, BLANK)) s = span_of(" ");
        for (size_t j = 0; j < s.size; j++)
            assert_true(tokens_push(out, BYTES + (unsigned char)s.at[j], NULL));
    }
}

static void make_tokens(struct vocab_maker *m, char room[][24],
                        uint32_t *random) {
    for (int i = 0; i < OWN_TOKENS; i++) {
        uint32_t length = 1 + draw(random, i % 2 ? 3 : 5);

        room[i][0] = 0;
        while (length-- > 0)
            (void)strcat(room[i], letters[draw(random, LETTERS)]);
        if (own_token(m, span_of(room[i])) < 0)
            maker_add(m, room[i], (float)draw(random, 6));
    }
}

static void check_random(uint32_t seed) {
    char room[OWN_TOKENS][24];
    uint32_t random = seed;
    struct vocab_maker m;
    struct tokenizer *t;

    maker_init(&m);
    make_tokens(&m, room, &random);
    t = maker_open(&m);
    for (int round = 0; round < 40; round++) {
        struct tokens ids = {0}, expected = {0};
        struct bytes text = {0};

        for (uint32_t i = draw(&random, TEXT); i > 0; i--)
            bytes_puts(&text, letters[draw(&random, LETTERS)]);
        plain(&m, span_bytes(&text), &expected);
        assert_true(tokenizer_encode(t, span_bytes(&text), &ids, NULL));
        assert_int_equal(ids.count, expected.count);
        if (ids.count)
            assert_memory_equal(ids.at, expected.at,
                                ids.count * sizeof *ids.at);
        tokens_free(&ids);
        tokens_free(&expected);
        bytes_free(&text);
    }
    tokenizer_free(t);
}

static void test_equals_the_plain_loop(void **state) {
    (void)state;
    for (uint32_t seed = 0; seed < 100; seed++) check_random(seed);
}

/* ---- vocabularies that are none ---- */

static void check_refused(struct vocab_maker *m, enum err_code code,
                          const char *reason) {
    struct err err = {0};

    assert_null(tokenizer_from_vocabulary(&m->v, &err));
    assert_int_equal(err.code, code);
    if (!strstr(err.text, reason)) fail_msg("%s", err.text);
}

static void test_bad_vocabularies(void **state) {
    struct vocab_maker m;

    (void)state;
    maker_init(&m);
    maker_add(&m, "a", NAN);
    check_refused(&m, ERR_INPUT, "token 259: its score");
    m.scores[OWN] = INFINITY;
    check_refused(&m, ERR_INPUT, "token 259: its score");
    m.v.scores = NULL;
    check_refused(&m, ERR_INPUT, "no scores");

    maker_init(&m);
    maker_add(&m, "a b", 0);
    check_refused(&m, ERR_INPUT, "token 259: a blank");

    maker_init(&m);
    maker_add(&m, "a", 0);
    maker_add(&m, "a", 1);
    check_refused(&m, ERR_INPUT, "token 260: the same text as token 259");

    maker_init(&m);
    m.types[BYTES + 7] = TOKEN_UNUSED;
    check_refused(&m, ERR_UNSUPPORTED, "byte 0x07");
    m.types[BYTES + 7] = TOKEN_BYTE;
    m.tokens[BYTES + 7] = span_of("<0x08>");
    check_refused(&m, ERR_INPUT, "token 11: the same byte as token 10");
    m.tokens[BYTES + 7] = span_of("<0x-1>");
    check_refused(&m, ERR_INPUT, "token 10: not a byte");
    m.tokens[BYTES + 7] = span_of("<0x1>");
    check_refused(&m, ERR_INPUT, "token 10: not a byte");
    m.tokens[BYTES + 7] = span_of("");
    check_refused(&m, ERR_INPUT, "token 10: not a byte");
    m.types[BYTES + 7] = 0;
    check_refused(&m, ERR_INPUT, "token 10: unknown type 0");

    maker_init(&m);
    m.v.eos = OWN;
    check_refused(&m, ERR_INPUT, "eos id 259");
    m.v.token_count = 0;
    check_refused(&m, ERR_LIMIT, "of 0 tokens");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_words),
        cmocka_unit_test(test_text_is_never_a_control_token),
        cmocka_unit_test(test_pieces),
        cmocka_unit_test(test_no_prefix),
        cmocka_unit_test(test_equals_the_plain_loop),
        cmocka_unit_test(test_bad_vocabularies),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
