/* test_policy.c - policy files: what is read, what is refused and where, and
 * that a text which arrives in pieces is judged as if it came at once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/utf8.h"
#include "guard/policy.h"

#define CHECK                                                                  \
    "checks:\n"                                                                \
    "  - {id: a, use: rules, on: [output], any: [acme], action: block}\n"

static char folder[] = "/tmp/corral-policy-XXXXXX";

static char *in_folder(const char *name) {
    size_t size = sizeof folder + strlen(name) + sizeof "/.yaml";
    char *path = xalloc(size);

    (void)snprintf(path, size, "%s/%s.yaml", folder, name);
    return path;
}

static void put_file(const char *name, const char *text) {
    char *path = in_folder(name);
    FILE *file = fopen(path, "w");

    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, strlen(text), file), strlen(text));
    assert_int_equal(fclose(file), 0);
    free(path);
}

static struct policy *open_text(const char *text) {
    char *path = in_folder("main");
    struct err err = {.code = ERR_NONE};
    struct policy *p;

    put_file("main", text);
    p = policy_open(path, &err);
    if (!p) fail_msg("%s", err.text);
    free(path);
    return p;
}

/* `where` is "main:2:3" and `word` a part of the reason. */
static void check_refused(const char *text, const char *where,
                          const char *word) {
    char *path = in_folder("main");
    struct err err = {.code = ERR_NONE};
    char place[256];
    const char *colon = strchr(where, ':');

    put_file("main", text);
    if (policy_open(path, &err)) fail_msg("accepted: %s", text);
    (void)snprintf(place, sizeof place, "%s/%.*s.yaml%s: ", folder,
                   (int)(colon - where), where, colon);
    if (strncmp(err.text, place, strlen(place)) != 0 ||
        !strstr(err.text, word) || err.code != ERR_INPUT)
        fail_msg("'%s' instead of '%s' and '%s'", err.text, place, word);
    free(path);
}

static void test_read(void **state) {
    struct policy *p = open_text(
        "policy: mine\nmode: shadow\nstream: trail\non_block: error\n"
        "checks:\n"
        "  - {id: haz, use: classifier, on: [input, output], action: block,\n"
        "     categories: {all: balanced, S6: loose, INJ: off}}\n"
        "  - {id: inj, use: classifier, on: [document], action: flag,\n"
        "     categories: {INJ: strict}, model: activated, shadow: true}\n"
        "  - {id: ids, use: entities, on: [output], kinds: [email, ip],\n"
        "     action: redact}\n"
        "tools: {allow: [calculator, time]}\n"
        "messages: {block: {en: No., it: Niente.}}\n"
        "limits: {guard_ms: 50, input_tokens: 7}\n"
        "tests:\n"
        "  - {on: output, prompt: Q, text: T, expect: allow}\n");
    const struct check *c = policy_check(p, 0);

    (void)state;
    assert_string_equal(policy_name(p), "mine");
    assert_true(policy_shadow(p) && policy_stream_trail(p));
    assert_true(policy_on_block_error(p));
    assert_int_equal(policy_check_count(p), 3);
    assert_int_equal(c->levels[LABEL_UNSAFE], LEVEL_BALANCED);
    assert_int_equal(c->levels[LABEL_S1], LEVEL_BALANCED);
    assert_int_equal(c->levels[6], LEVEL_LOOSE);
    assert_int_equal(c->levels[LABEL_INJ], LEVEL_OFF);
    assert_true(c->on[CHANNEL_INPUT] && !c->on[CHANNEL_DOCUMENT]);
    c = policy_check(p, 1);
    assert_int_equal(c->levels[LABEL_UNSAFE], LEVEL_OFF);
    assert_int_equal(c->levels[LABEL_INJ], LEVEL_STRICT);
    assert_int_equal(c->model, GUARD_MODEL_ACTIVATED);
    assert_true(c->shadow);
    c = policy_check(p, 2);
    assert_int_equal(c->entities, 1u << ENTITY_EMAIL | 1u << ENTITY_IP);
    assert_int_equal(policy_limits(p)->guard_ms, 50);
    assert_int_equal(policy_limits(p)->input_tokens, 7);
    assert_true(policy_tool_allowed(p, span_of("time")));
    assert_false(policy_tool_allowed(p, span_of("tim")));
    assert_string_equal(policy_message(p, "it-CH"), "Niente.");
    assert_string_equal(policy_message(p, "xx"), "No.");
    assert_string_equal(policy_message(p, NULL), "No.");
    assert_int_equal(policy_test_count(p), 1);
    assert_int_equal(policy_test(p, 0)->line, 16);
    assert_string_equal(policy_test(p, 0)->prompt, "Q");
    assert_true(policy_classifies(p, CHANNEL_DOCUMENT));
    assert_false(policy_classifies(p, CHANNEL_TOOL_CALL));
    assert_int_equal(strlen(policy_revision(p)), 16);
    policy_free(policy_ref(p));
    assert_string_equal(policy_name(p), "mine");
    policy_free(p);
}

static void test_defaults(void **state) {
    struct policy *p = open_text("policy: x\n" CHECK);

    (void)state;
    assert_false(policy_shadow(p) || policy_stream_trail(p) ||
                 policy_on_block_error(p));
    assert_true(policy_tool_allowed(p, span_of("anything")));
    assert_int_equal(policy_limits(p)->guard_ms, 2000);
    assert_true(*policy_message(p, "en"));
    policy_free(p);
    p = open_text("policy: x\ntools: {allow: []}\n" CHECK);
    assert_false(policy_tool_allowed(p, span_of("anything")));
    policy_free(p);
}

static void test_extends(void **state) {
    struct policy *p;
    char first[17];

    (void)state;
    put_file("one", "policy: one\nlimits: {guard_ms: 9}\ntests:\n"
                    "  - {on: input, text: x, expect: block}\n" CHECK
                    "  - {id: b, use: entities, on: [output], kinds: [ip], "
                    "action: flag}\n");
    p = open_text("policy: x\nextends: [one]\nchecks:\n"
                  "  - {id: a, use: rules, on: [input], any: [zz], action: "
                  "flag}\n");
    assert_int_equal(policy_check_count(p), 2);
    assert_string_equal(policy_check(p, 0)->id, "a");
    assert_int_equal(policy_check(p, 0)->action, VERDICT_FLAG);
    assert_false(policy_check(p, 0)->on[CHANNEL_OUTPUT]);
    assert_int_equal(policy_limits(p)->guard_ms, 9);
    assert_int_equal(policy_test_count(p), 0);
    memcpy(first, policy_revision(p), sizeof first);
    policy_free(p);
    /* A pack's change changes the revision. */
    put_file("one", "policy: one\n" CHECK);
    p = open_text("policy: x\nextends: [one]\nchecks:\n"
                  "  - {id: a, use: rules, on: [input], any: [zz], action: "
                  "flag}\n");
    assert_string_not_equal(policy_revision(p), first);
    policy_free(p);
    check_refused("policy: x\nextends: [two]\n", "main:2:11", "two.yaml");
    check_refused("policy: x\nextends: [../x]\n", "main:2:11", "name");
    check_refused("policy: x\nextends: [main]\n", "main:2:11", "itself");
    put_file("bad", "policy: bad\nchecks:\n  - {id: a, use: rules}\n");
    check_refused("policy: x\nextends: [bad]\n", "bad:3:5", "on");
}

static void test_refused_files(void **state) {
    (void)state;
    check_refused("", "main:1:1", "mapping");
    check_refused("policy: x\n", "main:1:1", "a policy needs a check");
    check_refused("policy: x\nchecks: []\n", "main:2:9",
                  "a policy needs a check");
    check_refused("policy: x\nmode: shadow\nchecks:\n", "main:3:8",
                  "a policy needs a check");
    check_refused("policy: x\nchecks: {a: b}\n", "main:2:9",
                  "checks must be a list");
    check_refused(CHECK, "main:1:1", "policy");
    check_refused("policy: x\nfoo: 1\n" CHECK, "main:2:1", "foo");
    check_refused("policy: x y\n" CHECK, "main:1:9", "name");
    check_refused("policy: x\nmode: off\n" CHECK, "main:2:7", "enforce");
    check_refused("policy: x\nstream: no\n" CHECK, "main:2:9", "hold");
    check_refused("policy: x\non_block: 1\n" CHECK, "main:2:11", "refusal");
    check_refused("policy: x\nlimits: {guard_ms: 0}\n" CHECK, "main:2:20",
                  "guard_ms");
    check_refused("policy: x\nlimits: {tokens: 0}\n" CHECK, "main:2:10",
                  "tokens");
    check_refused("policy: x\nmessages: {block: {e: x}}\n" CHECK, "main:2:23",
                  "language");
    check_refused("policy: x\ntools: {rules: []}\n" CHECK, "main:2:16",
                  "must be a list");
    check_refused("policy: x\ntools: {}\n" CHECK, "main:2:8", "allow");
    check_refused("policy: x\ntests: [{on: input, text: x}]\n" CHECK,
                  "main:2:9", "expect");
    check_refused(
        "policy: x\ntests: [{on: input, text: x, expect: maybe}]\n" CHECK,
        "main:2:38", "expect");
    check_refused("policy: x\ntests: [{on: input, text: x, prompt: y, expect: "
                  "flag}]\n" CHECK,
                  "main:2:38", "prompt");
}

/* One check with these fields, on line 3 from column 6. */
static void refused_check(const char *fields, int column, const char *word) {
    char text[512], where[32];

    (void)snprintf(text, sizeof text, "policy: x\nchecks:\n  - {%s}\n", fields);
    (void)snprintf(where, sizeof where, "main:3:%d", column);
    check_refused(text, where, word);
}

/* Two rules checks, on lines 3 and 4, from column 6; `second` is all of the
 * other check. */
static void put_two(char *out, size_t size, const char *any,
                    const char *second) {
    (void)snprintf(out, size,
                   "policy: x\nchecks:\n"
                   "  - {id: a, use: rules, on: [input, output], action: "
                   "redact, any: [%s]}\n  - {%s}\n",
                   any, second);
}

static void refused_two(const char *any, const char *second, int column) {
    char text[512], where[32];

    put_two(text, sizeof text, any, second);
    (void)snprintf(where, sizeof where, "main:4:%d", column);
    check_refused(text, where, "can never act");
}

static void accepted_two(const char *any, const char *second) {
    char text[512];

    put_two(text, sizeof text, any, second);
    policy_free(open_text(text));
}

#define SECOND "id: b, use: rules, on: "

static void test_unreachable(void **state) {
    (void)state;
    refused_check("id: a, use: rules, on: [input], action: flag, any: "
                  "[Acme corp, b, acme Corp]",
                  72, "3:58 is the same");
    refused_two("acme", SECOND "[input], action: flag, any: [b, Acme]", 61);
    refused_two("acme", SECOND "[input], action: redact, any: [acme]", 60);
    refused_two("{literal: acme, anywhere: true}",
                SECOND "[output], action: flag, any: [acme]", 59);
    refused_two("{pattern: 'a{1,3}b'}",
                SECOND "[input], action: flag, any: [{pattern: 'a{1,3}b'}]",
                68);
    /* More severe, elsewhere, or more of it. */
    accepted_two("acme", SECOND "[input], action: block, any: [acme]");
    accepted_two("acme", SECOND "[tool_call], action: flag, any: [acme]");
    accepted_two("acme", SECOND "[input], action: flag, any: "
                                "[{literal: acme, anywhere: true}]");
    accepted_two("{pattern: 'A{1,3}b'}",
                 SECOND "[input], action: flag, any: [{pattern: 'a{1,3}b'}]");
    accepted_two("acme", SECOND "[input], action: flag, any: [acme corp]");
    /* A shadow does not act, so another check may. */
    policy_free(open_text(
        "policy: x\nchecks:\n"
        "  - {id: a, use: rules, on: [input], action: block, shadow: true, "
        "any: [acme]}\n"
        "  - {id: b, use: rules, on: [input], action: flag, any: [acme]}\n"));
    /* Two packs may know the same word. */
    put_file("one", "policy: one\n" CHECK);
    policy_free(open_text("policy: x\nextends: [one]\nchecks:\n"
                          "  - {id: b, use: rules, on: [output], any: [acme], "
                          "action: flag}\n"));
}

static void refused_examples(const char *path, const char *where) {
    char text[512];

    (void)snprintf(text, sizeof text,
                   "policy: x\nchecks:\n"
                   "  - {id: a, use: examples, on: [input], action: flag,\n"
                   "     examples: %s}\n",
                   path);
    check_refused(text, where, "jsonl");
}

static void test_refused_examples(void **state) {
    (void)state;
    refused_check("id: a, use: examples, on: [input], action: redact", 49,
                  "redact");
    refused_check("id: a, use: examples, on: [input], action: flag", 5,
                  "examples");
    refused_check("id: a, use: examples, on: [output], action: flag, "
                  "examples: a.jsonl",
                  32, "pieces");
    refused_check("id: a, use: examples, on: [input], action: flag, any: [x]",
                  55, "any");
    refused_examples("[a.jsonl]", "main:4:16");
    refused_examples("a.json", "main:4:16");
    refused_examples(".jsonl", "main:4:16");
    refused_examples("/etc/a.jsonl", "main:4:16");
    refused_examples("../a.jsonl", "main:4:16");
    refused_examples("nowhere/a.jsonl", "main:4:16");
}

static void test_refused_checks(void **state) {
    (void)state;
    refused_check("use: rules", 5, "id");
    refused_check("id: a b, use: rules", 10, "name");
    refused_check("id: a", 5, "use");
    refused_check("id: a, use: magic", 18, "classifier");
    refused_check("id: a, use: rules", 5, "on");
    refused_check("id: a, use: rules, on: [], action: flag", 29, "channels");
    refused_check("id: a, use: rules, on: [in], action: flag", 30, "channel");
    refused_check("id: a, use: rules, on: [input, input], action: flag", 37,
                  "twice");
    refused_check("id: a, use: rules, on: [input]", 5, "action");
    refused_check("id: a, use: rules, on: [input], action: allow", 46, "block");
    refused_check("id: a, use: rules, on: [input], action: flag", 5, "any");
    refused_check("id: a, use: rules, on: [input], action: flag, any: []", 57,
                  "any");
    refused_check("id: a, use: rules, on: [input], action: flag, any: [7]", 58,
                  "text");
    refused_check("id: a, use: rules, on: [input], action: flag, any: ['']", 58,
                  "text");
    refused_check(
        "id: a, use: rules, on: [input], action: flag, any: [{pattern: a+}]",
        68, "cap");
    refused_check("id: a, use: rules, on: [input], action: flag, any: "
                  "[{pattern: a, anywhere: true}]",
                  71, "anywhere");
    refused_check("id: a, use: rules, on: [input], action: flag, any: "
                  "[{pattern: a, start: a}]",
                  78, "cap");
    refused_check("id: a, use: rules, on: [input], action: flag, any: "
                  "[{pattern: a+, cap: 9}]",
                  77, "start");
    refused_check("id: a, use: rules, on: [input], action: flag, any: "
                  "[{pattern: ab+, start: a+, cap: 9}]",
                  68, "start");
    refused_check("id: a, use: rules, on: [input], action: flag, any: [x], "
                  "kinds: [ip]",
                  62, "kinds");
    refused_check("id: a, use: entities, on: [input], action: flag, kinds: "
                  "[name]",
                  63, "kind");
    refused_check("id: a, use: classifier, on: [input], action: flag", 5,
                  "categories");
    refused_check("id: a, use: classifier, on: [input], action: flag, "
                  "categories: {S15: loose}",
                  75, "category");
    refused_check("id: a, use: classifier, on: [input], action: flag, "
                  "categories: {S1: high}",
                  74, "level");
    refused_check("id: a, use: classifier, on: [input], action: flag, "
                  "categories: {S1: off}",
                  69, "off");
    refused_check("id: a, use: classifier, on: [input], action: redact, "
                  "categories: {S1: loose}",
                  51, "redact");
    refused_check("id: a, use: classifier, on: [input], action: flag, "
                  "categories: {S1: loose}, model: half",
                  89, "activated");
    check_refused("policy: x\n" CHECK "  - {id: a, use: entities, on: [input], "
                  "kinds: [ip], action: flag}\n",
                  "main:4:10", "second");
}

static void check_verdict(const struct policy *p, enum channel channel,
                          const char *text, enum verdict_action action,
                          const char *redacted) {
    static struct verdict v;
    struct bytes out = {.at = NULL};
    struct err err;

    verdict_begin(&v, policy_revision(p));
    assert_true(policy_scan(p, channel, 0, span_of(text), &v, &err));
    assert_int_equal(v.action, action);
    assert_true(verdict_redact(&v, 0, span_of(text), &out, &err));
    if (!span_is(span_bytes(&out), redacted))
        fail_msg("'%.*s' instead of '%s'", (int)out.size, out.at, redacted);
    bytes_free(&out);
}

static const char mixed[] =
    "policy: x\nchecks:\n"
    "  - {id: rivals, use: rules, on: [output], action: redact,\n"
    "     any: [acme corp, acme, {literal: zz, anywhere: true},\n"
    "           {pattern: '(?i)initech\\w{0,5}'}]}\n"
    "  - {id: ids, use: entities, on: [output], action: redact,\n"
    "     kinds: [email, phone, card, api_key, iban, ip, private_key]}\n"
    "  - {id: quiet, use: rules, on: [output], any: [fox], action: block,\n"
    "     shadow: true}\n"
    "  - {id: stop, use: rules, on: [input], any: [stop], action: block}\n";

/* What a stream has to hold back of `text`; *v: what was found in it. */
static size_t hold_of(const struct policy *p, struct span text, size_t context,
                      struct verdict *v) {
    size_t hold;
    struct err err;

    verdict_begin(v, "r");
    assert_true(
        policy_scan_hold(p, CHANNEL_OUTPUT, 0, text, context, &hold, v, &err));
    return hold;
}

static void check_same(const struct verdict *v, const struct verdict *want) {
    assert_int_equal(v->action, want->action);
    assert_int_equal(v->finding_count, want->finding_count);
    for (int i = 0; i < v->finding_count; i++) {
        assert_int_equal(v->findings[i].from, want->findings[i].from);
        assert_int_equal(v->findings[i].end, want->findings[i].end);
        assert_ptr_equal(v->findings[i].check, want->findings[i].check);
    }
}

static void test_scan(void **state) {
    static struct verdict v;
    struct policy *p = open_text(mixed);

    (void)state;
    check_verdict(p, CHANNEL_OUTPUT, "hello", VERDICT_ALLOW, "hello");
    check_verdict(p, CHANNEL_OUTPUT, "fox", VERDICT_ALLOW, "fox");
    check_verdict(p, CHANNEL_INPUT, "stop", VERDICT_BLOCK, "stop");
    check_verdict(p, CHANNEL_OUTPUT, "At Acme Corp: a@b.com, initechxy!",
                  VERDICT_REDACT, "At [REDACTED]: [EMAIL], [REDACTED]!");
    check_verdict(p, CHANNEL_OUTPUT,
                  "call +39\xE2\x80\x8B 06 1234 \xEF\xBC\x95"
                  "678",
                  VERDICT_REDACT, "call [PHONE]");
    check_verdict(p, CHANNEL_DOCUMENT, "acme a@b.com", VERDICT_ALLOW,
                  "acme a@b.com");
    /* Encoded: what says it goes, whatever it is written in. */
    check_verdict(p, CHANNEL_OUTPUT, "%61cme, a%40b.com", VERDICT_REDACT,
                  "[REDACTED], [EMAIL]");
    check_verdict(p, CHANNEL_OUTPUT, "Ask QWNtZSBDb3Jw or 61636d6520636f7270!",
                  VERDICT_REDACT, "Ask [REDACTED] or [REDACTED]!");
    check_verdict(p, CHANNEL_OUTPUT, "JTYxY21lIGNvcnA=", VERDICT_REDACT,
                  "[REDACTED]=");
    check_verdict(p, CHANNEL_OUTPUT, "Zm94IGZvcg==", VERDICT_ALLOW,
                  "Zm94IGZvcg==");
    check_verdict(p, CHANNEL_INPUT, "%73top", VERDICT_BLOCK, "%73top");
    check_verdict(p, CHANNEL_OUTPUT, "Ask @cm3, a c m e   c o r p or A.C.M.E!",
                  VERDICT_REDACT, "Ask [REDACTED], [REDACTED] or [REDACTED]!");
    check_verdict(p, CHANNEL_OUTPUT, "Ask npzr pbec gb frr gur ahzoref ntnva.",
                  VERDICT_REDACT, "Ask [REDACTED] gb frr gur ahzoref ntnva.");
    policy_free(p);
    p = open_text("policy: x\nmode: shadow\n" CHECK);
    check_verdict(p, CHANNEL_OUTPUT, "acme", VERDICT_ALLOW, "acme");
    assert_int_equal(hold_of(p, span_of("ac"), 0, &v), 2);
    policy_free(p);
}

/* As a stream does it: keep 64 bytes before the mark, redact what is let go. */
static void release(const struct policy *p, struct bytes *pending,
                    size_t *context, bool last, struct bytes *out) {
    static struct verdict v, cut, same;
    struct span text = span_bytes(pending);
    size_t hold = text.size;
    struct err err;

    if (!last) text.size = utf8_complete(text);
    verdict_begin(&v, "r");
    verdict_begin(&cut, "r");
    if (text.size < *context) return;
    assert_true(
        policy_scan_tail(p, CHANNEL_OUTPUT, 0, text, *context, &v, &err));
    if (!last) {
        hold = hold_of(p, text, *context, &same);
        check_same(&same, &v);
    }
    if (hold <= *context) return;
    for (int i = 0; i < v.finding_count; i++) {
        struct finding f = v.findings[i];

        if (f.shadow || f.end <= *context || f.from >= hold) continue;
        if (f.from < *context || f.end > hold)
            fail_msg("'%.*s': [%zu, %zu) of %s over %zu or %zu", (int)text.size,
                     text.at, f.from, f.end, f.category, *context, hold);
        f.from -= *context;
        f.end -= *context;
        verdict_add(&cut, &f);
    }
    assert_true(
        verdict_redact(&cut, 0, span_slice(text, *context, hold), out, &err));
    *context = hold;
    if (*context > 64) {
        bytes_drop(pending, *context - 64);
        *context = 64;
    }
}

static uint32_t next(uint32_t *seed) {
    *seed = *seed * 1664525u + 1013904223u;
    return *seed >> 8;
}

static void check_stream(const struct policy *p, struct span text,
                         struct span want, uint32_t *seed, size_t most) {
    struct bytes pending = {.at = NULL}, out = {.at = NULL};
    size_t at = 0, context = 0;

    while (at < text.size) {
        size_t size = 1 + next(seed) % most;
        struct span piece = span_slice(text, at, at + size);

        bytes_put(&pending, piece);
        at += piece.size;
        release(p, &pending, &context, false, &out);
    }
    release(p, &pending, &context, true, &out);
    if (!span_equal(span_bytes(&out), want))
        fail_msg("'%.*s': '%.*s' instead of '%.*s'", (int)text.size, text.at,
                 (int)out.size, out.at, (int)want.size, want.at);
    bytes_free(&pending);
    bytes_free(&out);
}

static const char *const pieces[] = {"acme",
                                     " corp",
                                     "zz",
                                     "z",
                                     "Initech",
                                     "fox",
                                     " ",
                                     "\n",
                                     "a.b@x.com",
                                     "@",
                                     "+39 06 1234 5678",
                                     "(212) 555-0199",
                                     "call ",
                                     "4111 1111 1111 1111",
                                     "DE89 3704 0044 0532 0130 00",
                                     "192.168.1.1",
                                     "AKIAIOSFODNN7EXAMPLE",
                                     "token: a8f5f167f44f4964e6c998",
                                     "-----BEGIN PRIVATE KEY-----\nx",
                                     "-----END PRIVATE KEY-----",
                                     "\xE2\x80\x8B",
                                     "\xCC\x81",
                                     "\xD0\xB0",
                                     "\xEF\xBC\x91",
                                     "12",
                                     "-",
                                     "x",
                                     "The quick brown dog, it is said, jumps. ",
                                     "\xFF",
                                     "\xF0\x9F\x98\x80",
                                     "caf\xC3\xA9",
                                     "\xD0\xBF\xD1\x80\xD0\xB8"};

/* The same words in code, and what is around code. */
static const char *const coded[] = {
    "QWNtZSBjb3Jw",
    "IHNlbGxzIGFjbWUgY29ycA==",
    "VG8gYS5iQHguY29tIG9ubHk=",
    "61636d6520636f7270",
    "61 63 6d 65",
    "%61cme",
    "%20corp",
    "&#97;cme",
    "\\u0061cme",
    "U+0061",
    "JTYxY21lIGNvcnA=",
    "MFRW2ZJAMNXXE4A=",
    "a c m e",
    "a.c.m.e",
    " c o r p",
    "@cm3",
    "c0rp",
    "gur pbzcnal npzr pbec fryyf vg gb gurz ntnva",
    "niaga meht ot ti slles proc emca ynapmoc eht",
    ".- -.-. -- .",
    "acme",
    " corp",
    "zz",
    "z",
    " ",
    " ",
    "\n",
    ": ",
    "=",
    "%",
    "&",
    "x",
    "4",
    "The quick brown dog, it is said, jumps. ",
    "\xE2\x80\x8B",
    "\xF0\x9F\x98\x80",
    "caf\xC3\xA9"};

/* The pieces a text comes in do not show in what goes out. */
static void check_streams(const struct policy *p, const char *const *parts,
                          size_t count, int rounds) {
    uint32_t seed = 11;
    char text[1024];

    for (int round = 0; round < rounds; round++) {
        static struct verdict v;
        struct bytes want = {.at = NULL};
        struct span whole = {text, 0};
        struct err err;

        for (int i = 0; i < 12; i++) {
            const char *piece = parts[next(&seed) % count];

            memcpy(text + whole.size, piece, strlen(piece));
            whole.size += strlen(piece);
        }
        verdict_begin(&v, "r");
        assert_true(policy_scan(p, CHANNEL_OUTPUT, 0, whole, &v, &err));
        assert_true(verdict_redact(&v, 0, whole, &want, &err));
        check_stream(p, whole, span_bytes(&want), &seed, 1);
        check_stream(p, whole, span_bytes(&want), &seed, 12);
        bytes_free(&want);
    }
}

static void test_stream(void **state) {
    struct policy *p = open_text(mixed);

    (void)state;
    check_streams(p, pieces, sizeof pieces / sizeof *pieces, 600);
    check_streams(p, coded, sizeof coded / sizeof *coded, 600);
    policy_free(p);
}

static void test_shipped(void **state) {
    static const char *const names[] = {"default", "mlcommons", "injection",
                                        "privacy", "secrets"};

    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char path[64];
        struct err err = {.code = ERR_NONE};
        struct policy *p;

        (void)snprintf(path, sizeof path, "policies/%s.yaml", names[i]);
        p = policy_open(path, &err);
        if (!p) fail_msg("%s", err.text);
        assert_string_equal(policy_name(p), names[i]);
        assert_true(policy_test_count(p) > 0);
        /* What needs no model must hold without one. */
        for (int k = 0; k < policy_test_count(p); k++) {
            const struct policy_test *t = policy_test(p, k);
            static struct verdict v;

            verdict_begin(&v, "r");
            assert_true(policy_scan(p, t->on, 0, span_of(t->text), &v, &err));
            if (v.action != t->expect && t->expect != VERDICT_BLOCK)
                fail_msg("%s:%d", path, t->line);
        }
        policy_free(p);
    }
}

static int make_folder(void **state) {
    (void)state;
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state) {
    static const char *const names[] = {"main", "one", "bad"};

    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char *path = in_folder(names[i]);

        (void)unlink(path);
        free(path);
    }
    return rmdir(folder);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_read),
                                       cmocka_unit_test(test_defaults),
                                       cmocka_unit_test(test_extends),
                                       cmocka_unit_test(test_refused_files),
                                       cmocka_unit_test(test_refused_checks),
                                       cmocka_unit_test(test_unreachable),
                                       cmocka_unit_test(test_refused_examples),
                                       cmocka_unit_test(test_scan),
                                       cmocka_unit_test(test_stream),
                                       cmocka_unit_test(test_shipped)};

    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
