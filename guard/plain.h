/* plain.h - the folded view (text.h) of plain text, made at the speed of a
 * copy: in lower case, blanks in a row made one, with the few places that this
 * moved. Inside odd stretches (odd.h) it is not the folded view. */
#ifndef CORRAL_GUARD_PLAIN_H
#define CORRAL_GUARD_PLAIN_H

#include "base/bytes.h"
#include "guard/odd.h"

enum { PLAIN_MARGIN = 64 /* bytes that may be read on both sides */ };

/* From byte `at` of the view on, `shift` bytes more of the raw text lie before
 * it than before the view's. */
struct plain_shift {
    size_t at, shift;
};

struct plain {
    struct span raw; /* borrowed */
    char *text;
    size_t size;
    struct plain_shift *shifts;
    size_t shift_count, shift_capacity;
    bool same; /* the raw text is ASCII, and differs in its capitals alone */
};

void plain_init(struct plain *p, struct span raw);
void plain_clear(struct plain *p);
/* Where byte `at` of the view begins in the raw text, which is also where the
 * one before it ends. */
size_t plain_raw(const struct plain *p, size_t at);
/* The raw bytes that text[*from..*end) stands for: whole letters, with their
 * marks. */
void plain_raw_span(const struct plain *p, size_t *from, size_t *end);
/* The byte of the view that stands for the raw byte `raw`. */
size_t plain_at(const struct plain *p, size_t raw);

/* The place behind `reach` bytes from `at` on, or before it, as a reader sees
 * them: blanks are one however many there are in a row and whatever that takes
 * no place stands between them; letters beyond ASCII are one when they are
 * plain (plain_kind.h), and nothing when not. */
size_t plain_reach_on(struct span raw, size_t at, size_t reach);
size_t plain_reach_back(struct span raw, size_t at, size_t reach);
/* The last stretch of those from number `i` on of which each is within `reach`
 * of the one before. Looks at nothing but what lies between them. */
size_t plain_group(struct span raw, const struct stretches *s, size_t i,
                   size_t reach);

#endif
