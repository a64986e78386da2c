/* passage.h - the one passage of a long text that looks worst by itself, for
 * the classifier to judge alone: a request of a line between pages of harmless
 * text is a small part of what a whole text looks like. */
#ifndef CORRAL_GUARD_PASSAGE_H
#define CORRAL_GUARD_PASSAGE_H

#include "base/bytes.h"

enum {
    PASSAGE_TEXT_BYTES = 400, /* a shorter text is one passage */
    PASSAGE_BYTES_MIN = 24,   /* a shorter one is joined to the one before */
    PASSAGE_BYTES_MAX = 800   /* a longer one is cut */
};

/* How bad a passage looks; the greatest is the worst. */
typedef float passage_look(const void *user, struct span passage);

/* Sentences and lines. The first of equals; false when there is no second
 * passage. Linear: each byte is looked at once. */
bool passage_worst(struct span text, passage_look *look, const void *user,
                   struct span *out);

#endif
