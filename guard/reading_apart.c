#include "guard/reading_apart.h"

#include "base/utf8.h"
#include "guard/text.h"

enum {
    APART_MIN = 8,     /* letters; fewer are a list */
    SEPARATOR_MAX = 16 /* bytes: an emoji of a few signs */
};

/* What is seen at `at`, but for what stands between letters: its size, or 0.
 * *word: it makes a word longer. */
static size_t sign(struct span s, size_t at, bool *word) {
    uint32_t point;
    size_t took;

    *word = false;
    if (at >= s.size) return 0;
    took = utf8_decode(span_slice(s, at, s.size), &point, NULL);
    *word = text_is_word_point(point);
    return *word || (point > ' ' && point <= '~') ? took : 0;
}

static size_t letter(struct span s, size_t at) {
    bool word;

    return sign(s, at, &word);
}

/* One that no word goes on behind. */
static size_t lone(struct span s, size_t at) {
    size_t took = letter(s, at);
    bool word;

    (void)sign(s, at + took, &word);
    return word ? 0 : took;
}

/* What stands from `at` to the next letter, if words do not stand like that. */
static struct span separator(struct span s, size_t at) {
    size_t end = at;
    bool odd = false;

    while (end < s.size && end - at <= SEPARATOR_MAX && !letter(s, end)) {
        odd = odd || s.at[end] == '\n' || (unsigned char)s.at[end] >= 0x80;
        end++;
    }
    if (!odd || end == s.size || end - at > SEPARATOR_MAX) end = at;
    return span_slice(s, at, end);
}

static bool goes_on(struct span s, size_t at, struct span with) {
    return span_starts(span_slice(s, at, s.size), with);
}

/* Behind the separator at `at`; two in a row, or a blank between, part words.
 */
static size_t behind(struct span s, size_t at, struct span between, bool *gap) {
    at += between.size;
    *gap = goes_on(s, at, between);
    if (*gap) return at + between.size;
    *gap = at < s.size && s.at[at] == ' ' && goes_on(s, at + 1, between);
    return *gap ? at + 1 + between.size : at;
}

/* The letters set apart from `at` on, in `out`, and their end; `at` when they
 * are too few. */
static size_t join(struct span s, size_t at, struct bytes *out) {
    size_t took = lone(s, at), end = at, count = 0;
    struct span between = separator(s, at + took);
    bool gap = false;

    if (!took || !between.size) return at;
    out->size = 0;
    for (size_t next = at; (took = lone(s, next)) != 0; count++) {
        if (gap) bytes_puts(out, " ");
        bytes_put(out, span_slice(s, next, next + took));
        end = next + took;
        if (!goes_on(s, end, between)) break;
        next = behind(s, end, between, &gap);
    }
    return count >= APART_MIN ? end : at;
}

/* Behind the word at `at`, and behind what parts it from the next. */
static size_t next_word(struct span s, size_t at) {
    size_t took;

    while ((took = letter(s, at)) != 0) at += took;
    while (at < s.size && !letter(s, at)) at++;
    return at;
}

bool reading_apart(struct span text, struct bytes *out, size_t *changed) {
    struct bytes joined = {.limit = text.size + 1};
    size_t copied = 0;

    out->limit = text.size + 1;
    for (size_t at = 0; at < text.size; at = next_word(text, at)) {
        size_t end = join(text, at, &joined);

        if (end == at) continue;
        bytes_put(out, span_slice(text, copied, at));
        bytes_put(out, span_bytes(&joined));
        *changed += end - at;
        copied = at = end;
    }
    if (copied) bytes_put(out, span_slice(text, copied, text.size));
    bytes_free(&joined);
    return copied > 0;
}
