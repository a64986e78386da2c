/* test_adapter.c - a LoRA must act as if it were merged into the weights, on
 * its own rows and on no others, and a broken one is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "engine/kernel.h"
#include "tests/unit/gguf_make.h"
#include "tests/unit/golden.h"

enum { RANK = 5, WIDTH = 64, LABELS = 3, LENGTH = 40, MATRICES = 7 };

/* Small enough that attention does not end up on one position alone. */
#define ALPHA 2.0f

static const struct {
    const char *name;
    uint64_t k, n;
} matrices[MATRICES] = {
    {"attn_q", 64, 64},      {"attn_k", 64, 32},   {"attn_v", 64, 32},
    {"attn_output", 64, 64}, {"ffn_gate", 64, 96}, {"ffn_up", 64, 96},
    {"ffn_down", 96, 64},
};

/* Element `i` of part a or b of a matrix, for adapter `which`. */
static float part(int which, size_t matrix, bool b, size_t i) {
    return 0.3f * sinf((float)(which * 1000 + (int)matrix * 100 + 7 * b) +
                       1.3f * (float)i);
}

static void make_floats(struct gguf_make *m, const char *name, uint64_t k,
                        uint64_t n, const float *values) {
    size_t at;

    make_f32_tensor(m, name, k, n, 0, 0);
    at = m->data.size - k * (n ? n : 1) * sizeof *values;
    memcpy(m->data.at + at, values, k * (n ? n : 1) * sizeof *values);
}

/* What a test may spoil. */
struct spoil {
    const char *type;
    uint64_t extra_rank;
    float first;
    bool lost_b;
    bool stray;
    bool lost_bias;
    uint64_t extra_width;
};

static void make_adapter(char *path, int which, const struct spoil *spoil) {
    struct gguf_make m = {0};
    float values[128 * 256] = {0};
    char name[64];

    make_string(&m, "general.type", spoil->type ? spoil->type : "adapter");
    make_string(&m, "general.architecture", "llama");
    make_string(&m, "adapter.type", "lora");
    make_f32(&m, "adapter.lora.alpha", ALPHA);
    for (size_t i = 0; i < MATRICES; i++) {
        uint64_t rank = RANK + spoil->extra_rank;

        for (size_t j = 0; j < matrices[i].k * RANK; j++)
            values[j] = part(which, i, false, j);
        if (spoil->first != 0) values[0] = spoil->first;
        (void)snprintf(name, sizeof name, "blk.0.%s.weight.lora_a",
                       matrices[i].name);
        make_floats(&m, name, matrices[i].k, rank, values);
        if (spoil->lost_b) continue;
        for (size_t j = 0; j < matrices[i].n * RANK; j++)
            values[j] = part(which, i, true, j);
        (void)snprintf(name, sizeof name, "blk.0.%s.weight.lora_b",
                       matrices[i].name);
        make_floats(&m, name, rank, matrices[i].n, values);
    }
    if (spoil->stray)
        make_floats(&m, "blk.7.attn_q.weight.lora_a", 64, 5, values);
    for (size_t j = 0; j < WIDTH * LABELS; j++) values[j] = (float)(j % 5);
    make_floats(&m, "head.weight", WIDTH + spoil->extra_width, LABELS, values);
    values[0] = 100;
    if (!spoil->lost_bias) make_floats(&m, "head.bias", LABELS, 0, values);
    gguf_make_write(&m, path);
}

/* The base model with adapter `which` merged into its weights. */
static void merge(char *path, const char *base, int which) {
    struct gguf *g = gguf_open(base, NULL);
    struct bytes file = {0};
    const struct gguf_tensor *end = gguf_tensor_at(g, gguf_tensor_count(g) - 1);
    char name[64];

    assert_true(bytes_read_file(&file, base, NULL));
    for (size_t i = 0; i < MATRICES; i++) {
        const struct gguf_tensor *t;
        size_t at;

        (void)snprintf(name, sizeof name, "blk.0.%s.weight", matrices[i].name);
        t = gguf_tensor(g, name);
        /* The last tensor ends where the file does. */
        at = file.size - (size_t)((const char *)end->data + end->bytes -
                                  (const char *)t->data);
        for (size_t n = 0; n < matrices[i].n; n++) {
            for (size_t k = 0; k < matrices[i].k; k++) {
                float w;
                char *cell = file.at + at + (n * matrices[i].k + k) * sizeof w;

                memcpy(&w, cell, sizeof w);
                for (size_t r = 0; r < RANK; r++)
                    w += ALPHA / RANK * part(which, i, true, n * RANK + r) *
                         part(which, i, false, r * matrices[i].k + k);
                memcpy(cell, &w, sizeof w);
            }
        }
    }
    write_temporary(path, span_bytes(&file));
    bytes_free(&file);
    gguf_close(g);
}

struct files {
    char base[32];
    char merged[32];
    char adapter[2][32];
};

static void make_files(struct files *f) {
    static const struct spoil sound = {0};
    struct gguf_make m = {0};

    *f = (struct files){"/tmp/corral-base-XXXXXX",
                        "/tmp/corral-merged-XXXXXX",
                        {"/tmp/corral-one-XXXXXX", "/tmp/corral-two-XXXXXX"}};
    gguf_make_llama(&m, NULL);
    gguf_make_write(&m, f->base);
    make_adapter(f->adapter[0], 1, &sound);
    make_adapter(f->adapter[1], 2, &sound);
    merge(f->merged, f->base, 1);
}

static void drop_files(const struct files *f) {
    unlink(f->base);
    unlink(f->merged);
    unlink(f->adapter[0]);
    unlink(f->adapter[1]);
}

static void run(const char *path, const char *adapter_path, int id, bool exact,
                int active_from, float *hidden) {
    struct model_options options = {2, 64, exact};
    struct gguf *g = gguf_open(path, NULL);
    struct model *m = model_open(g, &options, NULL);
    struct kv *kv = golden_kv(m, 256, exact ? KV_F32 : KV_I16);
    struct adapter *a = NULL;
    struct err err = {0};
    int ids[LENGTH];

    for (int i = 0; i < LENGTH; i++) ids[i] = i * 7 % 40;
    if (adapter_path) {
        a = adapter_open(adapter_path, m, id, &err);
        if (!a) fail_msg("%s", err.text);
        assert_int_equal(adapter_id(a), id);
        assert_int_equal(adapter_labels(a), LABELS);
    }
    sequence_free(golden_feed(m, kv, ids, LENGTH, 16, a, active_from, hidden));
    adapter_close(a);
    kv_free(kv);
    model_close(m);
    gguf_close(g);
}

static void check_near(const float *a, const float *b, float tolerance) {
    for (int i = 0; i < WIDTH; i++) assert_float_equal(a[i], b[i], tolerance);
}

static bool differ(const float *a, const float *b) {
    for (int i = 0; i < WIDTH; i++)
        if (fabsf(a[i] - b[i]) > 0.001f) return true;
    return false;
}

static void test_as_merged(void **state) {
    struct files f;
    float base[WIDTH];
    float merged[WIDTH];
    float adapted[WIDTH];

    (void)state;
    make_files(&f);
    run(f.base, NULL, 0, true, 0, base);
    run(f.merged, NULL, 0, true, 0, merged);
    run(f.base, f.adapter[0], 1, true, 0, adapted);
    check_near(adapted, merged, 2e-4f);
    assert_true(differ(base, merged));
    /* bf16 parts, in every table of kernels. */
    run(f.base, f.adapter[0], 1, false, 0, adapted);
    check_near(adapted, merged, 0.05f);
    setenv("CORRAL_CPU", "scalar", 1);
    run(f.base, f.adapter[0], 1, false, 0, adapted);
    check_near(adapted, merged, 0.05f);
    unsetenv("CORRAL_CPU");
    /* Active from beyond the end: the base model. */
    run(f.base, f.adapter[0], 1, true, LENGTH, adapted);
    check_near(adapted, base, 0);
    drop_files(&f);
}

/* Rows without, with one and with another adapter, mixed in one batch, one of
 * them activated half-way: each as if it were alone. */
static void test_mixed(void **state) {
    static const int from[4] = {LENGTH, 0, 0, LENGTH / 2};
    struct model_options options = {2, 4 * LENGTH, true};
    struct files f;
    struct gguf *g;
    struct model *m;
    struct kv *kv;
    struct adapter *a[4] = {0};
    struct sequence *s[4];
    struct row rows[4 * LENGTH];
    float alone[4][WIDTH];
    float hidden[4 * WIDTH];
    int n = 0;

    (void)state;
    make_files(&f);
    run(f.base, NULL, 0, true, 0, alone[0]);
    run(f.base, f.adapter[0], 1, true, 0, alone[1]);
    run(f.base, f.adapter[1], 2, true, 0, alone[2]);
    run(f.base, f.adapter[0], 1, true, LENGTH / 2, alone[3]);
    g = gguf_open(f.base, NULL);
    m = model_open(g, &options, NULL);
    kv = golden_kv(m, 4 * LENGTH + 128, KV_F32);
    a[1] = a[3] = adapter_open(f.adapter[0], m, 1, NULL);
    a[2] = adapter_open(f.adapter[1], m, 2, NULL);
    for (int q = 0; q < 4; q++) {
        struct kv_key keys[LENGTH];
        int matched;

        for (int i = 0; i < LENGTH; i++)
            keys[i] = (struct kv_key){i * 7 % 40, i < from[q] ? 0 : q};
        s[q] = sequence_new(kv, keys, LENGTH, &matched);
        assert_int_equal(matched, 0);
        assert_true(sequence_extend(s[q], keys, LENGTH, NULL));
    }
    for (int i = 0; i < LENGTH; i++)
        for (int q = 0; q < 4; q++)
            rows[n++] =
                (struct row){i * 7 % 40, i, s[q], i < from[q] ? NULL : a[q],
                             i == LENGTH - 1};
    model_forward(m, rows, n, hidden);
    for (int q = 0; q < 4; q++) check_near(hidden + q * WIDTH, alone[q], 2e-4f);
    assert_true(differ(alone[0], alone[1]));
    assert_true(differ(alone[1], alone[2]));
    assert_true(differ(alone[1], alone[3]));
    for (int q = 0; q < 4; q++) sequence_free(s[q]);
    adapter_close(a[1]);
    adapter_close(a[2]);
    kv_free(kv);
    model_close(m);
    gguf_close(g);
    drop_files(&f);
}

static void test_head(void **state) {
    struct model_options options = {1, 4, true};
    struct files f;
    struct gguf *g;
    struct model *m;
    struct adapter *a;
    float hidden[WIDTH];
    float out[LABELS];

    (void)state;
    make_files(&f);
    g = gguf_open(f.base, NULL);
    m = model_open(g, &options, NULL);
    a = adapter_open(f.adapter[0], m, 3, NULL);
    for (int i = 0; i < WIDTH; i++) hidden[i] = (float)i;
    adapter_head(a, hidden, out);
    for (int label = 0; label < LABELS; label++) {
        float want = label == 0 ? 100 : (float)label;

        for (int i = 0; i < WIDTH; i++)
            want += (float)((label * WIDTH + i) % 5) * (float)i;
        assert_float_equal(out[label], want, 0.01);
    }
    assert_true(adapter_bytes(a) > 1000);
    adapter_close(a);
    model_close(m);
    gguf_close(g);
    drop_files(&f);
}

static void refuse(const struct model *m, const char *what, struct spoil spoil,
                   const char *reason) {
    char path[] = "/tmp/corral-bad-XXXXXX";
    struct err err = {0};

    make_adapter(path, 1, &spoil);
    if (adapter_open(path, m, 1, &err)) fail_msg("%s was accepted", what);
    if (err.code != ERR_INPUT || !strstr(err.text, reason) ||
        strncmp(err.text, path, strlen(path)))
        fail_msg("%s: %s", what, err.text);
    unlink(path);
}

static void test_refused(void **state) {
    struct model_options options = {1, 4, false};
    struct files f;
    struct gguf *g;
    struct model *m;
    struct err err = {0};

    (void)state;
    make_files(&f);
    g = gguf_open(f.base, NULL);
    m = model_open(g, &options, NULL);
    refuse(m, "a model", (struct spoil){.type = "model"}, "general.type");
    refuse(m, "a rank of 205", (struct spoil){.extra_rank = 200}, "rank");
    refuse(m, "NaN", (struct spoil){.first = NAN}, "not finite");
    refuse(m, "no lora_b", (struct spoil){.lost_b = true}, "lora_b is missing");
    refuse(m, "a part for no matrix", (struct spoil){.stray = true},
           "no matrix");
    refuse(m, "no bias", (struct spoil){.lost_bias = true}, "head.bias");
    refuse(m, "a head of another width", (struct spoil){.extra_width = 1},
           "wrong shape");
    assert_null(adapter_open(f.base, m, 1, &err));
    assert_null(adapter_open("/tmp/no/such/adapter", m, 1, &err));
    assert_int_equal(err.code, ERR_NOT_FOUND);
    model_close(m);
    gguf_close(g);
    drop_files(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_as_merged),
        cmocka_unit_test(test_mixed),
        cmocka_unit_test(test_head),
        cmocka_unit_test(test_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
