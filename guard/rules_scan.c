/* Finding: what is there in a text, and what could still come of its end. */
#include <stdlib.h>
#include <string.h>

#include <hs/hs.h>

#include "base/utf8.h"
#include "guard/odd.h"
#include "guard/plain.h"
#include "guard/rules_types.h"
#include "guard/text_spell.h"

enum {
    /* Before duplicates of the views are removed. */
    FOUND_MAX = 1 << 16,
    /* Bytes in which letters set apart still hang together (text_spell.c). */
    ODD_REACH = 64
};

struct found {
    const struct rules *rules;
    struct rule_hit *hits;
    int count, capacity;
    bool too_many;
    size_t decided; /* raw bytes that are only context */
    /* The text being scanned, and what it stands for: NULL for raw text. */
    struct span text;
    const struct text_view *view;
    const struct plain *plain; /* the view, of plain text */
    size_t shift; /* where `text` begins in what is scanned in windows */
    const struct decode_layer *layer; /* the text is that of one, or NULL */
    struct starts starts;             /* of capped patterns */
};

static uint32_t point_before(struct span s, size_t at) {
    uint32_t point;
    size_t from = at;

    do from--;
    while (from && ((unsigned char)s.at[from] & 0xC0) == 0x80);
    (void)utf8_decode(span_slice(s, from, at), &point, NULL);
    return point;
}

static uint32_t point_at(struct span s, size_t at) {
    uint32_t point;

    (void)utf8_decode(span_slice(s, at, s.size), &point, NULL);
    return point;
}

/* Between two code points of plain text. */
static bool plain_edge(struct span s, size_t at) {
    uint32_t left, right;

    if (at == 0 || at >= s.size) return true;
    left = point_before(s, at);
    right = point_at(s, at);
    return !text_is_word_point(left) || !text_is_word_point(right) ||
           text_is_unspaced(left) || text_is_unspaced(right);
}

bool rules_word_edge(const struct text_view *v, size_t at) {
    /* Else something invisible parts them: some scripts' blank, or a trick. */
    return plain_edge(span_bytes(&v->text), at) ||
           v->map_end[at - 1] < v->map_from[at];
}

/* text[*from..*end), as bytes of what is scanned. */
static void to_scanned(const struct found *f, size_t *from, size_t *end) {
    if (f->view) text_view_span(f->view, *from, *end, from, end);
    if (f->plain) plain_raw_span(f->plain, from, end);
    *from += f->shift;
    *end += f->shift;
}

/* As raw bytes. */
static struct rule_hit raw_hit(const struct found *f, struct rule_hit hit) {
    if (f->layer)
        text_view_span(&f->layer->view, hit.from, hit.end, &hit.from, &hit.end);
    return hit;
}

static bool put(struct found *f, int rule, size_t from, size_t end) {
    struct rule_hit hit = {rule, from, end};

    if (raw_hit(f, hit).from < f->decided) return true;
    if (f->count == FOUND_MAX) {
        f->too_many = true;
        return false;
    }
    if (f->count == f->capacity) {
        f->capacity = f->capacity ? 2 * f->capacity : 64;
        f->hits = xrealloc_array(f->hits, (size_t)f->capacity, sizeof *f->hits);
    }
    f->hits[f->count++] = hit;
    return true;
}

static bool is_edge(const struct found *f, size_t at) {
    return f->view ? rules_word_edge(f->view, at) : plain_edge(f->text, at);
}

static int on_literal(unsigned id, unsigned long long from,
                      unsigned long long end, unsigned flags, void *user) {
    struct found *f = user;
    const struct literal *l = &f->rules->literals[id];
    size_t start = (size_t)end - l->size, stop = (size_t)end;

    (void)from;
    (void)flags;
    if (!l->anywhere && (!is_edge(f, start) || !is_edge(f, stop))) return 0;
    to_scanned(f, &start, &stop);
    return !put(f, l->rule, start, stop);
}

static int on_pattern(unsigned id, unsigned long long from,
                      unsigned long long end, unsigned flags, void *user) {
    struct found *f = user;
    const struct pattern *p = &f->rules->patterns[id];
    size_t start = (size_t)from, stop = (size_t)end;
    struct rule_hit *last = f->count ? &f->hits[f->count - 1] : NULL;

    (void)flags;
    if (p->cap) {
        f->too_many =
            !starts_put(&f->starts, f->rules, (int)id, f->text, start, stop);
        return f->too_many;
    }
    to_scanned(f, &start, &stop);
    /* One match growing: keep its longest form only. */
    if (last && last->rule == p->rule && last->from == start) {
        if (stop > last->end) last->end = stop;
        return 0;
    }
    return !put(f, p->rule, start, stop);
}

static bool scan(struct found *f, struct hs_database *db, struct span text,
                 rules_match *on_match, struct err *err) {
    int status;

    if (!text.size) return true;
    if (text.size > UINT32_MAX)
        return err_set(err, ERR_LIMIT, "a text of %zu bytes", text.size);
    status = f->plain ? rules_run_within(f->rules, db, text, on_match, f)
                      : rules_run(f->rules, db, text, on_match, f);
    if (f->too_many)
        return err_set(err, ERR_LIMIT, "more than %d matches of rules",
                       FOUND_MAX);
    if (status != HS_SUCCESS)
        return err_set(err, ERR_UNAVAILABLE, "the rules failed to run (%d)",
                       status);
    return true;
}

static bool scan_literals(struct found *f, const struct text_view *view,
                          struct err *err) {
    struct span text = span_bytes(&view->text);
    char *flat;
    bool ok;

    if (!f->rules->literal_db || !text.size) return true;
    flat = xalloc_array(text.size, 1);
    rules_flatten(text, flat);
    f->view = view;
    ok = scan(f, f->rules->literal_db, (struct span){flat, text.size},
              on_literal, err);
    free(flat);
    return ok;
}

/* The matches that begin at the starts that were found. */
static bool run_starts(struct found *f, struct span text, struct err *err) {
    bool ok = starts_settle(&f->starts, err);

    for (int i = 0; ok && i < f->starts.count; i++) {
        const struct start *start = &f->starts.list[i];
        size_t from = start->at, end;

        ok = start_run(f->rules, start, text, &end, err);
        if (!ok || end == from) continue;
        to_scanned(f, &from, &end);
        ok =
            put(f, f->rules->patterns[start->pattern].rule, from, end) ||
            err_set(err, ERR_LIMIT, "more than %d matches of rules", FOUND_MAX);
    }
    starts_free(&f->starts);
    return ok;
}

static bool scan_patterns(struct found *f, struct span text,
                          const struct text_view *view, struct err *err) {
    if (!f->rules->pattern_db || !text.size) return true;
    f->text = text;
    f->view = view;
    if (scan(f, f->rules->pattern_db, text, on_pattern, err))
        return run_starts(f, text, err);
    starts_free(&f->starts);
    return false;
}

/* Hyperscan wants valid UTF-8; the same bytes with a control character for
 * each that is not. NULL when nothing had to be replaced. */
static char *cleaned(struct span raw) {
    char *out = NULL;
    size_t at = 0;

    if (utf8_valid(raw)) return NULL;
    while (at < raw.size) {
        uint32_t point;
        bool valid;
        size_t took =
            utf8_decode(span_slice(raw, at, raw.size), &point, &valid);

        if (!valid) {
            if (!out) out = span_dup(raw);
            out[at] = 0x1A;
        }
        at += took;
    }
    return out;
}

static int by_start(const void *left, const void *right) {
    const struct rule_hit *a = left, *b = right;

    if (a->from != b->from) return a->from < b->from ? -1 : 1;
    if (a->rule != b->rule) return a->rule < b->rule ? -1 : 1;
    return a->end > b->end ? -1 : a->end < b->end;
}

/* Sorted, one hit a start and rule. */
static int tidy(struct rule_hit *hits, int count) {
    int kept = 0;

    if (count) qsort(hits, (size_t)count, sizeof *hits, by_start);
    for (int i = 0; i < count; i++)
        if (!kept || hits[kept - 1].from != hits[i].from ||
            hits[kept - 1].rule != hits[i].rule)
            hits[kept++] = hits[i];
    return kept;
}

/* In a folded view, as it is and as its odd words are spelled. */
static bool scan_folded(struct found *f, const struct text_view *view,
                        struct err *err) {
    bool ok = scan_literals(f, view, err) &&
              scan_patterns(f, span_bytes(&view->text), view, err);
    bool varies = true;
    struct text_view spelled;

    for (int one = 0; ok && varies && one < SPELL_ONE_COUNT; one++) {
        if (!text_spell(view, (enum spell_one)one, SPELL_CLOSED, &spelled))
            break;
        ok = scan_literals(f, &spelled, err) &&
             (one != SPELL_ONE_LIKELY ||
              scan_patterns(f, span_bytes(&spelled.text), &spelled, err));
        varies = spelled.ones;
        text_view_clear(&spelled);
    }
    return ok;
}

static bool scan_views(struct found *f, struct span raw, struct err *err) {
    struct text_view read, plain;
    bool ok;

    if (!text_fold(raw, &read, err)) return false;
    ok = scan_folded(f, &read, err);
    if (ok && read.mapped) {
        ok = text_fold_plain(raw, &plain, err);
        if (ok) {
            ok = scan_folded(f, &plain, err);
            text_view_clear(&plain);
        }
    }
    text_view_clear(&read);
    return ok;
}

/* ---- plain text ---- */

/* Of the hits from `kept` on, only those that touch an odd stretch, or only
 * those that touch none. */
static void keep_hits(struct found *f, int kept, const struct stretches *odd,
                      bool touching) {
    for (int i = kept; i < f->count; i++)
        if (odd_touches(odd, f->hits[i].from, f->hits[i].end) == touching)
            f->hits[kept++] = f->hits[i];
    f->count = kept;
}

/* The literals in a view of plain text, which has its margins; it becomes
 * flat. */
static bool scan_plain_literals(struct found *f, struct span view, char *text,
                                struct err *err) {
    rules_flatten(view, text);
    f->text = view;
    f->view = NULL;
    return !f->rules->literal_db ||
           scan(f, f->rules->literal_db, view, on_literal, err);
}

/* The same with words that are spelled oddly as they may be read. */
static bool scan_spelled(struct found *f, const struct plain *p,
                         struct err *err) {
    struct span view = {p->text, p->size};
    char *room = xalloc_array(p->size + 2 * PLAIN_MARGIN, 1);
    char *text = room + PLAIN_MARGIN;
    bool ok = true, varies = true;

    for (int one = 0; ok && varies && one < SPELL_ONE_COUNT; one++) {
        memcpy(text, view.at, view.size);
        if (!text_spell_words(view, (enum spell_one)one, text, &varies)) break;
        ok = (one != SPELL_ONE_LIKELY ||
              scan_patterns(f, (struct span){text, view.size}, NULL, err)) &&
             scan_plain_literals(f, (struct span){text, view.size}, text, err);
    }
    free(room);
    return ok;
}

/* The patterns in plain text, as it is and in its view. Where the two differ in
 * capitals alone, and those make no difference to the patterns, what is found
 * in the view is what is there. */
static bool scan_plain_patterns(struct found *f, const struct plain *p,
                                const struct stretches *odd, struct err *err) {
    struct span view = {p->text, p->size};
    bool same = p->same && !f->rules->any_cased, ok;
    int kept = f->count;

    if (!scan_patterns(f, view, NULL, err)) return false;
    if (same) return true;
    keep_hits(f, kept, odd, false);
    f->plain = NULL;
    ok = scan_patterns(f, p->raw, NULL, err);
    f->plain = p;
    return ok;
}

/* Plain text but for its odd stretches: matches in its view that touch one do
 * not count here. `text` is UTF-8. `spelled`: the stretches are without the
 * words that are only spelled oddly. */
static bool scan_plain(struct found *f, struct span text,
                       const struct stretches *odd, bool spelled,
                       struct err *err) {
    int kept = f->count;
    struct plain p;
    bool ok;

    plain_init(&p, text);
    f->plain = &p;
    ok = !spelled || scan_spelled(f, &p, err);
    if (ok) keep_hits(f, kept, odd, false);
    ok = ok && scan_plain_patterns(f, &p, odd, err);
    kept = f->count;
    ok = ok &&
         scan_plain_literals(f, (struct span){p.text, p.size}, p.text, err);
    f->plain = NULL;
    if (ok) keep_hits(f, kept, odd, false);
    plain_clear(&p);
    return ok;
}

/* The text as it is, but for what is no UTF-8. */
static bool scan_raw(struct found *f, struct span text, struct err *err) {
    char *clean = f->rules->pattern_db ? cleaned(text) : NULL;
    bool ok = scan_patterns(f, clean ? (struct span){clean, text.size} : text,
                            NULL, err);

    free(clean);
    return ok;
}

/* text[from..end) in all its views, where only matches that touch an odd
 * stretch count: those are whole, as the window reaches further than any match.
 * Of raw text the views alone: the text itself is scanned as a whole. */
static bool scan_window(struct found *f, struct span text, size_t from,
                        size_t end, const struct stretches *odd,
                        struct err *err) {
    struct span window = span_slice(text, from, end);
    int kept = f->count;
    bool ok;

    f->shift = from;
    ok = (!f->layer || scan_raw(f, window, err)) && scan_views(f, window, err);
    f->shift = 0;
    if (ok) keep_hits(f, kept, odd, true);
    return ok;
}

static bool scan_windows(struct found *f, struct span text, size_t reach,
                         const struct stretches *odd, struct err *err) {
    bool ok = true;

    for (size_t i = 0; ok && i < odd->count;) {
        size_t from = plain_reach_back(text, odd->list[i].from, reach), end;

        i = plain_group(text, odd, i, 2 * reach);
        end = plain_reach_on(text, odd->list[i++].end, reach);
        ok = scan_window(f, text, from, end, odd, err);
    }
    return ok;
}

/* Is it worth while to look at the odd stretches apart. */
static bool mostly_plain(const struct stretches *odd, size_t size,
                         size_t reach) {
    return odd->bytes + 2 * reach * odd->count <= size / 2;
}

/* How far a match and what it looks at reach. */
static size_t reach_of(const struct rules *r) {
    return (r->longest > r->widest ? r->longest : r->widest) + 2 * RULES_BESIDE;
}

/* A match that lies apart from what the layer changed, and from the odd words
 * near it, is in the text below as well. */
static bool scan_changed(struct found *f, struct span text, struct err *err) {
    struct stretches odd = {NULL, 0, 0, 0};
    size_t reach = reach_of(f->rules);
    bool ok;

    odd_near(text, &f->layer->changed, ODD_REACH, &odd);
    if (mostly_plain(&odd, text.size, reach))
        ok = scan_windows(f, text, reach, &odd, err);
    else
        ok = scan_raw(f, text, err) && scan_views(f, text, err);
    odd_free(&odd);
    return ok;
}

static bool scan_folds(struct found *f, struct span text, struct err *err) {
    const struct rules *r = f->rules;
    size_t reach = reach_of(r);
    struct stretches odd = {NULL, 0, 0, 0};
    bool ok, spelled;
    char *clean;

    if (r->any_capped)
        return scan_raw(f, text, err) && scan_views(f, text, err);
    odd_stretches(text, &odd);
    spelled = !mostly_plain(&odd, text.size, reach);
    if (spelled) {
        odd_free(&odd);
        odd_beyond_spelling(text, &odd);
    }
    if (spelled && !mostly_plain(&odd, text.size, reach)) {
        odd_free(&odd);
        return scan_raw(f, text, err) && scan_views(f, text, err);
    }
    clean = cleaned(text);
    ok = scan_plain(f, clean ? (struct span){clean, text.size} : text, &odd,
                    spelled, err) &&
         scan_windows(f, text, reach, &odd, err);
    free(clean);
    odd_free(&odd);
    return ok;
}

static bool scan_all(struct found *f, struct span text, struct rule_hit *hits,
                     int max, int *count, struct err *err) {
    bool ok = f->layer && !f->rules->any_capped ? scan_changed(f, text, err)
                                                : scan_folds(f, text, err);

    if (ok) {
        for (int i = 0; f->layer && i < f->count; i++)
            f->hits[i] = raw_hit(f, f->hits[i]);
        *count = tidy(f->hits, f->count);
        if (*count > max) *count = max;
        if (*count) memcpy(hits, f->hits, (size_t)*count * sizeof *hits);
    }
    free(f->hits);
    return ok;
}

bool rules_scan_tail(const struct rules *r, struct span text, size_t decided,
                     struct rule_hit *hits, int max, int *count,
                     struct err *err) {
    struct found f = {.rules = r, .decided = decided};

    return scan_all(&f, text, hits, max, count, err);
}

bool rules_scan_layer(const struct rules *r, const struct decode_layer *layer,
                      size_t decided, struct rule_hit *hits, int max,
                      int *count, struct err *err) {
    struct found f = {.rules = r, .decided = decided, .layer = layer};

    return scan_all(&f, span_bytes(&layer->view.text), hits, max, count, err);
}

bool rules_scan(const struct rules *r, struct span text, struct rule_hit *hits,
                int max, int *count, struct err *err) {
    return rules_scan_tail(r, text, 0, hits, max, count, err);
}

/* Does any of the sorted literals begin with `s`. */
static bool begins(const struct rules *r, const int *order, int count,
                   struct span s) {
    int low = 0, high = count;

    while (low < high) {
        int middle = low + (high - low) / 2;
        const struct literal *l = &r->literals[order[middle]];
        size_t least = l->size < s.size ? l->size : s.size;
        int way = memcmp(l->text, s.at, least);

        if (way < 0 || (way == 0 && l->size < s.size))
            low = middle + 1;
        else
            high = middle;
    }
    if (low == count) return false;
    return r->literals[order[low]].size >= s.size &&
           !memcmp(r->literals[order[low]].text, s.at, s.size);
}

/* The first start of a literal, whole or begun, that reaches `end`; `end` when
 * there is none. */
static size_t begun(const struct rules *r, const struct text_view *v,
                    size_t decided, const char *flat, size_t end) {
    size_t at = end > r->longest ? end - r->longest : 0;

    for (; at < end; at++) {
        struct span tail = {flat + at, end - at};

        if (v->map_from[at] < decided) continue;
        if (((unsigned char)flat[at] & 0xC0) == 0x80) continue;
        if (begins(r, r->anywhere, r->anywhere_count, tail)) return at;
        if (begins(r, r->whole, r->whole_count, tail) && rules_word_edge(v, at))
            return at;
    }
    return end;
}

static size_t hold_literals(const struct rules *r, const struct text_view *v,
                            size_t decided) {
    size_t size = v->text.size, hold, early;
    char *flat = xalloc_array(size + 1, 1);

    rules_flatten(span_bytes(&v->text), flat);
    hold = begun(r, v, decided, flat, size);
    /* What is not settled may become a letter that a literal has. */
    if (v->looks || r->any_foreign) {
        early = begun(r, v, decided, flat, v->settled);
        if (early < hold) hold = early;
    }
    free(flat);
    return hold;
}

static size_t back(size_t at, size_t width) {
    return at > width ? at - width : 0;
}

/* In one view, as raw bytes. */
static size_t hold_view(const struct rules *r, const struct text_view *v,
                        size_t raw_size, size_t decided) {
    size_t hold = v->text.size, start;

    if (r->literal_count) hold = hold_literals(r, v, decided);
    if (r->pattern_count) {
        size_t at = back(v->settled, r->widest + RULES_BESIDE - 1);

        if (at < hold) hold = at;
        start = rules_hold_starts(r, span_bytes(&v->text),
                                  text_view_at(v, decided), v->settled);
        if (start < hold) hold = start;
    }
    return text_view_raw(v, hold, raw_size);
}

static void lower(size_t *hold, size_t at) {
    if (at < *hold) *hold = at;
}

/* In what the words of a folded view may be spelled as, as raw bytes. True:
 * its end is to be read in the other way as well. */
static bool hold_spelled(const struct rules *r, const struct text_view *v,
                         size_t raw_size, size_t decided, enum spell_end end,
                         size_t *hold) {
    bool varies = true, apart = false;
    struct text_view spelled;

    for (int one = 0; varies && one < SPELL_ONE_COUNT; one++) {
        if (!text_spell(v, (enum spell_one)one, end, &spelled)) break;
        lower(hold, hold_view(r, &spelled, raw_size, decided));
        varies = spelled.ones;
        apart = spelled.apart;
        text_view_clear(&spelled);
    }
    return apart;
}

/* In a folded view, as it is and as it may be spelled. */
static size_t hold_folded(const struct rules *r, const struct text_view *v,
                          size_t raw_size, size_t decided) {
    size_t hold = hold_view(r, v, raw_size, decided);

    if (hold_spelled(r, v, raw_size, decided, SPELL_GOES_ON, &hold))
        (void)hold_spelled(r, v, raw_size, decided, SPELL_BREAKS, &hold);
    return hold;
}

static size_t hold_patterns(const struct rules *r, struct span raw,
                            size_t decided) {
    size_t hold = back(raw.size, r->widest + RULES_BESIDE - 1);
    char *clean = r->any_capped ? cleaned(raw) : NULL;

    while (hold && utf8_inside(raw, hold)) hold--;
    lower(&hold,
          rules_hold_starts(r, clean ? (struct span){clean, raw.size} : raw,
                            decided, raw.size));
    free(clean);
    return hold;
}

/* As if the whole text were pending, but for what is only context. */
static size_t hold_raw(const struct rules *r, struct span raw, size_t decided) {
    size_t hold = raw.size;
    struct text_view v;

    if (r->pattern_count) hold = hold_patterns(r, raw, decided);
    if (!text_fold(raw, &v, NULL)) return 0;
    lower(&hold, hold_folded(r, &v, raw.size, decided));
    text_view_clear(&v);
    if (!r->literal_count || text_is_simple(raw)) return hold;
    if (!text_fold_plain(raw, &v, NULL)) return 0;
    lower(&hold, hold_folded(r, &v, raw.size, decided));
    text_view_clear(&v);
    return hold;
}

size_t rules_hold_tail(const struct rules *r, struct span text,
                       size_t decided) {
    struct span raw = span_slice(text, 0, utf8_complete(text));
    size_t hold = hold_raw(r, raw, decided);

    return hold < decided ? decided : hold;
}

size_t rules_hold(const struct rules *r, struct span text) {
    return rules_hold_tail(r, text, 0);
}
