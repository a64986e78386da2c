/* text_spell.h - words spelled in a way that only a person reads: letters
 * written as digits and signs ("k1ll", "@cme"), and letters set apart
 * ("k i l l", "k.i.l.l"). Data and code beside text.h. */
#ifndef CORRAL_GUARD_TEXT_SPELL_H
#define CORRAL_GUARD_TEXT_SPELL_H

#include "guard/text.h"

/* What a 1 and its like stand for. */
enum spell_one {
    SPELL_ONE_LIKELY, /* the letter that fits its neighbours */
    SPELL_ONE_I,
    SPELL_ONE_L,
    SPELL_ONE_COUNT
};

/* Where the text ends, and what the letters set apart at an open end are. */
enum spell_end {
    SPELL_CLOSED,  /* no more text follows */
    SPELL_GOES_ON, /* more may follow, and they go on with it */
    SPELL_BREAKS   /* the last of them is the first letter of a word */
};

/* The letter that a digit or sign may stand for, i for what is like a 1; 0 when
 * there is none. */
char text_spell_letter(char c);

/* `folded` (by text_fold()) as one reads it aloud; its map leads to the same
 * raw bytes. Letters that were set apart are joined; where wider gaps near them
 * tell the words apart, the gaps become blanks and the map has no gap inside a
 * word, otherwise a word may begin and end anywhere. At an open end whatever
 * could turn out to be spelled oddly is read so already; where out->apart,
 * SPELL_BREAKS reads it in another way than SPELL_GOES_ON. False, and nothing
 * to clear, when every word is spelled as usual. */
MUST_USE bool text_spell(const struct text_view *folded, enum spell_one one,
                         enum spell_end end, struct text_view *out);
/* The same where no letters are set apart: the words that are spelled oddly are
 * written to out[folded.size], which has the text already, and which nothing
 * else changes. *ones: as in text_view. False when there are none. */
MUST_USE bool text_spell_words(struct span folded, enum spell_one one,
                               char *out, bool *ones);

#endif
