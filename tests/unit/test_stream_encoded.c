/* test_stream_encoded.c - codes in a text that is still arriving, and what
 * stands right beside them. A stream lets go of a code's bytes and then reads
 * on without them: whatever the whole text shows must be redacted all the same,
 * however it is cut. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include "guard/stream.h"
#include "checks_world.h"

enum { TEXTS = 3000, PIECES_MAX = 6, CUT_MAX = 12 };

static const char checks[] =
    "policy: test\n"
    "checks:\n"
    "  - {id: rivals, use: rules, on: [output], any: [acme, \"acme corp\"], "
    "action: redact}\n"
    "  - {id: codes, use: rules, on: [output], "
    "any: [{pattern: \"z[0-9]{2,6}x\"}], action: redact}\n"
    "  - {id: people, use: entities, on: [output], "
    "kinds: [email, phone, iban, card, ip], action: redact}\n";

/* Codes of what is looked for and of other things, what is looked for, and what
 * may stand between two of them. */
static const char *const pieces[] = {"YWNtZSBjb3JwIGlzIGdvb2Q=",
                                     "YWNtZSBjb3Jw",
                                     "aGVsbG8gdGhlcmUgZnJpZW5k",
                                     "cGhvbmU=",
                                     "61636d6520636f7270206f6b",
                                     "68656c6c6f207468657265",
                                     "61 63 6d 65 20 63 6f 72 70",
                                     "68 65 6c 6c 6f 20 74 68 65 72 65",
                                     "JBSWY3DPEBLW64TMMQQGC3TE",
                                     ".- -.-. -- .",
                                     "%61%63me",
                                     "&#97;cme",
                                     "\\u0061cme",
                                     "npzr pbec vf n tbbq pynff bs crbcyr",
                                     "emca si a doog ynapmoc fo elpoep",
                                     "acme",
                                     "acme corp",
                                     "z123x",
                                     "4111111111111111",
                                     "5551234",
                                     "10.0.0.1",
                                     "bob@example.org",
                                     "hello",
                                     "the text is here",
                                     " ",
                                     " ",
                                     " ",
                                     ",",
                                     ".",
                                     "-",
                                     "=",
                                     "x",
                                     "7",
                                     "\n",
                                     "(",
                                     "\""};
enum { PIECES = sizeof pieces / sizeof *pieces };

static int open_all(void **state) {
    (void)state;
    return checks_open(checks);
}

struct outcome {
    size_t released;
    int verdicts;
    struct verdict v;
};

static void on_release(void *user, struct span text) {
    ((struct outcome *)user)->released += text.size;
}

static void on_verdict(void *user, const struct verdict *v) {
    struct outcome *o = user;

    o->verdicts++;
    o->v = *v;
}

static uint32_t random_below(uint32_t *random, uint32_t end) {
    *random = *random * 1664525u + 1013904223u;
    return (*random >> 16) % end;
}

/* In pieces of up to `most` bytes. */
static void stream(struct span text, uint32_t *random, uint32_t most,
                   struct outcome *o) {
    struct guard_stream_options options = {.policy = policy,
                                           .channel = CHANNEL_OUTPUT,
                                           .on_release = on_release,
                                           .on_verdict = on_verdict,
                                           .user = o};
    struct guard_stream *s = guard_stream_new(guard, &options);

    *o = (struct outcome){0};
    for (size_t at = 0, size; at < text.size; at += size) {
        size = 1 + random_below(random, most);
        guard_stream_push(s, span_slice(text, at, at + size), NULL, 0);
    }
    guard_stream_finish(s);
    guard_stream_free(s);
    assert_int_equal(o->verdicts, 1);
    assert_int_equal(o->v.cause, VERDICT_CAUSE_POLICY);
}

/* Redacted to the last byte in the stream. */
static bool covered(const struct verdict *v, size_t from, size_t end) {
    bool moved = true;

    while (moved && from < end) {
        moved = false;
        for (int i = 0; i < v->finding_count; i++) {
            const struct finding *f = &v->findings[i];

            if (f->from > from || f->end <= from) continue;
            from = f->end;
            moved = true;
        }
    }
    return from >= end;
}

/* How many findings the whole text has. */
static int check_text(struct span text, uint32_t *random, uint32_t most) {
    struct outcome o;
    struct verdict v;

    verdict_begin(&v, "r");
    assert_true(policy_scan(policy, CHANNEL_OUTPUT, 0, text, &v, NULL));
    stream(text, random, most, &o);
    for (int i = 0; i < v.finding_count; i++)
        if (!covered(&o.v, v.findings[i].from, v.findings[i].end))
            fail_msg("%s at %zu to %zu is let through in: %.*s",
                     v.findings[i].check, v.findings[i].from, v.findings[i].end,
                     (int)text.size, text.at);
    return v.finding_count;
}

static void test_random(void **state) {
    uint32_t random = 1;
    struct bytes text = {0};
    int found = 0;

    (void)state;
    for (int i = 0; i < TEXTS; i++) {
        uint32_t count = 1 + random_below(&random, PIECES_MAX);

        text.size = 0;
        while (count--)
            bytes_puts(&text, pieces[random_below(&random, PIECES)]);
        found += check_text(span_bytes(&text), &random,
                            1 + random_below(&random, CUT_MAX));
    }
    bytes_free(&text);
    assert_true(found > TEXTS / 2);
}

/* What a code says tells what the number behind it is. */
static void test_beside(void **state) {
    static const char *const texts[] = {
        "68 65 6c 6c 6A 20 74 68 65 72 65.4111111111111111 and so on",
        "cGhvbmU= 5551234 and so on, as long as it takes to be let go of",
        "cGhvbmU= is 5551234 and so on, as long as it takes to be let go of"};
    uint32_t random = 1;

    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        for (uint32_t most = 1; most <= CUT_MAX; most++)
            assert_true(check_text(span_of(texts[i]), &random, most) > 0);
}

/* Codes in a close row keep nobody waiting for the row's end. */
static void test_row(void **state) {
    struct guard_stream_options options = {.policy = policy,
                                           .channel = CHANNEL_OUTPUT,
                                           .on_release = on_release,
                                           .on_verdict = on_verdict};
    struct outcome o = {0};
    struct guard_stream *s;

    (void)state;
    options.user = &o;
    s = guard_stream_new(guard, &options);
    for (int i = 0; i < 1000; i++)
        guard_stream_push(s, span_of("YWNtZSBjb3Jw, and "), NULL, 0);
    assert_int_equal(o.verdicts, 0);
    assert_true(o.released > 8000);
    guard_stream_finish(s);
    guard_stream_free(s);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_random),
                                       cmocka_unit_test(test_beside),
                                       cmocka_unit_test(test_row)};

    return cmocka_run_group_tests(tests, open_all, checks_close);
}
