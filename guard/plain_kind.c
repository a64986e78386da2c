#include "guard/plain_kind.h"

enum { ROW = 64 /* points: those of one last byte */ };

/* What the signs of the rows below stand for. */
static const struct plain_kind kinds[1 << 7] = {
    ['l'] = {.plain = true, .word = true},
    ['q'] = {.plain = true, .word = true, .bare = true},
    ['1'] = {.plain = true, .word = true, .add = 1},
    ['2'] = {.plain = true, .word = true, .add = 32},
    ['3'] = {.plain = true, .word = true, .add = 80},
    ['o'] = {.plain = true},
    ['w'] = {.plain = true, .narrow = true},
    ['e'] = {.plain = true, .ascii = "..."},
    ['s'] = {.plain = true, .word = true, .ascii = "ss"},
    ['m'] = {.plain = true, .word = true, .mark = 1},
    ['n'] = {.plain = true, .word = true, .mark = 2},
    ['C'] = {.plain = true, .word = true, .look = true, .close = true},
    ['D'] =
        {.plain = true, .word = true, .look = true, .close = true, .add = 32},
    ['E'] =
        {.plain = true, .word = true, .look = true, .close = true, .add = 80},
    ['H'] =
        {.plain = true, .word = true, .look = true, .close = true, .add = 1},
    ['F'] = {.plain = true, .word = true, .look = true},
    ['G'] = {.plain = true, .word = true, .look = true, .add = 32},
};

/* Of two bytes, from U+0080 on. */
static const char rows_of_two[][ROW + 1] = {
    ".................................ooooooo.o.oo.o.oo....oo...o...o",
    "22222222222222222222222o2222222slllllllllllllllllllllllollllllll",
    "1l1l1l1l1l1l1l1l1l1l1l1l1l1l1l1l1l1l1l1l1l1l1l1l.C..1l1ll1l1l1l.",
    ".1l1l1l1l.1l1l1l1l1l1l1l1l1l1l1l1l1l1l1l1l1l1l1l1l1l1l1l.1l1l1l.",
    "l.1l.l.1l..1lC...1l..l..1lll..l.1l1l1l.1l.ll1l.1l..1l1l.1lll.Cll",
    "Clll.........1l1l1l1l1l1l1l1ll1l1l1l1l1l1l1l1l1ll...1l..1l1l1l1l",
    "1l1l1l1l1l1l1l1l1l1l1l1l1l1l1l1l.l1l1l1l1l1l1l1l1l1lllllll.1l..l",
    "l1l...1l1l1l1l1llClllllllllllllllClClllllCCllllCllllllllllllllll",
    "lllllllllllClllCllllllllllllllllllllllllllllllll.........lllllll",
    "lloooolllllllllllloooooo......oo.....ooooooololooooooooooooooooo",
    "................................................................",
    "................................................1l1l.o1l...lll..",
    "................lDDD2DDD2DD2DD2D2D.DDD2D2G22lllllClClFlFlCFllClC",
    "lCHCFClllFlllll........l1l1l.l1l1l1l1l1l1l1l1l1l...C..o1l..ll...",
    "3333.EE3E3333333D2DD2D2GG2D2DDDGDDDD2D222222D222ClFClClFFlFlFFCF",
    "CCFClCllllllllllllllFCClClllllll.C1l1l1l1l1l1l1l1l1l.C1l1l1l1l1l",
    "1lo.....ll1l1l1l1l1l1l1l1l1l1l1l1l1l1l1l1l1l1l.C1l1l1l1l1l.C.C1l",
    ".1l1l1l1l1l1l1lC1l1l1l1l1l1l1l1l1l1l1l1l1l1l1l1l1l1l1l1l1l1l1l1l",
    ".C1l1l1l1l1l.l1l1l1l1l1l1l.C.C1l1l1l1l1l1l1l1l1l................",
    ".........................loooooolClCllClllllllllClllllllClllCCll",
    "lCllCCl.loo..ooo..............................................o.",
    "o..o..o.........lllllllllllllllllllllllllll....lllloo...........",
    "......oooooooooo...........o.ooollllllllllllllllllllllllllllllll",
    "lllllllllllmmmmmmmm.............llllllllllooooll.llll....lllllll",
    "llllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllll",
    "llllllllllllllllllllol........o......ll..o....lllllllllllllllool",
    "oooooooooooooo..l.llllllllllllllllllllllllllllll................",
    ".............lllllllllllllllllllllllllllllllllllllllllllllllllll",
    "llllllllllllllllllllllllllllllllllllllllllllllllll..............",
    "lllllllllllllllllllllllllllllllllllllllllll.........llooool...oo",
};

enum row {
    DEVANAGARI,
    THAI = DEVANAGARI + 2,
    LATIN = THAI + 2,
    PUNCTUATION = LATIN + 4,
    KANA,
    WIDE = KANA + 4
};

/* Of three bytes. */
static const char rows_of_three[][ROW + 1] = {
    "llllllllllllllllllllllllllllllllllllllllqlllllllqllqllllllllmlll",
    "lllllllllllllnlll....lll........lllloollllllllllolllllllllllllll",
    ".llllllllllllllllllllllllllllllllllllllllllllllllll.llllmm.....o",
    "llllllllnnnnlllolllllllllloo....................................",
    "1l1l1l1l1l1l1l1l1l1l1l1l1l1l1l1l1l1l1l1l1l1l1l1l1l1l1l1l1l1l1l1l",
    "1l1l1l1l1l1l1l1l1l1l1l1l1l1l1l1l1l1l1l1l1l1l1l1l1l1l1l1l1l1l1l1l",
    "1l1l1l1l1l1l1l1l1l1l1lllll..lC.l1l1l1l1l1l1l1l1l1l1l1l1l1l1l1l1l",
    "1l1l1l1l1l1l1l1l1l1l1l1l1l1l1l1l1l1l1l1l1l1l1l1l1l1l1l1l1l1l1l.C",
    "................wwwwwwo.oooooooooooo..eo........ooo..o..oooo.o.o",
    ".oooolllooooooooooooooooooooooooolllllllll......olllll.o...llooo",
    ".lllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllll",
    "lllllllllllllllllllllll......ll.olllllllllllllllllllllllllllllll",
    "lllllllllllllllllllllllllllllllllllllllllllllllllllllllllllolll.",
    "........ww..w.w...........ww...w................................",
};

/* By a point's number without its last six bits. */
static char three(uint32_t row, unsigned last) {
    uint32_t point = row * ROW + last;

    if ((point >= 0x4E00 && point <= 0x9FFF) ||
        (point >= 0x3400 && point <= 0x4DBF) ||
        (point >= 0xAC00 && point <= 0xD7A3))
        return 'l';
    if (row >= 0x3000 / ROW && row < 0x3100 / ROW)
        return rows_of_three[KANA + row - 0x3000 / ROW][last];
    if (row >= 0x900 / ROW && row < 0x980 / ROW)
        return rows_of_three[DEVANAGARI + row - 0x900 / ROW][last];
    if (row >= 0xE00 / ROW && row < 0xE80 / ROW)
        return rows_of_three[THAI + row - 0xE00 / ROW][last];
    if (row >= 0x1E00 / ROW && row < 0x1F00 / ROW)
        return rows_of_three[LATIN + row - 0x1E00 / ROW][last];
    if (row == 0x2000 / ROW) return rows_of_three[PUNCTUATION][last];
    if (row == 0xFF00 / ROW) return rows_of_three[WIDE][last];
    return '.';
}

static bool goes_on(char c) {
    return ((unsigned char)c & 0xC0) == 0x80;
}

const struct plain_kind *plain_kind_at(struct span s, size_t at, size_t *size) {
    unsigned char first = (unsigned char)s.at[at];
    size_t left = s.size - at;
    const char *next = s.at + at + 1;

    if (first >= 0xC2 && first < 0xE0 && left > 1 && goes_on(next[0])) {
        *size = 2;
        return &kinds[(
            unsigned char)rows_of_two[first - 0xC2][next[0] & (ROW - 1)]];
    }
    if (first >= 0xE0 && first < 0xF0 && left > 2 && goes_on(next[0]) &&
        goes_on(next[1])) {
        uint32_t row = (first & 0xFu) << 6 | (next[0] & (ROW - 1u));

        *size = 3;
        return &kinds[(unsigned char)three(row, next[1] & (ROW - 1u))];
    }
    *size = 1;
    return &kinds[0];
}
