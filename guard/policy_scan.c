/* Running a policy's rules and entity checks over a text. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/utf8.h"
#include "guard/decode.h"
#include "guard/entity_forms.h"
#include "guard/policy_types.h"

enum {
    /* More in one text than anybody reads: a flood, and it fails the scan. */
    HITS_MAX = 4096,
    HITS_FEW = 512 /* as many have room on the stack */
};

/* So that a short text costs little memory. */
static int room_for(struct span text) {
    return text.size > HITS_MAX ? HITS_MAX : 256 + (int)text.size / 2;
}

/* One check's match, before those that touch are joined. */
struct match {
    const struct policy_check *check;
    const char *category;
    size_t from, end;
};

struct matches {
    struct match *at;
    int count, capacity;
};

bool policy_is_shadow(const struct policy *p, const struct check *c) {
    return p->shadow || c->shadow;
}

static void put(struct matches *m, struct match match) {
    if (m->count == m->capacity) {
        m->capacity = m->capacity ? 2 * m->capacity : 32;
        m->at = xrealloc_array(m->at, (size_t)m->capacity, sizeof *m->at);
    }
    m->at[m->count++] = match;
}

/* `layer`: NULL for the raw text. */
static bool scan_rules(const struct policy *p, enum channel channel,
                       bool shadow, struct span text,
                       const struct decode_layer *layer, size_t decided,
                       struct matches *m, struct err *err) {
    const struct policy_ruleset *set = &p->rulesets[channel][shadow];
    struct rule_hit few[HITS_FEW], *hits = few;
    int count = 0, max = room_for(text);
    bool ok;

    if (!set->rules) return true;
    /* A shadow holds nothing back, so its match may begin before. */
    if (shadow) decided = 0;
    if (max > HITS_FEW) hits = xrealloc_array(NULL, (size_t)max, sizeof *hits);
    ok = layer ? rules_scan_layer(set->rules, layer, decided, hits, max, &count,
                                  err)
               : rules_scan_tail(set->rules, text, decided, hits, max, &count,
                                 err);
    if (ok && count == max)
        ok = err_set(err, ERR_LIMIT, "%d matches of rules or more", max);
    for (int i = 0; ok && i < count; i++)
        put(m, (struct match){&p->checks[set->map[hits[i].rule]->check], "",
                              hits[i].from, hits[i].end});
    if (hits != few) free(hits);
    return ok;
}

/* What entity checks of the channel look for. */
static uint64_t wanted(const struct policy *p, enum channel channel,
                       bool acting_only) {
    uint64_t kinds = 0;

    for (int i = 0; i < p->check_count; i++) {
        const struct check *c = &p->checks[i].check;

        if (c->kind == CHECK_ENTITIES && c->on[channel] &&
            !(acting_only && policy_is_shadow(p, c)))
            kinds |= c->entities;
    }
    return kinds;
}

/* A text in which entities are looked for, and what it stands for: NULL for
 * raw text. */
struct searched {
    struct span text;
    const struct text_view *view, *layer; /* the layer is below the view */
};

static size_t searched_at(const struct searched *r, size_t raw) {
    if (r->layer) raw = text_view_at(r->layer, raw);
    return r->view ? text_view_at(r->view, raw) : raw;
}

static bool scan_check(const struct policy_check *c, const struct searched *r,
                       size_t decided, struct matches *m, struct err *err) {
    int max = room_for(r->text);
    struct entity_hit few[HITS_FEW], *hits = few;
    int count;

    if (max > HITS_FEW) hits = xrealloc_array(NULL, (size_t)max, sizeof *hits);
    count = entity_scan_tail(r->text, searched_at(r, decided),
                             c->check.entities, hits, max);
    for (int i = 0; i < count && count < max; i++) {
        size_t from = hits[i].from, end = hits[i].end;

        if (r->view) text_view_span(r->view, from, end, &from, &end);
        if (r->layer) text_view_span(r->layer, from, end, &from, &end);
        if (from >= decided)
            put(m, (struct match){c, entity_name(hits[i].kind), from, end});
    }
    if (hits != few) free(hits);
    if (count < max) return true;
    return err_set(err, ERR_LIMIT, "%d identifiers or more", max);
}

/* Each check looks for its own kinds: what one check finds must not swallow a
 * match of another, which may act otherwise. `layer`: NULL for raw text. */
static bool scan_entities(const struct policy *p, enum channel channel,
                          struct span text, const struct text_view *layer,
                          size_t decided, struct matches *m, struct err *err) {
    struct searched plain = {layer ? span_bytes(&layer->text) : text, NULL,
                             layer};
    bool ok = true, simple = text_is_simple(plain.text);
    struct text_view view;
    struct searched folded = {.view = &view, .layer = layer};

    if (!wanted(p, channel, false)) return true;
    if (!simple && !text_fold(plain.text, &view, err)) return false;
    if (!simple) folded.text = span_bytes(&view.text);
    for (int i = 0; ok && i < p->check_count; i++) {
        const struct policy_check *c = &p->checks[i];
        size_t from;

        if (c->check.kind != CHECK_ENTITIES || !c->check.on[channel]) continue;
        from = policy_is_shadow(p, &c->check) ? 0 : decided;
        ok = scan_check(c, &plain, from, m, err) &&
             (simple || scan_check(c, &folded, from, m, err));
    }
    if (!simple) text_view_clear(&view);
    return ok;
}

static int by_check(const void *left, const void *right) {
    const struct match *a = left, *b = right;

    if (a->check != b->check) return a->check < b->check ? -1 : 1;
    if (a->from != b->from) return a->from < b->from ? -1 : 1;
    return a->end > b->end ? -1 : a->end < b->end;
}

/* Matches of one check that overlap become one finding, named by the longest
 * of them. */
static void report(const struct policy *p, struct matches *m, int item,
                   struct verdict *v) {
    int i = 0;

    if (m->count) qsort(m->at, (size_t)m->count, sizeof *m->at, by_check);
    while (i < m->count) {
        struct match joined = m->at[i];
        size_t widest = joined.end - joined.from;
        struct finding f = {.check = joined.check->check.id, .score = 1};

        for (i++; i < m->count && m->at[i].check == joined.check &&
                  m->at[i].from < joined.end;
             i++) {
            if (m->at[i].end > joined.end) joined.end = m->at[i].end;
            if (m->at[i].end - m->at[i].from <= widest) continue;
            widest = m->at[i].end - m->at[i].from;
            joined.category = m->at[i].category;
        }
        f.category = joined.category;
        f.item = item;
        f.from = joined.from;
        f.end = joined.end;
        f.action = joined.check->check.action;
        f.shadow = policy_is_shadow(p, &joined.check->check);
        verdict_add(v, &f);
    }
}

static uint32_t since(uint64_t *start) {
    uint64_t now = clock_ns(), took = (now - *start) / 1000;

    *start = now;
    return took > UINT32_MAX / 2 ? UINT32_MAX / 2 : (uint32_t)took;
}

/* Nothing of the channel reads the text itself. */
static bool looks_at(const struct policy *p, enum channel channel) {
    return p->rulesets[channel][0].rules || p->rulesets[channel][1].rules ||
           wanted(p, channel, false);
}

/* In `text` itself, or in a layer of it. */
static bool scan_one(const struct policy *p, enum channel channel,
                     struct span text, const struct decode_layer *layer,
                     size_t decided, struct matches *m, struct verdict *v,
                     struct err *err) {
    uint64_t start = clock_ns();
    bool ok = scan_rules(p, channel, false, text, layer, decided, m, err) &&
              scan_rules(p, channel, true, text, layer, 0, m, err);

    v->stage_us[STAGE_RULES] += since(&start);
    ok = ok && scan_entities(p, channel, text, layer ? &layer->view : NULL,
                             decided, m, err);
    v->stage_us[STAGE_ENTITIES] += since(&start);
    return ok;
}

/* In the layers of what is encoded in `text`. */
static bool scan_layers(const struct policy *p, enum channel channel,
                        struct span text, const struct decoded *d,
                        size_t decided, struct matches *m, struct verdict *v,
                        struct err *err) {
    bool ok = true;

    for (int i = 0; ok && i < d->count; i++)
        ok = scan_one(p, channel, text, &d->layers[i], decided, m, v, err);
    return ok;
}

/* In what is encoded in text[part->from..part->end). */
static bool scan_part(const struct policy *p, enum channel channel,
                      struct span text, const struct stretch *part,
                      size_t decided, struct matches *m, struct verdict *v,
                      struct err *err) {
    struct span here = span_slice(text, part->from, part->end);
    uint64_t start = clock_ns();
    int before = m->count;
    struct decoded d;
    bool ok;

    if (!decode_text(here, decided, &d, err)) return false;
    v->stage_us[STAGE_TEXT] += since(&start);
    ok = scan_layers(p, channel, here, &d, decided, m, v, err);
    for (int i = before; i < m->count; i++) {
        m->at[i].from += part->from;
        m->at[i].end += part->from;
    }
    decoded_clear(&d);
    return ok;
}

/* How far from what is encoded a match of the channel may reach. */
static size_t reach(const struct policy *p, enum channel channel) {
    return 2 * RULES_WIDTH_MAX +
           (wanted(p, channel, false) ? ENTITY_PEM_MAX : 0);
}

/* The parts of a text to decode: all of one that is short, or whose beginning
 * is context only. */
static bool parts_of(const struct policy *p, enum channel channel,
                     struct span text, size_t decided, struct stretches *parts,
                     struct err *err) {
    size_t far = reach(p, channel);

    if (!decided && text.size > 2 * far)
        return decode_parts(text, far, parts, err);
    if (text.size) odd_put(parts, 0, text.size);
    return true;
}

bool policy_scan_tail(const struct policy *p, enum channel channel, int item,
                      struct span text, size_t decided, struct verdict *v,
                      struct err *err) {
    struct matches m = {.at = NULL};
    struct stretches parts = {NULL, 0, 0, 0};
    uint64_t start = clock_ns();
    bool ok;

    if (!looks_at(p, channel)) return true;
    ok = parts_of(p, channel, text, decided, &parts, err);
    v->stage_us[STAGE_TEXT] += since(&start);
    ok = ok && scan_one(p, channel, text, NULL, decided, &m, v, err);
    for (size_t i = 0; ok && i < parts.count; i++)
        ok = scan_part(p, channel, text, &parts.list[i], decided, &m, v, err);
    start = clock_ns();
    if (ok) report(p, &m, item, v);
    v->stage_us[STAGE_ENTITIES] += since(&start);
    odd_free(&parts);
    free(m.at);
    return ok;
}

bool policy_scan(const struct policy *p, enum channel channel, int item,
                 struct span text, struct verdict *v, struct err *err) {
    return policy_scan_tail(p, channel, item, text, 0, v, err);
}

static void lower(size_t *hold, size_t at) {
    if (at < *hold) *hold = at;
}

/* All in bytes of `raw`, which may be a layer's text. */
static void hold_entities(const struct policy *p, enum channel channel,
                          struct span raw, size_t decided, size_t *hold) {
    uint64_t kinds = wanted(p, channel, true);
    struct text_view v;
    struct span settled;
    size_t at, from;

    if (!kinds) return;
    lower(hold, entity_hold_tail(raw, decided, kinds));
    if (text_is_simple(raw)) return;
    if (!text_fold(raw, &v, NULL)) {
        *hold = 0;
        return;
    }
    from = text_view_at(&v, decided);
    at = entity_hold_tail(span_bytes(&v.text), from, kinds);
    lower(hold, text_view_raw(&v, at, raw.size));
    settled = span_slice(span_bytes(&v.text), 0, v.settled);
    at = entity_hold_tail(settled, from, kinds);
    /* What is not settled begins nothing, unless it may turn into ASCII. */
    if (at < v.settled || v.looks) lower(hold, text_view_raw(&v, at, raw.size));
    text_view_clear(&v);
}

/* What could still begin in a text, in its own bytes. */
static void hold_text(const struct policy *p, enum channel channel,
                      struct span text, size_t decided, size_t *hold) {
    const struct rules *rules = p->rulesets[channel][0].rules;

    if (decided > text.size) decided = text.size;
    if (rules) lower(hold, rules_hold_tail(rules, text, decided));
    hold_entities(p, channel, text, decided, hold);
}

/* The same for a text of which only text[0..settled) is sure: what stands
 * there may also go on with what the rest is going to say. */
static size_t hold_settled(const struct policy *p, enum channel channel,
                           struct span text, size_t settled, size_t decided) {
    size_t hold = text.size;

    hold_text(p, channel, text, decided, &hold);
    if (settled < text.size) {
        lower(&hold, settled);
        hold_text(p, channel, span_slice(text, 0, settled), decided, &hold);
    }
    return hold;
}

/* A match that reaches over the mark must not be cut in two, nor a run that
 * says something else without its beginning. Those of shadows do not count. */
static void pull_back(const struct policy *p, struct span raw,
                      const struct decoded *d, const struct matches *m,
                      size_t *hold) {
    bool moved = true;

    while (moved) {
        size_t edge = decoded_edge(d, raw, *hold);

        moved = edge < *hold;
        *hold = edge;
        for (int i = 0; i < m->count; i++) {
            const struct match *match = &m->at[i];

            if (match->from >= *hold || match->end <= *hold ||
                policy_is_shadow(p, &match->check->check))
                continue;
            *hold = match->from;
            moved = true;
        }
    }
}

/* Does anything of the channel hold a text back. */
static bool holds(const struct policy *p, enum channel channel) {
    return p->rulesets[channel][0].rules || wanted(p, channel, true);
}

/* The first byte of a text still arriving that is, or could still become, part
 * of a match of an acting check. `m`: what was found in it. */
static size_t hold_decoded(const struct policy *p, enum channel channel,
                           struct span raw, struct decoded *d, size_t decided,
                           const struct matches *m) {
    size_t hold = raw.size;

    decoded_settle(d, raw, decided);
    lower(&hold, hold_settled(p, channel, raw, d->settled, decided));
    for (int i = 0; i < d->count; i++) {
        const struct text_view *v = &d->layers[i].view;
        size_t at =
            hold_settled(p, channel, span_bytes(&v->text),
                         decoded_at(v, d->settled), text_view_at(v, decided));

        lower(&hold, decoded_raw(v, at, raw.size));
    }
    /* Nothing is pending: then no match reaches over the end either, but what
     * a code says may tell what the next text is. */
    if (hold < raw.size || d->count) pull_back(p, raw, d, m, &hold);
    return hold < decided ? decided : hold;
}

bool policy_scan_hold(const struct policy *p, enum channel channel, int item,
                      struct span text, size_t decided, size_t *hold,
                      struct verdict *v, struct err *err) {
    struct matches m = {.at = NULL};
    uint64_t start = clock_ns();
    struct decoded d;
    bool ok;

    *hold = text.size;
    if (!looks_at(p, channel)) return true;
    if (!decode_text(text, decided, &d, err)) return false;
    v->stage_us[STAGE_TEXT] += since(&start);
    ok = scan_one(p, channel, text, NULL, decided, &m, v, err) &&
         scan_layers(p, channel, text, &d, decided, &m, v, err);
    start = clock_ns();
    if (ok && holds(p, channel))
        *hold = hold_decoded(p, channel, text, &d, decided, &m);
    if (ok) report(p, &m, item, v);
    v->stage_us[STAGE_ENTITIES] += since(&start);
    decoded_clear(&d);
    free(m.at);
    return ok;
}
