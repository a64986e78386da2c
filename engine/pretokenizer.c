#include "engine/pretokenizer.h"

#include "base/utf8.h"
#include "engine/unicode_class.h"

bool pretokenizer_named(struct span name, enum pretokenizer *out) {
    if (span_is(name, "gpt-2"))
        *out = PRETOKENIZER_GPT_2;
    else if (span_is(name, "smollm"))
        *out = PRETOKENIZER_SMOLLM;
    else if (span_is(name, "llama-bpe") || span_is(name, "llama3") ||
             span_is(name, "llama-v3"))
        *out = PRETOKENIZER_LLAMA_BPE;
    else
        return false;
    return true;
}

/* The character at a place, or END. */
enum kind { OTHER, LETTER, NUMBER, SPACE, END };

struct scan {
    struct span text;
    bool number_ends; /* smollm: a number is where the text between ends */
    size_t seen;
};

static enum kind wide_kind(struct span rest, size_t *size, uint32_t *point) {
    static const enum kind kinds[] = {
        [UNICODE_OTHER] = OTHER,
        [UNICODE_LETTER] = LETTER,
        [UNICODE_NUMBER] = NUMBER,
        [UNICODE_SPACE] = SPACE,
    };
    bool valid;

    *size = utf8_decode(rest, point, &valid);
    return valid ? kinds[unicode_class_of(*point)] : OTHER;
}

static enum kind ascii_kind(unsigned char byte) {
    if (byte == ' ' || (byte >= '\t' && byte <= '\r')) return SPACE;
    if ((byte | 0x20) >= 'a' && (byte | 0x20) <= 'z') return LETTER;
    return byte >= '0' && byte <= '9' ? NUMBER : OTHER;
}

static inline enum kind kind_at(struct scan *s, size_t at, size_t *next,
                                uint32_t *point) {
    enum kind kind;
    size_t size = 1;

    *next = at;
    *point = 0;
    if (at >= s->text.size) return END;
    *point = (unsigned char)s->text.at[at];
    kind = *point < 0x80
               ? ascii_kind((unsigned char)*point)
               : wide_kind(span_slice(s->text, at, s->text.size), &size, point);
    if (at + size > s->seen) s->seen = at + size;
    if (kind == NUMBER && s->number_ends) return END;
    *next = at + size;
    return kind;
}

/* The end of the longest run of one kind from `at`, `most` characters. */
static size_t run_end(struct scan *s, size_t at, enum kind kind, size_t most) {
    uint32_t point;
    size_t next;

    while (most-- > 0 && kind_at(s, at, &next, &point) == kind) at = next;
    return at;
}

/* 's 't 're 've 'm 'll 'd at `at`: its end, or `at`. Under (?i) the long s
 * U+017F folds to s, as in the reference. */
static size_t contraction_end(const struct scan *s, size_t at, bool fold) {
    static const char *const tails[] = {"s", "t", "re", "ve", "m", "ll", "d"};
    const char *text = s->text.at;
    size_t left = s->text.size - at;

    if (text[at] != '\'') return at;
    for (size_t i = 0; i < sizeof tails / sizeof tails[0]; i++) {
        size_t size = 0;

        for (; tails[i][size]; size++) {
            char c;

            if (left < size + 2) break;
            c = text[at + 1 + size];
            if (fold && c >= 'A' && c <= 'Z') c = (char)(c | 0x20);
            if (c != tails[i][size]) break;
        }
        if (!tails[i][size]) return at + 1 + size;
    }
    if (fold && left >= 3 && text[at + 1] == '\xC5' && text[at + 2] == '\xBF')
        return at + 3;
    return at;
}

/* \s+(?!\S)|\s+ : all the blanks, but the last one stays for a word that
 * follows, unless it is the only one. */
static size_t blanks_end(struct scan *s, size_t at) {
    size_t end = at, last = at, next;
    uint32_t point;
    enum kind kind;

    while ((kind = kind_at(s, end, &next, &point)) == SPACE) {
        last = end;
        end = next;
    }
    return kind == END || last == at ? end : last;
}

static size_t gpt2_end(struct scan *s, size_t at) {
    uint32_t point;
    size_t next, body = at, end = contraction_end(s, at, false);
    enum kind kind;

    if (end > at) return end;
    if (s->text.at[at] == ' ') body = at + 1;
    kind = kind_at(s, body, &next, &point);
    if (kind == SPACE || kind == END) return blanks_end(s, at);
    return run_end(s, body, kind, SIZE_MAX);
}

static size_t smollm_end(struct scan *s, size_t at) {
    uint32_t point;
    size_t next;

    if (kind_at(s, at, &next, &point) == NUMBER) return next;
    s->number_ends = true;
    return gpt2_end(s, at);
}

static bool is_break(uint32_t point) {
    return point == '\r' || point == '\n';
}

/* \s*[\r\n]+ : the blanks up to the last line break among them; `at` when
 * there is none. */
static size_t breaks_end(struct scan *s, size_t at) {
    size_t end = at, next;
    uint32_t point;

    for (size_t i = at; kind_at(s, i, &next, &point) == SPACE; i = next)
        if (is_break(point)) end = next;
    return end;
}

static size_t llama_end(struct scan *s, size_t at) {
    uint32_t point, second_point;
    size_t next, second_next, end = contraction_end(s, at, true);
    enum kind first, second;

    if (end > at) return end;
    first = kind_at(s, at, &next, &point);
    if (first == LETTER) return run_end(s, at, LETTER, SIZE_MAX);
    if (first == NUMBER) return run_end(s, at, NUMBER, 3);
    second = kind_at(s, next, &second_next, &second_point);
    if (second == LETTER && !is_break(point))
        return run_end(s, next, LETTER, SIZE_MAX);
    if (first == OTHER || (point == ' ' && second == OTHER)) {
        end = run_end(s, next, OTHER, SIZE_MAX);
        while (end < s->text.size && is_break((unsigned char)s->text.at[end]))
            end++;
        return end;
    }
    end = breaks_end(s, at);
    return end > at ? end : blanks_end(s, at);
}

size_t pretokenizer_end(enum pretokenizer kind, struct span text, size_t from,
                        size_t *seen) {
    struct scan s = {text, false, from};
    size_t end = 0;

    switch (kind) {
    case PRETOKENIZER_GPT_2:
        end = gpt2_end(&s, from);
        break;
    case PRETOKENIZER_LLAMA_BPE:
        end = llama_end(&s, from);
        break;
    case PRETOKENIZER_SMOLLM:
        end = smollm_end(&s, from);
        break;
    }
    *seen = s.seen > end ? s.seen : end;
    return end;
}
