/* test_tokenizer_gguf.c - published vocabularies, each in a file without a
 * model (scripts/setup --test): ids equal to their libraries' by count and
 * hash (tests/reference/tokenizer_golden.py), the same bytes back, no control
 * token out of text, and work that grows as the text does. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include "base/hash.h"
#include "engine/tokenizer.h"
#include "tests/unit/gguf_make.h"
#include "tests/unit/home_path.h"
#include "tests/unit/tokenizer_data.h"

enum kind { GPT2, LLAMA3, SPM, KINDS };

static struct tokenizer *tokenizers[KINDS];

static int open_all(void **state) {
    static const char *const names[] = {"vocabularies/gpt2.gguf",
                                        "vocabularies/llama3.gguf",
                                        "vocabularies/spm.gguf"};

    (void)state;
    for (int i = 0; i < KINDS; i++) {
        struct err err = {0};
        struct gguf *gguf = gguf_open(home_path(names[i]), &err);

        if (!gguf) fail_msg("%s: run scripts/setup --test", err.text);
        tokenizers[i] = tokenizer_new(gguf, &err);
        gguf_close(gguf);
        if (!tokenizers[i]) fail_msg("%s: %s", names[i], err.text);
    }
    return 0;
}

static int close_all(void **state) {
    (void)state;
    for (int i = 0; i < KINDS; i++) tokenizer_free(tokenizers[i]);
    return 0;
}

/* ---- goldens ---- */

static struct bytes published; /* tokenizer_published.txt */
static const char *next_line;  /* of it */

static uint64_t hash_ids(const struct tokens *ids) {
    uint64_t hash = HASH_FNV1A_START;

    for (size_t i = 0; i < ids->count; i++) {
        unsigned id = (unsigned)ids->at[i];
        const char bytes[] = {(char)id, (char)(id >> 8), (char)(id >> 16),
                              (char)(id >> 24)};

        hash = hash_fnv1a(hash, (struct span){bytes, sizeof bytes});
    }
    return hash;
}

/* `line` is that of the text, next_line what its ids are. */
static void check_golden(const char *line) {
    struct golden g;
    char *at;

    golden_read(&g, line);
    assert_memory_equal(next_line, g.name, strlen(g.name));
    assert_int_equal(next_line[strlen(g.name)], '\t');
    at = published.at + (next_line - published.at) + strlen(g.name);
    for (int i = 0; i < KINDS; i++) {
        size_t count = strtoul(at + 1, &at, 10);
        uint64_t hash = strtoull(at + 1, &at, 16);
        struct tokens ids = {0};

        assert_true(tokenizer_encode_first(tokenizers[i], span_bytes(&g.text),
                                           &ids, NULL));
        if (ids.count != count || hash_ids(&ids) != hash)
            fail_msg("%s: vocabulary %d: %zu tokens, expected are %zu", g.name,
                     i, ids.count, count);
        tokens_free(&ids);
    }
    assert_int_equal(*at, '\n');
    next_line = at + 1;
    golden_clear(&g);
}

static void test_golden(void **state) {
    struct err err;

    (void)state;
    if (!bytes_read_file(&published, "tests/unit/data/tokenizer_published.txt",
                         &err))
        fail_msg("%s", err.text);
    bytes_put(&published, (struct span){"", 1});
    next_line = published.at;
    assert_in_range(
        golden_each("tests/unit/data/tokenizer_smollm.txt", check_golden), 500,
        100000);
    assert_int_equal(*next_line, 0);
    bytes_free(&published);
}

/* ---- bytes and control tokens ---- */

static void test_round_trip_of_random_bytes(void **state) {
    uint64_t random = 99;

    (void)state;
    for (int round = 0; round < 400; round++) {
        char text[300];

        for (size_t i = 0; i < sizeof text; i++) {
            random = random * 6364136223846793005ull + 1442695040888963407ull;
            text[i] = (char)(random >> 56);
            if (round % 2) text[i] = (char)(text[i] & 0x7F);
        }
        for (int i = 0; i < KINDS; i++) {
            struct tokens ids = {0};
            struct bytes back = {0};

            assert_true(tokenizer_encode(
                tokenizers[i], (struct span){text, sizeof text}, &ids, NULL));
            for (size_t j = 0; j < ids.count; j++)
                bytes_put(&back, tokenizer_piece(tokenizers[i], ids.at[j]));
            assert_int_equal(back.size, sizeof text);
            assert_memory_equal(back.at, text, sizeof text);
            bytes_free(&back);
            tokens_free(&ids);
        }
    }
}

/* Every control token's name, and what is spelled like a byte token. */
static void test_control_tokens_never_come_out_of_text(void **state) {
    static const char *const names[] = {
        "<s>",         "</s>",         "<unk>",
        "<0x0A>",      "<|eot_id|>",   "<|begin_of_text|>",
        "<|eom_id|>",  "<|image|>",    "<|start_header_id|>",
        "<|im_end|>",  "[INST]",       "<|python_tag|>",
        "<|step_id|>", "<|im_start|>", "<|endoftext|>",
    };
    int controls = 0;

    (void)state;
    for (int i = 0; i < KINDS; i++)
        for (size_t j = 0; j < sizeof names / sizeof names[0]; j++) {
            struct bytes text = {0};
            struct tokens ids = {0};

            controls += tokenizer_control(tokenizers[i], names[j]) >= 0;
            bytes_puts(&text, names[j]);
            bytes_puts(&text, " x\n");
            bytes_puts(&text, names[j]);
            assert_true(tokenizer_encode_first(tokenizers[i], span_bytes(&text),
                                               &ids, NULL));
            assert_in_range(ids.count, 6, 100);
            for (size_t k = 0; k < ids.count; k++)
                assert_false(tokenizer_is_control(tokenizers[i], ids.at[k]));
            tokens_free(&ids);
            bytes_free(&text);
        }
    assert_int_equal(controls, 1 + 6 + 3);
}

static void test_ends(void **state) {
    struct tokenizer *llama3 = tokenizers[LLAMA3], *spm = tokenizers[SPM];

    (void)state;
    assert_int_equal(tokenizer_vocab(llama3), 128256);
    assert_int_equal(tokenizer_opening(llama3), 128000);
    assert_int_equal(tokenizer_control(llama3, "<|eot_id|>"), 128009);
    assert_int_equal(
        tokenizer_control(llama3, "<|reserved_special_token_246|>"), 128255);
    assert_true(tokenizer_is_end(llama3, 128009));
    assert_true(tokenizer_is_end(llama3, 128008));
    assert_true(tokenizer_is_end(llama3, 128001));
    assert_int_equal(tokenizer_opening(spm), 1);
    assert_true(tokenizer_is_end(spm, 2));
    assert_int_equal(tokenizer_opening(tokenizers[GPT2]), -1);
}

/* ---- work ---- */

static void fill(struct bytes *out, const char *unit, size_t size) {
    while (out->size < size) bytes_puts(out, unit);
}

static void fill_letters(struct bytes *out, size_t size) {
    uint32_t random = 7;

    while (out->size < size) {
        char c;

        random = random * 1664525u + 1013904223u;
        c = (char)('a' + (random >> 16) % 26);
        bytes_put(out, (struct span){&c, 1});
    }
}

static uint64_t steps_of(const struct tokenizer *t, const char *unit,
                         size_t size) {
    struct bytes text = {0};
    struct tokens ids = {0};
    uint64_t steps = 0;

    if (unit)
        fill(&text, unit, size);
    else
        fill_letters(&text, size);
    assert_true(
        tokenizer_encode_counted(t, span_bytes(&text), &ids, &steps, NULL));
    tokens_free(&ids);
    bytes_free(&text);
    return steps;
}

/* n log n: twice the text is a little more than twice the work, and a byte
 * costs no more than a heap's depth some few times. */
static void test_work_is_linear(void **state) {
    static const char *const units[] = {
        "a",         "\xF0\x9F\x98\x80", " ",  "\n", "1",
        "e\xCC\x81", "\xE7\x9A\x84",     "ab", " a", NULL};
    const size_t size = 1 << 16;

    (void)state;
    for (int i = 0; i < KINDS; i++)
        for (size_t j = 0; j < sizeof units / sizeof units[0]; j++) {
            uint64_t once = steps_of(tokenizers[i], units[j], size);
            uint64_t twice = steps_of(tokenizers[i], units[j], 2 * size);

            if (twice > once * 9 / 4 || once > size * 60)
                fail_msg("vocabulary %d, text %zu: %llu, then %llu steps", i, j,
                         (unsigned long long)once, (unsigned long long)twice);
        }
}

static void test_a_megabyte_without_a_break(void **state) {
    (void)state;
    for (int i = 0; i < KINDS; i++)
        assert_in_range(steps_of(tokenizers[i], NULL, 1 << 20), 1 << 20,
                        60 << 20);
}

static void test_limits(void **state) {
    struct tokens ids = {0};
    struct bytes text = {0};
    struct err err;

    (void)state;
    fill(&text, "a", TOKENIZER_RUN_BYTES_MAX + 1);
    assert_true(tokens_push(&ids, 5, NULL));
    for (int i = 0; i < KINDS; i++) {
        assert_false(
            tokenizer_encode(tokenizers[i], span_bytes(&text), &ids, &err));
        assert_int_equal(err.code, ERR_LIMIT);
        assert_int_equal(ids.count, 1);
    }
    tokens_free(&ids);
    bytes_free(&text);
}

/* ---- files that contradict themselves ---- */

/* What a file of 256 byte tokens and "a" lacks or has wrong. */
struct flaw {
    const char *kind; /* NULL: no key */
    bool numbers;     /* tokens are not strings */
    uint64_t types;   /* how many, also below */
    uint64_t scores;
    uint64_t charsmap;
    bool squeeze;
    uint32_t bos;
};

static void make_array(struct gguf_make *m, const char *key, uint32_t kind,
                       uint64_t count) {
    make_key(m, key, 9);
    put_u32(&m->keys, kind);
    put_u64(&m->keys, count);
}

static void make_vocabulary(struct gguf_make *m, const struct flaw *flaw) {
    if (flaw->kind) make_string(m, "tokenizer.ggml.model", flaw->kind);
    make_string(m, "tokenizer.ggml.pre", "gpt-2");
    make_u32(m, "tokenizer.ggml.bos_token_id", flaw->bos);
    make_array(m, "tokenizer.ggml.tokens", flaw->numbers ? 4 : 8, 257);
    for (int i = 0; i < 257; i++) {
        char name[7];

        (void)snprintf(name, sizeof name, "<0x%02X>", i & 255);
        if (flaw->numbers)
            put_u32(&m->keys, 1);
        else
            put_text(&m->keys, i < 256 ? name : "a");
    }
    make_array(m, "tokenizer.ggml.token_type", 5, flaw->types);
    for (uint64_t i = 0; i < flaw->types; i++)
        put_u32(&m->keys, i < 256 ? TOKEN_BYTE : TOKEN_NORMAL);
    make_array(m, "tokenizer.ggml.scores", 6, flaw->scores);
    for (uint64_t i = 0; i < flaw->scores; i++) put_u32(&m->keys, 0);
    if (flaw->charsmap)
        make_array(m, "tokenizer.ggml.precompiled_charsmap", 0, flaw->charsmap);
    for (uint64_t i = 0; i < flaw->charsmap; i++) put(&m->keys, "", 1);
    make_key(m, "tokenizer.ggml.remove_extra_whitespaces", 7);
    put(&m->keys, flaw->squeeze ? "\1" : "", 1);
}

/* NULL: the file is sound. */
static void check_file(const struct flaw *flaw, const char *reason) {
    char path[] = "/tmp/test_tokenizer_XXXXXX";
    struct gguf_make m = {0};
    struct err err = {0};
    struct tokenizer *t;
    struct gguf *gguf;

    make_vocabulary(&m, flaw);
    gguf_make_write(&m, path);
    gguf = gguf_open(path, &err);
    if (!gguf) fail_msg("%s", err.text);
    t = tokenizer_new(gguf, &err);
    if (!reason && !t) fail_msg("%s", err.text);
    if (reason && t) fail_msg("%s: was taken", reason);
    if (reason && !strstr(err.text, reason)) fail_msg("%s", err.text);
    tokenizer_free(t);
    gguf_close(gguf);
    (void)unlink(path);
}

static void test_bad_files(void **state) {
    const struct flaw sound = {"llama", false, 257, 257, 0, false, 0};
    struct flaw flaw = sound;

    (void)state;
    check_file(&flaw, NULL);
    flaw.kind = "gpt2";
    check_file(&flaw, NULL);
    flaw.kind = "bert";
    check_file(&flaw, "`bert` is not known");
    flaw.kind = NULL;
    check_file(&flaw, "`` is not known");
    flaw = sound;
    flaw.numbers = true;
    check_file(&flaw, "tokens: not an array of strings");
    flaw = sound;
    flaw.types = 256;
    check_file(&flaw, "token_type does not match");
    flaw = sound;
    flaw.scores = 258;
    check_file(&flaw, "scores does not match");
    flaw = sound;
    flaw.charsmap = 4;
    check_file(&flaw, "rewrites its text");
    flaw = sound;
    flaw.squeeze = true;
    check_file(&flaw, "rewrites its text");
    flaw = sound;
    flaw.bos = 257;
    check_file(&flaw, "bos id 257");
    flaw.bos = UINT32_MAX;
    check_file(&flaw, "is not in the vocabulary");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden),
        cmocka_unit_test(test_round_trip_of_random_bytes),
        cmocka_unit_test(test_control_tokens_never_come_out_of_text),
        cmocka_unit_test(test_ends),
        cmocka_unit_test(test_work_is_linear),
        cmocka_unit_test(test_a_megabyte_without_a_break),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_bad_files),
    };

    return cmocka_run_group_tests(tests, open_all, close_all);
}
