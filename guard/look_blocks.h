/* look_blocks.h - the looks of look.h over block.h, for the files that compile
 * it for their instruction set. */
#ifndef CORRAL_GUARD_LOOK_BLOCKS_H
#define CORRAL_GUARD_LOOK_BLOCKS_H

#include "guard/block.h"
#include "guard/look.h"

/* ---- what may be odd ---- */

/* Of the 64 bytes from a fresh place `at` on: the last fresh place among them,
 * if nothing before it can be odd; else `at`, and *end is where to ask again.
 */
static size_t look_odd(const char *at, size_t *end) {
    struct block b = block_at(at);
    uint64_t letters = block_in(block_lower(b), 'a', 'z');
    uint64_t digits = block_in(b, '0', '9'), words = letters | digits;
    uint64_t signs = block_is(b, '!') | block_is(b, '$') | block_is(b, '+') |
                     block_is(b, '@') | block_is(b, '|');
    uint64_t space = block_in(b, '\t', '\r');
    uint64_t blanks = block_is(b, ' ') | space;
    uint64_t starts = words & ~(words << 1), between;
    uint64_t alone = signs & ~(block_is(b, '+') | block_is(b, '|'));
    uint64_t lone = (starts & ~(words >> 1)) | alone, odd, third, joined;
    uint64_t fresh = blanks << 1 & words & words >> 1;

    between = ~(words | alone);
    fresh &= block_first(BLOCK_SIZE - 1);
    *end = 0;
    if (!fresh) return 0;
    *end = (size_t)block_highest(fresh);
    odd = ~(block_in(b, ' ', '~') | space) |
          (digits & (letters << 1 | letters >> 1)) | (signs & words >> 1);
    /* Three of those that stand alone, and twice one sign between two. */
    third = block_behind(lone, between) & lone;
    third = block_behind(third, between) & lone & block_first((int)*end);
    joined = lone & between << 1 & lone << 2 & block_first((int)*end);
    if (third && (joined & (joined - 1))) return 0;
    return odd & block_first((int)*end) ? 0 : *end;
}

/* ---- plain text ---- */

/* Up to blanks in a row or other ones than the usual two, bytes beyond ASCII,
 * or a blank at the end, which may go on. */
static size_t look_copy(const char *at, char *out) {
    struct block b = block_at(at);
    uint64_t blanks = block_is(b, ' ') | block_in(b, '\t', '\r');
    uint64_t usual = block_is(b, ' ') | block_is(b, '\n');
    uint64_t last = (uint64_t)1 << (BLOCK_SIZE - 1);
    uint64_t other = (blanks & (blanks >> 1 | last)) | (blanks & ~usual) |
                     block_beyond_ascii(b);

    if (other & 1) return 0;
    block_put_small(b, out);
    return other ? (size_t)block_lowest(other) : BLOCK_SIZE;
}

/* ---- where a code may begin ---- */

/* The last place of a block that is told by it: two more bytes are looked at
 * with it, and the one behind tells whether a run ends. */
enum { CUT_MAX = BLOCK_SIZE - 4 };

/* The bytes of a block by what they may be. */
struct classes {
    struct block block, lower;
    uint64_t small, letters, digits, dash, slash, score;
    uint64_t token;  /* decode_token_letter() */
    uint64_t starts; /* of runs of those */
    uint64_t beyond; /* ASCII */
};

static struct classes classes_of(const char *at) {
    struct classes c = {.block = block_at(at)};

    c.lower = block_lower(c.block);
    c.letters = block_in(c.lower, 'a', 'z');
    c.small = block_in(c.block, 'a', 'z');
    c.digits = block_in(c.block, '0', '9');
    c.dash = block_is(c.block, '-');
    c.slash = block_is(c.block, '/');
    c.score = block_is(c.block, '_');
    c.token = c.letters | c.digits | c.dash | c.slash | c.score |
              block_is(c.block, '+');
    c.starts = c.token & ~(c.token << 1);
    c.beyond = block_beyond_ascii(c.block);
    return c;
}

/* What an escape opens with, a letter only where a word begins; beyond ASCII
 * also what Morse does. */
static uint64_t escapes(const struct classes *c) {
    uint64_t found =
        block_is(c->block, '%') | block_is(c->block, '\\') |
        block_is(c->block, '&') |
        (block_is(c->block, 'U') & block_is(c->block, '+') >> 1 & c->starts);

    if (c->beyond)
        found |= block_is(c->block, '\xF3') | block_is(c->block, '\xC2') |
                 block_is(c->block, '\xE2');
    return found;
}

/* A dot or a dash with another sign of Morse behind it, or behind the gap that
 * follows; a slash, too, is a gap. */
static uint64_t morse(const struct classes *c) {
    uint64_t dots = block_is(c->block, '.');
    uint64_t blank = block_is(c->block, ' ') | block_is(c->block, '\n') |
                     block_is(c->block, '|');
    uint64_t more = dots | c->dash | c->score | c->beyond | c->slash;

    return (dots | (c->dash & c->starts)) &
           (more >> 1 | (blank >> 1 & (more | blank) >> 2));
}

/* Two digits of hex, two or three of ten, eight of two, or 0x. */
static uint64_t numbers(const struct classes *c) {
    uint64_t hex = c->digits | block_in(c->lower, 'a', 'f');
    uint64_t word = c->letters | c->digits | c->score | c->beyond;

    return ((hex & hex >> 1 & ~(word >> 2)) |
            (c->digits & c->digits >> 1 & c->digits >> 2) |
            (block_is(c->block, '0') & block_is(c->lower, 'x') >> 1)) &
           c->starts;
}

/* A bit in each run of token letters that is long and no word. */
static uint64_t tokens(const struct classes *c) {
    uint64_t in2 = c->token & c->token >> 1, in4 = in2 & in2 >> 2;
    uint64_t in8 = in4 & in4 >> 4, in16 = in8 & in8 >> 8;
    uint64_t first = c->starts & in8;
    uint64_t odd = c->token & ~c->small & ~(c->starts & c->letters);
    uint64_t even = c->token & ~odd;

    return (c->starts & in16) | (first & odd) |
           (block_behind(first & even, even) & odd);
}

/* The last byte of each run that ends its line, and may go on in the next. */
static uint64_t line_ends(const struct classes *c) {
    uint64_t line = block_is(c->block, '\n') | block_is(c->block, '\r') |
                    block_is(c->block, '\\');
    uint64_t blank = block_is(c->block, ' ') | block_is(c->block, '\t');

    return c->token & (line >> 1 | (blank >> 1 & (blank | line) >> 2));
}

/* The first byte of the run that has bit `at`, or `at` itself. */
static int run_start(const struct classes *c, int at) {
    if (!(c->token >> at & 1)) return at;
    return block_highest(c->starts & block_first(at + 1));
}

/* What there is of codes in the 64 bytes. */
static struct look_code look_code(const char *at) {
    struct classes c = classes_of(at);
    int cut = run_start(&c, CUT_MAX);
    uint64_t found =
        escapes(&c) | morse(&c) | numbers(&c) | tokens(&c) | line_ends(&c);
    /* Padding makes a run longer; it stands behind it. */
    uint64_t padding = block_is(c.block, '=') & c.token << 1;

    found = (found & block_first(cut)) | (padding & block_first(cut + 1)) >> 1;
    if (!found) return (struct look_code){false, (size_t)cut};
    return (struct look_code){true, (size_t)run_start(&c, block_lowest(found))};
}

#endif
