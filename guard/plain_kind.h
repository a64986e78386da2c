/* plain_kind.h - letters beyond ASCII that are as plain as those of ASCII: what
 * text_fold() makes of each does not depend on what stands beside it, but where
 * this says so. From Unicode 15, for the scripts that most texts are in; all
 * others are not plain, which only takes longer. */
#ifndef CORRAL_GUARD_PLAIN_KIND_H
#define CORRAL_GUARD_PLAIN_KIND_H

#include "base/bytes.h"

struct plain_kind {
    unsigned char add; /* the small form is so many points further */
    bool plain;        /* all others are meaningless when it is not */
    bool word;         /* as text_is_word_point() says */
    const char *ascii; /* is this instead, in as many bytes; or NULL */
    bool narrow;       /* a dash, or a wide sign: one of ASCII is read */
    bool look, close;  /* as in text_looks.h: not plain beside Latin letters,
                        * nor in a word of nothing else */
    bool bare;         /* takes no mark of the first class */
    /* A mark that makes one unit with what stands before it, which must be a
     * letter that is no look and has no small form, or a mark of a lower class;
     * 0: none. */
    unsigned char mark;
};

/* Of the code point at s.at[at], a byte beyond ASCII, and its size in bytes;
 * where there is none, not plain and one byte. Never NULL. */
const struct plain_kind *plain_kind_at(struct span s, size_t at, size_t *size);

/* The sign of ASCII that a narrow one at s.at[at] stands for. */
static inline unsigned char plain_kind_narrow(struct span s, size_t at) {
    if (s.at[at] == '\xE2') return '-';
    return (unsigned char)((s.at[at + 2] & 0x3F) + ' ');
}

/* May what stands at `kind` follow `before` (NULL: ASCII, or not plain). */
static inline bool plain_kind_fits(const struct plain_kind *before,
                                   const struct plain_kind *kind) {
    if (!kind->mark) return true;
    if (!before || !before->word || before->look || before->add ||
        before->ascii)
        return false;
    return before->mark < kind->mark && !(before->bare && kind->mark == 1);
}

#endif
