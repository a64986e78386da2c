/* odd_pieces.h - random texts of plain words with odd ones among them, from a
 * seed. Included by one .c file a program. */
#ifndef CORRAL_TESTS_ODD_PIECES_H
#define CORRAL_TESTS_ODD_PIECES_H

#include "base/bytes.h"

struct pieces {
    const char *const *list;
    size_t count;
};

#define PIECES(list) ((struct pieces){(list), sizeof(list) / sizeof *(list)})

static unsigned draw(uint32_t *state, unsigned below) {
    *state = *state * 1664525u + 1013904223u;
    return (unsigned)((uint64_t)(*state >> 8) * below >> 24);
}

/* Once in `rare` times up to three odd ones, else one plain one. */
static void put_pieces(struct bytes *out, uint32_t *state, unsigned rare,
                       struct pieces plain, struct pieces odd) {
    if (draw(state, rare))
        bytes_puts(out, plain.list[draw(state, (unsigned)plain.count)]);
    else
        for (unsigned i = draw(state, 3) + 1; i; i--)
            bytes_puts(out, odd.list[draw(state, (unsigned)odd.count)]);
}

#endif
