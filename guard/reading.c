#include "guard/reading.h"

#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "guard/decode.h"
#include "guard/letters.h"
#include "guard/reading_apart.h"
#include "guard/text_spell.h"

enum {
    DECODED_LETTERS = 4,
    DECODED_FOREIGN = 24, /* bytes */
    /* What odd letters of words weigh together: one amid its word is enough,
     * one at its end ("python3") is not. */
    ODD_INSIDE = 2,
    ODD_AT_END = 1,
    ODD_MIN = 2,
    LENIENT_MIN = 6,
    /* So many words, and one in so many, have digits amid their letters: one
     * in three when they read well with letters instead. Then the text is
     * written like that. */
    MIXED_MIN = 4,
    MIXED_MOST = 2,
    MIXED_SHARE = 3,
    INSTEAD_SHARE = 3, /* one byte in so many is disguised */
    PARTED_MIN = 4,    /* letters set apart: "p.e.v.", "y a-t-il" */
    AMID = 3,          /* letters on both sides of a sign between two words */
    WORD_MIN = 3,      /* letters */
    DIGITS_MAX = 2,    /* of a word that has no letter: "70", "4" */
    READABLE = 11 * LETTERS_BIT / 2 /* a letter of a word costs no more */
};

static bool is_ascii_letter(char c) {
    return letters_index(c) != LETTERS_EDGE;
}

/* ---- words ---- */

/* A text and the view that spells it. */
struct speller {
    struct span raw;
    const struct text_view *view;
    struct bytes *out;
    size_t copied; /* of the raw text */
    int weight;
    size_t changed;           /* bytes of the raw text */
    int words, mixed, fluent; /* mixed ones, and those that read well */
    /* The text is known to be spelled oddly; all of it is. */
    bool lenient, sure;
};

/* How a letter of the view is written. */
enum written { WRITTEN_OWN, WRITTEN_SIGN, WRITTEN_FOREIGN };

static enum written written(const struct speller *s, size_t i) {
    const struct text_view *v = s->view;
    struct span source = span_slice(s->raw, v->map_from[i], s->raw.size);
    uint32_t point;

    (void)utf8_decode(source, &point, NULL);
    /* The accents and ligatures of Latin languages belong to them. */
    if (point >= 0x80)
        return point < 0x250 || (point >= 0xFB00 && point <= 0xFB06)
                   ? WRITTEN_OWN
                   : WRITTEN_FOREIGN;
    return is_ascii_letter((char)point) ? WRITTEN_OWN : WRITTEN_SIGN;
}

/* Something stood between letter `i` and the next one, which is gone. */
static bool is_parted(const struct speller *s, size_t i) {
    const struct text_view *v = s->view;
    uint32_t point;

    return v->map_from[i + 1] >
           v->map_from[i] +
               utf8_decode(span_slice(s->raw, v->map_from[i], s->raw.size),
                           &point, NULL);
}

static bool is_readable(const struct text_view *v, size_t from, size_t end) {
    int cost = 0, last = LETTERS_EDGE;

    for (size_t i = from; i < end; i++) {
        int letter = letters_index(v->text.at[i]);

        cost += letters_cost(last, letter);
        last = letter;
    }
    cost += letters_cost(last, LETTERS_EDGE);
    return cost <= READABLE * (int)(end - from + 1);
}

/* A sign that joins two words, as in an address or a table. */
static bool is_joint(const struct speller *s, size_t i) {
    char c = s->raw.at[s->view->map_from[i]];

    return c == '@' || c == '|' || c == '+' || c == '!';
}

/* How the letters of a word, view[from..end), are written. */
struct spelling {
    int weight; /* of the odd ones, together */
    int own, signs, foreign;
    bool parted, joint;
};

static struct spelling spelling_of(const struct speller *s, size_t from,
                                   size_t end) {
    struct spelling w = {.weight = 0};

    for (size_t i = from; i < end; i++) {
        enum written how = written(s, i);
        bool inside = i > from && i + 1 < end;
        bool gap = i + 1 < end && is_parted(s, i);

        if (i >= from + AMID && i + AMID < end && is_joint(s, i))
            w.joint = true;
        w.parted = w.parted || gap;
        w.signs += how == WRITTEN_SIGN;
        w.own += how == WRITTEN_OWN;
        w.foreign += how == WRITTEN_FOREIGN;
        if (how != WRITTEN_OWN || gap)
            w.weight += inside ? ODD_INSIDE : ODD_AT_END;
    }
    return w;
}

/* Digits before or behind a word are numbers. */
static bool has_number(const struct speller *s, size_t from, size_t end) {
    size_t first = from, last = end;

    while (first < end && written(s, first) == WRITTEN_SIGN) first++;
    while (last > first && written(s, last - 1) == WRITTEN_SIGN) last--;
    return first - from > 1 || end - last > 1;
}

static bool is_digit(const struct speller *s, size_t i) {
    char c = s->raw.at[s->view->map_from[i]];

    return c >= '0' && c <= '9';
}

/* Digits amid letters or around them: "7h3", not "3rd". */
static bool is_mixed(const struct speller *s, size_t from, size_t end) {
    size_t first = from, last = end;
    bool around = is_digit(s, from) && is_digit(s, end - 1);

    while (first < end && written(s, first) == WRITTEN_SIGN) first++;
    while (last > first && written(s, last - 1) == WRITTEN_SIGN) last--;
    if (first == last) return false; /* no letter */
    for (size_t i = first; !around && i < last; i++) around = is_digit(s, i);
    return around;
}

/* What the odd letters of a word, view[from..end), weigh together; 0 when it
 * had better stay as it is. */
static int word_weight(struct speller *s, size_t from, size_t end) {
    struct spelling w = spelling_of(s, from, end);
    bool readable = is_readable(s->view, from, end);
    int letters = w.own + w.foreign;

    s->words += letters > 0;
    if (is_mixed(s, from, end)) {
        s->mixed++;
        s->fluent += readable;
    }
    if (end - from < (s->lenient ? 2 : WORD_MIN) || w.joint) return 0;
    if (s->lenient)
        /* Letters of another script are no product's name or number. */
        return letters && (readable || s->sure || w.foreign >= w.own) ? w.weight
                                                                      : 0;
    if (has_number(s, from, end)) return 0;
    if (w.weight < ODD_MIN || (w.parted && end - from < PARTED_MIN)) return 0;
    return w.signs <= letters && readable ? w.weight : 0;
}

static bool is_mark_between(char c) {
    return c && strchr(" .-_*,/|~+:;", c);
}

/* By the first byte of a letter. */
static bool is_latin(char c) {
    return is_ascii_letter(c) ||
           ((unsigned char)c >= 0xC3 && (unsigned char)c <= 0xC9);
}

static bool is_foreign(char c) {
    return (unsigned char)c >= 0x80 && !is_latin(c);
}

/* Letters of other scripts, set apart by marks or by what nobody sees: how
 * many.
 */
static int apart_weight(const struct speller *s, size_t from, size_t end) {
    const struct text_view *v = s->view;
    uint32_t point;
    int count = 0;

    for (size_t i = from + 1; i < end; i++) {
        size_t at = v->map_from[i - 1];

        if ((v->text.at[i] & 0xC0) == 0x80) continue;
        (void)utf8_decode(span_slice(span_bytes(&v->text), i, end), &point,
                          NULL);
        if (!text_is_word_point(point)) continue; /* an emoji */
        while (at < v->map_from[i] && !is_mark_between(s->raw.at[at])) at++;
        count += at < v->map_from[i] || v->map_from[i] > v->map_end[i - 1];
    }
    return count >= (s->lenient ? 1 : WORD_MIN - 1) ? ODD_MIN : 0;
}

/* The raw text up to `end`; in one that is spelled oddly without what nobody
 * sees. */
static void copy_to(struct speller *s, size_t end) {
    while (s->copied < end) {
        struct span rest = span_slice(s->raw, s->copied, end);
        uint32_t point;
        size_t took = utf8_decode(rest, &point, NULL);

        if (!s->lenient || !text_is_invisible(point))
            bytes_put(s->out, span_slice(rest, 0, took));
        s->copied += took;
    }
}

/* The view's word in place of the raw one, with its capitals. */
static void write_word(struct speller *s, size_t from, size_t end) {
    const struct text_view *v = s->view;

    copy_to(s, v->map_from[from]);
    for (size_t i = from; i < end; i++) {
        char c = v->text.at[i], was = s->raw.at[v->map_from[i]];

        if (c >= 'a' && c <= 'z' && was >= 'A' && was <= 'Z')
            c = (char)(c - 32);
        bytes_put(s->out, (struct span){&c, 1});
    }
    s->copied = v->map_end[end - 1];
    s->changed += s->copied - v->map_from[from];
}

/* The end of the word at `at`: letters of Latin script, accents and all, or
 * letters beyond it. */
static size_t same_script(const struct text_view *v, size_t at) {
    bool foreign = is_foreign(v->text.at[at]);

    while (at < v->text.size) {
        char c = v->text.at[at];

        if (is_foreign(c) != foreign || (!foreign && !is_latin(c))) break;
        do at++;
        while (at < v->text.size &&
               ((unsigned char)v->text.at[at] & 0xC0) == 0x80);
    }
    return at;
}

/* Where digits alone are a short word, its end; else `at`. */
static size_t digits_end(const struct text_view *v, size_t at) {
    struct span s = span_bytes(&v->text);
    size_t end = at;

    if (at && s.at[at - 1] != ' ' && s.at[at - 1] != '\n') return at;
    while (end < s.size && s.at[end] >= '0' && s.at[end] <= '9') end++;
    if (end - at > DIGITS_MAX) return at;
    return end == s.size || strchr(" \n.,?!", s.at[end]) ? end : at;
}

static void write_digits(struct speller *s, size_t from, size_t end) {
    copy_to(s, s->view->map_from[from]);
    for (size_t i = from; i < end; i++) {
        char c = text_spell_letter(s->view->text.at[i]);

        bytes_put(s->out, (struct span){&c, 1});
    }
    s->copied = s->view->map_end[end - 1];
}

/* The text with its odd words as the view has them. */
static void write_words(struct speller *s) {
    const struct text_view *v = s->view;
    size_t at = 0;

    while (at < v->text.size) {
        size_t end = same_script(v, at);
        int weight;

        if (end == at) {
            end = s->sure ? digits_end(v, at) : at;
            if (end > at) write_digits(s, at, end);
            at = end > at ? end : at + 1;
            continue;
        }
        weight = is_foreign(v->text.at[at]) ? apart_weight(s, at, end)
                                            : word_weight(s, at, end);
        if (weight) write_word(s, at, end);
        s->weight += weight;
        at = end;
    }
    copy_to(s, s->raw.size);
}

/* ---- the reading ---- */

/* Letters beyond ASCII: a text in another script than Latin has many, and
 * those that look like Latin ones are its own. */
static size_t foreign_letters(const struct text_view *v) {
    size_t count = 0;

    for (size_t i = 0; i < v->text.size; i++)
        count += (unsigned char)v->text.at[i] >= 0xCD &&
                 (unsigned char)v->text.at[i] <= 0xE1;
    return count;
}

static bool fold_for_reading(struct span text, struct text_view *out) {
    struct text_view plain;

    if (!text_fold(text, out, NULL)) return false;
    if (!out->mapped) return true;
    if (!text_fold_plain(text, &plain, NULL)) {
        text_view_clear(out);
        return false;
    }
    /* More letters of that script stay than were taken for Latin. */
    if (2 * foreign_letters(out) > foreign_letters(&plain)) {
        text_view_clear(out);
        *out = plain;
    } else {
        text_view_clear(&plain);
    }
    return true;
}

/* False, and nothing written: its words are spelled as usual. *sure: and most
 * of them are not. */
static bool spell_out(struct span text, struct bytes *out, size_t *changed,
                      bool *sure) {
    struct text_view folded, spelled;
    struct speller s = {.raw = text, .view = &folded, .out = out};
    bool any;

    *sure = false;
    if (!fold_for_reading(text, &folded)) return false;
    any = text_spell(&folded, SPELL_ONE_LIKELY, SPELL_CLOSED, &spelled);
    if (any) s.view = &spelled;
    /* Each byte of either is written once at most; one sign may be several
     * letters of the view. */
    out->limit = text.size + s.view->text.size + 1;
    write_words(&s);
    s.sure = s.mixed >= MIXED_MIN && (s.mixed * MIXED_MOST >= s.words ||
                                      s.fluent * MIXED_SHARE >= s.words);
    if (s.sure || s.weight >= LENIENT_MIN) {
        out->size = 0;
        s.copied = s.changed = 0;
        s.lenient = true;
        write_words(&s);
    }
    *sure = s.sure;
    if (s.weight < ODD_MIN) out->size = 0;
    *changed += s.changed;
    if (any) text_view_clear(&spelled);
    text_view_clear(&folded);
    return s.weight >= ODD_MIN;
}

/* More than the escapes that addresses and markup need. */
static bool is_worth(const struct decoded *d) {
    size_t letters = 0, foreign = 0;

    for (int k = 0; k < d->count; k++) {
        letters += d->layers[k].letters;
        foreign += d->layers[k].foreign_bytes;
    }
    return letters >= DECODED_LETTERS || foreign >= DECODED_FOREIGN;
}

static size_t coded_bytes(const struct decode_layer *l) {
    size_t size = 0;

    for (size_t i = 0; i < l->run_count; i++)
        size += l->runs[i].end - l->runs[i].from;
    return size;
}

/* A cipher gives as many bytes as it takes, a code gives fewer. */
static bool is_code(const struct decode_layer *l) {
    return coded_bytes(l) > l->changed.bytes;
}

/* What a text's codes say, read in its turn: the last layer, or the first one
 * that is spelled oddly throughout, whose words may look like a cipher. */
static void decoded_out(const struct decoded *d, struct bytes *out,
                        size_t *changed) {
    struct span top = {NULL, 0};
    bool any = false, sure = false;

    for (int i = 0; i < d->count && (!sure || is_code(&d->layers[i])); i++) {
        top = span_bytes(&d->layers[i].view.text);
        out->size = 0;
        any = spell_out(top, out, changed, &sure);
    }
    if (!any) {
        out->limit = top.size + 1;
        bytes_put(out, top);
    }
    *changed = coded_bytes(&d->layers[0]);
}

/* One that is not set apart. */
static bool read_joined(struct span text, struct bytes *out, size_t *changed) {
    struct decoded d;
    bool any, sure;

    if (!decode_text(text, 0, &d, NULL)) return false;
    any = spell_out(text, out, changed, &sure);
    /* Between signs, what is left of the words may look like a cipher; the
     * lines of a code look like words with signs. */
    if (is_worth(&d) && (!sure || is_code(&d.layers[0]))) {
        decoded_out(&d, out, changed);
        any = true;
    }
    decoded_clear(&d);
    return any;
}

bool reading_of(struct span text, struct bytes *out, bool *instead) {
    struct bytes joined = {.at = NULL};
    size_t apart = 0, changed = 0;
    bool any;

    if (!reading_apart(text, &joined, &apart)) {
        any = read_joined(text, out, &changed);
    } else {
        if (!read_joined(span_bytes(&joined), out, &changed)) {
            out->limit = joined.size + 1;
            bytes_put(out, span_bytes(&joined));
        }
        any = true;
    }
    *instead = any && (apart + changed) * INSTEAD_SHARE >= text.size;
    bytes_free(&joined);
    return any;
}
