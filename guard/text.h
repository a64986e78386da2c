/* text.h - a text as a reader would read it: Unicode tricks folded away, with
 * a map back to the raw bytes so that redaction hits what was written. */
#ifndef CORRAL_GUARD_TEXT_H
#define CORRAL_GUARD_TEXT_H

#include "base/bytes.h"

/* One view: UTF-8 text and, for each of its bytes, the raw bytes it stands
 * for: byte i comes from raw[map_from[i]..map_end[i]). */
struct text_view {
    struct bytes text;
    uint32_t *map_from;
    uint32_t *map_end;
};

/* NFKC, case folding, zero-width, bidi, tag and variation-selector characters
 * removed, confusables of Latin letters mapped to Latin where the word mixes
 * scripts. Invalid UTF-8 becomes U+FFFD. Linear. ERR_LIMIT past 4 GiB. */
MUST_USE bool text_fold(struct span raw, struct text_view *out,
                        struct err *err);
void text_view_clear(struct text_view *v);

/* The number of words and code points, and other classes that several parts
 * need without ICU in their own file. */
bool text_is_word_point(uint32_t point);   /* L*, M*, N* or '_' */
uint32_t text_lower_point(uint32_t point); /* simple mapping */

#endif
