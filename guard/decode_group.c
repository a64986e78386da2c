/* Codes of single characters with blanks between them: hex, decimal and binary
 * numbers, and Morse. */
#include <string.h>

#include "guard/decode_types.h"

enum {
    GROUPS_MIN = 4,
    DECIMALS_MIN = 6, /* numbers in a row are common */
    MORSE_MIN = 4,
    SIGNS_MAX = 7 /* of one letter in Morse */
};

static int digit(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return 16;
}

static bool is_between(char c) {
    return c == ' ' || c == ',' || c == ':' || c == ';' || c == '-' ||
           c == '\n';
}

static bool is_word(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           (c >= '0' && c <= '9') || c == '_' || (unsigned char)c >= 0x80;
}

/* One number of exactly `least` to `most` digits; its end, or `at`. */
static size_t number(struct span in, size_t at, int base, size_t least,
                     size_t most, int *value) {
    size_t i = at;

    *value = 0;
    if (base == 16 && i + 2 < in.size && in.at[i] == '0' &&
        (in.at[i + 1] == 'x' || in.at[i + 1] == 'X'))
        i += 2;
    most += i;
    least += i;
    while (i < in.size && i < most && digit(in.at[i]) < base)
        *value = *value * base + digit(in.at[i++]);
    if (i < least || (i < in.size && is_word(in.at[i]))) return at;
    return i;
}

static bool is_control(int value) {
    return (value < 0x20 && value != '\n' && value != '\t' && value != '\r') ||
           value == 0x7F;
}

/* `*end`: behind the numbers that were read and gave no text. They are not read
 * again, or a long row of them would be read once for each. */
static bool read_numbers(struct span in, size_t at, int base, size_t least,
                         size_t most, size_t count_min,
                         struct decode_found *found, size_t *end) {
    size_t letters = 0, i = at;
    int value;

    found->from = found->end = at;
    found->count = 0;
    while (i < in.size && i - at < DECODE_BLOCK) {
        size_t behind = number(in, i, base, least, most, &value);

        if (behind == i || value > 0xFF || is_control(value)) break;
        if (base == 10 && value > 0x7E) break;
        if ((value | 32) >= 'a' && (value | 32) <= 'z') letters++;
        found->bytes[found->count++] =
            (struct decode_byte){(char)value, (uint32_t)i, (uint32_t)behind};
        found->end = behind;
        i = behind;
        while (i < in.size && i - behind < 2 && is_between(in.at[i])) i++;
        if (i == behind) break;
    }
    found->open = found->open || i >= in.size;
    if (found->count >= count_min && 2 * letters >= found->count &&
        decode_is_text(found->bytes, found->count))
        return true;
    if (found->end > *end) *end = found->end;
    found->end = found->from;
    return false;
}

size_t decode_group(struct span in, size_t at, struct decode_found *found) {
    size_t end = at;

    found->open = false;
    found->begin = at;
    if (read_numbers(in, at, 2, 8, 8, GROUPS_MIN, found, &end) ||
        read_numbers(in, at, 16, 2, 2, GROUPS_MIN, found, &end) ||
        read_numbers(in, at, 10, 2, 3, DECIMALS_MIN, found, &end))
        return found->end;
    if (end > at) return end;
    while (end < in.size && is_word(in.at[end])) end++;
    return end;
}

/* A character, then its signs. */
static const char *const morse_code[] = {
    "a.-",     "b-...",   "c-.-.",    "d-..",     "e.",      "f..-.",
    "g--.",    "h....",   "i..",      "j.---",    "k-.-",    "l.-..",
    "m--",     "n-.",     "o---",     "p.--.",    "q--.-",   "r.-.",
    "s...",    "t-",      "u..-",     "v...-",    "w.--",    "x-..-",
    "y-.--",   "z--..",   "0-----",   "1.----",   "2..---",  "3...--",
    "4....-",  "5.....",  "6-....",   "7--...",   "8---..",  "9----.",
    "..-.-.-", ",--..--", "?..--..",  "'.----.",  "!-.-.--", "/-..-.",
    "(-.--.",  ")-.--.-", "&.-...",   ":---...",  ";-.-.-.", "=-...-",
    "+.-.-.",  "--....-", "\".-..-.", "$...-..-", "@.--.-."};

static char morse_letter(const char *signs) {
    for (size_t i = 0; i < sizeof morse_code / sizeof *morse_code; i++)
        if (!strcmp(morse_code[i] + 1, signs)) return morse_code[i][0];
    return 0;
}

/* A dot, a dash, or neither (-1); some are longer than a byte. */
static int morse_sign(struct span in, size_t at, size_t *took) {
    static const struct {
        const char *text;
        int sign;
    } signs[] = {{".", 0},
                 {"-", 1},
                 {"\xC2\xB7", 0},
                 {"\xE2\x80\xA2", 0},
                 {"\xE2\x88\x92", 1},
                 {"\xE2\x80\x93", 1},
                 {"\xE2\x80\x94", 1},
                 {"_", 1}};

    for (size_t i = 0; i < sizeof signs / sizeof *signs; i++) {
        struct span s = span_of(signs[i].text);

        if (!span_starts(span_slice(in, at, in.size), s)) continue;
        *took = s.size;
        return signs[i].sign;
    }
    return -1;
}

/* Between two letters; *word: between two words. */
static size_t morse_gap(struct span in, size_t at, bool *word) {
    size_t i = at;

    *word = false;
    while (i < in.size && (in.at[i] == ' ' || in.at[i] == '\n' ||
                           in.at[i] == '/' || in.at[i] == '|')) {
        if (in.at[i] != ' ' || i > at) *word = true;
        i++;
    }
    return i;
}

/* The letter at in.at[at]; its end, or `at` when there is none. */
static size_t read_letter(struct span in, size_t at, char *letter, bool *dots,
                          bool *dashes) {
    char signs[SIGNS_MAX + 1] = "";
    size_t i = at, took;
    int count = 0, sign;

    while (count < SIGNS_MAX && (sign = morse_sign(in, i, &took)) >= 0) {
        signs[count++] = sign ? '-' : '.';
        i += took;
    }
    *letter = morse_letter(signs);
    if (!*letter) return at;
    *dots = *dots || memchr(signs, '.', (size_t)count);
    *dashes = *dashes || memchr(signs, '-', (size_t)count);
    return i;
}

size_t decode_morse(struct span in, size_t at, struct decode_found *found) {
    size_t i = at, next, letters = 0, took;
    bool dots = false, dashes = false, word;
    char letter;

    found->from = found->end = found->begin = at;
    found->count = 0;
    while (i < in.size && i - at < DECODE_BLOCK) {
        size_t end = read_letter(in, i, &letter, &dots, &dashes);

        if (end == i) break;
        next = morse_gap(in, end, &word);
        /* A sign that belongs to something else: "-5", "...and". */
        if (next == end && end < in.size) break;
        found->bytes[found->count++] =
            (struct decode_byte){letter, (uint32_t)i, (uint32_t)end};
        letters++;
        found->end = end;
        if (word && next < in.size && morse_sign(in, next, &took) >= 0)
            found->bytes[found->count++] =
                (struct decode_byte){' ', (uint32_t)end, (uint32_t)next};
        i = next;
    }
    found->open = i >= in.size;
    if (letters >= MORSE_MIN && dots && dashes) return found->end;
    found->end = found->from;
    return i > at ? i : at + 1;
}
