#include "guard/odd.h"

#include <stdlib.h>

#include "guard/block.h"
#include "guard/plain.h"

enum class {
    LETTER,
    DIGIT,
    SIGN, /* may stand for a letter */
    BLANK,
    SEPARATOR, /* may set letters apart, as blanks and signs do */
    OTHER,
    BEYOND /* printable ASCII */
};

enum { LONE_MIN = 3 /* letters set apart by intent */ };

/* Of each byte of ASCII, as a digit. */
static const char classes[] = "66666666633333666666666666666666"
                              "32452554554244441111111111445555"
                              "20000000000000000000000000055554"
                              "50000000000000000000000000052546";

static enum class class_at(struct span s, size_t at) {
    unsigned char c = (unsigned char)s.at[at];

    return c < 0x80 ? (enum class)(classes[c] - '0') : BEYOND;
}

void odd_put(struct stretches *out, size_t from, size_t end) {
    struct stretch *last = out->count ? &out->list[out->count - 1] : NULL;

    if (last && from <= last->end) {
        if (end <= last->end) return;
        out->bytes += end - last->end;
        last->end = end;
        return;
    }
    if (out->count == out->capacity) {
        out->capacity = out->capacity ? 2 * out->capacity : 32;
        out->list = xrealloc_array(out->list, out->capacity, sizeof *out->list);
    }
    out->list[out->count++] = (struct stretch){from, end};
    out->bytes += end - from;
}

/* [from, end) widened to the blanks around it, and joined with the stretch
 * before when they meet. */
static void add(struct stretches *out, struct span s, size_t from, size_t end) {
    size_t least = out->count ? out->list[out->count - 1].end : 0;

    /* Each byte of a long word may be odd: its end is looked for once. */
    if (end <= least) return;
    while (from > least && class_at(s, from - 1) != BLANK) from--;
    while (end < s.size && class_at(s, end) != BLANK) end++;
    odd_put(out, from, end);
}

/* What a run of letters, digits and signs has shown so far. */
struct word {
    bool letters, others, signs; /* signs: at its end so far */
};

/* True when the word has become odd: a letter and, not at its end, something
 * that may stand for one. */
static bool grow(struct word *w, enum class class) {
    if (class == SIGN) {
        w->signs = true;
        return false;
    }
    w->letters |= class == LETTER;
    w->others |= class == DIGIT || w->signs;
    w->signs = false;
    return w->letters && w->others;
}

/* Letters and digits that are words on their own, one after the other. */
struct lone {
    size_t from;  /* the first of them */
    size_t start; /* of the run of letters and digits that is being read, */
    size_t size;  /* and how many they are */
    int count;
};

static void lone_put(struct lone *lone, struct span text, size_t at,
                     struct stretches *out) {
    if (lone->count++ == 0) lone->from = at;
    if (lone->count >= LONE_MIN) add(out, text, lone->from, at + 1);
}

/* `class`: of the character at `at`, which may be the text's end. */
static void lone_read(struct lone *lone, struct span text, size_t at,
                      enum class class, struct stretches *out) {
    if (class <= DIGIT) {
        if (lone->size++ == 0) lone->start = at;
        if (lone->size > 1) lone->count = 0;
        return;
    }
    if (lone->size == 1) lone_put(lone, text, lone->start, out);
    lone->size = 0;
    /* A sign may be a letter of its own. */
    if (class == SIGN) lone_put(lone, text, at, out);
    if (class >= OTHER) lone->count = 0;
}

/* What was read before does not matter here: a blank, and a word of two bytes
 * or more. */
static bool is_fresh(struct span text, size_t at) {
    return at + 1 < text.size && class_at(text, at - 1) == BLANK &&
           class_at(text, at) <= DIGIT && class_at(text, at + 1) <= DIGIT;
}

/* The odd stretches that begin in text[at..end), and those up to the next fresh
 * place, which is returned. `at` is one, or the text's beginning. */
static size_t read_bytes(struct span text, size_t at, size_t end,
                         struct stretches *out) {
    struct word word = {false, false, false};
    struct lone lone = {0, 0, 0, 0};
    size_t took;

    for (; at < text.size && !(at >= end && is_fresh(text, at)); at += took) {
        enum class class = class_at(text, at), letter = class;

        took = 1;
        if (class == BEYOND && (took = plain_letter(text, at)) > 0)
            class = letter = LETTER;
        else if (class == BEYOND && (took = plain_quote(text, at)) > 0) {
            class = OTHER;
            letter = LETTER; /* to text_spell() */
        }
        if (!took) took = 1;
        lone_read(&lone, text, at, class, out);
        if (letter > SIGN) word = (struct word){false, false, false};
        if (class == BEYOND || (letter <= SIGN && grow(&word, letter)))
            add(out, text, at, at + took);
    }
    if (at >= text.size) lone_read(&lone, text, text.size, OTHER, out);
    return at;
}

/* Of the 64 bytes from a fresh place `at` on: the last fresh place among them,
 * if nothing before it can be odd; else `at`, and *end is where to ask again.
 */
static size_t read_block(const char *at, size_t *end) {
    struct block b = block_at(at);
    uint64_t letters = block_in(block_lower(b), 'a', 'z');
    uint64_t digits = block_in(b, '0', '9'), words = letters | digits;
    uint64_t signs = block_is(b, '!') | block_is(b, '$') | block_is(b, '+') |
                     block_is(b, '@') | block_is(b, '|');
    uint64_t space = block_in(b, '\t', '\r');
    uint64_t blanks = block_is(b, ' ') | space;
    uint64_t starts = words & ~(words << 1), between = ~(words | signs);
    uint64_t lone = (starts & ~(words >> 1)) | signs, odd, third;
    uint64_t fresh = blanks << 1 & words & words >> 1;

    fresh &= block_first(BLOCK_SIZE - 1);
    *end = 0;
    if (!fresh) return 0;
    *end = (size_t)block_highest(fresh);
    odd = ~(block_in(b, ' ', '~') | space) |
          (digits & (letters << 1 | letters >> 1)) | (signs & words >> 1);
    third = block_behind(lone, between) & lone;
    third = block_behind(third, between) & lone;
    return (odd | third) & block_first((int)*end) ? 0 : *end;
}

void odd_stretches(struct span text, struct stretches *out) {
    size_t at = 0;

    while (at < text.size) {
        size_t end = text.size, usual = 0;

        if (text.size - at >= BLOCK_SIZE) {
            usual = read_block(text.at + at, &end);
            end = at + (end ? end : BLOCK_SIZE);
        }
        at = usual ? at + usual : read_bytes(text, at, end, out);
    }
}

void odd_stretches_slowly(struct span text, struct stretches *out) {
    (void)read_bytes(text, 0, text.size, out);
}

/* The stretch of `a` or of `b` that begins first, taken. */
static struct stretch first_of(const struct stretches *a, size_t *i,
                               const struct stretches *b, size_t *k) {
    if (*i < a->count &&
        (*k == b->count || a->list[*i].from <= b->list[*k].from))
        return a->list[(*i)++];
    return b->list[(*k)++];
}

void odd_near(struct span text, const struct stretches *changed, size_t reach,
              struct stretches *out) {
    struct stretches odd = {NULL, 0, 0, 0}, wide = {NULL, 0, 0, 0};
    struct stretches near = {NULL, 0, 0, 0};

    odd_stretches(text, &odd);
    for (size_t i = 0; i < changed->count; i++) {
        struct stretch s = changed->list[i];

        add(&wide, text, s.from, s.end);
        s = wide.list[wide.count - 1];
        odd_put(&near, s.from > reach ? s.from - reach : 0, s.end + reach);
    }
    for (size_t i = 0, k = 0; i < odd.count || k < wide.count;) {
        struct stretch s = first_of(&odd, &i, &wide, &k);

        if (odd_touches(&near, s.from, s.end)) odd_put(out, s.from, s.end);
    }
    odd_free(&odd);
    odd_free(&wide);
    odd_free(&near);
}

void odd_free(struct stretches *s) {
    free(s->list);
    *s = (struct stretches){0};
}

bool odd_touches(const struct stretches *s, size_t from, size_t end) {
    size_t low = 0, high = s->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (s->list[middle].end < from)
            low = middle + 1;
        else
            high = middle;
    }
    return low < s->count && s->list[low].from <= end;
}
