/* test_stream.c - what a client gets of a text that is still arriving. Every
 * case runs with its text cut at every position, byte by byte, in random
 * pieces, and with the classifier answering early and late: the bytes and the
 * verdict must be the same. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdio.h>
#include <unistd.h>

#include "base/hash.h"
#include "base/utf8.h"
#include "guard/stream.h"
#include "tests/unit/fake_classifier.h"

static const char classifier_check[] =
    "  - {id: hazards, use: classifier, on: [output], "
    "categories: {all: balanced, S6: off, INJ: off}, action: block}\n"
    "  - {id: advice, use: classifier, on: [output], "
    "categories: {S6: balanced}, action: flag}\n";
static const char rule_checks[] =
    "  - {id: rivals, use: rules, on: [output], "
    "any: [\"acme corp\", \"acme\"], action: redact}\n"
    "  - {id: words, use: rules, on: [output], "
    "any: [\"plutonium\", \"red mercury\"], action: block}\n"
    "  - {id: people, use: entities, on: [output], kinds: [email, phone], "
    "action: redact}\n"
    "  - {id: watch, use: rules, on: [output], any: [\"weather\"], "
    "action: flag}\n";
/* A pattern holds its whole width back, so it stands apart. */
static const char pattern_check[] =
    "  - {id: codes, use: rules, on: [output], "
    "any: [{pattern: \"zq[0-9]{3,8}x\"}], action: block}\n";

static struct guard *guard;
static struct policy *rules_only, *holding, *trailing, *classifier_only,
    *shadowing, *patterns;

static struct policy *policy_of(const char *head, const char *a,
                                const char *b) {
    char path[] = "/tmp/test_stream_XXXXXX";
    struct err err = {0};
    struct policy *p;
    FILE *f = fdopen(mkstemp(path), "w");

    assert_non_null(f);
    fprintf(f, "policy: test\n%s\nchecks:\n%s%s", head, a, b);
    assert_int_equal(fclose(f), 0);
    p = policy_open(path, &err);
    unlink(path);
    if (!p) fail_msg("%s", err.text);
    return p;
}

/* ---- one run ---- */

struct outcome {
    struct bytes out;
    int verdicts;
    enum verdict_action action;
    enum verdict_cause cause;
    enum err_code code;
    int findings;
    char checks[256];
    float unsafe;
};

enum pace { EAGER, LAZY, MIXED };

struct run {
    const struct policy *policy;
    enum pace pace;
    uint32_t random;
    struct outcome o;
    struct guard_stream *s;
    bool free_on_release, free_on_verdict;
    struct span push_on_release;
    bool finish_on_release;
    bool whole;
};

static void on_release(void *user, struct span text) {
    struct run *r = user;

    assert_true(text.size > 0);
    assert_int_equal(r->o.verdicts, 0);
    bytes_put(&r->o.out, text);
    if (r->push_on_release.size) {
        struct span more = r->push_on_release;

        r->push_on_release = (struct span){NULL, 0};
        guard_stream_push(r->s, more, NULL, 0);
    }
    if (r->finish_on_release) guard_stream_finish(r->s);
    if (r->free_on_release) {
        guard_stream_free(r->s);
        r->s = NULL;
    }
}

static void on_verdict(void *user, const struct verdict *v) {
    struct run *r = user;
    static const char *const ids[] = {"rivals", "words",   "people", "watch",
                                      "codes",  "hazards", "advice"};

    r->o.verdicts++;
    r->o.action = v->action;
    r->o.cause = v->cause;
    r->o.code = v->err.code;
    r->o.findings = v->finding_count;
    r->o.unsafe = v->classified ? v->score[LABEL_UNSAFE] : -1;
    /* In one order: that of the findings is the order in which they came. */
    for (size_t i = 0; i < sizeof ids / sizeof *ids; i++)
        for (int f = 0; f < v->finding_count; f++)
            if (!strcmp(v->findings[f].check, ids[i])) {
                strcat(strcat(r->o.checks, ids[i]), " ");
                break;
            }
    if (r->free_on_verdict) {
        guard_stream_free(r->s);
        r->s = NULL;
    }
}

static uint32_t next_random(uint32_t *x) {
    *x = *x * 1664525u + 1013904223u;
    return *x >> 16;
}

static void run_begin(struct run *r) {
    static const struct guard_turn turns[] = {{GUARD_USER, {"Tell me", 7}}};
    struct guard_stream_options o = {.policy = r->policy,
                                     .channel = CHANNEL_OUTPUT,
                                     .turns = turns,
                                     .turn_count = 1,
                                     .whole = r->whole,
                                     .on_release = on_release,
                                     .on_verdict = on_verdict,
                                     .user = r};

    r->s = guard_stream_new(guard, &o);
}

static void run_push(struct run *r, struct span piece) {
    if (!r->s) return;
    guard_stream_push(r->s, piece, NULL, 0);
    if (r->pace == EAGER)
        while (fake_poll()) continue;
    else if (r->pace == MIXED && next_random(&r->random) % 3 == 0)
        (void)fake_poll();
}

static void run_end(struct run *r) {
    if (r->s) guard_stream_finish(r->s);
    while (fake_poll()) continue;
    guard_stream_free(r->s);
    assert_int_equal(fake.alive, 0);
    assert_int_equal(fake.count, 0);
}

/* Pieces end at cuts[0..count). */
static struct outcome run_cut(const struct policy *p, struct span text,
                              const size_t *cuts, int count, enum pace pace) {
    struct run r = {.policy = p, .pace = pace, .random = 5};
    size_t at = 0;

    run_begin(&r);
    for (int i = 0; i < count; i++) {
        run_push(&r, span_slice(text, at, cuts[i]));
        at = cuts[i];
    }
    run_push(&r, span_slice(text, at, text.size));
    run_end(&r);
    return r.o;
}

static void check_same(const char *name, const char *how, struct outcome *o,
                       const struct outcome *first) {
    if (!span_equal(span_bytes(&o->out), span_bytes(&first->out)))
        fail_msg("%s: %s: released \"%.*s\", not \"%.*s\"", name, how,
                 (int)o->out.size, o->out.at ? o->out.at : "",
                 (int)first->out.size, first->out.at ? first->out.at : "");
    if (o->verdicts != 1 || o->action != first->action ||
        o->cause != first->cause || strcmp(o->checks, first->checks) != 0)
        fail_msg("%s: %s: %d verdicts, %s by \"%s\", not %s by \"%s\"", name,
                 how, o->verdicts, verdict_action_name(o->action), o->checks,
                 verdict_action_name(first->action), first->checks);
    assert_true(utf8_complete(span_bytes(&o->out)) == o->out.size);
    bytes_free(&o->out);
}

static void check_cuts(const char *name, const struct policy *p,
                       struct span text, const struct outcome *first) {
    size_t cuts[4096];
    struct outcome o;
    uint32_t x = 11;
    char how[64];

    assert_true(text.size < 4096);
    for (size_t cut = 1; cut < text.size; cut++) {
        (void)snprintf(how, sizeof how, "cut at %zu", cut);
        o = run_cut(p, text, &cut, 1, cut % 2 ? EAGER : LAZY);
        check_same(name, how, &o, first);
    }
    for (size_t i = 0; i < text.size; i++) cuts[i] = i;
    for (int pace = EAGER; pace <= MIXED; pace++) {
        o = run_cut(p, text, cuts, (int)text.size, (enum pace)pace);
        check_same(name, "byte by byte", &o, first);
    }
    for (int round = 0; round < 100; round++) {
        int count = 0;
        uint32_t most = 1 + next_random(&x) % 40;

        for (size_t at = 0; at < text.size && count < 4000;) {
            at += next_random(&x) % (most + 1);
            if (at < text.size) cuts[count++] = at;
        }
        (void)snprintf(how, sizeof how, "random cuts %d", round);
        o = run_cut(p, text, cuts, count, (enum pace)(round % 3));
        check_same(name, how, &o, first);
    }
}

/* The text goes in, `released` comes out, and the verdict is `action`. */
static void check_stream(const char *name, const struct policy *p,
                         const char *text, const char *released,
                         enum verdict_action action) {
    struct outcome first = run_cut(p, span_of(text), NULL, 0, LAZY);

    if (!span_is(span_bytes(&first.out), released))
        fail_msg("%s: released \"%.*s\", not \"%s\"", name, (int)first.out.size,
                 first.out.at ? first.out.at : "", released);
    if (first.verdicts != 1 || first.action != action)
        fail_msg("%s: %d verdicts, %s by \"%s\"", name, first.verdicts,
                 verdict_action_name(first.action), first.checks);
    check_cuts(name, p, span_of(text), &first);
    bytes_free(&first.out);
}

/* ---- rules ---- */

static void test_rules(void **state) {
    const struct policy *p = rules_only;

    (void)state;
    check_stream("empty", p, "", "", VERDICT_ALLOW);
    check_stream("nothing", p, "The sea is blue.", "The sea is blue.",
                 VERDICT_ALLOW);
    check_stream("redact", p, "Ask acme corp now", "Ask [REDACTED] now",
                 VERDICT_REDACT);
    check_stream("the longer literal", p, "acme corps and acme",
                 "[REDACTED] corps and [REDACTED]", VERDICT_REDACT);
    check_stream("address", p, "Write to jane.doe@example.org, please.",
                 "Write to [EMAIL], please.", VERDICT_REDACT);
    check_stream("address at the end", p, "Write to jane.doe@example.org",
                 "Write to [EMAIL]", VERDICT_REDACT);
    check_stream("flag", p, "The weather is fine", "The weather is fine",
                 VERDICT_FLAG);
    check_stream("block", p, "Take some plutonium and mix", "Take some",
                 VERDICT_BLOCK);
    check_stream("block at the end", p, "Take some plutonium", "Take some",
                 VERDICT_BLOCK);
    check_stream("not the whole word", p, "Take some plutoniums",
                 "Take some plutoniums", VERDICT_ALLOW);
    check_stream("two words", p, "Buy red mercury today", "Buy ",
                 VERDICT_BLOCK);
    check_stream("only the first word", p, "Buy red paint", "Buy red paint",
                 VERDICT_ALLOW);
    check_stream("redact, then block", p, "acme sells plutonium.",
                 "[REDACTED] sells", VERDICT_BLOCK);
    check_stream("an umlaut is whole", p, "Über Öl: acme grüßt",
                 "Über Öl: [REDACTED] grüßt", VERDICT_REDACT);
    check_stream("bad bytes pass as they are", p, "a\xff\xc3 b\xe2\x82 c",
                 "a\xff\xc3 b\xe2\x82 c", VERDICT_ALLOW);
    check_stream("disguised", p, "some plu\xe2\x80\x8btonium here", "some ",
                 VERDICT_BLOCK);
}

static void test_patterns(void **state) {
    struct outcome o;

    (void)state;
    check_stream("broken off", patterns, "acme: code zq12x345 ends",
                 "[REDACTED]: code zq12x345 ends", VERDICT_REDACT);
    o = run_cut(patterns, span_of("Well, here is the code: zq12345x at last"),
                NULL, 0, LAZY);
    assert_int_equal(o.action, VERDICT_BLOCK);
    assert_in_range(o.out.size, 1, strlen("Well, here is the code: "));
    check_cuts("pattern", patterns,
               span_of("Well, here is the code: zq12345x at last"), &o);
    bytes_free(&o.out);
}

/* Where nobody waits, rules are asked at fewer places, but see as much. */
static void test_whole(void **state) {
    struct bytes text = {0};

    (void)state;
    bytes_puts(&text, "Ask acme corp now. ");
    while (text.size < 300) bytes_puts(&text, "word ");
    bytes_puts(&text, "jane.doe@example.org");
    for (size_t step = 1; step <= text.size; step += 40) {
        struct run r = {.policy = rules_only, .whole = true};
        struct outcome word =
            run_cut(rules_only, span_bytes(&text), NULL, 0, LAZY);

        run_begin(&r);
        for (size_t at = 0; at < text.size; at += step) {
            run_push(&r, span_slice(span_bytes(&text), at, at + step));
            if (at + step < 256) assert_int_equal(r.o.out.size, 0);
        }
        assert_true(r.o.out.size > 0); /* what is held has an end */
        run_end(&r);
        check_same("whole", "as word by word", &r.o, &word);
        bytes_free(&word.out);
    }
    bytes_free(&text);
}

static void test_whole_blocks(void **state) {
    struct run r = {.policy = rules_only, .whole = true};
    size_t pushed = 0;

    (void)state;
    run_begin(&r);
    run_push(&r, span_of("Take some plutonium "));
    for (; !r.o.verdicts && pushed < 4096; pushed += 5)
        run_push(&r, span_of("word "));
    assert_in_range(pushed, 1, 512);
    assert_int_equal(r.o.action, VERDICT_BLOCK);
    assert_int_equal(r.o.out.size, 0);
    run_end(&r);
}

/* ---- the classifier ---- */

#define FILL32 "one two three four five six seve" /* 32 bytes */
#define FILL64 FILL32 FILL32

static void test_checkpoints(void **state) {
    const struct policy *p = classifier_only;

    (void)state;
    check_stream("empty", p, "", "", VERDICT_ALLOW);
    assert_int_equal(fake.asked, 0);
    check_stream("short", p, "Paris.", "Paris.", VERDICT_ALLOW);
    check_stream("bad at once", p, "BAD things", "", VERDICT_BLOCK);
    check_stream("before the first checkpoint", p,
                 FILL32 " and BAD words " FILL64, FILL32, VERDICT_BLOCK);
    check_stream("the first checkpoint waits for the word", p,
                 FILL32 "n and then BAD words", FILL32 "n", VERDICT_BLOCK);
    check_stream("all of it", p, FILL64 FILL64 FILL64 FILL64 "end",
                 FILL64 FILL64 FILL64 FILL64 "end", VERDICT_ALLOW);
    check_stream("advice is flagged", p, FILL64 " ADV " FILL64,
                 FILL64 " ADV " FILL64, VERDICT_FLAG);
    check_stream("bad at the end", p, FILL64 FILL64 FILL64 " BAD",
                 FILL64 FILL32 "one", VERDICT_BLOCK);
}

/* Where checkpoints lie: sizes of the judged texts. */
static void test_places(void **state) {
    struct bytes text = {0};
    struct outcome o;

    (void)state;
    /* Words of 7 bytes and a blank: every step is a multiple of 8, and the
     * blank is found 7 bytes behind it. */
    while (text.size < 1200) bytes_puts(&text, "sixteen ");
    fake.asked = 0;
    o = run_cut(classifier_only, span_bytes(&text), NULL, 0, LAZY);
    assert_int_equal(o.action, VERDICT_ALLOW);
    assert_true(span_equal(span_bytes(&o.out), span_bytes(&text)));
    bytes_free(&o.out);
    {
        static const size_t places[] = {39, 103, 231, 487, 743, 999, 1200};

        assert_int_equal(fake.asked, 7);
        for (int i = 0; i < 7; i++) assert_int_equal(fake.seen[i], places[i]);
    }
    bytes_free(&text);
    /* No blank at all: a cap, and never inside a sequence. */
    while (text.size < 400) bytes_puts(&text, "\xe6\x97\xa5");
    fake.asked = 0;
    o = run_cut(classifier_only, span_bytes(&text), NULL, 0, LAZY);
    assert_int_equal(fake.seen[0], 96);
    assert_int_equal(fake.seen[1], 96 + 126);
    assert_true(span_equal(span_bytes(&o.out), span_bytes(&text)));
    bytes_free(&o.out);
    bytes_free(&text);
}

static void test_both(void **state) {
    const struct policy *p = holding;

    (void)state;
    check_stream("redacted behind a checkpoint", p,
                 FILL32 " write to jane.doe@example.org and wait " FILL32,
                 FILL32 " write to [EMAIL] and wait " FILL32, VERDICT_REDACT);
    check_stream("a span over a checkpoint", p,
                 "one two three four five acme corp and more words here",
                 "one two three four five [REDACTED] and more words here",
                 VERDICT_REDACT);
    check_stream("a block by rules comes at the checkpoint", p,
                 FILL32 " then plutonium and a few more words after it, "
                        "enough for the second",
                 FILL32, VERDICT_BLOCK);
    check_stream("a block by the classifier behind a redaction", p,
                 "acme corp sells you everything you need, and then BAD "
                 "things happen to you",
                 /* "you" may be the first line of a code. */
                 "[REDACTED] sells you everything ", VERDICT_BLOCK);
    check_stream("pending at the end", p, "one two red mercur",
                 "one two red mercur", VERDICT_ALLOW);
}

/* Behind the text: nothing waits, but it is cut when the verdict turns. */
static void test_trail(void **state) {
    struct run r = {.policy = trailing, .pace = LAZY};
    static const char text[] = FILL64 " BAD " FILL64;

    (void)state;
    check_stream("clean", trailing, FILL64 " acme " FILL64,
                 FILL64 " [REDACTED] " FILL64, VERDICT_REDACT);
    run_begin(&r);
    run_push(&r, span_of(text));
    assert_in_range(r.o.out.size, sizeof text - 16, sizeof text - 1);
    while (fake_poll()) continue;
    assert_int_equal(r.o.verdicts, 1);
    assert_int_equal(r.o.action, VERDICT_BLOCK);
    {
        size_t size = r.o.out.size;

        guard_stream_push(r.s, span_of("more"), NULL, 0);
        assert_int_equal(r.o.out.size, size);
    }
    run_end(&r);
    assert_int_equal(r.o.verdicts, 1);
    bytes_free(&r.o.out);
}

/* A shadow is recorded, holds nothing back and stops nothing. */
static void test_shadow(void **state) {
    struct run r = {.policy = shadowing, .pace = LAZY};

    (void)state;
    check_stream("shadow", shadowing, FILL64 " BAD plutonium " FILL64,
                 FILL64 " BAD plutonium " FILL64, VERDICT_ALLOW);
    run_begin(&r);
    run_push(&r, span_of(FILL64 " BAD words "));
    assert_in_range(r.o.out.size, 64, 80);
    run_end(&r);
    assert_int_equal(r.o.action, VERDICT_ALLOW);
    assert_in_range(r.o.findings, 1, 4);
    bytes_free(&r.o.out);
    /* And a broken one stops nothing either. */
    fake.busy = true;
    check_stream("busy", shadowing, FILL64 " BAD words", FILL64 " BAD words",
                 VERDICT_ALLOW);
    fake.busy = false;
}

/* ---- failures ---- */

static void test_busy_blocks(void **state) {
    struct outcome o;

    (void)state;
    fake.busy = true;
    o = run_cut(holding, span_of(FILL64), NULL, 0, LAZY);
    fake.busy = false;
    assert_int_equal(o.verdicts, 1);
    assert_int_equal(o.action, VERDICT_BLOCK);
    assert_int_equal(o.cause, VERDICT_CAUSE_UNAVAILABLE);
    assert_int_equal(o.code, ERR_BUSY);
    assert_int_equal(o.out.size, 0);
}

static void test_late_answer_blocks(void **state) {
    (void)state;
    for (int at = 1; at <= 3; at++) {
        struct outcome o;

        fake.answered = 0;
        fake.fail_at = at;
        o = run_cut(holding, span_of(FILL64 FILL64 FILL64 " end"), NULL, 0,
                    LAZY);
        fake.fail_at = 0;
        assert_int_equal(o.verdicts, 1);
        assert_int_equal(o.action, VERDICT_BLOCK);
        assert_int_equal(o.cause, VERDICT_CAUSE_UNAVAILABLE);
        assert_int_equal(o.code, ERR_TIMEOUT);
        if (at == 1) assert_int_equal(o.out.size, 0);
        assert_true(o.out.size < 196);
        bytes_free(&o.out);
    }
}

static void test_no_model_blocks(void **state) {
    struct guard_options none = {.engine = NULL};
    struct guard *kept = guard;
    struct outcome o;

    (void)state;
    guard = guard_open(&none, NULL);
    o = run_cut(holding, span_of("hello"), NULL, 0, LAZY);
    assert_int_equal(o.action, VERDICT_BLOCK);
    assert_int_equal(o.cause, VERDICT_CAUSE_UNAVAILABLE);
    assert_int_equal(o.out.size, 0);
    /* Where no check asks a model, none is missed. */
    o = run_cut(rules_only, span_of("hello"), NULL, 0, LAZY);
    assert_int_equal(o.action, VERDICT_ALLOW);
    assert_int_equal(o.out.size, 5);
    bytes_free(&o.out);
    guard_close(guard);
    guard = kept;
}

static void test_held_limit(void **state) {
    struct run r = {.policy = holding, .pace = LAZY};
    struct bytes piece = {0};

    (void)state;
    while (piece.size < 1 << 20) bytes_puts(&piece, FILL64);
    run_begin(&r);
    for (int i = 0; i < 4; i++) {
        run_push(&r, span_bytes(&piece));
        assert_int_equal(r.o.verdicts, 0);
    }
    assert_int_equal(guard_stream_held(r.s), STREAM_HELD_MAX);
    run_push(&r, span_of("x"));
    /* The question in flight is answered first, or not at all. */
    assert_int_equal(r.o.verdicts, 1);
    assert_int_equal(r.o.action, VERDICT_BLOCK);
    assert_int_equal(r.o.code, ERR_LIMIT);
    run_end(&r);
    assert_int_equal(r.o.out.size, 0);
    bytes_free(&piece);
}

/* ---- callbacks that do what they like ---- */

static void test_free_inside(void **state) {
    static const char text[] = FILL64 " acme " FILL64 " plutonium " FILL64;

    (void)state;
    for (int way = 0; way < 8; way++) {
        struct run r = {.policy = way & 1 ? holding : rules_only,
                        .pace = way & 2 ? EAGER : LAZY};

        if (way & 4)
            r.free_on_release = true;
        else
            r.free_on_verdict = true;
        run_begin(&r);
        run_push(&r, span_of(text));
        run_end(&r);
        if (r.o.verdicts != (way & 4 ? 0 : 1))
            fail_msg("way %d: %d verdicts", way, r.o.verdicts);
        bytes_free(&r.o.out);
    }
    for (int m = 0; m < 2; m++) { /* freed while a question is out */
        struct run r = {.policy = m ? holding : trailing, .pace = LAZY};

        run_begin(&r);
        run_push(&r, span_of(FILL64 FILL64));
        guard_stream_free(r.s);
        r.s = NULL;
        run_end(&r);
        assert_int_equal(r.o.verdicts, 0);
        bytes_free(&r.o.out);
    }
    for (int m = 0; m < 2; m++) { /* freed in a failing verdict */
        struct run r = {.policy = holding, .free_on_verdict = true};

        fake.answered = 0;
        fake.fail_at = 1;
        fake.busy = m;
        run_begin(&r);
        run_push(&r, span_of(text));
        run_end(&r);
        fake.fail_at = 0;
        fake.busy = false;
        assert_int_equal(r.o.verdicts, 1);
    }
}

static void test_push_inside(void **state) {
    struct run r = {.policy = rules_only, .push_on_release = span_of("me now")};

    (void)state;
    run_begin(&r);
    run_push(&r, span_of("hello ac"));
    run_end(&r);
    assert_true(span_is(span_bytes(&r.o.out), "hello [REDACTED] now"));
    bytes_free(&r.o.out);
    r = (struct run){.policy = rules_only, .finish_on_release = true};
    run_begin(&r);
    run_push(&r, span_of("hello ac"));
    assert_int_equal(r.o.verdicts, 1);
    assert_true(span_is(span_bytes(&r.o.out), "hello ac"));
    run_end(&r);
    bytes_free(&r.o.out);
}

/* Many spans in one piece: none is forgotten. */
static void test_flood(void **state) {
    struct bytes text = {0}, expected = {0};
    struct outcome o;

    (void)state;
    for (int i = 0; i < 2000; i++) {
        bytes_puts(&text, "acme x ");
        bytes_puts(&expected, "[REDACTED] x ");
    }
    o = run_cut(rules_only, span_bytes(&text), NULL, 0, LAZY);
    assert_int_equal(o.action, VERDICT_REDACT);
    assert_true(span_equal(span_bytes(&o.out), span_bytes(&expected)));
    bytes_free(&o.out);
    o = run_cut(holding, span_bytes(&text), NULL, 0, LAZY);
    assert_int_equal(o.action, VERDICT_REDACT);
    assert_true(span_equal(span_bytes(&o.out), span_bytes(&expected)));
    bytes_free(&o.out);
    /* One word: held back by kilobytes, and not read again at each of its. */
    text.size = 0;
    for (int i = 0; i < 4000; i++) bytes_puts(&text, "0123456789abcdef");
    o = run_cut(rules_only, span_bytes(&text), NULL, 0, LAZY);
    assert_int_equal(o.action, VERDICT_ALLOW);
    assert_true(span_equal(span_bytes(&o.out), span_bytes(&text)));
    bytes_free(&o.out);
    bytes_free(&text);
    bytes_free(&expected);
}

/* What is let through is what the whole text at once would have become. */
static void check_whole(const char *name, const struct policy *p,
                        struct span text, const struct outcome *o) {
    struct bytes redacted = {0};
    struct err err = {0};
    struct verdict v;

    if (o->action == VERDICT_BLOCK) return;
    verdict_begin(&v, "r");
    assert_true(policy_scan(p, CHANNEL_OUTPUT, 0, text, &v, &err));
    assert_true(verdict_redact(&v, 0, text, &redacted, &err));
    if (!span_equal(span_bytes(&redacted), span_bytes(&o->out)))
        fail_msg("%s: \"%.*s\": released \"%.*s\", not \"%.*s\"", name,
                 (int)text.size, text.at, (int)o->out.size, o->out.at,
                 (int)redacted.size, redacted.at);
    bytes_free(&redacted);
}

/* Texts made of pieces of matches: whatever the cut, the same bytes. */
static void test_random_texts(void **state) {
    static const char *const words[] = {"acme",      " corp",
                                        "acme corp", " ",
                                        "plutonium", "plut",
                                        "red",       " mercury",
                                        "zq1",       "234x",
                                        "jane@",     "ex.org",
                                        ".",         "\n",
                                        "BAD",       "Ü",
                                        "日",        "\xe2\x80\x8b",
                                        "+39 06 ",   "1234 5678",
                                        "weather",   "word word word word",
                                        "\xff",      "ADV"};
    const struct policy *const policies[] = {rules_only, holding, patterns};
    uint32_t x = 3;

    (void)state;
    for (int round = 0; round < 60; round++) {
        const struct policy *p = policies[round % 3];
        struct bytes text = {0};
        struct outcome first;
        char name[32];
        int count = 3 + (int)(next_random(&x) % 12);

        for (int i = 0; i < count; i++) {
            bytes_puts(&text,
                       words[next_random(&x) % (sizeof words / sizeof *words)]);
            if (next_random(&x) % 2) bytes_puts(&text, " ");
        }
        (void)snprintf(name, sizeof name, "text %d", round);
        first = run_cut(p, span_bytes(&text), NULL, 0, LAZY);
        check_whole(name, p, span_bytes(&text), &first);
        check_cuts(name, p, span_bytes(&text), &first);
        bytes_free(&first.out);
        bytes_free(&text);
    }
}

static int setup(void **state) {
    (void)state;
    if (!hash_init(NULL)) return -1;
    guard = fake_guard(true);
    rules_only = policy_of("", rule_checks, "");
    classifier_only = policy_of("", classifier_check, "");
    holding = policy_of("", rule_checks, classifier_check);
    patterns = policy_of("", rule_checks, pattern_check);
    trailing = policy_of("stream: trail", rule_checks, classifier_check);
    shadowing = policy_of("mode: shadow", rule_checks, classifier_check);
    return 0;
}

static int teardown(void **state) {
    (void)state;
    policy_free(rules_only);
    policy_free(classifier_only);
    policy_free(holding);
    policy_free(patterns);
    policy_free(trailing);
    policy_free(shadowing);
    guard_close(guard);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rules),
        cmocka_unit_test(test_patterns),
        cmocka_unit_test(test_whole),
        cmocka_unit_test(test_whole_blocks),
        cmocka_unit_test(test_checkpoints),
        cmocka_unit_test(test_places),
        cmocka_unit_test(test_both),
        cmocka_unit_test(test_trail),
        cmocka_unit_test(test_shadow),
        cmocka_unit_test(test_busy_blocks),
        cmocka_unit_test(test_late_answer_blocks),
        cmocka_unit_test(test_no_model_blocks),
        cmocka_unit_test(test_held_limit),
        cmocka_unit_test(test_free_inside),
        cmocka_unit_test(test_push_inside),
        cmocka_unit_test(test_flood),
        cmocka_unit_test(test_random_texts),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
