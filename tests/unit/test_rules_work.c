/* test_rules_work.c - what rules cost is in proportion to the text, whatever
 * the text is: counted are the bytes that Hyperscan is given, by a function of
 * its name that stands before it. What our own code does is not counted: were
 * it quadratic in one of these texts, the test would not end in its time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dlfcn.h>
#include <hs/hs.h>

#include "guard/stream.h"
#include "checks_world.h"

enum { SIZE = 1 << 19, STREAM_SIZE = 1 << 17, PUSH = 1024 };

static const char checks[] =
    "policy: work\n"
    "checks:\n"
    "  - {id: words, use: rules, on: [output], any: [acme, \"acme corp\", "
    "{literal: aaaab, anywhere: true}], action: flag}\n"
    "  - {id: codes, use: rules, on: [output], "
    "any: [{pattern: \"z[a-z0-9]{2,60}x\"}], action: flag}\n";

static uint64_t scanned;

typedef hs_error_t scan_function(const hs_database_t *, const char *, unsigned,
                                 unsigned, hs_scratch_t *, match_event_handler,
                                 void *);

hs_error_t HS_CDECL hs_scan(const hs_database_t *db, const char *data,
                            unsigned size, unsigned flags,
                            hs_scratch_t *scratch, match_event_handler on_event,
                            void *user) {
    union {
        void *symbol;
        scan_function *call;
    } next = {.symbol = dlsym(RTLD_NEXT, "hs_scan")};

    scanned += size;
    return next.call(db, data, size, flags, scratch, on_event, user);
}

static int open_all(void **state) {
    (void)state;
    return checks_open(checks);
}

/* Texts without blanks, of one token, of codes and of beginnings of what is
 * looked for; and some that are read in several ways everywhere. */
static const char *const units[] = {"a",
                                    "A1",
                                    "aaaab",
                                    "z",
                                    "acme",
                                    "%61",
                                    "YWNtZSBjb3Jw",
                                    "61 ",
                                    "&#97;",
                                    "a.",
                                    "\u0430c",
                                    "1l",
                                    "npzr ",
                                    ".- ",
                                    "\xF0\x9F\x98\x80",
                                    "=",
                                    "zz1",
                                    "99 ",
                                    "200 ",
                                    "10011001 ",
                                    "Ab1-",
                                    "-.",
                                    "\\u",
                                    "a@",
                                    "A=",
                                    "  ",
                                    "\xEF\xBD\x81",
                                    "\xCC\x81",
                                    "\u0441",
                                    "\u0434\u0441 ",
                                    "\u0915\u094D",
                                    "\u4E00\uFF0C",
                                    "a1\u4E00",
                                    "\u0441 \u0434 \u0441. ",
                                    "i + 1 ",
                                    "!a"};
enum { UNITS = sizeof units / sizeof *units };

static struct bytes repeated(const char *unit, size_t size) {
    struct bytes text = {0};

    while (text.size < size) bytes_puts(&text, unit);
    return text;
}

/* In bytes given to Hyperscan for each byte of the text, times a hundred. A
 * flood of matches fails the scan, and costs no more for it. */
static uint64_t whole_work(struct span text) {
    struct verdict v;

    scanned = 0;
    verdict_begin(&v, "r");
    if (!policy_scan(policy, CHANNEL_OUTPUT, 0, text, &v, NULL))
        assert_true(scanned >= text.size);
    return scanned * 100 / text.size;
}

static void on_release(void *user, struct span text) {
    (void)user;
    (void)text;
}

static void on_verdict(void *user, const struct verdict *v) {
    (void)user;
    (void)v;
}

static uint64_t stream_work(struct span text) {
    struct guard_stream_options options = {.policy = policy,
                                           .channel = CHANNEL_OUTPUT,
                                           .on_release = on_release,
                                           .on_verdict = on_verdict};
    struct guard_stream *s = guard_stream_new(guard, &options);

    scanned = 0;
    for (size_t at = 0; at < text.size; at += PUSH)
        guard_stream_push(s, span_slice(text, at, at + PUSH), NULL, 0);
    guard_stream_finish(s);
    guard_stream_free(s);
    return scanned * 100 / text.size;
}

/* A text four times as long costs no more for each of its bytes. */
static void check(const char *unit, const char *how, size_t size,
                  uint64_t (*work)(struct span)) {
    struct bytes text = repeated(unit, size);
    uint64_t few = work(span_slice(span_bytes(&text), 0, size / 4));
    uint64_t many = work(span_bytes(&text));

    if (many > few + few / 4 + 100)
        fail_msg("'%s' %s: %llu and %llu hundredths a byte", unit, how,
                 (unsigned long long)few, (unsigned long long)many);
    bytes_free(&text);
}

static void test_whole(void **state) {
    (void)state;
    for (int i = 0; i < UNITS; i++)
        check(units[i], "at once", SIZE, whole_work);
}

static void test_stream(void **state) {
    (void)state;
    for (int i = 0; i < UNITS; i++)
        check(units[i], "arriving", STREAM_SIZE, stream_work);
}

/* The counter counts: each byte is looked at, more than once. */
static void test_counts(void **state) {
    (void)state;
    assert_true(whole_work(span_of("plain words of a text")) >= 100);
    assert_true(stream_work(span_of("plain words of a text")) >= 100);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_counts),
                                       cmocka_unit_test(test_whole),
                                       cmocka_unit_test(test_stream)};

    return cmocka_run_group_tests(tests, open_all, checks_close);
}
