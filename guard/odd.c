#include "guard/odd.h"

#include <stdlib.h>

#include "guard/look.h"
#include "guard/plain_kind.h"

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

static enum class class_of(char c) {
    return (unsigned char)c < 0x80
               ? (enum class)(classes[(unsigned char)c] - '0')
               : BEYOND;
}

static enum class class_at(struct span s, size_t at) {
    return class_of(s.at[at]);
}

void odd_put(struct stretches *out, size_t from, size_t end) {
    while (out->count && from <= out->list[out->count - 1].end) {
        struct stretch last = out->list[--out->count];

        if (last.from < from) from = last.from;
        if (last.end > end) end = last.end;
        out->bytes -= last.end - last.from;
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
    size_t count = out->count, least = count ? out->list[count - 1].end : 0;

    /* Letters set apart were odd, all of them, once there were enough. */
    if (count && from < out->list[count - 1].from) {
        if (end < least) end = least;
        least = count > 1 ? out->list[count - 2].end : 0;
    } else if (end <= least) {
        /* Each byte of a long word may be odd: its end is looked for once. */
        return;
    }
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

/* Letters and digits that are words on their own, one after the other on one
 * line. They are set apart when enough of them have one sign between them. */
struct lone {
    size_t from;  /* the first of them */
    size_t start; /* of the run of letters and digits that is being read, */
    size_t size;  /* and how many they are */
    int count, joined;
    size_t between; /* signs since the last one */
    bool unsure;    /* the run has what may be no letter, or several */
};

static void lone_put(struct lone *lone, struct span text, size_t at,
                     struct stretches *out) {
    if (lone->count && lone->between == 1) lone->joined++;
    if (lone->count++ == 0) lone->from = at;
    lone->between = 0;
    if (lone->count >= LONE_MIN && lone->joined >= LONE_MIN - 1)
        add(out, text, lone->from, at + 1);
}

static void lone_break(struct lone *lone) {
    lone->count = lone->joined = 0;
}

/* What may hide anything, also as many letters as it takes. */
static void lone_doubt(struct lone *lone, struct span text,
                       struct stretches *out) {
    if (!lone->count) lone->from = lone->start;
    if (lone->count < LONE_MIN) lone->count = LONE_MIN;
    lone->joined = LONE_MIN;
    lone->unsure = true;
    lone_put(lone, text, lone->start, out);
}

/* `class`: of the character at `at`, which may be the text's end. */
static void lone_read(struct lone *lone, struct span text, size_t at,
                      enum class class, struct stretches *out) {
    if (class <= DIGIT || class == BEYOND) {
        if (lone->size++ == 0) lone->start = at;
        if (class == BEYOND && !lone->unsure) lone_doubt(lone, text, out);
        if (lone->size > 1 && !lone->unsure) lone_break(lone);
        return;
    }
    if (lone->size == 1 && !lone->unsure)
        lone_put(lone, text, lone->start, out);
    lone->size = 0;
    lone->unsure = false;
    /* A sign may be a letter of its own. */
    if (class == SIGN && text.at[at] != '+' && text.at[at] != '|')
        lone_put(lone, text, at, out);
    else
        lone->between++;
    if (class == OTHER ||
        (class == BLANK && text.at[at] >= '\n' && text.at[at] <= '\r'))
        lone_break(lone);
}

/* What was read before does not matter here: a blank, and a word of two bytes
 * or more. */
static bool is_fresh(struct span text, size_t at) {
    return at + 1 < text.size && class_at(text, at - 1) == BLANK &&
           class_at(text, at) <= DIGIT && class_at(text, at + 1) <= DIGIT;
}

/* A word in which letters of another script look like Latin ones: it is read as
 * Latin when it has some of those, too, or nothing else. */
struct looks {
    size_t from;
    bool open, any, latin, others;
};

static void looks_end(struct looks *l, struct span text, size_t at,
                      struct stretches *out) {
    if (l->any && (l->latin || !l->others)) add(out, text, l->from, at);
    *l = (struct looks){0, false, false, false, false};
}

/* One more letter or digit of it, at `at`; `kind`: NULL for ASCII. */
static void looks_read(struct looks *l, struct span text, size_t at,
                       const struct plain_kind *kind) {
    if (!l->open) l->from = at;
    l->open = true;
    if (!kind)
        l->latin = l->latin || class_at(text, at) == LETTER;
    else
        l->any = l->any || kind->look;
    /* A sharp s is read as two Latin ones. */
    l->latin = l->latin || (kind && kind->ascii);
    l->others = l->others || !kind || !kind->close;
}

/* What stands at one place. */
struct place {
    size_t size;
    enum class class;  /* BEYOND is odd */
    enum class letter; /* what it is to text_spell() */
    bool word;
    const struct plain_kind *kind; /* NULL: ASCII */
};

static struct place place_at(struct span text, size_t at,
                             const struct plain_kind *before) {
    struct place p = {.size = 1, .class = class_at(text, at)};

    p.letter = p.class;
    p.word = p.class <= DIGIT || text.at[at] == '_';
    if (p.class != BEYOND || (unsigned char)text.at[at] < 0x80) return p;
    p.kind = plain_kind_at(text, at, &p.size);
    if (!p.kind->plain || !plain_kind_fits(before, p.kind)) return p;
    p.word = p.kind->word;
    p.letter = LETTER;
    p.class = p.word ? LETTER : OTHER;
    if (p.kind->narrow)
        p.letter = p.class = class_of((char)plain_kind_narrow(text, at));
    if (p.kind->ascii) p.letter = p.class = class_of(*p.kind->ascii);
    return p;
}

/* The odd stretches that begin in text[at..end), and those up to the next fresh
 * place, which is returned. `at` is one, or the text's beginning. `spelled`:
 * words that are spelled oddly are, too. */
static size_t read_bytes(struct span text, size_t at, size_t end, bool spelled,
                         struct stretches *out) {
    struct word word = {false, false, false};
    struct lone lone = {.from = 0};
    struct looks looks = {0, false, false, false, false};
    const struct plain_kind *before = NULL;
    struct place p;

    for (; at < text.size && !(at >= end && is_fresh(text, at)); at += p.size) {
        p = place_at(text, at, before);
        before = p.class == BEYOND ? NULL : p.kind;
        lone_read(&lone, text, at, p.class, out);
        if (p.word)
            looks_read(&looks, text, at, p.kind);
        else if (looks.open)
            looks_end(&looks, text, at, out);
        if (p.letter > SIGN) word = (struct word){false, false, false};
        if (p.class == BEYOND ||
            (p.letter <= SIGN && grow(&word, p.letter) && spelled))
            add(out, text, at, at + p.size);
    }
    if (at >= text.size) lone_read(&lone, text, text.size, OTHER, out);
    looks_end(&looks, text, at, out);
    return at;
}

static void stretches_of(struct span text, bool spelled,
                         struct stretches *out) {
    const struct look *look = look_best();
    size_t at = 0;

    while (at < text.size) {
        size_t end = text.size, usual = 0;

        if (text.size - at >= LOOK_SIZE) {
            usual = look->odd(text.at + at, &end);
            end = at + (end ? end : LOOK_SIZE);
        }
        at = usual ? at + usual : read_bytes(text, at, end, spelled, out);
    }
}

void odd_stretches(struct span text, struct stretches *out) {
    stretches_of(text, true, out);
}

void odd_beyond_spelling(struct span text, struct stretches *out) {
    stretches_of(text, false, out);
}

void odd_stretches_slowly(struct span text, struct stretches *out) {
    (void)read_bytes(text, 0, text.size, true, out);
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
