/* Single characters written as escapes: %41 %u0041 \x41 \u0041 \u{41}
 * \U00000041 \101 U+0041 &#65; &#x41; &amp; and tag characters. */
#include <string.h>

#include "guard/decode_types.h"

enum { DIGITS_MAX = 8, NAME_MAX = 8 };

static const struct {
    const char *name;
    uint16_t point;
} names[] = {
    {"amp", '&'},      {"lt", '<'},       {"gt", '>'},       {"quot", '"'},
    {"apos", '\''},    {"nbsp", ' '},     {"sol", '/'},      {"period", '.'},
    {"comma", ','},    {"colon", ':'},    {"semi", ';'},     {"excl", '!'},
    {"quest", '?'},    {"lpar", '('},     {"rpar", ')'},     {"num", '#'},
    {"hyphen", '-'},   {"lowbar", '_'},   {"plus", '+'},     {"equals", '='},
    {"percnt", '%'},   {"dollar", '$'},   {"commat", '@'},   {"NewLine", '\n'},
    {"Tab", '\t'},     {"shy", 0xAD},     {"agrave", 0xE0},  {"aacute", 0xE1},
    {"acirc", 0xE2},   {"atilde", 0xE3},  {"auml", 0xE4},    {"aring", 0xE5},
    {"aelig", 0xE6},   {"ccedil", 0xE7},  {"egrave", 0xE8},  {"eacute", 0xE9},
    {"ecirc", 0xEA},   {"euml", 0xEB},    {"igrave", 0xEC},  {"iacute", 0xED},
    {"icirc", 0xEE},   {"iuml", 0xEF},    {"ntilde", 0xF1},  {"ograve", 0xF2},
    {"oacute", 0xF3},  {"ocirc", 0xF4},   {"otilde", 0xF5},  {"ouml", 0xF6},
    {"ugrave", 0xF9},  {"uacute", 0xFA},  {"ucirc", 0xFB},   {"uuml", 0xFC},
    {"szlig", 0xDF},   {"Agrave", 0xC0},  {"Aacute", 0xC1},  {"Auml", 0xC4},
    {"Ccedil", 0xC7},  {"Egrave", 0xC8},  {"Eacute", 0xC9},  {"Ntilde", 0xD1},
    {"Oacute", 0xD3},  {"Ouml", 0xD6},    {"Uacute", 0xDA},  {"Uuml", 0xDC},
    {"zwnj", 0x200C},  {"zwj", 0x200D},   {"ndash", 0x2013}, {"mdash", 0x2014},
    {"lsquo", 0x2018}, {"rsquo", 0x2019}, {"ldquo", 0x201C}, {"rdquo", 0x201D},
    {"hellip", 0x2026}};

bool decode_escape_opens(char c) {
    return c == '%' || c == '\\' || c == '&' || c == 'U' || c == '\xF3';
}

static int digit(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return 16;
}

/* A reader over one escape. `short_of`: the text ended before it was told. */
struct reader {
    struct span in;
    size_t at;
    bool short_of;
};

static bool take(struct reader *r, char c) {
    if (r->at == r->in.size) {
        r->short_of = true;
        return false;
    }
    if (r->in.at[r->at] != c) return false;
    r->at++;
    return true;
}

/* Between `least` and `most` digits. */
static bool take_number(struct reader *r, int base, int least, int most,
                        uint32_t *out) {
    int count = 0;

    *out = 0;
    for (; count < most; count++) {
        if (r->at == r->in.size) {
            r->short_of = true;
            break;
        }
        if (digit(r->in.at[r->at]) >= base) break;
        *out = *out * (uint32_t)base + (uint32_t)digit(r->in.at[r->at++]);
    }
    return count >= least;
}

static bool take_low_half(struct reader *r, uint32_t *point) {
    struct reader low = *r;
    uint32_t value;

    if (*point < 0xD800 || *point >= 0xDC00) return true;
    if (take(&low, '\\') && take(&low, 'u') &&
        take_number(&low, 16, 4, 4, &value) && value >= 0xDC00 &&
        value < 0xE000) {
        *point = 0x10000 + ((*point - 0xD800) << 10) + (value - 0xDC00);
        *r = low;
    }
    r->short_of = r->short_of || low.short_of;
    return true;
}

/* Behind "\x": a code point, or the bytes of one as further such escapes. */
static bool take_bytes(struct reader *r, uint32_t *point) {
    int more = *point >= 0xF0 ? 3 : *point >= 0xE0 ? 2 : *point >= 0xC2;
    struct reader rest = *r;
    char text[UTF8_MAX] = {(char)*point};
    bool valid;
    uint32_t whole;

    if (*point < 0x80 || !more) return true;
    for (int i = 1; i <= more; i++) {
        uint32_t value;

        if (!take(&rest, '\\') || !take(&rest, 'x') ||
            !take_number(&rest, 16, 2, 2, &value)) {
            r->short_of = r->short_of || rest.short_of;
            return true;
        }
        text[i] = (char)value;
    }
    (void)utf8_decode((struct span){text, (size_t)more + 1}, &whole, &valid);
    if (!valid) return true;
    *point = whole;
    *r = rest;
    return true;
}

static bool backslash(struct reader *r, uint32_t *point) {
    if (take(r, 'u')) {
        if (take(r, '{'))
            return take_number(r, 16, 1, DIGITS_MAX, point) && take(r, '}');
        return take_number(r, 16, 4, 4, point) && take_low_half(r, point);
    }
    if (take(r, 'U')) return take_number(r, 16, 8, 8, point);
    if (take(r, 'x'))
        return take_number(r, 16, 2, 2, point) && take_bytes(r, point);
    /* Three digits, as C and the shell write a byte. */
    return take_number(r, 8, 3, 3, point) && *point < 0x80;
}

/* "U+006B U+0069": one blank between two of them is no blank. */
static bool code_point_name(struct reader *r, uint32_t *point) {
    struct reader next;

    if (!take(r, '+') || !take_number(r, 16, 4, 6, point)) return false;
    next = *r;
    if (take(&next, ' ')) {
        size_t behind = next.at;

        if (take(&next, 'U') && take(&next, '+')) r->at = behind;
    }
    r->short_of = r->short_of || next.short_of;
    return true;
}

static bool entity(struct reader *r, uint32_t *point) {
    size_t from = r->at;

    if (take(r, '#')) {
        bool hex = take(r, 'x') || take(r, 'X');

        if (!take_number(r, hex ? 16 : 10, 1, DIGITS_MAX, point)) return false;
        /* Browsers do not ask for the semicolon. */
        (void)take(r, ';');
        return true;
    }
    while (r->at < r->in.size && r->at - from < NAME_MAX &&
           r->in.at[r->at] != ';')
        r->at++;
    if (r->at == r->in.size) r->short_of = r->at - from < NAME_MAX;
    if (r->at == r->in.size || r->in.at[r->at] != ';') return false;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (span_is(span_slice(r->in, from, r->at), names[i].name)) {
            *point = names[i].point;
            r->at++;
            return true;
        }
    return false;
}

/* A tag character says in an invisible way what its ASCII twin says. */
static bool tag(struct reader *r, uint32_t *point) {
    struct span s = span_slice(r->in, r->at - 1, r->in.size);

    if (utf8_complete(s) == 0) r->short_of = true;
    r->at += utf8_decode(s, point, NULL) - 1;
    if (*point < 0xE0020 || *point > 0xE007E) return false;
    *point -= 0xE0000;
    return true;
}

static bool read_escape(struct reader *r, uint32_t *point, bool *byte) {
    char c = r->in.at[r->at++];

    switch (c) {
    case '%':
        if (take(r, 'u')) return take_number(r, 16, 4, 4, point);
        *byte = true;
        return take_number(r, 16, 2, 2, point);
    case '\\':
        return backslash(r, point);
    case '&':
        return entity(r, point);
    case 'U':
        return code_point_name(r, point);
    default:
        return tag(r, point);
    }
}

size_t decode_escape(struct span in, size_t at, struct decode_found *found) {
    struct reader r = {.in = in, .at = at};
    bool byte = false;
    uint32_t point = 0;
    char text[UTF8_MAX];
    bool ok = read_escape(&r, &point, &byte);

    found->open = r.short_of;
    found->begin = at;
    found->from = found->end = at;
    found->count = 0;
    if (!ok) return at + 1;
    found->end = r.at;
    found->count = byte ? 1 : utf8_encode(point, text);
    if (byte) text[0] = (char)point;
    for (size_t i = 0; i < found->count; i++)
        found->bytes[i] =
            (struct decode_byte){text[i], (uint32_t)at, (uint32_t)r.at};
    return found->end;
}
