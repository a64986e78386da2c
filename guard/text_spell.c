#include "guard/text_spell.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "guard/letters.h"

enum {
    SEPARATOR_MAX = 4, /* bytes */
    APART_MIN = 3,     /* letters */
    GAP_REACH = 12,    /* letters to a gap that tells words apart */
    WORD_MAX = 64      /* bytes; a longer one is left alone */
};

/* A letter set apart, or the gap between two words of such. */
struct unit {
    uint32_t from, end; /* bytes of the folded view */
    bool gap;
};

struct run {
    struct unit *units;
    int count, capacity;
    size_t end;    /* of the folded view */
    bool open_end; /* it reaches it */
    bool unsure;   /* it would be one with more letters */
};

struct speller {
    const struct text_view *in;
    struct text_view *out;
    size_t copied;
    /* Of what is written, from where on letters may yet be set apart that were
     * not. */
    size_t unsure;
    /* From where on a gap to come may yet tell words apart. */
    size_t gapless;
};

/* ---- writing ---- */

static void out_begin(struct speller *s) {
    size_t most = s->in->text.size + 1;

    memset(s->out, 0, sizeof *s->out);
    s->out->text.at = xalloc_array(most, 1);
    s->out->text.capacity = most;
    s->out->map_from = xalloc_array(most, sizeof *s->out->map_from);
    s->out->map_end = xalloc_array(most, sizeof *s->out->map_end);
}

static void put(struct speller *s, char c, uint32_t from, uint32_t end) {
    size_t at = s->out->text.size++;

    s->out->text.at[at] = c;
    s->out->map_from[at] = from;
    s->out->map_end[at] = end;
}

static void copy_to(struct speller *s, size_t end) {
    size_t count = end - s->copied, at, number = sizeof *s->out->map_from;

    if (!s->out->text.at) out_begin(s);
    if (end <= s->copied) return;
    at = s->out->text.size;
    memcpy(s->out->text.at + at, s->in->text.at + s->copied, count);
    memcpy(s->out->map_from + at, s->in->map_from + s->copied, count * number);
    memcpy(s->out->map_end + at, s->in->map_end + s->copied, count * number);
    s->out->text.size += count;
    s->copied = end;
}

/* ---- letters set apart ---- */

static bool is_separator(char c) {
    static const bool set[1 << CHAR_BIT] = {
        [' '] = true, ['.'] = true, ['-'] = true,  ['_'] = true, ['*'] = true,
        [','] = true, ['/'] = true, ['|'] = true,  ['~'] = true, ['+'] = true,
        [':'] = true, [';'] = true, ['\''] = true, ['"'] = true};

    return set[(unsigned char)c];
}

static bool is_alnum(char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

/* The code point at `at` if it is a word on its own; its size, or 0. */
static size_t lone_letter(struct span s, size_t at) {
    uint32_t point, next;
    size_t took;

    if (at >= s.size) return 0;
    /* Most words are longer, and the view is in lower case. */
    if (at + 1 < s.size && is_alnum(s.at[at]) && is_alnum(s.at[at + 1]))
        return 0;
    took = utf8_decode(span_slice(s, at, s.size), &point, NULL);
    if (point == '_') return 0;
    if (!text_is_word_point(point) && !(point == '@' || point == '$')) return 0;
    if (at + took == s.size) return took;
    (void)utf8_decode(span_slice(s, at + took, s.size), &next, NULL);
    return text_is_word_point(next) && next != '_' ? 0 : took;
}

/* Several blanks that the view has as one; not one blank that was normalised
 * together with the mark behind it. */
static bool is_wide(const struct text_view *v, size_t at) {
    return v->map_end[at] - v->map_from[at] > 1 &&
           (at + 1 == v->text.size || v->map_from[at + 1] >= v->map_end[at]);
}

/* What stands between two letters: its end, and whether it tells words apart
 * rather than letters. Blanks in a row are one in the view. */
static size_t separator(const struct text_view *v, size_t at, char usual,
                        bool *gap) {
    struct span s = span_bytes(&v->text);
    size_t i = at;
    bool wide = false;

    while (i < s.size && i - at < SEPARATOR_MAX && is_separator(s.at[i])) {
        if (s.at[i] == ' ' && is_wide(v, i)) wide = true;
        i++;
    }
    *gap = wide || i - at > 1 ||
           (i > at && usual && usual != ' ' && s.at[at] == ' ');
    return i;
}

static void add_unit(struct run *r, size_t from, size_t end, bool gap) {
    if (r->count == r->capacity) {
        r->capacity = r->capacity ? 2 * r->capacity : 64;
        r->units =
            xrealloc_array(r->units, (size_t)r->capacity, sizeof *r->units);
    }
    r->units[r->count++] = (struct unit){(uint32_t)from, (uint32_t)end, gap};
}

/* The letters set apart from `at` on. Too few of them are not set apart by
 * intent, unless the text may go on with more. */
static bool read_apart(const struct text_view *v, size_t at, enum spell_end how,
                       struct run *r) {
    struct span s = span_bytes(&v->text);
    int letters = 0, joined = 0;
    char usual = 0;
    bool gap = false;

    r->count = 0;
    r->end = at;
    r->open_end = r->unsure = false;
    for (;;) {
        size_t took = lone_letter(s, at), end;

        if (how != SPELL_CLOSED && at + took == s.size) {
            r->unsure = letters < APART_MIN || joined < APART_MIN - 1;
            if (how == SPELL_BREAKS) break;
        }
        if (!took) break;
        if (letters && gap)
            add_unit(r, at, at, true);
        else if (letters)
            joined++;
        add_unit(r, at, at + took, false);
        letters++;
        at += took;
        r->end = at;
        end = separator(v, at, usual, &gap);
        if (end == at) break;
        if (!gap && !usual) usual = s.at[at];
        at = end;
    }
    if (how == SPELL_GOES_ON && at == s.size && letters) {
        r->end = s.size;
        r->open_end = true;
        return true;
    }
    return letters >= APART_MIN && joined >= APART_MIN - 1;
}

/* Is there a gap within reach of units[i]. */
static bool gap_near(const struct unit *units, int count, int i) {
    for (int k = i - GAP_REACH; k <= i + GAP_REACH; k++)
        if (k >= 0 && k < count && units[k].gap) return true;
    return false;
}

static void write_apart(struct speller *s, const struct run *r) {
    const struct unit *units = r->units;
    int count = r->count, sure = count;

    /* The last letter may be the first of a word: then no gap is before it. */
    if (count > 1 && units[count - 2].gap) sure = count - 2;
    copy_to(s, units[0].from);
    for (int i = 0; i < count; i++) {
        uint32_t from = units[i].from, end = units[i].end, until;

        if (units[i].gap) {
            end = units[i - 1].end;
            put(s, ' ', s->in->map_end[end - 1], s->in->map_from[from]);
            continue;
        }
        /* The next letter, or a gap, says where this one's raw text ends. */
        if (r->open_end && s->gapless > s->out->text.size &&
            (i + 2 >= count ||
             (i + GAP_REACH >= count && !gap_near(units, sure, i))))
            s->gapless = s->out->text.size;
        until = s->in->map_end[end - 1];
        if (i + 1 < count && !units[i + 1].gap && gap_near(units, count, i))
            until = s->in->map_from[units[i + 1].from];
        for (uint32_t k = from; k < end; k++)
            put(s, s->in->text.at[k], s->in->map_from[k], until);
    }
    s->copied = r->end;
}

static size_t gap_end(struct span s, size_t at) {
    while (at < s.size && (is_separator(s.at[at]) || s.at[at] == '\n')) at++;
    return at;
}

/* Behind the word at `at`, and behind what parts it from the next. */
static size_t next_word(struct span s, size_t at) {
    while (at < s.size && !is_separator(s.at[at]) && s.at[at] != '\n') at++;
    return gap_end(s, at);
}

/* False: nothing was set apart. */
static bool join_apart(struct speller *s, enum spell_end how) {
    struct span text = span_bytes(&s->in->text);
    struct run r = {.units = NULL};
    size_t at = gap_end(text, 0);
    bool apart = false;

    while (at < text.size) {
        bool any = read_apart(s->in, at, how, &r);

        if (r.unsure && s->unsure == SIZE_MAX)
            s->unsure = s->out->text.size + at - s->copied;
        if (any) write_apart(s, &r);
        apart = r.open_end;
        at = next_word(text, r.end);
    }
    free(r.units);
    if (!s->out->text.at) return false;
    s->out->apart = apart;
    copy_to(s, text.size);
    return true;
}

/* ---- letters as digits and signs ---- */

/* What `c` is written for; '1' for its like. */
static char stands_for(char c) {
    static const char letters[1 << CHAR_BIT] = {
        ['0'] = 'o', ['1'] = '1', ['!'] = '1', ['|'] = '1', ['2'] = 'z',
        ['3'] = 'e', ['4'] = 'a', ['@'] = 'a', ['5'] = 's', ['$'] = 's',
        ['6'] = 'g', ['9'] = 'g', ['7'] = 't', ['+'] = 't', ['8'] = 'b'};

    return letters[(unsigned char)c];
}

char text_spell_letter(char c) {
    char letter = stands_for(c);

    return letter == '1' ? 'i' : letter;
}

static bool is_letter(char c) {
    return (c >= 'a' && c <= 'z') || (unsigned char)c >= 0x80;
}

static bool is_sign(char c) { /* punctuation at a word's end */
    return c == '!' || c == '|' || c == '+' || c == '@' || c == '$';
}

/* Which of the two letters fits between its neighbours. */
static char likely_one(char before, char after) {
    int left = letters_index(before), right = letters_index(after);
    int i = letters_index('i'), l = letters_index('l');

    return letters_cost(left, l) + letters_cost(l, right) <
                   letters_cost(left, i) + letters_cost(i, right)
               ? 'l'
               : 'i';
}

static char spell_at(const char *text, size_t from, size_t end, size_t at,
                     enum spell_one one) {
    char c = stands_for(text[at]), before, after;

    if (!c) return text[at];
    if (c != '1') return c;
    if (one != SPELL_ONE_LIKELY) return one == SPELL_ONE_I ? 'i' : 'l';
    before = at > from ? text[at - 1] : ' ';
    after = at + 1 < end ? text[at + 1] : ' ';
    if (stands_for(before)) before = stands_for(before);
    if (stands_for(after)) after = stands_for(after);
    return likely_one(before, after);
}

/* Is text[from..end) a word with something that stands for a letter in it. */
static bool is_odd(struct span s, size_t from, size_t end, bool open) {
    bool letters = open, others = false;

    for (size_t i = from; i < end; i++) {
        letters = letters || is_letter(s.at[i]);
        others = others || stands_for(s.at[i]);
    }
    return letters && others && end - from <= WORD_MAX;
}

/* A word of s, s[from..end), is spelled into out[from..end); may be one text.
 */
static void spell_word(struct span s, size_t from, size_t end,
                       enum spell_one one, char *out, bool *ones) {
    char word[WORD_MAX];

    memcpy(word, s.at + from, end - from);
    for (size_t i = from; i < end; i++) {
        *ones = *ones || stands_for(word[i - from]) == '1';
        out[i] = spell_at(word, 0, end - from, i - from, one);
    }
}

/* The next word from *at on that is odd: its place. False: none. `last` tells
 * of a word at an open end. */
static bool next_odd(struct span s, size_t *at, bool open, size_t *from,
                     size_t *end, bool *last) {
    for (; *at < s.size; ++*at) {
        *from = *at;
        while (*at < s.size && (is_letter(s.at[*at]) || stands_for(s.at[*at])))
            ++*at;
        *end = *at;
        *last = open && *end == s.size;
        while (!*last && *end > *from && is_sign(s.at[*end - 1])) --*end;
        if (is_odd(s, *from, *end, *last)) return true;
    }
    return false;
}

/* Change `v` in place, word by word. Nothing changes its place. */
static bool spell_words(struct text_view *v, enum spell_one one, bool open,
                        size_t unsure) {
    const struct span s = span_bytes(&v->text);
    size_t at = 0, from, end;
    bool any = false, last;

    v->ones = false;
    while (next_odd(s, &at, open, &from, &end, &last)) {
        any = true;
        spell_word(s, from, end, one, v->text.at, &v->ones);
        /* It may yet be too long for a word, and the signs at its end may be
         * its letters, or those inside of it none. */
        if ((last || end > unsure) && v->settled > from) {
            v->settled = from;
            v->looks = true;
        }
    }
    return any;
}

bool text_spell_words(struct span folded, enum spell_one one, char *out,
                      bool *ones) {
    size_t at = 0, from, end;
    bool any = false, last;

    *ones = false;
    while (next_odd(folded, &at, false, &from, &end, &last)) {
        any = true;
        spell_word(folded, from, end, one, out, ones);
    }
    return any;
}

static bool has_spelling(struct span s, bool open) {
    enum { IS_LETTER = 1, STANDS = 2, BOTH = 3 };
    int before = 0;

    if (open && s.size && stands_for(s.at[s.size - 1])) return true;
    for (size_t i = 0; i < s.size; i++) {
        int now = stands_for(s.at[i])  ? STANDS
                  : is_letter(s.at[i]) ? IS_LETTER
                                       : 0;

        if ((before | now) == BOTH) return true;
        before = now;
    }
    return false;
}

bool text_spell(const struct text_view *folded, enum spell_one one,
                enum spell_end end, struct text_view *out) {
    struct speller s = {
        .in = folded, .out = out, .unsure = SIZE_MAX, .gapless = SIZE_MAX};
    bool open = end != SPELL_CLOSED, joined;

    memset(out, 0, sizeof *out);
    joined = join_apart(&s, end);
    if (!joined) {
        if (!has_spelling(span_bytes(&folded->text), open)) return false;
        copy_to(&s, folded->text.size);
    }
    out->shuffled = folded->shuffled;
    out->looks = folded->looks;
    out->settled = out->text.size;
    while (out->settled && folded->settled < folded->text.size &&
           out->map_end[out->settled - 1] > folded->map_from[folded->settled])
        out->settled--;
    if (joined && s.unsure < s.gapless) s.gapless = s.unsure;
    if (s.gapless < out->settled) {
        out->settled = s.gapless;
        out->looks = true;
    }
    if (spell_words(out, one, open, s.unsure) || joined) return true;
    text_view_clear(out);
    return false;
}
