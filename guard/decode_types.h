/* decode_types.h - what the parts of decode share: decode.c walks a text and
 * writes layers, the others know one family of encodings each. */
#ifndef CORRAL_GUARD_DECODE_TYPES_H
#define CORRAL_GUARD_DECODE_TYPES_H

#include "base/utf8.h"
#include "guard/decode.h"
#include "guard/letters.h"

/* One decoded byte and the encoded ones that it stands for. */
struct decode_byte {
    char value;
    uint32_t from, end;
};

/* What was found at one place of a text. */
struct decode_found {
    size_t from, end; /* the encoded run; from == end: there is none */
    size_t count;     /* of bytes */
    struct decode_byte bytes[DECODE_BLOCK_MAX];
    bool shuffled; /* they do not stand in the order of their codes */
    /* More text could change the answer: then nothing behind `begin` is
     * settled. */
    bool open;
    size_t begin;
};

/* Each looks at in.at[at]; what it read without finding anything it skips by
 * returning the place to go on from, past `at`. `found->from` is at least
 * `at`. */

/* decode_token.c: base64, base32 and hex without blanks. `at` begins a stretch
 * of their letters. */
bool decode_token_letter(char c);
size_t decode_token(struct span in, size_t at, struct decode_found *found);
/* What a letter stands for; -1: it is none. */
int decode_base64_value(char c);
int decode_base32_value(char c);
int decode_hex_value(char c);
/* Is this text, rather than what random bytes would give. */
bool decode_is_text(const struct decode_byte *bytes, size_t count);
/* Begins `s`, which is not empty, with what no text has; *took: of its bytes.
 */
bool decode_is_bad(struct span s, size_t *took);

/* decode_legible.c: of bytes that are no text as a whole, those passages stay
 * that are, with a blank between two of them. How many there are: 0, none. */
size_t decode_legible(struct decode_byte *bytes, size_t count);

enum { DECODE_BASES = 3 /* that numbers are written to */ };

/* decode_wrapped.c: the same over more than one line, where `at` is in the
 * first of them. False: there is none, but found->open may be set. */
bool decode_wrapped(struct span in, size_t at, struct decode_found *found);

/* decode_group.c: codes with blanks between them, and Morse. `at` begins a
 * word. tried[]: up to where a long row of numbers, which gave no text, is not
 * read again from each of them; zero at first. */
size_t decode_group(struct span in, size_t at, size_t tried[DECODE_BASES],
                    struct decode_found *found);
size_t decode_morse(struct span in, size_t at, struct decode_found *found);

/* decode_escape.c: one escape. */
bool decode_escape_opens(char c); /* may `c` begin one */
size_t decode_escape(struct span in, size_t at, struct decode_found *found);

/* decode_text() without any haste: what the tests hold it against. */
MUST_USE bool decode_text_slowly(struct span text, size_t decided,
                                 struct decoded *out, struct err *err);

/* decode_plain.c: from a place where one looks for codes, the next such place
 * that needs a look, or one before it: what lies between is words and marks of
 * prose, and whole. Not behind `end`, and no code that it skips is `open`. */
size_t decode_plain(struct span in, size_t at, size_t end);

enum {
    /* All in letters_cost()'s units: the sum of a stretch that counts, and a
     * letter's doubt. */
    DECODE_FIRES = 14 * LETTERS_BIT,
    DECODE_DRIFT = LETTERS_BIT / 4,
    DECODE_ASCII = 0x80
};

/* A letter's number, letters_index(), in rot13. */
int decode_rot13_letter(int letter);

/* decode_quiet.c: what a letter behind another speaks for a cipher at most. */
struct decode_gain {
    int16_t rot13, backwards;
};

struct decode_quiet {
    struct decode_gain gains[LETTERS_COUNT][LETTERS_COUNT + 5];
    unsigned char letters[DECODE_ASCII];
};

void decode_quiet_init(struct decode_quiet *q);
/* From `at`, where a word may begin and no stretch has begun: the last such
 * place that can be told quickly. *looked: up to there it is of no use to ask
 * again. Never the last word of the text. */
size_t decode_quiet(const struct decode_quiet *q, struct span in, size_t at,
                    size_t *looked);

/* Where the runs of the first layer are. */
void decode_places(struct span text, const struct decode_quiet *quiet,
                   struct stretches *out);

/* The first place in text[from..end), in which nothing is encoded, over which
 * no code can reach, whatever stands before `from`: a word behind a blank,
 * where no cipher's sum can be above zero. `end` when there is none. */
size_t decode_calm(const struct decode_quiet *q, struct span text, size_t from,
                   size_t end);

/* decode_cipher.c: the next stretch of words, at `at` or anywhere behind it,
 * that reads like a language when it is turned; false when there is none.
 * `quiet` may be NULL: only that it takes longer. */
bool decode_cipher(struct span in, size_t at, const struct decode_quiet *quiet,
                   struct decode_found *found);

#endif
