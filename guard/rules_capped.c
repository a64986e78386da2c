/* Patterns with a cap: a match begins where the pattern's start was found, and
 * has at most so many bytes. What one of them matches hangs on no other rule,
 * nor on how much of the text is there before its start. */
#include <stdlib.h>

#include <hs/hs.h>

#include "base/utf8.h"
#include "guard/rules_types.h"

bool starts_put(struct starts *s, const struct rules *r, int index,
                struct span text, size_t from, size_t end) {
    size_t last = end - r->patterns[index].narrowest;

    /* Hyperscan tells the leftmost only; start_run() looks at each. */
    for (size_t at = from; at <= last; at++) {
        if (utf8_inside(text, at)) continue;
        if (s->count && s->list[s->count - 1].pattern == index &&
            s->list[s->count - 1].at >= at)
            continue;
        /* Some are put twice, and only starts_settle() can tell. */
        if (s->count == 16 * RULES_STARTS_MAX) return false;
        if (s->count == s->capacity) {
            s->capacity = s->capacity ? 2 * s->capacity : 16;
            s->list =
                xrealloc_array(s->list, (size_t)s->capacity, sizeof *s->list);
        }
        s->list[s->count++] = (struct start){index, at};
    }
    return true;
}

static int in_order(const void *left, const void *right) {
    const struct start *a = left, *b = right;

    if (a->at != b->at) return a->at < b->at ? -1 : 1;
    return a->pattern < b->pattern ? -1 : a->pattern > b->pattern;
}

bool starts_settle(struct starts *s, struct err *err) {
    int kept = 0;

    if (s->count) qsort(s->list, (size_t)s->count, sizeof *s->list, in_order);
    for (int i = 0; i < s->count; i++)
        if (!kept || in_order(&s->list[kept - 1], &s->list[i]))
            s->list[kept++] = s->list[i];
    s->count = kept;
    return kept <= RULES_STARTS_MAX ||
           err_set(err, ERR_LIMIT, "a rule's start is found more than %d times",
                   RULES_STARTS_MAX);
}

void starts_free(struct starts *s) {
    free(s->list);
    *s = (struct starts){0};
}

struct run {
    size_t cap, end; /* bytes from the start */
    bool started;
};

static int on_run(unsigned id, unsigned long long from, unsigned long long end,
                  unsigned flags, void *user) {
    struct run *run = user;

    (void)from;
    (void)flags;
    if (id == RUN_START)
        run->started = true;
    else if (end <= run->cap && end > run->end)
        run->end = (size_t)end;
    return 0;
}

bool start_run(const struct rules *r, const struct start *start,
               struct span text, size_t *end, struct err *err) {
    const struct pattern *p = &r->patterns[start->pattern];
    size_t reach = p->cap > p->width ? p->cap : p->width;
    size_t stop = start->at + reach + RULES_BESIDE;
    struct run run = {.cap = p->cap};
    struct span window;

    window = span_slice(text, start->at, utf8_back(text, stop));
    *end = start->at;
    if (rules_run(r, p->run, window, on_run, &run) != HS_SUCCESS)
        return err_set(err, ERR_UNAVAILABLE, "the rules failed to run");
    if (run.started) *end += run.end;
    return true;
}

/* ---- what may yet begin a match ---- */

struct seeker {
    const struct rules *rules;
    struct span text;
    struct starts starts;
};

static int on_start(unsigned id, unsigned long long from,
                    unsigned long long end, unsigned flags, void *user) {
    struct seeker *s = user;

    (void)flags;
    if (!s->rules->patterns[id].cap) return 0;
    return !starts_put(&s->starts, s->rules, (int)id, s->text, (size_t)from,
                       (size_t)end);
}

size_t rules_hold_starts(const struct rules *r, struct span text, size_t from,
                         size_t settled) {
    struct seeker s = {.rules = r, .text = text};
    size_t hold = settled;
    bool ok;

    if (!r->any_capped || !text.size) return settled;
    ok = rules_run(r, r->pattern_db, text, on_start, &s) == HS_SUCCESS &&
         starts_settle(&s.starts, NULL);
    if (!ok) hold = 0;
    for (int i = 0; i < s.starts.count && s.starts.list[i].at < hold; i++) {
        const struct start *start = &s.starts.list[i];
        size_t reach = r->patterns[start->pattern].cap + RULES_BESIDE;

        if (start->at >= from && start->at + reach > settled) hold = start->at;
    }
    starts_free(&s.starts);
    return hold;
}
