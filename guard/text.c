#include "guard/text.h"

#include <stdlib.h>
#include <string.h>
#include <unicode/uchar.h>
#include <unicode/unorm2.h>
#include <unicode/utf16.h>

#include "base/utf8.h"
#include "guard/text_looks.h"

enum {
    /* A base and its marks; past it a new segment begins, so that a tower of
     * marks costs no more than its length. */
    SEGMENT_MAX = 32,
    /* U+FDFA becomes 18 code points, the most there is. */
    SEGMENT_OUT_MAX = SEGMENT_MAX * 18 * 2,
    /* How far from a Latin letter, in code points, another script's letter in
     * the same word is still read as Latin. Local, so that what a letter is
     * read as depends on its surroundings only, wherever a text is cut. */
    LOOKS_REACH = 16
};

struct point {
    uint32_t value;
    uint32_t from, end; /* raw bytes */
    char look;          /* the Latin letter it looks like, or 0 */
    bool close;         /* it does so at a glance */
};

/* What was learned about a code point beyond ASCII: texts repeat themselves,
 * and asking ICU anew for each letter takes ten times as long. */
struct glyph {
    uint32_t point; /* 0: an empty place */
    uint32_t value; /* what it becomes alone; 0: not known, or not one point */
    bool invisible, boundary, close;
    char look;
};

enum { GLYPHS = 256 };

struct folder {
    struct span raw;
    const UNormalizer2 *normalizer;
    struct point *points;
    size_t count, capacity;
    UChar32 segment[SEGMENT_MAX];
    int segment_count;
    size_t segment_from, segment_end;
    size_t settled; /* points[0..settled) do not depend on what follows */
    bool any_look;  /* of a point */
    struct glyph glyphs[GLYPHS]; /* by the low bits of the code point */
};

/* Letters, all of them, and so many that it pays not to ask ICU: Cyrillic, Han,
 * Hangul, and some of Latin and Devanagari. */
static bool is_letter(uint32_t point) {
    return (point >= 0x400 && point <= 0x481) ||
           (point >= 0x4E00 && point <= 0x9FFC) ||
           (point >= 0xAC00 && point <= 0xD7A3) ||
           (point >= 0xC0 && point <= 0x24F && point != 0xD7 &&
            point != 0xF7) ||
           (point >= 0x904 && point <= 0x939) ||
           (point >= 0xE01 && point <= 0xE30) ||
           (point >= 0x3041 && point <= 0x3096) ||
           (point >= 0x30A1 && point <= 0x30FA);
}

bool text_is_mark(uint32_t point) {
    if (point < 0x300 || is_letter(point)) return false;
    return (U_MASK(u_charType((UChar32)point)) & U_GC_M_MASK) != 0;
}

bool text_is_invisible(uint32_t point) {
    if (point < 0x80)
        return (point < 0x20 && !(point >= 9 && point <= 13)) || point == 0x7F;
    if (point < 0xA0) return point != 0x85;
    return u_hasBinaryProperty((UChar32)point,
                               UCHAR_DEFAULT_IGNORABLE_CODE_POINT) ||
           (point >= 0xFFF9 && point <= 0xFFFB);
}

static bool is_blank(uint32_t point) {
    if (point < 0x80) return point == ' ' || (point >= 9 && point <= 13);
    return u_isUWhiteSpace((UChar32)point);
}

static bool is_dash(uint32_t point) {
    return (point >= 0x2010 && point <= 0x2015) || point == 0x2212;
}

static bool ends_line(uint32_t point) {
    return (point >= 10 && point <= 13) || point == 0x85 || point == 0x2028 ||
           point == 0x2029;
}

static void push(struct folder *f, uint32_t value, size_t from, size_t end) {
    struct point *last = f->count ? &f->points[f->count - 1] : NULL;
    struct point p = {.value = value, .from = (uint32_t)from};

    p.end = (uint32_t)end;
    if (is_dash(value)) p.value = '-';
    if (is_blank(value)) {
        p.value = ends_line(value) ? '\n' : ' ';
        if (last && (last->value == ' ' || last->value == '\n')) {
            if (p.value == '\n') last->value = '\n';
            last->end = p.end;
            return;
        }
    }
    if (f->count == f->capacity) {
        f->capacity = f->capacity ? 2 * f->capacity : 256;
        f->points = xrealloc_array(f->points, f->capacity, sizeof *f->points);
    }
    f->points[f->count++] = p;
}

static struct glyph *glyph_of(struct folder *f, uint32_t point) {
    struct glyph *g = &f->glyphs[point % GLYPHS];

    if (g->point == point) return g;
    *g = (struct glyph){.point = point, .invisible = text_is_invisible(point)};
    g->boundary =
        point < 0x80 || unorm2_hasBoundaryBefore(f->normalizer, (UChar32)point);
    return g;
}

static void learn(struct folder *f, const struct point *p) {
    struct glyph *g = glyph_of(f, (uint32_t)f->segment[0]);

    if (p->value == ' ' || p->value == '\n') return; /* they join */
    g->value = p->value;
    g->look = p->look;
    g->close = p->close;
}

static void push_normal(struct folder *f, const UChar *text, int size) {
    int at = 0;
    bool latin = false; /* the base is a letter of ASCII */
    size_t first = f->count;

    while (at < size) {
        uint32_t value = text[at++];

        if (value >= 0xD800 && value < 0xDC00 && at < size)
            value = 0x10000 + ((value - 0xD800) << 10) + (text[at++] - 0xDC00u);
        if (text_is_invisible(value)) continue;
        if (latin && text_is_mark(value)) continue;
        latin = value < 0x80 && u_isalnum((UChar32)value);
        push(f, value, f->segment_from, f->segment_end);
    }
    if (f->segment_count == 1 && f->count == first + 1) {
        /* Capitals look like other letters than their small forms do. */
        struct point *p = &f->points[first];

        if (!text_looks_latin((uint32_t)f->segment[0], &p->look, &p->close))
            (void)text_looks_latin(p->value, &p->look, &p->close);
        f->any_look = f->any_look || p->look;
        learn(f, p);
    }
}

/* The segment gathered so far is complete. */
static void flush(struct folder *f) {
    UChar in[2 * SEGMENT_MAX], out[SEGMENT_OUT_MAX];
    UErrorCode status = U_ZERO_ERROR;
    int in_size = 0, size;

    if (!f->segment_count) return;
    f->settled = f->count;
    if (f->segment_count == 1 && f->segment[0] < 0x80) {
        push(f, (uint32_t)ascii_lower((char)f->segment[0]), f->segment_from,
             f->segment_end);
        f->segment_count = 0;
        return;
    }
    if (f->segment_count == 1 && glyph_of(f, (uint32_t)f->segment[0])->value) {
        const struct glyph *g = glyph_of(f, (uint32_t)f->segment[0]);

        push(f, g->value, f->segment_from, f->segment_end);
        f->points[f->count - 1].look = g->look;
        f->any_look = f->any_look || g->look;
        f->points[f->count - 1].close = g->close;
        f->segment_count = 0;
        return;
    }
    for (int i = 0; i < f->segment_count; i++)
        U16_APPEND_UNSAFE(in, in_size, f->segment[i]);
    size = unorm2_normalize(f->normalizer, in, in_size, out, SEGMENT_OUT_MAX,
                            &status);
    if (U_FAILURE(status))
        push(f, UTF8_REPLACEMENT, f->segment_from, f->segment_end);
    else
        push_normal(f, out, size);
    f->segment_count = 0;
}

/* Printable ASCII before a byte of ASCII composes with nothing. */
static bool is_plain(struct span raw, size_t at) {
    return raw.at[at] >= ' ' && raw.at[at] <= '~' && at + 1 < raw.size &&
           (unsigned char)raw.at[at + 1] < 0x80;
}

/* Most texts have nothing else. Where it ends. */
static size_t gather_plain(struct folder *f, size_t at) {
    for (; is_plain(f->raw, at); at++) {
        struct point p = {.value = (uint32_t)ascii_lower(f->raw.at[at]),
                          .from = (uint32_t)at,
                          .end = (uint32_t)at + 1};

        f->settled = f->count;
        if (p.value == ' ' || f->count == f->capacity)
            push(f, p.value, at, at + 1);
        else
            f->points[f->count++] = p;
    }
    return at;
}

static void gather(struct folder *f) {
    size_t at = 0;

    while (at < f->raw.size) {
        uint32_t point;
        size_t took;
        const struct glyph *g;

        if (is_plain(f->raw, at)) {
            flush(f);
            at = gather_plain(f, at);
            continue;
        }
        took = utf8_decode(span_slice(f->raw, at, f->raw.size), &point, NULL);
        g = point < 0x80 ? NULL : glyph_of(f, point);

        if (g ? !g->invisible : !text_is_invisible(point)) {
            if (!g || g->boundary || f->segment_count == SEGMENT_MAX) flush(f);
            if (!f->segment_count) f->segment_from = at;
            f->segment_end = at + took;
            f->segment[f->segment_count++] = (UChar32)point;
        }
        at += took;
    }
    flush(f);
    /* A blank at the end may still become a line end. */
    if (f->settled == f->count && f->count) f->settled--;
}

static bool is_latin(const struct point *p) {
    return p->value >= 'a' && p->value <= 'z';
}

/* Read the letters of one word, points[from..end), as what they look like. */
static bool read_word(struct folder *f, size_t from, size_t end, bool open,
                      bool *undecided) {
    size_t last = SIZE_MAX, next = from, sure_end = f->settled;
    bool all = end - from <= LOOKS_REACH, any = false;

    for (size_t i = from; i < end; i++)
        if (!f->points[i].look || !f->points[i].close) all = false;
    for (size_t i = from; i < end; i++) {
        struct point *p = &f->points[i];
        bool near, sure;

        if (is_latin(p)) last = i;
        if (!p->look) continue;
        if (next < i) next = i;
        while (next < end && !is_latin(&f->points[next])) next++;
        near = (last != SIZE_MAX && i - last <= LOOKS_REACH) ||
               (next < end && next - i <= LOOKS_REACH);
        /* The last letter may still get a mark and be Latin no more. */
        sure = (last != SIZE_MAX && i - last <= LOOKS_REACH) ||
               (next < end && next - i <= LOOKS_REACH && next < sure_end);
        if (!sure && open && end - i <= LOOKS_REACH) {
            if (!*undecided || i < f->settled) f->settled = i;
            *undecided = true;
        }
        /* `value` is changed by the caller's second pass: here it would make
         * the next letter a neighbour of a Latin one. */
        p->close = near || all;
        any = any || p->close;
    }
    return any;
}

static bool read_looks(struct folder *f, bool *undecided) {
    size_t i = 0;
    bool any = false;

    if (!f->any_look) return false;
    while (i < f->count) {
        size_t from = i;
        bool foreign = false;

        while (i < f->count && text_is_word_point(f->points[i].value)) {
            foreign = foreign || f->points[i].look;
            i++;
        }
        if (foreign && read_word(f, from, i, i == f->count, undecided))
            any = true;
        if (i == from) i++;
    }
    for (i = 0; any && i < f->count; i++) {
        struct point *p = &f->points[i];

        if (p->look && p->close) p->value = (unsigned char)p->look;
    }
    return any;
}

static void write_view(const struct folder *f, struct text_view *out) {
    size_t most = f->count * UTF8_MAX + 1, size = 0;

    out->text.at = xalloc_array(most, 1);
    out->text.capacity = most;
    out->map_from = xalloc_array(most, sizeof *out->map_from);
    out->map_end = xalloc_array(most, sizeof *out->map_end);
    for (size_t i = 0; i < f->count; i++) {
        const struct point *p = &f->points[i];
        size_t took;

        if (i == f->settled) out->settled = size;
        if (p->value < 0x80) {
            out->text.at[size] = (char)p->value;
            out->map_from[size] = p->from;
            out->map_end[size++] = p->end;
            continue;
        }
        took = utf8_encode(p->value, out->text.at + size);
        for (size_t k = 0; k < took; k++) {
            out->map_from[size + k] = p->from;
            out->map_end[size + k] = p->end;
        }
        size += took;
    }
    if (f->settled >= f->count) out->settled = size;
    out->text.size = size;
}

bool text_is_simple(struct span raw) {
    bool blank = false;

    for (size_t i = 0; i < raw.size; i++) {
        unsigned char c = (unsigned char)raw.at[i];
        bool now = c == ' ' || c == '\n';

        if ((c < 0x20 && !now) || c >= 0x7F || (now && blank)) return false;
        blank = now;
    }
    return true;
}

static void fold_simple(struct span raw, struct text_view *out) {
    out->text.at = xalloc_array(raw.size + 1, 1);
    out->text.capacity = raw.size + 1;
    out->map_from = xalloc_array(raw.size + 1, sizeof *out->map_from);
    out->map_end = xalloc_array(raw.size + 1, sizeof *out->map_end);
    for (size_t i = 0; i < raw.size; i++) {
        out->text.at[i] = ascii_lower(raw.at[i]);
        out->map_from[i] = (uint32_t)i;
        out->map_end[i] = (uint32_t)i + 1;
    }
    out->text.size = raw.size;
    out->settled = raw.size ? raw.size - 1 : 0;
}

static bool fold(struct span raw, bool looks, struct text_view *out,
                 struct err *err) {
    UErrorCode status = U_ZERO_ERROR;
    struct folder f = {.raw = raw};

    if (raw.size > UINT32_MAX / 32)
        return err_set(err, ERR_LIMIT, "a text of %zu bytes", raw.size);
    memset(out, 0, sizeof *out);
    if (text_is_simple(raw)) {
        fold_simple(raw, out);
        return true;
    }
    f.normalizer = unorm2_getNFKCCasefoldInstance(&status);
    if (U_FAILURE(status))
        return err_set(err, ERR_UNAVAILABLE, "no Unicode data: %s",
                       u_errorName(status));
    gather(&f);
    if (looks) out->mapped = read_looks(&f, &out->looks);
    write_view(&f, out);
    free(f.points);
    return true;
}

bool text_fold(struct span raw, struct text_view *out, struct err *err) {
    return fold(raw, true, out, err);
}

bool text_fold_plain(struct span raw, struct text_view *out, struct err *err) {
    return fold(raw, false, out, err);
}

void text_view_clear(struct text_view *v) {
    bytes_free(&v->text);
    free(v->map_from);
    free(v->map_end);
    memset(v, 0, sizeof *v);
}

size_t text_view_at(const struct text_view *v, size_t raw) {
    size_t low = 0, high = v->text.size;

    if (v->shuffled) return 0;
    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (v->map_from[middle] < raw)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

size_t text_view_raw(const struct text_view *v, size_t at, size_t raw_size) {
    return at < v->text.size ? v->map_from[at] : raw_size;
}

void text_view_span(const struct text_view *v, size_t from, size_t end,
                    size_t *raw_from, size_t *raw_end) {
    *raw_from = v->map_from[from];
    *raw_end = v->map_end[end - 1];
    if (!v->shuffled) return;
    for (size_t i = from; i < end; i++) {
        if (v->map_from[i] < *raw_from) *raw_from = v->map_from[i];
        if (v->map_end[i] > *raw_end) *raw_end = v->map_end[i];
    }
}

bool text_is_word_point(uint32_t point) {
    if (point < 0x80)
        return (point >= 'a' && point <= 'z') ||
               (point >= 'A' && point <= 'Z') ||
               (point >= '0' && point <= '9') || point == '_';
    if (is_letter(point)) return true;
    return (U_MASK(u_charType((UChar32)point)) &
            (U_GC_L_MASK | U_GC_M_MASK | U_GC_N_MASK)) != 0;
}

uint32_t text_lower_point(uint32_t point) {
    if (point < 0x80) return point >= 'A' && point <= 'Z' ? point + 32 : point;
    /* Its full lower case is two code points, and those n-grams were trained
     * with such a letter left alone. */
    if (point == 0x130) return point;
    return (uint32_t)u_tolower((UChar32)point);
}

bool text_is_unspaced(uint32_t p) {
    if (p < 0xE00) return false;
    return p < 0xF00 ||                   /* Thai, Lao */
           (p >= 0x1000 && p < 0x10A0) || /* Burmese */
           (p >= 0x1100 && p < 0x1200) || /* Hangul */
           (p >= 0x1780 && p < 0x1800) || /* Khmer */
           (p >= 0x2E80 && p < 0xA000) || /* Han, Kana */
           (p >= 0xA960 && p < 0xA980) || /* Hangul */
           (p >= 0xAC00 && p < 0xD800) || /* Hangul */
           (p >= 0xF900 && p < 0xFB00) || /* Han */
           (p >= 0x20000 && p < 0x40000); /* Han */
}
