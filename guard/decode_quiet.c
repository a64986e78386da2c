/* Where no cipher can begin: the sums of decode_cipher.c from above, letter by
 * letter instead of word by word. A sum that is let fall to zero anywhere,
 * rather than between words alone, is never below the true one. */
#include "guard/block.h"
#include "guard/decode_types.h"
#include "guard/letters.h"

static struct decode_gain gain_of(int last, int letter) {
    int plain = letters_cost(last, letter);
    int doubt = letter == LETTERS_EDGE ? 0 : DECODE_DRIFT;
    int turned =
        letters_cost(decode_rot13_letter(last), decode_rot13_letter(letter));

    return (struct decode_gain){
        (int16_t)(plain - turned - doubt),
        (int16_t)(plain - letters_cost(letter, last) - doubt)};
}

void decode_quiet_init(struct decode_quiet *q) {
    memset(q, 0, sizeof *q);
    for (int last = 0; last < LETTERS_COUNT; last++)
        for (int letter = 0; letter < LETTERS_COUNT; letter++)
            q->gains[last][letter] = gain_of(last, letter);
    for (int c = 0; c < DECODE_ASCII; c++)
        q->letters[c] = (unsigned char)letters_index((char)c);
}

static inline int above_zero(int a) {
    return a > 0 ? a : 0;
}

/* The sums so far. */
struct sums {
    int rot13, backwards, most;
    unsigned last; /* letter */
};

static void add_block(const struct decode_quiet *q, const char *at,
                      struct sums *sums) {
    struct sums s = *sums; /* in registers */

    for (int i = 0; i < BLOCK_SIZE; i++) {
        unsigned letter = q->letters[(unsigned char)at[i]];
        struct decode_gain gain = q->gains[s.last][letter];
        int best;

        s.rot13 = above_zero(s.rot13 + gain.rot13);
        s.backwards = above_zero(s.backwards + gain.backwards);
        best = s.rot13 > s.backwards ? s.rot13 : s.backwards;
        if (best > s.most) s.most = best;
        s.last = letter;
    }
    *sums = s;
}

size_t decode_quiet(const struct decode_quiet *q, struct span in, size_t at,
                    size_t *looked) {
    struct sums sums = {.last = LETTERS_EDGE};
    size_t quiet = at;

    /* The last word is left to those who know what to do with it. */
    while (in.size - at > 2 * BLOCK_SIZE) {
        uint64_t beyond = block_beyond_ascii(block_at(in.at + at));

        *looked = at + BLOCK_SIZE;
        if (beyond) *looked = at + (size_t)block_highest(beyond) + 1;
        if (beyond) break;
        add_block(q, in.at + at, &sums);
        at += BLOCK_SIZE;
        if (sums.most >= DECODE_FIRES) break;
        if (!sums.rot13 && !sums.backwards && sums.last == LETTERS_EDGE)
            quiet = at;
    }
    return quiet;
}
