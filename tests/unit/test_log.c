/* test_log.c - one event, one line, whatever the values are; and lines of
 * several threads do not mix. */
#include <fcntl.h>
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

static void log_gathered(void) {
    off_t before;

    log_gather(true);
    log_event(LOG_INFO, "one", "x=1");
    log_event(LOG_INFO, "two", "x=2");
    assert_int_equal(lseek(STDERR_FILENO, 0, SEEK_END), 0);
    log_flush();
    assert_true(lseek(STDERR_FILENO, 0, SEEK_END) > 0);
    log_flush(); /* nothing is told twice */
    log_event(LOG_INFO, "three", "x=3");
    log_event(LOG_WARN, "four", "x=4"); /* it and what came before: now */
    before = lseek(STDERR_FILENO, 0, SEEK_END);
    log_event(LOG_INFO, "five", "x=5");
    assert_int_equal(lseek(STDERR_FILENO, 0, SEEK_END), before);
    log_gather(false);
    log_event(LOG_INFO, "six", "x=6");
}

/* In their order, each once. */
static void test_gathered(void **state) {
    static const char *const events[] = {"one",  "two",  "three",
                                         "four", "five", "six"};
    struct bytes out = {0};
    const char *at;

    (void)state;
    capture(log_gathered, &out);
    at = out.at;
    for (int i = 0; i < 6; i++) {
        const char *found = strstr(at, events[i]);

        assert_non_null(found);
        at = found + 1;
    }
    assert_null(strstr(at, "event="));
    bytes_free(&out);
}

static void log_gathered_many(void) {
    log_gather(true);
    for (int i = 0; i < 500; i++) log_event(LOG_INFO, "many", "i=%d.", i);
    log_gather(false);
}

/* More than there is room for. */
static void test_gathered_many(void **state) {
    struct bytes out = {0};
    char *at, want[16];

    (void)state;
    capture(log_gathered_many, &out);
    at = out.at;
    for (int i = 0; i < 500; i++) {
        (void)snprintf(want, sizeof want, "i=%d.\n", i);
        at = strstr(at, want);
        assert_non_null(at);
    }
    bytes_free(&out);
}

static void log_unread(void) {
    int ends[2];

    assert_int_equal(pipe2(ends, O_NONBLOCK), 0);
    while (write(ends[1], "x", 1) == 1) {
    }
    assert_true(dup2(ends[1], STDERR_FILENO) >= 0);
    log_gather(true);
    for (int i = 0; i < 3; i++) log_event(LOG_INFO, "unread", "i=%d", i);
    log_gather(false);
    (void)close(ends[0]);
    (void)close(ends[1]);
}

/* Each line that is lost counts. */
static void test_gathered_lost(void **state) {
    unsigned long long before = log_lost();
    struct bytes out = {0};

    (void)state;
    capture(log_unread, &out);
    assert_int_equal(log_lost() - before, 3);
    bytes_free(&out);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_line),
        cmocka_unit_test(test_long),
        cmocka_unit_test(test_quote_fits),
        cmocka_unit_test(test_threads),
        cmocka_unit_test(test_levels),
        cmocka_unit_test(test_gathered),
        cmocka_unit_test(test_gathered_many),
        cmocka_unit_test(test_gathered_lost),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
