/* Where no cipher can begin: the sums of decode_cipher.c from above, letter by
 * letter instead of word by word. A sum that is let fall to zero anywhere,
 * rather than between words alone, is never below the true one. */
#include "guard/block.h"
#include "guard/decode_quiet_wide.h"
#include "guard/letters.h"
#include "guard/look.h"

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

static int most_of(const int16_t *a, const int16_t *b) {
    int first = a[0] + b[0], second = a[1] + b[1];

    return first > second ? first : second;
}

static int greater(int a, int b) {
    return a > b ? a : b;
}

/* A row of blocks at once, up to where one needs a look of its own. How many
 * bytes that were; *quiet as decode_quiet() has it. */
static size_t add_row(const struct decode_quiet *q, const char *at,
                      struct sums *sums, size_t *quiet) {
    struct decode_row row;
    int count = decode_quiet_row(q, at, sums->last, &row);

    for (int i = 0; i < count; i++) {
        const int16_t now[] = {(int16_t)sums->rot13, (int16_t)sums->backwards};
        const int16_t none[] = {0, 0};

        if (most_of(row.highest[i], now) >= DECODE_FIRES ||
            most_of(row.most[i], none) >= DECODE_FIRES)
            return (size_t)i * BLOCK_SIZE;
        sums->rot13 = greater(row.left[i][0], sums->rot13 + row.total[i][0]);
        sums->backwards =
            greater(row.left[i][1], sums->backwards + row.total[i][1]);
        sums->last = q->letters[(unsigned char)at[(i + 1) * BLOCK_SIZE - 1]];
        if (!sums->rot13 && !sums->backwards && sums->last == LETTERS_EDGE)
            *quiet = (size_t)(i + 1) * BLOCK_SIZE;
    }
    return (size_t)count * BLOCK_SIZE;
}

size_t decode_quiet(const struct decode_quiet *q, struct span in, size_t at,
                    size_t *looked) {
    struct sums sums = {.last = LETTERS_EDGE};
    size_t quiet = at;
    bool wide = look_is_wide();

    /* The last word is left to those who know what to do with it. */
    while (in.size - at > 2 * BLOCK_SIZE) {
        uint64_t beyond;

        if (wide && in.size - at > (DECODE_ROW + 2) * BLOCK_SIZE) {
            size_t calm = 0, went = add_row(q, in.at + at, &sums, &calm);

            if (calm) quiet = at + calm;
            at += went;
            *looked = at;
            if (went == DECODE_ROW * BLOCK_SIZE) continue;
        }
        beyond = block_beyond_ascii(block_at(in.at + at));

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

/* In a passage that counts already a word takes no more than so much off its
 * sum; it is over for good when the bound has come from DECODE_FIRES to zero so
 * many times. */
enum { FALLS = 3 };

/* A word of letters of which one is no digit of hex, behind a blank and a word
 * of the same line: no code of numbers or signs goes on over it, no token
 * begins before it. */
static bool parts_codes(struct span text, size_t at) {
    bool other = false;
    size_t end = at;

    if (at < 2 || text.at[at - 1] != ' ' ||
        letters_index(text.at[at - 2]) == LETTERS_EDGE)
        return false;
    while (end < text.size && letters_index(text.at[end]) != LETTERS_EDGE)
        other |= (text.at[end++] | 0x20) > 'f';
    return other && end >= at + 3 && end < text.size && text.at[end] == ' ';
}

/* A bound on both sums, and how often it has come down. */
struct bound {
    int rot13, backwards, falls;
    unsigned last; /* letter */
    bool between;  /* words: where it is known */
};

static const struct bound any_sums = {.rot13 = DECODE_FIRES,
                                      .backwards = DECODE_FIRES};

static bool is_calm(struct bound *b) {
    if (b->last != LETTERS_EDGE || b->rot13 || b->backwards) return false;
    if (b->falls == FALLS || ++b->falls == FALLS) return true;
    b->rot13 = b->backwards = DECODE_FIRES;
    return false;
}

size_t decode_calm(const struct decode_quiet *q, struct span text, size_t from,
                   size_t end) {
    struct bound b = any_sums;

    for (size_t at = from; at < end; at++) {
        unsigned char c = (unsigned char)text.at[at];
        struct decode_gain gain;
        unsigned letter;

        if (c >= DECODE_ASCII) {
            b = any_sums;
            continue;
        }
        letter = q->letters[c];
        if (!b.between) {
            b.between = letter == LETTERS_EDGE;
            continue;
        }
        if (is_calm(&b) && parts_codes(text, at)) return at;
        gain = q->gains[b.last][letter];
        b.rot13 = above_zero(b.rot13 + gain.rot13);
        b.backwards = above_zero(b.backwards + gain.backwards);
        b.last = letter;
    }
    return end;
}
