/* json_read.c - JSON text to a tree of cJSON's nodes, in one walk and in few
 * pieces of memory. A request costs several texts: that cJSON asks for memory
 * for each value and each string, and gives it back one by one, was a third of
 * all that a request cost.
 *
 * The grammar is RFC 8259's and no more, so that no other parser can take the
 * same bytes for something else. */
#include <endian.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/utf8.h"

enum {
    WORD_BYTES = 8,
    KEYS_FEW = 16,
    NODE_TEXT_BYTES = 12, /* of text for each value, in most */
    NODES_LEAST = 8,
    NODES_FIRST_MAX = 1024,
    NUMBER_BYTES_MAX = 63,
    DIGITS_EXACT = 15 /* as many always fit a double */
};

/* More nodes, where the first ones did not do. */
struct piece {
    struct piece *next;
    cJSON nodes[];
};

/* The nodes follow, and after them the strings: with its NUL each is shorter
 * than its text with the quotes, so that they have room however many. */
struct tree {
    cJSON root; /* first, so that json_free() can cast back */
    struct piece *pieces;
    cJSON nodes[];
};

struct reader {
    const char *begin, *at, *end;
    struct tree *tree;
    cJSON *node; /* the next that is free */
    size_t node_count, more;
    size_t values_left; /* that may still be asked memory for */
    size_t values_max;
    char *room; /* for the next string */
    int depth;
    struct err *err;
};

static bool bad(const struct reader *r, const char *what) {
    return err_set(r->err, ERR_INPUT, "%s, at byte %zu", what,
                   (size_t)(r->at - r->begin));
}

/* ---- memory ---- */

static void tree_new(struct reader *r, size_t text_size) {
    size_t count = NODES_LEAST + text_size / NODE_TEXT_BYTES;

    if (count > NODES_FIRST_MAX) count = NODES_FIRST_MAX;
    if (count > r->values_left) count = r->values_left;
    r->values_left -= count;
    r->tree = xrealloc_array(NULL, 1,
                             sizeof *r->tree + count * sizeof(cJSON) +
                                 text_size + WORD_BYTES);
    r->tree->root = (cJSON){0};
    r->tree->pieces = NULL;
    r->node = r->tree->nodes;
    r->node_count = r->more = count;
    r->room = (char *)(r->tree->nodes + count);
}

void json_free(const cJSON *json) {
    struct tree *tree = (struct tree *)(uintptr_t)json;
    struct piece *next;

    if (!tree) return;
    for (struct piece *p = tree->pieces; p; p = next) {
        next = p->next;
        free(p);
    }
    free(tree);
}

/* A value of two bytes costs a node of 64, so nodes have a limit of their own
 * beside that of the text. */
static bool nodes_more(struct reader *r) {
    struct piece *p;

    if (!r->values_left)
        return err_set(r->err, ERR_LIMIT, "JSON of more than %zu values",
                       r->values_max);
    r->more *= 2;
    if (r->more > r->values_left) r->more = r->values_left;
    r->values_left -= r->more;
    p = xrealloc_array(NULL, 1, sizeof *p + r->more * sizeof(cJSON));
    p->next = r->tree->pieces;
    r->tree->pieces = p;
    r->node = p->nodes;
    r->node_count = r->more;
    return true;
}

/* NULL past the limit. */
static cJSON *node_take(struct reader *r) {
    if (!r->node_count && !nodes_more(r)) return NULL;
    r->node_count--;
    *r->node = (cJSON){0};
    return r->node++;
}

/* The last child of `parent`, or NULL past the limit; the first one's `prev` is
 * the last, as with all of cJSON's lists. */
static cJSON *child_add(struct reader *r, cJSON *parent, cJSON *last) {
    cJSON *child = node_take(r);

    if (!child) return NULL;
    if (last) {
        last->next = child;
        child->prev = last;
        parent->child->prev = child;
    } else {
        parent->child = child;
        child->prev = child;
    }
    return child;
}

/* ---- strings ---- */

#define EACH_BYTE (UINT64_MAX / 255)

/* Zero, or nothing among the eight is a quote, a backslash or a control. With
 * its second bit turned a quote comes to stand right above the controls, and a
 * space is none of them. */
static uint64_t special(uint64_t eight) {
    uint64_t low = (eight ^ (EACH_BYTE * 2)) - EACH_BYTE * (' ' + 1);
    uint64_t slash = (eight ^ (EACH_BYTE * '\\')) - EACH_BYTE;

    return (low | slash) & ~eight & (EACH_BYTE * 0x80);
}

/* Text that means itself, up to what does not. Eight bytes are written where
 * less may be meant: the room has as many more. */
static void copy_plain(struct reader *r) {
    uint64_t eight, found;
    int plain;

    while (r->end - r->at >= WORD_BYTES) {
        memcpy(&eight, r->at, WORD_BYTES);
        memcpy(r->room, &eight, WORD_BYTES);
        /* The least bit that is set is where the first one is. */
        found = special(le64toh(eight));
        plain = found ? __builtin_ctzll(found) / 8 : WORD_BYTES;
        r->at += plain;
        r->room += plain;
        if (found) return;
    }
    while (r->at < r->end && *r->at != '"' && *r->at != '\\' &&
           (unsigned char)*r->at >= ' ')
        *r->room++ = *r->at++;
}

static bool hex_4(struct reader *r, uint32_t *out) {
    *out = 0;
    if (r->end - r->at < 4) return bad(r, "not JSON");
    for (int i = 0; i < 4; i++, r->at++) {
        char c = *r->at;

        if (c >= '0' && c <= '9')
            *out = *out << 4 | (uint32_t)(c - '0');
        else if ((c | ' ') >= 'a' && (c | ' ') <= 'f')
            *out = *out << 4 | (uint32_t)((c | ' ') - 'a' + 10);
        else
            return bad(r, "not JSON");
    }
    return true;
}

/* What comes behind `\u`, with the other half of a pair. */
static bool escaped_point(struct reader *r) {
    uint32_t point, low;

    if (!hex_4(r, &point)) return false;
    /* Whoever takes a string for one of C's would read less than we. */
    if (point == 0) return bad(r, "\\u0000 in a JSON string");
    if (point >= 0xDC00 && point < 0xE000) return bad(r, "not JSON");
    if (point >= 0xD800 && point < 0xDC00) {
        if (r->end - r->at < 2 || memcmp(r->at, "\\u", 2) != 0)
            return bad(r, "not JSON");
        r->at += 2;
        if (!hex_4(r, &low)) return false;
        if (low < 0xDC00 || low >= 0xE000) return bad(r, "not JSON");
        point = 0x10000 + ((point - 0xD800) << 10) + (low - 0xDC00);
    }
    r->room += utf8_encode(point, r->room);
    return true;
}

/* At a backslash. What it makes is never longer than itself. */
static bool escape(struct reader *r) {
    static const char names[] = "\"\\/bfnrt", values[] = "\"\\/\b\f\n\r\t";
    const char *found;

    if (++r->at == r->end) return bad(r, "not JSON");
    if (*r->at == 'u') {
        r->at++;
        return escaped_point(r);
    }
    found = *r->at ? strchr(names, *r->at) : NULL;
    if (!found) return bad(r, "not JSON");
    r->at++;
    *r->room++ = values[found - names];
    return true;
}

/* At the opening quote. */
static bool string(struct reader *r, char **out) {
    char *begin = r->room;

    r->at++;
    for (;;) {
        copy_plain(r);
        if (r->at == r->end) return bad(r, "not JSON");
        if (*r->at == '"') break;
        if (*r->at != '\\') return bad(r, "control character in JSON");
        if (!escape(r)) return false;
    }
    r->at++;
    *r->room++ = '\0';
    *out = begin;
    return true;
}

/* ---- numbers ---- */

static size_t digits(struct reader *r) {
    const char *from = r->at;

    while (r->at < r->end && *r->at >= '0' && *r->at <= '9') r->at++;
    return (size_t)(r->at - from);
}

/* What may follow the whole digits; false: a number it is not. */
static bool tail(struct reader *r, bool *whole) {
    *whole = true;
    if (r->at < r->end && *r->at == '.') {
        *whole = false;
        r->at++;
        if (!digits(r)) return false;
    }
    if (r->at < r->end && (*r->at | ' ') == 'e') {
        *whole = false;
        r->at++;
        if (r->at < r->end && (*r->at == '+' || *r->at == '-')) r->at++;
        if (!digits(r)) return false;
    }
    return true;
}

static double whole_value(const char *at, size_t count, bool negative) {
    int64_t value = 0;

    for (size_t i = 0; i < count; i++) value = value * 10 + (at[i] - '0');
    return negative ? -(double)value : (double)value;
}

static void set_number(cJSON *out, double value) {
    out->type = cJSON_Number;
    out->valuedouble = value;
    out->valueint = value >= INT_MAX   ? INT_MAX
                    : value <= INT_MIN ? INT_MIN
                                       : (int)value;
}

static bool number(struct reader *r, cJSON *out) {
    const char *from = r->at, *first;
    char text[NUMBER_BYTES_MAX + 1];
    bool negative = *from == '-', whole;
    size_t count, size;
    double value;

    r->at += negative;
    first = r->at;
    count = digits(r);
    if (!count) return bad(r, "not JSON");
    if ((count > 1 && *first == '0') || !tail(r, &whole))
        return bad(r, "not a JSON number");
    size = (size_t)(r->at - from);
    if (whole && count <= DIGITS_EXACT) {
        set_number(out, whole_value(first, count, negative));
        return true;
    }
    if (size > NUMBER_BYTES_MAX) return bad(r, "a number too long");
    memcpy(text, from, size);
    text[size] = '\0';
    value = strtod(text, NULL);
    if (value - value != 0) return bad(r, "a number out of range");
    set_number(out, value);
    return true;
}

/* ---- values ---- */

static void skip_blank(struct reader *r) {
    while (r->at < r->end && (*r->at == ' ' || *r->at == '\n' ||
                              *r->at == '\r' || *r->at == '\t'))
        r->at++;
}

/* Past blanks and `c`, if it comes. */
static bool met(struct reader *r, char c) {
    skip_blank(r);
    if (r->at == r->end || *r->at != c) return false;
    r->at++;
    return true;
}

static bool word(struct reader *r, cJSON *out, const char *text, int type) {
    size_t size = strlen(text);

    if ((size_t)(r->end - r->at) < size || memcmp(r->at, text, size) != 0)
        return bad(r, "not JSON");
    r->at += size;
    out->type = type;
    out->valueint = type == cJSON_True;
    return true;
}

static int compare_names(const void *a, const void *b) {
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static bool same(const struct reader *r, const char *name) {
    return err_set(r->err, ERR_INPUT, "duplicate key \"%.64s\"", name);
}

/* Sorting keeps this from being quadratic in a hostile object's size. */
static bool many_differ(const struct reader *r, const cJSON *object,
                        size_t count) {
    const char **names = xalloc_array(count, sizeof *names);
    const cJSON *child;
    size_t i = 0;
    bool ok = true;

    cJSON_ArrayForEach(child, object) names[i++] = child->string;
    qsort(names, count, sizeof *names, compare_names);
    for (i = 1; i < count && ok; i++)
        if (!strcmp(names[i - 1], names[i])) ok = same(r, names[i]);
    free(names);
    return ok;
}

/* Its size and last bytes: keys that are the same have the same. */
static uint64_t mark_of(const char *name, size_t size) {
    uint64_t mark = 0;
    size_t part = size < 6 ? size : 6;

    memcpy(&mark, name + size - part, part);
    return mark | (uint64_t)size << 48;
}

/* Two parsers may take different ones of two equal keys; what was judged must
 * be what is used, so neither is taken. The first few keys are compared as they
 * come. */
static bool key_differs(const struct reader *r, const cJSON *object,
                        uint64_t marks[KEYS_FEW], size_t count,
                        const char *name) {
    const cJSON *child = object->child;

    if (count >= KEYS_FEW) return true; /* many_differ() looks at all */
    marks[count] = mark_of(name, (size_t)(r->room - name) - 1);
    for (size_t i = 0; i < count; i++, child = child->next)
        if (marks[i] == marks[count] && !strcmp(child->string, name))
            return same(r, name);
    return true;
}

static bool value(struct reader *r, cJSON *out);

static bool object(struct reader *r, cJSON *out) {
    uint64_t marks[KEYS_FEW];
    cJSON *child = NULL;
    size_t count = 0;
    char *name;

    out->type = cJSON_Object;
    if (met(r, '}')) return true;
    do {
        skip_blank(r);
        if (r->at == r->end || *r->at != '"') return bad(r, "not JSON");
        if (!string(r, &name) || !key_differs(r, out, marks, count, name))
            return false;
        child = child_add(r, out, child);
        if (!child) return false;
        child->string = name;
        count++;
        if (!met(r, ':')) return bad(r, "not JSON");
        if (!value(r, child)) return false;
    } while (met(r, ','));
    if (!met(r, '}')) return bad(r, "not JSON");
    return count <= KEYS_FEW || many_differ(r, out, count);
}

static bool array(struct reader *r, cJSON *out) {
    cJSON *child = NULL;

    out->type = cJSON_Array;
    if (met(r, ']')) return true;
    do {
        child = child_add(r, out, child);
        if (!child || !value(r, child)) return false;
    } while (met(r, ','));
    return met(r, ']') || bad(r, "not JSON");
}

static bool nested(struct reader *r, cJSON *out) {
    bool ok;

    if (r->depth == JSON_DEPTH_MAX)
        return err_set(r->err, ERR_LIMIT, "JSON deeper than %d",
                       JSON_DEPTH_MAX);
    r->depth++;
    ok = *r->at++ == '{' ? object(r, out) : array(r, out);
    r->depth--;
    return ok;
}

static bool value(struct reader *r, cJSON *out) {
    skip_blank(r);
    if (r->at == r->end) return bad(r, "not JSON");
    switch (*r->at) {
    case '"':
        out->type = cJSON_String;
        return string(r, &out->valuestring);
    case '{':
    case '[':
        return nested(r, out);
    case 't':
        return word(r, out, "true", cJSON_True);
    case 'f':
        return word(r, out, "false", cJSON_False);
    case 'n':
        return word(r, out, "null", cJSON_NULL);
    default:
        return number(r, out);
    }
}

/* Some clients begin with a byte order mark, which is no text. */
static struct span without_mark(struct span text) {
    const struct span mark = span_of("\xEF\xBB\xBF");

    return span_starts(text, mark) ? span_slice(text, mark.size, text.size)
                                   : text;
}

const cJSON *json_read(struct span text, struct err *err) {
    return json_read_up_to(text, JSON_VALUES_MAX, err);
}

const cJSON *json_read_up_to(struct span text, size_t values_max,
                             struct err *err) {
    /* The root is in the tree itself. */
    struct reader r = {
        .err = err, .values_max = values_max, .values_left = values_max - 1};

    text = without_mark(text);
    if (text.size == 0) {
        (void)err_set(err, ERR_INPUT, "empty, expected JSON");
        return NULL;
    }
    if (!utf8_valid(text)) {
        (void)err_set(err, ERR_INPUT, "JSON is not valid UTF-8");
        return NULL;
    }
    r.begin = r.at = text.at;
    r.end = text.at + text.size;
    tree_new(&r, text.size);
    if (value(&r, &r.tree->root)) {
        skip_blank(&r);
        if (r.at == r.end) return &r.tree->root;
        (void)bad(&r, "text after the JSON");
    }
    json_free(&r.tree->root);
    return NULL;
}
