/* letters.h - how usual a letter is behind another, in Latin script: what tells
 * a language from a cipher and from noise. */
#ifndef CORRAL_GUARD_LETTERS_H
#define CORRAL_GUARD_LETTERS_H

/* Letters are 1..26, the edge of a word 0. */
enum { LETTERS_EDGE = 0, LETTERS_COUNT = 27, LETTERS_BIT = 8 };

extern const unsigned char letters_pairs[LETTERS_COUNT][LETTERS_COUNT];

/* The bits that `second` takes behind `first`, times LETTERS_BIT: some 3.3 bits
 * a letter in words of English, German, French, Italian, Portuguese and
 * Spanish, over 6 in random letters. */
static inline int letters_cost(int first, int second) {
    return letters_pairs[first][second];
}

/* The number of a letter of ASCII of either case, or LETTERS_EDGE. */
static inline int letters_index(char c) {
    unsigned index = ((unsigned char)c | 0x20u) - 'a' + 1;

    return index - 1 < LETTERS_COUNT - 1 ? (int)index : LETTERS_EDGE;
}

#endif
