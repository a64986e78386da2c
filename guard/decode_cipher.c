/* rot13 and text written backwards: stretches of words that read like a
 * language only after they were turned. Word by word, what the turned reading
 * is better by is summed up, never below zero; a stretch begins where the sum
 * was zero last and counts once the sum has reached a threshold. So it takes a
 * few words to show, and any place where both sums are zero is as good as the
 * text's beginning to go on from. */
#include <string.h>

#include "guard/decode_types.h"
#include "guard/letters.h"

enum {
    WORD_MAX = 40,      /* letters; a longer one is no word */
    FOREIGN_MAX = 1024, /* bytes of one in a script without blanks */
    GAP_MAX = 32,       /* bytes between words of one stretch */
    FAR_MAX = 256,      /* bytes behind its best, and the stretch is over */
    /* All in letters_cost()'s units. */
    FIRES = DECODE_FIRES,
    DROPS = 12 * LETTERS_BIT, /* below its best, and the stretch is over */
    ODD_WORD = 6 * LETTERS_BIT,
    SLACK = 6 * LETTERS_BIT,
    READABLE = 5 * LETTERS_BIT /* a letter may cost no more on average */
};

enum cipher { ROT13, BACKWARDS, CIPHERS };

/* A stretch that may be one. */
struct passage {
    int sum, best;
    size_t from, end; /* up to where the sum was near its best */
};

/* A word and what its letters cost as it stands and turned, summed up while it
 * is read. */
struct word {
    size_t from, end;
    int last, count; /* its last letter, as letters_index(), and how many */
    int plain, turned[CIPHERS];
    int backwards; /* evidence of other scripts, in favour of BACKWARDS */
};

int decode_rot13_letter(int letter) {
    static const signed char turned[LETTERS_COUNT] = {
        LETTERS_EDGE, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24,
        25,           26, 1,  2,  3,  4,  5,  6,  7,  8,  9,  10,
        11,           12, 13};

    return turned[letter];
}

/* `letter` may be LETTERS_EDGE, at the word's end. */
static inline void word_add(struct word *w, int letter) {
    int last = w->last;

    w->plain += letters_cost(last, letter);
    w->turned[BACKWARDS] += letters_cost(letter, last);
    w->turned[ROT13] +=
        letters_cost(decode_rot13_letter(last), decode_rot13_letter(letter));
    w->last = letter;
    w->count += letter != LETTERS_EDGE;
}

/* The letters of ASCII from `at` on; where they end. */
static size_t word_add_plain(struct word *w, struct span in, size_t at) {
    struct word sum = *w; /* in registers */
    int letter;

    while (at < in.size && (letter = letters_index(in.at[at])) != 0) {
        word_add(&sum, letter);
        at++;
    }
    *w = sum;
    return at;
}

/* How much better the word reads when it is turned. */
static int gain(const struct word *w, enum cipher cipher) {
    int turned = w->turned[cipher], better, readable;

    if (!w->count) return cipher == BACKWARDS ? w->backwards : 0;
    better = w->plain - turned;
    readable = READABLE * (w->count + 1) - turned;
    if (better > readable) better = readable;
    return better - DECODE_DRIFT * w->count;
}

/* Letters of Latin-1 without their accents, as the pairs were counted. */
static int latin_letter(uint32_t point) {
    static const char plain[] = "aaaaaaaceeeeiiii\0nooooo\0ouuuuy\0y";

    if (point < 0x80) return letters_index((char)point);
    if (point < 0xC0 || point > 0xFF) return LETTERS_EDGE;
    return letters_index(plain[point % 0x20]);
}

static bool is_tone(uint32_t p) {
    return p >= 0xE48 && p <= 0xE4B;
}

static bool leads(uint32_t p) { /* Thai vowels written before their letter */
    return p >= 0xE40 && p <= 0xE44;
}

static bool trails(uint32_t p) { /* and those that no mark follows */
    return p == 0xE30 || p == 0xE32 || p == 0xE33;
}

/* Scripts with marks say which way they run: a mark needs a letter before it.
 * `last` is 0 at the word's beginning, `point` at its end. */
static int mark_evidence(uint32_t last, uint32_t point) {
    enum { SURE = 12 * LETTERS_BIT };
    bool mark = point && text_is_mark(point);

    if (!last || trails(last)) return mark ? SURE : 0;
    if (leads(last)) return mark || !point ? SURE : -SURE / 8;
    if (!text_is_mark(last)) return 0;
    if (!point || trails(point)) return -SURE;
    if (!mark) return 0;
    if (is_tone(last) && !is_tone(point)) return SURE;
    return is_tone(point) ? -SURE : 0;
}

/* Where the next word begins, or the text's end. */
static size_t word_begin(struct span in, size_t at) {
    uint32_t point;

    while (at < in.size) {
        size_t took = 1;

        if (letters_index(in.at[at])) break;
        if ((unsigned char)in.at[at] >= 0x80) {
            took = utf8_decode(span_slice(in, at, in.size), &point, NULL);
            if (text_is_word_point(point)) break;
        }
        at += took;
    }
    return at;
}

/* The next word from `at` on; false when there is none. */
static bool next_word(struct span in, size_t at, struct word *w) {
    uint32_t point, last = 0;
    int points = 0;
    bool letters = false;

    at = word_begin(in, at);
    *w = (struct word){.from = at};
    for (;;) {
        size_t end = word_add_plain(w, in, at), took;
        int letter;

        if (end > at) {
            last = (unsigned char)in.at[end - 1];
            letters = true;
            points += (int)(end - at);
        }
        at = end;
        if (at == in.size || (unsigned char)in.at[at] < 0x80) break;
        took = utf8_decode(span_slice(in, at, in.size), &point, NULL);
        if (!text_is_word_point(point)) break;
        letter = latin_letter(point);
        if (point > 0xFF) w->backwards += mark_evidence(last, point);
        if (letter) word_add(w, letter);
        letters = letters || !text_is_mark(point);
        points++;
        last = point;
        at += took;
    }
    w->end = at;
    word_add(w, LETTERS_EDGE);
    if (last > 0xFF) w->backwards += mark_evidence(last, 0);
    /* Set apart from each other they say nothing. */
    if (!letters || points < 2) w->backwards = 0;
    return w->end > w->from;
}

/* No word of a language. */
static bool is_long(const struct word *w) {
    return w->count > WORD_MAX || w->end - w->from > FOREIGN_MAX;
}

static void stretch_add(struct passage *s, const struct word *w, int gained) {
    if (!s->sum) {
        s->best = 0;
        s->from = w->from;
    }
    /* Once it is clear, one odd word does not end it. */
    if (s->best >= FIRES && gained < -ODD_WORD) gained = -ODD_WORD;
    s->sum += gained;
    if (s->sum < 0) s->sum = 0;
    if (s->sum > s->best) s->best = s->sum;
    /* A word or two that read well either way belong to their neighbours. */
    if (s->best - s->sum < SLACK) s->end = w->end;
}

static bool is_over(const struct passage *s) {
    return s->best >= FIRES && s->best - s->sum >= DROPS;
}

static void write_rot13(struct span in, struct decode_found *f) {
    f->count = 0;
    for (size_t i = f->from; i < f->end; i++) {
        int letter = letters_index(in.at[i]);
        char c = in.at[i];

        if (letter) c = (char)((c & ~0x1F) | decode_rot13_letter(letter));
        f->bytes[f->count++] =
            (struct decode_byte){c, (uint32_t)i, (uint32_t)i + 1};
    }
}

static void write_backwards(struct span in, struct decode_found *f) {
    size_t end = f->end - f->from;

    f->count = end;
    for (size_t i = f->from; i < f->end;) {
        size_t took =
            utf8_decode(span_slice(in, i, f->end), &(uint32_t){0}, NULL);

        end -= took;
        for (size_t k = 0; k < took; k++)
            f->bytes[end + k] = (struct decode_byte){in.at[i + k], (uint32_t)i,
                                                     (uint32_t)(i + took)};
        i += took;
    }
}

/* A long stretch is cut behind a word, so that what is left is long as well. */
static size_t block_end(struct span in, size_t from, size_t end) {
    if (end - from <= DECODE_BLOCK_MAX) return end;
    end = from + DECODE_BLOCK;
    while (end > from + DECODE_BLOCK - WORD_MAX && letters_index(in.at[end]))
        end--;
    return utf8_back(in, end);
}

static void cipher_write(struct span in, const struct passage *s,
                         enum cipher cipher, struct decode_found *f) {
    f->from = s->from;
    f->end = block_end(in, s->from, s->end);
    f->shuffled = cipher == BACKWARDS;
    if (cipher == ROT13)
        write_rot13(in, f);
    else
        write_backwards(in, f);
}

static const struct passage *better(const struct passage *s) {
    return s[BACKWARDS].best > s[ROT13].best ? &s[BACKWARDS] : &s[ROT13];
}

static bool is_quiet(const struct passage *s) {
    return !s[ROT13].sum && !s[BACKWARDS].sum;
}

bool decode_cipher(struct span in, size_t at, const struct decode_quiet *quiet,
                   struct decode_found *f) {
    struct passage s[CIPHERS] = {{.sum = 0}};
    const struct passage *best;
    struct word w = {.end = at};
    size_t last_from = in.size, last = at, looked = at;
    bool over = false;

    for (;;) {
        bool breaks;

        if (quiet && is_quiet(s) && w.end >= looked)
            w.end = decode_quiet(quiet, in, w.end, &looked);
        if (over || !next_word(in, w.end, &w)) break;
        breaks = w.from - last > GAP_MAX || is_long(&w);
        best = better(s);
        if (best->best >= FIRES && (breaks || w.from - best->end > FAR_MAX)) {
            over = true;
            break;
        }
        for (int c = 0; c < CIPHERS; c++) {
            if (breaks) s[c] = (struct passage){.sum = 0};
            if (is_long(&w)) continue;
            stretch_add(&s[c], &w, gain(&w, (enum cipher)c));
            over =
                over || is_over(&s[c]) ||
                (s[c].best >= FIRES && s[c].end - s[c].from > DECODE_BLOCK_MAX);
        }
        last_from = w.from;
        last = w.end;
    }
    best = better(s);
    f->open = !over;
    f->begin = last == in.size ? last_from : in.size;
    for (int c = 0; c < CIPHERS; c++)
        if (s[c].sum && s[c].from < f->begin) f->begin = s[c].from;
    f->from = f->end = in.size;
    f->count = 0;
    if (best->best < FIRES) return false;
    cipher_write(in, best, best == s ? ROT13 : BACKWARDS, f);
    return true;
}
