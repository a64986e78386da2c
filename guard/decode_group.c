/* Codes of single characters with blanks between them: hex, decimal and binary
 * numbers, and Morse. */
#include <string.h>

#include "guard/decode_types.h"

enum {
    GROUPS_MIN = 4,
    DECIMALS_MIN = 6,
    MORSE_MIN = 4,
    ROW_LONG = 64,     /* numbers; of one that gives no text only */
    ROW_TAIL = 32,     /* so many are read again, as what they begin */
    LETTERS_MORE = 14, /* than other signs, among numbers that are no text */
    SIGNS_MAX = 7      /* of one letter in Morse */
};

/* How a code of numbers writes one, and how many it must have. */
struct numbers {
    int base;
    size_t least, most; /* digits */
    size_t count_min;
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

static bool is_letter(char c) {
    return letters_index(c) != LETTERS_EDGE;
}

static bool has_letters(const struct decode_found *found) {
    size_t letters = 0;

    for (size_t i = 0; i < found->count; i++)
        letters += is_letter(found->bytes[i].value);
    return 2 * letters >= found->count;
}

/* Of a row that has too few letters only the part stays that has the most more
 * than other signs: whoever wants to hide a text puts signs or numbers before
 * and behind it. */
static bool keep_letters(struct decode_found *found) {
    size_t from = 0, best_from = 0, best_end = 0;
    int more = 0, most = 0;

    if (has_letters(found)) return found->count > 0;
    for (size_t i = 0; i < found->count; i++) {
        char c = found->bytes[i].value;

        if (more == 0) from = i;
        if (c != ' ' || more == 0) more += is_letter(c) ? 1 : -1;
        if (more < 0) more = 0;
        if (more <= most) continue;
        most = more;
        best_from = from;
        best_end = i + 1;
    }
    if (most < LETTERS_MORE) return false;
    found->count = best_end - best_from;
    memmove(found->bytes, found->bytes + best_from,
            found->count * sizeof *found->bytes);
    return true;
}

/* Numbers of one base, from `at` on. */
static void read_row(struct span in, size_t at, const struct numbers *n,
                     struct decode_found *found) {
    size_t i = at;
    int value;

    found->from = found->end = at;
    found->count = 0;
    while (i < in.size && i - at < DECODE_BLOCK) {
        size_t behind = number(in, i, n->base, n->least, n->most, &value);

        if (behind == i || value > 0xFF || is_control(value)) break;
        if (n->base == 10 && value > 0x7E) break;
        found->bytes[found->count++] =
            (struct decode_byte){(char)value, (uint32_t)i, (uint32_t)behind};
        found->end = behind;
        i = behind;
        while (i < in.size && i - behind < 2 && is_between(in.at[i])) i++;
        if (i == behind) break;
    }
    /* What goes on behind a block is not parted from it. */
    if (i < in.size && i - at >= DECODE_BLOCK) found->end = i;
    found->open = found->open || i >= in.size;
}

static bool read_numbers(struct span in, size_t at, const struct numbers *n,
                         struct decode_found *found, size_t *tried) {
    if (at < *tried) return false;
    read_row(in, at, n, found);
    if (found->count >= n->count_min && has_letters(found) &&
        decode_is_text(found->bytes, found->count))
        return true;
    if (found->count > ROW_LONG)
        *tried = found->bytes[found->count - ROW_TAIL].from;
    found->count = decode_legible(found->bytes, found->count);
    if (keep_letters(found)) return true;
    found->end = found->from;
    return false;
}

size_t decode_group(struct span in, size_t at, size_t tried[DECODE_BASES],
                    struct decode_found *found) {
    static const struct numbers kinds[DECODE_BASES] = {
        {2, 8, 8, GROUPS_MIN},
        {16, 2, 2, GROUPS_MIN},
        /* Numbers in a row are common. */
        {10, 2, 3, DECIMALS_MIN}};

    found->open = false;
    found->begin = found->from = found->end = at;
    for (int k = 0; k < DECODE_BASES; k++)
        if (read_numbers(in, at, &kinds[k], found, &tried[k]))
            return found->end;
    return at + 1;
}

/* By the signs behind a leading 1: a dot is 0, a dash 1. */
static const char morse_letters[1 << (SIGNS_MAX + 1)] = {
    [0x02] = 'e',  [0x03] = 't', [0x04] = 'i', [0x05] = 'a', [0x06] = 'n',
    [0x07] = 'm',  [0x08] = 's', [0x09] = 'u', [0x0A] = 'r', [0x0B] = 'w',
    [0x0C] = 'd',  [0x0D] = 'k', [0x0E] = 'g', [0x0F] = 'o', [0x10] = 'h',
    [0x11] = 'v',  [0x12] = 'f', [0x14] = 'l', [0x16] = 'p', [0x17] = 'j',
    [0x18] = 'b',  [0x19] = 'x', [0x1A] = 'c', [0x1B] = 'y', [0x1C] = 'z',
    [0x1D] = 'q',  [0x20] = '5', [0x21] = '4', [0x23] = '3', [0x27] = '2',
    [0x28] = '&',  [0x2A] = '+', [0x2F] = '1', [0x30] = '6', [0x31] = '=',
    [0x32] = '/',  [0x36] = '(', [0x38] = '7', [0x3C] = '8', [0x3E] = '9',
    [0x3F] = '0',  [0x4C] = '?', [0x52] = '"', [0x55] = '.', [0x5A] = '@',
    [0x5E] = '\'', [0x61] = '-', [0x6A] = ';', [0x6B] = '!', [0x6D] = ')',
    [0x73] = ',',  [0x78] = ':', [0x89] = '$'};

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

    if (at >= in.size || !memchr(".-_\xC2\xE2", in.at[at], 5)) return -1;
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
    size_t i = at, took;
    unsigned code = 1;
    int sign;

    while (code < 1 << SIGNS_MAX && (sign = morse_sign(in, i, &took)) >= 0) {
        code = code << 1 | (unsigned)sign;
        *(sign ? dashes : dots) = true;
        i += took;
    }
    *letter = morse_letters[code];
    return *letter ? i : at;
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
