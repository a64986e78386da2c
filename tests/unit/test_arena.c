/* test_arena.c - memory that goes in one call. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdalign.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/arena.h"

static void test_alloc(void **state) {
    struct arena *arena = arena_new(1 << 20);
    struct err err = {0};

    (void)state;
    for (size_t size = 0; size < 300; size++) {
        unsigned char *at = arena_alloc(arena, size, 1, &err);

        assert_non_null(at);
        assert_int_equal((uintptr_t)at % alignof(max_align_t), 0);
        for (size_t i = 0; i < size; i++) assert_int_equal(at[i], 0);
        /* A later piece must not overlap: its zeros would not be zero. */
        if (size) memset(at, 0xEE, size);
    }
    arena_free(arena);
    arena_free(NULL);
}

static void test_limit(void **state) {
    struct arena *arena = arena_new(64 << 10);
    struct err err = {0};

    (void)state;
    assert_non_null(arena_alloc(arena, 60 << 10, 1, &err));
    assert_null(arena_alloc(arena, 5 << 10, 1, &err));
    assert_int_equal(err.code, ERR_LIMIT);
    /* Failing took nothing. */
    assert_non_null(arena_alloc(arena, 4 << 10, 1, &err));
    assert_int_equal(arena_used(arena), 64 << 10);
    assert_null(arena_alloc(arena, 1, 1, &err));
    assert_non_null(arena_alloc(arena, 0, 8, &err));
    arena_free(arena);
}

static void test_overflow(void **state) {
    struct arena *arena = arena_new(SIZE_MAX);
    struct err err = {0};

    (void)state;
    assert_null(arena_alloc(arena, SIZE_MAX / 2, 3, &err));
    assert_null(arena_alloc(arena, SIZE_MAX, 1, &err));
    assert_null(arena_alloc(arena, SIZE_MAX - 3, 1, &err));
    assert_int_equal(err.code, ERR_LIMIT);
    arena_free(arena);
}

static void test_copy(void **state) {
    struct arena *arena = arena_new(64);
    struct span out = span_of("untouched");
    struct err err = {0};

    (void)state;
    assert_false(arena_copy(arena, (struct span){"x", 65}, &out,
                            &err)); /* before it is read */
    assert_true(span_is(out, "untouched"));
    assert_true(arena_copy(arena, (struct span){"a\0c", 3}, &out, &err));
    assert_int_equal(out.size, 3);
    assert_memory_equal(out.at, "a\0c", 4);
    assert_true(arena_copy(arena, span_of(NULL), &out, &err));
    assert_string_equal(out.at, "");
    arena_free(arena);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_alloc),
        cmocka_unit_test(test_limit),
        cmocka_unit_test(test_overflow),
        cmocka_unit_test(test_copy),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
