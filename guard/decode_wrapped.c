/* base64, base32 and hex in lines: of any width, indented, behind the marks of
 * a quotation or a comment. From a word that ends its line, letters are read
 * over the line ends for as long as they give text, which words of prose do for
 * two or three bytes at most. */
#include <string.h>

#include "guard/decode_types.h"

enum {
    GAP_MAX = 64,     /* bytes between two lines of a code */
    SHIFTS_MIN = 16,  /* from here on letters may stand before the code */
    WORDS_MIN = 6,    /* bytes that are read when all are letters and blanks */
    BYTES_MIN = 12,   /* and when they are any text */
    CLEAN_BYTES = 24, /* so many must be without a bad byte */
    BAD_COST = 10,    /* good bytes that make up for a bad one */
    HOPELESS = 64,    /* so many more signs than letters end a reading of hex */
    PADDING_MAX = 6
};

/* What was read of a code. */
struct reading {
    struct span in;
    size_t begin, at;
    uint32_t window;
    int held;            /* bits of the window */
    size_t from, before; /* of the oldest held bit, of the last letter */
    int more;            /* bytes that a sequence of UTF-8 still lacks */
    size_t count;
    int sum, best_sum;
    int letters, most_letters; /* more than other bytes: now, and at the most */
    /* How many bytes there were at the best sum, at the last line end, at the
     * line end before things got worse, at the first line end of all, and where
     * the code can be cut. */
    size_t best, line, line_best, first_line, cut;
    bool crossed, worse;
    bool open; /* the text ended, not the code */
};

static bool is_digit_or_letter(char c) {
    return letters_index(c) != LETTERS_EDGE || (c >= '0' && c <= '9');
}

static bool is_mark(char c) {
    return decode_token_letter(c) && !is_digit_or_letter(c);
}

/* A line end, which may itself be written as an escape. */
static size_t line_end(struct span in, size_t at) {
    if (in.at[at] == '\n' || in.at[at] == '\r') return at + 1;
    if (in.at[at] == '\\' && at + 1 < in.size &&
        (in.at[at + 1] == 'n' || in.at[at + 1] == 'r'))
        return at + 2;
    return at;
}

static bool may_stand_before(char c) {
    return (unsigned char)c < 0x80 && !is_digit_or_letter(c) && c != '=';
}

/* Behind the blanks, marks and line ends from `at` on. */
static size_t skip_marks(struct span in, size_t at, size_t most) {
    while (at < in.size && at < most) {
        size_t next = line_end(in, at);

        if (next == at && !may_stand_before(in.at[at])) break;
        at = next > at ? next : at + 1;
    }
    return at;
}

/* One mark right before a line's letters is one of them; more are not. */
static size_t line_begin(struct span in, size_t least, size_t at) {
    size_t from = at;

    while (from > least && is_mark(in.at[from - 1])) from--;
    return at - from == 1 ? from : at;
}

/* Where the code goes on in another line; `at` when it does not, or when the
 * text ends before that is known. */
static size_t next_line(struct span in, size_t at, bool *open) {
    size_t end = at, most = at + GAP_MAX, i;

    while (end < in.size && end < most &&
           (in.at[end] == ' ' || in.at[end] == '\t'))
        end++;
    *open = end == in.size || (in.at[end] == '\\' && end + 1 == in.size);
    if (*open || end == most || line_end(in, end) == end) return at;
    end = line_end(in, end);
    i = skip_marks(in, end, most);
    *open = i == in.size;
    return *open || !is_digit_or_letter(in.at[i]) ? at : line_begin(in, end, i);
}

/* Go to the next letter of the code; false when there is none. */
static bool to_letter(struct reading *r) {
    size_t next;

    if (r->at < r->in.size && decode_token_letter(r->in.at[r->at])) return true;
    next = next_line(r->in, r->at, &r->open);
    if (next == r->at) return false;
    r->at = next;
    r->line = r->count;
    if (!r->crossed) r->first_line = r->count;
    r->crossed = true;
    return true;
}

/* May byte `c` stand in a text; sequences of UTF-8 are told by their lengths
 * alone. */
static bool is_good(struct reading *r, unsigned char c) {
    bool goes_on = (c & 0xC0) == 0x80;

    if (r->more) {
        r->more = goes_on ? r->more - 1 : 0;
        return goes_on;
    }
    if (c < 0x80)
        return (c >= 0x20 && c != 0x7F) || c == '\n' || c == '\t' || c == '\r';
    if (c < 0xC2 || c > 0xF4) return false;
    r->more = c < 0xE0 ? 1 : c < 0xF0 ? 2 : 3;
    return true;
}

static void get_worse(struct reading *r) {
    if (!r->worse) r->line_best = r->line;
    r->worse = true;
}

/* False when this is no text, or none any more. */
static bool judge(struct reading *r, char c) {
    if (is_good(r, (unsigned char)c)) {
        if (++r->sum <= r->best_sum) return true;
        r->best_sum = r->sum;
        r->best = r->count;
        r->worse = false;
        return true;
    }
    get_worse(r);
    r->sum -= BAD_COST;
    return r->count >= CLEAN_BYTES && r->best_sum - r->sum < CLEAN_BYTES;
}

static bool is_lettered(char c) {
    return letters_index(c) != LETTERS_EDGE || (unsigned char)c >= 0x80;
}

/* False when hex gives columns of numbers: not to read them from each of their
 * lines again to the end. */
static bool weigh_letters(struct reading *r, char c) {
    r->letters += is_lettered(c) ? 1 : -1;
    if (r->letters > r->most_letters) r->most_letters = r->letters;
    return r->most_letters - r->letters < HOPELESS;
}

static bool put(struct reading *r, int value, int bits,
                struct decode_found *found) {
    struct decode_byte *b = &found->bytes[r->count];

    if (!r->held) r->from = r->at;
    r->window = r->window << bits | (uint32_t)value;
    r->held += bits;
    r->before = r->at;
    if (r->held < 8) return true;
    r->held -= 8;
    b->value = (char)(r->window >> r->held & 0xFF);
    b->from = (uint32_t)r->from;
    b->end = (uint32_t)r->at + 1;
    r->from = r->before;
    r->count++;
    if (!r->held && r->at < r->begin + DECODE_BLOCK) r->cut = r->count;
    return judge(r, b->value) && (bits != 4 || weigh_letters(r, b->value));
}

/* How many of the bytes that were read are the code's. */
static size_t good_bytes(const struct reading *r) {
    if (r->at >= r->begin + DECODE_BLOCK_MAX) return r->cut;
    /* What got worse did so in a line that is no part of it. */
    if (r->worse) return r->line_best ? r->line_best : r->best;
    return r->count;
}

/* How many bytes of hex are left without the columns of numbers, which look
 * like it, behind a text. */
static size_t lettered_bytes(const struct decode_byte *bytes, size_t count) {
    int more = 0, most = 0;
    size_t best = 0;

    for (size_t i = 0; i < count; i++) {
        more += is_lettered(bytes[i].value) ? 1 : -1;
        if (more < most) continue;
        most = more;
        best = i + 1;
    }
    return more < 0 ? best : count;
}

/* The bytes say something, and over more than one line. */
static bool says(const struct reading *r, const struct decode_byte *bytes,
                 size_t count) {
    size_t letters = 0, blanks = 0;

    if (!r->crossed || count <= r->first_line || count < WORDS_MIN)
        return false;
    for (size_t i = 0; i < count; i++) {
        char c = bytes[i].value;

        letters += letters_index(c) != LETTERS_EDGE;
        blanks += c == ' ';
    }
    return count >= BYTES_MIN || letters + blanks == count;
}

static size_t padding_end(const struct reading *r, size_t end, bool *open) {
    size_t at = end;

    while (at < r->in.size && at - end < PADDING_MAX && r->in.at[at] == '=')
        at++;
    *open = *open || at == r->in.size;
    return at;
}

static bool try_bits(struct span in, size_t begin, int bits, int (*value)(char),
                     struct decode_found *found) {
    struct reading r = {.in = in, .begin = begin, .at = begin};
    size_t count;

    while (r.at < begin + DECODE_BLOCK_MAX && to_letter(&r)) {
        int v = value(in.at[r.at]);

        if (v < 0) get_worse(&r);
        if (v < 0 || !put(&r, v, bits, found)) break;
        r.at++;
    }
    found->open = found->open || r.open;
    count = good_bytes(&r);
    if (bits == 4) count = lettered_bytes(found->bytes, count);
    if (!says(&r, found->bytes, count)) return false;
    found->count = count;
    found->shuffled = false;
    found->from = found->bytes[0].from;
    found->end = padding_end(&r, found->bytes[count - 1].end, &found->open);
    return true;
}

/* Most words are no code by their first two letters: then nothing else of them
 * needs a look. */
static bool may_begin(struct span in, size_t at, size_t end, int bits,
                      int (*value)(char)) {
    struct reading r = {.more = 0};
    int first, second;

    if (end - at < 2) return true;
    first = value(in.at[at]);
    second = value(in.at[at + 1]);
    if (first < 0 || second < 0) return false;
    return is_good(&r,
                   (unsigned char)((first << bits | second) >> (2 * bits - 8)));
}

/* Base32 is in one case: that of its first letter. */
static int upper_value(char c) {
    return c >= 'a' && c <= 'z' ? -1 : decode_base32_value(c);
}

static int lower_value(char c) {
    return c >= 'A' && c <= 'Z' ? -1 : decode_base32_value(c);
}

static const struct {
    int bits;
    int (*value)(char);
    size_t shift;
} codes[] = {{4, decode_hex_value, 0},    {5, upper_value, 0},
             {5, lower_value, 0},         {6, decode_base64_value, 0},
             {6, decode_base64_value, 1}, {6, decode_base64_value, 2},
             {6, decode_base64_value, 3}};
enum { CODES = sizeof codes / sizeof *codes, CODES_UNSHIFTED = 4 };

bool decode_wrapped(struct span in, size_t at, struct decode_found *found) {
    size_t end = at;
    int count, first = 0;
    bool open;

    found->open = false;
    found->from = found->end = found->begin = at;
    while (end < in.size && end - at < DECODE_BLOCK_MAX &&
           decode_token_letter(in.at[end]))
        end++;
    /* Marks of a quotation that touch it. */
    if (end - at > 2 && is_mark(in.at[at]) && is_mark(in.at[at + 1]))
        while (at < end && is_mark(in.at[at])) at++;
    count = end - at >= SHIFTS_MIN ? CODES : CODES_UNSHIFTED;
    while (first < count && !may_begin(in, at + codes[first].shift, end,
                                       codes[first].bits, codes[first].value))
        first++;
    if (first == count || (next_line(in, end, &open) == end && !open))
        return false;
    for (int i = first; i < count; i++)
        if (may_begin(in, at + codes[i].shift, end, codes[i].bits,
                      codes[i].value) &&
            try_bits(in, at + codes[i].shift, codes[i].bits, codes[i].value,
                     found))
            return true;
    return false;
}
