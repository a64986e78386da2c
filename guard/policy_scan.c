/* Running a policy's rules and entity checks over a text. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/utf8.h"
#include "guard/policy_types.h"
#include "guard/text.h"

/* More in one text than anybody reads: a flood, and it fails the scan. */
enum { HITS_MAX = 4096 };

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

static bool scan_rules(const struct policy *p, enum channel channel,
                       bool shadow, struct span text, size_t decided,
                       struct matches *m, struct err *err) {
    const struct policy_ruleset *set = &p->rulesets[channel][shadow];
    struct rule_hit *hits;
    int count = 0, max = room_for(text);
    bool ok;

    if (!set->rules) return true;
    hits = xalloc_array((size_t)max, sizeof *hits);
    /* A shadow holds nothing back, so its match may begin before. */
    ok = rules_scan_tail(set->rules, text, shadow ? 0 : decided, hits, max,
                         &count, err);
    if (ok && count == max)
        ok = err_set(err, ERR_LIMIT, "%d matches of rules or more", max);
    for (int i = 0; ok && i < count; i++)
        put(m, (struct match){&p->checks[set->map[hits[i].rule]->check], "",
                              hits[i].from, hits[i].end});
    free(hits);
    return ok;
}

/* What entity checks of the channel look for. */
static uint32_t wanted(const struct policy *p, enum channel channel,
                       bool acting_only) {
    uint32_t kinds = 0;

    for (int i = 0; i < p->check_count; i++) {
        const struct check *c = &p->checks[i].check;

        if (c->kind == CHECK_ENTITIES && c->on[channel] &&
            !(acting_only && policy_is_shadow(p, c)))
            kinds |= c->entities;
    }
    return kinds;
}

/* The first byte of the view that stands for raw bytes from `at` on. */
static size_t view_at(const struct text_view *v, size_t at) {
    size_t low = 0, high = v->text.size;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (v->map_from[middle] < at)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static bool scan_check(const struct policy_check *c, struct span text,
                       size_t decided, const struct text_view *view,
                       struct matches *m, struct err *err) {
    int max = room_for(text);
    struct entity_hit *hits = xalloc_array((size_t)max, sizeof *hits);
    int count = entity_scan_tail(text, view ? view_at(view, decided) : decided,
                                 c->check.entities, hits, max);

    for (int i = 0; i < count && count < max; i++) {
        struct match match = {c, entity_name(hits[i].kind), hits[i].from,
                              hits[i].end};

        if (view) {
            match.from = view->map_from[match.from];
            match.end = view->map_end[match.end - 1];
        }
        put(m, match);
    }
    free(hits);
    if (count < max) return true;
    return err_set(err, ERR_LIMIT, "%d identifiers or more", max);
}

/* Each check looks for its own kinds: what one check finds must not swallow a
 * match of another, which may act otherwise. */
static bool scan_entities(const struct policy *p, enum channel channel,
                          bool acting_only, struct span text, size_t decided,
                          struct matches *m, struct err *err) {
    bool ok = true, simple = text_is_simple(text);
    struct text_view view;

    if (!wanted(p, channel, acting_only)) return true;
    if (!simple && !text_fold(text, &view, err)) return false;
    for (int i = 0; ok && i < p->check_count; i++) {
        const struct policy_check *c = &p->checks[i];
        size_t from;

        if (c->check.kind != CHECK_ENTITIES || !c->check.on[channel] ||
            (acting_only && policy_is_shadow(p, &c->check)))
            continue;
        from = policy_is_shadow(p, &c->check) ? 0 : decided;
        ok = scan_check(c, text, from, NULL, m, err) &&
             (simple ||
              scan_check(c, span_bytes(&view.text), from, &view, m, err));
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

bool policy_scan_tail(const struct policy *p, enum channel channel, int item,
                      struct span text, size_t decided, struct verdict *v,
                      struct err *err) {
    struct matches m = {.at = NULL};
    uint64_t start = clock_ns();
    bool ok;

    ok = scan_rules(p, channel, false, text, decided, &m, err) &&
         scan_rules(p, channel, true, text, 0, &m, err);
    v->stage_us[STAGE_RULES] += since(&start);
    if (ok) ok = scan_entities(p, channel, false, text, decided, &m, err);
    if (ok) report(p, &m, item, v);
    v->stage_us[STAGE_ENTITIES] += since(&start);
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

static void hold_entities(const struct policy *p, enum channel channel,
                          struct span raw, size_t decided, size_t *hold) {
    uint32_t kinds = wanted(p, channel, true);
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
    from = view_at(&v, decided);
    at = entity_hold_tail(span_bytes(&v.text), from, kinds);
    lower(hold, text_view_raw(&v, at, raw.size));
    settled = span_slice(span_bytes(&v.text), 0, v.settled);
    at = entity_hold_tail(settled, from, kinds);
    /* What is not settled begins nothing, unless it may turn into ASCII. */
    if (at < v.settled || v.looks) lower(hold, text_view_raw(&v, at, raw.size));
    text_view_clear(&v);
}

/* A match that reaches over the mark must not be cut in two. */
static bool pull_back(const struct policy *p, enum channel channel,
                      struct span raw, size_t decided, size_t *hold) {
    struct matches m = {.at = NULL};
    bool ok, moved = true;

    ok = scan_rules(p, channel, false, raw, decided, &m, NULL) &&
         scan_entities(p, channel, true, raw, decided, &m, NULL);
    while (ok && moved) {
        moved = false;
        for (int i = 0; i < m.count; i++) {
            if (m.at[i].from >= *hold || m.at[i].end <= *hold) continue;
            *hold = m.at[i].from;
            moved = true;
        }
    }
    free(m.at);
    return ok;
}

size_t policy_hold_tail(const struct policy *p, enum channel channel,
                        struct span text, size_t decided) {
    struct span raw = span_slice(text, 0, utf8_complete(text));
    size_t hold = raw.size;

    if (p->rulesets[channel][0].rules)
        lower(&hold,
              rules_hold_tail(p->rulesets[channel][0].rules, raw, decided));
    hold_entities(p, channel, raw, decided, &hold);
    /* Nothing is pending: then no match reaches over the end either. */
    if (hold < raw.size && !pull_back(p, channel, raw, decided, &hold))
        hold = 0;
    return hold < decided ? decided : hold;
}

size_t policy_hold(const struct policy *p, enum channel channel,
                   struct span text) {
    return policy_hold_tail(p, channel, text, 0);
}
