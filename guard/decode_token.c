/* base64, base32 and hex, written without blanks. */
#include <limits.h>
#include <string.h>

#include "guard/decode_types.h"

enum {
    TOKEN_MIN = 8,    /* letters; shorter ones are words */
    BASE32_MIN = 16,  /* capitals and digits alone are often names */
    SHIFTS_MIN = 16,  /* from here on letters may stand before the code */
    LINE_MIN = 40,    /* of a code that goes on in the next line */
    STRICT_BYTES = 8, /* fewer must be plain words */
    CLEAN_BYTES = 24, /* fewer must be without a bad byte */
    BAD_IN = 10       /* else one bad byte in so many may be */
};

/* One more than its value; 0: no letter. */
#define ROW(c, v)                                                              \
    [(c)] = (v), [(c) + 1] = (v) + 1, [(c) + 2] = (v) + 2, [(c) + 3] = (v) + 3
static const unsigned char
    base64_letters[1 << CHAR_BIT] =
        {
            ROW('A', 1),  ROW('E', 5),  ROW('I', 9),  ROW('M', 13),
            ROW('Q', 17), ROW('U', 21), ['Y'] = 25,   ['Z'] = 26,
            ROW('a', 27), ROW('e', 31), ROW('i', 35), ROW('m', 39),
            ROW('q', 43), ROW('u', 47), ['y'] = 51,   ['z'] = 52,
            ROW('0', 53), ROW('4', 57), ['8'] = 61,   ['9'] = 62,
            ['+'] = 63,   ['-'] = 63,   ['/'] = 64,   ['_'] = 64};
#undef ROW

int decode_base64_value(char c) {
    return base64_letters[(unsigned char)c] - 1;
}

int decode_base32_value(char c) {
    if (c >= 'A' && c <= 'Z') return c - 'A';
    if (c >= 'a' && c <= 'z') return c - 'a';
    if (c >= '2' && c <= '7') return c - '2' + 26;
    return -1;
}

int decode_hex_value(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

bool decode_token_letter(char c) {
    return decode_base64_value(c) >= 0;
}

static bool is_line_end(char c) {
    return c == '\n' || c == '\r';
}

static bool is_plain(unsigned char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           (c >= '0' && c <= '9') || memchr(" .,:;!?'-\n", c, 10);
}

bool decode_is_bad(struct span s, size_t *took) {
    uint32_t point;
    bool valid;

    *took = utf8_decode(s, &point, &valid);
    /* A sequence that the block's end cuts is not bad. */
    if (!valid && s.size < UTF8_MAX && utf8_complete(s) == 0) {
        *took = s.size;
        return false;
    }
    return !valid ||
           (point < 0x20 && point != '\t' && point != '\n' && point != '\r') ||
           (point >= 0x7F && point < 0xA0);
}

bool decode_is_text(const struct decode_byte *bytes, size_t count) {
    char text[DECODE_BLOCK_MAX];
    size_t at = 0, bad = 0, plain = 0;

    for (size_t i = 0; i < count; i++) text[i] = bytes[i].value;
    while (at < count) {
        size_t took;

        bad += decode_is_bad((struct span){text + at, count - at}, &took);
        plain += is_plain((unsigned char)text[at]);
        if (bad * BAD_IN > count || (bad && count < CLEAN_BYTES)) return false;
        at += took;
    }
    if (count < STRICT_BYTES) return plain == count;
    return count < CLEAN_BYTES ? 2 * plain >= count : bad * BAD_IN <= count;
}

/* in[at..end) as codes of `bits` bits; line ends between them are nothing. */
static void read_bits(struct span in, size_t at, size_t end, int bits,
                      int (*value)(char), struct decode_found *found) {
    uint32_t window = 0;
    int held = 0;
    size_t from = at, before = at; /* of the oldest held bit, of the letter */

    found->from = at;
    found->end = end;
    found->count = 0;
    found->shuffled = false;
    for (; at < end; at++) {
        int v = value(in.at[at]);

        if (v < 0) continue;
        if (!held) from = at;
        window = window << bits | (uint32_t)v;
        held += bits;
        before = at;
        if (held < 8) continue;
        held -= 8;
        found->bytes[found->count].value = (char)(window >> held & 0xFF);
        found->bytes[found->count].from = (uint32_t)from;
        found->bytes[found->count++].end = (uint32_t)at + 1;
        from = before;
    }
}

static bool all_are(struct span in, size_t at, size_t end, int (*value)(char)) {
    for (; at < end; at++)
        if (value(in.at[at]) < 0 && in.at[at] != '=' && !is_line_end(in.at[at]))
            return false;
    return true;
}

/* One case only: "Spaces" of mixed case is no base32. */
static bool is_base32(struct span in, size_t at, size_t end) {
    bool upper = false, lower = false;

    if (end - at < BASE32_MIN || !all_are(in, at, end, decode_base32_value))
        return false;
    for (; at < end; at++) {
        upper = upper || (in.at[at] >= 'A' && in.at[at] <= 'Z');
        lower = lower || (in.at[at] >= 'a' && in.at[at] <= 'z');
    }
    return upper != lower;
}

static bool try_bits(struct span in, size_t at, size_t end, int bits,
                     int (*value)(char), struct decode_found *found) {
    read_bits(in, at, end, bits, value, found);
    if (found->count && decode_is_text(found->bytes, found->count)) return true;
    found->count = decode_legible(found->bytes, found->count);
    if (found->count) return true;
    found->end = found->from;
    return false;
}

/* Small letters alone, but for the first: a word, and no code of its length. */
static bool is_word(struct span in, size_t at, size_t end) {
    if (end - at >= BASE32_MIN) return false;
    if (in.at[at] >= 'A' && in.at[at] <= 'Z') at++;
    while (at < end && in.at[at] >= 'a' && in.at[at] <= 'z') at++;
    return at == end;
}

static bool try_block(struct span in, size_t at, size_t end,
                      struct decode_found *found) {
    size_t shifts = end - at >= SHIFTS_MIN ? 4 : 1;

    if (all_are(in, at, end, decode_hex_value) &&
        try_bits(in, at, end, 4, decode_hex_value, found))
        return true;
    if (is_base32(in, at, end) &&
        try_bits(in, at, end, 5, decode_base32_value, found))
        return true;
    for (size_t shift = 0; shift < shifts; shift++)
        if (try_bits(in, at + shift, end, 6, decode_base64_value, found))
            return true;
    return false;
}

/* The end of the stretch from `at`, or where it is long enough for a block. */
static size_t stretch(struct span in, size_t at, bool *open) {
    size_t line = at, i = at;

    while (i < in.size && i - at < DECODE_BLOCK_MAX) {
        if (decode_token_letter(in.at[i])) {
            i++;
            continue;
        }
        if (!is_line_end(in.at[i]) || i - line < LINE_MIN) break;
        while (i < in.size && is_line_end(in.at[i]) &&
               i - at < DECODE_BLOCK_MAX)
            i++;
        line = i;
    }
    line = i;
    while (i < in.size && in.at[i] == '=' && i - at < DECODE_BLOCK_MAX) i++;
    *open = i == in.size && i - at < DECODE_BLOCK_MAX;
    /* Padding parts two codes as a blank would. */
    return i < in.size && decode_token_letter(in.at[i]) ? line : i;
}

size_t decode_token(struct span in, size_t at, struct decode_found *found) {
    size_t end;
    bool open;

    if (decode_wrapped(in, at, found)) return found->end;
    end = stretch(in, at, &open);
    found->open = found->open || open;
    found->begin = at;
    if (end - at == DECODE_BLOCK_MAX) end = at + DECODE_BLOCK;
    found->from = found->end = at;
    if (end - at >= TOKEN_MIN && !is_word(in, at, end) &&
        try_block(in, at, end, found))
        return found->end;
    return end;
}
