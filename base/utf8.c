#include "base/utf8.h"

#include <string.h>

/* The length that a first byte announces and the range of its second byte
 * (Unicode 15, table 3-7): this alone excludes overlong forms, surrogates and
 * points past U+10FFFF. Zero for a byte that cannot begin a sequence. */
static size_t announced(unsigned char first, unsigned char *low,
                        unsigned char *high) {
    *low = 0x80;
    *high = 0xBF;
    if (first < 0x80) return 1;
    if (first < 0xC2) return 0;
    if (first < 0xE0) return 2;
    if (first < 0xF0) {
        if (first == 0xE0) *low = 0xA0;
        if (first == 0xED) *high = 0x9F;
        return 3;
    }
    if (first > 0xF4) return 0;
    if (first == 0xF0) *low = 0x90;
    if (first == 0xF4) *high = 0x8F;
    return 4;
}

/* How many bytes at the head of `s` belong to the sequence that its first
 * byte announces, and whether that is all of them. */
static size_t matched(struct span s, size_t *length) {
    unsigned char low, high;
    size_t i;

    *length = announced((unsigned char)s.at[0], &low, &high);
    if (*length == 0) return 0;
    for (i = 1; i < *length && i < s.size; i++) {
        unsigned char c = (unsigned char)s.at[i];

        if (c < low || c > high) break;
        low = 0x80;
        high = 0xBF;
    }
    return i;
}

static bool goes_on(char c) {
    return ((unsigned char)c & 0xC0) == 0x80;
}

/* Most letters beyond ASCII: sequences of two and three bytes whose second byte
 * may be any. Zero for all others. */
static size_t decode_usual(struct span s, uint32_t *point) {
    unsigned char first = (unsigned char)s.at[0];
    uint32_t low;

    if (s.size < 2 || first < 0xC2 || !goes_on(s.at[1])) return 0;
    low = (unsigned char)s.at[1] & 0x3F;
    if (first < 0xE0) {
        *point = (first & 0x1Fu) << 6 | low;
        return 2;
    }
    if (s.size < 3 || first == 0xE0 || first == 0xED || first >= 0xF0 ||
        !goes_on(s.at[2]))
        return 0;
    *point = (first & 0xFu) << 12 | low << 6 | ((unsigned char)s.at[2] & 0x3Fu);
    return 3;
}

size_t utf8_decode(struct span s, uint32_t *point, bool *valid) {
    static const unsigned char first_mask[] = {0, 0x7F, 0x1F, 0x0F, 0x07};
    size_t length, have;

    if ((unsigned char)s.at[0] < 0x80) {
        if (valid) *valid = true;
        *point = (unsigned char)s.at[0];
        return 1;
    }
    length = decode_usual(s, point);
    if (length) {
        if (valid) *valid = true;
        return length;
    }
    have = matched(s, &length);
    if (valid) *valid = have > 0 && have == length;
    if (have == 0 || have != length) {
        *point = UTF8_REPLACEMENT;
        return 1;
    }
    *point = (unsigned char)s.at[0] & first_mask[length];
    for (size_t i = 1; i < length; i++)
        *point = *point << 6 | ((unsigned char)s.at[i] & 0x3Fu);
    return length;
}

size_t utf8_encode(uint32_t point, char out[UTF8_MAX]) {
    if (point > 0x10FFFF || (point >= 0xD800 && point < 0xE000))
        point = UTF8_REPLACEMENT;
    if (point < 0x80) {
        out[0] = (char)point;
        return 1;
    }
    if (point < 0x800) {
        out[0] = (char)(0xC0 | point >> 6);
        out[1] = (char)(0x80 | (point & 0x3F));
        return 2;
    }
    if (point < 0x10000) {
        out[0] = (char)(0xE0 | point >> 12);
        out[1] = (char)(0x80 | (point >> 6 & 0x3F));
        out[2] = (char)(0x80 | (point & 0x3F));
        return 3;
    }
    out[0] = (char)(0xF0 | point >> 18);
    out[1] = (char)(0x80 | (point >> 12 & 0x3F));
    out[2] = (char)(0x80 | (point >> 6 & 0x3F));
    out[3] = (char)(0x80 | (point & 0x3F));
    return 4;
}

/* Bytes from `at` on that are plain ASCII. */
static size_t ascii_run(struct span s, size_t at) {
    size_t end = at;
    uint64_t eight;

    for (; end + sizeof eight <= s.size; end += sizeof eight) {
        memcpy(&eight, s.at + end, sizeof eight);
        if (eight & 0x8080808080808080u) break;
    }
    while (end < s.size && (unsigned char)s.at[end] < 0x80) end++;
    return end - at;
}

bool utf8_valid(struct span s) {
    for (size_t at = ascii_run(s, 0); at < s.size; at += ascii_run(s, at)) {
        uint32_t point;
        bool valid;

        at += utf8_decode(span_slice(s, at, s.size), &point, &valid);
        if (!valid) return false;
    }
    return true;
}

size_t utf8_complete(struct span s) {
    size_t back = s.size < UTF8_MAX - 1 ? s.size : UTF8_MAX - 1;

    for (size_t i = 1; i <= back; i++) {
        struct span tail = span_slice(s, s.size - i, s.size);
        size_t length, have = matched(tail, &length);

        if (have == i && length > have) return s.size - i;
    }
    return s.size;
}

bool utf8_inside(struct span s, size_t at) {
    return at < s.size && ((unsigned char)s.at[at] & 0xC0) == 0x80;
}

size_t utf8_back(struct span s, size_t at) {
    size_t back = at;

    for (int i = 1; i < UTF8_MAX && back && utf8_inside(s, back); i++) back--;
    /* A run of bytes that no sequence begins has no start. */
    return utf8_inside(s, back) ? at : back;
}

struct span utf8_head(struct span s, size_t most) {
    return span_slice(s, 0, utf8_back(s, most));
}
