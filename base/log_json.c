#include "base/log_json.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/utf8.h"

/* Text that ends where there is no more room. */
struct line {
    char *at;
    size_t size, room;
    bool full;
};

static void put(struct line *l, const char *text, size_t size) {
    if (l->full || size > l->room - l->size) {
        l->full = true;
        return;
    }
    memcpy(l->at + l->size, text, size);
    l->size += size;
}

/* One character of a string; how many bytes of `at` it took. What is no UTF-8
 * would make the line no JSON. */
static size_t put_character(struct line *l, const char *at) {
    unsigned char c = (unsigned char)*at;
    char text[8];
    uint32_t point;
    size_t size = 1;

    if (c >= 0x80) {
        size = utf8_decode(span_of(at), &point, NULL);
        put(l, text, utf8_encode(point, text));
    } else if (c < 0x20 || c == 0x7F) {
        (void)snprintf(text, sizeof text, "\\u%04x", c);
        put(l, text, 6);
    } else {
        if (c == '"' || c == '\\') put(l, "\\", 1);
        put(l, at, 1);
    }
    return size;
}

static int hex(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* What log_quote() wrote, from behind its opening quote; where it ends. */
static const char *put_quoted(struct line *l, const char *at) {
    while (*at && *at != '"') {
        if (*at == '\\' && at[1] == 'x' && hex(at[2]) >= 0 && hex(at[3]) >= 0) {
            char c = (char)(hex(at[2]) * 16 + hex(at[3]));

            (void)put_character(l, (char[]){c, '\0'});
            at += 4;
        } else {
            if (*at == '\\' && at[1]) at++;
            at += put_character(l, at);
        }
    }
    return *at ? at + 1 : at;
}

/* As JSON knows numbers: no sign but '-', no leading zero. */
static bool is_number(const char *at, size_t size) {
    size_t i = at[0] == '-' ? 1 : 0, start = i;

    while (i < size && at[i] >= '0' && at[i] <= '9') i++;
    if (i == start || (at[start] == '0' && i > start + 1)) return false;
    if (i == size) return size < 16;
    if (at[i++] != '.' || i == size) return false;
    while (i < size && at[i] >= '0' && at[i] <= '9') i++;
    return i == size && size < 16;
}

static void put_word(struct line *l, const char *at, size_t size) {
    for (size_t i = 0; i < size;) i += put_character(l, at + i);
}

static void put_bare(struct line *l, const char *at, size_t size) {
    bool literal = is_number(at, size) ||
                   (size == 4 && !memcmp(at, "true", 4)) ||
                   (size == 5 && !memcmp(at, "false", 5));

    if (literal) {
        put(l, at, size);
        return;
    }
    put(l, "\"", 1);
    put_word(l, at, size);
    put(l, "\"", 1);
}

/* One pair, the whole of it or nothing; where the next begins. */
static const char *put_pair(struct line *l, const char *at, bool first) {
    size_t before = l->size, size = strcspn(at, "= ");
    const char *value = at + size + (at[size] == '=');

    if (!first) put(l, ",", 1);
    put(l, "\"", 1);
    put_word(l, at, size);
    put(l, "\":", 2);
    if (*value == '"') {
        put(l, "\"", 1);
        at = put_quoted(l, value + 1);
        put(l, "\"", 1);
    } else {
        size = strcspn(value, " ");
        put_bare(l, value, size);
        at = value + size;
    }
    if (l->full) l->size = before;
    l->full = false;
    return at;
}

size_t log_json(const char *pairs, char *out, size_t out_size) {
    struct line l = {.at = out, .room = out_size};

    if (out_size < 3) return 0;
    l.room -= 2; /* the closing brace and the NUL */
    put(&l, "{", 1);
    while (*pairs) {
        if (*pairs == ' ')
            pairs++;
        else
            pairs = put_pair(&l, pairs, l.size == 1);
    }
    out[l.size++] = '}';
    out[l.size] = '\0';
    return l.size;
}
