/* decode.h - what is written in an encoded form inside a text, decoded in
 * place: base64, base32, hex, Morse, %-escapes, HTML entities, \u escapes, tag
 * characters. A decoded text may hold another encoded one: that is the next
 * layer. A run is decoded only where that gives text; everything else of a
 * layer is the text below it. Linear in the text. */
#ifndef CORRAL_GUARD_DECODE_H
#define CORRAL_GUARD_DECODE_H

#include "guard/odd.h"
#include "guard/text.h"

enum {
    DECODE_DEPTH = 3,
    /* An encoded run is read in blocks of this many bytes, each on its own, so
     * that a stream need not hold a run of any length back. What is left at
     * the end is read with the last block. */
    DECODE_BLOCK = 2048,
    DECODE_BLOCK_MAX = DECODE_BLOCK + DECODE_BLOCK / 2,
    /* How far behind a run what it says is still looked at: as far as a number
     * may stand from its name (entity_forms.h). */
    DECODE_BESIDE = 48
};

/* A piece of the text below that a layer shows decoded. */
struct decode_run {
    uint32_t from, end; /* bytes of the text below */
    bool escape;        /* one character alone */
};

struct decode_layer {
    /* Its map leads to the raw text. `settled` and `looks` mean what they do
     * in text.h. */
    struct text_view view;
    struct decode_run *runs; /* in order */
    size_t run_count;
    /* What the runs gave, in bytes of the layer: all that is not in the text
     * below. */
    struct stretches changed;
    /* What the runs gave: letters of ASCII, which nobody needs to encode, and
     * bytes beyond ASCII. */
    size_t letters, foreign_bytes;
};

struct decoded {
    struct decode_layer layers[DECODE_DEPTH];
    int count; /* 0: nothing is encoded */
    /* If more text followed, the runs that begin in text[0..settled), of any
     * layer, would stay as they are. */
    size_t settled;
};

/* Decode. text[0..decided) is context only (see policy_scan_tail()): no run
 * begins there. A layer has at most as many bytes as the text below it. */
MUST_USE bool decode_text(struct span text, size_t decided, struct decoded *out,
                          struct err *err);
void decoded_clear(struct decoded *d);
/* The parts of a text that are encoded, each with at least `reach` bytes of
 * what is not on both sides, blanks in a row counting as one and what is
 * beyond ASCII as in plain_reach_on(): decoded alone, each is what it is in the whole. A part that is
 * most of the text is all of it. ERR_LIMIT as decode_text(). */
MUST_USE bool decode_parts(struct span text, size_t reach,
                           struct stretches *out, struct err *err);
/* For who holds back what is not settled: lower `settled` to where that also
 * goes for runs of layers that only the text to come would make. */
void decoded_settle(struct decoded *d, struct span text, size_t decided);
/* The last place up to `at`, raw bytes, from which decoding can begin anew
 * without another outcome: not inside a run or a word. */
size_t decoded_edge(const struct decoded *d, struct span text, size_t at);
/* The first byte of a layer that stands for raw bytes from `at` on. */
size_t decoded_at(const struct text_view *layer, size_t at);
/* The first raw byte that a layer's bytes from `at` on stand for. */
size_t decoded_raw(const struct text_view *layer, size_t at, size_t raw_size);

#endif
