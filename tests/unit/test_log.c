/* test_log.c - one event, one line, whatever the values are; and lines of
 * several threads do not mix. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "base/log.h"

/* What `work` writes to standard error. */
static void capture(void (*work)(void), struct bytes *out) {
    FILE *file = tmpfile();
    int saved = dup(STDERR_FILENO);

    assert_non_null(file);
    assert_true(dup2(fileno(file), STDERR_FILENO) >= 0);
    work();
    assert_true(dup2(saved, STDERR_FILENO) >= 0);
    (void)close(saved);
    assert_true(lseek(fileno(file), 0, SEEK_SET) == 0);
    assert_true(bytes_read_fd(out, fileno(file), "log", NULL));
    (void)fclose(file);
    bytes_put(out, (struct span){"", 1});
}

static void log_one(void) {
    char quoted[64];

    log_event(LOG_INFO, "start", "port=%d name=%s", 80,
              log_quote("a \"b\"\nlevel=error\x01", quoted, sizeof quoted));
    log_event(LOG_DEBUG, "hidden", "x=1");
}

static void test_line(void **state) {
    struct bytes out = {0};

    (void)state;
    log_set_level(LOG_INFO);
    capture(log_one, &out);
    assert_memory_equal(out.at, "time=20", 7);
    assert_non_null(strstr(out.at, " level=info event=start port=80 name="
                                   "\"a \\\"b\\\"\\x0alevel=error\\x01\"\n"));
    assert_null(strstr(out.at, "hidden"));
    assert_ptr_equal(strchr(out.at, '\n'), out.at + out.size - 2);
    bytes_free(&out);
}

static void log_long(void) {
    char text[5000];

    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    log_event(LOG_ERROR, "long", "v=%s", text);
}

static void test_long(void **state) {
    struct bytes out = {0};

    (void)state;
    capture(log_long, &out);
    assert_true(out.size <= 1025);
    assert_int_equal(out.at[out.size - 2], '\n');
    bytes_free(&out);
}

static void test_quote_fits(void **state) {
    char out[16];

    (void)state;
    for (size_t size = 3; size <= sizeof out; size++) {
        memset(out, 0x55, sizeof out);
        (void)log_quote("\x01\x02\x03\x04\x05", out, size);
        assert_true(memchr(out, '\0', size) != NULL);
        for (size_t i = size; i < sizeof out; i++)
            assert_int_equal(out[i], 0x55);
    }
    assert_string_equal(log_quote("abc", out, 2), "");
    assert_string_equal(log_quote("", out, sizeof out), "\"\"");
}

static void *write_lines(void *user) {
    for (int i = 0; i < 200; i++)
        log_event(LOG_WARN, "thread", "id=%s", (const char *)user);
    return NULL;
}

static void log_threads(void) {
    static char a[] = "aaaaaaaaaaaaaaaaaaaaaaaaaaaa",
                b[] = "bbbbbbbbbbbbbbbbbbbbbbbbbbbb";
    pthread_t one, two;

    assert_int_equal(pthread_create(&one, NULL, write_lines, a), 0);
    assert_int_equal(pthread_create(&two, NULL, write_lines, b), 0);
    (void)pthread_join(one, NULL);
    (void)pthread_join(two, NULL);
}

static void test_threads(void **state) {
    struct bytes out = {0};
    int lines = 0;

    (void)state;
    capture(log_threads, &out);
    for (char *at = out.at; *at;) {
        char *end = strchr(at, '\n');

        assert_non_null(end);
        *end = '\0';
        assert_memory_equal(at, "time=", 5);
        assert_true(strstr(at, "id=aaaaaaaaaaaaaaaaaaaaaaaaaaaa") ||
                    strstr(at, "id=bbbbbbbbbbbbbbbbbbbbbbbbbbbb"));
        lines++;
        at = end + 1;
    }
    assert_int_equal(lines, 400);
    bytes_free(&out);
}

static void test_levels(void **state) {
    enum log_level level = LOG_OFF;

    (void)state;
    assert_true(log_level_from_name("debug", &level));
    assert_int_equal(level, LOG_DEBUG);
    assert_true(log_level_from_name("off", &level));
    assert_int_equal(level, LOG_OFF);
    assert_false(log_level_from_name("loud", &level));
    assert_int_equal(level, LOG_OFF);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_line),       cmocka_unit_test(test_long),
        cmocka_unit_test(test_quote_fits), cmocka_unit_test(test_threads),
        cmocka_unit_test(test_levels),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
