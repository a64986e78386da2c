/* fuzz_stream.c - the first byte chooses a policy, the second how the rest, a
 * text, is cut: what a stream releases and decides is what it would of the text
 * at once, and it blocks and redacts whatever the whole text shows.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/hash.h"
#include "guard/decode.h"
#include "guard/stream.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const rules[] = {
    "{id: a, use: rules, on: [output], any: [acme, \"acme corp\"], "
    "action: redact}",
    "{id: b, use: rules, on: [output], any: [\"red mercury\", {literal: zz, "
    "anywhere: true}], action: block}",
    "{id: c, use: entities, on: [output], kinds: [email, phone, iban, card, "
    "ip], action: redact}",
    "{id: d, use: rules, on: [output], any: [{pattern: \"z[0-9]{2,6}x\"}], "
    "action: redact}",
    "{id: e, use: rules, on: [output], any: [{pattern: \"key=+[a-z=]*\", "
    "start: \"key={1,3}\", cap: 12}], action: redact}",
    "{id: f, use: rules, on: [output], any: [corp, mercury], action: flag}",
};
enum { RULES = sizeof rules / sizeof *rules, POLICIES = 1 << RULES };

static struct guard *guard;
static struct policy *policies[POLICIES];

/* NULL for the set without a rule. */
static const struct policy *policy_at(unsigned set) {
    char path[] = "/tmp/fuzz_stream_XXXXXX";
    FILE *f;

    if (!set || policies[set]) return policies[set];
    f = fdopen(mkstemp(path), "w");
    if (!f) abort();
    fprintf(f, "policy: fuzz\nchecks:\n");
    for (int i = 0; i < RULES; i++)
        if (set & 1u << i) fprintf(f, "  - %s\n", rules[i]);
    (void)fclose(f);
    policies[set] = policy_open(path, NULL);
    (void)unlink(path);
    if (!policies[set]) abort();
    return policies[set];
}

struct outcome {
    struct bytes out;
    int verdicts;
    struct verdict v;
};

static void on_release(void *user, struct span text) {
    struct outcome *o = user;

    if (o->verdicts) abort();
    bytes_put(&o->out, text);
}

static void on_verdict(void *user, const struct verdict *v) {
    struct outcome *o = user;

    o->verdicts++;
    o->v = *v;
}

/* In pieces whose sizes come from `cuts`; 0: at once. */
static void stream(const struct policy *p, struct span text, uint32_t cuts,
                   struct outcome *o) {
    struct guard_stream_options options = {.policy = p,
                                           .channel = CHANNEL_OUTPUT,
                                           .on_release = on_release,
                                           .on_verdict = on_verdict,
                                           .user = o};
    struct guard_stream *s = guard_stream_new(guard, &options);
    uint32_t most = 1 + cuts % 16;

    memset(o, 0, sizeof *o);
    for (size_t at = 0; at < text.size;) {
        size_t piece = text.size;

        if (cuts) {
            cuts = cuts * 1664525u + 1013904223u;
            piece = 1 + (cuts >> 16) % most;
        }
        guard_stream_push(s, span_slice(text, at, at + piece), NULL, 0);
        at += piece;
    }
    guard_stream_finish(s);
    guard_stream_free(s);
    if (o->verdicts != 1) abort();
}

/* Redacted to the last byte in the stream. */
static bool covered(const struct verdict *v, size_t from, size_t end) {
    bool moved = true;

    while (moved && from < end) {
        moved = false;
        for (int i = 0; i < v->finding_count; i++) {
            const struct finding *f = &v->findings[i];

            if (f->action > VERDICT_REDACT || f->from > from || f->end <= from)
                continue;
            from = f->end;
            moved = true;
        }
    }
    return from >= end;
}

static bool is_encoded(struct span text) {
    struct decoded d;
    bool any;

    if (!decode_text(text, 0, &d, NULL)) return true;
    any = d.count > 0;
    decoded_clear(&d);
    return any;
}

/* A stream may see more than the whole text shows, where that says something
 * else on the whole, but never less. Where something is encoded, what stands
 * right beside it reads otherwise once its code is gone: not compared. */
static void check_whole(const struct policy *p, struct span text,
                        const struct outcome *o) {
    struct verdict v;

    verdict_begin(&v, "r");
    if (o->v.action == VERDICT_BLOCK || is_encoded(text) ||
        o->v.finding_count == VERDICT_FINDINGS_MAX ||
        !policy_scan(p, CHANNEL_OUTPUT, 0, text, &v, NULL))
        return;
    if (v.action == VERDICT_BLOCK) abort();
    for (int i = 0; i < v.finding_count; i++)
        if (v.findings[i].action == VERDICT_REDACT &&
            !covered(&o->v, v.findings[i].from, v.findings[i].end))
            abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct outcome whole, cut;
    const struct policy *p;
    struct span text;

    if (!guard) {
        struct guard_options none = {.engine = NULL};

        if (!hash_init(NULL)) abort();
        guard = guard_open(&none, NULL);
    }
    if (size < 2 || size > 4096) return 0;
    p = policy_at(data[0] % POLICIES);
    if (!p) return 0;
    text = (struct span){(const char *)data + 2, size - 2};
    stream(p, text, 0, &whole);
    stream(p, text, 1 + data[1], &cut);
    if (cut.v.action != whole.v.action ||
        !span_equal(span_bytes(&cut.out), span_bytes(&whole.out)))
        abort();
    check_whole(p, text, &whole);
    bytes_free(&whole.out);
    bytes_free(&cut.out);
    return 0;
}
