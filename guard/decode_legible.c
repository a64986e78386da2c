/* What is text among the bytes that a code gives: whoever wants to hide a text
 * puts some that are none before or behind it, and a reader skips them. */
#include <string.h>

#include "guard/decode_types.h"

enum {
    LEGIBLE_MIN = 24, /* what random bytes never come to */
    BAD_COSTS = 9     /* so that one in ten may be bad */
};

/* Bytes from `from` on that have come to `score`, at the most to `best`, which
 * was at `end`. */
struct passage {
    size_t from, end;
    int score, best;
};

/* It ends: what is worth it joins what was kept, behind a blank in place of
 * what stood between. */
static size_t keep(struct decode_byte *bytes, size_t kept, struct passage *p) {
    size_t count = p->end - p->from;
    bool worth = p->best >= LEGIBLE_MIN;

    p->score = p->best = 0;
    if (!worth) return kept;
    if (kept) {
        bytes[kept] = bytes[p->from - 1];
        bytes[kept++].value = ' ';
    }
    memmove(bytes + kept, bytes + p->from, count * sizeof *bytes);
    return kept + count;
}

/* A byte that no text has, as far as its neighbours tell. */
static bool is_wrong(const char *text, size_t at) {
    unsigned char c = (unsigned char)text[at];

    if (c < 0x80)
        return c < ' ' ? c != '\t' && c != '\n' && c != '\r' : c > '~';
    if (c < 0xC0) return (unsigned char)text[at - 1] < 0x80;
    return ((unsigned char)text[at + 1] & 0xC0) != 0x80;
}

/* From where a passage may begin, a place further on or the same: one has as
 * many good bytes at its head as a bad one costs. Most of random bytes is not
 * looked at. */
static size_t skip(const char *text, size_t at, size_t count) {
    while (at + BAD_COSTS + 1 < count) {
        size_t i = BAD_COSTS;

        while (i && !is_wrong(text, at + i)) i--;
        if (!i) return at;
        at += i + 1;
    }
    return at;
}

size_t decode_legible(struct decode_byte *bytes, size_t count) {
    char text[DECODE_BLOCK_MAX];
    struct passage p = {0, 0, 0, 0};
    size_t kept = 0, took;

    for (size_t i = 0; i < count; i++) text[i] = bytes[i].value;
    for (size_t at = 0; at < count; at += took) {
        bool bad = false;

        if (!p.score) at = skip(text, at, count);
        took = 1;
        if (text[at] < ' ' || text[at] > '~')
            bad = decode_is_bad((struct span){text + at, count - at}, &took);
        if (!p.score) p.from = at;
        p.score += bad ? -BAD_COSTS : (int)took;
        if (p.score > p.best) {
            p.best = p.score;
            p.end = at + took;
        }
        if (p.score <= 0 || p.best - p.score >= LEGIBLE_MIN)
            kept = keep(bytes, kept, &p);
    }
    return keep(bytes, kept, &p);
}
