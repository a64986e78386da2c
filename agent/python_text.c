#include "agent/python_text.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"

static bool put(struct bytes *out, const char *text, struct err *err) {
    return bytes_append(out, text, strlen(text), err);
}

static bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

static size_t digits(struct span s, size_t at) {
    while (at < s.size && is_digit(s.at[at])) at++;
    return at;
}

struct span python_skip(struct span s) {
    while (s.size && (s.at[0] == ' ' || s.at[0] == '\t' || s.at[0] == '\n' ||
                      s.at[0] == '\r'))
        s = span_slice(s, 1, s.size);
    return s;
}

/* ---- strings, out --------------------------------------------------- */

static bool put_unit(struct bytes *out, uint32_t unit, struct err *err) {
    return bytes_printf(out, err, "\\u%04x", (unsigned)unit);
}

static const char *short_escape(uint32_t point) {
    switch (point) {
    case '"':
        return "\\\"";
    case '\\':
        return "\\\\";
    case '\n':
        return "\\n";
    case '\r':
        return "\\r";
    case '\t':
        return "\\t";
    case '\f':
        return "\\f";
    case '\b':
        return "\\b";
    default:
        return NULL;
    }
}

static bool put_point(struct bytes *out, uint32_t point, bool html,
                      struct err *err) {
    const char *escape = short_escape(point);
    char c = (char)point;

    if (escape) return put(out, escape, err);
    if (point > 0xFFFF)
        return put_unit(out, 0xD800 + ((point - 0x10000) >> 10), err) &&
               put_unit(out, 0xDC00 + ((point - 0x10000) & 0x3FF), err);
    if (point < ' ' || point > '~' ||
        (html && (c == '<' || c == '>' || c == '&' || c == '\'')))
        return put_unit(out, point, err);
    return bytes_append(out, &c, 1, err);
}

bool python_put_string(struct bytes *out, struct span s, bool html,
                       struct err *err) {
    if (!put(out, "\"", err)) return false;
    while (s.size) {
        uint32_t point;
        size_t took = utf8_decode(s, &point, NULL);

        if (!put_point(out, point, html, err)) return false;
        s = span_slice(s, took, s.size);
    }
    return put(out, "\"", err);
}

/* ---- numbers, out --------------------------------------------------- */

/* The fewest digits that give the same double, as repr() has it. `text` is
 * "d.ddde[+-]xx". */
static void shortest(double value, char text[32]) {
    for (int digits = 0; digits < 17; digits++) {
        (void)snprintf(text, 32, "%.*e", digits, value);
        if (strtod(text, NULL) == value) return;
    }
}

static bool put_zeros(struct bytes *out, int count, struct err *err) {
    while (count-- > 0)
        if (!put(out, "0", err)) return false;
    return true;
}

/* repr() of a float: plain from 1e-4 to below 1e16, else with an exponent. */
static bool put_float(struct bytes *out, double value, struct err *err) {
    char text[32], digit[32];
    int exponent, count = 0;

    if (isinf(value))
        return put(out, value < 0 ? "-Infinity" : "Infinity", err);
    if (signbit(value) && !put(out, "-", err)) return false;
    shortest(fabs(value), text);
    exponent = (int)strtol(strchr(text, 'e') + 1, NULL, 10);
    for (const char *p = text; *p != 'e'; p++)
        if (is_digit(*p)) digit[count++] = *p;
    digit[count] = 0;
    if (exponent < -4 || exponent >= 16)
        return bytes_printf(out, err, "%c%s%se%c%02d", digit[0],
                            count > 1 ? "." : "", digit + 1,
                            exponent < 0 ? '-' : '+', abs(exponent));
    if (exponent < 0)
        return put(out, "0.", err) && put_zeros(out, -exponent - 1, err) &&
               put(out, digit, err);
    if (count <= exponent + 1)
        return put(out, digit, err) &&
               put_zeros(out, exponent + 1 - count, err) && put(out, ".0", err);
    return bytes_append(out, digit, (size_t)exponent + 1, err) &&
           put(out, ".", err) && put(out, digit + exponent + 1, err);
}

/* A whole number stays as it is written, of any size. */
static bool put_number(struct bytes *out, struct span s, struct err *err) {
    char *text = span_dup(s);
    bool whole = !strpbrk(text, ".eE"), ok;

    if (whole)
        ok = put(out, strcmp(text, "-0") != 0 ? text : "0", err);
    else
        ok = put_float(out, strtod(text, NULL), err);
    free(text);
    return ok;
}

/* ---- a JSON text, out ------------------------------------------------ */

/* Where the string at the head ends, past its closing quote. */
static size_t string_end(struct span s) {
    size_t i = 1;

    while (i < s.size && s.at[i] != '"') i += s.at[i] == '\\' ? 2 : 1;
    return i < s.size ? i + 1 : s.size;
}

static bool put_key_or_text(struct bytes *out, struct span literal, bool dumps,
                            bool key, struct err *err) {
    cJSON *json = json_parse(literal, err);
    struct span text;
    bool ok;

    if (!json) return false;
    text = span_of(json->valuestring);
    if (dumps)
        ok = python_put_string(out, text, false, err);
    else
        ok = put(out, key ? "" : "\"", err) &&
             bytes_append(out, text.at, text.size, err) &&
             put(out, key ? "" : "\"", err);
    cJSON_Delete(json);
    return ok;
}

static bool put_mark(struct bytes *out, char c, bool dumps, struct err *err) {
    if (c == ',') return put(out, ", ", err);
    if (c == ':') return put(out, dumps ? ": " : "=", err);
    return bytes_append(out, &c, 1, err);
}

static bool put_word(struct bytes *out, struct span word, bool dumps,
                     struct err *err) {
    static const char *const words[][2] = {
        {"true", "True"}, {"false", "False"}, {"null", "None"}};

    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (span_is(word, words[i][0]))
            return put(out, words[i][dumps ? 0 : 1], err);
    return put_number(out, word, err);
}

/* The text is known to be JSON, so its pieces are rewritten one by one. */
static bool put_pieces(struct bytes *out, struct span s, bool dumps,
                       struct err *err) {
    for (s = python_skip(s); s.size; s = python_skip(s)) {
        size_t size = 1;
        bool ok;

        if (strchr("{}[],:", s.at[0]) && s.at[0]) {
            ok = put_mark(out, s.at[0], dumps, err);
        } else if (s.at[0] == '"') {
            struct span rest;

            size = string_end(s);
            rest = python_skip(span_slice(s, size, s.size));
            ok = put_key_or_text(out, span_slice(s, 0, size), dumps,
                                 rest.size && rest.at[0] == ':', err);
        } else {
            while (size < s.size && !strchr(",]} \t\r\n", s.at[size])) size++;
            ok = put_word(out, span_slice(s, 0, size), dumps, err);
        }
        if (!ok) return false;
        s = span_slice(s, size, s.size);
    }
    return true;
}

bool python_put_json(struct bytes *out, struct span json, struct err *err) {
    return put_pieces(out, json, true, err);
}

bool python_put_arguments(struct bytes *out, struct span json,
                          struct err *err) {
    struct span s = python_skip(json);

    while (s.size && s.at[s.size - 1] != '}') s.size--;
    if (s.size < 2 || s.at[0] != '{')
        return err_set(err, ERR_INPUT,
                       "a tool call's arguments are not a JSON object");
    return put_pieces(out, span_slice(s, 1, s.size - 1), false, err);
}

/* ---- literals, in --------------------------------------------------- */

static bool bad(struct err *err, const char *what) {
    return err_set(err, ERR_INPUT, "a Python value: %s", what);
}

static int hex_value(char c) {
    if (is_digit(c)) return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

static bool read_hex(struct span *s, int count, uint32_t *out) {
    *out = 0;
    if (s->size < (size_t)count) return false;
    for (int i = 0; i < count; i++) {
        int value = hex_value(s->at[i]);

        if (value < 0) return false;
        *out = *out << 4 | (uint32_t)value;
    }
    *s = span_slice(*s, (size_t)count, s->size);
    return true;
}

/* Two halves of a UTF-16 pair are one character, as in JSON. */
static bool read_point(struct span *s, int count, uint32_t *point) {
    struct span rest;
    uint32_t low;

    if (!read_hex(s, count, point)) return false;
    if (*point < 0xD800 || *point > 0xDFFF) return *point && *point <= 0x10FFFF;
    if (*point > 0xDBFF || !span_starts(*s, span_of("\\u"))) return false;
    rest = span_slice(*s, 2, s->size);
    if (!read_hex(&rest, 4, &low) || low < 0xDC00 || low > 0xDFFF) return false;
    *point = 0x10000 + ((*point - 0xD800) << 10) + (low - 0xDC00);
    *s = rest;
    return true;
}

static bool read_octal(struct span *s, uint32_t *point) {
    int count = 0;

    for (*point = 0; count < 3 && s->size && s->at[0] >= '0' && s->at[0] <= '7';
         count++) {
        *point = *point << 3 | (uint32_t)(s->at[0] - '0');
        *s = span_slice(*s, 1, s->size);
    }
    return *point != 0;
}

static bool put_utf8(struct bytes *text, uint32_t point, struct err *err) {
    char utf8[UTF8_MAX];

    return bytes_append(text, utf8, utf8_encode(point, utf8), err);
}

/* After the backslash. What is no escape keeps it, as in Python. */
static bool read_escape(struct span *s, struct bytes *text, struct err *err) {
    static const char from[] = "\\'\"abfnrtv", to[] = "\\'\"\a\b\f\n\r\t\v";
    char c = s->size ? s->at[0] : 0;
    const char *known = c ? strchr(from, c) : NULL;
    uint32_t point;
    int count = c == 'x' ? 2 : c == 'u' ? 4 : c == 'U' ? 8 : 0;

    if (c >= '0' && c <= '7')
        return (read_octal(s, &point) && put_utf8(text, point, err)) ||
               bad(err, "an escape");
    *s = span_slice(*s, 1, s->size);
    if (known) return bytes_append(text, &to[known - from], 1, err);
    if (c == '\n') return true;
    if (count)
        return (read_point(s, count, &point) && put_utf8(text, point, err)) ||
               bad(err, "an escape");
    if (!c || c == 'N') return bad(err, "an escape");
    return put(text, "\\", err) && bytes_append(text, &c, 1, err);
}

static bool read_string(struct span *s, struct bytes *json, struct err *err) {
    struct bytes text = {0};
    char quote = s->at[0];
    bool ok = true;

    *s = span_slice(*s, 1, s->size);
    while (ok && s->size && s->at[0] != quote) {
        char c = s->at[0];

        *s = span_slice(*s, 1, s->size);
        if (c == '\\')
            ok = read_escape(s, &text, err);
        else if (c == '\n' || c == '\r' || !c)
            ok = bad(err, "a string that does not end on its line");
        else
            ok = bytes_append(&text, &c, 1, err);
    }
    if (ok && !s->size) ok = bad(err, "a string that does not end");
    if (ok) *s = span_slice(*s, 1, s->size);
    ok = ok && json_put_string(json, span_bytes(&text), err);
    bytes_free(&text);
    return ok;
}

/* "5." and ".5" get the digit that JSON wants. */
static bool read_number(struct span *s, struct bytes *json, struct err *err) {
    bool minus = s->at[0] == '-';
    size_t at = minus || s->at[0] == '+', start = at, end, dot = SIZE_MAX;
    struct span text = *s;

    end = digits(text, at);
    if (end - start > 1 && text.at[start] == '0') return bad(err, "a number");
    if (end < text.size && text.at[end] == '.') {
        dot = end;
        end = digits(text, dot + 1);
    }
    if (end == start + (dot != SIZE_MAX)) return bad(err, "not a literal");
    at = end;
    if (at < text.size && (text.at[at] == 'e' || text.at[at] == 'E')) {
        at++;
        if (at < text.size && (text.at[at] == '-' || text.at[at] == '+')) at++;
        if (digits(text, at) == at) return bad(err, "a number");
        at = digits(text, at);
    }
    if (at < text.size &&
        (python_read_name(&(struct span){text.at + at, 1}).size ||
         text.at[at] == '.' || text.at[at] == '_'))
        return bad(err, "a number");
    *s = span_slice(text, at, text.size);
    return put(json, minus ? "-" : "", err) &&
           put(json, dot == start ? "0" : "", err) &&
           bytes_append(json, text.at + start, end - start, err) &&
           put(json, dot != SIZE_MAX && end == dot + 1 ? "0" : "", err) &&
           bytes_append(json, text.at + end, at - end, err);
}

struct span python_read_name(struct span *s) {
    struct span name = {s->at, 0};

    while (name.size < s->size) {
        char c = s->at[name.size];
        bool letter =
            (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';

        if (!letter && !(name.size && is_digit(c))) break;
        name.size++;
    }
    *s = span_slice(*s, name.size, s->size);
    return name;
}

static bool read_word(struct span *s, struct bytes *json, struct err *err) {
    struct span word = python_read_name(s);

    if (span_is(word, "True")) return put(json, "true", err);
    if (span_is(word, "False")) return put(json, "false", err);
    if (span_is(word, "None")) return put(json, "null", err);
    return bad(err, "not a literal");
}

static bool next_is(struct span *s, char c) {
    *s = python_skip(*s);
    if (!s->size || s->at[0] != c) return false;
    *s = span_slice(*s, 1, s->size);
    return true;
}

static bool read_value(struct span *s, struct bytes *json, int depth,
                       struct err *err);

/* A dict's keys are strings, so that it is an object. */
static bool read_key(struct span *s, struct bytes *json, struct err *err) {
    *s = python_skip(*s);
    if (!s->size || (s->at[0] != '"' && s->at[0] != '\''))
        return bad(err, "a key that is no string");
    return read_string(s, json, err) &&
           (next_is(s, ':') || bad(err, "a key without a value")) &&
           put(json, ":", err);
}

/* A list or a dict, after its bracket; a comma may stand before the end. */
static bool read_items(struct span *s, struct bytes *json, bool dict, int depth,
                       struct err *err) {
    char end = dict ? '}' : ']';

    if (depth == JSON_DEPTH_MAX) return bad(err, "nested too deeply");
    if (!bytes_append(json, dict ? "{" : "[", 1, err)) return false;
    for (int count = 0; !next_is(s, end); count++) {
        if (count && !put(json, ",", err)) return false;
        if (dict && !read_key(s, json, err)) return false;
        if (!read_value(s, json, depth + 1, err)) return false;
        if (next_is(s, ',')) continue;
        if (!next_is(s, end)) return bad(err, "a list that does not end");
        break;
    }
    return bytes_append(json, &end, 1, err);
}

static bool read_value(struct span *s, struct bytes *json, int depth,
                       struct err *err) {
    char c;

    *s = python_skip(*s);
    if (!s->size) return bad(err, "nothing");
    c = s->at[0];
    if (c == '"' || c == '\'') return read_string(s, json, err);
    if (c == '[' || c == '{') {
        *s = span_slice(*s, 1, s->size);
        return read_items(s, json, c == '{', depth, err);
    }
    if (is_digit(c) || c == '-' || c == '+' || c == '.')
        return read_number(s, json, err);
    return read_word(s, json, err);
}

bool python_read(struct span *s, struct bytes *json, struct err *err) {
    return read_value(s, json, 0, err);
}
