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
    /* If more raw text followed, text[0..settled) would stay as it is. What
     * lies behind may still compose with a combining mark; only when `looks`
     * may it also turn into other letters of ASCII. */
    size_t settled;
    bool looks;
    bool mapped;   /* some letter of another script was read as a Latin one */
    bool shuffled; /* the map runs backwards somewhere */
    bool ones;     /* text_spell(): it depends on what a 1 stands for */
    bool apart;    /* text_spell(): letters set apart reach the open end */
};

/* NFKC, case folding, every dash a hyphen, zero-width, bidi, tag and
 * variation-selector characters and controls removed, blanks in a row made one
 * (a line end where there is one among them, else a space), marks that compose
 * with nothing dropped from Latin letters, and confusables of Latin letters
 * mapped to Latin in a word that mixes scripts or that consists of nothing
 * else. Invalid UTF-8 becomes U+FFFD. Linear. ERR_LIMIT past 4 GiB. */
MUST_USE bool text_fold(struct span raw, struct text_view *out,
                        struct err *err);
/* The same, but letters of other scripts stay what they are. */
MUST_USE bool text_fold_plain(struct span raw, struct text_view *out,
                              struct err *err);
void text_view_clear(struct text_view *v);
/* Where byte `at` of the view begins in the raw text of `raw_size` bytes; the
 * end of the raw text for a position at the view's end. */
size_t text_view_raw(const struct text_view *v, size_t at, size_t raw_size);
/* The first byte of the view that stands for raw bytes from `raw` on. Where the
 * map is not in order, what lies before is read as well. */
size_t text_view_at(const struct text_view *v, size_t raw);
/* The raw bytes that text[from..end) stands for, from < end: from the first of
 * them to the last. */
void text_view_span(const struct text_view *v, size_t from, size_t end,
                    size_t *raw_from, size_t *raw_end);

/* Printable ASCII and blanks alone, no two blanks in a row: then the folded
 * view is the raw text in lower case, byte by byte. */
bool text_is_simple(struct span raw);

/* The number of words and code points, and other classes that several parts
 * need without ICU in their own file. */
bool text_is_word_point(uint32_t point);   /* L*, M*, N* or '_' */
bool text_is_mark(uint32_t point);         /* M* */
bool text_is_invisible(uint32_t point);    /* it takes no place on the page */
uint32_t text_lower_point(uint32_t point); /* simple mapping */
/* Letters of scripts that put no blank between words, or tie particles to
 * them: there a word ends wherever one looks. */
bool text_is_unspaced(uint32_t point);

#endif
