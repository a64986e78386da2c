/* A pattern is read into parts, since a repeated one is put into the automaton
 * many times, and put in from its end to its beginning. */
#include "engine/grammar_regex.h"

#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "engine/grammar_nfa.h"

enum {
    PARTS_MAX = 2 * REGEX_BYTES_MAX,
    PUTS_MAX = 1 << 17, /* parts put in, repeated ones each time */
    POINT_MAX = 0x10FFFF,
    MANY = -1
};

enum part_kind {
    PART_EMPTY,
    PART_SET,    /* a character of ranges[a .. b) */
    PART_PAIR,   /* part a, then part b */
    PART_EITHER, /* part a or part b */
    PART_REPEAT, /* part a, `least` to `most` times (MANY: no limit) */
    PART_BEGIN,
    PART_END
};

struct part {
    enum part_kind kind;
    int a;
    int b;
    int least;
    int most;
};

struct reader {
    struct span rest;
    struct part *parts; /* (PARTS_MAX) */
    int count;
    struct point_range *ranges;
    int range_count;
    int range_capacity;
    int depth;
    int puts;
    struct err *err;
};

static int read_either(struct reader *r);

static int fail(struct reader *r, enum err_code code, const char *text) {
    err_set(r->err, code, "%s", text);
    return -1;
}

static int part(struct reader *r, struct part p) {
    if (r->count == PARTS_MAX) return fail(r, ERR_LIMIT, "has too many parts");
    r->parts[r->count] = p;
    return r->count++;
}

static bool take(struct reader *r, const char *text) {
    struct span s = span_of(text);

    if (!span_starts(r->rest, s)) return false;
    r->rest = span_slice(r->rest, s.size, r->rest.size);
    return true;
}

static char peek(const struct reader *r) {
    return r->rest.size ? r->rest.at[0] : '\0';
}

static uint32_t take_point(struct reader *r) {
    uint32_t point;
    size_t size = utf8_decode(r->rest, &point, NULL);

    r->rest = span_slice(r->rest, size, r->rest.size);
    return point;
}

/* ---- sets of characters ---- */

static void range(struct reader *r, uint32_t low, uint32_t high) {
    if (r->range_count == r->range_capacity) {
        r->range_capacity = r->range_capacity ? 2 * r->range_capacity : 64;
        r->ranges = xrealloc_array(r->ranges, (size_t)r->range_capacity,
                                   sizeof *r->ranges);
    }
    r->ranges[r->range_count++] = (struct point_range){low, high};
}

static int compare_ranges(const void *a, const void *b) {
    const struct point_range *s = a, *t = b;

    return (s->low > t->low) - (s->low < t->low);
}

/* Sort ranges[first ..] and join what touches. */
static void tidy(struct reader *r, int first) {
    int kept = first;

    if (r->range_count == first) return;
    qsort(r->ranges + first, (size_t)(r->range_count - first),
          sizeof *r->ranges, compare_ranges);
    for (int i = first + 1; i < r->range_count; i++) {
        struct point_range *last = &r->ranges[kept], next = r->ranges[i];

        if (next.low > last->high + 1)
            r->ranges[++kept] = next;
        else if (next.high > last->high)
            last->high = next.high;
    }
    r->range_count = kept + 1;
}

/* ranges[first ..] become what they are not. */
static void negate(struct reader *r, int first) {
    int end;
    uint32_t from = 0;

    tidy(r, first);
    end = r->range_count;
    for (int i = first; i < end; i++) {
        struct point_range one = r->ranges[i];

        if (one.low > from) range(r, from, one.low - 1);
        from = one.high + 1;
    }
    if (from <= POINT_MAX) range(r, from, POINT_MAX);
    memmove(r->ranges + first, r->ranges + end,
            (size_t)(r->range_count - end) * sizeof *r->ranges);
    r->range_count -= end - first;
}

static const struct point_range digits[] = {{'0', '9'}};
static const struct point_range words[] = {
    {'0', '9'}, {'A', 'Z'}, {'_', '_'}, {'a', 'z'}};
static const struct point_range blanks[] = {
    {'\t', '\r'},     {' ', ' '},       {0xA0, 0xA0},     {0x1680, 0x1680},
    {0x2000, 0x200A}, {0x2028, 0x2029}, {0x202F, 0x202F}, {0x205F, 0x205F},
    {0x3000, 0x3000}, {0xFEFF, 0xFEFF}};
static const struct point_range line_ends[] = {
    {'\n', '\n'}, {'\r', '\r'}, {0x2028, 0x2029}};

static void ranges(struct reader *r, const struct point_range *list,
                   size_t size, bool opposite) {
    int first = r->range_count;

    for (size_t i = 0; i < size / sizeof *list; i++)
        range(r, list[i].low, list[i].high);
    if (opposite) negate(r, first);
}

/* \d and its likes; false when the letter is none of them. */
static bool class_escape(struct reader *r, char letter) {
    bool opposite = letter >= 'A' && letter <= 'Z';

    switch (letter | 0x20) {
    case 'd':
        ranges(r, digits, sizeof digits, opposite);
        return true;
    case 'w':
        ranges(r, words, sizeof words, opposite);
        return true;
    case 's':
        ranges(r, blanks, sizeof blanks, opposite);
        return true;
    default:
        return false;
    }
}

static int hex_of(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f') return (c | 0x20) - 'a' + 10;
    return -1;
}

static bool take_hex(struct reader *r, size_t least, size_t most,
                     uint32_t *point) {
    size_t count = 0;

    *point = 0;
    while (count < most && r->rest.size && hex_of(peek(r)) >= 0) {
        *point = *point * 16 + (uint32_t)hex_of(peek(r));
        r->rest = span_slice(r->rest, 1, r->rest.size);
        count++;
    }
    return count >= least && *point <= POINT_MAX;
}

/* \uHHHH, a pair of them for a point past FFFF, or \u{H}. */
static bool take_unicode(struct reader *r, uint32_t *point) {
    uint32_t low;

    if (take(r, "{")) return take_hex(r, 1, 6, point) && take(r, "}");
    if (!take_hex(r, 4, 4, point)) return false;
    if (*point < 0xD800 || *point > 0xDFFF) return true;
    if (*point > 0xDBFF || !take(r, "\\u") || !take_hex(r, 4, 4, &low) ||
        low < 0xDC00 || low > 0xDFFF)
        return false;
    *point = 0x10000 + ((*point - 0xD800) << 10) + (low - 0xDC00);
    return true;
}

/* What comes after a backslash, where it stands for one character. */
static bool take_escaped(struct reader *r, uint32_t *point) {
    static const char controls[] = "t\tn\nr\rf\fv\v";
    char letter = peek(r);
    const char *control = controls;

    if (!r->rest.size) return fail(r, ERR_INPUT, "ends in a backslash") > 0;
    if (take(r, "x") || take(r, "u")) {
        if (letter == 'x' ? take_hex(r, 2, 2, point) : take_unicode(r, point))
            return true;
        return fail(r, ERR_INPUT, "has a wrong \\x or \\u") > 0;
    }
    if (letter == 'p' || letter == 'P' || letter == 'b' || letter == 'B' ||
        letter == 'k' || (letter >= '0' && letter <= '9') || letter == 'c')
        return fail(r, ERR_UNSUPPORTED,
                    "has a backreference, word boundary, \\p or \\c") > 0;
    while (*control && *control != letter) control += 2;
    if (!*control &&
        ((letter >= 'a' && letter <= 'z') || (letter >= 'A' && letter <= 'Z')))
        return fail(r, ERR_INPUT, "has an unknown escape") > 0;
    *point = take_point(r);
    if (*control) *point = (unsigned char)control[1];
    return true;
}

static int set_part(struct reader *r, int first) {
    tidy(r, first);
    if (r->range_count == first)
        return fail(r, ERR_INPUT, "has a class of no character");
    return part(r, (struct part){PART_SET, first, r->range_count, 0, 0});
}

/* An end of a range in a class. *whole: it was \d or its like. */
static bool class_atom(struct reader *r, uint32_t *point, bool *whole) {
    *whole = false;
    if (!take(r, "\\")) {
        *point = take_point(r);
        return true;
    }
    if (take(r, "b")) {
        *point = '\b';
        return true;
    }
    *whole = class_escape(r, peek(r));
    if (!*whole) return take_escaped(r, point);
    r->rest = span_slice(r->rest, 1, r->rest.size);
    return true;
}

static int read_class(struct reader *r) {
    int first = r->range_count;
    bool opposite = take(r, "^"), whole;

    while (!take(r, "]")) {
        uint32_t low = 0, high;

        if (!r->rest.size) return fail(r, ERR_INPUT, "has an open class");
        if (!class_atom(r, &low, &whole)) return -1;
        if (whole) continue;
        high = low;
        if (peek(r) == '-' && r->rest.size > 1 && r->rest.at[1] != ']') {
            (void)take(r, "-");
            if (!class_atom(r, &high, &whole)) return -1;
            if (whole || high < low)
                return fail(r, ERR_INPUT, "has a class range out of order");
        }
        range(r, low, high);
    }
    if (opposite) negate(r, first);
    return set_part(r, first);
}

/* ---- the parts of an expression ---- */

static int read_group(struct reader *r) {
    int inner;

    if (span_starts(r->rest, span_of("?=")) ||
        span_starts(r->rest, span_of("?!")) ||
        span_starts(r->rest, span_of("?<=")) ||
        span_starts(r->rest, span_of("?<!")))
        return fail(r, ERR_UNSUPPORTED, "looks ahead or behind");
    if (take(r, "?<")) {
        size_t end = span_find(r->rest, span_of(">"));

        if (end == SIZE_MAX) return fail(r, ERR_INPUT, "has an open group");
        r->rest = span_slice(r->rest, end + 1, r->rest.size);
    } else if (take(r, "?") && !take(r, ":")) {
        return fail(r, ERR_UNSUPPORTED, "has a group of an unknown kind");
    }
    if (r->depth == REGEX_DEPTH_MAX)
        return fail(r, ERR_LIMIT, "is nested too deeply");
    r->depth++;
    inner = read_either(r);
    r->depth--;
    if (inner >= 0 && !take(r, ")"))
        return fail(r, ERR_INPUT, "has an open group");
    return inner;
}

static int read_atom(struct reader *r) {
    int first = r->range_count;
    uint32_t point;

    if (take(r, "(")) return read_group(r);
    if (take(r, "[")) return read_class(r);
    if (take(r, "^")) return part(r, (struct part){.kind = PART_BEGIN});
    if (take(r, "$")) return part(r, (struct part){.kind = PART_END});
    if (take(r, ".")) {
        ranges(r, line_ends, sizeof line_ends, true);
        return set_part(r, first);
    }
    if (peek(r) == '*' || peek(r) == '+' || peek(r) == '?')
        return fail(r, ERR_INPUT, "repeats nothing");
    if (take(r, "\\")) {
        if (class_escape(r, peek(r))) {
            r->rest = span_slice(r->rest, 1, r->rest.size);
            return set_part(r, first);
        }
        if (!take_escaped(r, &point)) return -1;
    } else {
        point = take_point(r);
    }
    range(r, point, point);
    return set_part(r, first);
}

/* Digits, none of them for `otherwise`. False when they pass the limit. */
static bool take_count(struct reader *r, int otherwise, int *out) {
    bool any = false;

    *out = 0;
    while (peek(r) >= '0' && peek(r) <= '9') {
        any = true;
        *out = *out * 10 + (peek(r) - '0');
        r->rest = span_slice(r->rest, 1, r->rest.size);
        if (*out > REGEX_REPEATS_MAX) {
            fail(r, ERR_LIMIT, "repeats too often");
            return false;
        }
    }
    if (!any) *out = otherwise;
    return true;
}

/* {n}, {n,} or {n,m}; anything else after a brace is a brace. */
static bool is_braces(struct span s) {
    size_t i = 1;

    if (!s.size || s.at[0] != '{') return false;
    while (i < s.size && s.at[i] >= '0' && s.at[i] <= '9') i++;
    if (i == 1) return false;
    if (i < s.size && s.at[i] == ',') i++;
    while (i < s.size && s.at[i] >= '0' && s.at[i] <= '9') i++;
    return i < s.size && s.at[i] == '}';
}

/* 1: there was one, 0: there was none, -1: a wrong one. */
static int take_repeat(struct reader *r, int *least, int *most) {
    *most = MANY;
    if (take(r, "*")) {
        *least = 0;
    } else if (take(r, "+")) {
        *least = 1;
    } else if (take(r, "?")) {
        *least = 0;
        *most = 1;
    } else if (is_braces(r->rest)) {
        (void)take(r, "{");
        if (!take_count(r, 0, least)) return -1;
        *most = *least;
        if (take(r, ",") && !take_count(r, MANY, most)) return -1;
        (void)take(r, "}");
        if (*most != MANY && *most < *least)
            return fail(r, ERR_INPUT, "has a repeat out of order");
    } else {
        return 0;
    }
    (void)take(r, "?");
    return 1;
}

static int read_repeated(struct reader *r) {
    int atom = read_atom(r), least, most, found;

    if (atom < 0) return -1;
    found = take_repeat(r, &least, &most);
    if (found <= 0) return found < 0 ? -1 : atom;
    if (r->parts[atom].kind == PART_BEGIN || r->parts[atom].kind == PART_END)
        return fail(r, ERR_INPUT, "repeats an anchor");
    if (peek(r) == '*' || peek(r) == '+' || peek(r) == '?' ||
        is_braces(r->rest))
        return fail(r, ERR_INPUT, "repeats a repeat");
    return part(r, (struct part){PART_REPEAT, atom, 0, least, most});
}

static int read_sequence(struct reader *r) {
    int whole = -1;

    while (r->rest.size && peek(r) != '|' && peek(r) != ')') {
        int next = read_repeated(r);

        if (next < 0) return -1;
        whole = whole < 0
                    ? next
                    : part(r, (struct part){PART_PAIR, whole, next, 0, 0});
        if (whole < 0) return -1;
    }
    return whole < 0 ? part(r, (struct part){.kind = PART_EMPTY}) : whole;
}

static int read_either(struct reader *r) {
    int whole = read_sequence(r);

    while (whole >= 0 && take(r, "|")) {
        int other = read_sequence(r);

        if (other < 0) return -1;
        whole = part(r, (struct part){PART_EITHER, whole, other, 0, 0});
    }
    return whole;
}

/* ---- into an automaton ---- */

static int put(struct nfa *n, struct reader *r, int index, int next);

/* -1 when a set has no character that JSON can hold. */
static int put_repeat(struct nfa *n, struct reader *r, const struct part *p,
                      int next) {
    int end = next;

    if (p->most == MANY) {
        int loop = nfa_reserve(n, next);
        int body = put(n, r, p->a, loop);

        if (body < 0) return -1;
        nfa_loop(n, loop, body);
        next = loop;
    }
    for (int i = p->least; i < p->most && !n->full; i++) {
        int body = put(n, r, p->a, next);

        if (body < 0) return -1;
        next = nfa_fork(n, body, end);
    }
    for (int i = 0; i < p->least && !n->full && next >= 0; i++)
        next = put(n, r, p->a, next);
    return next;
}

static int put(struct nfa *n, struct reader *r, int index, int next) {
    const struct part *p;
    int a, b;

    /* Nothing repeated often makes no node, so the nodes are no limit. */
    n->full |= r->puts++ > PUTS_MAX;
    /* A long sequence is a chain of pairs that leans to the left. */
    while (r->parts[index].kind == PART_PAIR) {
        next = put(n, r, r->parts[index].b, next);
        if (next < 0 || n->full) return next;
        index = r->parts[index].a;
    }
    p = &r->parts[index];
    switch (p->kind) {
    case PART_SET:
        return nfa_character(n, r->ranges + p->a, p->b - p->a, next);
    case PART_EITHER:
        a = put(n, r, p->a, next);
        b = put(n, r, p->b, next);
        return a < 0 || b < 0 ? -1 : nfa_fork(n, a, b);
    case PART_REPEAT:
        return put_repeat(n, r, p, next);
    case PART_BEGIN:
        return nfa_anchor(n, NFA_BEGIN, next);
    case PART_END:
        return nfa_anchor(n, NFA_END, next);
    default:
        return next;
    }
}

/* Any characters, then `next`. */
static int put_any(struct nfa *n, int next) {
    static const struct point_range all[] = {{0, POINT_MAX}};
    int loop = nfa_reserve(n, next);

    nfa_loop(n, loop, nfa_character(n, all, 1, loop));
    return loop;
}

/* Whether every way through a part begins at the text's beginning. */
static bool is_anchored(const struct reader *r, int index) {
    const struct part *p = &r->parts[index];

    switch (p->kind) {
    case PART_BEGIN:
        return true;
    case PART_PAIR:
        return is_anchored(r, p->a);
    case PART_EITHER:
        return is_anchored(r, p->a) && is_anchored(r, p->b);
    case PART_REPEAT:
        return p->least > 0 && is_anchored(r, p->a);
    default:
        return false;
    }
}

static struct dfa *compile(struct span pattern, bool found, long *work,
                           struct err *err) {
    struct reader r = {.rest = pattern, .err = err};
    struct nfa n;
    struct dfa *out = NULL;
    int root, start;

    if (pattern.size > REGEX_BYTES_MAX) {
        err_set(err, ERR_LIMIT, "is past %d bytes", REGEX_BYTES_MAX);
        return NULL;
    }
    nfa_init(&n);
    r.parts = xalloc_array(PARTS_MAX, sizeof *r.parts);
    root = read_either(&r);
    if (root >= 0 && r.rest.size)
        root = fail(&r, ERR_INPUT, "closes a group that is not open");
    if (root < 0) goto out;
    start = put(&n, &r, root, found ? put_any(&n, 0) : 0);
    if (start < 0) {
        err_set(err, ERR_INPUT, "has a class of no character");
        goto out;
    }
    /* Where it could not be found later, looking for it only costs states. */
    if (found && !is_anchored(&r, root)) start = put_any(&n, start);
    out = nfa_dfa(&n, start, found, work, err);

out:
    nfa_clear(&n);
    free(r.parts);
    free(r.ranges);
    return out;
}

struct dfa *regex_string(struct span pattern, long *work, struct err *err) {
    return compile(pattern, true, work, err);
}

struct dfa *regex_text(struct span pattern, long *work, struct err *err) {
    return compile(pattern, false, work, err);
}
