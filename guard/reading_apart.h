/* reading_apart.h - letters set apart by what text_spell() takes for the end of
 * a word: one to a line, or with an emoji between two. For the classifier's
 * reading alone. */
#ifndef CORRAL_GUARD_READING_APART_H
#define CORRAL_GUARD_READING_APART_H

#include "base/bytes.h"

/* The text with such letters joined, in `out`; false, and nothing written, when
 * there are none. *changed: how many bytes they took. Linear. */
bool reading_apart(struct span text, struct bytes *out, size_t *changed);

#endif
