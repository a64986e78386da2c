/* test_cuttings.c - the battery of cuttings: what a client gets of an answer
 * hangs on its text alone. Two choices of one upstream arrive interleaved, as
 * server-sent events whose JSON spells letters in any of its ways, cut at any
 * byte, with the classifier answering whenever it likes.
 *
 * CORRAL_CUTTINGS=10000 runs all of it; without, a sample. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdio.h>
#include <unistd.h>

#include "base/hash.h"
#include "base/utf8.h"
#include "guard/stream.h"
#include "proxy/upstream.h"
#include "tests/unit/fake_classifier.h"

enum { SAMPLE = 600, CHOICES = 2 };

static const char *const policies_text[] = {
    /* rules alone */
    "checks:\n"
    "  - {id: rivals, use: rules, on: [output], any: [\"acme corp\", acme, "
    "\"straße\"], action: redact}\n"
    "  - {id: words, use: rules, on: [output], any: [plutonium, "
    "\"red mercury\"], action: block}\n"
    "  - {id: people, use: entities, on: [output], kinds: [email, phone, "
    "iban, card, ip, api_key], action: redact}\n",
    /* one bounded pattern, and one with a cap */
    "checks:\n"
    "  - {id: codes, use: rules, on: [output], any: [{pattern: "
    "\"zq[0-9]{3,8}x\"}, {pattern: \"BEGIN.*END\", start: BEGIN, "
    "cap: 40}], action: redact}\n"
    "  - {id: rivals, use: rules, on: [output], any: [acme], action: flag}\n",
    /* a classifier that bytes wait for */
    "checks:\n"
    "  - {id: rivals, use: rules, on: [output], any: [\"acme corp\", acme], "
    "action: redact}\n"
    "  - {id: people, use: entities, on: [output], kinds: [email, phone], "
    "action: redact}\n"
    "  - {id: hazards, use: classifier, on: [output], categories: {all: "
    "balanced}, action: block}\n",
    /* shadows, which hold nothing */
    "checks:\n"
    "  - {id: rivals, use: rules, on: [output], any: [acme], action: redact}\n"
    "  - {id: seen, use: rules, on: [output], any: [plutonium], action: block, "
    "shadow: true}\n"
    "  - {id: hazards, use: classifier, on: [output], categories: {all: "
    "balanced}, action: block, shadow: true}\n",
};
enum { POLICIES = sizeof policies_text / sizeof *policies_text };

#define LONG                                                                   \
    "Somebody wrote a letter to somebody else, and in it were the words that " \
    "nobody had expected, least of all the one who read them aloud. "

static const char *const answers[] = {
    "",
    "Hi.",
    "The acme corp sells plutonium, and acme corps does not.",
    "Write to jane.doe@example.org or call +39 06 1234 5678, please.",
    "DE89 3704 0044 0532 0130 00 is an account; 4111 1111 1111 1111 a card",
    "Die Stra\xc3\x9f"
    "e, the STRASSE, a Stra\xc3\x9f"
    "en: \xc3\x9c\xc3\xb6l a\xcc\x88 acme\xcc\x81 acme",
    "acm\xe2\x80\x8b"
    "e and \xef\xbd\x81\xef\xbd\x83\xef\xbd\x8d\xef\xbd\x85 and \xd0\xb0"
    "cme, all of them",
    "\xf0\x9f\x98\x80 red \xf0\x9f\x98\x80 mercury; red  mercur; red\nmercury",
    "zq12x zq123x zq12345678x zq123456789x zq1BEGIN acme END",
    "BEGIN and it goes on and on and on, past its cap END BEGIN short END",
    "BEGIN BEGIN \xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e END END and zq999x",
    LONG "acme corp " LONG "jane@example.org " LONG,
    LONG LONG "and BAD things follow, " LONG,
    LONG "10.0.0.1 AKIAIOSFODNN7EXAMPLE " LONG "BAD",
    "one two three four five acme corp and more words behind a checkpoint, "
    "so that it is cut there, jane.doe@example.org, and there.",
    "Decode\n"
    "> dGhlIGFjbWUgY29ycCBzZWxs\n"
    "> cyBwbHV0b25pdW0sIGFuZCBq\n"
    "> YW5lLmRvZUBleGFtcGxlLm9y\n"
    "> ZyBzYXlzIGFjbWU=\n"
    "Bye",
    "  # 7772697465\n"
    "  # 20746f2061\n"
    "  # 636d652063\n"
    "  # 6f72702061\n"
    "  # 6e64206163\n"
    "  # 6d65\n"
    "acme",
    "dGhl\n"
    "IGFj\n"
    "bWUg\n"
    "Y29y\n"
    "cCBz\n"
    "ZWxs\n"
    "cyBw\n"
    "bHV0\n"
    "b25p\n"
    "dW0s\n"
    "IGFu\n"
    "ZCBq\n"
    "YW5l\n"
    "LmRv\n"
    "ZUBl\n"
    "eGFt\n"
    "cGxl\n"
    "Lm9y\n"
    "ZyBz\n"
    "YXlz\n"
    "IGFj\n"
    "bWU=\n",
    "\\\"quoted\\\" \t\r\n /slashes/ \\u0061cme acme\\n"
    "acme <b>acme</b> &acme;",
};
enum { ANSWERS = sizeof answers / sizeof *answers };

static struct guard *guard;
static struct policy *policies[POLICIES];

static uint32_t random_state;

static uint32_t roll(uint32_t sides) {
    random_state = random_state * 1664525u + 1013904223u;
    return (random_state >> 8) % sides;
}

/* NULL when one of its rules can never act. */
static struct policy *policy_of(const char *text) {
    char path[] = "/tmp/test_cuttings_XXXXXX";
    struct err err = {0};
    struct policy *p;
    FILE *f = fdopen(mkstemp(path), "w");

    assert_non_null(f);
    fprintf(f, "policy: test\n%s", text);
    assert_int_equal(fclose(f), 0);
    p = policy_open(path, &err);
    unlink(path);
    /* A rule that another makes idle is refused: nothing to compare then. */
    if (!p && !strstr(err.text, "can never act"))
        fail_msg("%s\n%s", err.text, text);
    return p;
}

/* ---- one choice ---- */

struct choice {
    struct guard_stream *s;
    struct upstream_reader *reader;
    struct bytes out;
    int verdicts;
    struct verdict v;
};

static void on_release(void *user, struct span text) {
    struct choice *c = user;

    assert_int_equal(c->verdicts, 0);
    bytes_put(&c->out, text);
}

static void on_verdict(void *user, const struct verdict *v) {
    struct choice *c = user;

    c->verdicts++;
    c->v = *v;
}

static void on_text(void *user, struct span text, const int *tokens,
                    int token_count) {
    struct choice *c = user;

    guard_stream_push(c->s, text, tokens, token_count);
}

static void begin(struct choice *c, const struct policy *p) {
    struct guard_stream_options o = {.policy = p,
                                     .channel = CHANNEL_OUTPUT,
                                     .on_release = on_release,
                                     .on_verdict = on_verdict,
                                     .user = c};
    struct llm_events events = {.on_text = on_text, .user = c};

    *c = (struct choice){.verdicts = 0};
    c->s = guard_stream_new(guard, &o);
    c->reader = upstream_reader_new(&events);
}

static void end(struct choice *c) {
    guard_stream_free(c->s);
    upstream_reader_free(c->reader);
}

/* The answer at once, without any wire. */
static struct choice whole(const struct policy *p, const char *text) {
    struct choice c;

    begin(&c, p);
    guard_stream_push(c.s, span_of(text), NULL, 0);
    guard_stream_finish(c.s);
    while (fake_poll()) continue;
    end(&c);
    assert_int_equal(c.verdicts, 1);
    return c;
}

/* ---- the wire ---- */

static void put_unit(struct bytes *out, uint32_t unit) {
    const char *digits = roll(2) ? "0123456789abcdef" : "0123456789ABCDEF";

    bytes_puts(out, "\\u");
    for (int shift = 12; shift >= 0; shift -= 4)
        bytes_put(out, (struct span){digits + (unit >> shift & 15), 1});
}

/* One character as JSON may spell it. */
static void put_point(struct bytes *out, struct span raw, uint32_t point) {
    bool must = point < 0x20 || point == '"' || point == '\\';

    if (point == '\n' && roll(2)) {
        bytes_puts(out, "\\n");
    } else if ((point == '"' || point == '\\' || point == '/') && roll(2)) {
        bytes_puts(out, "\\");
        bytes_put(out, raw);
    } else if (must || roll(4) == 0) {
        if (point < 0x10000) {
            put_unit(out, point);
        } else {
            put_unit(out, 0xD800 + ((point - 0x10000) >> 10));
            put_unit(out, 0xDC00 + ((point - 0x10000) & 0x3FF));
        }
    } else {
        bytes_put(out, raw);
    }
}

/* An answer as events of a few characters each. */
static void put_events(struct bytes *out, const char *text) {
    static const char *const line_ends[] = {"\n", "\r\n", "\r"};
    const char *line_end = line_ends[roll(3)];
    struct span rest = span_of(text);
    uint32_t most = 1 + roll(30);

    while (rest.size) {
        bytes_puts(out, "data: {\"choices\":[{\"index\":0,\"delta\":{"
                        "\"content\":\"");
        for (uint32_t n = 1 + roll(most); n && rest.size; n--) {
            uint32_t point;
            size_t took = utf8_decode(rest, &point, NULL);

            put_point(out, span_slice(rest, 0, took), point);
            rest = span_slice(rest, took, rest.size);
        }
        bytes_puts(out, "\"}}]}");
        bytes_puts(out, line_end);
        bytes_puts(out, line_end);
    }
    bytes_puts(out, "data: {\"choices\":[{\"index\":0,\"delta\":{},"
                    "\"finish_reason\":\"stop\"}]}");
    bytes_puts(out, line_end);
    bytes_puts(out, line_end);
}

/* ---- a cutting ---- */

static void check_same(const struct choice *c, const struct choice *first,
                       const char *text, uint32_t seed) {
    if (!span_equal(span_bytes(&c->out), span_bytes(&first->out)))
        fail_msg("seed %u: \"%s\": released \"%.*s\", not \"%.*s\"", seed, text,
                 (int)c->out.size, c->out.at, (int)first->out.size,
                 first->out.at);
    if (c->verdicts != 1 || c->v.action != first->v.action ||
        c->v.cause != first->v.cause)
        fail_msg("seed %u: \"%s\": %d verdicts, %s, not %s", seed, text,
                 c->verdicts, verdict_action_name(c->v.action),
                 verdict_action_name(first->v.action));
}

/* The streams run at paces of their own: a turn gives one of them a few bytes,
 * or lets the classifier answer. */
static void cutting(uint32_t seed, int p, const int texts[CHOICES],
                    struct choice firsts[POLICIES][ANSWERS]) {
    struct choice choices[CHOICES];
    struct bytes wires[CHOICES] = {{0}};
    size_t at[CHOICES] = {0};
    struct err err = {0};
    int open = CHOICES;
    uint32_t most, lazy;

    random_state = seed;
    most = 1 + roll(roll(2) ? 8 : 400);
    lazy = 1 + roll(20);
    for (int i = 0; i < CHOICES; i++) {
        begin(&choices[i], policies[p]);
        put_events(&wires[i], answers[texts[i]]);
    }
    while (open) {
        int i = (int)roll(CHOICES);
        struct span piece =
            span_slice(span_bytes(&wires[i]), at[i], at[i] + 1 + roll(most));
        struct llm_end how;

        if (roll(lazy) == 0) (void)fake_poll();
        if (at[i] > wires[i].size) continue;
        if (!upstream_reader_feed(choices[i].reader, piece, &err))
            fail_msg("seed %u: %s", seed, err.text);
        at[i] += piece.size;
        if (piece.size) continue;
        at[i]++; /* past the end: over */
        open--;
        assert_true(upstream_reader_finish(choices[i].reader, &how, &err));
        guard_stream_finish(choices[i].s);
    }
    while (fake_poll()) continue;
    for (int i = 0; i < CHOICES; i++) {
        end(&choices[i]);
        check_same(&choices[i], &firsts[p][texts[i]], answers[texts[i]], seed);
        bytes_free(&choices[i].out);
        bytes_free(&wires[i]);
    }
    assert_int_equal(fake.alive, 0);
}

static void test_cuttings(void **state) {
    static struct choice firsts[POLICIES][ANSWERS];
    const char *wanted = getenv("CORRAL_CUTTINGS");
    long count = wanted ? strtol(wanted, NULL, 10) : SAMPLE;
    int blocked = 0, changed = 0;

    (void)state;
    for (int p = 0; p < POLICIES; p++)
        for (int t = 0; t < ANSWERS; t++) {
            struct choice *c = &firsts[p][t];

            *c = whole(policies[p], answers[t]);
            blocked += c->v.action == VERDICT_BLOCK;
            changed += !span_is(span_bytes(&c->out), answers[t]);
        }
    /* The texts are not chosen so that nothing happens. */
    assert_true(blocked >= 4 && changed >= 20);
    for (long n = 0; n < count; n++) {
        int texts[CHOICES];

        random_state = (uint32_t)n;
        for (int i = 0; i < CHOICES; i++) texts[i] = (int)roll(ANSWERS);
        cutting((uint32_t)n + 1, (int)(n % POLICIES), texts, firsts);
    }
    for (int p = 0; p < POLICIES; p++)
        for (int t = 0; t < ANSWERS; t++) bytes_free(&firsts[p][t].out);
}

/* ---- one rule more ---- */

static const char *const rule_pool[] = {
    "acme",
    "acme corp",
    "corp",
    "{literal: corp, anywhere: true}",
    "\"red mercury\"",
    "mercury",
    "\"mercury acme\"",
    "{literal: cur, anywhere: true}",
    "{pattern: \"zq[0-9]{1,8}\"}",
    "{pattern: \"[0-9]{2,12}x?\"}",
    "{pattern: \"acme.{0,12}red\"}",
    "{pattern: \"red.*corp\", start: red, cap: 20}",
    "{pattern: \"m[a-z ]*\", start: m, cap: 12}",
};
enum { RULES = sizeof rule_pool / sizeof *rule_pool };
static const char *const kinds[] = {"email", "phone", "iban",
                                    "card",  "ip",    "api_key"};
enum { KINDS = sizeof kinds / sizeof *kinds };

/* The rules and kinds whose bits are set, those of `apart` in checks of their
 * own. */
static struct policy *policy_with(uint32_t rules, uint32_t entities,
                                  uint32_t apart_rules, uint32_t apart_kinds) {
    struct bytes text = {0};
    struct policy *p;
    struct err err = {0};

    bytes_puts(&text, "checks:\n");
    for (int check = 0; check < 4; check++) {
        bool is_rules = check < 2;
        uint32_t apart = is_rules ? apart_rules : apart_kinds;
        uint32_t bits =
            (is_rules ? rules : entities) & (check % 2 ? apart : ~apart);

        if (!bits) continue;
        assert_true(bytes_printf(&text, &err,
                                 "  - {id: c%d, use: %s, on: [output], action: "
                                 "redact, %s: [",
                                 check, is_rules ? "rules" : "entities",
                                 is_rules ? "any" : "kinds"));
        for (int i = 0; i < (is_rules ? RULES : KINDS); i++)
            if (bits & 1u << i)
                assert_true(bytes_printf(&text, &err, "%s,",
                                         is_rules ? rule_pool[i] : kinds[i]));
        bytes_puts(&text, "]}\n");
    }
    bytes_put(&text, (struct span){"", 1});
    p = policy_of(text.at);
    bytes_free(&text);
    return p;
}

static void random_text(struct bytes *text) {
    static const char *const words[] = {"acme",
                                        "corp",
                                        "red",
                                        "mercury",
                                        "zq12",
                                        "345x",
                                        "jane",
                                        "@ex.org",
                                        "a.b@c.de",
                                        "10.1.2.3",
                                        "+39 06 1234 5678",
                                        "4111 1111 1111 1111",
                                        "DE89370400440532013000",
                                        "AKIAIOSFODNN7EXAMPLE",
                                        "my",
                                        "\xc3\xbc",
                                        "tel.",
                                        "4111111111111111@mail.org",
                                        "x10.0.0.1:80"};
    static const char *const gaps[] = {" ", " ", " ", "", "-", "\n", "  "};

    for (uint32_t n = 4 + roll(12); n; n--) {
        bytes_puts(text, words[roll(sizeof words / sizeof *words)]);
        bytes_puts(text, gaps[roll(sizeof gaps / sizeof *gaps)]);
    }
}

/* Which bytes of the text are redacted. */
static void covered(const struct policy *p, struct span text, bool streamed,
                    bool *out) {
    struct verdict v;
    struct err err = {0};

    memset(out, 0, text.size);
    if (streamed) {
        struct choice c;

        begin(&c, p);
        for (size_t at = 0; at < text.size; at += 3)
            guard_stream_push(c.s, span_slice(text, at, at + 3), NULL, 0);
        guard_stream_finish(c.s);
        end(&c);
        assert_int_equal(c.verdicts, 1);
        bytes_free(&c.out);
        v = c.v;
    } else {
        verdict_begin(&v, policy_revision(p));
        assert_true(policy_scan(p, CHANNEL_OUTPUT, 0, text, &v, &err));
    }
    assert_true(v.finding_count < VERDICT_FINDINGS_MAX);
    for (int i = 0; i < v.finding_count; i++)
        for (size_t at = v.findings[i].from; at < v.findings[i].end; at++)
            out[at] = true;
}

/* A rule more, in a check of its own or among the others of its kind: what was
 * redacted stays so. */
static void test_one_more(void **state) {
    static bool before[4096], after[4096];
    const char *wanted = getenv("CORRAL_CUTTINGS");
    int rounds = wanted ? 600 : 60, redacted = 0;

    (void)state;
    for (int round = 0; round < rounds; round++) {
        uint32_t rules, entities, more, apart;
        struct policy *few, *many;

        random_state = (uint32_t)round;
        rules = roll(1u << RULES) & roll(1u << RULES);
        entities = roll(1u << KINDS) & roll(1u << KINDS);
        if (!rules && !entities) rules = 1;
        more = roll(RULES + KINDS);
        apart = roll(2) ? ~0u : 0;
        few = policy_with(rules, entities, 0, 0);
        many = more < RULES
                   ? policy_with(rules | 1u << more, entities,
                                 apart & 1u << more & ~rules, 0)
                   : policy_with(rules, entities | 1u << (more - RULES), 0,
                                 apart & 1u << (more - RULES) & ~entities);
        for (int n = 0; few && many && n < 20; n++) {
            struct bytes text = {0};

            random_text(&text);
            for (int streamed = 0; streamed < 2; streamed++) {
                covered(few, span_bytes(&text), streamed, before);
                covered(many, span_bytes(&text), streamed, after);
                for (size_t i = 0; i < text.size; i++) {
                    redacted += before[i];
                    if (before[i] && !after[i])
                        fail_msg("round %d, %s: \"%.*s\": byte %zu was "
                                 "redacted before %s came",
                                 round, streamed ? "streamed" : "whole",
                                 (int)text.size, text.at, i,
                                 more < RULES ? rule_pool[more]
                                              : kinds[more - RULES]);
                }
            }
            bytes_free(&text);
        }
        policy_free(few);
        policy_free(many);
    }
    assert_true(redacted > 10000);
}

static int setup(void **state) {
    (void)state;
    if (!hash_init(NULL)) return -1;
    guard = fake_guard(true);
    for (int i = 0; i < POLICIES; i++)
        if (!(policies[i] = policy_of(policies_text[i]))) return -1;
    return 0;
}

static int teardown(void **state) {
    (void)state;
    for (int i = 0; i < POLICIES; i++) policy_free(policies[i]);
    guard_close(guard);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_cuttings),
                                       cmocka_unit_test(test_one_more)};

    return cmocka_run_group_tests(tests, setup, teardown);
}
