#include "guard/plain.h"

#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "guard/look.h"
#include "guard/plain_kind.h"

enum { SLOW_BYTES = 16 /* go one by one where a look does not do */ };

static void shift_put(struct plain *p, size_t shift) {
    struct plain_shift *last =
        p->shift_count ? &p->shifts[p->shift_count - 1] : NULL;

    if (last && last->at == p->size) {
        last->shift = shift;
        return;
    }
    if (p->shift_count == p->shift_capacity) {
        p->shift_capacity = p->shift_capacity ? 2 * p->shift_capacity : 32;
        p->shifts =
            xrealloc_array(p->shifts, p->shift_capacity, sizeof *p->shifts);
    }
    p->shifts[p->shift_count++] = (struct plain_shift){p->size, shift};
}

/* The blanks from `at` on as one; where they end. */
static size_t put_blanks(struct plain *p, struct span raw, size_t at) {
    size_t from = at;
    char blank = ' ';

    for (; at < raw.size && ascii_blank(raw.at[at]); at++)
        if (raw.at[at] != ' ' && raw.at[at] != '\t') blank = '\n';
    p->same = p->same && at == from + 1 && blank == raw.at[from];
    p->text[p->size++] = blank;
    if (at > from + 1) shift_put(p, at - p->size);
    return at;
}

/* The same point further on, in as many bytes. */
static void put_small(struct plain *p, struct span letter, unsigned add) {
    uint32_t point;

    (void)utf8_decode(letter, &point, NULL);
    p->size += utf8_encode(point + add, p->text + p->size);
}

/* The letter at `at`; what is not plain goes over as it is. */
static size_t put_beyond(struct plain *p, struct span raw, size_t at) {
    size_t size;
    const struct plain_kind *kind = plain_kind_at(raw, at, &size);

    p->same = false;
    if (kind->narrow) {
        p->text[p->size++] = (char)plain_kind_narrow(raw, at);
        shift_put(p, at + size - p->size);
    } else if (kind->add) {
        put_small(p, span_slice(raw, at, at + size), kind->add);
    } else {
        memcpy(p->text + p->size, kind->ascii ? kind->ascii : raw.at + at,
               size);
        p->size += size;
    }
    return at + size;
}

/* The bytes from `at` to `end` or a little further. */
static size_t put_bytes(struct plain *p, struct span raw, size_t at,
                        size_t end) {
    while (at < end) {
        char c = raw.at[at];

        if (ascii_blank(c))
            at = put_blanks(p, raw, at);
        else if ((unsigned char)c >= 0x80)
            at = put_beyond(p, raw, at);
        else {
            p->text[p->size++] = ascii_lower(c);
            at++;
        }
    }
    return at;
}

void plain_init(struct plain *p, struct span raw) {
    const struct look *look = look_best();
    size_t at = 0;

    memset(p, 0, sizeof *p);
    p->raw = raw;
    p->same = true;
    p->text = xrealloc_array(NULL, raw.size + 2 * PLAIN_MARGIN, 1);
    memset(p->text, 0, PLAIN_MARGIN);
    p->text += PLAIN_MARGIN;
    while (raw.size - at >= LOOK_SIZE) {
        size_t count = look->copy(raw.at + at, p->text + p->size);

        p->size += count;
        at = count ? at + count : put_bytes(p, raw, at, at + SLOW_BYTES);
    }
    (void)put_bytes(p, raw, at, raw.size);
    memset(p->text + p->size, 0, PLAIN_MARGIN);
}

void plain_clear(struct plain *p) {
    if (p->text) free(p->text - PLAIN_MARGIN);
    free(p->shifts);
    memset(p, 0, sizeof *p);
}

/* How many shifts begin at or before a place: of the view, or raw. */
static size_t shifts_before(const struct plain *p, size_t at, bool raw) {
    size_t low = 0, high = p->shift_count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const struct plain_shift *s = &p->shifts[middle];

        if (s->at + (raw ? s->shift : 0) <= at)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

size_t plain_raw(const struct plain *p, size_t at) {
    size_t before = shifts_before(p, at, false);

    return before ? at + p->shifts[before - 1].shift : at;
}

/* A mark belongs to the letter before it. */
static bool is_mark(struct span raw, size_t at, size_t *size) {
    return at < raw.size && (unsigned char)raw.at[at] >= 0x80 &&
           plain_kind_at(raw, at, size)->mark;
}

void plain_raw_span(const struct plain *p, size_t *from, size_t *end) {
    size_t size;

    *from = plain_raw(p, *from);
    *end = plain_raw(p, *end);
    /* Some letters are several of ASCII. */
    *from = utf8_back(p->raw, *from);
    while (utf8_inside(p->raw, *end)) ++*end;
    while (*from && is_mark(p->raw, *from, &size))
        *from = utf8_back(p->raw, *from - 1);
    while (is_mark(p->raw, *end, &size)) *end += size;
}

size_t plain_at(const struct plain *p, size_t raw) {
    size_t before = shifts_before(p, raw, true);
    size_t at = before ? raw - p->shifts[before - 1].shift : raw;

    /* Among blanks that were dropped. */
    if (before < p->shift_count && at >= p->shifts[before].at)
        at = p->shifts[before].at - 1;
    return at;
}

/* Is what begins at `at` one more of what a reader sees. *gap: what went before
 * was blank. */
static bool counts(struct span raw, size_t at, bool *gap) {
    char c = raw.at[at];
    bool was = *gap, plain = c > ' ' && c <= '~';
    size_t size;

    if ((unsigned char)c >= 0xC2) {
        const struct plain_kind *kind = plain_kind_at(raw, at, &size);

        plain = kind->plain && !kind->mark;
    }
    if (plain) *gap = false;
    if (ascii_blank(c)) *gap = true;
    return plain || (*gap && !was);
}

size_t plain_reach_on(struct span raw, size_t at, size_t reach) {
    for (bool gap = false; at < raw.size && reach; at++)
        reach -= counts(raw, at, &gap);
    while (at < raw.size && utf8_inside(raw, at)) at++;
    return at;
}

size_t plain_reach_back(struct span raw, size_t at, size_t reach) {
    for (bool gap = false; at && reach; at--)
        reach -= counts(raw, at - 1, &gap);
    return at;
}

size_t plain_group(struct span raw, const struct stretches *s, size_t i,
                   size_t reach) {
    for (; i + 1 < s->count; i++) {
        size_t next = s->list[i + 1].from;
        struct span between = span_slice(raw, 0, next);

        if (plain_reach_on(between, s->list[i].end, reach) < next) break;
    }
    return i;
}
