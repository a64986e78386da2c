/* test_tokenizer.c - ids equal to the `tokenizers` library's on the default
 * model's vocabulary (tests/reference/tokenizer_golden.py), and the same bytes
 * back. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include "engine/tokenizer.h"
#include "tests/unit/model_path.h"
#include "tests/unit/tokenizer_data.h"

static struct tokenizer *tokenizer;

static int open_model(void **state) {
    struct err err = {0};
    struct gguf *gguf = gguf_open(model_path(), &err);

    (void)state;
    if (!gguf) fail_msg("%s", err.text);
    tokenizer = tokenizer_new(gguf, &err);
    gguf_close(gguf);
    if (!tokenizer) fail_msg("%s", err.text);
    return 0;
}

static int close_model(void **state) {
    (void)state;
    tokenizer_free(tokenizer);
    return 0;
}

static void decode(const struct tokenizer *t, const struct tokens *ids,
                   struct bytes *out) {
    for (size_t i = 0; i < ids->count; i++)
        bytes_put(out, tokenizer_piece(t, ids->at[i]));
}

static void check_golden(const char *line) {
    struct golden g;
    struct tokens ids = {0};
    struct err err;

    golden_read(&g, line);
    assert_true(tokenizer_encode(tokenizer, span_bytes(&g.text), &ids, &err));
    for (size_t i = 0; i < ids.count && i < g.number_count; i++)
        if (ids.at[i] != g.numbers[i])
            fail_msg("%s: token %zu is %d, not %d", g.name, i, ids.at[i],
                     g.numbers[i]);
    if (ids.count != g.number_count)
        fail_msg("%s: %zu tokens, not %zu", g.name, ids.count, g.number_count);
    tokens_free(&ids);
    golden_clear(&g);
}

static void test_golden(void **state) {
    (void)state;
    assert_in_range(
        golden_each("tests/unit/data/tokenizer_smollm.txt", check_golden), 400,
        100000);
}

/* Bytes that no token of this vocabulary spells: they are dropped. */
static bool has_token(int byte) {
    char c = (char)byte;
    struct tokens ids = {0};
    bool has;

    assert_true(tokenizer_encode(tokenizer, (struct span){&c, 1}, &ids, NULL));
    has = ids.count > 0;
    tokens_free(&ids);
    return has;
}

static void test_round_trip_of_random_bytes(void **state) {
    uint64_t random = 12345;
    bool known[256];
    int missing = 0;

    (void)state;
    for (int byte = 0; byte < 256; byte++) {
        known[byte] = has_token(byte);
        missing += !known[byte];
    }
    assert_int_equal(missing, 21);
    for (int round = 0; round < 300; round++) {
        char text[200];
        struct tokens ids = {0};
        struct bytes back = {0}, expected = {0};
        size_t size;

        for (size = 0; size < sizeof text; size++) {
            random = random * 6364136223846793005ull + 1442695040888963407ull;
            text[size] = (char)(random >> 56);
            if (round % 2) text[size] = (char)(text[size] & 0x7F);
            if (known[(unsigned char)text[size]])
                bytes_put(&expected, (struct span){&text[size], 1});
        }
        assert_true(
            tokenizer_encode(tokenizer, (struct span){text, size}, &ids, NULL));
        decode(tokenizer, &ids, &back);
        assert_true(span_equal(span_bytes(&back), span_bytes(&expected)));
        for (size_t i = 0; i < ids.count; i++)
            assert_false(tokenizer_is_control(tokenizer, ids.at[i]));
        bytes_free(&back);
        bytes_free(&expected);
        tokens_free(&ids);
    }
}

static void test_control_tokens_never_come_out_of_text(void **state) {
    static const char *const names[] = {"<|im_start|>", "<|im_end|>",
                                        "<|endoftext|>", "<repo_name>"};

    (void)state;
    assert_int_equal(tokenizer_control(tokenizer, "<|im_start|>"), 1);
    assert_int_equal(tokenizer_control(tokenizer, "<|im_end|>"), 2);
    assert_int_equal(tokenizer_control(tokenizer, "the"), -1);
    assert_int_equal(tokenizer_control(tokenizer, "<|eot_id|>"), -1);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        struct tokens ids = {0};
        int id = tokenizer_control(tokenizer, names[i]);

        assert_true(tokenizer_is_control(tokenizer, id));
        assert_int_equal(tokenizer_piece(tokenizer, id).size, 0);
        assert_true(tokenizer_encode(tokenizer, span_of(names[i]), &ids, NULL));
        assert_true(ids.count > 1);
        for (size_t j = 0; j < ids.count; j++)
            assert_false(tokenizer_is_control(tokenizer, ids.at[j]));
        tokens_free(&ids);
    }
}

static void test_ends(void **state) {
    (void)state;
    assert_int_equal(tokenizer_vocab(tokenizer), 49152);
    assert_int_equal(tokenizer_bos(tokenizer), 1);
    assert_int_equal(tokenizer_eos(tokenizer), 2);
    assert_true(tokenizer_is_end(tokenizer, 2));
    assert_true(tokenizer_is_end(tokenizer, 0));
    assert_false(tokenizer_is_end(tokenizer, 1));
    assert_false(tokenizer_is_end(tokenizer, -1));
    assert_false(tokenizer_is_end(tokenizer, 49152));
    assert_int_equal(tokenizer_piece(tokenizer, 49152).size, 0);
}

static void test_limit(void **state) {
    struct tokens ids = {.limit = 3};
    struct err err;

    (void)state;
    assert_true(tokenizer_encode(tokenizer, span_of("one"), &ids, &err));
    assert_int_equal(ids.count, 1);
    assert_false(tokenizer_encode(tokenizer, span_of("a b c d"), &ids, &err));
    assert_int_equal(err.code, ERR_LIMIT);
    assert_int_equal(ids.count, 1);
    assert_true(tokenizer_encode(tokenizer, span_of(" two three"), &ids, &err));
    assert_int_equal(ids.count, 3);
    assert_false(tokens_push(&ids, 1, &err));
    tokens_free(&ids);
}

/* ---- a vocabulary of our own ---- */

static struct tokenizer *small(const char *const *tokens, size_t count,
                               const char *const *merges, size_t merge_count,
                               const char *pre, struct err *err) {
    struct span token_spans[16], merge_spans[16];
    struct vocabulary v = {.tokens = token_spans,
                           .token_count = count,
                           .merges = merge_spans,
                           .merge_count = merge_count,
                           .pre = span_of(pre),
                           .bos = -1,
                           .eos = -1,
                           .eot = -1,
                           .eom = -1};

    for (size_t i = 0; i < count; i++) token_spans[i] = span_of(tokens[i]);
    for (size_t i = 0; i < merge_count; i++)
        merge_spans[i] = span_of(merges[i]);
    return tokenizer_from_vocabulary(&v, err);
}

static void check_ids(const struct tokenizer *t, const char *text,
                      const char *expected) {
    struct tokens ids = {0};
    struct bytes list = {0};

    assert_true(tokenizer_encode(t, span_of(text), &ids, NULL));
    for (size_t i = 0; i < ids.count; i++)
        assert_true(bytes_printf(&list, NULL, "%d ", ids.at[i]));
    bytes_put(&list, (struct span){"", 1});
    assert_string_equal(list.at, expected);
    bytes_free(&list);
    tokens_free(&ids);
}

/* Llama 3 emits a piece that is a token as it is; GPT-2 only what the merges
 * lead to. */
static void test_ignore_merges(void **state) {
    static const char *const tokens[] = {"a", "b", "c", "ab", "abc", "bc"};
    static const char *const merges[] = {"b c", "a b"};
    struct tokenizer *t;

    (void)state;
    t = small(tokens, 6, merges, 2, "gpt-2", NULL);
    assert_non_null(t);
    check_ids(t, "abc", "0 5 ");
    check_ids(t, "aab", "0 3 ");
    check_ids(t, "azb", "3 "); /* z has no token; its neighbours meet */
    check_ids(t, "z", "");
    tokenizer_free(t);
    t = small(tokens, 6, merges, 2, "llama-bpe", NULL);
    assert_non_null(t);
    check_ids(t, "abc", "4 ");
    check_ids(t, "abcc", "0 5 2 ");
    tokenizer_free(t);
}

static void check_refused(const char *const *tokens, size_t count,
                          const char *merge, const char *pre,
                          enum err_code code) {
    struct err err = {0};

    assert_null(small(tokens, count, &merge, merge != NULL, pre, &err));
    assert_int_equal(err.code, code);
}

static void test_bad_vocabularies(void **state) {
    static const char *const good[] = {"a", "b", "ab"};
    static const char *const blank[] = {"a b"};
    static const char *const twice[] = {"a", "b", "a"};
    static const char *const same[] = {"a b", "a b"};
    struct err err = {0};

    (void)state;
    assert_null(small(good, 3, same, 2, "gpt-2", &err));
    assert_string_equal(err.text, "merge 1: the same as merge 0");
    check_refused(good, 3, NULL, "qwen2", ERR_UNSUPPORTED);
    check_refused(good, 0, NULL, "gpt-2", ERR_LIMIT);
    check_refused(good, 3, "a", "gpt-2", ERR_INPUT);
    check_refused(good, 3, "a c", "gpt-2", ERR_INPUT);
    check_refused(good, 3, "b a", "gpt-2", ERR_INPUT);
    check_refused(good, 3, "a b a", "gpt-2", ERR_INPUT);
    check_refused(good, 3, " ", "gpt-2", ERR_INPUT);
    check_refused(good, 3, " ab", "gpt-2", ERR_INPUT);
    check_refused(good, 3, "ab ", "gpt-2", ERR_INPUT);
    check_refused(twice, 3, NULL, "gpt-2", ERR_INPUT);
    check_refused(blank, 1, NULL, "gpt-2", ERR_INPUT);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden),
        cmocka_unit_test(test_round_trip_of_random_bytes),
        cmocka_unit_test(test_control_tokens_never_come_out_of_text),
        cmocka_unit_test(test_ends),
        cmocka_unit_test(test_limit),
        cmocka_unit_test(test_ignore_merges),
        cmocka_unit_test(test_bad_vocabularies),
    };

    return cmocka_run_group_tests(tests, open_model, close_model);
}
