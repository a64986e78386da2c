/* test_model.c - logits against references made elsewhere: a numpy forward
 * pass for a tiny model with every weight format, transformers for one shaped
 * as Llama 3.1. And that a sequence's result does not
 * depend on how it was cut into steps, on what else is in the batch, or on a
 * shared prefix. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "engine/kernel.h"
#include "tests/unit/gguf_make.h"
#include "tests/unit/model_fixture.h"

#define TINY "tests/unit/data/tiny.gguf"

static void check_tiny(const char *cpu, bool exact, double tolerance) {
    struct fixture f;

    if (cpu && !kernels_named(cpu)) return;
    open_model(&f, TINY, cpu, exact, 2);
    assert_true(worst_of(&f, "tests/unit/data/tiny.golden", 64, exact, 99) <
                tolerance);
    close_model(&f);
}

static void test_tiny_exact(void **state) {
    (void)state;
    check_tiny(NULL, true, 0.001);
}

/* Llama 3.1's RoPE scaling, within and beyond the original context. */
static void test_llama31(void **state) {
    struct fixture f;

    (void)state;
    open_model(&f, "tests/unit/data/llama31.gguf", NULL, true, 2);
    assert_true(worst_of(&f, "tests/unit/data/llama31.golden", ROWS, true, 99) <
                0.002);
    close_model(&f);
    open_model(&f, "tests/unit/data/llama31.gguf", NULL, false, 2);
    assert_true(worst_of(&f, "tests/unit/data/llama31.golden", 100, false, 99) <
                0.5);
    close_model(&f);
}

/* int8 activations and bf16 weights. */
static void test_tiny_each_table(void **state) {
    (void)state;
    for (size_t i = 0; kernels_name(i); i++)
        check_tiny(kernels_name(i), false, 0.5);
}

/* How a text is cut into steps must not matter, nor may the threads. */
static void test_steps(void **state) {
    static const int steps[] = {1, 3, 8, 100};
    struct fixture f;
    float first[260];
    int ids[100];

    (void)state;
    for (int i = 0; i < 100; i++) ids[i] = i * 37 % 260;
    for (size_t i = 0; i < 4; i++) {
        struct sequence *s;

        open_model(&f, TINY, NULL, true, (int)i + 1);
        s = golden_feed(f.model, f.kv, ids, 100, steps[i], NULL, 0, f.hidden);
        model_logits(f.model, f.hidden, 1, f.logits);
        if (i == 0) memcpy(first, f.logits, sizeof first);
        for (int j = 0; j < 260; j++)
            assert_float_equal(f.logits[j], first[j], 1e-3);
        sequence_free(s);
        close_model(&f);
    }
}

/* The last of `count` tokens on a cache of its own, `step` rows at a time. */
static void last_of(struct fixture *f, enum kv_type type, int count, int step,
                    float *hidden) {
    struct kv *kv = golden_kv(f->model, 512, type);
    int ids[512];

    for (int i = 0; i < count; i++) ids[i] = i * 37 % 260;
    sequence_free(golden_feed(f->model, kv, ids, count, step, NULL, 0, hidden));
    kv_free(kv);
}

/* Beyond one span of attention, a row that is alone has its spans computed as
 * tasks, and with many others they are one task: the same to the bit. */
static void test_spans(void **state) {
    static const enum kv_type types[] = {KV_I16, KV_Q8};
    struct fixture f;
    float want[256];

    (void)state;
    open_model(&f, TINY, NULL, false, 2);
    for (size_t i = 0; i < 2; i++) {
        last_of(&f, types[i], 511, 511, want);
        last_of(&f, types[i], 511, 255, f.hidden);
        assert_memory_equal(f.hidden, want, sizeof want);
    }
    close_model(&f);
    open_model(&f, TINY, NULL, true, 3);
    last_of(&f, KV_F32, 511, 511, want);
    last_of(&f, KV_F32, 511, 255, f.hidden);
    for (int i = 0; i < 256; i++)
        assert_float_equal(f.hidden[i], want[i], 1e-3);
    close_model(&f);
}

/* Q8_0 keys and values change little, and are not F16's. */
static void test_kv_types(void **state) {
    struct fixture f;
    float want[256];
    double total = 0;

    (void)state;
    open_model(&f, TINY, NULL, false, 2);
    last_of(&f, KV_I16, 300, 300, want);
    last_of(&f, KV_Q8, 300, 300, f.hidden);
    for (int i = 0; i < 256; i++)
        total += fabs((double)(f.hidden[i] - want[i]));
    print_message("Q8_0 KV: hidden states differ by %g\n", total / 256);
    assert_true(total > 0 && total / 256 < 0.05);
    close_model(&f);
}

/* Rows of three sequences in one batch, mixed, against each alone. */
static void test_batch(void **state) {
    enum { COUNT = 3, LENGTH = 40 };
    struct fixture f;
    struct sequence *s[COUNT];
    struct row rows[COUNT * LENGTH];
    float *alone;
    int n = 0;

    (void)state;
    open_model(&f, TINY, NULL, false, 2);
    alone = xalloc_array(COUNT * 256, sizeof *alone);
    for (int q = 0; q < COUNT; q++) {
        struct kv_key keys[LENGTH];
        int ids[LENGTH];
        int matched;

        for (int i = 0; i < LENGTH; i++) {
            ids[i] = (i * 7 + q * 11 + 1) % 260;
            /* Another adapter number: nothing is found in the cache. */
            keys[i] = (struct kv_key){ids[i], 1};
        }
        sequence_free(golden_feed(f.model, f.kv, ids, LENGTH, LENGTH, NULL, 0,
                                  alone + 256 * q));
        s[q] = sequence_new(f.kv, keys, LENGTH, &matched);
        assert_int_equal(matched, 0);
        assert_true(sequence_extend(s[q], keys, LENGTH, NULL));
    }
    for (int i = 0; i < LENGTH; i++)
        for (int q = 0; q < COUNT; q++)
            rows[n++] = (struct row){(i * 7 + q * 11 + 1) % 260, i, s[q], NULL,
                                     i == LENGTH - 1};
    model_forward(f.model, rows, n, f.hidden);
    for (int i = 0; i < COUNT * 256; i++)
        assert_float_equal(f.hidden[i], alone[i], 0.1);
    for (int q = 0; q < COUNT; q++) sequence_free(s[q]);
    free(alone);
    close_model(&f);
}

/* A fork shares the pages of its prefix and must equal a fresh sequence, also
 * while the sequence it came from goes on elsewhere. */
static void test_fork(void **state) {
    enum { PREFIX = 45, LENGTH = 60 };
    struct fixture f;
    float fresh[256];
    int ids[LENGTH];
    struct sequence *trunk;
    struct sequence *fork;

    (void)state;
    open_model(&f, TINY, NULL, true, 2);
    for (int i = 0; i < LENGTH; i++) ids[i] = i * 13 % 260;
    fork = golden_feed(f.model, f.kv, ids, LENGTH, 7, NULL, 0, fresh);
    sequence_free(fork);
    kv_free(f.kv);
    f.kv = golden_kv(f.model, POSITIONS, KV_F32);
    trunk = golden_feed(f.model, f.kv, ids, PREFIX, 64, NULL, 0, f.hidden);
    fork = golden_feed(f.model, f.kv, ids, LENGTH, 64, NULL, 0, f.hidden);
    for (int i = 0; i < 256; i++)
        assert_float_equal(f.hidden[i], fresh[i], 1e-3);
    sequence_free(fork);
    for (int i = PREFIX; i < LENGTH; i++) ids[i] = i * 17 % 260;
    fork = golden_feed(f.model, f.kv, ids, LENGTH, 64, NULL, 0, f.hidden);
    for (int i = PREFIX; i < LENGTH; i++) ids[i] = i * 13 % 260;
    sequence_free(fork);
    fork = golden_feed(f.model, f.kv, ids, LENGTH, 64, NULL, 0, f.hidden);
    for (int i = 0; i < 256; i++)
        assert_float_equal(f.hidden[i], fresh[i], 1e-3);
    sequence_free(fork);
    sequence_free(trunk);
    close_model(&f);
}

/* Wanted rows come out in the caller's order, though rows are sorted inside;
 * label logits are the same rows of the head. */
static void test_wanted_and_labels(void **state) {
    static const int labels[] = {3, 259, 0};
    struct fixture f;
    float some[3];
    int ids[] = {5, 6, 7};
    struct sequence *s;

    (void)state;
    open_model(&f, TINY, NULL, true, 1);
    s = golden_feed(f.model, f.kv, ids, 3, 8, NULL, 0, f.hidden);
    model_logits(f.model, f.hidden, 1, f.logits);
    model_label_logits(f.model, f.hidden, labels, 3, some);
    for (int i = 0; i < 3; i++)
        assert_float_equal(some[i], f.logits[labels[i]], 1e-3);
    sequence_free(s);
    close_model(&f);
}

static void refuse(const char *what, void (*change)(struct gguf_make *),
                   const char *reason) {
    struct gguf_make m = {0};
    struct model_options options = {1, 4, false};
    struct err err = {0};
    struct gguf *g;
    char path[] = "/tmp/corral-model-XXXXXX";

    gguf_make_llama(&m, change);
    gguf_make_write(&m, path);
    g = gguf_open(path, &err);
    if (!g) fail_msg("%s: %s", what, err.text);
    if (model_open(g, &options, &err)) fail_msg("%s was accepted", what);
    if (err.code != ERR_INPUT && err.code != ERR_UNSUPPORTED)
        fail_msg("%s: %s", what, err.text);
    if (strncmp(err.text, path, strlen(path)) || !strstr(err.text, reason))
        fail_msg("%s: %s", what, err.text);
    gguf_close(g);
    unlink(path);
}

static void mamba(struct gguf_make *m) {
    m->architecture = "mamba";
}
static void no_blocks(struct gguf_make *m) {
    m->blocks = 0;
}
static void many_blocks(struct gguf_make *m) {
    m->blocks = 100000;
}
static void odd_heads(struct gguf_make *m) {
    m->kv_heads = 3;
}
static void small_head(struct gguf_make *m) {
    m->heads = 8;
    m->kv_heads = 8;
}
static void narrow(struct gguf_make *m) {
    m->embedding = 48;
    m->heads = m->kv_heads = 1;
}
static void lost_tensor(struct gguf_make *m) {
    m->without = "blk.0.ffn_up.weight";
}
static void two_blocks(struct gguf_make *m) {
    m->blocks = 2;
}
static void wrong_feed(struct gguf_make *m) {
    m->feed_forward_key = 128;
}
static void not_finite(struct gguf_make *m) {
    m->weight = NAN;
}
static void no_epsilon(struct gguf_make *m) {
    m->epsilon = 0;
}
static void yarn(struct gguf_make *m) {
    m->rope_scaling = "yarn";
}
static void vocab(struct gguf_make *m) {
    m->vocab_key = 77;
}

static void test_refused(void **state) {
    (void)state;
    refuse("another architecture", mamba, "is not llama");
    refuse("no blocks", no_blocks, "llama.block_count");
    refuse("too many blocks", many_blocks, "llama.block_count");
    refuse("KV heads that do not divide", odd_heads, "head_count");
    refuse("a head of 8", small_head, "head size");
    refuse("a width of 48", narrow, "multiple of 32");
    refuse("a missing tensor", lost_tensor, "ffn_up");
    refuse("a block without tensors", two_blocks, "blk.1.");
    refuse("a wrong shape", wrong_feed, "wrong shape");
    refuse("NaN weights", not_finite, "not finite");
    refuse("no epsilon", no_epsilon, "epsilon");
    refuse("unknown scaling", yarn, "rope.scaling");
    refuse("another vocabulary", vocab, "vocab_size");
}

static void test_made_model(void **state) {
    struct gguf_make m = {0};
    struct fixture f;
    int ids[] = {1, 2, 3};
    char path[] = "/tmp/corral-model-XXXXXX";
    struct sequence *s;

    (void)state;
    gguf_make_llama(&m, NULL);
    gguf_make_write(&m, path);
    open_model(&f, path, NULL, false, 1);
    s = golden_feed(f.model, f.kv, ids, 3, 3, NULL, 0, f.hidden);
    model_logits(f.model, f.hidden, 1, f.logits);
    assert_true(isfinite(f.logits[0]));
    sequence_free(s);
    close_model(&f);
    unlink(path);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tiny_exact),
        cmocka_unit_test(test_llama31),
        cmocka_unit_test(test_tiny_each_table),
        cmocka_unit_test(test_steps),
        cmocka_unit_test(test_spans),
        cmocka_unit_test(test_kv_types),
        cmocka_unit_test(test_batch),
        cmocka_unit_test(test_fork),
        cmocka_unit_test(test_wanted_and_labels),
        cmocka_unit_test(test_made_model),
        cmocka_unit_test(test_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
