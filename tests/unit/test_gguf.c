/* test_gguf.c - a sound file reads back, a broken one is refused with its
 * place and reason. The refusals are the known ways in which other readers
 * were made to read or write out of bounds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "engine/gguf.h"
#include "tests/unit/gguf_make.h"

enum { KIND_U8 = 0, KIND_U32 = 4, KIND_BOOL = 7, KIND_STRING = 8 };
enum { KIND_ARRAY = 9, KIND_I64 = 11, KIND_F64 = 12 };

/* One key of each kind and two tensors. */
static void make_sound(struct gguf_make *m) {
    int64_t wide = 70000;
    double exact = 0.5;

    make_u32(m, "a.u32", 7);
    make_f32(m, "a.f32", 1.5f);
    make_string(m, "a.text", "hello");
    make_key(m, "a.bool", KIND_BOOL);
    put(&m->keys, "\1", 1);
    make_key(m, "a.i64", KIND_I64);
    put(&m->keys, &wide, sizeof wide);
    make_key(m, "a.f64", KIND_F64);
    put(&m->keys, &exact, sizeof exact);
    make_key(m, "a.words", KIND_ARRAY);
    put_u32(&m->keys, KIND_STRING);
    put_u64(&m->keys, 3);
    put_text(&m->keys, "one");
    put_text(&m->keys, "");
    put_text(&m->keys, "three");
    make_key(m, "a.bytes", KIND_ARRAY);
    put_u32(&m->keys, KIND_U8);
    put_u64(&m->keys, 3);
    put(&m->keys, "\1\2\377", 3);
    make_f32_tensor(m, "first", 5, 3, 0, 0);
    make_f32_tensor(m, "second", 4, 0, 0, 0);
}

/* Use everything that a reader can ask. */
static void walk(const struct gguf *g) {
    struct bytes text = {0};
    struct span s;
    float f[3];
    int32_t n[3];
    volatile uint8_t sum = 0;

    for (size_t i = 0; gguf_describe(g, i, &text); i++)
        bytes_drop(&text, text.size);
    for (size_t i = 0; i < gguf_tensor_count(g); i++) {
        const struct gguf_tensor *t = gguf_tensor_at(g, i);
        const uint8_t *at = t->data;

        for (size_t j = 0; j < t->bytes; j++) sum = (uint8_t)(sum + at[j]);
    }
    for (size_t i = 0; i < 4; i++) (void)gguf_array_string(g, "a.words", i, &s);
    (void)gguf_array_i32(g, "a.bytes", n, 3);
    (void)gguf_array_f32(g, "a.bytes", f, 3);
    (void)gguf_string(g, "a.text", &s);
    bytes_free(&text);
}

static struct gguf *open_bytes(struct span s, struct err *err) {
    char path[] = "/tmp/corral-gguf-XXXXXX";
    struct gguf *g;

    write_temporary(path, s);
    g = gguf_open(path, err);
    unlink(path);
    return g;
}

static void test_sound(void **state) {
    struct gguf_make m = {0};
    struct bytes file = {0};
    struct err err = {0};
    struct gguf *g;
    struct span s = {0};
    uint32_t u = 0;
    float f = 0;
    bool b = false;
    int32_t n[3];

    (void)state;
    make_sound(&m);
    gguf_make_bytes(&m, &file);
    g = open_bytes(span_bytes(&file), &err);
    if (!g) fail_msg("%s", err.text);
    assert_true(gguf_u32(g, "a.u32", &u) && u == 7);
    assert_true(gguf_u32(g, "a.i64", &u) && u == 70000);
    assert_true(gguf_f32(g, "a.f32", &f) && f == 1.5f);
    assert_true(gguf_f32(g, "a.f64", &f) && f == 0.5f);
    assert_true(gguf_bool(g, "a.bool", &b) && b);
    assert_true(gguf_string(g, "a.text", &s) && span_is(s, "hello"));
    assert_int_equal(gguf_array_count(g, "a.words"), 3);
    assert_true(gguf_array_string(g, "a.words", 2, &s) && span_is(s, "three"));
    assert_true(gguf_array_string(g, "a.words", 1, &s) && span_is(s, ""));
    assert_false(gguf_array_string(g, "a.words", 3, &s));
    assert_true(gguf_array_i32(g, "a.bytes", n, 3) && n[2] == 255);
    assert_false(gguf_array_i32(g, "a.bytes", n, 4));
    assert_false(gguf_array_string(g, "a.bytes", 0, &s));
    assert_false(gguf_u32(g, "a.text", &u));
    assert_false(gguf_u32(g, "a.words", &u));
    assert_false(gguf_u32(g, "nothing", &u));
    assert_non_null(gguf_tensor(g, "second"));
    assert_null(gguf_tensor(g, "third"));
    assert_int_equal(gguf_tensor(g, "first")->bytes, 60);
    assert_int_equal(gguf_tensor(g, "first")->size[1], 3);
    walk(g);
    gguf_close(g);
    bytes_free(&file);
    bytes_free(&m.keys);
    bytes_free(&m.tensors);
    bytes_free(&m.data);
}

/* Every shorter file is refused, and no changed byte makes a reader stray
 * (run under the sanitizers, this is the point of it). */
static void test_cut_and_changed(void **state) {
    struct gguf_make m = {0};
    struct bytes file = {0};
    struct err err = {0};
    struct gguf *g;

    (void)state;
    make_sound(&m);
    gguf_make_bytes(&m, &file);
    for (size_t size = 0; size < file.size; size++) {
        g = open_bytes((struct span){file.at, size}, &err);
        if (g) fail_msg("%zu bytes of %zu were accepted", size, file.size);
        assert_int_equal(err.code, ERR_INPUT);
    }
    for (size_t i = 0; i < file.size; i++) {
        char old = file.at[i];

        for (int change = 1; change < 256; change += 127) {
            file.at[i] = (char)(old ^ change);
            g = open_bytes(span_bytes(&file), &err);
            if (g) walk(g);
            gguf_close(g);
        }
        file.at[i] = old;
    }
    bytes_free(&file);
    bytes_free(&m.keys);
    bytes_free(&m.tensors);
    bytes_free(&m.data);
}

static struct gguf_make made;

static void finish_refused(const char *what, const char *reason) {
    struct bytes file = {0};
    struct err err = {0};

    gguf_make_bytes(&made, &file);
    if (open_bytes(span_bytes(&file), &err)) fail_msg("%s was accepted", what);
    if (err.code != ERR_INPUT || !strstr(err.text, reason) ||
        !strstr(err.text, ": at byte "))
        fail_msg("%s: %s", what, err.text);
    bytes_free(&file);
    bytes_free(&made.keys);
    bytes_free(&made.tensors);
    bytes_free(&made.data);
    made = (struct gguf_make){0};
}

/* Room for tensors whose offsets are not where they should be. */
static void room(void) {
    static const char zeros[512];

    put(&made.data, zeros, sizeof zeros);
}

static void tensor(const char *name, uint32_t dims, const uint64_t *size,
                   uint32_t type, uint64_t offset) {
    put_text(&made.tensors, name);
    put_u32(&made.tensors, dims);
    for (uint32_t i = 0; i < dims; i++) put_u64(&made.tensors, size[i]);
    put_u32(&made.tensors, type);
    put_u64(&made.tensors, offset);
    made.tensor_count++;
}

static void array(uint32_t kind, uint64_t count) {
    make_key(&made, "k", KIND_ARRAY);
    put_u32(&made.keys, kind);
    put_u64(&made.keys, count);
}

static void test_bad_keys(void **state) {
    (void)state;
    make_u32(&made, "", 1);
    finish_refused("an empty key", "empty key");
    make_u32(&made, "twice", 1);
    make_u32(&made, "twice", 1);
    finish_refused("a key twice", "same key");
    make_key(&made, "k", 13);
    put_u64(&made.keys, 0);
    finish_refused("an unknown kind", "unknown kind");
    make_key(&made, "k", KIND_BOOL);
    put(&made.keys, "\2", 1);
    finish_refused("a bool of 2", "bool");
    array(KIND_ARRAY, 1);
    finish_refused("an array of arrays", "array of arrays");
    array(KIND_U32, UINT64_MAX / 2);
    finish_refused("an array of 2^63", "too long");
    array(KIND_U32, 1000);
    finish_refused("an array past the end", "longer than the file");
    array(KIND_STRING, 1 << 20);
    finish_refused("strings past the end", "longer than the file");
    make_key(&made, "k", KIND_STRING);
    put_u64(&made.keys, UINT64_MAX);
    finish_refused("a string of 2^64", "longer than the file");
    make_key(&made, "k", KIND_STRING);
    put_u64(&made.keys, 100);
    finish_refused("a string past the end", "longer than the file");
    put_u64(&made.keys, 1ull << 40);
    made.key_count = 1;
    finish_refused("a huge key", "longer than the file");
    made.key_count = UINT64_MAX;
    finish_refused("2^64 keys", "too many keys");
    made.tensor_count = 1ull << 60;
    finish_refused("2^60 tensors", "too many tensors");
    make_u32(&made, "general.alignment", 0);
    finish_refused("alignment 0", "power of two");
    make_u32(&made, "general.alignment", 48);
    finish_refused("alignment 48", "power of two");
    make_u32(&made, "general.alignment", 1u << 31);
    finish_refused("alignment 2^31", "power of two");
    make_string(&made, "general.alignment", "32");
    finish_refused("alignment as text", "not a u32");
}

static void test_bad_tensors(void **state) {
    const uint64_t one[4] = {32, 1, 1, 1};
    const uint64_t zero[2] = {32, 0};
    const uint64_t odd[1] = {33};
    const uint64_t wide[3] = {1 << 29, 1 << 29, 1 << 29};
    const uint64_t huge[1] = {UINT64_MAX};
    const uint64_t big[1] = {1 << 20};
    char name[80];

    (void)state;
    memset(name, 'n', sizeof name - 1);
    name[sizeof name - 1] = 0;
    tensor("t", 0, one, 0, 0);
    finish_refused("no dimensions", "1 to 4 dimensions");
    tensor("t", 5, (const uint64_t[5]){1, 1, 1, 1, 1}, 0, 0);
    finish_refused("five dimensions", "1 to 4 dimensions");
    tensor("t", 2, zero, 0, 0);
    finish_refused("a dimension of 0", "zero or too big");
    tensor("t", 1, huge, 0, 0);
    finish_refused("a dimension of 2^64", "zero or too big");
    tensor("t", 3, wide, 0, 0);
    finish_refused("2^87 elements", "too big");
    tensor("t", 2, wide, 0, 0);
    finish_refused("2^60 bytes", "longer than the file");
    tensor("t", 1, big, 0, 0);
    finish_refused("more bytes than the file", "longer than the file");
    tensor("t", 1, odd, GGUF_Q4_0, 0);
    finish_refused("half a block", "whole blocks");
    for (uint32_t type = 0; type < 300; type++) {
        if (strcmp(gguf_type_name((enum gguf_type)type), "unknown")) continue;
        tensor("t", 1, one, type, 0);
        finish_refused("an unknown type", "unknown type");
    }
    tensor("", 1, one, 0, 0);
    finish_refused("no name", "without a name");
    tensor(name, 1, one, 0, 0);
    finish_refused("a long name", "too long");
    room();
    tensor("t", 1, one, 0, 32);
    finish_refused("an offset with a gap", "not where");
    room();
    tensor("t", 1, one, 0, UINT64_MAX - 31);
    finish_refused("an offset of 2^64", "not where");
    make_f32_tensor(&made, "t", 32, 0, 0, 0);
    tensor("u", 1, one, 0, 0);
    finish_refused("two tensors in one place", "not where");
    make_f32_tensor(&made, "t", 32, 0, 0, 0);
    tensor("u", 1, one, 0, 128);
    finish_refused("a tensor past the end", "end");
    make_f32_tensor(&made, "t", 32, 0, 0, 0);
    make_f32_tensor(&made, "t", 32, 0, 0, 0);
    finish_refused("a tensor twice", "same tensor");
}

static void test_bad_start(void **state) {
    char file[32] = "GGUF\3";
    struct err err = {0};

    (void)state;
    file[4] = 1;
    assert_null(open_bytes((struct span){file, sizeof file}, &err));
    assert_non_null(strstr(err.text, "version"));
    file[4] = 4;
    assert_null(open_bytes((struct span){file, sizeof file}, &err));
    file[4] = 3;
    file[0] = 'g';
    assert_null(open_bytes((struct span){file, sizeof file}, &err));
    assert_non_null(strstr(err.text, "not a GGUF"));
    assert_null(gguf_open("/tmp", &err));
    assert_int_equal(err.code, ERR_INPUT);
    assert_null(gguf_open("/tmp/there/is/no/such/file", &err));
    assert_int_equal(err.code, ERR_NOT_FOUND);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sound),
        cmocka_unit_test(test_bad_start),
        cmocka_unit_test(test_bad_keys),
        cmocka_unit_test(test_bad_tensors),
        cmocka_unit_test(test_cut_and_changed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
