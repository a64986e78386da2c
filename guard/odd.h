/* odd.h - where a text is more than plain words: everywhere else its folded
 * view (text.h) is the text in lower case with its blanks in a row made one
 * (plain.h), and its words are spelled as usual (text_spell.h), so that one
 * look is enough. */
#ifndef CORRAL_GUARD_ODD_H
#define CORRAL_GUARD_ODD_H

#include "base/bytes.h"

struct stretch {
    size_t from, end;
};

/* All zero is none. */
struct stretches {
    struct stretch *list; /* in order, none touches the next */
    size_t count, capacity;
    size_t bytes; /* in all of them */
};

/* The stretches of `text`, each from blank to blank or to the text's ends:
 * what is neither printable ASCII nor blank, an accented letter of Latin-1 or a
 * curly quotation mark; words with a digit or sign that may stand for a letter;
 * letters set apart. Linear. */
void odd_stretches(struct span text, struct stretches *out);
/* Those of them that differ from the plain view in more than how their words
 * are spelled, letter for letter. */
void odd_beyond_spelling(struct span text, struct stretches *out);
/* odd_stretches() byte by byte: what the tests hold it against. */
void odd_stretches_slowly(struct span text, struct stretches *out);
/* Add one that begins behind the others, or joins those last ones that it
 * touches. */
void odd_put(struct stretches *s, size_t from, size_t end);
/* Of the odd stretches of `text`, and of `changed`, each widened from blank to
 * blank: those that lie within `reach` bytes of a changed one. */
void odd_near(struct span text, const struct stretches *changed, size_t reach,
              struct stretches *out);
void odd_free(struct stretches *s);
/* Does [from, end) overlap one of them or stand beside it. Binary search. */
bool odd_touches(const struct stretches *s, size_t from, size_t end);

#endif
