/* cmocka.h - as much of cmocka as the tests of base and engine use, for where
 * there is no cmocka. A failed check says where and ends the program. */
#ifndef CORRAL_TESTS_ARM64_CMOCKA_H
#define CORRAL_TESTS_ARM64_CMOCKA_H

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct CMUnitTest {
    const char *name;
    void (*run)(void **state);
};

#define cmocka_unit_test(function)                                             \
    { #function, function }
#define cmocka_run_group_tests(tests, setup, teardown)                         \
    cmocka_run(tests, sizeof(tests) / sizeof(tests)[0], setup, teardown)

/* Tests whose names begin with TEST_SKIP would take too long here. */
static inline int cmocka_run(const struct CMUnitTest *tests, size_t count,
                             int (*setup)(void **), int (*teardown)(void **)) {
    const char *skip = getenv("TEST_SKIP");
    void *state = NULL;

    if (setup && setup(&state)) return 1;
    for (size_t i = 0; i < count; i++) {
        if (skip && !strncmp(skip, tests[i].name, strlen(skip))) continue;
        (void)printf("[ RUN      ] %s\n", tests[i].name);
        (void)fflush(stdout);
        tests[i].run(&state);
        (void)printf("[       OK ] %s\n", tests[i].name);
    }
    return teardown ? teardown(&state) : 0;
}

#define print_message(...) ((void)printf(__VA_ARGS__))
#define fail_msg(...)                                                          \
    ((void)printf("%s:%d: ", __FILE__, __LINE__), (void)printf(__VA_ARGS__),   \
     (void)putchar('\n'), exit(1))

#define assert_true(c) ((c) ? (void)0 : fail_msg("%s", #c))
#define assert_false(c) assert_true(!(c))
#define assert_null(p) assert_true((p) == NULL)
#define assert_non_null(p) assert_true((p) != NULL)
#define assert_ptr_equal(a, b)                                                 \
    assert_true((const void *)(a) == (const void *)(b))
#define assert_string_equal(a, b) assert_true(!strcmp(a, b))
#define assert_memory_equal(a, b, size) assert_true(!memcmp(a, b, size))
#define assert_memory_not_equal(a, b, size) assert_true(memcmp(a, b, size))
#define assert_float_equal(a, b, epsilon)                                      \
    assert_true(fabs((double)(a) - (double)(b)) <= (double)(epsilon))
#define assert_in_range(v, low, high)                                          \
    do {                                                                       \
        uintmax_t v_ = (uintmax_t)(v);                                         \
                                                                               \
        assert_true(v_ >= (uintmax_t)(low) && v_ <= (uintmax_t)(high));        \
    } while (0)

#define COMPARE(a, b, op)                                                      \
    do {                                                                       \
        uintmax_t a_ = (uintmax_t)(a), b_ = (uintmax_t)(b);                    \
                                                                               \
        if (!(a_ op b_))                                                       \
            fail_msg("%s is %" PRIdMAX ", not " #op " %s, which is %" PRIdMAX, \
                     #a, (intmax_t)a_, #b, (intmax_t)b_);                      \
    } while (0)
#define assert_int_equal(a, b) COMPARE(a, b, ==)
#define assert_int_not_equal(a, b) COMPARE(a, b, !=)

#endif
